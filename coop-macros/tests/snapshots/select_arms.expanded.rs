fn expression() {
    let _ = {
        let __guard_1: ::core::primitive::bool = open;
        let __guard_2: ::core::primitive::bool = patient && open;
        let __out = ::coop::__private::select(
            ::coop::__private::Cons(
                ::core::option::Option::Some(
                    ::coop::__private::Operand::operand(op::recv(&conn, &mut buf)),
                ),
                ::coop::__private::Cons(
                    if __guard_1 {
                        ::core::option::Option::Some(
                            ::coop::__private::Operand::operand(&mut incoming),
                        )
                    } else {
                        ::core::option::Option::None
                    },
                    ::coop::__private::Cons(
                        if __guard_2 {
                            ::core::option::Option::Some(
                                ::coop::__private::Operand::operand(op::after(limit)),
                            )
                        } else {
                            ::core::option::Option::None
                        },
                        ::coop::__private::Nil,
                    ),
                ),
            ),
            ::coop::__private::SelectMode {
                biased: true,
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
                        ::coop::__private::Out::There(::coop::__private::Out::Here(_)),
                    ) => {
                        let __output = match { __out } {
                            ::coop::__private::Selected::Arm(
                                ::coop::__private::Out::There(
                                    ::coop::__private::Out::Here(__output),
                                ),
                            ) => __output,
                            _ => ::core::unreachable!(),
                        };
                        match __output {
                            got => {
                                feed(got?);
                            }
                        }
                    }
                    ::coop::__private::Selected::Arm(
                        ::coop::__private::Out::There(
                            ::coop::__private::Out::There(
                                ::coop::__private::Out::Here(_),
                            ),
                        ),
                    ) => {
                        let __output = match { __out } {
                            ::coop::__private::Selected::Arm(
                                ::coop::__private::Out::There(
                                    ::coop::__private::Out::There(
                                        ::coop::__private::Out::Here(__output),
                                    ),
                                ),
                            ) => __output,
                            _ => ::core::unreachable!(),
                        };
                        match __output {
                            _ => return Ok(()),
                        }
                    }
                    ::coop::__private::Selected::Arm(
                        ::coop::__private::Out::There(
                            ::coop::__private::Out::There(
                                ::coop::__private::Out::There(__never),
                            ),
                        ),
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
