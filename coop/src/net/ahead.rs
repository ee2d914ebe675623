//! Accepting ahead: one operation of the kernel's for many connections.
//!
//! ```text
//!   ACCEPT, multishot ──▶ completion ──▶ items ──▶ set aside for a waiter, or for who comes next
//!      ▲                      │ last: an error, too many completions, cancelled since too many wait
//!      └── armed again when somebody asks for a connection
//! ```

use super::Listener;
use super::accept::is_the_peers;
use super::aside::Aside;
use super::standing::Standing;
use crate::cooperator::Cooperator;
use crate::coordinator::Coordinator;
use crate::error::Killed;
use crate::fiber::{Detail, Reason};
use crate::handle::{Queued, Source};
use crate::ring::{Completion, Sqe};
use crate::sys;
use std::cell::{Cell, RefCell};
use std::fmt;
use std::io;
use std::marker::{PhantomData, PhantomPinned};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::panic::Location;
use std::ptr::{self, NonNull};

/// So many connections are accepted ahead; beyond, they wait in the kernel's own queue. Those that are set aside for somebody do
/// not count: while nobody fetches them others would wait in vain.
const AHEAD: usize = 256;

/// How the kernel is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Means {
    /// By one operation for many connections.
    Multishot,
    /// The driver has none: by polls, and calls that do not block.
    Polls,
}

/// What the kernel delivers to. Stays in its place while an operation flies.
struct Accepted {
    /// Good while somebody asks for connections: he borrows the listener.
    listener: RawFd,
    /// The same socket by a number of our own, while an operation flies: of an `AcceptAhead` that was forgotten the listener may be
    /// closed, and its number be another's.
    own: RefCell<Option<OwnedFd>>,
    means: Cell<Means>,
    operation: Standing,
    connections: Aside<io::Result<OwnedFd>>,
    _pinned: PhantomPinned,
}

// SAFETY: it is leaked from its box, and freed only by the drop of its `AcceptAhead`, when nothing flies.
unsafe impl Completion for Accepted {
    fn complete(&self, result: i32, _: u32, last: bool) {
        self.operation.note(last);
        match self.means.get() {
            // SAFETY: the kernel has just given this process the descriptor.
            Means::Multishot if result >= 0 => self.connections.push(Ok(unsafe { OwnedFd::from_raw_fd(result) })),
            Means::Multishot if result == -libc::EINVAL => self.means.set(Means::Polls),
            Means::Polls if result >= 0 => self.accept_all(),
            // By us; or by the Cooperator, when it ends.
            _ if result == -libc::ECANCELED => {}
            _ if is_the_peers(-result) => {}
            _ => self.connections.push(Err(io::Error::from_raw_os_error(-result))),
        }
        if self.connections.free() >= AHEAD {
            self.operation.cancel();
        }
        if last {
            self.operation.end();
            // Otherwise the next who asks does it. (When a Cooperator closes nobody waits any more.)
            if self.connections.waiters.has_waiters() {
                self.arm();
            } else {
                // What was forgotten need not keep its port.
                drop(self.own.take());
            }
        }
    }
}

impl Accepted {
    /// Starts the operation, if it does not fly.
    fn arm(&self) {
        let Some(cooperator) = Cooperator::current() else { return };
        if self.operation.is_flying() {
            return;
        }
        let own = self.own.take().map_or_else(
            // SAFETY: the listener is borrowed by who asks for a connection, or waits for one.
            || unsafe { BorrowedFd::borrow_raw(self.listener) }.try_clone_to_owned(),
            Ok,
        );
        let fd = match own {
            Ok(own) => self.own.borrow_mut().insert(own).as_raw_fd(),
            // Told once to each who asks.
            Err(error) if self.connections.free() == 0 => return self.connections.push(Err(error)),
            Err(_) => return,
        };
        let sqe = match self.means.get() {
            Means::Multishot => Sqe::accept_multishot(fd, libc::SOCK_CLOEXEC),
            Means::Polls => Sqe::poll(fd, libc::POLLIN as u32),
        };
        // SAFETY: `Completion` says why this stays in place; the operation names no memory.
        unsafe { self.operation.begin(cooperator, sqe, self) };
    }

    /// Somebody wants a connection: more should come.
    fn demand(&self) {
        if self.connections.free() < AHEAD / 2 {
            self.arm();
        }
    }

    /// Accepts what is there, by calls.
    fn accept_all(&self) {
        let own = self.own.borrow();
        let Some(listener) = own.as_ref().map(AsRawFd::as_raw_fd) else { return };
        while self.connections.free() < AHEAD {
            // SAFETY: no address is asked for.
            let fd = unsafe { libc::accept4(listener, ptr::null_mut(), ptr::null_mut(), libc::SOCK_CLOEXEC) };
            match sys::owned(fd) {
                Ok(fd) => self.connections.push(Ok(fd)),
                Err(error) => match error.raw_os_error() {
                    Some(libc::EAGAIN) => return,
                    Some(number) if is_the_peers(number) => {}
                    _ => return self.connections.push(Err(error)),
                },
            }
        }
    }
}

