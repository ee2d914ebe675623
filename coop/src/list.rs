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
//! [`EmbeddedList`] is the public, sound form: its entries are structs with a [`Link`] in them, made so by
//! [`#[derive(EmbeddedEntry)]`](macro@EmbeddedEntry), or a value in the ready-made [`Entry`]. `RawList` and `RawLink` are
//! what the runtime itself is built with.
//!
//! ```text
//!   entry a, pinned                        entry b, pinned
//!   ┌─────────────────────────┐            ┌─────────────────────────┐
//!   │ name, priority, …       │            │ name, priority, …       │
//!   │ ┌─ Link ──────────────┐ │            │ ┌─ Link ──────────────┐ │
//!   │ │ next, previous      │◀┼────────────┼▶│ next, previous      │ │
//!   │ └─────────────────────┘ │            │ └─────────────────────┘ │
//!   └─────────────────────────┘            └─────────────────────────┘
//!     ▲  LINK_OFFSET  ▲
//! ```
//!
//! Why that is sound:
//!
//! * A linked entry is pinned, and never `Unpin`: it stays where it is until it is dropped.
//! * Its own `Drop`, which runs before that of any of its fields, takes it out of the list. So nobody finds an entry
//!   half dropped, and no link outlives its entry.
//! * The list hands entries to closures only, for no longer than the call. An entry that is dropped meanwhile, by that very
//!   closure, aborts the process before anything of it is gone.
//! * No user code has a `&mut` to a linked entry, by which it could take the link out: pinned, it gives none, and its `Drop`
//!   is taken.

use crate::sys;
use std::cell::Cell;
use std::fmt;
use std::marker::{PhantomData, PhantomPinned};
use std::mem::offset_of;
use std::ops::Deref;
use std::pin::Pin;
use std::ptr;

pub use coop_macros::EmbeddedEntry;

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

    /// Links `this` where the pointer leads: what the list gives back later may be used for all that this pointer may.
    ///
    /// # Safety
    /// `place` is linked or the head of a list; `this` is not linked, and both stay where they are until unlinked.
    #[inline]
    unsafe fn link_before(this: *const RawLink, place: *const RawLink) {
        // SAFETY: the caller's promise; `previous` is linked (or the head), so it is alive at its address.
        unsafe {
            if (*place).next.get().is_null() {
                (*place).next.set(place);
                (*place).previous.set(place);
            }
            let previous = (*place).previous.get();
            (*this).previous.set(previous);
            (*this).next.set(place);
            (*place).previous.set(this);
            (*previous).next.set(this);
        }
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

    /// # Safety
    /// `link` is in no list. Until it is unlinked, neither it nor this list moves or goes away.
    #[inline]
    pub(crate) unsafe fn push_back(&self, link: *const RawLink) {
        // SAFETY: the caller's promise.
        unsafe { RawLink::link_before(link, &self.head) };
    }

    /// # Safety
    /// As [`RawList::push_back`].
    #[inline]
    pub(crate) unsafe fn push_front(&self, link: *const RawLink) {
        let first = self.head.next.get();
        // SAFETY: a non-null `next` of the head is linked; the rest is the caller's promise.
        unsafe { RawLink::link_before(link, if first.is_null() { &self.head } else { first }) };
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

/// What the circle of an [`EmbeddedList`] is made of: entries' links, and the cursors of walks under way.
#[repr(C)]
struct Node {
    link: RawLink,
    is_cursor: bool,
    /// How many closures hold a reference to the entry that they got from a list.
    looked_at: Cell<u32>,
}

impl Node {
    const fn new(is_cursor: bool) -> Self {
        Node { link: RawLink::new(), is_cursor, looked_at: Cell::new(0) }
    }
}

/// An entry's place in a list: the field of an [`EmbeddedEntry`]. A new one is in no list.
///
/// ```
/// use coop::list::Link;
/// let link = Link::new();
/// assert!(!link.is_linked());
/// ```
#[repr(transparent)]
pub struct Link {
    node: Node,
    _pinned: PhantomPinned,
}

impl Link {
    /// In no list.
    pub const fn new() -> Self {
        Link { node: Node::new(false), _pinned: PhantomPinned }
    }

    /// Whether the entry is in a list.
    pub fn is_linked(&self) -> bool {
        self.node.link.is_linked()
    }

    /// Has the entry leave the list it is in, if any. O(1).
    pub fn unlink(&self) {
        self.node.link.unlink();
    }
}

impl Default for Link {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_linked() { "linked" } else { "not linked" })
    }
}

