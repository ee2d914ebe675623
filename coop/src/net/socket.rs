//! A socket: the descriptor, and what is known of its buffers.

use super::address::Address;
use super::simulated;
use crate::cooperator::Cooperator;
use crate::fiber::{Detail, Reason};
use crate::handle::{Readiness, perform};
use crate::ring::Sqe;
use crate::sys;
use crate::task;
use std::io;
use std::mem::{MaybeUninit, size_of};
use std::net::Shutdown;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::panic::Location;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// What all kinds of sockets share. `Send`: a socket with an operation in flight is borrowed, so it cannot go anywhere.
#[doc(hidden)]
#[derive(Debug)]
pub struct Socket {
    fd: OwnedFd,
    /// The last receive found nothing left: the next one should rather wait than try.
    is_drained: AtomicBool,
    /// What it carries: bytes, in which messages have no bounds, or packets, each received by one call.
    is_stream: bool,
}

impl Socket {
    /// A stream socket, or one that listens.
    pub(super) fn new(fd: OwnedFd) -> Self {
        Socket { fd, is_drained: AtomicBool::new(false), is_stream: true }
    }

    /// A socket of packets, each received whole: datagrams, or a sequence of packets.
    pub(super) fn of_packets(fd: OwnedFd) -> Self {
        Socket { is_stream: false, ..Self::new(fd) }
    }

    pub(super) fn open(family: i32, kind: i32) -> io::Result<Self> {
        let fd = match simulated::open(family, kind) {
            Some(fd) => fd?,
            // SAFETY: socket has no preconditions.
            None => sys::owned(unsafe { libc::socket(family, kind | libc::SOCK_CLOEXEC, 0) })?,
        };
        let is_stream = kind & !libc::SOCK_NONBLOCK == libc::SOCK_STREAM;
        Ok(Socket { is_stream, ..Self::new(fd) })
    }

    /// The same socket by another descriptor.
    pub(super) fn try_clone(&self) -> io::Result<Self> {
        Ok(Socket { fd: self.fd.try_clone()?, is_drained: AtomicBool::new(false), is_stream: self.is_stream })
    }

    /// Two connected Unix sockets.
    pub(super) fn pair(kind: i32) -> io::Result<(Self, Self)> {
        let mut fds = [0; 2];
        // SAFETY: room for two descriptors.
        sys::check(unsafe { libc::socketpair(libc::AF_UNIX, kind | libc::SOCK_CLOEXEC, 0, fds.as_mut_ptr()) })?;
        let is_stream = kind == libc::SOCK_STREAM;
        // SAFETY: the kernel has just given this process both.
        let [a, b] = fds.map(|fd| Socket { is_stream, ..Self::new(unsafe { OwnedFd::from_raw_fd(fd) }) });
        Ok((a, b))
    }

    /// Whether a receive into no room at all is done before it begins. A packet would be taken, and lost, by it.
    #[inline]
    pub(super) fn is_stream(&self) -> bool {
        self.is_stream
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
        // `n != 0 && n < room`, since `n <= room`.
        let drained = self.is_stream && n.wrapping_sub(1) < room.wrapping_sub(1);
        if self.is_drained.load(Relaxed) != drained {
            self.is_drained.store(drained, Relaxed);
        }
    }

    /// What can be said of a receive without a call. Into no room at all a stream receives at once.
    #[inline]
    pub(super) fn readiness(&self, has_room: bool) -> Readiness {
        if self.is_drained() && (has_room || !self.is_stream) { Readiness::Doubtful } else { Readiness::Maybe }
    }

    /// Notes that a receive has found nothing.
    #[inline]
    pub(super) fn note_drained(&self) {
        self.is_drained.store(true, Relaxed);
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
            Err(_) => self.note_drained(),
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
        if let Some(result) = simulated::bind(self.fd(), address) {
            return result;
        }
        // SAFETY: the address is valid for its length.
        sys::check(unsafe { libc::bind(self.fd(), address.as_ptr(), address.len()) }).map(drop)
    }

    pub(super) fn set_nonblocking(&self) -> io::Result<()> {
        let mut on: libc::c_int = 1;
        // SAFETY: FIONBIO reads an integer.
        sys::check(unsafe { libc::ioctl(self.fd(), libc::FIONBIO, &raw mut on) }).map(drop)
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
        if address.is_simulated()
            && let Some(exact) = simulated::network().and_then(|network| network.local(self.fd()))
        {
            return Ok(Address::ip(&exact));
        }
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

    /// Sets an option whose value is a `T` of C's.
    pub(super) fn set_option<T: Copy>(&self, level: i32, name: i32, value: T) -> io::Result<()> {
        let len = size_of::<T>() as libc::socklen_t;
        if let Some(network) = simulated::network() {
            // SAFETY: an option is plain data, without padding, of which every byte may be looked at.
            let bytes = unsafe { std::slice::from_raw_parts((&raw const value).cast::<u8>(), size_of::<T>()) };
            if let Some(result) = network.set_option(self.fd(), level, name, bytes) {
                return result;
            }
        }
        // SAFETY: `value` is readable for `len` bytes.
        sys::check(unsafe { libc::setsockopt(self.fd(), level, name, (&raw const value).cast(), len) }).map(drop)
    }

    /// # Safety
    /// Every bit pattern is a `T`.
    pub(super) unsafe fn option_of<T: Copy>(&self, level: i32, name: i32) -> io::Result<T> {
        let mut value = MaybeUninit::<T>::zeroed();
        let mut len = size_of::<T>() as libc::socklen_t;
        if let Some(option) = simulated::network().and_then(|network| network.option(self.fd(), level, name)) {
            // SAFETY: at most as many bytes as there is room for; every bit pattern is a `T`, as the caller promises.
            unsafe {
                option.as_ptr().copy_to_nonoverlapping(value.as_mut_ptr().cast(), option.len().min(size_of::<T>()));
                return Ok(value.assume_init());
            }
        }
        // SAFETY: `value` is writable for `len` bytes; all of it is initialised, with zeros where the kernel writes less.
        unsafe {
            sys::check(libc::getsockopt(self.fd(), level, name, value.as_mut_ptr().cast(), &mut len))?;
            Ok(value.assume_init())
        }
    }

    pub(super) fn option(&self, level: i32, name: i32) -> io::Result<i32> {
        // SAFETY: every bit pattern is an integer.
        unsafe { self.option_of(level, name) }
    }

    /// Connects a socket for which that is a note of the kernel's and no wait: one of datagrams.
    pub(super) fn connect_at_once(&self, address: &Address) -> io::Result<()> {
        if let Some(result) = simulated::connect_datagrams(self.fd(), address) {
            return result;
        }
        // SAFETY: the address is valid for its length.
        sys::check(unsafe { libc::connect(self.fd(), address.as_ptr(), address.len()) }).map(drop)
    }
}

/// The start of every blocking call of a socket.
#[inline]
#[track_caller]
pub(super) fn begin() -> io::Result<&'static Cooperator> {
    task::begin_io()
}
