//! Sending.

use super::polling::unless_blocked;
use super::socket::{Socket, begin};
use crate::cooperator::Cooperator;
use crate::coordinator::Wait;
use crate::error::Killed;
use crate::fiber::{Detail, Reason};
use crate::handle::{Arm, Awaited, Operation, Pollable, Polled, Readiness, Sealed};
use crate::io::{Partial, Transfer, TransferFlight};
use crate::ring::Sqe;
use crate::scheduler::Stopped;
use std::io;
use std::os::fd::RawFd;
use std::panic::Location;

/// `op::send`: sends what fits.
#[doc(hidden)]
pub struct Send<'a>(Polled<Sending<'a>>);

#[doc(hidden)]
pub struct Sending<'a> {
    socket: &'a Socket,
    buffer: &'a [u8],
}

impl<'a> Send<'a> {
    pub(crate) fn new(socket: &'a Socket, buffer: &'a [u8]) -> Self {
        Send(Polled::new(Sending { socket, buffer }))
    }
}

/// As an arm: `send` with MSG_DONTWAIT takes at least a byte, or has done nothing.
impl Pollable for Sending<'_> {
    type Output = usize;

    fn fd(&self) -> RawFd {
        self.socket.fd()
    }

    fn events(&self) -> u32 {
        libc::POLLOUT as u32
    }

    fn verb(&self) -> &'static str {
        "send"
    }

    fn readiness(&self) -> Readiness {
        Readiness::Maybe
    }

    fn attempt(&mut self) -> Option<io::Result<usize>> {
        if self.buffer.is_empty() && self.socket.is_stream() {
            return Some(Ok(0));
        }
        unless_blocked(self.socket.try_send(self.buffer))
    }
}

impl Sealed for Send<'_> {}

// SAFETY: every call goes to the `Polled` inside.
#[diagnostic::do_not_recommend]
unsafe impl Arm for Send<'_> {
    type Output = io::Result<usize>;
    type Itself = Self;

    fn itself(self) -> Self {
        self
    }

    fn readiness(&self) -> Readiness {
        Arm::readiness(&self.0)
    }
    fn attempt(&mut self, cooperator: &Cooperator) -> Option<io::Result<usize>> {
        Arm::attempt(&mut self.0, cooperator)
    }
    unsafe fn enlist(&self, cooperator: &Cooperator, wait: &Wait, index: usize) {
        // SAFETY: the caller's promise.
        unsafe { self.0.enlist(cooperator, wait, index) };
    }
    fn won(&mut self, cooperator: &Cooperator) -> Option<io::Result<usize>> {
        self.0.won(cooperator)
    }
    fn disengage(&self, cooperator: &Cooperator) {
        self.0.disengage(cooperator);
    }
    fn settle(&self, cooperator: &Cooperator, place: &'static Location<'static>) {
        Arm::settle(&self.0, cooperator, place);
    }
}

fn transfer_flight<'a>(socket: &Socket, buffer: &'a [u8], flags: i32) -> TransferFlight<&'a [u8]> {
    let sqe = Sqe::send(socket.fd(), buffer.as_ptr(), buffer.len(), flags | libc::MSG_NOSIGNAL);
    // SAFETY: the submission names the buffer's memory, which moving the reference does not move.
    unsafe { TransferFlight::new(sqe, "send", buffer) }
}

impl<'a> Operation for Send<'a> {
    type Output = io::Result<usize>;
    type Waited = io::Result<usize>;
    type Started = io::Result<Transfer<&'a [u8]>>;
    type Joined = io::Result<Transfer<&'a [u8]>>;
    type Flight = TransferFlight<&'a [u8]>;

    #[track_caller]
    fn wait(self) -> io::Result<usize> {
        send(self.0.what.socket, self.0.what.buffer)
    }

    fn into_flight(self) -> Self::Flight {
        transfer_flight(self.0.what.socket, self.0.what.buffer, 0)
    }

    fn joined(result: Result<Self::Started, Killed>) -> Self::Joined {
        TransferFlight::joined(result)
    }
}

/// `op::send_all`: sends everything, which a kill or an error may leave half done. So it is no arm by value.
#[doc(hidden)]
pub struct SendAll<'a> {
    socket: &'a Socket,
    buffer: &'a [u8],
}

