//! Where sockets meet the simulated network of [`coop::sim`](crate::sim), if there is one. Elsewhere it is a look at the thread's
//! Cooperator before calls that are rare, or a look at an address of the wrong family.

use super::address::Address;
use crate::cooperator::Cooperator;
use crate::ring::Network;
use crate::task::{Node, Task};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{OwnedFd, RawFd};

/// The network of the calling thread, if it is simulated.
pub(super) fn network() -> Option<&'static Network> {
    Cooperator::current()?.simulation().map(|(_, network)| network)
}

/// The host that the running task is on.
fn host(network: &Network) -> Option<IpAddr> {
    let cooperator = Cooperator::current()?;
    if cooperator.scheduler.running().is_null() {
        return None;
    }
    let mut node: Option<&Node> = Some(&Task::running(cooperator).node);
    while let Some(here) = node {
        if let Some(host) = network.host_of_task(here.task().id.0) {
            return Some(host);
        }
        node = here.parent();
    }
    None
}

/// A socket for IP, if that is simulated.
pub(super) fn open(family: i32, kind: i32) -> Option<io::Result<OwnedFd>> {
    let network = network().filter(|_| matches!(family, libc::AF_INET | libc::AF_INET6))?;
    Some(network.open(kind, host(network)))
}

/// What a name stands for; an error, if it is nobody's in the simulation.
pub(super) fn look_up(name: &str, port: u16) -> Option<io::Result<Vec<SocketAddr>>> {
    let found = network()?.look_up(name).map(|ip| vec![SocketAddr::new(ip, port)]);
    Some(
        found.ok_or_else(|| {
            io::Error::new(io::ErrorKind::NotFound, format!("no host of the simulation is called {name}"))
        }),
    )
}

/// Binds a socket that stands for an IP socket.
pub(super) fn bind(fd: RawFd, address: &Address) -> Option<io::Result<()>> {
    let (network, address) = (network()?, address.to_ip().ok()?);
    network.is_ours(fd).then(|| network.bind(fd, address))
}

/// Connects a socket of datagrams that stands for one of UDP.
pub(super) fn connect_datagrams(fd: RawFd, address: &Address) -> Option<io::Result<()>> {
    network()?.connect_datagrams(fd, address.to_ip().ok()?)
}

/// Sends a datagram, if the socket stands for one of UDP.
#[cold]
pub(super) fn send_to(fd: RawFd, bytes: &[u8], to: &Address) -> Option<io::Result<usize>> {
    network()?.send_to(fd, bytes, to.to_ip().ok()?)
}
