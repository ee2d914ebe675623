//! Sending from and receiving into several buffers by one call.

use super::polling::{Lending, unless_blocked};
use super::socket::Socket;
use crate::handle::{Pollable, Readiness};
use crate::sys;
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::RawFd;

/// The kernel takes at most this many buffers a call (`UIO_MAXIOV`); those beyond wait for the next. Empty ones in front are not
/// among them: a call that moves nothing would look like the end of the stream.
const MAX_BUFFERS: usize = 1024;

/// A message header with nothing in it.
pub(super) fn empty_header() -> libc::msghdr {
    // SAFETY: all-zero is a valid msghdr: no name, no buffers, no control data.
    unsafe { MaybeUninit::zeroed().assume_init() }
}

/// `op::send_vectored`.
#[doc(hidden)]
pub struct SendingVectored<'a> {
    socket: &'a Socket,
    buffers: &'a [IoSlice<'a>],
}

impl<'a> SendingVectored<'a> {
    pub(crate) fn new(socket: &'a Socket, buffers: &'a [IoSlice<'a>]) -> Self {
        SendingVectored { socket, buffers }
    }
}

/// As an arm: `sendmsg` with MSG_DONTWAIT takes at least a byte, or a whole packet, or has done nothing.
impl Pollable for SendingVectored<'_> {
    type Output = usize;

    fn fd(&self) -> RawFd {
        self.socket.fd()
    }

    fn events(&self) -> u32 {
        libc::POLLOUT as u32
    }

    fn verb(&self) -> &'static str {
        "send_vectored"
    }

    fn readiness(&self) -> Readiness {
        Readiness::Maybe
    }

    fn is_nothing(&self) -> bool {
        self.socket.is_stream() && self.buffers.iter().all(|buffer| buffer.is_empty())
    }

    fn attempt(&mut self) -> Option<io::Result<usize>> {
        let buffers = &self.buffers[self.buffers.iter().take_while(|buffer| buffer.is_empty()).count()..];
        if self.socket.is_stream() && buffers.is_empty() {
            return Some(Ok(0));
        }
        let mut header = empty_header();
        // `IoSlice` is an `iovec`, as its docs promise; the kernel only reads those of a message that is sent.
        header.msg_iov = buffers.as_ptr().cast::<libc::iovec>().cast_mut();
        // Of a packet no part is sent: the kernel refuses what is too many.
        header.msg_iovlen = if self.socket.is_stream() { buffers.len().min(MAX_BUFFERS) } else { buffers.len() };
        // SAFETY: the header names live buffers.
        let n = unsafe { libc::sendmsg(self.fd(), &header, libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL) };
        unless_blocked(sys::check_size(n))
    }
}

impl Lending for SendingVectored<'_> {
    type Back = usize;

    fn give_back(&mut self, n: usize) -> usize {
        n
    }
}

/// `op::recv_vectored`.
#[doc(hidden)]
pub struct ReceivingVectored<'a, 'b> {
    socket: &'a Socket,
    buffers: &'a mut [IoSliceMut<'b>],
}

impl<'a, 'b> ReceivingVectored<'a, 'b> {
    pub(crate) fn new(socket: &'a Socket, buffers: &'a mut [IoSliceMut<'b>]) -> Self {
        ReceivingVectored { socket, buffers }
    }
}

/// As an arm: `recvmsg` with MSG_DONTWAIT gives bytes, or the end of the stream, or has done nothing.
impl Pollable for ReceivingVectored<'_, '_> {
    type Output = usize;

    fn fd(&self) -> RawFd {
        self.socket.fd()
    }

    fn events(&self) -> u32 {
        (libc::POLLIN | libc::POLLRDHUP) as u32
    }

    fn verb(&self) -> &'static str {
        "recv_vectored"
    }

    fn readiness(&self) -> Readiness {
        self.socket.readiness(self.buffers.iter().any(|buffer| !buffer.is_empty()))
    }

    fn is_nothing(&self) -> bool {
        self.socket.is_stream() && self.buffers.iter().all(|buffer| buffer.is_empty())
    }

    fn attempt(&mut self) -> Option<io::Result<usize>> {
        let empty = self.buffers.iter().take_while(|buffer| buffer.is_empty()).count();
        let buffers = &mut self.buffers[empty..];
        let count = buffers.len().min(MAX_BUFFERS);
        let room = buffers[..count].iter().map(|buffer| buffer.len()).sum();
        if room == 0 && self.socket.is_stream() {
            return Some(Ok(0));
        }
        let mut header = empty_header();
        // `IoSliceMut` is an `iovec`, as its docs promise.
        header.msg_iov = buffers.as_mut_ptr().cast();
        header.msg_iovlen = count;
        // SAFETY: the header names buffers that are borrowed mutably.
        let result = sys::check_size(unsafe { libc::recvmsg(self.fd(), &mut header, libc::MSG_DONTWAIT) });
        match &result {
            Ok(n) => self.socket.note_received(*n, room),
            Err(_) => self.socket.note_drained(),
        }
        unless_blocked(result)
    }
}

impl<'a, 'b> Lending for ReceivingVectored<'a, 'b> {
    type Back = (usize, &'a mut [IoSliceMut<'b>]);

    fn give_back(&mut self, n: usize) -> Self::Back {
        (n, std::mem::take(&mut self.buffers))
    }
}
