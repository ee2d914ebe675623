//! A map of the runtime for debuggers: where in a process, or in its core, the Cooperators and their tasks are. `gdb/coop.py` reads
//! it.
//!
//! It stands in a section of its own, `.coop`, so that it is found without debug information and without symbols, in a process
//! that is stopped anywhere, and in a core: nothing is called, locked or allocated to read it.
//!
//! ```text
//!   section .coop        entries, never freed          the Cooperator
//!   ┌─────────────┐      ┌─────────────────┐           ┌───────────┐         ┌───────────────────┐
//!   │ MAP         │      │ cooperator ─────┼──────────▶│ scheduler │         │ Task              │
//!   │  offsets    │   ┌─▶│ thread          │           │ root ─────┼────────▶│  fiber: context … │
//!   │  first ─────┼───┘  │ next ───────────┼─▶ …       └───────────┘         │  node: children … │
//!   └─────────────┘      └─────────────────┘                                 └───────────────────┘
//! ```

use crate::cooperator::Cooperator;
use crate::fiber::{Fiber, Reason, State};
use crate::scheduler::Scheduler;
use crate::siblings::{Family, Siblings};
use crate::stack::Stack;
use crate::task::{Kind, Node, Task};
use std::mem::{offset_of, transmute};
use std::panic::Location;
use std::ptr;
use std::sync::Once;
use std::sync::atomic::{AtomicI32, AtomicPtr, AtomicU32, Ordering};

/// A place where a thread shows its Cooperator. Kept for ever, and used again by the next.
struct Entry {
    cooperator: AtomicPtr<Cooperator>,
    /// As `gettid` has it.
    thread: AtomicI32,
    next: AtomicPtr<Entry>,
}

/// Byte offsets, sizes and values. `gdb/coop.py` has the same list in the same order; who changes it gives it a new magic.
#[repr(C)]
struct Map {
    magic: [u8; 16],
    /// The size of this struct.
    size: u32,

    cooperator_running: u32,
    cooperator_root: u32,
    cooperator_id: u32,

    task_fiber: u32,
    task_node: u32,
    task_id: u32,
    task_name: u32,
    task_stack: u32,
    task_spawned_at: u32,

    fiber_context: u32,
    fiber_state: u32,
    fiber_is_killed: u32,
    fiber_place: u32,
    fiber_reason_verb: u32,
    /// A `repr(u32)` enum: the tag, a descriptor at 4, any other number at 8.
    fiber_reason_detail: u32,

    node_sibling: u32,
    node_kind: u32,
    node_task: u32,
    node_inner: u32,
    node_children: u32,

    /// The number of the first child; zero: none.
    family_first: u32,
    /// A pointer to places of children, by their numbers.
    cooperator_siblings: u32,
    sibling_size: u32,
    sibling_next: u32,
    sibling_who: u32,

    stack_begin: u32,
    stack_class: u32,

    state_active: u32,
    state_parked: u32,
    state_parked_killable: u32,
    state_ended: u32,

    kind_scope: u32,
    kind_deadline: u32,
    kind_shield: u32,

    entry_cooperator: u32,
    entry_thread: u32,
    entry_next: u32,

    text_pointer: AtomicU32,
    text_length: AtomicU32,
    place_pointer: AtomicU32,
    /// Of the file's name, with a zero byte at its end or without.
    place_length: AtomicU32,
    place_line: AtomicU32,
    place_column: AtomicU32,

    first: AtomicPtr<Entry>,
}

/// What is not known.
const UNKNOWN: u32 = u32::MAX;

/// A stack is recognised where there may be none by its first word, which is never null.
const _: () = assert!(size_of::<Option<Stack>>() == size_of::<Stack>() && Stack::BEGIN_OFFSET == 0);

