//! Intrusive doubly linked lists: entries are embedded in what they list, so linking allocates nothing and unlinking costs
//! O(1).
//!
//! ```text
//!            ┌──────────────────────────────────────────────┐
//!            ▼                                              │
//!   list  ┌──────┐   ┌─────────┐   ┌─────────┐   ┌─────────┐│
//!         │ head │◀─▶│ entry a │◀─▶│ entry b │◀─▶│ entry c │┘     a circle through the list's own head;
//!         └──────┘   └─────────┘   └─────────┘   └─────────┘      null in both directions: not linked, or empty
//! ```
//!
//! [`EmbeddedList`] is the public, sound form. `RawList` and `RawLink` are what the runtime itself is built with.

use std::cell::Cell;
use std::fmt;
use std::marker::{PhantomData, PhantomPinned};
use std::pin::Pin;
use std::process::abort;
use std::ptr;

/// A place in a list. Null pointers: in none.
pub(crate) struct RawLink {
    previous: Cell<*const RawLink>,
    next: Cell<*const RawLink>,
}

impl RawLink {
    pub(crate) const fn new() -> Self {
        RawLink { previous: Cell::new(ptr::null()), next: Cell::new(ptr::null()) }
    }

    #[inline]
    pub(crate) fn is_linked(&self) -> bool {
        !self.next.get().is_null()
    }

    /// Leaves the list, if in one.
    #[inline]
    pub(crate) fn unlink(&self) {
        let (previous, next) = (self.previous.get(), self.next.get());
        if next.is_null() {
            return;
        }
        self.previous.set(ptr::null());
        self.next.set(ptr::null());
        // SAFETY: a linked entry's neighbours are linked too, and whoever linked them keeps them at their address until
        // they are unlinked (the contract of `RawList::push_back`).
        let (previous, next) = unsafe { (&*previous, &*next) };
        if ptr::eq(previous, next) {
            // Only the head is left: an empty list is all null, so that it can be moved.
            previous.next.set(ptr::null());
            previous.previous.set(ptr::null());
        } else {
            previous.next.set(next);
            next.previous.set(previous);
        }
    }

    /// # Safety
    /// `place` is linked or the head of a list; `self` is not linked, and both stay where they are until unlinked.
    #[inline]
    unsafe fn link_before(&self, place: &RawLink) {
        if place.next.get().is_null() {
            place.next.set(place);
            place.previous.set(place);
        }
        let previous = place.previous.get();
        self.previous.set(previous);
        self.next.set(place);
        place.previous.set(self);
        // SAFETY: `previous` is linked (or the head), so it is alive at its address.
        unsafe { (*previous).next.set(self) };
    }
}

/// The head of a list of [`RawLink`]s. It owns nothing.
pub(crate) struct RawList {
    head: RawLink,
}

impl RawList {
    pub(crate) const fn new() -> Self {
        RawList { head: RawLink::new() }
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        !self.head.is_linked()
    }

    /// # Safety
    /// `link` is in no list. Until it is unlinked, neither it nor this list moves or goes away.
    #[inline]
    pub(crate) unsafe fn push_back(&self, link: &RawLink) {
        // SAFETY: the caller's promise.
        unsafe { link.link_before(&self.head) };
    }

    /// # Safety
    /// As [`RawList::push_back`].
    #[inline]
    pub(crate) unsafe fn push_front(&self, link: &RawLink) {
        let first = self.head.next.get();
        // SAFETY: a non-null `next` of the head is linked; the rest is the caller's promise.
        unsafe { link.link_before(if first.is_null() { &self.head } else { &*first }) };
    }

    /// The first link, or null.
    #[inline]
    pub(crate) fn front(&self) -> *const RawLink {
        self.head.next.get()
    }

    #[inline]
    pub(crate) fn pop_front(&self) -> *const RawLink {
        let first = self.head.next.get();
        if !first.is_null() {
            // SAFETY: linked, so alive at its address.
            unsafe { (*first).unlink() };
        }
        first
    }

