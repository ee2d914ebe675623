//! Names of the sockets that stand for IP sockets: abstract Unix names that end in the IP address.
//!
//! ```text
//!   \0coop.sim/4711.3/tcp/-/10.0.0.1:80              bound to that address; the kernel sees to it that only one is
//!   \0coop.sim/4711.3/udp/10.0.0.1/0.0.0.0:53        bound to any address of that host
//!   \0coop.sim/4711.3/peer/17.0/10.0.0.2:49152       the simulator's end of a connection: its name is what the peer is called
//! ```
//!
//! So getsockname(2), getpeername(2), accept4(2) and recvfrom(2) tell what a socket stands for, also of a descriptor that nobody
//! has heard of.

use std::fmt::Display;
use std::mem::{offset_of, size_of};
use std::net::{IpAddr, SocketAddr};

const PREFIX: &[u8] = b"\0coop.sim/";

/// The names of one run, of which a process may have several at once.
pub(super) struct Names {
    run: String,
}

impl Names {
    pub(super) fn new() -> Self {
        use std::sync::atomic::{AtomicU64, Ordering};
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Names { run: format!("{}.{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed)) }
    }

    /// The name of a socket bound to `address` on `host`.
    pub(super) fn bound(&self, protocol: &str, host: IpAddr, address: SocketAddr) -> UnixName {
        // These addresses are each host's own.
        if address.ip().is_loopback() || address.ip().is_unspecified() {
            self.name(format_args!("{protocol}/{host}/{address}"))
        } else {
            self.name(format_args!("{protocol}/-/{address}"))
        }
    }

    /// The name of the simulator's own end of a connection to a user's socket, for which it is `address`.
    pub(super) fn peer(&self, connection: u64, end: usize, address: SocketAddr) -> UnixName {
        self.name(format_args!("peer/{connection}.{end}/{address}"))
    }

    fn name(&self, rest: impl Display) -> UnixName {
        let text = format!("{}/{rest}", self.run);
        let mut address = libc::sockaddr_un { sun_family: libc::AF_UNIX as libc::sa_family_t, sun_path: [0; 108] };
        let bytes = PREFIX.iter().chain(text.as_bytes());
        let mut len = 0;
        for (to, from) in address.sun_path.iter_mut().zip(bytes) {
            *to = *from as libc::c_char;
            len += 1;
        }
        UnixName { address, len: (offset_of!(libc::sockaddr_un, sun_path) + len) as libc::socklen_t }
    }
}

/// A `sockaddr_un`.
#[derive(Clone, Copy)]
pub(super) struct UnixName {
    address: libc::sockaddr_un,
    len: libc::socklen_t,
}

impl UnixName {
    /// Room for a name.
    pub(super) fn empty() -> Self {
        let address = libc::sockaddr_un { sun_family: 0, sun_path: [0; 108] };
        UnixName { address, len: size_of::<libc::sockaddr_un>() as libc::socklen_t }
    }

    pub(super) fn as_ptr(&self) -> *const libc::sockaddr {
        (&raw const self.address).cast()
    }

    pub(super) fn len(&self) -> libc::socklen_t {
        self.len
    }

    pub(super) fn as_mut_ptr(&mut self) -> *mut libc::sockaddr {
        (&raw mut self.address).cast()
    }

    pub(super) fn len_mut(&mut self) -> *mut libc::socklen_t {
        &raw mut self.len
    }

    fn path(&self) -> Option<Vec<u8>> {
        let len = (self.len as usize).checked_sub(offset_of!(libc::sockaddr_un, sun_path))?;
        let is_unix = i32::from(self.address.sun_family) == libc::AF_UNIX;
        is_unix.then(|| self.address.sun_path[..len.min(108)].iter().map(|byte| *byte as u8).collect())
    }

    /// The address it stands for.
    pub(super) fn to_ip(self) -> Option<SocketAddr> {
        address_in(&self.path()?)
    }

    /// The connection, and the end of it, whose peer has this name.
    pub(super) fn connection(self) -> Option<(u64, usize)> {
        let path = self.path()?;
        let text = std::str::from_utf8(path.strip_prefix(PREFIX)?).ok()?;
        let mut parts = text.split('/').skip(1);
        if parts.next() != Some("peer") {
            return None;
        }
        let (connection, end) = parts.next()?.split_once('.')?;
        Some((connection.parse().ok()?, end.parse().ok()?))
    }
}

/// The IP address that an abstract Unix name stands for, if it is one of ours.
pub(crate) fn address_in(path: &[u8]) -> Option<SocketAddr> {
    let text = std::str::from_utf8(path.strip_prefix(PREFIX)?).ok()?;
    text.rsplit_once('/')?.1.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_tells_the_address_and_fits_whatever_the_address() {
        let names = Names::new();
        let long = "[fe80:1111:2222:3333:4444:5555:6666:7777%4294967295]:65535";
        for text in ["10.0.0.1:80", "0.0.0.0:1", "[::1]:65535", long] {
            let address: SocketAddr = text.parse().unwrap();
            let bound = names.bound("tcp", address.ip(), address);
            let peer = names.peer(99, 1, address);
            assert_eq!((bound.to_ip(), bound.connection()), (Some(address), None));
            assert_eq!((peer.to_ip(), peer.connection()), (Some(address), Some((99, 1))));
        }
        assert_eq!(address_in(b"\0somebody/else's/10.0.0.1:80"), None);
        assert_eq!(address_in(b"/coop.sim/1.1/tcp/-/10.0.0.1:80"), None);
    }
}
