//! UDP.

use super::address::Address;
use super::datagram::{PeekingFrom, Received, ReceivingFrom, ReceivingWhole, SendingTo};
use super::options::{ip_options, socket_options};
use super::resolve::{ToSocketAddrs, first_of};
use super::socket::{Socket, begin};
use super::stream::{packet_socket, socket_type};
use super::vectored::{ReceivingVectored, SendingVectored};
use super::{Connected, Datagrams, Sealed, recv, send};
use crate::handle::Blocking;
use std::io::{self, IoSlice, IoSliceMut};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

/// A UDP socket. `Send`.
///
/// A datagram is received by one call: what does not fit the buffer is discarded, as with std's.
/// [`recv_datagram`](UdpSocket::recv_datagram) tells whether that happened.
///
/// A socket with options that are set before it is bound can be made by another crate, such as socket2, and taken over from its
/// descriptor.
///
/// ```
/// use coop::net::UdpSocket;
/// coop::run(|| -> std::io::Result<()> {
///     let server = UdpSocket::bind("127.0.0.1:0")?;
///     let client = UdpSocket::bind("127.0.0.1:0")?;
///     client.connect(server.local_addr()?)?;
///     client.send(b"marco")?;
///     let mut buf = [0; 16];
///     let (n, from) = server.recv_from(&mut buf)?;
///     assert_eq!((&buf[..n], from), (&b"marco"[..], client.local_addr()?));
///     server.send_to(b"polo", from)?;
///     assert_eq!(client.recv(&mut buf)?, 4);
///     Ok(())
/// }).unwrap();
/// ```
#[derive(Debug)]
pub struct UdpSocket {
    socket: Socket,
}

socket_type!(UdpSocket, Socket::of_packets, std::net::UdpSocket);
packet_socket!(UdpSocket, "datagram", "");
socket_options!(UdpSocket);
ip_options!(UdpSocket);

impl Datagrams for UdpSocket {
    type Address = SocketAddr;

    fn address(address: &Address) -> SocketAddr {
        address.to_ip().unwrap_or_else(|_| SocketAddr::from(([0, 0, 0, 0], 0)))
    }
}

