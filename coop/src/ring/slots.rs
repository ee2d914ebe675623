//! Which operation a completion belongs to: user data is a slot and its generation.
//!
//! A raw pointer in user data would be followed for completions that are late, doubled, or forged by a forked child that
//! scribbles over the shared ring. A slot's generation grows each time it is used, so an unknown one is counted and ignored.

use super::{Completion, Cqe};
use crate::count::Count;
use std::cell::{Cell, RefCell, UnsafeCell};

/// Of half a cache line.
struct Slot {
    /// The user data of the operation in flight; while the slot is free that of the next it is for, marked with `FREE`.
    key: u64,
    /// The next free slot while free; otherwise `LINGERING`, or nothing that means anything.
    next: u32,
    /// Where its completions go, while it is not free.
    target: *const dyn Completion,
}

impl Slot {
    fn free(index: u32) -> Self {
        struct Never;
        // SAFETY: there is none that anything leads to.
        unsafe impl Completion for Never {
            fn complete(&self, _: i32, _: u32, _: bool) {}
        }
        Slot { key: FREE | u64::from(index), next: NONE, target: &Never }
    }

    fn is_in_flight(&self) -> bool {
        self.key & FREE == 0
    }
}

/// User data of submissions whose completion means nothing to anyone.
pub(crate) const NOBODY: u64 = 0;

/// User data of the messages by which other threads ring.
pub(crate) const BELL: u64 = 1;

/// The slots before this one are nobody's, in any generation: their user data would be the two above.
const FIRST: u32 = 2;

/// In an index: this is the user data of a cancel of that slot's operation.
const CANCEL: u64 = 1 << 31;

/// In a slot's key: no completion's user data is like this, since no index that leads to a slot has this bit.
const FREE: u64 = CANCEL;

/// What the key of a slot's operation and that of the next differ by.
const GENERATION: u64 = 1 << 32;

const NONE: u32 = u32::MAX;

/// In place of the next slot: of the operation in this one only the last completion is still to come, which nobody waits for.
const LINGERING: u32 = u32::MAX - 1;

/// The operations in flight.
pub(crate) struct Slots {
    slots: UnsafeCell<Vec<Slot>>,
    free: Cell<u32>,
    inserted: Count,
    ended: Count,
    /// Completions after which there are more.
    more: Count,
    strays: Count,
    lingering: Cell<usize>,
    has_rung: Cell<bool>,
    /// Operations that a cancel has not found, although they go on.
    missed: RefCell<Vec<u64>>,
}

impl Slots {
    pub(crate) fn new() -> Self {
        Slots {
            slots: UnsafeCell::new((0..FIRST).map(Slot::free).collect()),
            free: Cell::new(NONE),
            inserted: Count::new(0),
            ended: Count::new(0),
            more: Count::new(0),
            strays: Count::new(0),
            lingering: Cell::new(0),
            has_rung: Cell::new(false),
            missed: RefCell::default(),
        }
    }

    /// Gives `target` a slot; returns the user data that leads back to it.
    ///
    /// # Safety
    /// `target` stays valid at its address until its last completion has been delivered.
    #[inline]
    pub(crate) unsafe fn insert(&self, target: *const dyn Completion) -> u64 {
        if !self.has_free() {
            self.grow();
        }
        // SAFETY: the caller's promise.
        unsafe { self.insert_free(target) }
    }

    /// Whether there is a slot that is free.
    #[inline(always)]
    pub(crate) fn has_free(&self) -> bool {
        self.free.get() != NONE
    }

    /// [`Slots::insert`] where there is one.
    ///
    /// # Safety
    /// As for that; and there is.
    #[inline(always)]
    pub(crate) unsafe fn insert_free(&self, target: *const dyn Completion) -> u64 {
        // SAFETY: the free slots are linked by their indices, and slots never go. No other reference into the vector exists: this
        // type is for one thread, and no method lets one out or calls out while holding one.
        let slot = unsafe { (&mut *self.slots.get()).get_unchecked_mut(self.free.get() as usize) };
        let user_data = slot.key ^ FREE;
        self.free.set(slot.next);
        (slot.key, slot.target) = (user_data, target);
        self.inserted.add(1);
        user_data
    }

