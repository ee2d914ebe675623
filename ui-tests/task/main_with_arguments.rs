// `main` has no arguments.
#[coop::main]
fn main(arguments: Vec<String>) {
    println!("{arguments:?}");
}
