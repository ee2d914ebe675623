//! Names and addresses: what may be connected to, and how it becomes socket addresses.

use super::simulated;
use super::socket::begin;
use crate::blocking::unblock_io;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

/// What a [`ToSocketAddrs`] stands for, as far as can be said without waiting.
#[doc(hidden)]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    One(SocketAddr),
    Several(Vec<SocketAddr>),
    /// A name, for the resolver.
    Named(String, u16),
}

mod sealed {
    pub trait Sealed {
        /// The addresses, or the name to look up.
        fn target(&self) -> std::io::Result<super::Target>;
    }
}
use sealed::Sealed;

/// What may be bound, connected or sent to: the kinds of address of `std::net::ToSocketAddrs`.
///
/// A trait of this crate's own, since std's resolves names by blocking the thread. Here the system's resolver is called on
/// another thread ([`unblock`](crate::unblock)) while the task waits, kill-checked; and only for a name: addresses in digits,
/// such as `"127.0.0.1:80"` or `("::1", 80)`, are understood at once.
///
/// Implemented for `SocketAddr` and its two kinds, for slices and arrays of it, for `(IpAddr, u16)` and its two kinds, for
/// `(&str, u16)` and `(String, u16)`, for `str` and `String` of the form `"host:port"`, and for references to each.
pub trait ToSocketAddrs: Sealed {}

impl<T: Sealed + ?Sized> ToSocketAddrs for T {}

impl<T: Sealed + ?Sized> Sealed for &T {
    fn target(&self) -> io::Result<Target> {
        (**self).target()
    }
}

macro_rules! known_at_once {
    ($($kind:ty),*) => {$(
        impl Sealed for $kind {
            fn target(&self) -> io::Result<Target> {
                Ok(Target::One((*self).into()))
            }
        }
    )*};
}
known_at_once!(SocketAddr, SocketAddrV4, SocketAddrV6, (IpAddr, u16), (Ipv4Addr, u16), (Ipv6Addr, u16));

impl Sealed for [SocketAddr] {
    fn target(&self) -> io::Result<Target> {
        Ok(Target::Several(self.to_vec()))
    }
}

impl<const N: usize> Sealed for [SocketAddr; N] {
    fn target(&self) -> io::Result<Target> {
        self[..].target()
    }
}

impl Sealed for Vec<SocketAddr> {
    fn target(&self) -> io::Result<Target> {
        self[..].target()
    }
}

fn host_and_port(host: &str, port: u16) -> io::Result<Target> {
    if let Ok(ip) = host.parse::<IpAddr>() {
        return Ok(Target::One((ip, port).into()));
    }
    if host.is_empty() || host.contains('\0') {
        return Err(invalid("a host's name is not empty, and has no NUL"));
    }
    Ok(Target::Named(host.to_owned(), port))
}

impl Sealed for (&str, u16) {
    fn target(&self) -> io::Result<Target> {
        host_and_port(self.0, self.1)
    }
}

impl Sealed for (String, u16) {
    fn target(&self) -> io::Result<Target> {
        host_and_port(&self.0, self.1)
    }
}

impl Sealed for str {
    fn target(&self) -> io::Result<Target> {
        if let Ok(address) = self.parse() {
            return Ok(Target::One(address));
        }
        let Some((host, port)) = self.rsplit_once(':') else {
            return Err(invalid("an address has the form host:port"));
        };
        let port = port.parse().map_err(|_| invalid("a port is a number from 0 to 65535"))?;
        host_and_port(host, port)
    }
}

impl Sealed for String {
    fn target(&self) -> io::Result<Target> {
        self[..].target()
    }
}

fn invalid(text: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, text)
}

impl Target {
    /// The first address. A wait point if it has to be looked up.
    #[track_caller]
    pub(super) fn first(self) -> io::Result<SocketAddr> {
        match self {
            Target::One(address) => Ok(address),
            other => other.resolve()?.into_iter().next().ok_or_else(no_address),
        }
    }

    /// The addresses. A wait point if they have to be looked up.
    #[track_caller]
    pub(super) fn resolve(self) -> io::Result<Vec<SocketAddr>> {
        match self {
            Target::One(address) => Ok(vec![address]),
            Target::Several(addresses) => Ok(addresses),
            Target::Named(host, port) => {
                begin()?;
                if let Some(found) = simulated::look_up(&host, port) {
                    return found;
                }
                unblock_io(move || std::net::ToSocketAddrs::to_socket_addrs(&(host, port)).map(Iterator::collect))
            }
        }
    }
}

/// The addresses of a host, as the system's resolver orders them.
///
/// A wait point if there is a name to look up; kill-checked: a killed task goes on at once, the look-up ends by itself.
///
/// ```
/// use coop::net::lookup_host;
/// coop::run(|| -> std::io::Result<()> {
///     assert!(lookup_host("localhost:80")?.any(|address| address.ip().is_loopback()));
///     assert_eq!(lookup_host(("127.0.0.1", 80))?.collect::<Vec<_>>(), ["127.0.0.1:80".parse().unwrap()]);
///     Ok(())
/// }).unwrap();
/// ```
///
/// # Errors
/// The resolver's, such as for a name that does not exist; `InvalidInput` for what is no address; and
/// [`Killed`](crate::Killed). Without a Cooperator `Unsupported`.
#[track_caller]
pub fn lookup_host(host: impl ToSocketAddrs) -> io::Result<impl Iterator<Item = SocketAddr>> {
    begin()?;
    Ok(host.target()?.resolve()?.into_iter())
}

/// Does `f` with each address until it succeeds; gives the last error.
#[track_caller]
pub(super) fn first_of<T>(
    addresses: impl ToSocketAddrs,
    mut f: impl FnMut(SocketAddr) -> io::Result<T>,
) -> io::Result<T> {
    let mut last = None;
    for address in addresses.target()?.resolve()? {
        match f(address) {
            Ok(done) => return Ok(done),
            Err(error) => last = Some(error),
        }
    }
    Err(last.unwrap_or_else(no_address))
}

pub(super) fn no_address() -> io::Error {
    invalid("there is no address")
}

#[cfg(test)]
#[path = "../../tests/fuzz/addresses.rs"]
mod fuzz;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_understood_at_once_and_names_are_left_to_the_resolver() {
        let one = |text: &str| Target::One(text.parse().unwrap());
        let named = |host: &str, port| Target::Named(host.into(), port);
        assert_eq!("127.0.0.1:80".target().unwrap(), one("127.0.0.1:80"));
        assert_eq!("[::1]:80".to_string().target().unwrap(), one("[::1]:80"));
        assert_eq!(("::1", 80).target().unwrap(), one("[::1]:80"));
        assert_eq!(("10.0.0.1".to_string(), 80).target().unwrap(), one("10.0.0.1:80"));
        assert_eq!((Ipv4Addr::LOCALHOST, 80).target().unwrap(), one("127.0.0.1:80"));
        assert_eq!("example.org:80".target().unwrap(), named("example.org", 80));
        assert_eq!(("example.org", 80).target().unwrap(), named("example.org", 80));
        let several: [SocketAddr; 2] = ["127.0.0.1:1".parse().unwrap(), "[::1]:2".parse().unwrap()];
        assert_eq!(several[..].target().unwrap(), Target::Several(several.to_vec()));
    }

    #[test]
    fn what_is_no_address_is_refused_before_anything_is_looked_up() {
        for text in ["", "example.org", "example.org:", "example.org:http", "example.org:65536", ":80", "a\0b:80"] {
            assert_eq!(text.target().unwrap_err().kind(), io::ErrorKind::InvalidInput, "{text:?}");
        }
    }
}
