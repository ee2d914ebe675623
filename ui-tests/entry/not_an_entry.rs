// A list takes entries.
use coop::list::EmbeddedList;
use std::pin::pin;

fn main() {
    let list = pin!(EmbeddedList::new());
    let name = pin!(String::from("coop"));
    list.as_ref().push_back(name.as_ref());
}