/// [`Link`], and nothing else.
#[doc(hidden)]
#[diagnostic::on_unimplemented(
    message = "the field marked `#[embedded]` is a `{Self}`, not a `coop::list::Link`",
    label = "not a `Link`",
    note = "help: the link stands in the struct itself: `#[embedded] link: coop::list::Link`"
)]
#[allow(private_interfaces)]
pub trait IsLink {
    fn node(&self) -> &Node;
}

#[diagnostic::do_not_recommend]
#[allow(private_interfaces)]
impl IsLink for Link {
    fn node(&self) -> &Node {
        &self.node
    }
}

/// A struct that can be put into an [`EmbeddedList`]: it has its place in the list, a [`Link`], among its fields. Made by
/// [`#[derive(EmbeddedEntry)]`](macro@EmbeddedEntry):
///
/// ```
/// use coop::list::{EmbeddedList, Link};
/// use std::cell::Cell;
/// use std::pin::pin;
///
/// #[derive(coop::EmbeddedEntry)]
/// struct Waiter {
///     #[embedded]
///     link: Link,
///     name: &'static str,
///     turns: Cell<u32>,
/// }
///
/// impl Waiter {
///     fn new(name: &'static str) -> Self {
///         Waiter { link: Link::new(), name, turns: Cell::new(0) }
///     }
/// }
///
/// let queue = pin!(EmbeddedList::new());
/// let queue = queue.as_ref();
/// let (ann, bob) = (pin!(Waiter::new("Ann")), pin!(Waiter::new("Bob")));
/// queue.push_back(ann.as_ref());
/// queue.push_back(bob.as_ref());
///
/// // The first takes a turn, and goes to the end.
/// queue.front(|waiter| {
///     waiter.turns.set(waiter.turns.get() + 1);
///     queue.push_back(waiter);
/// });
/// let mut order = Vec::new();
/// queue.for_each(|waiter| order.push((waiter.name, waiter.turns.get())));
/// assert_eq!(order, [("Bob", 0), ("Ann", 1)]);
///
/// bob.link.unlink();
/// assert_eq!(queue.len(), 1);
/// ```
///
/// # Safety
///
/// * [`LINK_OFFSET`](EmbeddedEntry::LINK_OFFSET) is the offset of a field of type [`Link`], at which it is aligned.
/// * The type is `Unpin` under no circumstances, and no code gets a `&mut` to the field of a pinned value.
/// * Dropping a value first of all takes it out of its list, and aborts the process while a list's closure looks at it; only
///   then is any of its fields dropped.
///
/// The derive sees to all of that: it writes the `Drop`, so that no other can be written, and an `Unpin` that never holds.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be put into an `EmbeddedList`",
    label = "not an entry",
    note = "help: put it into an entry, `coop::list::Entry::new(value)`; or, for a struct of your own, write",
    note = "      `#[derive(coop::EmbeddedEntry)]` on it, and give it a field `#[embedded] link: coop::list::Link`"
)]
pub unsafe trait EmbeddedEntry: Sized {
    /// Where the link is, in bytes from the beginning of the struct.
    const LINK_OFFSET: usize;

    /// What the `Drop` begins with: takes the entry out of its list.
    ///
    /// Its argument is generic, so that what a macro writes as `leave(&self.link)` compiles for a field that *is* a [`Link`],
    /// and not for one that merely derefs to one, as a `Box` does. It is an item of the trait, so that no path given as
    /// `crate = …` leads to another.
    #[doc(hidden)]
    fn leave<L: IsLink>(link: &L) {
        let node = link.node();
        if node.looked_at.get() != 0 {
            sys::die(format_args!("coop: a list entry was dropped while a closure was looking at it"));
        }
        node.link.unlink();
    }
}

/// Where the node of an entry is. What comes of it may be used for all of the entry.
fn node_of<E: EmbeddedEntry>(entry: &E) -> *const Node {
    // SAFETY: `LINK_OFFSET` is within the entry: the contract of `EmbeddedEntry`.
    unsafe { ptr::from_ref(entry).byte_add(E::LINK_OFFSET).cast() }
}

