//! A notification for one task, kept if none waits.

use crate::coordinator::Coordinator;
use crate::error::Killed;
use crate::fiber::Reason;
use crate::handle::{Queued, Source};
use std::cell::Cell;
use std::fmt;

/// A notification for one task. If none waits it is kept, once, for the next that does: so none is lost between looking at the
/// state of things and waiting for it to change.
///
/// To wake every task there is [`Event`](super::Event); to hand over a value, a [channel](crate::chan).
///
/// ```
/// use coop::sync::Notify;
/// use std::cell::RefCell;
/// coop::run(|| -> Result<(), coop::Killed> {
///     let (jobs, more) = (RefCell::new(Vec::new()), Notify::new());
///     coop::wait_all(|s| {
///         let mut worker = s.spawn(|| -> Result<i32, coop::Killed> {
///             let mut sum = 0;
///             loop {
///                 while let Some(job) = { let next = jobs.borrow_mut().pop(); next } {
///                     if job == 0 { return Ok(sum); }
///                     sum += job;
///                 }
///                 more.wait()?;                       // a job put there since is not missed
///             }
///         });
///         jobs.borrow_mut().extend([0, 1, 2, 3]);
///         more.notify_one();
///         assert_eq!(worker.join().unwrap(), Ok(6));
///     });
///     Ok(())
/// }).unwrap();
/// ```
pub struct Notify {
    is_notified: Cell<bool>,
    /// Always held: a queue to wait in.
    queue: Coordinator,
}

impl Notify {
    /// Without a notification.
    pub const fn new() -> Self {
        Notify { is_notified: Cell::new(false), queue: Coordinator::held() }
    }

    /// Wakes the task that has waited longest; if none waits, the next wait will not. Not a wait point.
    ///
    /// Two notifications with no task waiting count as one. What a task was given, and did not take (a Handle that is dropped),
    /// goes to the next.
    pub fn notify_one(&self) {
        if self.queue.has_waiters() {
            self.queue.release();
        } else {
            self.is_notified.set(true);
        }
    }

    /// Waits for a notification, and takes it. First come, first served.
    ///
    /// A wait point if there is none; kill-checked: a killed wait takes none.
    ///
    /// # Errors
    /// `Killed`.
    ///
    /// # Panics
    /// On a thread without a Cooperator.
    #[track_caller]
    pub fn wait(&self) -> Result<(), Killed> {
        Queued::wait_for(&Notification { notify: self })
    }

    /// Takes the notification that was kept, if one was. Not a wait point.
    pub fn try_wait(&self) -> bool {
        self.is_notified.replace(false)
    }
}

/// `op::wait` of a [`Notify`].
#[doc(hidden)]
pub struct Notification<'a> {
    notify: &'a Notify,
}

impl<'a> Notification<'a> {
    pub(crate) fn new(notify: &'a Notify) -> Self {
        Notification { notify }
    }
}

impl Source for Notification<'_> {
    type Output = ();
    type Waited = Result<(), Killed>;

    fn queue(&self) -> &Coordinator {
        &self.notify.queue
    }

    fn is_ready(&self) -> bool {
        self.notify.is_notified.get()
    }

    fn try_reserve(&self) -> bool {
        self.notify.try_wait()
    }

    fn take_reserved(&self) {}

    fn pass_on(&self) {
        self.notify.notify_one();
    }

    fn reason(&self) -> Reason {
        Reason::new("wait for a notification")
    }

    fn waited(result: Result<(), Killed>) -> Self::Waited {
        result
    }
}

impl Default for Notify {
    fn default() -> Self {
        Notify::new()
    }
}

impl fmt::Debug for Notify {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Notify").field("is_notified", &self.is_notified.get()).finish_non_exhaustive()
    }
}
