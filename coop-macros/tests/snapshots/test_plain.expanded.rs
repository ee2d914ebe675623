#[::core::prelude::v1::test]
fn r#true() {
    ::coop::__private::test(
        ::coop::__private::TestOptions::new(::core::option_env!("CARGO_PKG_NAME")),
        ::core::concat!(::core::module_path!(), "::", "true"),
        || -> () {
            assert!(works());
        },
    )
}
