//! A descriptor for futures: tried without blocking, and else watched by a poll whose completion wakes.
//!
//! ```text
//!   Async ──▶ box: reading │ writing            each an `InFlight` and a Waker
//!                   │
//!      try ─ EAGAIN ┴─▶ keep the Waker, poll in flight ──completion──▶ wake; the next call tries again
//!                                   │
//!        drop: cancel, wait for the last completion, free the box, and only then close the descriptor
//!        forget: the box is leaked; the end of the Cooperator cancels what is in flight
//! ```
//!
//! No buffer is ever lent to the kernel: a future can be forgotten at any moment, and its buffer be gone.

use super::outside;
use crate::cooperator::{Cooperator, no_cooperator_text};
use crate::handle::{InFlight, Narrow};
use crate::net::Stream;
use crate::ring::Completion;
use crate::sys;
use std::cell::Cell;
use std::fmt;
use std::future::poll_fn;
use std::io;
use std::mem::MaybeUninit;
use std::net::Shutdown;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::panic::Location;
use std::ptr::NonNull;
use std::task::{Context, Poll, Waker};

/// A socket, or whatever else has a descriptor that can be polled, for futures.
///
/// ```
/// use coop::{block_on, future::Async, net::UnixStream};
/// use std::io;
/// coop::run(|| -> io::Result<()> {
///     let (ours, theirs) = UnixStream::pair()?;
///     let ours = Async::new(ours);
///     coop::spawn(move || theirs.send_all(b"hello"));
///     let mut buf = [0; 16];
///     let n = block_on(ours.recv(&mut buf))??;
///     assert_eq!(&buf[..n], b"hello");
///     Ok(())
/// }).unwrap();
/// ```
///
/// Its functions are no wait points, and not kill-checked: what waits is the [`block_on`](super::block_on) around them. Bytes
/// are moved by the call that gives their number, never in between, so that a future which is dropped while it is pending has
/// moved none.
///
/// For each direction there is one Waker, that of the last call which was pending: two tasks may use an `Async`, one to receive
/// and one to send.
///
/// Dropping it, or taking the stream out, ends what is in flight, and waits for that out of reach of kills: a wait point.
///
/// It stays on its thread:
///
/// ```compile_fail
/// # coop::run(|| {
/// let (ours, _theirs) = coop::net::UnixStream::pair().unwrap();
/// let ours = coop::future::Async::new(ours);
/// std::thread::spawn(move || ours);
/// # });
/// ```
///
/// With the feature `futures-io` it implements `futures_io::{AsyncRead, AsyncWrite}`, and with the feature `hyper`
/// `hyper::rt::{Read, Write}`, where `S` is a stream of [`net`](crate::net).
pub struct Async<S> {
    /// Freed by `end`, when nothing is in flight; else leaked.
    ends: NonNull<Ends>,
    stream: S,
}

struct Ends {
    reading: End,
    writing: End,
}

/// One direction.
struct End {
    poll: InFlight,
    narrow: Narrow,
    waker: Cell<Option<Waker>>,
}

// SAFETY: an `End` stands in a box that stays until nothing is in flight.
unsafe impl Completion for End {
    fn complete(&self, result: i32, flags: u32, last: bool) {
        self.poll.complete(result, flags, last);
        if last && let Some(waker) = self.waker.take() {
            outside::wake(waker);
        }
    }
}

impl End {
    fn new() -> Self {
        End { poll: InFlight::new(), narrow: Narrow::new(), waker: Cell::new(None) }
    }

    /// Makes `attempt`, which has done nothing when it says `WouldBlock`. Then the Waker is woken when `fd` has one of `events`.
    fn poll<T>(
        &self,
        context: &mut Context<'_>,
        fd: RawFd,
        events: i16,
        attempt: impl FnOnce() -> io::Result<T>,
    ) -> Poll<io::Result<T>> {
        let Some(cooperator) = Cooperator::current() else {
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::Unsupported, no_cooperator_text())));
        };
        // While the poll flies, the kernel has seen the descriptor unready and will tell.
        if !self.poll.is_flying() {
            // (A cancel is not ours: it was the end of a Cooperator that this has outlived.)
            if let Some(result) = self.poll.take_result()
                && result != -libc::ECANCELED
                && let Err(error) = self.narrow.is_due(fd, events as u32, result)
            {
                return Poll::Ready(Err(error));
            }
            if cooperator.scheduler.spend() {
                // Many calls in a row have succeeded: the others' turn.
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
            match attempt() {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                result => return Poll::Ready(result),
            }
        }
        let waker = context.waker().clone();
        let before = self.waker.replace(Some(waker));
        // The clone may have been a user's, and have done anything.
        if !self.poll.is_flying() {
            // SAFETY: the box stays until nothing is in flight; a poll names no memory.
            unsafe { self.poll.submit_for(cooperator, self.narrow.poll(fd, events as u32), self) };
        }
        drop(before);
        Poll::Pending
    }
}

