//! A poll that tells of nothing but what was asked for.

use crate::ring::Sqe;
use crate::sys;
use std::cell::OnceCell;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

/// io_uring adds POLLRDHUP to whatever a poll asks for (`IO_POLL_UNMASK` in the kernel): whoever waits for room to send to a peer that
/// sends no more is told at once, again and again, though there is no room. The first time that happens, the polls that follow ask an
/// epoll descriptor, which asks for what it was told.
pub(crate) struct Narrow {
    epoll: OnceCell<OwnedFd>,
}

impl Narrow {
    pub(crate) const fn new() -> Self {
        Narrow { epoll: OnceCell::new() }
    }

    /// The poll of `fd` for `events`. While it flies this must not be dropped.
    #[inline]
    pub(crate) fn poll(&self, fd: RawFd, events: u32) -> Sqe {
        match self.epoll.get() {
            None => Sqe::poll(fd, events),
            Some(epoll) => Sqe::poll(epoll.as_raw_fd(), libc::POLLIN as u32),
        }
    }

    /// Whether such a poll has ended for something that was asked for, or is told in any case.
    #[inline]
    pub(crate) fn is_due(&self, fd: RawFd, events: u32, result: i32) -> io::Result<bool> {
        const ALWAYS: i32 = (libc::POLLERR | libc::POLLHUP | libc::POLLNVAL) as i32;
        if result < 0 {
            return Err(io::Error::from_raw_os_error(-result));
        }
        if result & (events as i32 | ALWAYS) != 0 || self.epoll.get().is_some() {
            return Ok(true);
        }
        // Without a descriptor to be had it goes on as it is: the caller tries in vain.
        Ok(self.narrow(fd, events).is_err())
    }

    #[cold]
    fn narrow(&self, fd: RawFd, events: u32) -> io::Result<()> {
        let epoll = sys::epoll()?;
        let mut event = libc::epoll_event { events, u64: 0 };
        // SAFETY: the event lives through the call.
        sys::check(unsafe { libc::epoll_ctl(epoll.as_raw_fd(), libc::EPOLL_CTL_ADD, fd, &mut event) })?;
        let _ = self.epoll.set(epoll);
        Ok(())
    }
}
