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
//!
//! # What may be asked of the kernel in advance, or be spared it
//!
//! Each of these is for those who ask for it, and does the same by other means where the kernel refuses it. What it spares was
//! measured on Linux 6.18, with two cores, over the loopback interface.
//!
//! | instead of | there is | which spares | and costs |
//! |---|---|---|---|
//! | `accept` | [`accept_ahead`](TcpListener::accept_ahead) | a call for each connection: an eighth of its price | connections are open before they are served |
//! | `recv` | [`recv_leased`](TcpStream::recv_leased) | a buffer for each connection on which nothing comes | nothing |
//! | `recv` | [`recv_ahead`](TcpStream::recv_ahead) | a submission for each wait. Server's time for 64 bytes there and back, 64 connections: 2 to 4 % of 6 µs, 7 % where `recv` is an arm of a `select!`; 1 or 1,000 connections, or 16 requests at a time: nothing that can be told from noise | up to 128 KiB wait in the program rather than in the kernel |
//! | `send_all` | [`zero_copy`](TcpStream::zero_copy) | a copy, if the network device reads memory itself. Over loopback the kernel copies all the same: one such send took 1.6 times as long for 64 KiB, 1.5 times for 256 KiB, 2.3 times for 1 MiB, and is then not tried again on that connection | the buffer is given away |
//!
//! So receive ahead where a task waits for its connection and for other things at once, or where one that computes for long should not
//! leave its peers waiting for room; elsewhere `recv` is as good, and tells the peer sooner that nobody reads.

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
mod zero_copy;

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
pub use zero_copy::{SendBuffer, ZeroCopy};

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