/// Calls `f` with the entry of `node`, which must not be dropped meanwhile.
///
/// # Safety
/// `node` came from [`node_of`] an entry of this type that is live, and pinned.
unsafe fn look<E: EmbeddedEntry, R>(node: *const Node, f: impl FnOnce(Pin<&E>) -> R) -> R {
    struct Looking<'a>(&'a Cell<u32>);
    impl Drop for Looking<'_> {
        fn drop(&mut self) {
            self.0.set(self.0.get() - 1);
        }
    }
    // SAFETY: the caller's promise. An entry that is dropped while `looked_at` is not zero aborts, so the reference outlives
    // the call.
    unsafe {
        let looked_at = &(*node).looked_at;
        looked_at.set(looked_at.get() + 1);
        let _looking = Looking(looked_at);
        f(Pin::new_unchecked(&*node.byte_sub(E::LINK_OFFSET).cast::<E>()))
    }
}

/// A value that can be put into an [`EmbeddedList`]: the value and its place in the list, in one piece. It derefs to the
/// value.
///
/// An entry is in at most one list at a time, never moves while pinned, and unlinks itself when dropped.
pub struct Entry<T> {
    link: Link,
    value: T,
}

// SAFETY: the field is a `Link`, by which the struct is never `Unpin`; nothing here gives a `&mut` to it; `Drop` below.
#[diagnostic::do_not_recommend]
unsafe impl<T> EmbeddedEntry for Entry<T> {
    const LINK_OFFSET: usize = offset_of!(Self, link);
}

impl<T> Entry<T> {
    /// An entry in no list.
    pub const fn new(value: T) -> Self {
        Entry { link: Link::new(), value }
    }

    /// The value.
    pub fn value(&self) -> &T {
        &self.value
    }

    /// Whether the entry is in a list.
    pub fn is_linked(&self) -> bool {
        self.link.is_linked()
    }

    /// Leaves the list it is in, if any. O(1).
    pub fn unlink(&self) {
        self.link.unlink();
    }
}

impl<T> Deref for Entry<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T> Drop for Entry<T> {
    fn drop(&mut self) {
        Self::leave(&self.link);
    }
}

impl<T: fmt::Debug> fmt::Debug for Entry<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry").field("value", &self.value).field("linked", &self.is_linked()).finish()
    }
}

/// A doubly linked list of pinned entries that live wherever their owners put them: on stacks, in boxes, in fields. An entry
/// is a value in an [`Entry`], or a struct of your own that is an [`EmbeddedEntry`].
///
/// No allocation; linking and unlinking cost O(1); an entry that is dropped leaves the list by itself, and a list that is
/// dropped lets its entries go. It is for one thread (`!Send`), and not a wait point anywhere.
///
/// The list hands its entries only to closures, never out: an entry's owner may drop it at any moment. Closures may link,
/// unlink and drop *other* entries, of this list too, and link or unlink the one they were given; a closure that drops the
/// very entry it was given aborts the process.
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
/// list.for_each(|entry| seen.push(*entry.value()));
/// assert_eq!(seen, ["a"]);
/// assert_eq!(list.pop_front(|entry| entry.len()), Some(1));
/// assert!(list.is_empty() && !a.is_linked());
/// ```
pub struct EmbeddedList<E> {
    list: RawList,
    /// Invariant: through a list of `Entry<&'static str>` that passes for one of `Entry<&'a str>`, a leaked entry would be
    /// looked at after `'a`.
    _entries: PhantomData<*mut E>,
    _pinned: PhantomPinned,
}

impl<E> EmbeddedList<E> {
    /// An empty list. It must be pinned before anything can be linked.
    pub const fn new() -> Self {
        EmbeddedList { list: RawList::new(), _entries: PhantomData, _pinned: PhantomPinned }
    }

    /// Whether no entry is linked.
    pub fn is_empty(&self) -> bool {
        self.first().is_null()
    }

    /// Unlinks every entry.
    pub fn clear(&self) {
        while !self.list.pop_front().is_null() {}
    }

    /// The node of the first entry, or null.
    fn first(&self) -> *const Node {
        let mut link = self.list.front();
        // SAFETY: linked nodes are alive; only `Node`s are ever linked here.
        while !link.is_null() && unsafe { (*link.cast::<Node>()).is_cursor } {
            // SAFETY: as above.
            link = unsafe { self.list.after(link) };
        }
        link.cast()
    }
}

