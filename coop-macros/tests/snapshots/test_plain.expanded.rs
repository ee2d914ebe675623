#[::core::prelude::v1::test]
fn r#true() {
    ::coop::__private::test(
        ::coop::__private::TestOptions::new(),
        ::core::concat!(::core::module_path!(), "::", "true"),
        || -> () {
            assert!(works());
        },
    )
}
