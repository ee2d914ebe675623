//! What other threads leave for a Cooperator: the only thing that two threads share.
//!
//! A queue behind a lock that is held for a push or a swap, and a bell: whoever leaves the first job rings it. It sends the
//! Cooperator's ring a message where the kernel does that, and else makes an eventfd readable that the ring watches.

use crate::sys::Bell;
use crate::sys::shared::{Arc, Mutex, PoisonError, Weak};
use std::io;
use std::os::fd::{OwnedFd, RawFd};
use std::sync::atomic::{Ordering, fence};

/// Work for the Cooperator's thread. It runs on the loop's stack: it may spawn, but must not wait or run user code.
pub(crate) type Job = Box<dyn FnOnce() + Send>;

/// Shared with Remotes, each of which may still bring something: the Cooperator counts the references to it.
pub(crate) struct Inbox {
    inner: Arc<Inner>,
}

struct Inner {
    queue: Mutex<Queue>,
    bell: Bell,
}

/// A way to the inbox for one who is expected, and counted, elsewhere: it does not count as a Remote, and keeps no Cooperator's
/// descriptor open.
#[derive(Clone)]
pub(crate) struct BackDoor {
    inner: Weak<Inner>,
}

impl BackDoor {
    /// Leaves a job, as [`Inbox::push`].
    pub(crate) fn push(&self, job: Job) -> Result<(), Job> {
        match self.inner.upgrade() {
            Some(inner) => inner.push(job),
            None => Err(job),
        }
    }
}

#[derive(Default)]
struct Queue {
    jobs: Vec<Job>,
    is_closed: bool,
}

impl Inbox {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Inbox { inner: Arc::new(Inner { queue: Mutex::default(), bell: Bell::new()? }) })
    }

    /// Leaves a job. A Cooperator that has finished gives it back.
    pub(crate) fn push(&self, job: Job) -> Result<(), Job> {
        self.inner.push(job)
    }

    pub(crate) fn back_door(&self) -> BackDoor {
        BackDoor { inner: Arc::downgrade(&self.inner) }
    }

    /// Takes all jobs, in the order they came.
    pub(crate) fn take(&self) -> Vec<Job> {
        std::mem::take(&mut self.inner.queue.lock().unwrap_or_else(PoisonError::into_inner).jobs)
    }

    /// Whether jobs are there, all those included that were left by who has since let go of the inbox.
    pub(crate) fn has_last_jobs(&self) -> bool {
        // Whoever lets go releases; the count that told of it was read without acquiring.
        fence(Ordering::Acquire);
        !self.inner.queue.lock().unwrap_or_else(PoisonError::into_inner).jobs.is_empty()
    }

    /// Rings by messages to this ring, with this user data, if it can.
    pub(crate) fn connect(&self, ring: OwnedFd, user_data: u64) {
        self.inner.bell.connect(ring, user_data);
    }

    /// Takes no more jobs. Returns those that nobody will run.
    pub(crate) fn close(&self) -> Vec<Job> {
        self.inner.bell.disconnect();
        let mut queue = self.inner.queue.lock().unwrap_or_else(PoisonError::into_inner);
        queue.is_closed = true;
        std::mem::take(&mut queue.jobs)
    }

    /// Readable when jobs have come since [`Inbox::silence`] of which no message told.
    pub(crate) fn bell(&self) -> RawFd {
        self.inner.bell.fd()
    }

    pub(crate) fn silence(&self) {
        self.inner.bell.silence();
    }
}

impl Inner {
    fn push(&self, job: Job) -> Result<(), Job> {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        if queue.is_closed {
            return Err(job);
        }
        queue.jobs.push(job);
        let is_first = queue.jobs.len() == 1;
        drop(queue);
        if is_first {
            self.bell.ring();
        }
        Ok(())
    }
}
