// An option has a value of its own kind.
#[coop::task(stack = "big")]
fn greet() {}

fn main() {}
