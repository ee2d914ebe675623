fn expression() {
    let _ = {
        ::core::compile_error! {
            "`join!` has nothing to run\nhelp: give it expressions: `let (a, b) = coop::join!(first(), second())?;`"
        }
        #[allow(unreachable_code)]
        ::core::result::Result::<
            _,
            ::coop::__private::Killed,
        >::Ok(::core::unreachable!())
    };
}
