//! The calls of which the simulated network is made, on Unix sockets.

use super::name::UnixName;
use crate::sys;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::ptr;

/// A new Unix socket that does not block.
pub(super) fn unix(kind: libc::c_int) -> io::Result<OwnedFd> {
    // SAFETY: socket has no preconditions.
    sys::owned(unsafe { libc::socket(libc::AF_UNIX, kind | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK, 0) })
}

pub(super) fn bind(fd: RawFd, name: &UnixName) -> io::Result<()> {
    // SAFETY: the name is valid for its length.
    sys::check(unsafe { libc::bind(fd, name.as_ptr(), name.len()) }).map(drop)
}

pub(super) fn connect(fd: RawFd, name: &UnixName) -> io::Result<()> {
    // SAFETY: the name is valid for its length.
    sys::check(unsafe { libc::connect(fd, name.as_ptr(), name.len()) }).map(drop)
}

/// Connects `fd`, which is somebody else's, to a new socket called `name`, and gives that.
pub(super) fn meet(fd: RawFd, name: &UnixName) -> io::Result<OwnedFd> {
    let listener = unix(libc::SOCK_STREAM)?;
    bind(listener.as_raw_fd(), name)?;
    // SAFETY: listen has no preconditions.
    sys::check(unsafe { libc::listen(listener.as_raw_fd(), 1) })?;
    connect(fd, name)?;
    let flags = libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
    // SAFETY: no address is asked for.
    sys::owned(unsafe { libc::accept4(listener.as_raw_fd(), ptr::null_mut(), ptr::null_mut(), flags) })
}

/// The name of a socket.
pub(super) fn name_of(fd: RawFd) -> UnixName {
    let mut name = UnixName::empty();
    // SAFETY: there is room for as much as the length says; a socket of another family gives what is no name.
    match unsafe { libc::getsockname(fd, name.as_mut_ptr(), name.len_mut()) } {
        0 => name,
        _ => UnixName::empty(),
    }
}

/// The name of the socket at the other end.
pub(super) fn peer_of(fd: RawFd) -> UnixName {
    let mut name = UnixName::empty();
    // SAFETY: as above.
    match unsafe { libc::getpeername(fd, name.as_mut_ptr(), name.len_mut()) } {
        0 => name,
        _ => UnixName::empty(),
    }
}

/// An integer option of a socket's; 0 for one that has none of that name.
pub(super) fn option(fd: RawFd, name: libc::c_int) -> i32 {
    let mut value: libc::c_int = 0;
    let mut len = size_of::<libc::c_int>() as libc::socklen_t;
    // SAFETY: room for an integer, as the length says.
    unsafe { libc::getsockopt(fd, libc::SOL_SOCKET, name, (&raw mut value).cast(), &mut len) };
    value
}

/// A number that no other socket has had since the system was started.
pub(super) fn cookie(fd: RawFd) -> u64 {
    let mut value: u64 = 0;
    let mut len = size_of::<u64>() as libc::socklen_t;
    // SAFETY: room for the number, as the length says.
    unsafe { libc::getsockopt(fd, libc::SOL_SOCKET, libc::SO_COOKIE, (&raw mut value).cast(), &mut len) };
    value
}

/// Room for what is sent, of which a byte may be left unread: a stream is writable again only when most of it is free.
pub(super) fn widen(fd: RawFd) {
    let size: libc::c_int = 208 << 10;
    let len = size_of::<libc::c_int>() as libc::socklen_t;
    // SAFETY: an integer, as the length says. It is what the kernel's default limit allows, and is doubled.
    unsafe { libc::setsockopt(fd, libc::SOL_SOCKET, libc::SO_SNDBUF, (&raw const size).cast(), len) };
}

pub(super) fn send(fd: RawFd, bytes: &[u8]) -> io::Result<usize> {
    let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
    // SAFETY: the bytes are readable.
    sys::check_size(unsafe { libc::send(fd, bytes.as_ptr().cast(), bytes.len(), flags) })
}

pub(super) fn send_to(fd: RawFd, bytes: &[u8], name: &UnixName) -> io::Result<usize> {
    let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
    // SAFETY: bytes and name are readable for their lengths.
    sys::check_size(unsafe { libc::sendto(fd, bytes.as_ptr().cast(), bytes.len(), flags, name.as_ptr(), name.len()) })
}

/// Receives what is there; with MSG_PEEK leaves it there.
pub(super) fn receive(fd: RawFd, buffer: &mut [u8], flags: libc::c_int) -> io::Result<usize> {
    // SAFETY: the buffer is writable for its length.
    sys::check_size(unsafe { libc::recv(fd, buffer.as_mut_ptr().cast(), buffer.len(), flags | libc::MSG_DONTWAIT) })
}

/// Closes the sending half.
pub(super) fn finish(fd: RawFd) {
    // SAFETY: shutdown has no preconditions.
    unsafe { libc::shutdown(fd, libc::SHUT_WR) };
}

/// What of `interest` a descriptor is ready for; its errors, and its end, in any case.
pub(super) fn poll(fd: RawFd, interest: libc::c_short) -> libc::c_short {
    let mut poll = libc::pollfd { fd, events: interest, revents: 0 };
    // SAFETY: one entry, as the count says.
    unsafe { libc::poll(&mut poll, 1, 0) };
    poll.revents
}

/// How many bytes there are to be received.
pub(super) fn unread(fd: RawFd) -> i32 {
    let mut bytes: libc::c_int = 0;
    // SAFETY: FIONREAD writes an integer.
    unsafe { libc::ioctl(fd, libc::FIONREAD, &raw mut bytes) };
    bytes
}

/// Whether there is anything to be received: always, once whoever is at the other end has been welcomed.
pub(super) fn has_unread(fd: RawFd) -> bool {
    receive(fd, &mut [0], libc::MSG_PEEK).is_ok_and(|n| n > 0)
}
