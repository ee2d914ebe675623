fn expression() {
    let _ = match ::coop::__private::coordinate(
        [&a, &self.b],
        ::core::option::Option::None,
    ) {
        ::coop::__private::Coordination::Acquired(__acquired) => {
            ::core::result::Result::Ok(__acquired)
        }
        ::coop::__private::Coordination::TimedOut => ::core::unreachable!(),
        ::coop::__private::Coordination::Killed(__killed) => {
            ::core::result::Result::Err(__killed)
        }
    };
}
