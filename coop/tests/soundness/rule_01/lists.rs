//! The intrusive list, used as its docs forbid, and across waits.

use crate::child::child;
use coop::list::{EmbeddedList, Entry};
use std::cell::RefCell;
use std::pin::{Pin, pin};

fn values(list: &EmbeddedList<Entry<u32>>) -> Vec<u32> {
    let mut values = Vec::new();
    list.for_each(|entry| values.push(*entry.value()));
    values
}

#[test]
fn an_entry_that_is_dropped_while_it_is_looked_at_aborts() {
    child!(|| {
        let list = pin!(EmbeddedList::new());
        let entry = RefCell::new(Some(Box::pin(Entry::new(1))));
        list.as_ref().push_back(entry.borrow().as_ref().unwrap().as_ref());
        list.for_each(|_| drop(entry.take()));
    })
    .died_of(libc::SIGABRT)
    .said("coop: a list entry was dropped");
}

#[test]
fn an_entry_that_is_overwritten_while_it_is_looked_at_aborts() {
    child!(|| {
        let list = pin!(EmbeddedList::new());
        let entry = RefCell::new(Box::pin(Entry::new(String::from("old"))));
        list.as_ref().push_back(entry.borrow().as_ref());
        list.front(|_| entry.borrow_mut().set(Entry::new(String::from("new"))));
    })
    .died_of(libc::SIGABRT);
}

#[test]
fn an_entry_that_is_overwritten_leaves_its_list() {
    let list = pin!(EmbeddedList::new());
    let (mut first, second) = (pin!(Entry::new(1)), pin!(Entry::new(2)));
    list.as_ref().push_back(first.as_ref());
    list.as_ref().push_back(second.as_ref());
    first.set(Entry::new(3));
    assert_eq!((values(&list), first.is_linked()), (vec![2], false));
    list.as_ref().push_back(first.as_ref());
    assert_eq!(values(&list), [2, 3]);
}

#[test]
fn a_forgotten_entry_is_a_leak_that_stays_in_the_list() {
    let list = pin!(EmbeddedList::new());
    for value in 0..3 {
        let entry = Box::pin(Entry::new(value));
        list.as_ref().push_back(entry.as_ref());
        std::mem::forget(entry);
    }
    assert_eq!(values(&list), [0, 1, 2]);
    assert_eq!(list.pop_front(|entry| *entry.value()), Some(0));
}

#[test]
fn a_walk_that_panics_leaves_the_list_whole() {
    let list = pin!(EmbeddedList::new());
    let entries: Vec<Pin<Box<Entry<u32>>>> = (0..4).map(|value| Box::pin(Entry::new(value))).collect();
    entries.iter().for_each(|entry| list.as_ref().push_back(entry.as_ref()));
    let walked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        list.for_each(|entry| assert!(*entry.value() < 2, "that far"));
    }));
    assert!(walked.is_err());
    assert_eq!((values(&list), list.len()), (vec![0, 1, 2, 3], 4), "the walk's mark is gone");
    drop(entries);
    assert!(list.is_empty());
}

#[test]
fn other_tasks_change_the_list_while_a_walk_waits() {
    coop::run(|| {
        let list = pin!(EmbeddedList::new());
        let list = list.as_ref();
        let entries = RefCell::new((0..6).map(|value| Some(Box::pin(Entry::new(value)))).collect::<Vec<_>>());
        entries.borrow().iter().flatten().for_each(|entry| list.push_back(entry.as_ref()));
        let mut seen = Vec::new();
        coop::wait_all(|s| {
            s.spawn(|| {
                list.for_each(|entry| {
                    seen.push(*entry.value());
                    coop::yield_now().unwrap();
                });
            });
            coop::yield_now().unwrap();
            // The walk stands at 0. What is behind it goes, moves, and comes.
            drop(entries.borrow_mut()[1].take());
            list.push_back(entries.borrow()[2].as_ref().unwrap().as_ref());
            coop::yield_now().unwrap();
            // It stands at 3.
            assert_eq!(list.pop_front(|entry| *entry.value()), Some(0));
            entries.borrow()[4].as_ref().unwrap().unlink();
        });
        assert_eq!(seen, [0, 3, 5, 2]);
        assert_eq!(values(&list), [3, 5, 2]);
    });
}
