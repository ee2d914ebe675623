//! Receiving without a buffer of one's own: what has come is lent.

use super::polling::{Lending, unless_blocked};
use super::socket::Socket;
use crate::buffers::{self, Buffers};
use crate::cooperator::Cooperator;
use crate::handle::{Pollable, Readiness};
use std::fmt;
use std::io;
use std::ops::{Deref, DerefMut};
use std::os::fd::RawFd;
use std::rc::Rc;

/// Bytes that were received, in a buffer of the Cooperator's, which returns there when the lease is dropped.
///
/// Made by [`TcpStream::recv_leased`](super::TcpStream::recv_leased) and its like, and by [`RecvAhead`](super::RecvAhead). A
/// connection on which nothing comes holds no buffer: ten thousand idle ones need no memory for what they might receive. A lease may
/// be kept as long as one likes; each that is kept is 16 KiB. It stays on its thread:
///
/// ```compile_fail,E0277
/// # fn check(lease: coop::net::Lease) {
/// std::thread::spawn(move || drop(lease));
/// # }
/// ```
///
/// ```
/// use coop::net::UnixStream;
/// coop::run(|| -> std::io::Result<()> {
///     let (ours, theirs) = UnixStream::pair()?;
///     theirs.send_all(b"hello")?;
///     let got = ours.recv_leased()?;
///     assert_eq!(&*got, b"hello");
///     drop(theirs);
///     assert!(ours.recv_leased()?.is_empty(), "the end");
///     Ok(())
/// }).unwrap();
/// ```
pub struct Lease {
    /// `None` at the end of a stream that was received ahead, and while it is dropped.
    buffer: Option<Box<[u8]>>,
    n: usize,
    home: Rc<Buffers>,
}

impl Lease {
    /// The most that one lease holds, in bytes; of a longer packet the rest is discarded.
    pub const MAX: usize = buffers::SIZE;

    /// The first `n` bytes of a buffer from there.
    pub(super) fn new(buffer: Box<[u8]>, n: usize, home: Rc<Buffers>) -> Self {
        let n = n.min(buffer.len());
        Lease { buffer: Some(buffer), n, home }
    }

    /// No bytes, without a buffer.
    pub(super) fn of_nothing(home: Rc<Buffers>) -> Self {
        Lease { buffer: None, n: 0, home }
    }

    /// Adds bytes, if there is room for all of them.
    pub(super) fn append(&mut self, bytes: &[u8]) -> bool {
        let room = self.buffer.as_mut().and_then(|buffer| buffer.get_mut(self.n..self.n + bytes.len()));
        let Some(room) = room else { return false };
        room.copy_from_slice(bytes);
        self.n += bytes.len();
        true
    }

    /// Receives what is there, without blocking.
    pub(super) fn try_recv(socket: &Socket, home: &Rc<Buffers>) -> io::Result<Self> {
        let mut lease = Lease::new(home.take(), Lease::MAX, home.clone());
        lease.n = socket.try_recv(&mut lease, 0)?;
        Ok(lease)
    }
}

impl Deref for Lease {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.buffer.as_ref().map_or(&[], |buffer| &buffer[..self.n])
    }
}

impl DerefMut for Lease {
    fn deref_mut(&mut self) -> &mut [u8] {
        self.buffer.as_mut().map_or(&mut [], |buffer| &mut buffer[..self.n])
    }
}

impl AsRef<[u8]> for Lease {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease").field("bytes", &&**self).finish()
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(buffer) = self.buffer.take() {
            self.home.give_back(buffer);
        }
    }
}

/// `op::recv_leased`.
#[doc(hidden)]
pub struct ReceivingLeased<'a> {
    socket: &'a Socket,
}

impl<'a> ReceivingLeased<'a> {
    pub(crate) fn new(socket: &'a Socket) -> Self {
        ReceivingLeased { socket }
    }
}

/// As an arm: `recv` with MSG_DONTWAIT gives bytes, or the end of the stream, or has done nothing; the buffer goes back then.
impl Pollable for ReceivingLeased<'_> {
    type Output = Lease;

    fn fd(&self) -> RawFd {
        self.socket.fd()
    }

    fn events(&self) -> u32 {
        (libc::POLLIN | libc::POLLRDHUP) as u32
    }

    fn verb(&self) -> &'static str {
        "recv_leased"
    }

    fn readiness(&self) -> Readiness {
        self.socket.readiness(true)
    }

    fn attempt(&mut self) -> Option<io::Result<Lease>> {
        unless_blocked(Lease::try_recv(self.socket, &Cooperator::required().buffers))
    }
}

impl Lending for ReceivingLeased<'_> {
    type Back = Lease;

    fn give_back(&mut self, lease: Lease) -> Lease {
        lease
    }
}