/// A listener whose connections are accepted before they are asked for. Made by
/// [`TcpListener::accept_ahead`](super::TcpListener::accept_ahead) and its like.
///
/// The kernel is asked once for many connections (`IORING_ACCEPT_MULTISHOT`), which spares a call for each: about an eighth of the
/// price of accepting. In exchange, up to 256 connections (a few more may come in the same moment) have been accepted, and hold
/// descriptors, before anybody serves them; and a connection comes without its peer's address, which
/// [`peer_addr`](super::TcpStream::peer_addr) tells. Where there is no io_uring it polls, and accepts what is there.
///
/// Several tasks may accept, first come, first served. It stays on its thread. Dropping it closes the connections that nobody has
/// taken, as closing a listener does with those in the kernel's queue, and is a wait point; [`stop`](AcceptAhead::stop) gives them
/// back instead. One that is forgotten goes on accepting until its Cooperator ends, also when the listener is dropped: it has a
/// descriptor of its own for it.
///
/// ```
/// use coop::net::{TcpListener, TcpStream};
/// coop::run(|| -> std::io::Result<()> {
///     let listener = TcpListener::bind("127.0.0.1:0")?;
///     let address = listener.local_addr()?;
///     let connections = listener.accept_ahead();
///     let clients = [TcpStream::connect(address)?, TcpStream::connect(address)?, TcpStream::connect(address)?];
///     assert_eq!(connections.accept()?.peer_addr()?, clients[0].local_addr()?);
///     assert_eq!(connections.accept()?.peer_addr()?, clients[1].local_addr()?);
///     assert!(connections.stop().len() <= 1, "the third may have been accepted");
///     Ok(())
/// }).unwrap();
/// ```
#[must_use = "dropping it closes what it has accepted"]
pub struct AcceptAhead<'a, L: Listener> {
    accepted: NonNull<Accepted>,
    _listener: PhantomData<&'a L>,
}

impl<'a, L: Listener> AcceptAhead<'a, L> {
    pub(super) fn new(listener: &'a L) -> Self {
        let accepted = Box::leak(Box::new(Accepted {
            listener: listener.socket().fd(),
            own: RefCell::default(),
            means: Cell::new(Means::Multishot),
            operation: Standing::new(),
            connections: Aside::new(),
            _pinned: PhantomPinned,
        }));
        accepted.arm();
        AcceptAhead { accepted: NonNull::from(accepted), _listener: PhantomData }
    }

    fn accepted(&self) -> &Accepted {
        // SAFETY: freed only when `self` is dropped; only shared references to it are made.
        unsafe { self.accepted.as_ref() }
    }

    /// Waits for a connection.
    ///
    /// A wait point; kill-checked: a kill takes no connection.
    ///
    /// # Errors
    /// As [`TcpListener::accept`](super::TcpListener::accept), and `Unsupported` without a Cooperator.
    #[track_caller]
    pub fn accept(&self) -> io::Result<L::Stream> {
        super::socket::begin()?;
        Queued::wait_for(&Taking { ahead: self })
    }

    /// Accepts no more, and gives back, in order, what was accepted and not taken.
    ///
    /// A wait point, out of reach of kills: it is sure to end soon.
    #[track_caller]
    pub fn stop(self) -> Vec<L::Stream> {
        self.accepted().operation.settle(Location::caller());
        let items = self.accepted().connections.items.take();
        items.into_iter().flatten().map(L::Stream::from).collect()
    }
}

impl<L: Listener> Drop for AcceptAhead<'_, L> {
    fn drop(&mut self) {
        self.accepted().operation.settle(Location::caller());
        // SAFETY: it was boxed; nothing flies, so that nobody else knows of it.
        drop(unsafe { Box::from_raw(self.accepted.as_ptr()) });
    }
}

impl<L: Listener> fmt::Debug for AcceptAhead<'_, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let accepted = self.accepted();
        f.debug_struct("AcceptAhead")
            .field("listener", &accepted.listener)
            .field("accepted", &accepted.connections.items.borrow().len())
            .finish_non_exhaustive()
    }
}

/// `op::accept_next`.
#[doc(hidden)]
pub struct Taking<'a, L: Listener> {
    ahead: &'a AcceptAhead<'a, L>,
}

impl<'a, L: Listener> Taking<'a, L> {
    pub(crate) fn new(ahead: &'a AcceptAhead<'a, L>) -> Self {
        Taking { ahead }
    }
}

/// As an arm: a waiter that leaves has only lost its place; what was set aside for it is passed on. To ask that more be accepted
/// changes nothing that the next could not take.
impl<L: Listener> Source for Taking<'_, L> {
    type Output = io::Result<L::Stream>;
    type Waited = io::Result<L::Stream>;

    fn queue(&self) -> &Coordinator {
        &self.ahead.accepted().connections.waiters
    }

    fn is_ready(&self) -> bool {
        self.ahead.accepted().demand();
        self.ahead.accepted().connections.free() > 0
    }

    fn try_reserve(&self) -> bool {
        self.ahead.accepted().demand();
        self.ahead.accepted().connections.try_reserve()
    }

    fn take_reserved(&self) -> Self::Output {
        let item = self.ahead.accepted().connections.take();
        item.unwrap_or_else(|| Err(io::ErrorKind::NotConnected.into())).map(L::Stream::from)
    }

    fn pass_on(&self) {
        self.ahead.accepted().connections.set_free();
    }

    fn reason(&self) -> Reason {
        Reason::on("accept", Detail::Descriptor(self.ahead.accepted().listener))
    }

    fn waited(result: Result<Self::Output, Killed>) -> Self::Waited {
        result?
    }
}
