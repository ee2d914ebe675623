::core::compile_error! {
    "the function under `#[coop::test]` takes no arguments\nhelp: make the values in the body"
}
::core::compile_error! {
    "`#[coop::test]` already makes the function a test\nhelp: remove `#[test]`"
}
#[allow(dead_code)]
fn a() {
    #[allow(dead_code, unused_variables)]
    async fn __kept(x: u8) {
        b(x);
    }
    ::core::unreachable!()
}
