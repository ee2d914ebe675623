// A list shows its entries to closures, and gives none out.
use coop::list::{EmbeddedList, Entry};

fn first(list: &EmbeddedList<Entry<String>>) -> Option<&String> {
    let mut kept = None;
    list.front(|entry| kept = Some(entry.get_ref().value()));
    kept
}

fn main() {}
