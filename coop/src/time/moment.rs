//! The operations of a moment in time: a duration from now on, or one that is given.

use super::{Instant, deadline, sleep, sleep_until};
use crate::cooperator::Cooperator;
use crate::coordinator::{Coordinated, Coordinator, Wait};
use crate::error::Killed;
use crate::fiber::{Detail, Reason};
use crate::handle::{Arm, Flight, Operation, Readiness, Sealed};
use crate::timers;
use std::cell::Cell;
use std::marker::PhantomPinned;
use std::panic::Location;
use std::time::Duration;

/// `op::after`.
///
/// Proof of its being an arm: a timer that is stopped has done nothing.
#[doc(hidden)]
pub struct After {
    duration: Duration,
    /// Counted from when the wait begins.
    deadline: Cell<Option<u64>>,
    timer: timers::Sleep,
    entry: Coordinated,
    _pinned: PhantomPinned,
}

impl After {
    pub(crate) fn new(duration: Duration) -> Self {
        After {
            duration,
            deadline: Cell::new(None),
            timer: timers::Sleep::new(),
            entry: Coordinated::new(),
            _pinned: PhantomPinned,
        }
    }

    fn deadline(&self, cooperator: &Cooperator) -> u64 {
        self.deadline.get().unwrap_or_else(|| {
            let deadline = deadline(cooperator, self.duration);
            self.deadline.set(Some(deadline));
            deadline
        })
    }
}

impl Sealed for After {}

// SAFETY: `enlist` starts the timer, which `disengage` stops, and links `entry`, which the wait unlinks.
#[diagnostic::do_not_recommend]
unsafe impl Arm for After {
    type Output = ();
    type Itself = Self;

    fn itself(self) -> Self {
        self
    }

    fn readiness(&self) -> Readiness {
        // Not before the first wait, but for no time at all; later the timer itself tells.
        if self.duration.is_zero() || !self.timer.over().is_held() { Readiness::Maybe } else { Readiness::No }
    }

    fn attempt(&mut self, _: &Cooperator) -> Option<()> {
        Some(())
    }

    unsafe fn enlist(&self, cooperator: &Cooperator, wait: &Wait, index: usize) {
        // SAFETY: the caller keeps the arm in place until it is disengaged.
        unsafe {
            if !self.timer.is_running() {
                self.timer.start(&cooperator.timers, self.deadline(cooperator));
            }
            wait.enlist(self.timer.over(), &self.entry, index);
        }
    }

    fn won(&mut self, _: &Cooperator) -> Option<()> {
        Some(())
    }

    fn disengage(&self, _: &Cooperator) {
        self.timer.stop();
    }

    fn settle(&self, _: &Cooperator, _: &'static Location<'static>) {}
}

impl Operation for After {
    type Output = ();
    type Waited = Result<(), Killed>;
    type Started = ();
    type Joined = Result<(), Killed>;
    type Flight = After;

    #[track_caller]
    fn wait(self) -> Result<(), Killed> {
        sleep(self.duration)
    }

    fn into_flight(self) -> After {
        self
    }

    fn joined(result: Result<(), Killed>) -> Result<(), Killed> {
        result
    }
}

// SAFETY: the timer's address is handed out to the wheel while it runs; it stops when it fires or is aborted.
unsafe impl Flight for After {
    type Output = ();

    unsafe fn launch(&self, cooperator: &Cooperator) {
        // SAFETY: the caller's promise.
        unsafe { self.timer.start(&cooperator.timers, self.deadline(cooperator)) };
    }

    fn news(&self) -> &Coordinator {
        self.timer.over()
    }

    fn is_ready(&self) -> bool {
        self.deadline.get().is_some() && !self.timer.is_running()
    }

    fn land(&mut self, _: &Cooperator) -> Option<()> {
        // Once: after `abort` there is nothing to give, nor a second time.
        (self.is_ready()).then(|| self.deadline.set(None))
    }

    fn abort(&self, _: &Cooperator) {
        if self.timer.is_running() {
            self.timer.stop();
            self.deadline.set(None);
        }
    }