impl UdpSocket {
    /// A socket at an address, or at the first of several that can be bound. Port 0 has the kernel choose one. A wait point
    /// only if there is a name to look up.
    ///
    /// # Errors
    /// Those of socket(2) and bind(2), of the last address tried; for a name, those of
    /// [`lookup_host`](super::lookup_host).
    #[track_caller]
    pub fn bind(address: impl ToSocketAddrs) -> io::Result<UdpSocket> {
        first_of(address, |address| {
            let family = if address.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 };
            let socket = Socket::open(family, libc::SOCK_DGRAM)?;
            socket.bind(&Address::ip(&address))?;
            Ok(UdpSocket { socket })
        })
    }

    /// Has [`send`](Self::send) send to, and receive only from, this address, or the first of several that is possible. A wait
    /// point only if there is a name to look up.
    ///
    /// # Errors
    /// Those of connect(2), of the last address tried; for a name, those of [`lookup_host`](super::lookup_host).
    #[track_caller]
    pub fn connect(&self, address: impl ToSocketAddrs) -> io::Result<()> {
        first_of(address, |address| self.socket.connect_at_once(&Address::ip(&address)))
    }

    /// The address it is bound to.
    ///
    /// # Errors
    /// Those of getsockname(2).
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local()?.to_ip()
    }

    /// The address it is connected to.
    ///
    /// # Errors
    /// Those of getpeername(2), such as `NotConnected`.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.socket.peer()?.to_ip()
    }

    /// Receives a datagram; gives its length in the buffer and where it came from. What does not fit the buffer is discarded.
    ///
    /// A wait point; kill-checked: a kill takes no datagram.
    ///
    /// # Errors
    /// Those of recvfrom(2), such as `ConnectionRefused` when an earlier datagram of a connected socket found nobody; and
    /// [`Killed`](crate::Killed). Without a Cooperator `Unsupported`.
    #[track_caller]
    pub fn recv_from(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        ReceivingFrom::new(self, buffer).block()
    }

    /// As [`recv_from`](Self::recv_from); says also how long the datagram was, and so whether it was truncated.
    ///
    /// ```
    /// use coop::net::UdpSocket;
    /// coop::run(|| -> std::io::Result<()> {
    ///     let (a, b) = (UdpSocket::bind("127.0.0.1:0")?, UdpSocket::bind("127.0.0.1:0")?);
    ///     a.send_to(b"too long", b.local_addr()?)?;
    ///     let received = b.recv_datagram(&mut [0; 3])?;
    ///     assert!(received.is_truncated());
    ///     assert_eq!((received.n, received.size, received.from), (3, 8, a.local_addr()?));
    ///     Ok(())
    /// }).unwrap();
    /// ```
    ///
    /// # Errors
    /// As `recv_from`.
    #[track_caller]
    pub fn recv_datagram(&self, buffer: &mut [u8]) -> io::Result<Received<SocketAddr>> {
        ReceivingWhole::new(self, buffer).block()
    }

    /// Looks at the datagram that has come, or comes next, and leaves it there.
    ///
    /// A wait point; kill-checked.
    ///
    /// # Errors
    /// As [`recv_from`](Self::recv_from).
    #[track_caller]
    pub fn peek_from(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        PeekingFrom::new(self, buffer).block()
    }

    /// Sends a datagram to an address; to the first, if it stands for several.
    ///
    /// A wait point; kill-checked: a kill sends nothing.
    ///
    /// # Errors
    /// Those of sendto(2), such as EMSGSIZE for a datagram that is too long; for a name, those of
    /// [`lookup_host`](super::lookup_host); and [`Killed`](crate::Killed). Without a Cooperator `Unsupported`.
    #[track_caller]
    pub fn send_to(&self, buffer: &[u8], to: impl ToSocketAddrs) -> io::Result<usize> {
        begin()?;
        let to = to.target()?.first()?;
        SendingTo::new(&self.socket, buffer, Address::ip(&to)).block()
    }

    /// Lets datagrams go to broadcast addresses (SO_BROADCAST). Off at first.
    ///
    /// # Errors
    /// Those of setsockopt(2).
    pub fn set_broadcast(&self, broadcast: bool) -> io::Result<()> {
        self.socket.set_flag(libc::SOL_SOCKET, libc::SO_BROADCAST, broadcast)
    }

    /// Whether datagrams may go to broadcast addresses.
    ///
    /// # Errors
    /// Those of getsockopt(2).
    pub fn broadcast(&self) -> io::Result<bool> {
        self.socket.flag(libc::SOL_SOCKET, libc::SO_BROADCAST)
    }

    /// Receives what is sent to a multicast group, at the interface with this address; the unspecified address leaves the
    /// choice to the kernel.
    ///
    /// # Errors
    /// Those of setsockopt(2), such as `InvalidInput` for what is no group's address.
    pub fn join_multicast_v4(&self, group: &Ipv4Addr, interface: &Ipv4Addr) -> io::Result<()> {
        self.socket.set_option(libc::IPPROTO_IP, libc::IP_ADD_MEMBERSHIP, membership(group, interface))
    }

    /// Leaves a group that was joined at this interface.
    ///
    /// # Errors
    /// Those of setsockopt(2), such as `AddrNotAvailable` for a group that was not joined.
    pub fn leave_multicast_v4(&self, group: &Ipv4Addr, interface: &Ipv4Addr) -> io::Result<()> {
        self.socket.set_option(libc::IPPROTO_IP, libc::IP_DROP_MEMBERSHIP, membership(group, interface))
    }

    /// Receives what is sent to a multicast group, at the interface with this index; 0 leaves the choice to the kernel.
    ///
    /// # Errors
    /// Those of setsockopt(2).
    pub fn join_multicast_v6(&self, group: &Ipv6Addr, interface: u32) -> io::Result<()> {
        self.socket.set_option(libc::IPPROTO_IPV6, libc::IPV6_ADD_MEMBERSHIP, membership_v6(group, interface))
    }

    /// Leaves a group that was joined at this interface.
    ///
    /// # Errors
    /// Those of setsockopt(2).
    pub fn leave_multicast_v6(&self, group: &Ipv6Addr, interface: u32) -> io::Result<()> {
        self.socket.set_option(libc::IPPROTO_IPV6, libc::IPV6_DROP_MEMBERSHIP, membership_v6(group, interface))
    }

    /// Whether what is sent to an IPv4 group comes back to this host's members (IP_MULTICAST_LOOP). On at first.
    ///
    /// # Errors
    /// Those of setsockopt(2).
    pub fn set_multicast_loop_v4(&self, on: bool) -> io::Result<()> {
        self.socket.set_flag(libc::IPPROTO_IP, libc::IP_MULTICAST_LOOP, on)
    }

    /// Whether what is sent to an IPv4 group comes back.
    ///
    /// # Errors
    /// Those of getsockopt(2).
    pub fn multicast_loop_v4(&self) -> io::Result<bool> {
        self.socket.flag(libc::IPPROTO_IP, libc::IP_MULTICAST_LOOP)
    }

    /// Over how many hops what is sent to an IPv4 group may go (IP_MULTICAST_TTL). 1 at first: it stays in the local network.
    ///
    /// # Errors
    /// Those of setsockopt(2), such as `InvalidInput` for more than 255.
    pub fn set_multicast_ttl_v4(&self, ttl: u32) -> io::Result<()> {
        self.socket.set_option(libc::IPPROTO_IP, libc::IP_MULTICAST_TTL, ttl)
    }

    /// Over how many hops what is sent to an IPv4 group may go.
    ///
    /// # Errors
    /// Those of getsockopt(2).
    pub fn multicast_ttl_v4(&self) -> io::Result<u32> {
        self.socket.option(libc::IPPROTO_IP, libc::IP_MULTICAST_TTL).map(|ttl| ttl as u32)
    }

    /// Whether what is sent to an IPv6 group comes back to this host's members (IPV6_MULTICAST_LOOP). On at first.
    ///
    /// # Errors
    /// Those of setsockopt(2).
    pub fn set_multicast_loop_v6(&self, on: bool) -> io::Result<()> {
        self.socket.set_flag(libc::IPPROTO_IPV6, libc::IPV6_MULTICAST_LOOP, on)
    }

    /// Whether what is sent to an IPv6 group comes back.
    ///
    /// # Errors
    /// Those of getsockopt(2).
    pub fn multicast_loop_v6(&self) -> io::Result<bool> {
        self.socket.flag(libc::IPPROTO_IPV6, libc::IPV6_MULTICAST_LOOP)
    }
}

fn in_addr(address: &Ipv4Addr) -> libc::in_addr {
    libc::in_addr { s_addr: u32::from_ne_bytes(address.octets()) }
}

fn membership(group: &Ipv4Addr, interface: &Ipv4Addr) -> libc::ip_mreq {
    libc::ip_mreq { imr_multiaddr: in_addr(group), imr_interface: in_addr(interface) }
}

fn membership_v6(group: &Ipv6Addr, interface: u32) -> libc::ipv6_mreq {
    libc::ipv6_mreq { ipv6mr_multiaddr: libc::in6_addr { s6_addr: group.octets() }, ipv6mr_interface: interface }
}
