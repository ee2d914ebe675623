//! The clock seam: where "now" comes from.

use crate::sys;
use std::cell::Cell;
use std::rc::Rc;

/// Nanoseconds since an arbitrary start, real or virtual.
pub(crate) enum Clock {
    /// CLOCK_MONOTONIC.
    Monotonic,
    /// Stands still until [`Clock::advance_to`]; for tests, in which sleeping costs nothing.
    Virtual(Rc<Cell<u64>>),
}

impl Clock {
    /// A virtual clock starts at one second, so that a zero is never a time.
    pub(crate) fn new_virtual() -> Self {
        Clock::Virtual(Rc::new(Cell::new(1_000_000_000)))
    }

    #[inline]
    pub(crate) fn now(&self) -> u64 {
        match self {
            Clock::Monotonic => sys::monotonic(),
            Clock::Virtual(now) => now.get(),
        }
    }

    pub(crate) fn is_virtual(&self) -> bool {
        matches!(self, Clock::Virtual(_))
    }

    /// Moves a virtual clock forward; a real one moves by itself.
    pub(crate) fn advance_to(&self, time: u64) {
        if let Clock::Virtual(now) = self {
            now.set(now.get().max(time));
        }
    }
}
