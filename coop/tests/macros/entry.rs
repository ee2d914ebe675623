//! `#[derive(EmbeddedEntry)]`: structs of a user's own in lists, on stacks, in boxes and in other structs.

use crate::child;
use coop::list::{EmbeddedEntry, EmbeddedList, Entry, Link};
use coop::{Coordinator, Killed};
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::fmt::Display;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::time::Duration;

// ---- structs of every kind

#[derive(EmbeddedEntry)]
struct Job {
    id: u32,
    #[embedded]
    link: Link,
    name: String,
}

fn job(id: u32) -> Pin<Box<Job>> {
    Box::pin(Job { id, link: Link::new(), name: format!("job {id}") })
}

fn ids(list: &EmbeddedList<Job>) -> Vec<u32> {
    let mut ids = Vec::new();
    list.for_each(|job| ids.push(job.id));
    ids
}

#[derive(Debug, Default, EmbeddedEntry)]
#[allow(dead_code, reason = "they are read by `Debug`")]
struct Unnamed(u8, #[embedded] Link, &'static str);

#[derive(EmbeddedEntry)]
#[repr(C, align(32))]
struct Generic<'a, T: Display + ?Sized, F = fn(&str), const N: usize = 2>
where
    F: Fn(&str),
{
    text: &'a T,
    call: F,
    numbers: [u16; N],
    #[embedded]
    link: Link,
}

type Alias = Link;

#[derive(EmbeddedEntry)]
struct OnlyTheLink {
    #[embedded]
    r#type: Alias,
}

#[test]
fn a_list_of_structs_keeps_their_order_whoever_they_are() {
    let list = pin!(EmbeddedList::new());
    let list = list.as_ref();
    let jobs: Vec<_> = (1..=4).map(job).collect();
    jobs.iter().for_each(|job| list.push_back(job.as_ref()));
    list.push_front(jobs[2].as_ref());
    assert_eq!(ids(&list), [3, 1, 2, 4]);
    assert_eq!(list.pop_front(|job| job.name.clone()).as_deref(), Some("job 3"));
    assert!(!jobs[2].link.is_linked() && jobs[0].link.is_linked());
    drop(jobs);
    assert!(list.is_empty());

    let unnamed = pin!(EmbeddedList::new());
    let (one, two) = (pin!(Unnamed(1, Link::new(), "one")), pin!(Unnamed::default()));
    unnamed.as_ref().push_back(two.as_ref());
    unnamed.as_ref().push_front(one.as_ref());
    assert_eq!(format!("{unnamed:?}"), r#"[Unnamed(1, linked, "one"), Unnamed(0, linked, "")]"#);
    two.1.unlink();
    assert_eq!(format!("{two:?}"), r#"Unnamed(0, not linked, "")"#);

    let said = RefCell::new(String::new());
    let text = String::from("text");
    let generic = pin!(EmbeddedList::new());
    let speaker = pin!(Generic {
        text: &text,
        call: |text: &str| said.borrow_mut().push_str(text),
        numbers: [1, 2, 3],
        link: Link::new()
    });
    generic.as_ref().push_back(speaker.as_ref());
    generic.front(|entry| (entry.call)(&format!("{} {:?}", entry.text, entry.numbers)));
    assert_eq!(*said.borrow(), "text [1, 2, 3]");

    let bare = pin!(EmbeddedList::new());
    let entry = pin!(OnlyTheLink { r#type: Link::new() });
    bare.as_ref().push_back(entry.as_ref());
    assert_eq!((bare.len(), entry.r#type.is_linked()), (1, true));
}

/// A user who forbids all unsafe code has a list all the same.
mod without_unsafe_code {
    #![forbid(unsafe_code)]
    #![deny(
        warnings,
        missing_docs,
        missing_debug_implementations,
        unreachable_pub,
        unused_qualifications,
        clippy::pedantic
    )]

    use coop::EmbeddedEntry;
    use coop::list::Link;

    /// Documented.
    #[derive(Debug, EmbeddedEntry)]
    pub(super) struct Item<T> {
        #[embedded]
        link: Link,
        pub(super) value: T,
    }

    impl<T> Item<T> {
        pub(super) const fn new(value: T) -> Self {
            Item { link: Link::new(), value }
        }
    }
}

#[test]
fn a_random_history_equals_a_deque() {
    use without_unsafe_code::Item;
    for seed in 1..100_u64 {
        let lists = [pin!(EmbeddedList::new()), pin!(EmbeddedList::new())];
        let lists = lists.each_ref().map(|list| list.as_ref());
        let mut items: Vec<Option<Pin<Box<Item<usize>>>>> = (0..6).map(|_| None).collect();
        let mut model = [VecDeque::new(), VecDeque::new()];
        let mut random = seed;
        let mut below = |bound: usize| {
            random = random.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (random >> 33) as usize % bound
        };
        for _ in 0..200 {
            let (id, side, action) = (below(6), below(2), below(5));
            match action {
                // Pushed, from wherever it is, it moves.
                0 | 1 => {
                    let item = items[id].get_or_insert_with(|| Box::pin(Item::new(id)));
                    model.iter_mut().for_each(|list| list.retain(|other| *other != id));
                    if action == 0 {
                        lists[side].push_back(item.as_ref());
                        model[side].push_back(id);
                    } else {
                        lists[side].push_front(item.as_ref());
                        model[side].push_front(id);
                    }
                }
                // Popped, and pushed to the other list by the closure that was given it.
                2 => {
                    let popped = lists[side].pop_front(|item| {
                        lists[1 - side].push_back(item);
                        item.value
                    });
                    assert_eq!(popped, model[side].pop_front(), "seed {seed}");
                    model[1 - side].extend(popped);
                }
                // Dropped.
                3 => {
                    items[id] = None;
                    model.iter_mut().for_each(|list| list.retain(|other| *other != id));
                }
                // Dropped within a walk, after the walk's place or before.
                _ => {
                    let owned = RefCell::new(&mut items);
                    let mut dropped = None;
                    lists[side].for_each(|item| {
                        if item.value != id && owned.borrow()[id].is_some() {
                            owned.borrow_mut()[id] = None;
                            dropped = Some(id);
                        }
                    });
                    if dropped.is_some() {
                        model.iter_mut().for_each(|list| list.retain(|other| *other != id));
                    }
                }
            }
            for (list, model) in lists.iter().zip(&model) {
                let mut values = VecDeque::new();
                list.for_each(|item| values.push_back(item.value));
                assert_eq!(values, *model, "seed {seed}");
            }
        }
    }
}

// ---- ends

/// Looks at the list when it is dropped.
struct Looker {
    list: Pin<Rc<EmbeddedList<Watched>>>,
    seen: Rc<RefCell<Vec<Vec<u32>>>>,
}

impl Drop for Looker {
    fn drop(&mut self) {
        let mut names = Vec::new();
        self.list.for_each(|watched| names.push(*watched.id));
        self.seen.borrow_mut().push(names);
    }
}

#[derive(EmbeddedEntry)]
struct Watched {
    /// Dropped first, before the `Looker` and before the link.
    id: Box<u32>,
    _looker: Looker,
    #[embedded]
    link: Link,
}

/// Were it the link's own destructor that unlinks, the `Looker` would find an entry whose `id` is gone.
#[test]
fn an_entry_has_left_its_list_before_any_of_its_fields_is_dropped() {
    let list = Rc::pin(EmbeddedList::new());
    let seen = Rc::default();
    let entries = [1, 2, 3].map(|id| {
        let looker = Looker { list: list.clone(), seen: Rc::clone(&seen) };
        let entry = Box::pin(Watched { id: Box::new(id), _looker: looker, link: Link::new() });
        list.as_ref().push_back(entry.as_ref());
        entry
    });
    drop(entries);
    assert_eq!(*seen.borrow(), [vec![2, 3], vec![3], vec![]]);
}

struct Loud;

impl Drop for Loud {
    fn drop(&mut self) {
        eprintln!("a field was dropped");
    }
}

#[derive(EmbeddedEntry)]
struct Owned {
    _loud: Loud,
    #[embedded]
    link: Link,
}

#[test]
#[ignore = "aborts: run by the test below"]
fn drops_what_it_looks_at() {
    let list = pin!(EmbeddedList::new());
    let entry = Box::pin(Owned { _loud: Loud, link: Link::new() });
    list.as_ref().push_back(entry.as_ref());
    let owner = Cell::new(Some(entry));
    list.for_each(|_| drop(owner.take()));
    eprintln!("it went on");
}

#[test]
fn a_closure_that_drops_the_entry_it_was_given_aborts_before_a_field_is_gone() {
    child::run(child::test(module_path!(), "drops_what_it_looks_at"))
        .aborted()
        .saying("coop: a list entry was dropped while a closure was looking at it")
        .without("a field was dropped")
        .without("it went on");
}

#[test]
fn a_panic_while_looking_leaves_everything_in_order() {
    let list = pin!(EmbeddedList::new());
    let list = list.as_ref();
    let jobs = [job(1), job(2)];
    jobs.iter().for_each(|job| list.push_back(job.as_ref()));
    let walk = std::panic::AssertUnwindSafe(|| list.for_each(|job| assert_eq!(job.id, 1)));
    assert!(std::panic::catch_unwind(walk).is_err());
    assert_eq!(ids(&list), [1, 2]);
    drop(jobs);
    assert!(list.is_empty(), "nobody looks any more");
}

/// What was only `forget`ten stays where it is, and linked.
#[test]
fn a_forgotten_entry_stays_in_the_list() {
    let list = pin!(EmbeddedList::new());
    let forgotten = job(7);
    list.as_ref().push_back(forgotten.as_ref());
    std::mem::forget(forgotten);
    assert_eq!(ids(&list), [7]);
}

// ---- what it is for

/// A queue in which tasks wait for their numbers to be called: the entries live on the stacks of the waiters.
type Queue = EmbeddedList<Ticket>;

#[derive(EmbeddedEntry)]
struct Ticket {
    number: u32,
    called: Coordinator,
    #[embedded]
    place: Link,
}

fn wait_in(queue: Pin<&Queue>, number: u32) -> Result<(), Killed> {
    let ticket = pin!(Ticket { number, called: Coordinator::held(), place: Link::new() });
    queue.push_back(ticket.as_ref());
    coop::coordinate!(&ticket.called)?.keep();
    Ok(())
}

/// Calls whoever has waited longest. His ticket is gone as soon as he has run, which is not before this returns.
fn call(queue: &Queue) -> Option<u32> {
    queue.pop_front(|ticket| {
        ticket.called.release();
        ticket.number
    })
}

#[coop::test]
fn a_queue_of_waiters_on_their_own_stacks_which_a_killed_one_leaves() {
    let queue = pin!(Queue::new());
    let queue = queue.as_ref();
    let trace = RefCell::new(Vec::new());
    coop::wait_all(|s| {
        let waiters = [1, 2, 3, 4].map(|number| {
            let trace = &trace;
            s.spawn(move || {
                let was_called = wait_in(queue, number).is_ok();
                trace.borrow_mut().push((number, was_called));
            })
        });
        coop::sleep(Duration::from_millis(1)).unwrap();
        assert_eq!(call(&queue), Some(1));
        waiters[1].kill();
        coop::sleep(Duration::from_millis(1)).unwrap();
        assert_eq!([call(&queue), call(&queue), call(&queue)], [Some(3), Some(4), None]);
    });
    assert_eq!(trace.into_inner(), [(1, true), (2, false), (3, true), (4, true)]);
}

/// The ready-made form, for what is not a struct of one's own.
#[test]
fn an_entry_around_any_value_derefs_to_it() {
    let list = pin!(EmbeddedList::new());
    let (a, b) = (pin!(Entry::new(String::from("a"))), pin!(Entry::new(String::from("bb"))));
    list.as_ref().push_back(a.as_ref());
    list.as_ref().push_back(b.as_ref());
    assert_eq!((a.len(), list.front(|entry| entry.len()), list.len()), (1, Some(1), 2));
    list.clear();
    assert!(!a.is_linked() && list.is_empty());
    assert_eq!(Entry::<u8>::LINK_OFFSET % align_of::<Link>(), 0);
}