    /// The link after `link`, or null at the end.
    ///
    /// # Safety
    /// `link` is in this list.
    #[inline]
    pub(crate) unsafe fn after(&self, link: *const RawLink) -> *const RawLink {
        // SAFETY: in this list, so alive.
        let next = unsafe { (*link).next.get() };
        if ptr::eq(next, &self.head) { ptr::null() } else { next }
    }
}

/// What the circle of an [`EmbeddedList`] is made of: entries, and the cursors of walks under way.
#[repr(C)]
struct Node {
    link: RawLink,
    is_cursor: bool,
}

/// A value that can be put into an [`EmbeddedList`]: the value and its place in the list, in one piece.
///
/// An entry is in at most one list at a time, never moves while pinned, and unlinks itself when dropped.
#[repr(C)]
pub struct Entry<T> {
    node: Node,
    /// How many closures hold a reference to `value` that they got from the list.
    looked_at: Cell<usize>,
    value: T,
    _pinned: PhantomPinned,
}

impl<T> Entry<T> {
    /// An entry in no list.
    pub const fn new(value: T) -> Self {
        Entry {
            node: Node { link: RawLink::new(), is_cursor: false },
            looked_at: Cell::new(0),
            value,
            _pinned: PhantomPinned,
        }
    }

    /// The value.
    pub fn value(&self) -> &T {
        &self.value
    }

    /// Whether the entry is in a list.
    pub fn is_linked(&self) -> bool {
        self.node.link.is_linked()
    }

    /// Leaves the list it is in, if any. O(1).
    pub fn unlink(&self) {
        self.node.link.unlink();
    }

    /// Calls `f` with the value of the entry at `node`, which must not be dropped meanwhile.
    ///
    /// # Safety
    /// `node` is the node of a live, pinned `Entry<T>`.
    unsafe fn look<R>(node: *const Node, f: impl FnOnce(&T) -> R) -> R {
        struct Looking<'a>(&'a Cell<usize>);
        impl Drop for Looking<'_> {
            fn drop(&mut self) {
                self.0.set(self.0.get() - 1);
            }
        }
        // SAFETY: the caller's promise; `Entry` is `repr(C)` with its node first. An entry that is dropped while
        // `looked_at` is not zero aborts, so the reference outlives the call.
        let entry = unsafe { &*node.cast::<Entry<T>>() };
        entry.looked_at.set(entry.looked_at.get() + 1);
        let _looking = Looking(&entry.looked_at);
        f(&entry.value)
    }
}

impl<T> Drop for Entry<T> {
    fn drop(&mut self) {
        if self.looked_at.get() != 0 {
            eprintln!("coop: a list entry was dropped by the closure that was looking at it");
            abort();
        }
        self.node.link.unlink();
    }
}

impl<T: fmt::Debug> fmt::Debug for Entry<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry").field("value", &self.value).field("linked", &self.is_linked()).finish()
    }
}

/// A doubly linked list of pinned entries that live wherever their owners put them: on stacks, in boxes, in fields.
///
/// No allocation; linking and unlinking cost O(1); an entry that is dropped leaves the list by itself, and a list that is
/// dropped lets its entries go. It is for one thread (`!Send`), and not a wait point anywhere.
///
/// The list hands its values only to closures, never out: an entry's owner may drop it at any moment. Closures may link,
/// unlink and drop *other* entries, of this list too; a closure that drops the very entry it was given aborts the process.
///
/// ```
/// use coop::list::{EmbeddedList, Entry};
/// use std::pin::pin;
///
/// let list = pin!(EmbeddedList::new());
/// let list = list.as_ref();
/// let a = pin!(Entry::new("a"));
/// list.push_back(a.as_ref());
/// {
///     let b = pin!(Entry::new("b"));
///     list.push_back(b.as_ref());
///     assert_eq!(list.len(), 2);
/// } // b unlinked itself
/// let mut seen = Vec::new();
/// list.for_each(|value| seen.push(*value));
/// assert_eq!(seen, ["a"]);
/// assert_eq!(list.pop_front(|value| value.len()), Some(1));
/// assert!(list.is_empty() && !a.is_linked());
/// ```
pub struct EmbeddedList<T> {
    list: RawList,
    /// Invariant: through a list of `&'static str` that passes for one of `&'a str`, a leaked entry would be looked at after
    /// `'a`.
    _entries: PhantomData<*mut Entry<T>>,
    _pinned: PhantomPinned,
}

