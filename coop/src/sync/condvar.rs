//! Waiting for a change of what a mutex guards.

use super::mutex::{Lock, MutexGuard};
use crate::cooperator::Cooperator;
use crate::coordinator::{Coordinated, Coordinator, Wait};
use crate::error::Killed;
use crate::fiber::Reason;
use crate::handle::Queued;
use crate::task;
use crate::timers::Sleep;
use std::fmt;
use std::panic::Location;
use std::time::Duration;

/// Waiting for a change of what a [`Mutex`](super::Mutex) guards.
///
/// [`wait`](Condvar::wait) unlocks, waits to be notified, and locks again. No notification is lost between the first two: they
/// are one step. It may be woken without one; [`wait_while`](Condvar::wait_while) looks at the data each time.
///
/// **What kill does.** A killed wait returns `Err(Killed)` *without* the lock. To take it again could last as long as its
/// holder likes, or for ever: the holder may be the parent that has just killed this task and waits for its end. What the data
/// needs then is done under a lock of its own, in a [`shield`](crate::shield), or with `try_lock`. A notification that a
/// killed task was given goes to the next.
///
/// There is no operation for it: as an arm it would have to give the lock away before anybody has won. In a `select!` wait for
/// an [`Event`](super::Event), a [`Notify`](super::Notify) or a [`watch`](crate::chan::watch()) channel.
///
/// ```
/// use coop::sync::{Condvar, Mutex};
/// coop::run(|| {
///     let (queue, is_filled) = (Mutex::new(Vec::new()), Condvar::new());
///     coop::wait_all(|s| {
///         let mut consumer = s.spawn(|| -> Result<i32, coop::Killed> {
///             let mut queue = is_filled.wait_while(queue.lock()?, |queue| queue.is_empty())?;
///             Ok(queue.remove(0))
///         });
///         s.spawn(|| -> Result<(), coop::Killed> {
///             queue.lock()?.push(7);
///             is_filled.notify_one();
///             Ok(())
///         });
///         assert_eq!(consumer.join().unwrap(), Ok(7));
///     });
/// });
/// ```
pub struct Condvar {
    /// Always held: a queue to wait in.
    queue: Coordinator,
}

/// Whether a [`wait_timeout`](Condvar::wait_timeout) ended because its time was up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WaitTimeoutResult(bool);

impl WaitTimeoutResult {
    /// Whether the time was up.
    pub fn timed_out(&self) -> bool {
        self.0
    }
}

impl Condvar {
    /// Nobody waits.
    pub const fn new() -> Self {
        Condvar { queue: Coordinator::held() }
    }

    /// Unlocks, waits for a notification, and locks again, in the order of those who want the lock.
    ///
    /// A wait point; kill-checked. When killed, the mutex stays unlocked: see [`Condvar`].
    ///
    /// # Errors
    /// `Killed`, while it waited for the notification or for the lock.
    ///
    /// # Panics
    /// On a thread without a Cooperator.
    #[track_caller]
    pub fn wait<'a, T: ?Sized>(&self, guard: MutexGuard<'a, T>) -> Result<MutexGuard<'a, T>, Killed> {
        self.wait_within(guard, None).map(|(guard, _)| guard)
    }

    /// Waits for as long as `condition` holds. It is asked before the first wait, and after each, always under the lock; it must
    /// not wait.
    ///
    /// A wait point if it holds; kill-checked.
    ///
    /// # Errors
    /// As [`wait`](Condvar::wait).
    ///
    /// # Panics
    /// On a thread without a Cooperator.
    #[track_caller]
    pub fn wait_while<'a, T: ?Sized>(
        &self,
        mut guard: MutexGuard<'a, T>,
        mut condition: impl FnMut(&mut T) -> bool,
    ) -> Result<MutexGuard<'a, T>, Killed> {
        while condition(&mut guard) {
            guard = self.wait(guard)?;
        }
        Ok(guard)
    }

    /// As [`wait`](Condvar::wait), for a notification that comes within `duration`. The lock is then waited for as long as it
    /// takes: `coop::timeout` bounds that too, and gives no guard.
    ///
    /// A wait point; kill-checked.
    ///
    /// ```
    /// use coop::sync::{Condvar, Mutex};
    /// use std::time::Duration;
    /// coop::run(|| -> Result<(), coop::Killed> {
    ///     let (data, changed) = (Mutex::new(1), Condvar::new());
    ///     let (guard, result) = changed.wait_timeout(data.lock()?, Duration::from_millis(1))?;
    ///     assert_eq!((*guard, result.timed_out()), (1, true));
    ///     Ok(())
    /// }).unwrap();
    /// ```
    ///
    /// # Errors
    /// As [`wait`](Condvar::wait).
    ///
    /// # Panics
    /// On a thread without a Cooperator.
    #[track_caller]
    pub fn wait_timeout<'a, T: ?Sized>(
        &self,
        guard: MutexGuard<'a, T>,
        duration: Duration,
    ) -> Result<(MutexGuard<'a, T>, WaitTimeoutResult), Killed> {
        self.wait_within(guard, Some(duration))
    }

    #[track_caller]
    fn wait_within<'a, T: ?Sized>(
        &self,
        guard: MutexGuard<'a, T>,
        limit: Option<Duration>,
    ) -> Result<(MutexGuard<'a, T>, WaitTimeoutResult), Killed> {
        let mutex = guard.mutex;
        let cooperator = task::begin()?;
        let timed_out = self.wait_notified(cooperator, guard, limit)?;
        match Queued::wait_for(&Lock { mutex }) {
            Ok(guard) => Ok((guard, WaitTimeoutResult(timed_out))),
            Err(killed) => {
                // The notification was not for nobody.
                if !timed_out {
                    self.notify_one();
                }
                Err(killed)
            }
        }
    }

    /// Whether the time was up.
    #[track_caller]
    fn wait_notified<T: ?Sized>(
        &self,
        cooperator: &Cooperator,
        guard: MutexGuard<'_, T>,
        limit: Option<Duration>,
    ) -> Result<bool, Killed> {
        const NOTIFIED: usize = 0;
        const TIMED_OUT: usize = 1;
        let (entry, timer_entry, timer) = (Coordinated::new(), Coordinated::new(), Sleep::new());
        let wait = Wait::new(&cooperator.scheduler);
        // SAFETY: entries, timer and wait stay on this frame until `wait`, dropped first, has unlinked the entries; the queue is
        // borrowed for as long. The timer stops when dropped.
        unsafe {
            wait.enlist(&self.queue, &entry, NOTIFIED);
            if let Some(limit) = limit {
                timer.start(&cooperator.timers, cooperator.clock.now().saturating_add(nanos(limit)));
                wait.enlist(timer.over(), &timer_entry, TIMED_OUT);
            }
        }
        // Only now may others change the data: we are in the queue.
        drop(guard);
        let won = task::park(cooperator, &wait, Reason::new("wait on a condvar"), Location::caller())?;
        Ok(won == TIMED_OUT)
    }

    /// Wakes the task that has waited longest, if one waits. Not a wait point.
    pub fn notify_one(&self) {
        if self.queue.has_waiters() {
            self.queue.release();
        }
    }

    /// Wakes every task that waits, in the order they came. Not a wait point.
    pub fn notify_all(&self) {
        while self.queue.has_waiters() {
            self.queue.release();
        }
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

impl Default for Condvar {
    fn default() -> Self {
        Condvar::new()
    }
}

impl fmt::Debug for Condvar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Condvar").field("has_waiters", &self.queue.has_waiters()).finish()
    }
}