impl<S: AsFd> Async<S> {
    /// Makes a descriptor ready for futures. Nothing is in flight yet, and whether the descriptor is in non-blocking mode does
    /// not matter.
    pub fn new(stream: S) -> Self {
        let ends = Box::leak(Box::new(Ends { reading: End::new(), writing: End::new() }));
        Async { ends: NonNull::from(ends), stream }
    }

    /// Whether reading from it would not block. What it waits for is also an end of the stream, or an error.
    ///
    /// ```
    /// use coop::{block_on, future::Async};
    /// use std::io::Read;
    /// use std::future::poll_fn;
    /// coop::run(|| -> std::io::Result<()> {
    ///     let (pipe, writer) = std::io::pipe()?;
    ///     let pipe = Async::new(pipe);
    ///     coop::spawn(move || drop(writer));
    ///     block_on(poll_fn(|cx| pipe.poll_readable(cx)))??;
    ///     assert_eq!(pipe.get_ref().read(&mut [0; 8])?, 0, "the end");
    ///     Ok(())
    /// }).unwrap();
    /// ```
    ///
    /// # Errors
    /// Those of poll(2), and of the ring's poll; without a Cooperator `Unsupported`.
    pub fn poll_readable(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let fd = self.fd();
        self.ends().reading.poll(context, fd, libc::POLLIN, || is_ready(fd, libc::POLLIN))
    }

    /// Whether writing to it would not block, or would give an error.
    ///
    /// # Errors
    /// As [`poll_readable`](Self::poll_readable).
    pub fn poll_writable(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let fd = self.fd();
        self.ends().writing.poll(context, fd, libc::POLLOUT, || is_ready(fd, libc::POLLOUT))
    }

    fn fd(&self) -> RawFd {
        self.stream.as_fd().as_raw_fd()
    }
}

impl<S: Stream + AsFd> Async<S> {
    /// Receives what is there: at least one byte, or 0 at the end of the stream (or for an empty buffer).
    ///
    /// # Errors
    /// Those of recv(2), and of the ring's poll; without a Cooperator `Unsupported`.
    pub fn poll_recv(&self, context: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        // SAFETY: a `u8` is a `MaybeUninit<u8>`; what is received into it is initialised.
        self.poll_recv_uninit(context, unsafe { &mut *(std::ptr::from_mut(buffer) as *mut [MaybeUninit<u8>]) })
    }

    /// The same: the bytes whose number it gives are initialised, the others are what they were.
    pub(super) fn poll_recv_uninit(
        &self,
        context: &mut Context<'_>,
        buffer: &mut [MaybeUninit<u8>],
    ) -> Poll<io::Result<usize>> {
        let fd = self.fd();
        if buffer.is_empty() {
            return Poll::Ready(Ok(0));
        }
        self.ends().reading.poll(context, fd, libc::POLLIN, || {
            uninterrupted(|| {
                // SAFETY: `buffer` is writable for its length.
                unsafe { libc::recv(fd, buffer.as_mut_ptr().cast(), buffer.len(), libc::MSG_DONTWAIT) }
            })
        })
    }

    /// Sends what the socket has room for: at least one byte (or 0 of an empty buffer).
    ///
    /// # Errors
    /// Those of send(2) (a peer that is gone is `BrokenPipe`, never a signal), and of the ring's poll; without a Cooperator
    /// `Unsupported`.
    pub fn poll_send(&self, context: &mut Context<'_>, buffer: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_send_vectored(context, &[io::IoSlice::new(buffer)])
    }

    /// Sends what the socket has room for of several buffers, one after the other. Of more than 1,024 the first 1,024 are looked
    /// at.
    ///
    /// # Errors
    /// As [`poll_send`](Self::poll_send).
    pub fn poll_send_vectored(
        &self,
        context: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        /// The kernel's limit, UIO_MAXIOV.
        const MOST: usize = 1024;
        // Empty ones in front are left out: a call that moves nothing would look as if the stream took no more.
        let empty = buffers.iter().take_while(|buffer| buffer.is_empty()).count();
        let (fd, buffers) = (self.fd(), &buffers[empty..buffers.len().min(empty + MOST)]);
        if buffers.is_empty() {
            return Poll::Ready(Ok(0));
        }
        self.ends().writing.poll(context, fd, libc::POLLOUT, || {
            uninterrupted(|| {
                // SAFETY: all zeros is a message without anything.
                let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
                // An `IoSlice` is an `iovec`, as its documentation promises.
                message.msg_iov = buffers.as_ptr().cast_mut().cast();
                message.msg_iovlen = buffers.len() as _;
                // SAFETY: the message names readable memory for its length, and nothing else.
                unsafe { libc::sendmsg(fd, &message, libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL) }
            })
        })
    }

