/// Starts.
fn main() -> std::io::Result<()> {
    my::coop::__private::main(
        my::coop::__private::MainOptions::new().stack(1048576usize),
        || -> std::io::Result<()> {
            let stop = run()?;
            stop.wait()
        },
    )
}
