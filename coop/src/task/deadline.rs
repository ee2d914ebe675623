//! Regions that have a time limit.

use super::Task;
use super::tree::{Kind, Node};
use crate::cooperator::Cooperator;
use crate::error::{Cause, TimedOut};
use crate::timers::Timer;
use std::marker::PhantomPinned;
use std::time::Duration;

/// A node with a timer that kills it.
#[repr(C)]
struct Region {
    /// First: the timer's callback finds the region by it.
    timer: Timer,
    node: Node,
    _pinned: PhantomPinned,
}

/// Whether the time of a [`deadline`] was up, and something inside was told so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct Expired(bool);

impl Expired {
    /// True if a wait inside was refused, or ended, because of the deadline.
    pub fn is_expired(self) -> bool {
        self.0
    }
}

impl From<Expired> for bool {
    fn from(expired: Expired) -> bool {
        expired.0
    }
}

impl PartialEq<bool> for Expired {
    fn eq(&self, other: &bool) -> bool {
        self.0 == *other
    }
}

/// Runs `f`; after `duration` every wait inside, whoever wrote the code, returns `Err(Killed)` with cause `Deadline`.
///
/// `Ok` stays `Ok`, even late. `Err` becomes [`TimedOut`] only if a wait inside was told of *this* deadline and no kill from
/// outside is in effect; otherwise it passes unchanged. Nested deadlines: the nearest takes effect, the outermost that
/// has expired decides. A duration of zero refuses the first wait.
///
/// It binds what `f` does and the scopes in it; tasks that `f` spawns with `coop::spawn` belong to the task and are not bound.
/// Not a wait point by itself.
///
/// ```
/// use std::{io, time::Duration};
/// coop::run(|| {
///     let slow = coop::timeout(Duration::from_millis(5), || -> io::Result<()> {
///         coop::sleep(Duration::from_secs(3600))?;
///         Ok(())
///     });
///     assert_eq!(slow.unwrap_err().kind(), io::ErrorKind::TimedOut);
/// });
/// ```
///
/// # Errors
/// Those of `f`, and `TimedOut`.
///
/// # Panics
/// On a thread without a Cooperator.
#[track_caller]
pub fn timeout<T, E, F>(duration: Duration, f: F) -> Result<T, E>
where
    F: FnOnce() -> Result<T, E>,
    E: From<TimedOut>,
{
    match limited(duration, f) {
        (Err(_), Expiry { was_delivered: true, is_killed_from_outside: false }) => Err(TimedOut.into()),
        (result, _) => result,
    }
}

/// Runs `f` as [`timeout`] does, for results that are not a `Result` or should not be changed: says beside the result whether
/// the deadline was met inside.
///
/// ```
/// use std::time::Duration;
/// # let run = |f: fn()| coop::Builder::new().virtual_time().run(f).unwrap();
/// # run(|| {
/// // In a task:
/// let (rounds, expired) = coop::deadline(Duration::from_millis(5), || {
///     let mut rounds = 0;
///     while coop::sleep(Duration::from_millis(2)).is_ok() {
///         rounds += 1;
///     }
///     rounds
/// });
/// assert!(expired.is_expired() && rounds == 2);
/// # });
/// ```
///
/// # Panics
/// On a thread without a Cooperator.
#[track_caller]
pub fn deadline<T>(duration: Duration, f: impl FnOnce() -> T) -> (T, Expired) {
    let (result, expiry) = limited(duration, f);
    (result, Expired(expiry.was_delivered))
}

struct Expiry {
    was_delivered: bool,
    is_killed_from_outside: bool,
}

#[track_caller]
fn limited<T>(duration: Duration, f: impl FnOnce() -> T) -> (T, Expiry) {
    /// Takes the frame off however `f` ends. Waits for nothing.
    struct Inside<'a>(&'a Region);
    impl Drop for Inside<'_> {
        fn drop(&mut self) {
            self.0.timer.stop();
            self.0.node.leave();
        }
    }

    let cooperator = Cooperator::required();
    // SAFETY: `expire` finds the region around its timer; only this timer is given to it.
    let timer = unsafe { Timer::new(expire) };
    let region = Region { timer, node: Node::new(Kind::Deadline), _pinned: PhantomPinned };
    // SAFETY: the region stays on this frame until `inside` has taken it off again.
    unsafe { region.node.enter(Task::running(cooperator)) };
    let inside = Inside(&region);
    let now = cooperator.clock.now();
    match u64::try_from(duration.as_nanos()).ok().and_then(|nanos| now.checked_add(nanos)) {
        Some(ends) if ends <= now => region.node.kill(cooperator, Cause::Deadline),
        // SAFETY: as above; the timer is stopped by `inside`.
        Some(ends) => unsafe { cooperator.timers.start(&region.timer, ends) },
        // Centuries from now.
        None => {}
    }
    let result = f();
    let expiry = Expiry {
        was_delivered: region.node.is_delivered(),
        is_killed_from_outside: region.node.is_killed_from_outside(),
    };
    drop(inside);
    (result, expiry)
}

/// # Safety
/// `timer` is the first field of a `Region` that is alive.
unsafe fn expire(timer: *const Timer) {
    // SAFETY: the caller's promise.
    let region = unsafe { &*timer.cast::<Region>() };
    if let Some(cooperator) = Cooperator::current() {
        region.node.kill(cooperator, Cause::Deadline);
    }
}