#[unsafe(link_section = ".coop")]
static MAP: Map = Map {
    magic: *b"coop debug map 3",
    size: size_of::<Map>() as u32,

    cooperator_running: (offset_of!(Cooperator, scheduler) + Scheduler::RUNNING_OFFSET) as u32,
    cooperator_root: offset_of!(Cooperator, root) as u32,
    cooperator_id: offset_of!(Cooperator, id) as u32,

    task_fiber: offset_of!(Task, fiber) as u32,
    task_node: offset_of!(Task, node) as u32,
    task_id: offset_of!(Task, id) as u32,
    task_name: offset_of!(Task, name) as u32,
    task_stack: offset_of!(Task, stack) as u32,
    task_spawned_at: offset_of!(Task, spawned_at) as u32,

    fiber_context: offset_of!(Fiber, context) as u32,
    fiber_state: offset_of!(Fiber, state) as u32,
    fiber_is_killed: Fiber::IS_KILLED_OFFSET as u32,
    fiber_place: offset_of!(Fiber, place) as u32,
    fiber_reason_verb: (offset_of!(Fiber, reason) + offset_of!(Reason, verb)) as u32,
    fiber_reason_detail: (offset_of!(Fiber, reason) + offset_of!(Reason, detail)) as u32,

    node_sibling: Node::SIBLING_OFFSET as u32,
    node_kind: offset_of!(Node, kind) as u32,
    node_task: Node::TASK_OFFSET as u32,
    node_inner: Node::INNER_OFFSET as u32,
    node_children: Node::CHILDREN_OFFSET as u32,

    family_first: Family::FIRST_OFFSET as u32,
    cooperator_siblings: (offset_of!(Cooperator, siblings) + Siblings::LINKS_OFFSET) as u32,
    sibling_size: Siblings::STRIDE as u32,
    sibling_next: Siblings::NEXT_OFFSET as u32,
    sibling_who: Siblings::WHO_OFFSET as u32,

    stack_begin: Stack::BEGIN_OFFSET as u32,
    stack_class: Stack::CLASS_OFFSET as u32,

    state_active: byte(State::Active),
    state_parked: byte(State::Parked { killable: false }),
    state_parked_killable: byte(State::Parked { killable: true }),
    state_ended: byte(State::Ended),

    kind_scope: Kind::Scope as u32,
    kind_deadline: Kind::Deadline as u32,
    kind_shield: Kind::Shield as u32,

    entry_cooperator: offset_of!(Entry, cooperator) as u32,
    entry_thread: offset_of!(Entry, thread) as u32,
    entry_next: offset_of!(Entry, next) as u32,

    text_pointer: AtomicU32::new(UNKNOWN),
    text_length: AtomicU32::new(UNKNOWN),
    place_pointer: AtomicU32::new(UNKNOWN),
    place_length: AtomicU32::new(UNKNOWN),
    place_line: AtomicU32::new(UNKNOWN),
    place_column: AtomicU32::new(UNKNOWN),

    first: AtomicPtr::new(ptr::null_mut()),
};

/// How a state looks in memory.
const fn byte(state: State) -> u32 {
    // SAFETY: one byte, as `transmute` checks; every variant fills it, the one with a field by that field.
    let byte: u8 = unsafe { transmute(state) };
    byte as u32
}

/// Shows debuggers the calling thread's Cooperator, until [`hide`]. Once in the life of each.
pub(crate) fn show(cooperator: &Cooperator) {
    static MEASURED: Once = Once::new();
    MEASURED.call_once(measure);
    // SAFETY: has no arguments, and no effect.
    let thread = unsafe { libc::gettid() };
    enter(ptr::from_ref(cooperator).cast_mut(), thread);
}

/// Ends what [`show`] began: the Cooperator is about to go.
pub(crate) fn hide(cooperator: &Cooperator) {
    leave(ptr::from_ref(cooperator).cast_mut());
}

fn enter(this: *mut Cooperator, thread: i32) {
    let mut next = MAP.first.load(Ordering::Acquire);
    // SAFETY: entries are never freed.
    while let Some(entry) = unsafe { next.as_ref() } {
        let free = ptr::null_mut();
        if entry.cooperator.compare_exchange(free, this, Ordering::AcqRel, Ordering::Relaxed).is_ok() {
            entry.thread.store(thread, Ordering::Relaxed);
            return;
        }
        next = entry.next.load(Ordering::Relaxed);
    }
    let entry = Box::leak(Box::new(Entry {
        cooperator: AtomicPtr::new(this),
        thread: AtomicI32::new(thread),
        next: AtomicPtr::default(),
    }));
    let mut first = MAP.first.load(Ordering::Relaxed);
    loop {
        entry.next.store(first, Ordering::Relaxed);
        match MAP.first.compare_exchange_weak(first, entry, Ordering::AcqRel, Ordering::Relaxed) {
            Ok(_) => return,
            Err(now) => first = now,
        }
    }
}

fn leave(this: *mut Cooperator) {
    let mut next = MAP.first.load(Ordering::Acquire);
    // SAFETY: entries are never freed.
    while let Some(entry) = unsafe { next.as_ref() } {
        if entry.cooperator.load(Ordering::Relaxed) == this {
            entry.cooperator.store(ptr::null_mut(), Ordering::Release);
            return;
        }
        next = entry.next.load(Ordering::Relaxed);
    }
}

