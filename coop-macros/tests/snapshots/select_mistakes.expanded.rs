fn expression() {
    let _ = {
        ::core::compile_error! {
            "`=>` is missing between the operation and its body\nhelp: an arm is `pattern = operation => body`"
        }
        #[allow(unreachable_code, unreachable_patterns, unused_variables)]
        match 0_usize {
            0usize => {
                let __out = ::coop::__private::select(
                    ::coop::__private::Cons(
                        ::core::option::Option::Some(
                            ::coop::__private::arm(op::receive(&numbers)),
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
                    ) => {
                        let __value = match () {
                            () => n,
                        };
                        #[allow(unreachable_code)]
                        let __value = ::core::result::Result::Ok(__value);
                        __value
                    }
                    ::coop::__private::Selected::Arm(::coop::__private::Out::Here(_)) => {
                        ::core::unreachable!()
                    }
                    _ => ::core::unreachable!(),
                }
            }
            _ => {
                let _ = op::recv(&conn, &mut buf);
                ::core::result::Result::<
                    _,
                    ::coop::__private::Killed,
                >::Ok(::core::unreachable!())
            }
        }
    };
}
