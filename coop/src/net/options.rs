//! Socket options, in the words of std and socket2. None is a wait point.

use super::socket::Socket;
use std::io;
use std::time::Duration;

/// How a connection on which nothing is said is kept alive, or found dead: for
/// [`TcpStream::set_tcp_keepalive`](super::TcpStream::set_tcp_keepalive).
///
/// What is not set stays as it was; the system's defaults are 2 hours, 75 seconds and 9 probes.
///
/// ```
/// use coop::net::{TcpKeepalive, TcpListener, TcpStream};
/// use std::time::Duration;
/// coop::run(|| -> std::io::Result<()> {
///     let listener = TcpListener::bind("127.0.0.1:0")?;
///     let stream = TcpStream::connect(listener.local_addr()?)?;
///     let wanted = TcpKeepalive::new().with_time(Duration::from_secs(60)).with_interval(Duration::from_secs(5)).with_retries(3);
///     stream.set_tcp_keepalive(&wanted)?;
///     assert!(stream.keepalive()?);
///     assert_eq!(stream.tcp_keepalive()?, wanted);
///     Ok(())
/// }).unwrap();
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TcpKeepalive {
    time: Option<Duration>,
    interval: Option<Duration>,
    retries: Option<u32>,
}

impl TcpKeepalive {
    /// Nothing is set.
    pub const fn new() -> Self {
        TcpKeepalive { time: None, interval: None, retries: None }
    }

    /// How long the connection is silent before the first probe (TCP_KEEPIDLE), in whole seconds, rounded up.
    pub const fn with_time(self, time: Duration) -> Self {
        TcpKeepalive { time: Some(time), ..self }
    }

    /// The time between probes (TCP_KEEPINTVL), in whole seconds, rounded up.
    pub const fn with_interval(self, interval: Duration) -> Self {
        TcpKeepalive { interval: Some(interval), ..self }
    }

    /// After how many unanswered probes the connection is dead (TCP_KEEPCNT).
    pub const fn with_retries(self, retries: u32) -> Self {
        TcpKeepalive { retries: Some(retries), ..self }
    }

    /// The silence before the first probe.
    pub const fn time(&self) -> Option<Duration> {
        self.time
    }

    /// The time between probes.
    pub const fn interval(&self) -> Option<Duration> {
        self.interval
    }

    /// The number of probes.
    pub const fn retries(&self) -> Option<u32> {
        self.retries
    }
}

fn out_of_range(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, format!("{what} is out of the kernel's range"))
}

/// Whole seconds, rounded up: the kernel knows no finer keep-alive, and takes no 0.
fn seconds(duration: Duration) -> io::Result<i32> {
    let seconds = duration.as_secs().saturating_add(u64::from(duration.subsec_nanos() != 0));
    i32::try_from(seconds).map_err(|_| out_of_range("a keep-alive of more than 68 years"))
}

impl Socket {
    pub(super) fn set_flag(&self, level: i32, name: i32, on: bool) -> io::Result<()> {
        self.set_option(level, name, i32::from(on))
    }

    pub(super) fn flag(&self, level: i32, name: i32) -> io::Result<bool> {
        self.option(level, name).map(|value| value != 0)
    }

    pub(super) fn set_size(&self, name: i32, size: usize) -> io::Result<()> {
        let size = i32::try_from(size).map_err(|_| out_of_range("a buffer of 2 GiB or more"))?;
        self.set_option(libc::SOL_SOCKET, name, size)
    }

    pub(super) fn size(&self, name: i32) -> io::Result<usize> {
        self.option(libc::SOL_SOCKET, name).map(|size| size as usize)
    }

    /// Takes the error that the socket keeps for the next call.
    pub(super) fn take_error(&self) -> io::Result<Option<io::Error>> {
        let error = self.option(libc::SOL_SOCKET, libc::SO_ERROR)?;
        Ok((error != 0).then(|| io::Error::from_raw_os_error(error)))
    }

    /// The option for the hop limit: it has a name in each family.
    fn hop_limit(&self) -> io::Result<(i32, i32)> {
        match self.option(libc::SOL_SOCKET, libc::SO_DOMAIN)? {
            libc::AF_INET6 => Ok((libc::IPPROTO_IPV6, libc::IPV6_UNICAST_HOPS)),
            _ => Ok((libc::IPPROTO_IP, libc::IP_TTL)),
        }
    }

    pub(super) fn set_ttl(&self, ttl: u32) -> io::Result<()> {
        let (level, name) = self.hop_limit()?;
        let ttl = i32::try_from(ttl).map_err(|_| out_of_range("a hop limit"))?;
        self.set_option(level, name, ttl)
    }

    pub(super) fn ttl(&self) -> io::Result<u32> {
        let (level, name) = self.hop_limit()?;
        self.option(level, name).map(|ttl| ttl as u32)
    }

