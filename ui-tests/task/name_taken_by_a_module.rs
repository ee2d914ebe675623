// The task's type would clash with a module of its name: `as` gives it another.
mod echo {}

#[coop::task]
fn echo() {}

fn main() {}
