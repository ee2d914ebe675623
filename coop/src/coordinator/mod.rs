//! The primitive that all waiting is made of: a lock with a FIFO queue of waiters.
//!
//! ```text
//!   Coordinator { held, queue } ◀──▶ Coordinated ◀──▶ Coordinated        entries live on their waiters' stacks
//!                                        │                │
//!                                        ▼                ▼
//!                                      Wait             Wait ─▶ fiber    one Wait may stand in many queues
//! ```
//!
//! A release with waiters *hands over*: the Coordinator stays held, the first waiter's `Wait` is settled in its favour, its
//! other entries are unlinked, and its fiber becomes ready, all in one step. So a queue never holds an entry of a settled
//! wait, and a waiter that is woken for something else can still find that it has won.
//!
//! Most waits are for one Coordinator for which nobody else waits. Such a waiter, *alone*, stands before the queue, in the
//! Coordinator itself, and has neither entry nor `Wait`.

mod wait;

pub(crate) use wait::{Coordinated, Settled, Wait};

use crate::fiber::Fiber;
use crate::list::RawList;
use crate::scheduler::Scheduler;
use std::cell::Cell;
use std::ptr;

/// A lock with a FIFO queue of waiters: held or free. For the tasks of one thread.
///
/// [`coordinate!`](crate::coordinate) and the methods here wait for it; releasing hands it straight to the first waiter.
/// Every other primitive of coop is made of it. A Coordinator made by [`held`](Coordinator::held) is a signal: who acquires
/// it waits for somebody's [`release`](Coordinator::release).
///
/// ```
/// use coop::Coordinator;
/// coop::run(|| -> Result<(), coop::Killed> {
///     let door = Coordinator::held();
///     coop::wait_all(|s| {
///         s.spawn(|| door.acquire().map(|_inside| println!("in")));
///         door.release();
///     });
///     assert!(!door.is_held(), "the task's guard released it again");
///     Ok(())
/// }).unwrap();
/// ```
pub struct Coordinator {
    is_held: Cell<bool>,
    queue: RawList,
    first: First,
}

/// Who waits first, as far as that is not left to the queue.
struct First {
    /// Who waits alone, before all in the queue; null: nobody does.
    alone: Cell<*const Alone>,
    /// An entry that was queued when nobody else waited: see [`release`](Coordinator::release).
    entry: Cell<*const Coordinated>,
    /// Whose the one is, or the other.
    fiber: Cell<*const Fiber>,
}

// SAFETY: no thread but the Coordinator's uses what it points to: a Coordinator is not `Send`, by its queue. Of two reasons for that the
// compiler would give both, for one mistake.
unsafe impl Send for First {}

impl First {
    const fn nobody() -> Self {
        First { alone: Cell::new(ptr::null()), entry: Cell::new(ptr::null()), fiber: Cell::new(ptr::null()) }
    }
}

/// A fiber's wait for one Coordinator for which nobody else waited. On the waiter's stack.
struct Alone {
    has_won: Cell<bool>,
    /// As in [`Coordinated`].
    wants: u32,
}

impl Coordinator {
    /// A free Coordinator.
    pub const fn new() -> Self {
        Coordinator { is_held: Cell::new(false), queue: RawList::new(), first: First::nobody() }
    }

    /// A Coordinator that is held, by nobody in particular.
    pub const fn held() -> Self {
        Coordinator { is_held: Cell::new(true), queue: RawList::new(), first: First::nobody() }
    }

    /// Whether it is held.
    pub fn is_held(&self) -> bool {
        self.is_held.get()
    }

    /// Whether tasks wait for it.
    #[inline]
    pub fn has_waiters(&self) -> bool {
        // One branch.
        self.first.alone.get().addr() | self.queue.front().addr() != 0
    }

    /// How much the first waiter wants, if there is one.
    #[inline]
    pub(crate) fn first_wants(&self) -> Option<u32> {
        // SAFETY: who waits alone is there until it was let go of.
        if let Some(alone) = unsafe { self.first.alone.get().as_ref() } {
            return Some(alone.wants);
        }
        // SAFETY: what is linked in the queue of a Coordinator is a live `Coordinated`, which starts with its link.
        unsafe { self.queue.front().cast::<Coordinated>().as_ref() }.map(|entry| entry.wants)
    }

    /// Puts an entry at the end of the queue.
    ///
    /// # Safety
    /// It is in no queue, and its wait is that of `fiber`. It and this Coordinator stay where they are until it is unlinked.
    #[inline]
    unsafe fn append(&self, entry: &Coordinated, fiber: *const Fiber) {
        if !self.has_waiters() {
            self.first.entry.set(entry);
            self.first.fiber.set(fiber);
        } else if ptr::eq(self.first.entry.get(), entry) {
            // At this place there was another's.
            self.first.entry.set(ptr::null());
        }
        // SAFETY: the caller's promise; the entry begins with its link.
        unsafe { self.queue.push_back(ptr::from_ref(entry).cast()) };
    }

    /// Takes a free Coordinator. Not a wait point.
    #[inline]
    pub(crate) fn take(&self) -> bool {
        !self.is_held.replace(true)
    }

    /// Hands it to the first waiter, who becomes ready, or sets it free. Not a wait point. Releasing a free one does nothing.
    #[inline]
    pub fn release(&self) {
        // SAFETY: who waits alone is there until it was let go of.
        if let Some(alone) = unsafe { self.first.alone.get().as_ref() } {
            self.first.alone.set(ptr::null());
            alone.has_won.set(true);
            // SAFETY: somebody waits, so the waiting fiber has not ended. It is of this thread, as a Coordinator is.
            unsafe { Scheduler::unpark_here(self.first.fiber.get()) };
            return;
        }
        let first = self.queue.front();
        if first.is_null() {
            self.is_held.set(false);
        } else {
            // The way from here to the fiber's stack pointer is what a hand-over takes: each load on it waits for a store of the
            // moment before. By this branch, which is predicted, it does not lead through the entry.
            // SAFETY: what is linked in the queue of a Coordinator is a live `Coordinated`.
            unsafe {
                let fiber = match ptr::eq(self.first.entry.get().cast(), first) {
                    true => self.first.fiber.get(),
                    false => Coordinated::fiber_of(first),
                };
                Coordinated::hand_over(first, fiber);
            }
        }
    }
}

impl Drop for Coordinator {
    fn drop(&mut self) {
        // Waiters borrow what they wait for, so there can be none.
        debug_assert!(!self.has_waiters());
    }
}

impl std::fmt::Debug for Coordinator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Coordinator")
            .field("is_held", &self.is_held.get())
            .field("has_waiters", &self.has_waiters())
            .finish()
    }
}
