#[::core::prelude::v1::test]
#[should_panic(expected = "twice")]
#[ignore]
fn joining_twice() {
    ::coop::__private::test(
        ::coop::__private::TestOptions::new(::core::option_env!("CARGO_PKG_NAME"))
            .seed(7u64)
            .schedules(100u32)
            .real_time()
            .stack(65536usize),
        ::core::concat!(::core::module_path!(), "::", "joining_twice"),
        || -> io::Result<()> { run() },
    )
}
