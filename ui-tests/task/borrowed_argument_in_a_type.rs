// A lifetime in an argument's type is a borrow, too.
use std::cell::Ref;

#[coop::task]
fn show(number: Ref<'_, u32>) {
    println!("{number}");
}

fn main() {}