    pub(super) fn set_linger(&self, linger: Option<Duration>) -> io::Result<()> {
        if linger.is_some_and(|time| !time.is_zero()) {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "closing a socket that lingers would block the thread: shut it down, then receive until the end instead",
            ));
        }
        let value = libc::linger { l_onoff: i32::from(linger.is_some()), l_linger: 0 };
        self.set_option(libc::SOL_SOCKET, libc::SO_LINGER, value)
    }

    pub(super) fn linger(&self) -> io::Result<Option<Duration>> {
        // SAFETY: two integers.
        let value: libc::linger = unsafe { self.option_of(libc::SOL_SOCKET, libc::SO_LINGER)? };
        Ok((value.l_onoff != 0).then(|| Duration::from_secs(value.l_linger as u64)))
    }

    pub(super) fn set_tcp_keepalive(&self, keepalive: &TcpKeepalive) -> io::Result<()> {
        // Checked before any is set.
        let time = keepalive.time.map(seconds).transpose()?;
        let interval = keepalive.interval.map(seconds).transpose()?;
        let retries =
            keepalive.retries.map(i32::try_from).transpose().map_err(|_| out_of_range("a number of probes"))?;
        let options = [(libc::TCP_KEEPIDLE, time), (libc::TCP_KEEPINTVL, interval), (libc::TCP_KEEPCNT, retries)];
        for (name, value) in options {
            if let Some(value) = value {
                self.set_option(libc::IPPROTO_TCP, name, value)?;
            }
        }
        self.set_flag(libc::SOL_SOCKET, libc::SO_KEEPALIVE, true)
    }

    pub(super) fn tcp_keepalive(&self) -> io::Result<TcpKeepalive> {
        let option = |name| self.option(libc::IPPROTO_TCP, name).map(|value| value as u32);
        let seconds = |name| option(name).map(|seconds| Some(Duration::from_secs(seconds.into())));
        Ok(TcpKeepalive {
            time: seconds(libc::TCP_KEEPIDLE)?,
            interval: seconds(libc::TCP_KEEPINTVL)?,
            retries: Some(option(libc::TCP_KEEPCNT)?),
        })
    }

    pub(super) fn set_user_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        let millis = match timeout {
            None => 0,
            // Rounded up: 0 would stand for the system's default.
            Some(timeout) => timeout.as_nanos().div_ceil(1_000_000).max(1),
        };
        let millis = i32::try_from(millis).map_err(|_| out_of_range("a timeout of more than 24 days"))?;
        self.set_option(libc::IPPROTO_TCP, libc::TCP_USER_TIMEOUT, millis)
    }

    pub(super) fn user_timeout(&self) -> io::Result<Option<Duration>> {
        let millis = self.option(libc::IPPROTO_TCP, libc::TCP_USER_TIMEOUT)? as u64;
        Ok((millis != 0).then(|| Duration::from_millis(millis)))
    }
}

/// Options of every kind of socket.
macro_rules! socket_options {
    ($name:ident) => {
        impl $name {
            /// Takes the error that the socket keeps for the next call (SO_ERROR), if there is one.
            ///
            /// # Errors
            /// Those of getsockopt(2).
            pub fn take_error(&self) -> io::Result<Option<io::Error>> {
                self.socket.take_error()
            }

            /// Asks for a receive buffer of so many bytes (SO_RCVBUF). The kernel takes twice as many, for its own bookkeeping,
            /// within the system's limits.
            ///
            /// # Errors
            /// Those of setsockopt(2); `InvalidInput` for 2 GiB or more.
            pub fn set_recv_buffer_size(&self, size: usize) -> io::Result<()> {
                self.socket.set_size(libc::SO_RCVBUF, size)
            }

            /// The size of the receive buffer, in bytes, as the kernel counts it.
            ///
            /// # Errors
            /// Those of getsockopt(2).
            pub fn recv_buffer_size(&self) -> io::Result<usize> {
                self.socket.size(libc::SO_RCVBUF)
            }

            /// Asks for a send buffer of so many bytes (SO_SNDBUF). The kernel takes twice as many, for its own bookkeeping,
            /// within the system's limits.
            ///
            /// # Errors
            /// Those of setsockopt(2); `InvalidInput` for 2 GiB or more.
            pub fn set_send_buffer_size(&self, size: usize) -> io::Result<()> {
                self.socket.set_size(libc::SO_SNDBUF, size)
            }

            /// The size of the send buffer, in bytes, as the kernel counts it.
            ///
            /// # Errors
            /// Those of getsockopt(2).
            pub fn send_buffer_size(&self) -> io::Result<usize> {
                self.socket.size(libc::SO_SNDBUF)
            }
        }
    };
}

