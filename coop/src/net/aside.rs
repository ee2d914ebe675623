//! What has come before it was asked for: set aside for who waits, or for who comes next.

use crate::coordinator::Coordinator;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;

/// A queue of things, and of those who wait for one: either is empty, but for what is set aside for somebody and not fetched yet.
pub(super) struct Aside<T> {
    pub(super) items: RefCell<VecDeque<T>>,
    /// Items that are set aside for nobody.
    free: Cell<usize>,
    /// Where those queue who wait for one.
    pub(super) waiters: Coordinator,
}

impl<T> Aside<T> {
    pub(super) fn new() -> Self {
        Aside { items: RefCell::default(), free: Cell::new(0), waiters: Coordinator::held() }
    }

    /// So many are set aside for nobody.
    pub(super) fn free(&self) -> usize {
        self.free.get()
    }

    pub(super) fn push(&self, item: T) {
        self.items.borrow_mut().push_back(item);
        self.set_free();
    }

    /// One more is set aside for nobody: it is the first waiter's, if there is one.
    pub(super) fn set_free(&self) {
        if self.waiters.has_waiters() {
            self.waiters.release();
        } else {
            self.free.set(self.free.get() + 1);
        }
    }

    /// Sets one aside for the caller.
    pub(super) fn try_reserve(&self) -> bool {
        let free = self.free.get();
        self.free.set(free.saturating_sub(1));
        free > 0
    }

    /// Takes one that was set aside.
    pub(super) fn take(&self) -> Option<T> {
        self.items.borrow_mut().pop_front()
    }
}
