//! Unix datagrams.

use super::address::Address;
use super::datagram::{PeekingFrom, Received, ReceivingFrom, ReceivingWhole, SendingTo};
use super::descriptors::{ReceivingDescriptors, SendingDescriptors, UCred};
use super::options::socket_options;
use super::socket::{Socket, begin};
use super::stream::{packet_socket, passing, socket_type, unix_addresses};
use super::vectored::{ReceivingVectored, SendingVectored};
use super::{Connected, Datagrams, PassesDescriptors, Sealed, recv, send};
use crate::handle::{Blocking, Pollable, wait_ready};
use crate::sync::{Coordination, coordinate};
use std::io::{self, IoSlice, IoSliceMut};
use std::net::Shutdown;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::panic::Location;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A Unix socket of datagrams, which arrive in order, and which wait for a receiver who is behind. `Send`.
///
/// ```
/// use coop::net::UnixDatagram;
/// coop::run(|| -> std::io::Result<()> {
///     let name = format!("\0coop-datagram-{}", std::process::id());
///     let (server, client) = (UnixDatagram::bind(&name)?, UnixDatagram::unbound()?);
///     client.send_to(b"hello", &name)?;
///     let mut buf = [0; 16];
///     let (n, from) = server.recv_from(&mut buf)?;
///     assert_eq!((&buf[..n], from), (&b"hello"[..], None), "the client has no name");
///     Ok(())
/// }).unwrap();
/// ```
#[derive(Debug)]
pub struct UnixDatagram {
    socket: Socket,
}

socket_type!(UnixDatagram, Socket::of_packets, std::os::unix::net::UnixDatagram);
packet_socket!(UnixDatagram, "datagram", "");
socket_options!(UnixDatagram);
unix_addresses!(UnixDatagram);
passing!(UnixDatagram, "a datagram, to the peer the socket is connected to");

impl Datagrams for UnixDatagram {
    type Address = Option<PathBuf>;

    fn address(address: &Address) -> Option<PathBuf> {
        address.to_path()
    }
}

/// How long a full receiver is given before the next try, where the kernel does not tell when he has room.
const NAP: Duration = Duration::from_millis(1);

impl UnixDatagram {
    /// A socket at `path`; a leading NUL byte names one of the abstract namespace. Its file is not removed when it is dropped.
    /// Not a wait point.
    ///
    /// # Errors
    /// Those of bind(2), such as `AddrInUse` for a path that exists; `InvalidInput` for a path that is too long.
    pub fn bind(path: impl AsRef<Path>) -> io::Result<UnixDatagram> {
        let address = Address::path(path.as_ref())?;
        let this = Self::unbound()?;
        this.socket.bind(&address)?;
        Ok(this)
    }

    /// A socket without a name. Not a wait point.
    ///
    /// # Errors
    /// Those of socket(2).
    pub fn unbound() -> io::Result<UnixDatagram> {
        Ok(UnixDatagram { socket: Socket::open(libc::AF_UNIX, libc::SOCK_DGRAM)? })
    }

    /// Two connected sockets. Not a wait point.
    ///
    /// # Errors
    /// Those of socketpair(2).
    pub fn pair() -> io::Result<(UnixDatagram, UnixDatagram)> {
        let (a, b) = Socket::pair(libc::SOCK_DGRAM)?;
        Ok((UnixDatagram { socket: a }, UnixDatagram { socket: b }))
    }

    /// Has [`send`](Self::send) send to, and receive only from, the socket at `path`. Not a wait point.
    ///
    /// # Errors
    /// Those of connect(2); `InvalidInput` for a path that is too long.
    pub fn connect(&self, path: impl AsRef<Path>) -> io::Result<()> {
        self.socket.connect_at_once(&Address::path(path.as_ref())?)
    }

    /// Receives a datagram; gives its length in the buffer, and the sender's path if it has one. What does not fit the buffer is
    /// discarded.
    ///
    /// A wait point; kill-checked: a kill takes no datagram.
    ///
    /// # Errors
    /// Those of recvfrom(2), and [`Killed`](crate::Killed). Without a Cooperator `Unsupported`.
    #[track_caller]
    pub fn recv_from(&self, buffer: &mut [u8]) -> io::Result<(usize, Option<PathBuf>)> {
        ReceivingFrom::new(self, buffer).block()
    }

    /// As [`recv_from`](Self::recv_from); says also how long the datagram was, and so whether it was truncated.
    ///
    /// # Errors
    /// As `recv_from`.
    #[track_caller]
    pub fn recv_datagram(&self, buffer: &mut [u8]) -> io::Result<Received<Option<PathBuf>>> {
        ReceivingWhole::new(self, buffer).block()
    }

    /// Looks at the datagram that has come, or comes next, and leaves it there.
    ///
    /// A wait point; kill-checked.
    ///
    /// # Errors
    /// As [`recv_from`](Self::recv_from).
    #[track_caller]
    pub fn peek_from(&self, buffer: &mut [u8]) -> io::Result<(usize, Option<PathBuf>)> {
        PeekingFrom::new(self, buffer).block()
    }

    /// Sends a datagram to the socket at `path`, which may be behind: then it waits.
    ///
    /// The kernel tells when there is room at the peer that a socket is connected to, and at no other. So a full receiver is
    /// tried again each millisecond, and there is no operation for this: connect, and use [`op::send`](crate::op::send).
    ///
    /// A wait point; kill-checked: a kill sends nothing.
    ///
    /// # Errors
    /// Those of sendto(2), such as `ConnectionRefused` for a path where nobody listens any more; `InvalidInput` for a path that
    /// is too long; and [`Killed`](crate::Killed). Without a Cooperator `Unsupported`.
    #[track_caller]
    pub fn send_to(&self, buffer: &[u8], path: impl AsRef<Path>) -> io::Result<usize> {
        let mut sending = SendingTo::new(&self.socket, buffer, Address::path(path.as_ref())?);
        loop {
            let cooperator = begin()?;
            if let Some(result) = sending.attempt() {
                cooperator.scheduler.spend_call();
                return result;
            }
            wait_ready(cooperator, sending.fd(), sending.events(), sending.verb(), Location::caller())?;
            if let Some(result) = sending.attempt() {
                return result;
            }
            if let Coordination::Killed(killed) = coordinate([], Some(NAP)) {
                return Err(killed.into());
            }
        }
    }

    /// Closes one or both directions. Not a wait point.
    ///
    /// # Errors
    /// Those of shutdown(2).
    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.socket.shutdown(how)
    }
}
