// A task may wait, which a `const fn` cannot.
#[coop::task]
const fn greet() {}

fn main() {}
