//! An operation that stands: it has many completions, may end at each of them, and is then begun again if more is wanted.

use crate::cooperator::Cooperator;
use crate::coordinator::Coordinator;
use crate::handle::drain;
use crate::ring::{Completion, Sqe};
use std::cell::Cell;
use std::panic::Location;

/// How such an operation stands. A part of what its completions are delivered to.
pub(super) struct Standing {
    is_flying: Cell<bool>,
    is_cancelled: Cell<bool>,
    user_data: Cell<u64>,
    /// Held until it is over.
    over: Coordinator,
}

impl Standing {
    pub(super) fn new() -> Self {
        Standing {
            is_flying: Cell::new(false),
            is_cancelled: Cell::new(false),
            user_data: Cell::new(0),
            over: Coordinator::held(),
        }
    }

    pub(super) fn is_flying(&self) -> bool {
        self.is_flying.get()
    }

    /// Begins it. It does not fly.
    ///
    /// # Safety
    /// `whole`, of which this is a part, and all memory that `sqe` names stay in place until it does not fly any more.
    pub(super) unsafe fn begin(&self, cooperator: &Cooperator, sqe: Sqe, whole: &dyn Completion) {
        debug_assert!(!self.is_flying.get());
        self.over.take();
        self.is_flying.set(true);
        self.is_cancelled.set(false);
        // SAFETY: the caller's promise.
        self.user_data.set(unsafe { cooperator.submit(sqe, whole) });
    }

    /// To be called first for each completion.
    pub(super) fn note(&self, last: bool) {
        self.is_flying.set(!last);
    }

    /// To be called when the last one was dealt with.
    pub(super) fn end(&self) {
        self.over.release();
    }

    /// Asks for its end, once.
    pub(super) fn cancel(&self) {
        if self.is_flying.get()
            && !self.is_cancelled.replace(true)
            && let Some(cooperator) = Cooperator::current()
        {
            cooperator.cancel(self.user_data.get());
        }
    }

    /// Ends it, and waits for its end, out of reach of kills.
    pub(super) fn settle(&self, place: &'static Location<'static>) {
        // Without one: it drained everything before it went. Or this is a forked child: then the operation is the parent's.
        if let Some(cooperator) = Cooperator::current() {
            self.cancel();
            drain(cooperator, || self.is_flying.get(), &self.over, place);
        }
    }
}
