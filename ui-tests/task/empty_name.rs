// A task without a name could not be found in a dump.
#[coop::task(name = "")]
fn serve() {}

fn main() {}