    /// Receives some bytes, as [`poll_recv`](Self::poll_recv). A future that is dropped has received none.
    ///
    /// # Errors
    /// As `poll_recv`.
    pub async fn recv(&self, buffer: &mut [u8]) -> io::Result<usize> {
        poll_fn(|context| self.poll_recv(context, buffer)).await
    }

    /// Sends some bytes, as [`poll_send`](Self::poll_send). A future that is dropped has sent none.
    ///
    /// # Errors
    /// As `poll_send`.
    pub async fn send(&self, buffer: &[u8]) -> io::Result<usize> {
        poll_fn(|context| self.poll_send(context, buffer)).await
    }

    /// Closes one or both directions. One that is closed, or was never connected, stays so.
    ///
    /// # Errors
    /// Those of shutdown(2).
    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        let how = match how {
            Shutdown::Read => libc::SHUT_RD,
            Shutdown::Write => libc::SHUT_WR,
            Shutdown::Both => libc::SHUT_RDWR,
        };
        // SAFETY: shutdown has no preconditions.
        match sys::check(unsafe { libc::shutdown(self.fd(), how) }) {
            // The peer was faster.
            Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(()),
            result => result.map(drop),
        }
    }
}

impl<S> Async<S> {
    fn ends(&self) -> &Ends {
        // SAFETY: the box is freed by `end` alone, which the last use of `self` calls.
        unsafe { self.ends.as_ref() }
    }

    /// The stream itself, whose calls block the task. No call waits for what a poll of the other form waits for, and neither is
    /// in the way of the other.
    pub fn get_ref(&self) -> &S {
        &self.stream
    }

    /// Gives the stream back. Ends what is in flight, and waits for that, out of reach of kills: a wait point.
    #[track_caller]
    pub fn into_inner(self) -> S {
        let this = std::mem::ManuallyDrop::new(self);
        // SAFETY: `this` is not used again, and not dropped: the stream is moved out of it once.
        let stream = unsafe { std::ptr::read(&this.stream) };
        // SAFETY: as above.
        unsafe { end(this.ends, Location::caller()) };
        stream
    }
}

impl<S> Drop for Async<S> {
    #[track_caller]
    fn drop(&mut self) {
        // SAFETY: nobody uses it any more. (The stream, which is dropped after this, is closed when no poll watches it any more.)
        unsafe { end(self.ends, Location::caller()) };
    }
}

/// Cancels and drains what is in flight, and frees the box.
///
/// # Safety
/// Called once.
unsafe fn end(ends: NonNull<Ends>, place: &'static Location<'static>) {
    // SAFETY: the box is there until here.
    let this = unsafe { ends.as_ref() };
    let both = [&this.reading, &this.writing];
    // Nobody is to be woken any more. A Waker's drop may be a user's, and panic: it comes last, when all is done.
    let _wakers = both.map(|end| end.waker.take());
    if let Some(cooperator) = Cooperator::current() {
        both.iter().for_each(|end| end.poll.cancel(cooperator));
        both.iter().for_each(|end| end.poll.settle(cooperator, place));
    }
    // Without a Cooperator nothing flies: it has drained everything before it went. But in a forked child the polls are the
    // parent's.
    if !both.iter().any(|end| end.poll.is_flying()) {
        // SAFETY: it was boxed, and nobody outside refers to it.
        drop(unsafe { Box::from_raw(ends.as_ptr()) });
    }
}

impl<S: AsFd> AsFd for Async<S> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

impl<S: fmt::Debug> fmt::Debug for Async<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Async").field(&self.stream).finish()
    }
}

/// Whether `fd` has one of `events`, or an error; `WouldBlock` if not.
fn is_ready(fd: RawFd, events: i16) -> io::Result<()> {
    let mut poll = libc::pollfd { fd, events, revents: 0 };
    // SAFETY: one descriptor to look at, without patience.
    match uninterrupted(|| unsafe { libc::poll(&mut poll, 1, 0) } as isize)? {
        0 => Err(io::ErrorKind::WouldBlock.into()),
        _ if poll.revents & libc::POLLNVAL != 0 => Err(io::Error::from_raw_os_error(libc::EBADF)),
        _ => Ok(()),
    }
}

/// Makes a call that does not block, again if a signal was faster.
fn uninterrupted(mut call: impl FnMut() -> isize) -> io::Result<usize> {
    loop {
        match sys::check_size(call()) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}
