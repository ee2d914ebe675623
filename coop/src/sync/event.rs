//! Something that has happened or not, and may be taken back.

use crate::coordinator::Coordinator;
use crate::error::Killed;
use crate::fiber::Reason;
use crate::handle::{Queued, Source};
use std::cell::Cell;
use std::fmt;

/// Something that has happened or not; tasks wait until it has. It stays set until it is [reset](Event::reset).
///
/// Whoever waits when it is set goes on, also if it is reset before that task has run. For a message to one task there is
/// [`Notify`](super::Notify), for something that happens once and for all, after a number of steps, [`Latch`](super::Latch).
///
/// ```
/// use coop::{op, sync::Event};
/// use std::time::Duration;
/// coop::run(|| -> Result<(), coop::Killed> {
///     let drained = Event::new();
///     coop::wait_all(|s| {
///         s.spawn(|| drained.wait().map(|()| println!("drained")));
///         s.spawn(|| coop::select! {
///             _ = op::wait(&drained) => {}
///             _ = op::after(Duration::from_secs(60)) => println!("still not drained"),
///         });
///         drained.set();
///     });
///     assert!(drained.is_set());
///     drained.reset();
///     Ok(())
/// }).unwrap();
/// ```
pub struct Event {
    is_set: Cell<bool>,
    /// Always held: a queue to wait in.
    queue: Coordinator,
}

impl Event {
    /// Not set.
    pub const fn new() -> Self {
        Event { is_set: Cell::new(false), queue: Coordinator::held() }
    }

    /// Sets it: every task that waits goes on, in the order they came. Not a wait point.
    pub fn set(&self) {
        self.is_set.set(true);
        while self.queue.has_waiters() {
            self.queue.release();
        }
    }

    /// From now on it has not happened. Not a wait point. Says whether it was set.
    pub fn reset(&self) -> bool {
        self.is_set.replace(false)
    }

    /// Whether it is set. Not a wait point.
    pub fn is_set(&self) -> bool {
        self.is_set.get()
    }

    /// Waits until it is set.
    ///
    /// A wait point if it is not; kill-checked.
    ///
    /// # Errors
    /// `Killed`.
    ///
    /// # Panics
    /// On a thread without a Cooperator.
    #[track_caller]
    pub fn wait(&self) -> Result<(), Killed> {
        Queued::wait_for(&Setting::new(self))
    }
}

/// `op::wait` of an [`Event`]. Nothing is set aside: that it was set is all there is to know.
#[doc(hidden)]
pub struct Setting<'a> {
    event: &'a Event,
    /// What it says in a dump.
    verb: &'static str,
}

impl<'a> Setting<'a> {
    pub(crate) fn new(event: &'a Event) -> Self {
        Self::called(event, "wait for an event")
    }

    /// For an event that stands for something else.
    pub(crate) fn called(event: &'a Event, verb: &'static str) -> Self {
        Setting { event, verb }
    }
}

impl Source for Setting<'_> {
    type Output = ();
    type Waited = Result<(), Killed>;

    fn queue(&self) -> &Coordinator {
        &self.event.queue
    }

    fn is_ready(&self) -> bool {
        self.event.is_set.get()
    }

    fn try_reserve(&self) -> bool {
        self.event.is_set.get()
    }

    fn take_reserved(&self) {}

    fn pass_on(&self) {}

    fn reason(&self) -> Reason {
        Reason::new(self.verb)
    }

    fn waited(result: Result<(), Killed>) -> Self::Waited {
        result
    }
}

impl Default for Event {
    fn default() -> Self {
        Event::new()
    }
}

impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Event").field("is_set", &self.is_set.get()).finish_non_exhaustive()
    }
}
