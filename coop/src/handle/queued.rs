//! Operations that take something handed over by other tasks: a lock, a message, a permit.

use super::arm::{Arm, Operation, Readiness, Sealed};
use super::flight::Flight;
use crate::cooperator::Cooperator;
use crate::coordinator::{Coordinated, Coordinator, Wait};
use crate::error::Killed;
use crate::fiber::Reason;
use crate::task;
use std::cell::Cell;
use std::marker::PhantomPinned;
use std::panic::Location;

/// Something that tasks queue for.
///
/// Proof obligation for its being an arm: a waiter that is enlisted and withdrawn before it was handed anything has changed
/// nothing but its own place in the queue, and a hand-over settles the whole wait in the same step.
pub trait Source {
    type Output;
    /// What a blocking call gives.
    type Waited;

    /// Where to queue. Whoever releases it has set aside what `take_handed` takes.
    fn queue(&self) -> &Coordinator;
    /// Whether `try_reserve` would succeed.
    fn is_ready(&self) -> bool;
    /// Sets one aside for the caller, without queueing, if that is fair.
    fn try_reserve(&self) -> bool;
    /// Takes one without queueing, if that is fair: what `try_reserve` and `take_reserved` do, but in one step where that is cheaper.
    #[inline]
    fn try_take(&self) -> Option<Self::Output> {
        self.try_reserve().then(|| self.take_reserved())
    }
    /// Takes what was set aside: by `try_reserve`, or for a waiter that has been handed the queue's Coordinator.
    fn take_reserved(&self) -> Self::Output;
    /// Gives what was set aside to the next waiter, or back.
    fn pass_on(&self);
    /// How much this one wants: whoever serves the queue reads it off the first entry.
    fn wants(&self) -> u32 {
        0
    }
    /// Called once for each waiter that `try_reserve` has refused and that has then left the queue unserved: where waiters want
    /// different things, it may have stood in the way of others.
    fn withdrawn(&self) {}
    fn reason(&self) -> Reason;
    fn waited(result: Result<Self::Output, Killed>) -> Self::Waited;
}

/// The operation of a [`Source`].
#[doc(hidden)]
pub struct Queued<S> {
    source: S,
    entry: Coordinated,
    /// As an arm: in the queue, or withdrawn from it without word to the source.
    is_enlisted: Cell<bool>,
}

impl<S: Source> Queued<S> {
    pub(crate) fn new(source: S) -> Self {
        Queued { entry: Coordinated::wanting(source.wants()), source, is_enlisted: Cell::new(false) }
    }

    /// The blocking call.
    #[inline(always)]
    #[track_caller]
    pub(crate) fn wait_for(source: &S) -> S::Waited {
        S::waited(Self::wait_inner(source))
    }

    #[inline(always)]
    #[track_caller]
    fn wait_inner(source: &S) -> Result<S::Output, Killed> {
        let cooperator = task::begin()?;
        if let Some(output) = source.try_take() {
            cooperator.scheduler.spend_little();
            return Ok(output);
        }
        match task::queue(cooperator, source.queue(), source.wants(), source.reason(), Location::caller()) {
            Ok(()) => Ok(source.take_reserved()),
            Err(killed) => {
                source.withdrawn();
                Err(killed)
            }
        }
    }

    /// The wait in which the arm was enlisted is over; it was not for this arm.
    fn leave(&self) {
        if self.is_enlisted.take() {
            self.source.withdrawn();
        }
    }
}

impl<S> Sealed for Queued<S> {}

impl<S: Source> Operation for Queued<S> {
    type Output = S::Output;
    type Waited = S::Waited;
    type Started = S::Output;
    type Joined = S::Waited;
    type Flight = InQueue<S>;

    #[track_caller]
    fn wait(self) -> S::Waited {
        Self::wait_for(&self.source)
    }

    fn into_flight(self) -> InQueue<S> {
        InQueue {
            entry: Coordinated::wanting(self.source.wants()),
            source: self.source,
            wait: Cell::new(None),
            news: Coordinator::held(),
            place: Cell::new(Place::Idle),
            _pinned: PhantomPinned,
        }
    }

    fn joined(result: Result<S::Output, Killed>) -> S::Waited {
        S::waited(result)
    }
}