impl<'a> SendAll<'a> {
    pub(crate) fn new(socket: &'a Socket, buffer: &'a [u8]) -> Self {
        SendAll { socket, buffer }
    }
}

impl Sealed for SendAll<'_> {}

impl<'a> Operation for SendAll<'a> {
    type Output = io::Result<()>;
    type Waited = io::Result<()>;
    type Started = io::Result<Transfer<&'a [u8]>>;
    type Joined = io::Result<Transfer<&'a [u8]>>;
    type Flight = TransferFlight<&'a [u8]>;

    #[track_caller]
    fn wait(self) -> io::Result<()> {
        send_all(self.socket, self.buffer)
    }

    fn into_flight(self) -> Self::Flight {
        // The kernel itself goes on until all is sent, or the connection or a cancel ends it.
        transfer_flight(self.socket, self.buffer, libc::MSG_WAITALL).until(self.buffer.len())
    }

    fn joined(result: Result<Self::Started, Killed>) -> Self::Joined {
        TransferFlight::joined(result)
    }
}

/// Sends some of `buffer`: at once if it fits and nobody else is ready; else through the ring, together with what others send, or
/// when there is room.
#[inline]
#[track_caller]
pub(super) fn send(socket: &Socket, buffer: &[u8]) -> io::Result<usize> {
    let place = Location::caller();
    loop {
        let cooperator = begin()?;
        if !(cooperator.submits_together() && stays_cached(cooperator, socket, buffer.len()))
            && let Some(result) = unless_blocked(socket.try_send(buffer))
        {
            cooperator.scheduler.spend_call();
            return result;
        }
        let awaited = Awaited::new(cooperator);
        // SAFETY: `awaited` is on this frame, and the buffer is borrowed by it: it is left when there is a result.
        let result = unsafe {
            launch(&awaited, cooperator, socket.fd(), buffer.as_ptr(), buffer.len(), place).switch();
            awaited.result(cooperator, place)?
        };
        match usize::try_from(result) {
            Ok(n) => return Ok(n),
            Err(_) if result == -libc::EINTR => {}
            Err(_) => return Err(io::Error::from_raw_os_error(-result)),
        }
    }
}

/// # Safety
/// As [`Awaited::launch`]; `buffer` is readable for `len` bytes for as long.
#[inline(never)]
unsafe fn launch(
    awaited: &Awaited,
    cooperator: &Cooperator,
    fd: RawFd,
    buffer: *const u8,
    len: usize,
    place: &'static Location<'static>,
) -> Stopped {
    let reason = Reason::on("send", Detail::Descriptor(fd));
    // SAFETY: the caller's promise.
    unsafe { awaited.launch(cooperator, Sqe::send(fd, buffer, len, libc::MSG_NOSIGNAL), reason, place) }
}

/// Sends all of `buffer`.
#[inline]
#[track_caller]
pub(super) fn send_all(socket: &Socket, buffer: &[u8]) -> io::Result<()> {
    let mut done = 0;
    while done < buffer.len() {
        match send(socket, &buffer[done..]) {
            Ok(n) => done += n,
            Err(error) => return Err(Partial::error(done, error)),
        }
    }
    Ok(())
}

/// Whether what is sent together with others is still in the processor's caches when it is its turn. Where all who are ready or wait for the
/// kernel are about to send as much each, and that is more than the caches hold, it had better be sent at once: if there is more to
/// receive on the same connection, it then comes into the same memory. 1,000 connections that echo 32 KiB at a time cost a sixth less.
/// (64 cost less together: the peer is woken less often.)
#[inline]
fn stays_cached(cooperator: &Cooperator, socket: &Socket, len: usize) -> bool {
    /// Of which as many as run in a turn fit in any case.
    const LITTLE: usize = 4096;
    /// More than that a socket's buffer rarely takes at once.
    const MUCH: usize = 128 * 1024;
    /// About the part of a processor's caches that is one core's.
    const CACHE: u64 = 4 << 20;
    #[inline(never)]
    fn fits(cooperator: &Cooperator, len: usize) -> bool {
        let all = cooperator.scheduler.pulse().ready() + cooperator.in_flight() as u64;
        len.min(MUCH) as u64 * all <= CACHE
    }
    len <= LITTLE || socket.is_drained() || fits(cooperator, len)
}