/// Options of IP sockets.
macro_rules! ip_options {
    ($name:ident) => {
        impl $name {
            /// Over how many hops a packet may go (IP_TTL, or IPV6_UNICAST_HOPS).
            ///
            /// # Errors
            /// Those of setsockopt(2), such as `InvalidInput` for 0 or more than 255.
            pub fn set_ttl(&self, ttl: u32) -> io::Result<()> {
                self.socket.set_ttl(ttl)
            }

            /// Over how many hops a packet may go.
            ///
            /// # Errors
            /// Those of getsockopt(2).
            pub fn ttl(&self) -> io::Result<u32> {
                self.socket.ttl()
            }
        }
    };
}

/// Options of TCP connections, and of sockets that will be one.
macro_rules! tcp_options {
    ($name:ident) => {
        impl $name {
            /// Sends small pieces at once instead of collecting them (TCP_NODELAY). Off by default, as in the kernel.
            ///
            /// # Errors
            /// Those of setsockopt(2).
            pub fn set_nodelay(&self, nodelay: bool) -> io::Result<()> {
                self.socket.set_flag(libc::IPPROTO_TCP, libc::TCP_NODELAY, nodelay)
            }

            /// Whether TCP_NODELAY is on.
            ///
            /// # Errors
            /// Those of getsockopt(2).
            pub fn nodelay(&self) -> io::Result<bool> {
                self.socket.flag(libc::IPPROTO_TCP, libc::TCP_NODELAY)
            }

            /// Probes a connection on which nothing is said (SO_KEEPALIVE), at the system's intervals or those of
            #[doc = concat!("[`set_tcp_keepalive`](", stringify!($name), "::set_tcp_keepalive). Off by default.")]
            ///
            /// # Errors
            /// Those of setsockopt(2).
            pub fn set_keepalive(&self, keepalive: bool) -> io::Result<()> {
                self.socket.set_flag(libc::SOL_SOCKET, libc::SO_KEEPALIVE, keepalive)
            }

            /// Whether SO_KEEPALIVE is on.
            ///
            /// # Errors
            /// Those of getsockopt(2).
            pub fn keepalive(&self) -> io::Result<bool> {
                self.socket.flag(libc::SOL_SOCKET, libc::SO_KEEPALIVE)
            }

            /// Probes a connection on which nothing is said, at these intervals.
            ///
            /// # Errors
            /// Those of setsockopt(2), such as `InvalidInput` for a time of 0 or more than 32,767 seconds.
            pub fn set_tcp_keepalive(&self, keepalive: &$crate::net::TcpKeepalive) -> io::Result<()> {
                self.socket.set_tcp_keepalive(keepalive)
            }

            /// The intervals at which the connection is, or would be, probed.
            ///
            /// # Errors
            /// Those of getsockopt(2).
            pub fn tcp_keepalive(&self) -> io::Result<$crate::net::TcpKeepalive> {
                self.socket.tcp_keepalive()
            }

            /// What becomes, when the socket closes, of what was not delivered yet (SO_LINGER). `None`: the kernel goes on
            /// delivering it. `Some(Duration::ZERO)`: it is discarded, and the peer sees a reset.
            ///
            /// # Errors
            /// Those of setsockopt(2); `InvalidInput` for any other duration: to close such a socket blocks the thread, with
            /// all its tasks. To know that the peer has everything, shut down, then receive until the end.
            pub fn set_linger(&self, linger: Option<std::time::Duration>) -> io::Result<()> {
                self.socket.set_linger(linger)
            }

            /// How long closing lingers.
            ///
            /// # Errors
            /// Those of getsockopt(2).
            pub fn linger(&self) -> io::Result<Option<std::time::Duration>> {
                self.socket.linger()
            }

            /// Acknowledges at once instead of waiting for something to send along (TCP_QUICKACK). The kernel goes back to
            /// its own judgement when it likes.
            ///
            /// # Errors
            /// Those of setsockopt(2).
            pub fn set_quickack(&self, quickack: bool) -> io::Result<()> {
                self.socket.set_flag(libc::IPPROTO_TCP, libc::TCP_QUICKACK, quickack)
            }

            /// Whether acknowledgements go at once just now.
            ///
            /// # Errors
            /// Those of getsockopt(2).
            pub fn quickack(&self) -> io::Result<bool> {
                self.socket.flag(libc::IPPROTO_TCP, libc::TCP_QUICKACK)
            }

            /// How long what was sent may stay unacknowledged before the connection is given up with `TimedOut`
            /// (TCP_USER_TIMEOUT), in milliseconds, rounded up. `None`: as long as the system says.
            ///
            /// # Errors
            /// Those of setsockopt(2); `InvalidInput` for more than 24 days.
            pub fn set_user_timeout(&self, timeout: Option<std::time::Duration>) -> io::Result<()> {
                self.socket.set_user_timeout(timeout)
            }

            /// How long what was sent may stay unacknowledged.
            ///
            /// # Errors
            /// Those of getsockopt(2).
            pub fn user_timeout(&self) -> io::Result<Option<std::time::Duration>> {
                self.socket.user_timeout()
            }
        }
    };
}

pub(super) use {ip_options, socket_options, tcp_options};
