//! Streams and listeners: TCP and Unix.
//!
//! Every call is made without blocking first, where that is likely to succeed, and is otherwise left to the ring.

mod accept;
mod address;
mod recv;
mod send;
mod socket;
mod tcp;
mod unix;

pub use tcp::{TcpListener, TcpStream};
pub use unix::{UnixListener, UnixStream};

pub(crate) use accept::{Accept, Accepting};
pub(crate) use recv::Recv;
pub(crate) use send::{Send, SendAll};
pub(crate) use socket::Socket;

/// Streams and listeners are made by this crate only: the trait cannot be named outside.
mod sealed {
    pub trait Sealed {}
}
use sealed::Sealed;

/// A connected stream socket of this crate, for functions that work with each kind.
///
/// ```
/// use coop::{Operation, net::{Stream, UnixStream}, op};
/// fn greet<S: Stream>(conn: &S) -> std::io::Result<usize> {
///     op::send(conn, b"hello").wait()
/// }
/// coop::run(|| assert_eq!(greet(&UnixStream::pair().unwrap().0).unwrap(), 5));
/// ```
pub trait Stream: Sealed {
    #[doc(hidden)]
    fn socket(&self) -> &Socket;
}

/// A listening socket of this crate.
pub trait Listener: Sealed {
    /// What it accepts.
    type Accepted;
    #[doc(hidden)]
    fn socket(&self) -> &Socket;
    #[doc(hidden)]
    fn accepted(fd: std::os::fd::OwnedFd, address: &address::Address) -> Self::Accepted;
}
