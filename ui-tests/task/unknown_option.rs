// A misspelt option is found, and the nearest one named.
#[coop::task(stak = "64k")]
fn greet() {}

fn main() {}
