//! Receiving ahead: one operation of the kernel's for all that comes.
//!
//! ```text
//!   RECV, multishot ──▶ completion, and the buffer that was filled ──▶ chunks ──▶ set aside for a waiter, or for who comes next
//!      ▲                      │            └ another takes its place     └ small ones are put together
//!      │                      │ last: the end, an error, no buffer left, too many completions,
//!      │                      ▼       cancelled since too much waits
//!      └── armed again when somebody asks
//! ```

use super::aside::Aside;
use super::lease::Lease;
use super::socket::Socket;
use super::standing::Standing;
use crate::cooperator::Cooperator;
use crate::coordinator::Coordinator;
use crate::error::Killed;
use crate::fiber::{Detail, Reason};
use crate::handle::{Queued, Source};
use crate::ring::{Completion, GROUP, Provided, Sqe};
use std::cell::{Cell, RefCell};
use std::fmt;
use std::io;
use std::marker::{PhantomData, PhantomPinned};
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::panic::Location;
use std::ptr::NonNull;

/// So many chunks are received ahead; beyond, bytes wait in the kernel's own buffer, and then at the peer. Those that are set aside
/// for somebody do not count.
const AHEAD: usize = 8;

/// How the kernel is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Means {
    /// By one operation for all that comes, into buffers that it was provided with.
    Multishot,
    /// Where it takes no buffers: by polls, and calls that do not block.
    Polls,
}

/// What the kernel delivers to. Stays in its place while an operation flies.
struct Incoming {
    /// Good while somebody asks, or waits: he borrows the socket.
    socket: NonNull<Socket>,
    /// The same socket by a number of our own, until it is certain that the kernel has found it: of a `RecvAhead` that was forgotten
    /// the socket may be closed, and its number be another's.
    own: RefCell<Option<OwnedFd>>,
    means: Cell<Means>,
    /// There is no multishot receive for this one.
    is_refused: Cell<bool>,
    operation: Standing,
    chunks: Aside<io::Result<Lease>>,
    /// Chunks in the queue that are the end of the stream, or an error.
    ends: Cell<usize>,
    _pinned: PhantomPinned,
}

// SAFETY: it is leaked from its box, and freed only by the drop of its `RecvAhead`, when nothing flies.
unsafe impl Completion for Incoming {
    fn complete(&self, result: i32, flags: u32, last: bool) {
        self.operation.note(last);
        drop(self.own.take());
        match self.means.get() {
            Means::Multishot => self.filled(result, flags),
            // By us; or by the Cooperator, when it ends.
            Means::Polls if result == -libc::ECANCELED => {}
            Means::Polls if result < 0 => self.push(Err(io::Error::from_raw_os_error(-result))),
            // Nobody waits: whoever asks next looks himself.
            Means::Polls if !self.chunks.waiters.has_waiters() => {}
            // SAFETY: somebody waits.
            Means::Polls => unsafe { self.receive() },
        }
        if self.chunks.free() >= AHEAD {
            self.operation.cancel();
        }
        if last {
            self.operation.end();
            // Otherwise the next who asks does it. (When a Cooperator closes nobody waits any more.)
            if self.chunks.waiters.has_waiters() {
                // SAFETY: somebody waits.
                unsafe { self.arm() };
            }
        }
    }
}

impl Incoming {
    /// # Safety
    /// Somebody asks for a chunk, or waits for one: his borrow keeps the socket.
    unsafe fn socket(&self) -> &Socket {
        // SAFETY: the caller's promise.
        unsafe { self.socket.as_ref() }
    }

