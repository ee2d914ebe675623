// A task has Rust's calling convention.
#[coop::task]
extern "C" fn greet() {}

fn main() {}