    fn settle(&self, _: &Cooperator, _: &'static Location<'static>) {}

    fn is_over(&self) -> bool {
        !self.timer.is_running()
    }

    fn reason(&self) -> Reason {
        Reason::on("sleep", Detail::Time(self.deadline.get().unwrap_or(0)))
    }
}

/// `op::at`, and the part of `op::tick` that waits.
///
/// Proof of its being an arm: a timer that is stopped has done nothing.
#[doc(hidden)]
pub struct At {
    moment: Instant,
    timer: timers::Sleep,
    entry: Coordinated,
    /// As a flight: its end was taken, or it was aborted.
    is_spent: Cell<bool>,
    _pinned: PhantomPinned,
}

impl At {
    pub(crate) fn new(moment: Instant) -> Self {
        At {
            moment,
            timer: timers::Sleep::new(),
            entry: Coordinated::new(),
            is_spent: Cell::new(false),
            _pinned: PhantomPinned,
        }
    }
}

impl Sealed for At {}

// SAFETY: `enlist` starts the timer, which `disengage` stops, and links `entry`, which the wait unlinks.
#[diagnostic::do_not_recommend]
unsafe impl Arm for At {
    type Output = ();
    type Itself = Self;

    fn itself(self) -> Self {
        self
    }

    fn readiness(&self) -> Readiness {
        if self.moment <= Instant::now() { Readiness::Maybe } else { Readiness::No }
    }

    fn attempt(&mut self, _: &Cooperator) -> Option<()> {
        Some(())
    }

    unsafe fn enlist(&self, cooperator: &Cooperator, wait: &Wait, index: usize) {
        // SAFETY: the caller keeps the arm in place until it is disengaged.
        unsafe {
            if !self.timer.is_running() {
                self.timer.start(&cooperator.timers, self.moment.nanos());
            }
            wait.enlist(self.timer.over(), &self.entry, index);
        }
    }

    fn won(&mut self, _: &Cooperator) -> Option<()> {
        Some(())
    }

    fn disengage(&self, _: &Cooperator) {
        self.timer.stop();
    }

    fn settle(&self, _: &Cooperator, _: &'static Location<'static>) {}
}

impl Operation for At {
    type Output = ();
    type Waited = Result<(), Killed>;
    type Started = ();
    type Joined = Result<(), Killed>;
    type Flight = At;

    #[track_caller]
    fn wait(self) -> Result<(), Killed> {
        sleep_until(self.moment)
    }

    fn into_flight(self) -> At {
        self
    }

    fn joined(result: Result<(), Killed>) -> Result<(), Killed> {
        result
    }
}

// SAFETY: the timer's address is handed out to the wheel while it runs; it stops when it fires or is aborted.
unsafe impl Flight for At {
    type Output = ();

    unsafe fn launch(&self, cooperator: &Cooperator) {
        // SAFETY: the caller's promise.
        unsafe { self.timer.start(&cooperator.timers, self.moment.nanos()) };
    }

    fn news(&self) -> &Coordinator {
        self.timer.over()
    }

    fn is_ready(&self) -> bool {
        !self.is_spent.get() && !self.timer.is_running()
    }

    fn land(&mut self, _: &Cooperator) -> Option<()> {
        self.is_ready().then(|| self.is_spent.set(true))
    }

    fn abort(&self, _: &Cooperator) {
        if self.timer.is_running() {
            self.timer.stop();
            self.is_spent.set(true);
        }
    }

    fn settle(&self, _: &Cooperator, _: &'static Location<'static>) {}

    fn is_over(&self) -> bool {
        !self.timer.is_running()
    }

    fn reason(&self) -> Reason {
        Reason::on("sleep", Detail::Time(self.moment.nanos()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a started one adds to its box is a scope's entry and a waiter's: under 256 bytes in all, as its docs say.
    #[test]
    fn a_moment_is_small() {
        assert_eq!((size_of::<After>(), size_of::<At>()), (144, 128));
    }
}
