//! Who waits for a task's end.

use crate::coordinator::Coordinator;
use crate::fiber::Fiber;
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

    /// The fiber waits from here on.
    #[inline]
    pub(crate) fn set_fiber(&self, fiber: *const Fiber) {
        self.0.set(fiber.cast());
    }

    /// Whoever waits for the Coordinator, which is held, does from here on.
    ///
    /// # Safety
    /// It stays where it is until the task has ended, or this was set again.
    pub(crate) unsafe fn set_arm(&self, ended: *const Coordinator) {
        self.0.set(ended.cast::<()>().map_addr(|address| address | IS_ARM));
    }

    /// Nobody waits any more.
    pub(crate) fn clear(&self) {
        self.0.set(ptr::null());
    }

    /// The task has ended: the fiber that waits for that, or null. An arm is made runnable here.
    #[inline(always)]
    pub(crate) fn wake(&self) -> *const Fiber {
        let joiner = self.0.get();
        if joiner.addr() & IS_ARM == 0 {
            return joiner.cast();
        }
        Self::wake_arm(joiner);
        ptr::null()
    }

    #[cold]
    #[inline(never)]
    fn wake_arm(joiner: *const ()) {
        let ended = joiner.map_addr(|address| address & !IS_ARM).cast::<Coordinator>();
        // SAFETY: what waits is where it was: the contract of `set_arm`.
        unsafe { (*ended).release() };
    }
}
