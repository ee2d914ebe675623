//! Moving bytes between a buffer and a descriptor, in flight.

use crate::cooperator::Cooperator;
use crate::coordinator::Coordinator;
use crate::error::Killed;
use crate::fiber::{Detail, Reason};
use crate::handle::{Flight, InFlight};
use crate::ring::Sqe;
use std::cell::Cell;
use std::error::Error;
use std::fmt;
use std::io;
use std::marker::PhantomPinned;
use std::panic::Location;

/// What a Handle over a buffer gives: how many bytes were moved, and the buffer that was lent.
#[derive(Debug, PartialEq, Eq)]
pub struct Transfer<B> {
    n: usize,
    buf: B,
}

impl<B> Transfer<B> {
    pub(crate) fn new(n: usize, buf: B) -> Self {
        Transfer { n, buf }
    }
}

impl<B: AsRef<[u8]>> Transfer<B> {
    /// How many bytes were moved. Receiving or reading: 0 is the end of the stream.
    pub fn n(&self) -> usize {
        self.n
    }

    /// The bytes that were moved.
    pub fn bytes(&self) -> &[u8] {
        &self.buf.as_ref()[..self.n]
    }

    /// The whole buffer, to be used again.
    pub fn into_buf(self) -> B {
        self.buf
    }
}

/// A call made of several transfers ended before it was done: by an error, by a kill, or by the end of the stream.
///
/// It travels in an [`io::Error`] of its cause's kind; [`Partial::of`] finds it there.
#[derive(Debug)]
pub struct Partial {
    /// Bytes that were moved.
    pub done: usize,
    cause: io::Error,
}

impl Partial {
    /// The `Partial` that an `io::Error` carries, if it does.
    ///
    /// ```
    /// use coop::{io::Partial, net::UnixStream};
    /// coop::run(|| -> std::io::Result<()> {
    ///     let (ours, theirs) = UnixStream::pair()?;
    ///     theirs.send_all(b"abc")?;
    ///     drop(theirs);
    ///     let error = ours.recv_exact(&mut [0; 5]).unwrap_err();
    ///     assert_eq!(error.kind(), std::io::ErrorKind::UnexpectedEof);
    ///     assert_eq!(Partial::of(&error).unwrap().done, 3);
    ///     Ok(())
    /// }).unwrap();
    /// ```
    pub fn of(error: &io::Error) -> Option<&Partial> {
        error.get_ref().and_then(|inner| inner.downcast_ref())
    }

    pub(crate) fn error(done: usize, cause: io::Error) -> io::Error {
        io::Error::new(cause.kind(), Partial { done, cause })
    }
}

impl fmt::Display for Partial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (after {} bytes)", self.cause, self.done)
    }
}

impl Error for Partial {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.cause)
    }
}

/// A transfer that was started: the kernel has the buffer.
#[doc(hidden)]
pub struct TransferFlight<B> {
    sqe: Sqe,
    /// Bytes moved by submissions before this one.
    done: usize,
    /// Bytes behind those of the submission, which are to be moved too: one submission moves at most 2 GiB.
    rest: usize,
    /// There is nothing to move: the kernel is not asked.
    is_nothing: bool,
    /// Nothing more is begun.
    is_aborted: Cell<bool>,
    verb: &'static str,
    buffer: Cell<Option<B>>,
    flight: InFlight,
    _pinned: PhantomPinned,
}

impl<B> TransferFlight<B> {
    /// # Safety
    /// `sqe` names no memory but that of `buffer`, which stays where it is while `buffer` lives, wherever that is moved.
    pub(crate) unsafe fn new(sqe: Sqe, verb: &'static str, buffer: B) -> Self {
        TransferFlight {
            sqe,
            done: 0,
            rest: 0,
            is_nothing: false,
            is_aborted: Cell::new(false),
            verb,
            buffer: Cell::new(Some(buffer)),
            flight: InFlight::new(),
            _pinned: PhantomPinned,
        }
    }

    /// Goes on until all `len` bytes of the buffer were moved.
    pub(crate) fn until(self, len: usize) -> Self {
        TransferFlight { rest: len - self.sqe.len as usize, ..self }
    }

    /// Done as soon as it is started: there is nothing to move, and nothing is submitted.
    pub(crate) fn of_nothing(self) -> Self {
        TransferFlight { is_nothing: true, ..self }
    }

    pub(crate) fn joined(result: Result<io::Result<Transfer<B>>, Killed>) -> io::Result<Transfer<B>> {
        result?
    }
}

// SAFETY: the kernel has the buffer's memory and the flight's address until the last completion, which `is_over` tells. A
// transfer that completes after `abort` is given out by `land`.
unsafe impl<B> Flight for TransferFlight<B> {
    type Output = io::Result<Transfer<B>>;

    unsafe fn launch(&self, cooperator: &Cooperator) {
        if self.is_nothing {
            return self.flight.done().release();
        }
        // SAFETY: the caller keeps the flight, and so the buffer, in place until it is over.
        unsafe { self.flight.submit(cooperator, self.sqe) };
    }

    fn news(&self) -> &Coordinator {
        self.flight.done()
    }

    fn is_ready(&self) -> bool {
        !self.flight.is_flying()
    }

    fn land(&mut self, cooperator: &Cooperator) -> Option<Self::Output> {
        let result = match self.flight.take_result() {
            Some(result) => result,
            None if self.is_nothing => 0,
            // Stopped by a cancel. What was moved before is told of.
            None if self.done != 0 && !self.flight.is_flying() => 0,
            None => return None,
        };
        let moved = usize::try_from(result);
        if moved == Ok(self.sqe.len as usize) && self.rest != 0 && !self.is_aborted.get() {
            let n = self.sqe.len;
            self.done += n as usize;
            self.sqe.addr += u64::from(n);
            self.sqe.len = u32::try_from(self.rest).map_or(n, |rest| rest.min(n));
            self.rest -= self.sqe.len as usize;
            // SAFETY: it was launched, so it stays in place until it is over; the submission names the next part of the buffer.
            unsafe { self.flight.submit(cooperator, self.sqe) };
            return None;
        }
        // A signal, and no cancel of ours: nothing was moved.
        if result == -libc::EINTR && !self.is_aborted.get() {
            // SAFETY: as above; the same part once more.
            unsafe { self.flight.submit(cooperator, self.sqe) };
            return None;
        }
        let buf = self.buffer.take()?;
        match moved {
            Ok(n) => Some(Ok(Transfer { n: self.done + n, buf })),
            // As for an error within one submission: it comes again at the next call.
            Err(_) if self.done != 0 => Some(Ok(Transfer { n: self.done, buf })),
            Err(_) => Some(Err(io::Error::from_raw_os_error(-result))),
        }
    }

    fn abort(&self, cooperator: &Cooperator) {
        self.is_aborted.set(true);
        self.flight.cancel(cooperator);
    }

    fn settle(&self, cooperator: &Cooperator, place: &'static Location<'static>) {
        self.flight.settle(cooperator, place);
    }

    fn is_over(&self) -> bool {
        !self.flight.is_flying()
    }

    fn reason(&self) -> Reason {
        Reason::on(self.verb, Detail::Descriptor(self.sqe.fd))
    }
}