impl<T> EmbeddedList<T> {
    /// An empty list. It must be pinned before anything can be linked.
    pub const fn new() -> Self {
        EmbeddedList { list: RawList::new(), _entries: PhantomData, _pinned: PhantomPinned }
    }

    /// Links `entry` at the end. An entry that is in a list, this one or another, is moved here.
    pub fn push_back(self: Pin<&Self>, entry: Pin<&Entry<T>>) {
        let link = &entry.get_ref().node.link;
        link.unlink();
        // SAFETY: unlinked just now. Both are pinned and unlink in their `Drop`, which runs before their memory goes.
        unsafe { self.get_ref().list.push_back(link) };
    }

    /// Links `entry` at the front. An entry that is in a list, this one or another, is moved here.
    pub fn push_front(self: Pin<&Self>, entry: Pin<&Entry<T>>) {
        let link = &entry.get_ref().node.link;
        link.unlink();
        // SAFETY: as in `push_back`.
        unsafe { self.get_ref().list.push_front(link) };
    }

    /// Whether no entry is linked.
    pub fn is_empty(&self) -> bool {
        self.first_entry().is_null()
    }

    /// How many entries are linked. O(n).
    pub fn len(&self) -> usize {
        let mut count = 0;
        self.for_each(|_| count += 1);
        count
    }

    /// Calls `f` with the first value and returns its result; `None` when the list is empty. The entry stays linked.
    pub fn front<R>(&self, f: impl FnOnce(&T) -> R) -> Option<R> {
        let first = self.first_entry();
        // SAFETY: a linked node that is no cursor is an entry of this list's type.
        (!first.is_null()).then(|| unsafe { Entry::look(first, f) })
    }

    /// Unlinks the first entry and calls `f` with its value; `None` when the list is empty.
    pub fn pop_front<R>(&self, f: impl FnOnce(&T) -> R) -> Option<R> {
        let first = self.first_entry();
        if first.is_null() {
            return None;
        }
        // SAFETY: a linked node that is no cursor is an entry of this list's type; unlinked, its owner still has it.
        Some(unsafe {
            (*first).link.unlink();
            Entry::look(first, f)
        })
    }

    /// Calls `f` with each value in order. Entries that `f` links behind the walk are visited, those it unlinks are not.
    pub fn for_each(&self, mut f: impl FnMut(&T)) {
        struct Cursor(Node);
        impl Drop for Cursor {
            fn drop(&mut self) {
                self.0.link.unlink();
            }
        }
        let mut next = self.list.front();
        while !next.is_null() {
            let node = next.cast::<Node>();
            let cursor = Cursor(Node { link: RawLink::new(), is_cursor: true });
            // SAFETY: `node` is linked in this list, hence alive. The cursor stays on this frame until it unlinks
            // itself, also when `f` panics, and holds the walk's place whatever `f` unlinks.
            unsafe {
                let after = self.list.after(next);
                cursor.0.link.link_before(if after.is_null() { &self.list.head } else { &*after });
                if !(*node).is_cursor {
                    Entry::look(node, &mut f);
                }
                next = if cursor.0.link.is_linked() { self.list.after(&cursor.0.link) } else { ptr::null() };
            }
        }
    }

    /// Unlinks every entry.
    pub fn clear(&self) {
        while !self.list.pop_front().is_null() {}
    }

    fn first_entry(&self) -> *const Node {
        let mut link = self.list.front();
        // SAFETY: linked nodes are alive; only `Node`s are ever linked here.
        while !link.is_null() && unsafe { (*link.cast::<Node>()).is_cursor } {
            // SAFETY: as above.
            link = unsafe { self.list.after(link) };
        }
        link.cast()
    }
}

