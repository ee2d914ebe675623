//! A moment of the Cooperator's clock.

use super::nanos;
use crate::clock::Clock;
use crate::cooperator::Cooperator;
use std::fmt;
use std::ops::{Add, AddAssign, Sub, SubAssign};
use std::time::Duration;

/// A moment of the Cooperator's clock, in nanoseconds: what `std::time::Instant` is for the thread, and in a
/// [`#[coop::test]`](macro@crate::test) a moment of its virtual time. Moments of one test mean nothing in another.
///
/// Sums and differences that would overflow stop at the end of the scale: a moment that never comes, or a duration of zero.
///
/// ```
/// use coop::time::Instant;
/// use std::time::Duration;
/// coop::run(|| {
///     let start = Instant::now();
///     coop::sleep(Duration::from_millis(2)).unwrap();
///     assert!(start.elapsed() >= Duration::from_millis(2));
///     assert_eq!((start + Duration::from_secs(1)) - start, Duration::from_secs(1));
/// });
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Instant(u64);

impl Instant {
    /// The present moment: of the Cooperator's clock, or of the monotonic clock on a thread without one, which is the same unless
    /// time is virtual. Not a wait point; while time is virtual it stands still until every task waits.
    pub fn now() -> Self {
        Instant(Cooperator::current().map_or_else(|| Clock::Monotonic.now(), |cooperator| cooperator.clock.now()))
    }

    pub(crate) fn nanos(self) -> u64 {
        self.0
    }

    /// How long ago it was; zero for a moment to come.
    pub fn elapsed(&self) -> Duration {
        Instant::now().duration_since(*self)
    }

    /// How long after `earlier` it is; zero if it is before.
    pub fn duration_since(&self, earlier: Instant) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// How long after `earlier` it is, if it is not before.
    pub fn checked_duration_since(&self, earlier: Instant) -> Option<Duration> {
        self.0.checked_sub(earlier.0).map(Duration::from_nanos)
    }

    /// The moment `duration` later, if there is one.
    pub fn checked_add(&self, duration: Duration) -> Option<Instant> {
        self.0.checked_add(u64::try_from(duration.as_nanos()).ok()?).map(Instant)
    }

    /// The moment `duration` earlier, if there is one.
    pub fn checked_sub(&self, duration: Duration) -> Option<Instant> {
        self.0.checked_sub(u64::try_from(duration.as_nanos()).ok()?).map(Instant)
    }
}

impl Add<Duration> for Instant {
    type Output = Instant;

    fn add(self, duration: Duration) -> Instant {
        Instant(self.0.saturating_add(nanos(duration)))
    }
}

impl Sub<Duration> for Instant {
    type Output = Instant;

    fn sub(self, duration: Duration) -> Instant {
        Instant(self.0.saturating_sub(nanos(duration)))
    }
}

impl Sub for Instant {
    type Output = Duration;

    fn sub(self, earlier: Instant) -> Duration {
        self.duration_since(earlier)
    }
}

impl AddAssign<Duration> for Instant {
    fn add_assign(&mut self, duration: Duration) {
        *self = *self + duration;
    }
}

impl SubAssign<Duration> for Instant {
    fn sub_assign(&mut self, duration: Duration) {
        *self = *self - duration;
    }
}

impl fmt::Debug for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Instant({:?})", Duration::from_nanos(self.0))
    }
}