    /// Starts the operation, if it does not fly.
    ///
    /// # Safety
    /// As `socket`.
    unsafe fn arm(&self) {
        let Some(cooperator) = Cooperator::current() else { return };
        if self.operation.is_flying() {
            return;
        }
        // SAFETY: the caller's promise.
        let fd = unsafe { self.socket() }.fd();
        let own = cooperator
            .provided()
            .filter(|_| !self.is_refused.get())
            // SAFETY: the socket is open while it is borrowed.
            .and_then(|_| unsafe { BorrowedFd::borrow_raw(fd) }.try_clone_to_owned().ok());
        let sqe = match own {
            Some(own) => {
                self.means.set(Means::Multishot);
                Sqe::recv_multishot(self.own.borrow_mut().insert(own).as_raw_fd(), GROUP)
            }
            // What it says of another socket, if this one is forgotten, means nothing to anybody.
            None => {
                self.means.set(Means::Polls);
                Sqe::poll(fd, (libc::POLLIN | libc::POLLRDHUP) as u32)
            }
        };
        // SAFETY: `Completion` says why this stays in place; the operation names no memory but what was provided.
        unsafe { self.operation.begin(cooperator, sqe, self) };
    }

    /// What a completion of a multishot receive says.
    fn filled(&self, result: i32, flags: u32) {
        let Some(cooperator) = Cooperator::current() else { return };
        let Some(provided) = cooperator.provided() else { return };
        let buffer = provided.take(flags);
        match (result, buffer) {
            (1.., Some(buffer)) => {
                let n = buffer.len().min(result as usize);
                let last = |last: &mut io::Result<Lease>| last.as_mut().is_ok_and(|last| last.append(&buffer[..n]));
                // Not to what is somebody's already, who may be long in coming, while somebody else waits.
                let may_append = self.chunks.free() > 0 || !self.chunks.waiters.has_waiters();
                if may_append && self.chunks.items.borrow_mut().back_mut().is_some_and(last) {
                    provided.put(buffer);
                } else {
                    self.push(Ok(Lease::new(buffer, n, cooperator.buffers.clone())));
                }
            }
            (_, Some(buffer)) => {
                provided.put(buffer);
                self.said(result, cooperator);
            }
            (_, None) => self.said(result, cooperator),
        }
        // Whatever becomes of what was filled, the others do not lack it.
        cooperator.provide(provided);
    }

    /// What a completion without bytes says.
    fn said(&self, result: i32, cooperator: &Cooperator) {
        match -result {
            0 => self.push(Ok(Lease::of_nothing(cooperator.buffers.clone()))),
            // Too much came at once, for all connections together.
            libc::ENOBUFS => cooperator.provided().into_iter().for_each(Provided::want_more),
            // By us; or by the Cooperator, when it ends.
            libc::ECANCELED | libc::EINTR => {}
            // Linux 5.19 takes buffers, and knows no such receive.
            libc::EINVAL => self.is_refused.set(true),
            // Bytes, but no buffer that we know of: no kernel says so.
            ..0 => self.push(Err(io::Error::from_raw_os_error(libc::EIO))),
            error => self.push(Err(io::Error::from_raw_os_error(error))),
        }
    }

    /// Receives what is there, by calls.
    ///
    /// # Safety
    /// As `socket`.
    unsafe fn receive(&self) {
        let Some(cooperator) = Cooperator::current() else { return };
        // SAFETY: the caller's promise.
        let socket = unsafe { self.socket() };
        while self.chunks.free() < AHEAD {
            match Lease::try_recv(socket, &cooperator.buffers) {
                Ok(lease) => {
                    let goes_on = lease.len() == Lease::MAX;
                    self.push(Ok(lease));
                    if !goes_on {
                        return;
                    }
                }
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => return,
                Err(error) => return self.push(Err(error)),
            }
        }
    }

    /// Somebody wants a chunk: more should come.
    ///
    /// # Safety
    /// As `socket`.
    unsafe fn demand(&self) {
        let free = self.chunks.free();
        if free == 0 {
            // SAFETY: the caller's promise.
            unsafe {
                if self.means.get() == Means::Polls && !self.operation.is_flying() && !self.socket().is_drained() {
                    self.receive();
                }
                if self.chunks.free() == 0 {
                    self.arm();
                }
            }
        } else if free < AHEAD / 2 && self.ends.get() == 0 && self.means.get() == Means::Multishot {
            // SAFETY: the caller's promise.
            unsafe { self.arm() };
        }
    }