impl<T> Default for EmbeddedList<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Drop for EmbeddedList<T> {
    fn drop(&mut self) {
        self.clear();
    }
}

impl<T: fmt::Debug> fmt::Debug for EmbeddedList<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut list = f.debug_list();
        self.for_each(|value| {
            list.entry(value);
        });
        list.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;
    use std::pin::pin;

    type Boxed = Pin<Box<Entry<u32>>>;

    fn values(list: &EmbeddedList<u32>) -> Vec<u32> {
        let mut values = Vec::new();
        list.for_each(|value| values.push(*value));
        values
    }

    #[test]
    fn entries_keep_their_order_and_leave_when_dropped() {
        let list = pin!(EmbeddedList::new());
        let list = list.as_ref();
        let mut entries: Vec<Boxed> = (0..5).map(|value| Box::pin(Entry::new(value))).collect();
        entries.iter().for_each(|entry| list.push_back(entry.as_ref()));
        assert_eq!(values(&list), [0, 1, 2, 3, 4]);
        drop(entries.remove(2));
        entries[0].unlink();
        assert_eq!(values(&list), [1, 3, 4]);
        list.push_front(entries[0].as_ref());
        list.push_back(entries[1].as_ref());
        assert_eq!(values(&list), [0, 3, 4, 1], "an entry that is pushed again moves");
    }

    #[test]
    fn an_entry_moves_between_lists_and_survives_them() {
        let entry = pin!(Entry::new(7));
        let a = pin!(EmbeddedList::new());
        a.as_ref().push_back(entry.as_ref());
        {
            let b = pin!(EmbeddedList::new());
            b.as_ref().push_back(entry.as_ref());
            assert!(a.is_empty() && b.len() == 1);
        }
        assert!(!entry.is_linked());
    }

    #[test]
    fn a_walk_survives_whatever_its_closure_does_to_the_others() {
        let list = pin!(EmbeddedList::new());
        let list = list.as_ref();
        let entries: RefCell<Vec<Option<Boxed>>> = RefCell::new((0..6).map(|v| Some(Box::pin(Entry::new(v)))).collect());
        entries.borrow().iter().flatten().for_each(|entry| list.push_back(entry.as_ref()));
        let mut seen = Vec::new();
        list.for_each(|value| {
            seen.push(*value);
            match *value {
                1 => drop(entries.borrow_mut()[2].take()),
                3 => assert_eq!(list.pop_front(|first| *first), Some(0)),
                4 => assert_eq!(values(&list), [1, 3, 4, 5], "a walk within a walk"),
                _ => {}
            }
        });
        assert_eq!(seen, [0, 1, 3, 4, 5]);
    }

    #[test]
    fn a_random_history_equals_a_vector() {
        for seed in 1..200u64 {
            let list = pin!(EmbeddedList::new());
            let list = list.as_ref();
            let entries: Vec<Boxed> = (0..8).map(|value| Box::pin(Entry::new(value))).collect();
            let mut model: Vec<u32> = Vec::new();
            let mut random = seed;
            for _ in 0..64 {
                random = random.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                let (entry, action) = (((random >> 33) % 8) as u32, (random >> 40) % 4);
                let pinned = entries[entry as usize].as_ref();
                match action {
                    0 => {
                        model.retain(|value| *value != entry);
                        model.push(entry);
                        list.push_back(pinned);
                    }
                    1 => {
                        model.retain(|value| *value != entry);
                        model.insert(0, entry);
                        list.push_front(pinned);
                    }
                    2 => {
                        model.retain(|value| *value != entry);
                        pinned.unlink();
                    }
                    _ => {
                        let expected = (!model.is_empty()).then(|| model.remove(0));
                        assert_eq!(list.pop_front(|value| *value), expected, "seed {seed}");
                    }
                }
                assert_eq!(values(&list), model, "seed {seed}");
            }
        }
    }
}