    /// Makes a slot, which is free, where no other is.
    #[cold]
    #[inline(never)]
    fn grow(&self) {
        // SAFETY: as in `insert_free`.
        let slots = unsafe { &mut *self.slots.get() };
        let index = u32::try_from(slots.len()).ok().filter(|index| u64::from(*index) < FREE);
        let index = index.expect("as many operations as no memory holds");
        slots.push(Slot::free(index));
        self.free.set(index);
    }

    /// Delivers a completion to whom it belongs. The slot is free again once it was the last.
    #[inline(always)]
    pub(crate) fn deliver(&self, cqe: Cqe) {
        let index = cqe.user_data as u32;
        // SAFETY: as in `insert_free`; the borrow ends before `complete` is called.
        let slots = unsafe { &mut *self.slots.get() };
        let slot = match slots.get_mut(index as usize) {
            Some(slot) if slot.key == cqe.user_data => slot,
            _ => return self.deliver_elsewhere(cqe.user_data, cqe.result),
        };
        let target = slot.target;
        if cqe.has_more() {
            self.more.add(1);
            // SAFETY: `insert`'s caller keeps the target valid until its last completion, which is a later one.
            return unsafe { (*target).complete(cqe.result, cqe.flags, false) };
        }
        slot.key = cqe.user_data.wrapping_add(GENERATION | FREE);
        if slot.next == LINGERING {
            self.lingering.set(self.lingering.get() - 1);
        }
        slot.next = self.free.replace(index);
        self.ended.add(1);
        // SAFETY: as above, of which this is the last.
        unsafe { (*target).complete(cqe.result, cqe.flags, true) };
    }

    /// What a completion means that is no operation's.
    #[cold]
    #[inline(never)]
    fn deliver_elsewhere(&self, user_data: u64, result: i32) {
        match user_data {
            NOBODY => {}
            BELL => self.has_rung.set(true),
            _ if user_data & CANCEL != 0 => self.cancelled(user_data & !CANCEL, result),
            _ => self.strays.add(1),
        }
    }

    /// The user data of a cancel of this operation.
    pub(crate) fn cancel_of(user_data: u64) -> u64 {
        user_data | CANCEL
    }

    /// What the cancel of `target` says. The kernel does not find an operation that it is about to try again (the descriptor was ready a moment
    /// ago), and that then, if it has to wait once more, waits as if nobody had asked: it has to be asked again.
    fn cancelled(&self, target: u64, result: i32) {
        // SAFETY: as in `insert_free`.
        match unsafe { &*self.slots.get() }.get(target as u32 as usize) {
            Some(slot) if slot.key == target => {
                if result == -libc::ENOENT && slot.next != LINGERING {
                    self.missed.borrow_mut().push(target);
                }
            }
            // It has ended.
            Some(slot) if slot.key >> 32 > target >> 32 => {}
            _ => self.strays.add(1),
        }
    }

    /// Notes that of an operation only the last completion is still to come: that it may never come, that no cancel brings it, and
    /// that its target needs nothing of this thread's meanwhile.
    pub(crate) fn linger(&self, user_data: u64) {
        // SAFETY: as in `insert_free`.
        if let Some(slot) = unsafe { &mut *self.slots.get() }.get_mut(user_data as u32 as usize)
            && slot.key == user_data
            && slot.next != LINGERING
        {
            slot.next = LINGERING;
            self.lingering.set(self.lingering.get() + 1);
        }
    }

    /// Operations that linger.
    pub(crate) fn lingering(&self) -> usize {
        self.lingering.get()
    }

    /// Whether operations are to be cancelled again.
    #[inline]
    pub(crate) fn has_missed(&self) -> bool {
        !self.missed.borrow().is_empty()
    }

    /// Operations that are to be cancelled again.
    pub(crate) fn take_missed(&self) -> Vec<u64> {
        self.missed.take()
    }

    /// The user data of every operation that has not ended, and does not linger.
    pub(crate) fn all(&self) -> Vec<u64> {
        // SAFETY: as in `insert_free`.
        let slots = unsafe { &*self.slots.get() };
        slots.iter().filter(|slot| slot.is_in_flight() && slot.next != LINGERING).map(|slot| slot.key).collect()
    }

