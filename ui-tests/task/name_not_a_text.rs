// A name is a string literal.
#[coop::task(name = greeter)]
fn greet() {}

fn main() {}
