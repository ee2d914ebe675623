//! What other threads leave for a Cooperator: the only thing that two threads share.
//!
//! A queue behind a lock that is held for a push or a swap, and an eventfd that the Cooperator's ring watches while a
//! [`Remote`](crate::Remote) exists.

use crate::sys;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::sync::{Mutex, PoisonError};

/// Work for the Cooperator's thread. It runs on the loop's stack: it may spawn, but must not wait or run user code.
pub(crate) type Job = Box<dyn FnOnce() + Send>;

pub(crate) struct Inbox {
    queue: Mutex<Queue>,
    bell: OwnedFd,
}

#[derive(Default)]
struct Queue {
    jobs: Vec<Job>,
    is_closed: bool,
}

impl Inbox {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Inbox { queue: Mutex::default(), bell: sys::eventfd()? })
    }

    /// Leaves a job. A Cooperator that has finished gives it back.
    pub(crate) fn push(&self, job: Job) -> Result<(), Job> {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        if queue.is_closed {
            return Err(job);
        }
        queue.jobs.push(job);
        let is_first = queue.jobs.len() == 1;
        drop(queue);
        if is_first {
            sys::eventfd_wake(self.bell.as_raw_fd());
        }
        Ok(())
    }

    /// Takes all jobs, in the order they came.
    pub(crate) fn take(&self) -> Vec<Job> {
        std::mem::take(&mut self.queue.lock().unwrap_or_else(PoisonError::into_inner).jobs)
    }

    /// Takes no more jobs. Returns those that nobody will run.
    pub(crate) fn close(&self) -> Vec<Job> {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        queue.is_closed = true;
        std::mem::take(&mut queue.jobs)
    }

    /// Readable when jobs have come since [`Inbox::silence`].
    pub(crate) fn bell(&self) -> RawFd {
        self.bell.as_raw_fd()
    }

    pub(crate) fn silence(&self) {
        let mut count = 0u64;
        // SAFETY: eight writable bytes, as an eventfd wants; it is non-blocking.
        unsafe { libc::read(self.bell.as_raw_fd(), (&raw mut count).cast(), 8) };
    }
}
