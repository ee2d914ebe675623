// There is one lint.
#[coop::task(allow(bloking))]
fn greet() {}

fn main() {}
