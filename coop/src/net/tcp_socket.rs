//! A TCP socket before it connects or listens.

use super::address::Address;
use super::options::{ip_options, socket_options, tcp_options};
use super::socket::{Socket, begin};
use super::stream::socket_type;
use super::{Sealed, TcpListener, TcpStream};
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::panic::Location;

/// A TCP socket on which options are set, and which may be bound, before it [`connect`](TcpSocket::connect)s or
/// [`listen`](TcpSocket::listen)s.
///
/// ```
/// use coop::net::{TcpSocket, TcpStream};
/// coop::run(|| -> std::io::Result<()> {
///     // Two listeners at one port: the kernel deals out the connections. One for each of two Cooperators, say.
///     let one = TcpSocket::new_v4()?;
///     one.set_reuseport(true)?;
///     one.bind("127.0.0.1:0".parse().unwrap())?;
///     let two = TcpSocket::new_v4()?;
///     two.set_reuseport(true)?;
///     two.bind(one.local_addr()?)?;
///     let (one, two) = (one.listen(128)?, two.listen(128)?);
///
///     let address = one.local_addr()?;
///     let client = TcpStream::connect(address)?;
///     coop::select! {
///         accepted = coop::op::accept(&one) => assert_eq!(accepted?.1, client.local_addr()?),
///         accepted = coop::op::accept(&two) => assert_eq!(accepted?.1, client.local_addr()?),
///     }?;
///     Ok(())
/// }).unwrap();
/// ```
#[derive(Debug)]
pub struct TcpSocket {
    socket: Socket,
}

socket_type!(TcpSocket, Socket::new);
socket_options!(TcpSocket);
ip_options!(TcpSocket);
tcp_options!(TcpSocket);

impl TcpSocket {
    /// A socket for IPv4. Not a wait point.
    ///
    /// # Errors
    /// Those of socket(2).
    pub fn new_v4() -> io::Result<TcpSocket> {
        Ok(TcpSocket { socket: Socket::open(libc::AF_INET, libc::SOCK_STREAM)? })
    }

    /// A socket for IPv6. Not a wait point.
    ///
    /// # Errors
    /// Those of socket(2), such as for a system without IPv6.
    pub fn new_v6() -> io::Result<TcpSocket> {
        Ok(TcpSocket { socket: Socket::open(libc::AF_INET6, libc::SOCK_STREAM)? })
    }

    /// Lets the address be bound although connections of an earlier listener linger there (SO_REUSEADDR). Off at first;
    /// [`TcpListener::bind`] has it on.
    ///
    /// # Errors
    /// Those of setsockopt(2).
    pub fn set_reuseaddr(&self, reuse: bool) -> io::Result<()> {
        self.socket.set_flag(libc::SOL_SOCKET, libc::SO_REUSEADDR, reuse)
    }

    /// Whether SO_REUSEADDR is on.
    ///
    /// # Errors
    /// Those of getsockopt(2).
    pub fn reuseaddr(&self) -> io::Result<bool> {
        self.socket.flag(libc::SOL_SOCKET, libc::SO_REUSEADDR)
    }

    /// Lets several sockets listen at the address (SO_REUSEPORT), each of which has it on: the kernel deals out the connections.
    ///
    /// # Errors
    /// Those of setsockopt(2).
    pub fn set_reuseport(&self, reuse: bool) -> io::Result<()> {
        self.socket.set_flag(libc::SOL_SOCKET, libc::SO_REUSEPORT, reuse)
    }

    /// Whether SO_REUSEPORT is on.
    ///
    /// # Errors
    /// Those of getsockopt(2).
    pub fn reuseport(&self) -> io::Result<bool> {
        self.socket.flag(libc::SOL_SOCKET, libc::SO_REUSEPORT)
    }

    /// Leaves IPv4 to others (IPV6_V6ONLY). Off, a socket bound to `[::]` is reached over IPv4 too, unless the system says
    /// otherwise.
    ///
    /// # Errors
    /// Those of setsockopt(2); of an IPv4 socket too, and of one that is bound already.
    pub fn set_only_v6(&self, only: bool) -> io::Result<()> {
        self.socket.set_flag(libc::IPPROTO_IPV6, libc::IPV6_V6ONLY, only)
    }

    /// Whether IPv4 is left to others.
    ///
    /// # Errors
    /// Those of getsockopt(2); of an IPv4 socket too.
    pub fn only_v6(&self) -> io::Result<bool> {
        self.socket.flag(libc::IPPROTO_IPV6, libc::IPV6_V6ONLY)
    }

    /// Binds the socket to an address of this host. Not a wait point.
    ///
    /// # Errors
    /// Those of bind(2).
    pub fn bind(&self, address: SocketAddr) -> io::Result<()> {
        self.socket.bind(&Address::ip(&address))
    }

    /// The address it is bound to.
    ///
    /// # Errors
    /// Those of getsockname(2).
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local()?.to_ip()
    }

    /// Connects.
    ///
    /// A wait point; kill-checked. What fails or is killed has closed the socket.
    ///
    /// # Errors
    /// Those of connect(2), and [`Killed`](crate::Killed); without a Cooperator `Unsupported`.
    #[track_caller]
    pub fn connect(self, address: SocketAddr) -> io::Result<TcpStream> {
        let cooperator = begin()?;
        self.socket.connect(cooperator, &Address::ip(&address), Location::caller())?;
        Ok(TcpStream::of(self.socket))
    }

    /// Listens. At most `backlog` connections wait to be accepted; the kernel lowers that to `net.core.somaxconn`. Not a wait
    /// point.
    ///
    /// # Errors
    /// Those of listen(2).
    pub fn listen(self, backlog: u32) -> io::Result<TcpListener> {
        TcpListener::listening(self.socket, i32::try_from(backlog).unwrap_or(i32::MAX))
    }
}
