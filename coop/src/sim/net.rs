//! The network of the running simulation, as tests command it.

use super::{Host, NetOptions, network};
use crate::ring::Network;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

mod sealed {
    pub trait Sealed {
        /// Its address, or else its name.
        fn address_or_name(&self) -> Result<std::net::IpAddr, &str>;
    }
}
use sealed::Sealed;

/// What names a host: its name, its address, or its [`Host`].
pub trait HostName: Sealed {}

impl<T: Sealed + ?Sized> HostName for T {}

impl<T: Sealed + ?Sized> Sealed for &T {
    fn address_or_name(&self) -> Result<IpAddr, &str> {
        (**self).address_or_name()
    }
}

impl Sealed for str {
    fn address_or_name(&self) -> Result<IpAddr, &str> {
        Err(self)
    }
}

impl Sealed for String {
    fn address_or_name(&self) -> Result<IpAddr, &str> {
        Err(self)
    }
}

impl Sealed for Host {
    fn address_or_name(&self) -> Result<IpAddr, &str> {
        Ok(self.ip())
    }
}

macro_rules! addresses {
    ($($kind:ty),*) => {$(
        impl Sealed for $kind {
            fn address_or_name(&self) -> Result<IpAddr, &str> {
                Ok((*self).into())
            }
        }
    )*};
}
addresses!(IpAddr, Ipv4Addr, Ipv6Addr, [u8; 4]);

/// The network of the running simulation. Made by [`net`](super::net). None of its methods is a wait point.
///
/// ```
/// use coop::net::{TcpListener, TcpStream};
/// use coop::sim;
/// use std::{io, time::Duration};
/// sim::run(1, || -> io::Result<()> {
///     let _server = sim::host("server", [10, 0, 0, 1], || -> io::Result<()> {
///         for conn in TcpListener::bind("0.0.0.0:80")?.incoming() {
///             conn?.send_all(b"hello")?;
///         }
///         Ok(())
///     })?;
///     let here = sim::ELSEWHERE;
///     sim::net().partition(here, "server");
///     let refused = TcpStream::connect_timeout("server:80", Duration::from_secs(3)).unwrap_err();
///     assert_eq!(refused.kind(), io::ErrorKind::TimedOut);
///     sim::net().heal(here, "server");
///     TcpStream::connect("server:80")?.recv_exact(&mut [0; 5])
/// }).unwrap();
/// ```
#[derive(Clone, Copy)]
pub struct Net {
    network: &'static Network,
}

impl Net {
    pub(super) fn new(network: &'static Network) -> Self {
        Net { network }
    }

    #[track_caller]
    fn find(&self, host: &(impl HostName + ?Sized)) -> IpAddr {
        match host.address_or_name() {
            Ok(ip) => ip,
            Err(name) => match self.network.look_up(name) {
                Some(ip) => ip,
                None => panic!("no host of the simulation is called {name}"),
            },
        }
    }

    /// Lets nothing pass between two hosts, in either direction, until it is [healed](Self::heal). Connections stay: what is sent
    /// over them is repeated, after 200 ms at first and then ever more seldom, up to every 10 s, and arrives some time after the
    /// partition has been healed. After 15 minutes a connection is given up, with a reset. A connect is tried for two minutes.
    /// Datagrams are lost.
    ///
    /// # Panics
    /// For a name that is no host's.
    #[track_caller]
    pub fn partition(&self, a: impl HostName, b: impl HostName) {
        self.network.partition(self.find(&a), self.find(&b));
    }

    /// Partitions a host from all others there are now, and from [`ELSEWHERE`](super::ELSEWHERE).
    ///
    /// # Panics
    /// For a name that is no host's.
    #[track_caller]
    pub fn isolate(&self, host: impl HostName) {
        let host = self.find(&host);
        self.network.others(host).into_iter().for_each(|other| self.network.partition(host, other));
    }

    /// Ends the partition between two hosts.
    ///
    /// # Panics
    /// For a name that is no host's.
    #[track_caller]
    pub fn heal(&self, a: impl HostName, b: impl HostName) {
        self.network.heal(Some((self.find(&a), self.find(&b))));
    }

    /// Ends all partitions.
    pub fn heal_all(&self) {
        self.network.heal(None);
    }

    /// Gives an address one more name. Hosts have theirs from the start; any other name is an error when it is looked up.
    pub fn add_name(&self, name: &str, ip: impl Into<IpAddr>) {
        self.network.add_name(name, ip.into());
    }

    /// Changes how the network behaves, for what is sent from now on.
    pub fn set_options(&self, options: NetOptions) {
        self.network.set_behaviour(options.behaviour());
    }

    /// How the network behaves now.
    pub fn options(&self) -> NetOptions {
        NetOptions::of(&self.network.behaviour())
    }
}

impl fmt::Debug for Net {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Net").field("options", &self.options()).finish_non_exhaustive()
    }
}

/// The network of the running simulation. Not a wait point.
///
/// # Panics
/// Outside of one.
#[track_caller]
pub fn net() -> Net {
    Net::new(network())
}
