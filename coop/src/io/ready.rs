//! Waiting until a descriptor is ready, for a call that somebody else makes.

use crate::error::Killed;
use crate::handle::{Blocking, Pollable, PolledFlight, Readiness, call_when_ready};
use crate::sys;
use crate::task;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};

/// `op::readable`, `op::writable`.
#[doc(hidden)]
pub struct Ready<'a> {
    fd: BorrowedFd<'a>,
    events: libc::c_short,
}

impl<'a> Ready<'a> {
    pub(crate) fn to_read(fd: BorrowedFd<'a>) -> Self {
        Ready { fd, events: libc::POLLIN | libc::POLLRDHUP }
    }

    pub(crate) fn to_write(fd: BorrowedFd<'a>) -> Self {
        Ready { fd, events: libc::POLLOUT }
    }
}

/// As an arm: to ask whether a descriptor is ready does nothing to it.
impl Pollable for Ready<'_> {
    type Output = ();

    fn fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }

    fn events(&self) -> u32 {
        self.events as u32
    }

    fn verb(&self) -> &'static str {
        if self.events == libc::POLLOUT { "wait until writable" } else { "wait until readable" }
    }

    fn readiness(&self) -> Readiness {
        Readiness::Maybe
    }

    fn attempt(&mut self) -> Option<io::Result<()>> {
        let mut poll = libc::pollfd { fd: self.fd(), events: self.events, revents: 0 };
        // SAFETY: an array of one.
        match sys::check(unsafe { libc::poll(&mut poll, 1, 0) }) {
            Ok(0) => None,
            Ok(_) => Some(Ok(())),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => None,
            Err(error) => Some(Err(error)),
        }
    }
}

impl<'a> Blocking for Ready<'a> {
    type Started = io::Result<()>;
    type Flight = PolledFlight<Ready<'a>>;

    #[track_caller]
    fn block(mut self) -> io::Result<()> {
        let cooperator = task::begin_io()?;
        call_when_ready(cooperator, &mut self)?;
        cooperator.scheduler.spend_call();
        Ok(())
    }

    fn into_flight(self) -> Self::Flight {
        PolledFlight::new(self)
    }

    fn joined(result: Result<Self::Started, Killed>) -> Self::Started {
        result?
    }
}
