fn main() -> impl Termination {
    ::coop::__private::main(
        ::coop::__private::MainOptions::new(),
        || { ExitCode::SUCCESS },
    )
}
