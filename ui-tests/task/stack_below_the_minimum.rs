// A stack has room for a panic, at least.
#[coop::task(stack = "4k")]
fn greet() {}

fn main() {}
