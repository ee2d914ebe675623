// An option is a name, with or without a value.
#[coop::task("64k")]
fn serve() {}

fn main() {}
