fn expression() {
    let _ = {
        ::core::compile_error! {
            "`=>` is missing between the operation and its body\nhelp: an arm is `pattern = operation => body`"
        }
        #[allow(
            unreachable_code,
            unreachable_patterns,
            unused_variables,
            clippy::let_and_return
        )]
        {
            let __result: ::core::result::Result<_, ::coop::__private::Killed> = {
                let __value = match 0_usize {
                    0usize => {
                        let __out = ::coop::__private::select(
                            ::coop::__private::Cons(
                                ::core::option::Option::Some(
                                    ::coop::__private::Operand::operand(op::receive(&numbers)),
                                ),
                                ::coop::__private::Nil,
                            ),
                            ::coop::__private::SelectMode {
                                biased: false,
                                default: false,
                            },
                        );
                        match __out {
                            ::coop::__private::Selected::Arm(
                                ::coop::__private::Out::Here(Some(n)),
                            ) => n,
                            ::coop::__private::Selected::Arm(
                                ::coop::__private::Out::Here(_),
                            ) => ::core::unreachable!(),
                            _ => ::core::unreachable!(),
                        }
                    }
                    _ => {
                        let _ = op::recv(&conn, &mut buf);
                        ::core::unreachable!()
                    }
                };
                #[allow(unreachable_code)] ::core::result::Result::Ok(__value)
            };
            __result
        }
    };
}
