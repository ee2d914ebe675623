//! A count that goes down to zero, once.

use crate::coordinator::Coordinator;
use crate::error::Killed;
use crate::fiber::Reason;
use crate::handle::{Queued, Source};
use std::cell::Cell;
use std::fmt;

/// A count that goes down to zero, once; tasks wait until it has.
///
/// ```
/// use coop::sync::Latch;
/// coop::run(|| -> Result<(), coop::Killed> {
///     let started = Latch::new(3);
///     coop::wait_all(|s| {
///         for _ in 0..3 {
///             s.spawn(|| started.count_down());
///         }
///         started.wait()
///     })?;
///     assert!(started.is_open());
///     Ok(())
/// }).unwrap();
/// ```
pub struct Latch {
    count: Cell<usize>,
    /// Always held: a queue to wait in.
    queue: Coordinator,
}

impl Latch {
    /// Opens after `count` steps; at once, if that is zero.
    pub const fn new(count: usize) -> Self {
        Latch { count: Cell::new(count), queue: Coordinator::held() }
    }

    /// One step less. The last lets every task that waits go on, in the order they came; steps after that do nothing. Not a wait
    /// point.
    pub fn count_down(&self) {
        let count = self.count.get().saturating_sub(1);
        self.count.set(count);
        while count == 0 && self.queue.has_waiters() {
            self.queue.release();
        }
    }

    /// How many steps are left. Not a wait point.
    pub fn count(&self) -> usize {
        self.count.get()
    }

    /// Whether no step is left. Not a wait point.
    pub fn is_open(&self) -> bool {
        self.count.get() == 0
    }

    /// Waits until no step is left.
    ///
    /// A wait point if one is; kill-checked: a killed wait takes no step back.
    ///
    /// # Errors
    /// `Killed`.
    ///
    /// # Panics
    /// On a thread without a Cooperator.
    #[track_caller]
    pub fn wait(&self) -> Result<(), Killed> {
        Queued::wait_for(&Opening { latch: self })
    }
}

/// `op::wait` of a [`Latch`]. Nothing is set aside: an open latch stays open.
#[doc(hidden)]
pub struct Opening<'a> {
    latch: &'a Latch,
}

impl<'a> Opening<'a> {
    pub(crate) fn new(latch: &'a Latch) -> Self {
        Opening { latch }
    }
}

impl Source for Opening<'_> {
    type Output = ();
    type Waited = Result<(), Killed>;

    fn queue(&self) -> &Coordinator {
        &self.latch.queue
    }

    fn is_ready(&self) -> bool {
        self.latch.is_open()
    }

    fn try_reserve(&self) -> bool {
        self.latch.is_open()
    }

    fn take_reserved(&self) {}

    fn pass_on(&self) {}

    fn reason(&self) -> Reason {
        Reason::new("wait for a latch")
    }

    fn waited(result: Result<(), Killed>) -> Self::Waited {
        result
    }
}

impl fmt::Debug for Latch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Latch").field("count", &self.count.get()).finish_non_exhaustive()
    }
}
