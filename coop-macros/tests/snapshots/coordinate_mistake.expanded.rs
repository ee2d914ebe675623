fn expression() {
    let _ = {
        ::core::compile_error! {
            "`timeout` is a `Duration`, not `5`\nhelp: say the unit: `timeout = Duration::from_secs(5)` or `Duration::from_millis(5)`"
        }
        let __outcome: ::core::result::Result<
            ::core::option::Option<::coop::__private::Acquired<'_>>,
            ::coop::__private::Killed,
        > = ::core::unreachable!();
        #[allow(unreachable_code)] __outcome
    };
}
