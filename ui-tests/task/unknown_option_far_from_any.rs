// An option like no other: all are listed.
#[coop::task(priority = 3)]
fn greet() {}

fn main() {}
