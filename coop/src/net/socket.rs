//! A socket: the descriptor, and what is known of its buffers.

use super::address::Address;
use crate::cooperator::Cooperator;
use crate::fiber::{Detail, Reason};
use crate::handle::perform;
use crate::ring::Sqe;
use crate::sys;
use crate::task;
use std::io;
use std::mem::size_of;
use std::net::Shutdown;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::panic::Location;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// What all kinds of sockets share. `Send`: a socket with an operation in flight is borrowed, so it cannot go anywhere.
#[doc(hidden)]
#[derive(Debug)]
pub struct Socket {
    fd: OwnedFd,
    /// The last receive found nothing left: the next one should rather wait than try.
    is_drained: AtomicBool,
}

impl Socket {
    pub(super) fn new(fd: OwnedFd) -> Self {
        Socket { fd, is_drained: AtomicBool::new(false) }
    }

    pub(super) fn open(family: i32, kind: i32) -> io::Result<Self> {
        // SAFETY: socket has no preconditions.
        Ok(Self::new(sys::owned(unsafe { libc::socket(family, kind | libc::SOCK_CLOEXEC, 0) })?))
    }

    #[inline]
    pub(super) fn fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }

    pub(super) fn as_owned(&self) -> &OwnedFd {
        &self.fd
    }

    pub(super) fn into_owned(self) -> OwnedFd {
        self.fd
    }

    #[inline]
    pub(super) fn is_drained(&self) -> bool {
        self.is_drained.load(Relaxed)
    }

    /// Notes how a receive of `n` bytes into room for `room` left the socket.
    #[inline]
    pub(super) fn note_received(&self, n: usize, room: usize) {
        let drained = n != 0 && n < room;
        if self.is_drained.load(Relaxed) != drained {
            self.is_drained.store(drained, Relaxed);
        }
    }

    /// Receives what is there, without blocking.
    #[inline]
    pub(super) fn try_recv(&self, buffer: &mut [u8], flags: i32) -> io::Result<usize> {
        // SAFETY: `buffer` is writable for its length.
        let n = unsafe { libc::recv(self.fd(), buffer.as_mut_ptr().cast(), buffer.len(), flags | libc::MSG_DONTWAIT) };
        let result = sys::check_size(n);
        match &result {
            Ok(n) if flags & libc::MSG_PEEK == 0 => self.note_received(*n, buffer.len()),
            Ok(_) => {}
            Err(_) => self.is_drained.store(true, Relaxed),
        }
        result
    }

    /// Sends what fits, without blocking.
    #[inline]
    pub(super) fn try_send(&self, buffer: &[u8]) -> io::Result<usize> {
        let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
        // SAFETY: `buffer` is readable for its length.
        sys::check_size(unsafe { libc::send(self.fd(), buffer.as_ptr().cast(), buffer.len(), flags) })
    }

    pub(super) fn bind(&self, address: &Address) -> io::Result<()> {
        // SAFETY: the address is valid for its length.
        sys::check(unsafe { libc::bind(self.fd(), address.as_ptr(), address.len()) }).map(drop)
    }

    pub(super) fn listen(&self, backlog: i32) -> io::Result<()> {
        // SAFETY: listen has no preconditions.
        sys::check(unsafe { libc::listen(self.fd(), backlog) }).map(drop)
    }

    /// Connects; a wait point. A connect that a kill interrupts leaves a socket that is good for nothing: the caller drops it.
    pub(super) fn connect(
        &self,
        cooperator: &Cooperator,
        address: &Address,
        place: &'static Location<'static>,
    ) -> io::Result<()> {
        let sqe = Sqe::connect(self.fd(), address.as_ptr(), address.len());
        // SAFETY: the address is borrowed until `perform` returns.
        let result = unsafe { perform(cooperator, sqe, Reason::on("connect", Detail::Descriptor(self.fd())), place)? };
        if result < 0 { Err(io::Error::from_raw_os_error(-result)) } else { Ok(()) }
    }

    pub(super) fn local(&self) -> io::Result<Address> {
        let mut address = Address::empty();
        // SAFETY: the address has room for any family, as its length says.
        sys::check(unsafe { libc::getsockname(self.fd(), address.as_mut_ptr(), address.len_mut()) })?;
        Ok(address)
    }

    pub(super) fn peer(&self) -> io::Result<Address> {
        let mut address = Address::empty();
        // SAFETY: as in `local`.
        sys::check(unsafe { libc::getpeername(self.fd(), address.as_mut_ptr(), address.len_mut()) })?;
        Ok(address)
    }

    pub(super) fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        let how = match how {
            Shutdown::Read => libc::SHUT_RD,
            Shutdown::Write => libc::SHUT_WR,
            Shutdown::Both => libc::SHUT_RDWR,
        };
        // SAFETY: shutdown has no preconditions.
        sys::check(unsafe { libc::shutdown(self.fd(), how) }).map(drop)
    }

    pub(super) fn set_option(&self, level: i32, name: i32, value: i32) -> io::Result<()> {
        let len = size_of::<i32>() as libc::socklen_t;
        // SAFETY: `value` is readable for `len` bytes.
        sys::check(unsafe { libc::setsockopt(self.fd(), level, name, (&raw const value).cast(), len) }).map(drop)
    }

    pub(super) fn option(&self, level: i32, name: i32) -> io::Result<i32> {
        let (mut value, mut len) = (0i32, size_of::<i32>() as libc::socklen_t);
        // SAFETY: `value` is writable for `len` bytes.
        sys::check(unsafe { libc::getsockopt(self.fd(), level, name, (&raw mut value).cast(), &mut len) })?;
        Ok(value)
    }
}

/// A call that has succeeded without waiting still spends the task's budget, so that it cannot keep the others from running.
#[inline]
pub(super) fn spend_budget(cooperator: &Cooperator) {
    if cooperator.scheduler.spend() {
        // What was done is done: giving way is not kill-checked.
        cooperator.scheduler.give_way();
    }
}

/// The start of every blocking call of a socket.
#[inline]
#[track_caller]
pub(super) fn begin() -> io::Result<&'static Cooperator> {
    task::begin_io()
}
