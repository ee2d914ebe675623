// Only a pinned entry can be linked.
use coop::list::{EmbeddedList, Entry};
use std::pin::pin;

fn main() {
    let list = pin!(EmbeddedList::new());
    let entry = Entry::new(1);
    list.as_ref().push_back(&entry);
}