    fn push(&self, chunk: io::Result<Lease>) {
        self.ends.set(self.ends.get() + usize::from(is_end(&chunk)));
        self.chunks.push(chunk);
    }
}

fn is_end(chunk: &io::Result<Lease>) -> bool {
    chunk.as_ref().map_or(true, |lease| lease.is_empty())
}

/// A stream from which is received before it is asked for. Made by [`TcpStream::recv_ahead`](super::TcpStream::recv_ahead) and
/// [`UnixStream::recv_ahead`](super::UnixStream::recv_ahead).
///
/// The kernel is asked once for all that comes (`IORING_RECV_MULTISHOT`), and puts it into buffers that the Cooperator has provided
/// it with, one lot for all connections: a connection on which nothing comes has none. Each chunk is a [`Lease`] of such a buffer. A
/// lease may be kept; another buffer takes its place at once, so that nobody who keeps leases keeps others from receiving. Where the
/// kernel takes no buffers (before Linux 6.0, on a [hardened](crate::Builder::hardened) ring, without io_uring) it is polled, and
/// what is there received by a call: everything said here is so there too, but that nothing is received before somebody asks.
///
/// About 128 KiB are received before they are taken, and what comes in the same moment: at most 8 MiB, for all connections of a
/// Cooperator together. Beyond, bytes wait in the kernel, and then at the peer. What comes in small pieces while nobody takes it is
/// put together.
///
/// Several tasks may receive, first come, first served. It stays on its thread. Other calls that receive from the stream get
/// what comes between, so do not mix them. Dropping it discards what has been received and nobody has taken, as dropping a
/// `BufReader` does, and is a wait point; [`stop`](RecvAhead::stop) gives it back instead. One that is forgotten goes on receiving,
/// up to its bound, until its Cooperator ends, and keeps the connection open, also when the stream is dropped.
///
/// ```
/// use coop::net::UnixStream;
/// coop::run(|| -> std::io::Result<()> {
///     let (ours, theirs) = UnixStream::pair()?;
///     let incoming = ours.recv_ahead();
///     theirs.send_all(b"hello")?;
///     assert_eq!(&*incoming.recv()?, b"hello");
///     theirs.send_all(b"the rest")?;
///     drop(theirs);
///     assert_eq!(&*incoming.recv()?, b"the rest");
///     assert!(incoming.recv()?.is_empty(), "the end");
///     Ok(())
/// }).unwrap();
/// ```
#[must_use = "dropping it discards what it has received"]
pub struct RecvAhead<'a> {
    incoming: NonNull<Incoming>,
    _socket: PhantomData<&'a Socket>,
}

impl<'a> RecvAhead<'a> {
    pub(super) fn new(socket: &'a Socket) -> Self {
        let incoming = Box::leak(Box::new(Incoming {
            socket: NonNull::from(socket),
            own: RefCell::default(),
            means: Cell::new(Means::Polls),
            is_refused: Cell::new(false),
            operation: Standing::new(),
            chunks: Aside::new(),
            ends: Cell::new(0),
            _pinned: PhantomPinned,
        }));
        if Cooperator::current().is_some_and(|cooperator| cooperator.provided().is_some()) {
            // SAFETY: it is borrowed here.
            unsafe { incoming.arm() };
        }
        RecvAhead { incoming: NonNull::from(incoming), _socket: PhantomData }
    }

    fn incoming(&self) -> &Incoming {
        // SAFETY: freed only when `self` is dropped; only shared references to it are made.
        unsafe { self.incoming.as_ref() }
    }

    /// Waits for what comes next: some bytes, at most [`Lease::MAX`]; none at the end of the stream.
    ///
    /// A wait point; kill-checked: a kill takes nothing.
    ///
    /// # Errors
    /// Those of recv(2), and [`Killed`]; without a Cooperator `Unsupported`.
    #[track_caller]
    pub fn recv(&self) -> io::Result<Lease> {
        super::socket::begin()?;
        Queued::wait_for(&TakingNext { ahead: self })
    }

