//! Sockets: TCP, UDP and Unix.
//!
//! Every call is made without blocking first, where that is likely to succeed, and is otherwise left to the ring.
//!
//! | kind | carries | types |
//! |---|---|---|
//! | TCP | bytes | [`TcpStream`], [`TcpListener`], and [`TcpSocket`] for what is set before either |
//! | UDP | datagrams | [`UdpSocket`] |
//! | Unix | bytes | [`UnixStream`], [`UnixListener`] |
//! | Unix | datagrams | [`UnixDatagram`] |
//! | Unix | packets in sequence, over a connection | [`UnixSeqpacket`], [`UnixSeqpacketListener`] |
//!
//! [`splice`] and [`sendfile`] move bytes between descriptors without a buffer of the program's.

mod accept;
mod address;
mod ahead;
mod aside;
mod connect;
mod datagram;
mod descriptors;
mod incoming;
mod lease;
mod options;
mod polling;
mod recv;
mod recv_ahead;
mod resolve;
mod send;
mod seqpacket;
mod simulated;
mod socket;
mod splice;
mod standing;
mod stream;
mod tcp;
mod tcp_socket;
mod udp;
mod unix;
mod unix_datagram;
mod vectored;

pub use ahead::AcceptAhead;
pub use datagram::Received;
pub use descriptors::{DescriptorsLost, MAX_DESCRIPTORS, UCred};
pub use incoming::Incoming;
pub use lease::Lease;
pub use options::TcpKeepalive;
pub use recv_ahead::RecvAhead;
pub use resolve::{ToSocketAddrs, lookup_host};
pub use seqpacket::{UnixSeqpacket, UnixSeqpacketListener};
pub use splice::{sendfile, splice};
pub use tcp::{TcpListener, TcpStream};
pub use tcp_socket::TcpSocket;
pub use udp::UdpSocket;
pub use unix::{UnixListener, UnixStream};
pub use unix_datagram::UnixDatagram;

pub(crate) use accept::{Accept, Accepting};
pub(crate) use ahead::Taking;
pub(crate) use connect::Connect;
pub(crate) use datagram::{PeekingFrom, ReceivingFrom, ReceivingWhole, SendingTo};
pub(crate) use descriptors::{ReceivingDescriptors, SendingDescriptors};
pub(crate) use lease::ReceivingLeased;
pub(crate) use polling::{Lending, unless_blocked};
pub(crate) use recv::{Peeking, Recv};
pub(crate) use recv_ahead::TakingNext;
pub(crate) use send::{Send, SendAll};
pub(crate) use socket::Socket;
pub(crate) use vectored::{ReceivingVectored, SendingVectored};

/// Sockets are made by this crate only: the trait cannot be named outside.
mod sealed {
    pub trait Sealed {}
}
use sealed::Sealed;

/// A socket of this crate that is connected, or may be: for functions that work with each kind.
pub trait Connected: Sealed {
    #[doc(hidden)]
    fn socket(&self) -> &Socket;
}

/// A connected socket of this crate that carries bytes, for functions that work with each kind.
///
/// ```
/// use coop::{Operation, net::{Stream, UnixStream}, op};
/// fn greet<S: Stream>(conn: &S) -> std::io::Result<usize> {
///     op::send(conn, b"hello").wait()
/// }
/// coop::run(|| assert_eq!(greet(&UnixStream::pair().unwrap().0).unwrap(), 5));
/// ```
pub trait Stream: Connected {}

/// A socket of this crate that carries datagrams, each from an address: [`UdpSocket`], [`UnixDatagram`].
pub trait Datagrams: Connected {
    /// Where they come from.
    type Address;
    #[doc(hidden)]
    fn address(address: &address::Address) -> Self::Address;
}

/// A socket of this crate over which descriptors may be passed: [`UnixStream`], [`UnixDatagram`], [`UnixSeqpacket`].
pub trait PassesDescriptors: Connected {}

/// A listening socket of this crate.
pub trait Listener: Sealed {
    /// What it accepts.
    type Accepted;
    /// A connection, without the address it is from.
    type Stream: From<std::os::fd::OwnedFd>;
    #[doc(hidden)]
    fn socket(&self) -> &Socket;
    #[doc(hidden)]
    fn accepted(fd: std::os::fd::OwnedFd, address: &address::Address) -> Self::Accepted;
    #[doc(hidden)]
    fn without_address(accepted: Self::Accepted) -> Self::Stream;
}
