fn main() {
    ::coop::__private::main(
        ::coop::__private::MainOptions::new().cooperators(4usize),
        || -> () {
            serve();
        },
    )
}
