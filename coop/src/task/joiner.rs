//! Who waits for a task's end.

use crate::coordinator::Coordinator;
use crate::fiber::Fiber;
use crate::scheduler::Scheduler;
use std::cell::Cell;
use std::ptr;

/// The one who waits for a task's end, if anybody does: a fiber that joins it, or an arm of a `select!`. It borrows the task's handle
/// mutably, so there is never a second.
///
/// A pointer to a fiber, or to the Coordinator that the arm waits for, which then has its lowest bit set.
pub(crate) struct Joiner(Cell<*const ()>);

const IS_ARM: usize = 1;
const _: () = assert!(align_of::<Fiber>() > IS_ARM && align_of::<Coordinator>() > IS_ARM);

impl Joiner {
    /// Nobody.
    pub(crate) const fn nobody() -> Self {
        Joiner(Cell::new(ptr::null()))
    }

    /// The fiber waits from here on, or nobody if it is null.
    ///
    /// # Safety
    /// It stays where it is until the task has ended, or this was set again.
    #[inline]
    pub(crate) unsafe fn set_fiber(&self, fiber: *const Fiber) {
        self.0.set(fiber.cast());
    }

    /// Whoever waits for the Coordinator, which is held, does from here on.
    ///
    /// # Safety
    /// As [`Joiner::set_fiber`].
    pub(crate) unsafe fn set_arm(&self, ended: *const Coordinator) {
        self.0.set(ended.cast::<()>().map_addr(|address| address | IS_ARM));
    }

    /// Nobody waits any more.
    pub(crate) fn clear(&self) {
        self.0.set(ptr::null());
    }

    /// The task has ended: makes whoever waits for that runnable.
    #[inline]
    pub(crate) fn wake(&self, scheduler: &Scheduler) {
        let joiner = self.0.get();
        if joiner.is_null() {
            return;
        }
        if joiner.addr() & IS_ARM == 0 {
            // SAFETY: what waits is where it was: the contract of `set_fiber`.
            unsafe { scheduler.unpark(&*joiner.cast::<Fiber>()) };
        } else {
            self.wake_arm();
        }
    }

    #[cold]
    fn wake_arm(&self) {
        let ended = self.0.get().map_addr(|address| address & !IS_ARM).cast::<Coordinator>();
        // SAFETY: as in `wake`, of `set_arm`.
        unsafe { (*ended).release() };
    }
}