// SAFETY: `enlist` links only `entry`, which `disengage` or the wait's own settling unlinks; `Source` states why a waiter that
// is withdrawn has had no effect.
#[diagnostic::do_not_recommend]
unsafe impl<S: Source> Arm for Queued<S> {
    type Output = S::Output;
    type Itself = Self;

    const IS_LITTLE: bool = true;

    fn itself(self) -> Self {
        self
    }

    fn readiness(&self) -> Readiness {
        if self.source.is_ready() { Readiness::Maybe } else { Readiness::No }
    }

    fn attempt(&mut self, _: &Cooperator) -> Option<S::Output> {
        self.source.try_take()
    }

    unsafe fn enlist(&self, _: &Cooperator, wait: &Wait, index: usize) {
        // From an earlier round.
        self.leave();
        self.is_enlisted.set(true);
        // SAFETY: the caller's promise.
        unsafe { wait.enlist(self.source.queue(), &self.entry, index) };
    }

    fn won(&mut self, _: &Cooperator) -> Option<S::Output> {
        self.is_enlisted.set(false);
        Some(self.source.take_reserved())
    }

    fn disengage(&self, _: &Cooperator) {
        self.leave();
    }

    fn settle(&self, _: &Cooperator, _: &'static Location<'static>) {}
}

/// Where a flight stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Idle,
    /// In the queue, until the wait is settled.
    Queued,
    /// One was free at once, and is set aside.
    Reserved,
    /// Taken, or passed on.
    Over,
}

/// A place in a queue that is kept while its owner does other things.
#[doc(hidden)]
pub struct InQueue<S: Source> {
    source: S,
    entry: Coordinated,
    /// Made at launch: it holds the address of `news`.
    wait: Cell<Option<Wait>>,
    news: Coordinator,
    place: Cell<Place>,
    _pinned: PhantomPinned,
}

impl<S: Source> InQueue<S> {
    fn wait(&self) -> Option<&Wait> {
        // SAFETY: the cell is written once, by `launch`, before any reference to its content is made.
        unsafe { (*self.wait.as_ptr()).as_ref() }
    }

    /// Whether one is set aside for this flight.
    fn has_one(&self) -> bool {
        match self.place.get() {
            Place::Reserved => true,
            Place::Queued => self.wait().is_some_and(Wait::is_settled),
            Place::Idle | Place::Over => false,
        }
    }
}

// SAFETY: only `entry` is handed out, to the queue; it is unlinked when the wait is settled or withdrawn, after which `place` is
// not `Queued` or the wait is settled. What was set aside and not taken is passed on.
unsafe impl<S: Source> Flight for InQueue<S> {
    type Output = S::Output;

    unsafe fn launch(&self, _: &Cooperator) {
        if self.source.try_reserve() {
            self.place.set(Place::Reserved);
            self.news.release();
            return;
        }
        self.place.set(Place::Queued);
        // SAFETY: `news` stays in place with the flight (the caller's promise).
        self.wait.set(Some(unsafe { Wait::relaying(&self.news) }));
        if let Some(wait) = self.wait() {
            // SAFETY: all parts stay in place with the flight.
            unsafe { wait.enlist(self.source.queue(), &self.entry, 0) };
        }
    }

    fn news(&self) -> &Coordinator {
        &self.news
    }

    fn is_ready(&self) -> bool {
        self.has_one()
    }

    fn land(&mut self, _: &Cooperator) -> Option<S::Output> {
        self.has_one().then(|| {
            self.place.set(Place::Over);
            self.source.take_reserved()
        })
    }

    fn abort(&self, _: &Cooperator) {
        let has_one = self.has_one();
        if let Some(wait) = self.wait() {
            wait.withdraw();
        }
        let place = self.place.replace(Place::Over);
        if has_one {
            self.source.pass_on();
        } else if place == Place::Queued {
            self.source.withdrawn();
        }
    }

    fn settle(&self, _: &Cooperator, _: &'static Location<'static>) {}

    fn is_over(&self) -> bool {
        self.place.get() != Place::Queued || self.has_one()
    }

    fn reason(&self) -> Reason {
        self.source.reason()
    }
}
