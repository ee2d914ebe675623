// An option is given once.
#[coop::task(stack = "64k", stack = "128k")]
fn greet() {}

fn main() {}
