//! A struct with a link in it, generic and borrowing, goes into a list and comes out when it is dropped.
#![deny(warnings)]
use coop::list::{EmbeddedList, Link};
use std::pin::pin;

#[derive(coop::EmbeddedEntry)]
struct Waiter<'a, T: Copy> {
    name: &'a str,
    #[embedded]
    link: Link,
    ticket: T,
}

fn main() {
    let name = String::from("Ann");
    let queue = pin!(EmbeddedList::new());
    {
        let waiter = pin!(Waiter { name: &name, link: Link::new(), ticket: 7 });
        queue.as_ref().push_back(waiter.as_ref());
        assert_eq!(queue.front(|first| (first.name.len(), first.ticket)), Some((3, 7)));
    }
    assert!(queue.is_empty());
}
