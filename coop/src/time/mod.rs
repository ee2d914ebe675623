//! Moments of the Cooperator's clock: sleeping, intervals, [`Instant`].
//!
//! What waits here goes by the Cooperator's clock, which in a [`#[coop::test]`](macro@crate::test) is virtual: [`Instant`] is a
//! moment of that clock, and `std::time::Instant` is not.

mod instant;
mod interval;
mod moment;

pub use instant::Instant;
pub use interval::{Interval, MissedTick, interval, interval_at};

pub(crate) use interval::Tick;
pub(crate) use moment::{After, At};

use crate::cooperator::Cooperator;
use crate::error::Killed;
use crate::fiber::{Detail, Reason};
use crate::task::{self, Task};
use crate::timers::Alarm;
use std::panic::Location;
use std::time::Duration;

/// A started [`op::after`](crate::op::after).
pub type Handle<'scope> = crate::handle::Handle<'scope, After>;

/// Waits for `duration`. It ends no earlier, and later by no more than it takes to wake: the kernel, and the Cooperator among its
/// own timers, make one wake-up of those that lie within the thread's timer slack, 50 µs unless `prctl` has said otherwise. The
/// order of deadlines is kept to the nanosecond.
///
/// A wait point; kill-checked. A duration of zero still gives way.
///
/// ```
/// use std::time::{Duration, Instant};
/// coop::run(|| -> Result<(), coop::Killed> {
///     let start = Instant::now();
///     coop::sleep(Duration::from_millis(5))?;
///     assert!(start.elapsed() >= Duration::from_millis(5));
///     Ok(())
/// }).unwrap();
/// ```
///
/// # Errors
/// `Killed`.
///
/// # Panics
/// On a thread without a Cooperator.
#[track_caller]
pub fn sleep(duration: Duration) -> Result<(), Killed> {
    let cooperator = task::begin()?;
    if duration.is_zero() {
        cooperator.scheduler.give_way();
        return Ok(());
    }
    sleep_to(cooperator, deadline(cooperator, duration))
}

/// Waits until `moment`.
///
/// A wait point; kill-checked. For a moment that has passed it still gives way.
///
/// ```
/// use coop::time::{self, Instant};
/// use std::time::Duration;
/// coop::run(|| -> Result<(), coop::Killed> {
///     let start = Instant::now();
///     for round in 1..=3 {
///         time::sleep_until(start + round * Duration::from_millis(2))?;      // does not drift
///     }
///     assert!(start.elapsed() >= Duration::from_millis(6));
///     Ok(())
/// }).unwrap();
/// ```
///
/// # Errors
/// `Killed`.
///
/// # Panics
/// On a thread without a Cooperator.
#[track_caller]
pub fn sleep_until(moment: Instant) -> Result<(), Killed> {
    let cooperator = task::begin()?;
    if moment.nanos() <= cooperator.clock.now() {
        cooperator.scheduler.give_way();
        return Ok(());
    }
    sleep_to(cooperator, moment.nanos())
}

#[track_caller]
fn sleep_to(cooperator: &Cooperator, deadline: u64) -> Result<(), Killed> {
    let scheduler = &cooperator.scheduler;
    let fiber = &Task::running(cooperator).fiber;
    let alarm = Alarm::new(fiber);
    // SAFETY: it stays on this frame, which is the fiber's own, and stops when dropped.
    unsafe { alarm.start(&cooperator.timers, deadline) };
    fiber.wait_for(Reason::on("sleep", Detail::Time(deadline)), Location::caller(), scheduler.pass_time.get());
    loop {
        scheduler.park(true);
        if alarm.has_rung() {
            return Ok(());
        }
        if fiber.is_killed() {
            return Err(task::delivered(cooperator));
        }
    }
}

fn deadline(cooperator: &Cooperator, duration: Duration) -> u64 {
    cooperator.clock.now().saturating_add(nanos(duration))
}

/// In nanoseconds; more than five centuries are as good as for ever.
fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
