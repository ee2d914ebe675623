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
                default: false,
            },
        );
        match __out {
            ::coop::__private::Selected::Killed(__killed) => {
                ::core::result::Result::Err(__killed)
            }
            __out => {
                let __value = match __out {
                    ::coop::__private::Selected::Arm(
                        ::coop::__private::Out::Here(_),
                    ) => {
                        let __output = match { __out } {
                            ::coop::__private::Selected::Arm(
                                ::coop::__private::Out::Here(__output),
                            ) => __output,
                            _ => ::core::unreachable!(),
                        };
                        match __output {
                            n => n?,
                        }
                    }
                    ::coop::__private::Selected::Arm(
                        ::coop::__private::Out::There(__never),
                    ) => match __never {}
                    ::coop::__private::Selected::Default => ::core::unreachable!(),
                    ::coop::__private::Selected::Complete => {
                        ::coop::__private::all_arms_disabled()
                    }
                    ::coop::__private::Selected::Killed(_) => ::core::unreachable!(),
                };
                #[allow(unreachable_code)] ::core::result::Result::Ok(__value)
            }
        }
    };
}
