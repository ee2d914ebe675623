//! Moments at equal distances.

use super::moment::At;
use super::{Instant, nanos, sleep_to};
use crate::cooperator::Cooperator;
use crate::coordinator::{Coordinator, Wait};
use crate::error::Killed;
use crate::fiber::Reason;
use crate::handle::{Arm, Flight, Operation, Readiness, Sealed};
use crate::task;
use std::panic::Location;
use std::time::Duration;

/// When the next tick comes after one that was taken late.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MissedTick {
    /// At once, for each that is due, until all are made up for: as many ticks as periods.
    #[default]
    Burst,
    /// A full period after the late one was taken, and from there on: never closer together than a period. Late means by more
    /// than a tenth of the period; less is the latency of any wake-up, which is not to add up.
    Delay,
    /// At the next of the moments that were planned which is still to come; those in between are left out.
    Skip,
}

/// Ticks at equal distances: made by [`interval`].
///
/// Only [`tick`](Interval::tick), or an [`op::tick`](crate::op::tick) that wins, takes one.
///
/// ```
/// use coop::time::{self, MissedTick};
/// use std::time::Duration;
/// coop::run(|| -> Result<(), coop::Killed> {
///     let period = Duration::from_millis(2);
///     let mut ticks = time::interval(period).missed_tick(MissedTick::Skip);
///     let first = ticks.tick()?;                       // at once
///     let second = ticks.tick()?;
///     assert_eq!(second - first, period);
///     Ok(())
/// }).unwrap();
/// ```
#[derive(Debug)]
pub struct Interval {
    next: Instant,
    period: Duration,
    missed_tick: MissedTick,
}

/// Ticks now, and then every `period`. With a period of zero a tick is always due.
pub fn interval(period: Duration) -> Interval {
    interval_at(Instant::now(), period)
}

/// Ticks at `first`, and then every `period`.
pub fn interval_at(first: Instant, period: Duration) -> Interval {
    Interval { next: first, period, missed_tick: MissedTick::default() }
}

impl Interval {
    /// Waits for the next tick, and gives the moment it was planned for.
    ///
    /// A wait point if it is not due; kill-checked: a killed wait takes none.
    ///
    /// # Errors
    /// `Killed`.
    ///
    /// # Panics
    /// On a thread without a Cooperator.
    #[track_caller]
    pub fn tick(&mut self) -> Result<Instant, Killed> {
        let cooperator = task::begin()?;
        if self.next > Instant::now() {
            sleep_to(cooperator, self.next.nanos())?;
        } else {
            cooperator.scheduler.spend_little();
        }
        Ok(self.take())
    }

    /// What to do after a tick that was taken late; [`MissedTick::Burst`], unless said otherwise.
    #[must_use]
    pub fn missed_tick(mut self, missed_tick: MissedTick) -> Self {
        self.missed_tick = missed_tick;
        self
    }

    /// The time between two ticks.
    pub fn period(&self) -> Duration {
        self.period
    }

    /// The moment for which the next tick is planned.
    pub fn next_tick(&self) -> Instant {
        self.next
    }

    /// From now on: the next tick comes after a full period.
    pub fn reset(&mut self) {
        self.next = Instant::now() + self.period;
    }

    /// Takes the tick that is due.
    fn take(&mut self) -> Instant {
        let (planned, now) = (self.next, Instant::now());
        let late = now - planned;
        self.next = match self.missed_tick {
            MissedTick::Delay if late > self.period / 10 => now + self.period,
            MissedTick::Skip if late >= self.period => {
                let beyond = nanos(late).checked_rem(nanos(self.period)).unwrap_or(0);
                now + self.period - Duration::from_nanos(beyond)
            }
            _ => planned + self.period,
        };
        planned
    }
}

/// `op::tick`.
///
/// Proof of its being an arm: the interval is changed when the tick is taken, which only the winner does. The timer is as `At`'s.
#[doc(hidden)]
pub struct Tick<'a> {
    interval: &'a mut Interval,
    at: At,
}

impl<'a> Tick<'a> {
    pub(crate) fn new(interval: &'a mut Interval) -> Self {
        Tick { at: At::new(interval.next), interval }
    }
}

impl Sealed for Tick<'_> {}

// SAFETY: everything but the taking is the `At`'s, which is pinned by whoever pins the tick.
#[diagnostic::do_not_recommend]
unsafe impl Arm for Tick<'_> {
    type Output = Instant;
    type Itself = Self;

    fn itself(self) -> Self {
        self
    }

    fn readiness(&self) -> Readiness {
        self.at.readiness()
    }

    fn attempt(&mut self, cooperator: &Cooperator) -> Option<Instant> {
        self.at.attempt(cooperator).map(|()| self.interval.take())
    }

    unsafe fn enlist(&self, cooperator: &Cooperator, wait: &Wait, index: usize) {
        // SAFETY: the caller's promise.
        unsafe { self.at.enlist(cooperator, wait, index) };
    }

    fn won(&mut self, cooperator: &Cooperator) -> Option<Instant> {
        self.at.won(cooperator).map(|()| self.interval.take())
    }

    fn disengage(&self, cooperator: &Cooperator) {
        self.at.disengage(cooperator);
    }

    fn settle(&self, cooperator: &Cooperator, place: &'static Location<'static>) {
        Arm::settle(&self.at, cooperator, place);
    }
}

impl Operation for Tick<'_> {
    type Output = Instant;
    type Waited = Result<Instant, Killed>;
    type Started = Instant;
    type Joined = Result<Instant, Killed>;
    type Flight = Self;

    #[track_caller]
    fn wait(self) -> Result<Instant, Killed> {
        self.interval.tick()
    }

    fn into_flight(self) -> Self {
        self
    }

    fn joined(result: Result<Instant, Killed>) -> Result<Instant, Killed> {
        result
    }
}

// SAFETY: as `At`; the tick is taken when it lands.
unsafe impl Flight for Tick<'_> {
    type Output = Instant;

    unsafe fn launch(&self, cooperator: &Cooperator) {
        // SAFETY: the caller's promise.
        unsafe { self.at.launch(cooperator) };
    }

    fn news(&self) -> &Coordinator {
        self.at.news()
    }

    fn is_ready(&self) -> bool {
        self.at.is_ready()
    }

    fn land(&mut self, cooperator: &Cooperator) -> Option<Instant> {
        self.at.land(cooperator).map(|()| self.interval.take())
    }

    fn abort(&self, cooperator: &Cooperator) {
        self.at.abort(cooperator);
    }

    fn settle(&self, cooperator: &Cooperator, place: &'static Location<'static>) {
        Flight::settle(&self.at, cooperator, place);
    }

    fn is_over(&self) -> bool {
        self.at.is_over()
    }

    fn reason(&self) -> Reason {
        self.at.reason()
    }
}
