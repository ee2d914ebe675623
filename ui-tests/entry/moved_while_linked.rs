// An entry that is linked stays where it is.
use coop::list::{EmbeddedList, Entry};
use std::pin::pin;

fn main() {
    let list = pin!(EmbeddedList::new());
    let entry = Entry::new(1);
    let entry = pin!(entry);
    list.as_ref().push_back(entry.as_ref());
    let moved = *entry;
    println!("{}", moved.value());
}