    /// Receives no more, and gives back, in order, what was received and not taken. An error is the last; the end of the stream is
    /// not among them: the stream tells of it again.
    ///
    /// A wait point, out of reach of kills: it is sure to end soon.
    ///
    /// ```
    /// use coop::net::UnixStream;
    /// coop::run(|| -> std::io::Result<()> {
    ///     let (ours, theirs) = UnixStream::pair()?;
    ///     let incoming = ours.recv_ahead();
    ///     theirs.send_all(b"head, body")?;
    ///     let mut bytes = incoming.recv()?.to_vec();
    ///     for chunk in incoming.stop() {
    ///         bytes.extend_from_slice(&chunk?);
    ///     }
    ///     let mut rest = vec![0; 10 - bytes.len()];
    ///     ours.recv_exact(&mut rest)?;
    ///     bytes.extend(rest);
    ///     assert_eq!(bytes, b"head, body");
    ///     Ok(())
    /// }).unwrap();
    /// ```
    #[track_caller]
    pub fn stop(self) -> Vec<io::Result<Lease>> {
        self.incoming().operation.settle(Location::caller());
        let chunks = self.incoming().chunks.items.take();
        chunks.into_iter().filter(|chunk| !matches!(chunk, Ok(lease) if lease.is_empty())).collect()
    }
}

impl Drop for RecvAhead<'_> {
    fn drop(&mut self) {
        self.incoming().operation.settle(Location::caller());
        // SAFETY: it was boxed; nothing flies, so that nobody else knows of it.
        drop(unsafe { Box::from_raw(self.incoming.as_ptr()) });
    }
}

impl fmt::Debug for RecvAhead<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let incoming = self.incoming();
        // SAFETY: `self` borrows it.
        let fd = unsafe { incoming.socket() }.fd();
        f.debug_struct("RecvAhead")
            .field("socket", &fd)
            .field("chunks", &incoming.chunks.items.borrow().len())
            .finish_non_exhaustive()
    }
}

/// `op::recv_next`.
#[doc(hidden)]
pub struct TakingNext<'a> {
    ahead: &'a RecvAhead<'a>,
}

impl<'a> TakingNext<'a> {
    pub(crate) fn new(ahead: &'a RecvAhead<'a>) -> Self {
        TakingNext { ahead }
    }
}

/// As an arm: a waiter that leaves has only lost its place; what was set aside for it is passed on. To ask that more be received
/// changes nothing that the next could not take.
impl Source for TakingNext<'_> {
    type Output = io::Result<Lease>;
    type Waited = io::Result<Lease>;

    fn queue(&self) -> &Coordinator {
        &self.ahead.incoming().chunks.waiters
    }

    fn is_ready(&self) -> bool {
        // SAFETY: the socket is borrowed by who asks.
        unsafe { self.ahead.incoming().demand() };
        self.ahead.incoming().chunks.free() > 0
    }

    fn try_reserve(&self) -> bool {
        // SAFETY: as above.
        unsafe { self.ahead.incoming().demand() };
        self.ahead.incoming().chunks.try_reserve()
    }

    fn take_reserved(&self) -> Self::Output {
        let incoming = self.ahead.incoming();
        let chunk = incoming.chunks.take().unwrap_or_else(|| Err(io::ErrorKind::NotConnected.into()));
        incoming.ends.set(incoming.ends.get().saturating_sub(usize::from(is_end(&chunk))));
        chunk
    }

    fn pass_on(&self) {
        self.ahead.incoming().chunks.set_free();
    }

    fn reason(&self) -> Reason {
        // SAFETY: as above.
        Reason::on("recv", Detail::Descriptor(unsafe { self.ahead.incoming().socket() }.fd()))
    }

    fn waited(result: Result<Self::Output, Killed>) -> Self::Waited {
        result?
    }
}
