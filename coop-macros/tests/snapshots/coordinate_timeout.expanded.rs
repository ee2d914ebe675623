fn expression() {
    let _ = match ::coop::__private::coordinate(
        [&a],
        ::core::option::Option::Some(Duration::from_secs(1)),
    ) {
        ::coop::__private::Coordination::Acquired(__acquired) => {
            ::core::result::Result::Ok(::core::option::Option::Some(__acquired))
        }
        ::coop::__private::Coordination::TimedOut => {
            ::core::result::Result::Ok(::core::option::Option::None)
        }
        ::coop::__private::Coordination::Killed(__killed) => {
            ::core::result::Result::Err(__killed)
        }
    };
}
