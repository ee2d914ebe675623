// A lint has one level.
#[coop::task(allow(blocking), deny(blocking))]
fn serve() {}

fn main() {}