/// Finds out where std keeps the parts of a `&str` and of a `Location`, which it promises nobody, by looking at one of each.
fn measure() {
    /// Neither fits anything else in these two.
    static TEXT: &str = "a text of 21 bytes ..";
    // SAFETY: a reference to a slice is two words.
    let text: [usize; 2] = unsafe { transmute::<&str, [usize; 2]>(TEXT) };
    let word = |words: &[usize], wanted: &dyn Fn(usize) -> bool| words.iter().position(|word| wanted(*word));
    note(&MAP.text_pointer, word(&text, &|word| word == TEXT.as_ptr().addr()).map(|at| at * 8));
    note(&MAP.text_length, word(&text, &|word| word == TEXT.len()).map(|at| at * 8));

    let place = Location::caller();
    let name = place.file();
    // Two words and two numbers of four bytes are all there is room for, so no byte of it is padding.
    if size_of::<Location>() != 24 || place.line() == place.column() {
        return;
    }
    // SAFETY: 24 initialised bytes, as just said, aligned to eight.
    let (words, halves) = unsafe {
        let start = ptr::from_ref(place);
        (start.cast::<[usize; 3]>().read(), start.cast::<[u32; 6]>().read())
    };
    note(&MAP.place_pointer, word(&words, &|word| word == name.as_ptr().addr()).map(|at| at * 8));
    note(&MAP.place_length, word(&words, &|word| word == name.len() || word == name.len() + 1).map(|at| at * 8));
    let half = |wanted| halves.iter().position(|half| *half == wanted).map(|at| at * 4);
    note(&MAP.place_line, half(place.line()));
    note(&MAP.place_column, half(place.column()));
}

fn note(place: &AtomicU32, offset: Option<usize>) {
    place.store(offset.map_or(UNKNOWN, |offset| offset as u32), Ordering::Relaxed);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_that_was_left_is_used_again() {
        /// The entry that shows `this`.
        fn place(this: *mut Cooperator) -> Option<*const Entry> {
            let mut next = MAP.first.load(Ordering::Acquire);
            // SAFETY: entries are never freed.
            while let Some(entry) = unsafe { next.as_ref() } {
                if entry.cooperator.load(Ordering::Relaxed) == this {
                    return Some(entry);
                }
                next = entry.next.load(Ordering::Relaxed);
            }
            None
        }
        // Only the addresses count. Other tests start Cooperators meanwhile, which may take a place between two of these.
        let mine: Vec<*mut Cooperator> = (1..=3).map(ptr::without_provenance_mut).collect();
        let mut places = std::collections::BTreeSet::new();
        for _ in 0..1000 {
            mine.iter().for_each(|this| enter(*this, 1));
            let found: Vec<_> = mine.iter().map(|this| place(*this).expect("it is shown")).collect();
            assert!(found[0] != found[1] && found[1] != found[2] && found[0] != found[2]);
            places.extend(found);
            mine.iter().for_each(|this| leave(*this));
            assert!(mine.iter().all(|this| place(*this).is_none()));
        }
        assert!(places.len() < 1000, "3,000 Cooperators, three at a time, had {} places", places.len());
    }

    #[test]
    fn texts_and_places_are_where_the_map_says() {
        measure();
        let known = |offset: &AtomicU32, size: usize| {
            let offset = offset.load(Ordering::Relaxed) as usize;
            assert!(offset < size, "{offset} is beyond {size} bytes");
            offset
        };
        let text = "seen";
        let place = Location::caller();
        // SAFETY: what is read lies in the two objects: `known` has looked.
        unsafe {
            let at = |offset| ptr::from_ref(&text).byte_add(offset).cast::<usize>().read();
            assert_eq!(at(known(&MAP.text_pointer, 16)), text.as_ptr().addr());
            assert_eq!(at(known(&MAP.text_length, 16)), 4);
            let at = |offset| ptr::from_ref(place).byte_add(offset);
            assert_eq!(at(known(&MAP.place_pointer, 24)).cast::<usize>().read(), place.file().as_ptr().addr());
            let length = at(known(&MAP.place_length, 24)).cast::<usize>().read();
            assert!(length == place.file().len() || length == place.file().len() + 1);
            assert_eq!(at(known(&MAP.place_line, 24)).cast::<u32>().read(), place.line());
            assert_eq!(at(known(&MAP.place_column, 24)).cast::<u32>().read(), place.column());
        }
    }

    #[test]
    fn every_state_is_a_byte_of_its_own() {
        let mut bytes = [MAP.state_active, MAP.state_parked, MAP.state_parked_killable, MAP.state_ended];
        bytes.sort_unstable();
        assert!(bytes.is_sorted_by(|a, b| a < b), "{bytes:?}");
    }
}
