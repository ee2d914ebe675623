//! Unix connections that carry packets: in sequence, each received whole.

use super::accept::Accepting;
use super::address::Address;
use super::descriptors::{ReceivingDescriptors, SendingDescriptors, UCred};
use super::options::socket_options;
use super::socket::{Socket, begin};
use super::stream::{packet_socket, passing, socket_type, unix_addresses};
use super::vectored::{ReceivingVectored, SendingVectored};
use super::{Connected, Incoming, Listener, PassesDescriptors, Sealed, recv, send};
use crate::handle::Blocking;
use std::io::{self, IoSlice, IoSliceMut};
use std::net::Shutdown;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::panic::Location;
use std::path::{Path, PathBuf};

/// A Unix connection that carries packets (SOCK_SEQPACKET): in order, none lost, each received by one call. `Send`.
///
/// ```
/// use coop::net::UnixSeqpacket;
/// coop::run(|| -> std::io::Result<()> {
///     let (a, b) = UnixSeqpacket::pair()?;
///     a.send(b"one")?;
///     a.send(b"two")?;
///     let mut buf = [0; 16];
///     assert_eq!(b.recv(&mut buf)?, 3, "packets are not joined");
///     assert_eq!(b.recv(&mut buf)?, 3);
///     drop(a);
///     assert_eq!(b.recv(&mut buf)?, 0, "the end");
///     Ok(())
/// }).unwrap();
/// ```
#[derive(Debug)]
pub struct UnixSeqpacket {
    socket: Socket,
}

socket_type!(UnixSeqpacket, Socket::of_packets);
packet_socket!(UnixSeqpacket, "packet", "; 0 at the end, and for an empty packet");
socket_options!(UnixSeqpacket);
unix_addresses!(UnixSeqpacket);
passing!(UnixSeqpacket, "a packet");

impl UnixSeqpacket {
    /// Connects to the socket at `path`; a leading NUL byte names one of the abstract namespace.
    ///
    /// A wait point; kill-checked.
    ///
    /// # Errors
    /// Those of connect(2), `InvalidInput` for a path that is too long, and [`Killed`](crate::Killed).
    #[track_caller]
    pub fn connect(path: impl AsRef<Path>) -> io::Result<UnixSeqpacket> {
        let cooperator = begin()?;
        let address = Address::path(path.as_ref())?;
        let socket = Socket::open(libc::AF_UNIX, libc::SOCK_SEQPACKET)?;
        socket.connect(cooperator, &address, Location::caller())?;
        Ok(UnixSeqpacket { socket })
    }

    /// Two connected sockets. Not a wait point.
    ///
    /// # Errors
    /// Those of socketpair(2).
    pub fn pair() -> io::Result<(UnixSeqpacket, UnixSeqpacket)> {
        let (a, b) = Socket::pair(libc::SOCK_SEQPACKET)?;
        Ok((UnixSeqpacket { socket: a }, UnixSeqpacket { socket: b }))
    }

    /// Closes one or both directions: what was sent is delivered, then the peer sees the end. Not a wait point.
    ///
    /// # Errors
    /// Those of shutdown(2).
    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.socket.shutdown(how)
    }
}

/// A socket that accepts [`UnixSeqpacket`] connections. Its file is not removed when it is dropped.
///
/// ```
/// use coop::net::{UnixSeqpacket, UnixSeqpacketListener};
/// coop::run(|| -> std::io::Result<()> {
///     let name = format!("\0coop-seqpacket-{}", std::process::id());
///     let listener = UnixSeqpacketListener::bind(&name)?;
///     let client = UnixSeqpacket::connect(&name)?;
///     let (conn, _unnamed) = listener.accept()?;
///     client.send(b"a packet")?;
///     assert_eq!(conn.recv(&mut [0; 16])?, 8);
///     Ok(())
/// }).unwrap();
/// ```
#[derive(Debug)]
pub struct UnixSeqpacketListener {
    socket: Socket,
}

socket_type!(listener UnixSeqpacketListener);
socket_options!(UnixSeqpacketListener);

impl UnixSeqpacketListener {
    /// Listens at `path`; a leading NUL byte names one of the abstract namespace. Not a wait point.
    ///
    /// # Errors
    /// Those of bind(2), such as `AddrInUse` for a path that exists, and listen(2).
    pub fn bind(path: impl AsRef<Path>) -> io::Result<UnixSeqpacketListener> {
        let address = Address::path(path.as_ref())?;
        let socket = Socket::open(libc::AF_UNIX, libc::SOCK_SEQPACKET | libc::SOCK_NONBLOCK)?;
        socket.bind(&address)?;
        socket.listen(4096)?;
        Ok(UnixSeqpacketListener { socket })
    }

    /// The path it listens at.
    ///
    /// # Errors
    /// Those of getsockname(2).
    pub fn local_path(&self) -> io::Result<Option<PathBuf>> {
        Ok(self.socket.local()?.to_path())
    }

    /// Waits for a connection; gives it with the peer's path, if that has one.
    ///
    /// A wait point; kill-checked: a kill takes no connection from the queue.
    ///
    /// # Errors
    /// As [`TcpListener::accept`](super::TcpListener::accept).
    #[track_caller]
    pub fn accept(&self) -> io::Result<(UnixSeqpacket, Option<PathBuf>)> {
        Accepting::new(self).block()
    }

    /// The connections, one after the other: each step is an [`accept`](Self::accept). It ends only when the task is killed:
    /// after the error that says so.
    pub fn incoming(&self) -> Incoming<'_, UnixSeqpacketListener> {
        Incoming::new(self)
    }

    /// Has the kernel accept connections before they are asked for: see [`AcceptAhead`](super::AcceptAhead). Not a wait point.
    pub fn accept_ahead(&self) -> super::AcceptAhead<'_, Self> {
        super::AcceptAhead::new(self)
    }
}

impl Listener for UnixSeqpacketListener {
    type Accepted = (UnixSeqpacket, Option<PathBuf>);
    type Stream = UnixSeqpacket;

    fn socket(&self) -> &Socket {
        &self.socket
    }

    fn accepted(fd: OwnedFd, address: &Address) -> Self::Accepted {
        (fd.into(), address.to_path())
    }

    fn without_address(accepted: Self::Accepted) -> UnixSeqpacket {
        accepted.0
    }
}