impl<E: EmbeddedEntry> EmbeddedList<E> {
    /// Links `entry` at the end. An entry that is in a list, this one or another, is moved here.
    pub fn push_back(self: Pin<&Self>, entry: Pin<&E>) {
        let node = node_of(entry.get_ref());
        // SAFETY: the node of an entry that is there; unlinked, then linked. Both are pinned and unlink in their `Drop`,
        // which runs before their memory goes.
        unsafe {
            (*node).link.unlink();
            self.get_ref().list.push_back(node.cast());
        }
    }

    /// Links `entry` at the front. An entry that is in a list, this one or another, is moved here.
    pub fn push_front(self: Pin<&Self>, entry: Pin<&E>) {
        let node = node_of(entry.get_ref());
        // SAFETY: as in `push_back`.
        unsafe {
            (*node).link.unlink();
            self.get_ref().list.push_front(node.cast());
        }
    }

    /// How many entries are linked. O(n).
    pub fn len(&self) -> usize {
        let mut count = 0;
        self.for_each(|_| count += 1);
        count
    }

    /// Calls `f` with the first entry and returns its result; `None` when the list is empty. The entry stays linked.
    pub fn front<R>(&self, f: impl FnOnce(Pin<&E>) -> R) -> Option<R> {
        let first = self.first();
        // SAFETY: a linked node that is no cursor is that of an entry of this list's type.
        (!first.is_null()).then(|| unsafe { look(first, f) })
    }

    /// Unlinks the first entry and calls `f` with it; `None` when the list is empty.
    pub fn pop_front<R>(&self, f: impl FnOnce(Pin<&E>) -> R) -> Option<R> {
        let first = self.first();
        if first.is_null() {
            return None;
        }
        // SAFETY: a linked node that is no cursor is that of an entry of this list's type; unlinked, its owner still has it.
        Some(unsafe {
            (*first).link.unlink();
            look(first, f)
        })
    }

    /// Calls `f` with each entry in order. Entries that `f` links behind the walk are visited, those it unlinks are not.
    pub fn for_each(&self, mut f: impl FnMut(Pin<&E>)) {
        struct Cursor(Node);
        impl Drop for Cursor {
            fn drop(&mut self) {
                self.0.link.unlink();
            }
        }
        let mut next = self.list.front();
        while !next.is_null() {
            let node = next.cast::<Node>();
            let cursor = Cursor(Node::new(true));
            // SAFETY: `node` is linked in this list, hence alive. The cursor stays on this frame until it unlinks
            // itself, also when `f` panics, and holds the walk's place whatever `f` unlinks.
            unsafe {
                let after = self.list.after(next);
                RawLink::link_before(
                    (&raw const cursor.0).cast(),
                    if after.is_null() { &self.list.head } else { after },
                );
                if !(*node).is_cursor {
                    look(node, &mut f);
                }
                next = if cursor.0.link.is_linked() { self.list.after(&cursor.0.link) } else { ptr::null() };
            }
        }
    }
}

impl<E> Default for EmbeddedList<E> {
    fn default() -> Self {
        Self::new()
    }
}

impl<E> Drop for EmbeddedList<E> {
    fn drop(&mut self) {
        self.clear();
    }
}

impl<E: EmbeddedEntry + fmt::Debug> fmt::Debug for EmbeddedList<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut list = f.debug_list();
        self.for_each(|entry| {
            list.entry(&*entry);
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

    fn values(list: &EmbeddedList<Entry<u32>>) -> Vec<u32> {
        let mut values = Vec::new();
        list.for_each(|entry| values.push(entry.value));
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
        let entries: RefCell<Vec<Option<Boxed>>> =
            RefCell::new((0..6).map(|v| Some(Box::pin(Entry::new(v)))).collect());
        entries.borrow().iter().flatten().for_each(|entry| list.push_back(entry.as_ref()));
        let mut seen = Vec::new();
        list.for_each(|entry| {
            seen.push(entry.value);
            match entry.value {
                1 => drop(entries.borrow_mut()[2].take()),
                3 => assert_eq!(list.pop_front(|first| first.value), Some(0)),
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
                        assert_eq!(list.pop_front(|entry| entry.value), expected, "seed {seed}");
                    }
                }
                assert_eq!(values(&list), model, "seed {seed}");
            }
        }
    }
}
