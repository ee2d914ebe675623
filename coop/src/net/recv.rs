//! Receiving.

use super::polling::{Lending, unless_blocked};
use super::socket::{Socket, begin};
use crate::cooperator::Cooperator;
use crate::coordinator::Wait;
use crate::error::Killed;
use crate::fiber::{Detail, Reason};
use crate::handle::{Arm, Awaited, Operation, Pollable, Polled, Readiness, Sealed};
use crate::io::{Partial, Transfer, TransferFlight};
use crate::ring::{POLL_FIRST, Sqe};
use crate::scheduler::Stopped;
use std::io;
use std::os::fd::RawFd;
use std::panic::Location;

/// `op::recv`.
#[doc(hidden)]
pub struct Recv<'a>(Polled<Receiving<'a>>);

#[doc(hidden)]
pub struct Receiving<'a> {
    socket: &'a Socket,
    buffer: &'a mut [u8],
}

impl<'a> Recv<'a> {
    pub(crate) fn new(socket: &'a Socket, buffer: &'a mut [u8]) -> Self {
        Recv(Polled::new(Receiving { socket, buffer }))
    }
}

/// As an arm: `recv` with MSG_DONTWAIT gives bytes, or the end of the stream, or has done nothing.
impl Pollable for Receiving<'_> {
    type Output = usize;

    fn fd(&self) -> RawFd {
        self.socket.fd()
    }

    fn events(&self) -> u32 {
        (libc::POLLIN | libc::POLLRDHUP) as u32
    }

    fn verb(&self) -> &'static str {
        "recv"
    }

    fn readiness(&self) -> Readiness {
        self.socket.readiness(!self.buffer.is_empty())
    }

    fn attempt(&mut self) -> Option<io::Result<usize>> {
        if self.buffer.is_empty() && self.socket.is_stream() {
            return Some(Ok(0));
        }
        unless_blocked(self.socket.try_recv(self.buffer, 0))
    }
}

impl Sealed for Recv<'_> {}

// SAFETY: every call goes to the `Polled` inside.
#[diagnostic::do_not_recommend]
unsafe impl Arm for Recv<'_> {
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

impl<'a> Operation for Recv<'a> {
    type Output = io::Result<usize>;
    type Waited = io::Result<usize>;
    type Started = io::Result<Transfer<&'a mut [u8]>>;
    type Joined = io::Result<Transfer<&'a mut [u8]>>;
    type Flight = TransferFlight<&'a mut [u8]>;

    #[track_caller]
    fn wait(self) -> io::Result<usize> {
        recv(self.0.what.socket, self.0.what.buffer)
    }

    fn into_flight(self) -> Self::Flight {
        let Receiving { socket, buffer } = self.0.what;
        let sqe = Sqe::recv(socket.fd(), buffer.as_mut_ptr(), buffer.len(), 0, 0);
        // The kernel would wait for bytes, and then give none.
        let is_nothing = buffer.is_empty() && socket.is_stream();
        // SAFETY: the submission names the buffer's memory, which moving the reference does not move.
        let flight = unsafe { TransferFlight::new(sqe, "recv", buffer) };
        if is_nothing { flight.of_nothing() } else { flight }
    }

    fn joined(result: Result<Self::Started, Killed>) -> Self::Joined {
        TransferFlight::joined(result)
    }
}

/// Receives into `buffer`: at once if there is likely something there, else when the ring says so.
#[inline]
#[track_caller]
pub(super) fn recv(socket: &Socket, buffer: &mut [u8]) -> io::Result<usize> {
    let place = Location::caller();
    loop {
        let cooperator = begin()?;
        if buffer.is_empty() && socket.is_stream() {
            return Ok(0);
        }
        if !socket.is_drained()
            && let Some(result) = unless_blocked(socket.try_recv(buffer, 0))
        {
            cooperator.scheduler.spend_call();
            return result;
        }
        let awaited = Awaited::new(cooperator);
        // SAFETY: `awaited` is on this frame, and the buffer is borrowed by it: it is left when there is a result.
        let result = unsafe {
            launch(&awaited, cooperator, socket.fd(), buffer.as_mut_ptr(), buffer.len(), place).switch();
            awaited.result(cooperator, place)?
        };
        match usize::try_from(result) {
            Ok(n) => {
                socket.note_received(n, buffer.len());
                return Ok(n);
            }
            Err(_) if result == -libc::EINTR => {}
            Err(_) => return Err(io::Error::from_raw_os_error(-result)),
        }
    }
}

/// # Safety
/// As [`Awaited::launch`]; `buffer` is writable for `len` bytes for as long.
#[inline(never)]
unsafe fn launch(
    awaited: &Awaited,
    cooperator: &Cooperator,
    fd: RawFd,
    buffer: *mut u8,
    len: usize,
    place: &'static Location<'static>,
) -> Stopped {
    let reason = Reason::on("recv", Detail::Descriptor(fd));
    // SAFETY: the caller's promise.
    unsafe { awaited.launch(cooperator, Sqe::recv(fd, buffer, len, 0, POLL_FIRST), reason, place) }
}

/// Receives until `buffer` is full.
#[track_caller]
pub(super) fn recv_exact(socket: &Socket, buffer: &mut [u8]) -> io::Result<()> {
    let mut done = 0;
    while done < buffer.len() {
        match recv(socket, &mut buffer[done..]) {
            Ok(0) => {
                return Err(Partial::error(done, io::Error::new(io::ErrorKind::UnexpectedEof, "the stream ended")));
            }
            Ok(n) => done += n,
            Err(error) => return Err(Partial::error(done, error)),
        }
    }
    Ok(())
}

/// `op::peek`: looks at what is there, or comes next, without taking it.
#[doc(hidden)]
pub struct Peeking<'a> {
    socket: &'a Socket,
    buffer: &'a mut [u8],
}

impl<'a> Peeking<'a> {
    pub(crate) fn new(socket: &'a Socket, buffer: &'a mut [u8]) -> Self {
        Peeking { socket, buffer }
    }
}

/// As an arm: to look takes nothing.
impl Pollable for Peeking<'_> {
    type Output = usize;

    fn fd(&self) -> RawFd {
        self.socket.fd()
    }

    fn events(&self) -> u32 {
        (libc::POLLIN | libc::POLLRDHUP) as u32
    }

    fn verb(&self) -> &'static str {
        "peek"
    }

    fn readiness(&self) -> Readiness {
        self.socket.readiness(!self.buffer.is_empty())
    }

    fn is_nothing(&self) -> bool {
        self.buffer.is_empty() && self.socket.is_stream()
    }

    fn attempt(&mut self) -> Option<io::Result<usize>> {
        if self.is_nothing() {
            return Some(Ok(0));
        }
        unless_blocked(self.socket.try_recv(self.buffer, libc::MSG_PEEK))
    }
}

impl<'a> Lending for Peeking<'a> {
    type Back = Transfer<&'a mut [u8]>;

    fn give_back(&mut self, n: usize) -> Self::Back {
        Transfer::new(n, std::mem::take(&mut self.buffer))
    }
}
