fn main() {
    ::coop::__private::main(
        ::coop::__private::MainOptions::new().per_core(),
        || -> () {
            serve();
        },
    )
}
