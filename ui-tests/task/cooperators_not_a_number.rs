// A program has a number of Cooperators, or one for each core.
#[coop::main(cooperators = "all")]
fn main() {}