    /// Operations without a last completion yet.
    pub(crate) fn in_flight(&self) -> usize {
        // On another thread than the owner's an end may be seen before its beginning.
        self.inserted.get().saturating_sub(self.ended.get()) as usize
    }

    /// Operations begun so far.
    pub(crate) fn begun(&self) -> u64 {
        self.inserted.get()
    }

    /// Completions that were delivered.
    pub(crate) fn completions(&self) -> u64 {
        self.ended.get() + self.more.get()
    }

    /// Whether a message has rung since the last time.
    pub(crate) fn take_ring(&self) -> bool {
        self.has_rung.take()
    }

    /// Completions that belonged to nobody.
    pub(crate) fn strays(&self) -> u64 {
        self.strays.get()
    }
}

#[cfg(test)]
#[path = "../../tests/fuzz/completions.rs"]
mod fuzz;

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;

    #[derive(Default)]
    struct Log(RefCell<Vec<(i32, bool)>>);

    // SAFETY: the tests keep their logs until the end.
    unsafe impl Completion for Log {
        fn complete(&self, result: i32, _: u32, last: bool) {
            self.0.borrow_mut().push((result, last));
        }
    }

    #[test]
    fn an_operation_ends_at_its_own_completion_without_more_and_old_generations_are_strays() {
        let (slots, log, other) = (Slots::new(), Log::default(), Log::default());
        // SAFETY: both logs outlive `slots`' last delivery.
        let key = unsafe { slots.insert(&log as &dyn Completion) };
        slots.deliver(Cqe { user_data: key, result: 1, flags: 2 });
        slots.deliver(Cqe { user_data: key, result: 2, flags: 0 });
        assert_eq!(slots.in_flight(), 0);
        slots.deliver(Cqe { user_data: key, result: 3, flags: 0 });
        // SAFETY: as above.
        let reused = unsafe { slots.insert(&other as &dyn Completion) };
        assert_eq!(reused as u32, key as u32, "the same slot in a later generation");
        slots.deliver(Cqe { user_data: key, result: 4, flags: 0 });
        slots.deliver(Cqe { user_data: 0xdead_beef_0000_4444, result: 5, flags: 0 });
        slots.deliver(Cqe { user_data: NOBODY, result: 6, flags: 0 });
        slots.deliver(Cqe { user_data: BELL, result: 0, flags: 0 });
        assert!(slots.take_ring() && !slots.take_ring());
        assert_eq!(*log.0.borrow(), [(1, false), (2, true)]);
        assert!(other.0.borrow().is_empty());
        assert_eq!((slots.strays(), slots.in_flight()), (3, 1));
    }

    #[test]
    fn what_lingers_is_cancelled_no_more_and_counts_until_it_has_ended() {
        let (slots, log, other) = (Slots::new(), Log::default(), Log::default());
        // SAFETY: both logs outlive `slots`' last delivery.
        let [key, second] = [&log, &other].map(|log| unsafe { slots.insert(log as &dyn Completion) });
        let missed =
            |target| slots.deliver(Cqe { user_data: Slots::cancel_of(target), result: -libc::ENOENT, flags: 0 });
        missed(key);
        assert_eq!((slots.take_missed(), slots.all()), (vec![key], vec![key, second]));
        slots.deliver(Cqe { user_data: key, result: 1, flags: 2 });
        (0..2).for_each(|_| slots.linger(key));
        missed(key);
        assert_eq!((slots.take_missed(), slots.all()), (vec![], vec![second]));
        assert_eq!((slots.lingering(), slots.in_flight()), (1, 2));
        slots.deliver(Cqe { user_data: key, result: 0, flags: 8 });
        slots.linger(key);
        assert_eq!((slots.lingering(), slots.in_flight()), (0, 1));
        assert_eq!(*log.0.borrow(), [(1, false), (0, true)]);
        // SAFETY: as above.
        let reused = unsafe { slots.insert(&log as &dyn Completion) };
        missed(reused);
        assert_eq!((slots.take_missed(), slots.lingering(), slots.strays()), (vec![reused], 0, 0));
    }
}
