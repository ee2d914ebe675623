fn expression() {
    let _ = {
        let __out = ::coop::__private::select(
            ::coop::__private::Cons(
                ::core::option::Option::Some(
                    ::coop::__private::Operand::operand(op::recv(&conn, &mut buf)),
                ),
                ::coop::__private::Nil,
            ),
            ::coop::__private::SelectMode {
                biased: false,
                default: true,
            },
        );
        match __out {
            ::coop::__private::Selected::Arm(::coop::__private::Out::Here(_)) => {
                let __output = match { __out } {
                    ::coop::__private::Selected::Arm(
                        ::coop::__private::Out::Here(__output),
                    ) => __output,
                    _ => ::core::unreachable!(),
                };
                match __output {
                    n => n,
                }
            }
            ::coop::__private::Selected::Arm(::coop::__private::Out::There(__never)) => {
                match __never {}
            }
            ::coop::__private::Selected::Default => {
                let _ = { __out };
                let __nothing = ();
                match __nothing {
                    () => 1,
                }
            }
            ::coop::__private::Selected::Complete => {
                let _ = { __out };
                let __nothing = ();
                match __nothing {
                    () => 0,
                }
            }
            ::coop::__private::Selected::Killed(_) => {
                let __cause = match { __out } {
                    ::coop::__private::Selected::Killed(__cause) => __cause,
                    _ => ::core::unreachable!(),
                };
                match __cause {
                    cause => give_up(cause),
                }
            }
        }
    };
}
