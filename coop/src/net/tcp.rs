//! TCP connections, and the sockets that accept them.

use super::accept::Accepting;
use super::address::Address;
use super::connect::{connect, tcp_socket};
use super::options::{ip_options, socket_options, tcp_options};
use super::resolve::{ToSocketAddrs, first_of};
use super::simulated;
use super::socket::{Socket, begin};
use super::stream::{byte_stream, socket_type};
use super::vectored::{ReceivingVectored, SendingVectored};
use super::{Connected, Incoming, Listener, Sealed, Stream, recv, send};
use crate::handle::Blocking;
use crate::task;
use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::time::Duration;

/// How many connections may wait to be accepted; the kernel lowers it to `net.core.somaxconn`.
const BACKLOG: i32 = 4096;

/// A TCP connection.
///
/// `Send`: it may be handed to another thread's Cooperator. `&TcpStream` reads and writes too, so one task may receive while
/// another sends.
///
/// ```
/// use coop::net::{TcpListener, TcpStream};
/// use std::io::{self, Read, Write};
/// coop::run(|| -> io::Result<()> {
///     let listener = TcpListener::bind("127.0.0.1:0")?;
///     let address = listener.local_addr()?;
///     let mut client = coop::spawn(move || -> io::Result<String> {
///         let mut stream = TcpStream::connect(address)?;
///         stream.write_all(b"hello")?;
///         stream.shutdown(std::net::Shutdown::Write)?;
///         let mut answer = String::new();
///         stream.read_to_string(&mut answer)?;
///         Ok(answer)
///     });
///     let (stream, _peer) = listener.accept()?;
///     let mut buf = [0; 16];
///     let n = stream.recv(&mut buf)?;
///     stream.send_all(&buf[..n])?;
///     drop(stream);
///     assert_eq!(client.join()??, "hello");
///     Ok(())
/// }).unwrap();
/// ```
#[derive(Debug)]
pub struct TcpStream {
    socket: Socket,
}

socket_type!(TcpStream, Socket::new, std::net::TcpStream);
byte_stream!(TcpStream);
socket_options!(TcpStream);
ip_options!(TcpStream);
tcp_options!(TcpStream);

impl TcpStream {
    pub(super) fn of(socket: Socket) -> Self {
        TcpStream { socket }
    }

    /// Connects to an address, or to the first of several that answers.
    ///
    /// A name is looked up on another thread; see [`ToSocketAddrs`]. Several addresses are tried as RFC 8305 has it ("happy
    /// eyeballs"): IPv6 and IPv4 in turn, the next one when one has failed or has not answered for 250 ms; the first that
    /// answers wins, and the others are called off.
    ///
    /// A wait point; kill-checked.
    ///
    /// # Errors
    /// Those of connect(2), of the address that failed last; those of [`lookup_host`](super::lookup_host); and
    /// [`Killed`](crate::Killed). Without a Cooperator `Unsupported`.
    #[track_caller]
    pub fn connect(address: impl ToSocketAddrs) -> io::Result<TcpStream> {
        begin()?;
        Ok(TcpStream { socket: connect(address.target()?.resolve()?)? })
    }

    /// As [`connect`](Self::connect), within `timeout`, which looking up a name counts towards.
    ///
    /// A wait point; kill-checked.
    ///
    /// ```
    /// use coop::net::TcpStream;
    /// use std::{io, time::Duration};
    /// coop::run(|| {
    ///     // 192.0.2.0/24 is for examples: nobody is there.
    ///     let error = TcpStream::connect_timeout("192.0.2.1:80", Duration::ZERO).unwrap_err();
    ///     assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    /// });
    /// ```
    ///
    /// # Errors
    /// As `connect`; and `TimedOut`.
    #[track_caller]
    pub fn connect_timeout(address: impl ToSocketAddrs, timeout: Duration) -> io::Result<TcpStream> {
        begin()?;
        let target = address.target()?;
        task::timeout(timeout, || Ok(TcpStream { socket: connect(target.resolve()?)? }))
    }

    /// For sending large buffers without copying them: see [`ZeroCopy`](super::ZeroCopy). Not a wait point.
    pub fn zero_copy(&self) -> super::ZeroCopy<'_> {
        super::ZeroCopy::new(&self.socket)
    }

    /// The address of the other end.
    ///
    /// # Errors
    /// Those of getpeername(2).
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.socket.peer()?.to_ip()
    }

    /// The address of this end.
    ///
    /// # Errors
    /// Those of getsockname(2).
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local()?.to_ip()
    }
}

/// A TCP socket that accepts connections.
///
/// To set options before it is bound, such as SO_REUSEPORT or another backlog, begin with a [`TcpSocket`](super::TcpSocket).
///
/// ```
/// use coop::net::{TcpListener, TcpStream};
/// use std::io;
/// #[coop::task]
/// fn serve(listener: TcpListener) -> io::Result<()> {
///     loop {
///         let (conn, _peer) = listener.accept()?;      // Err, once the task is killed
///         coop::spawn(move || conn.send_all(b"hello"));
///     }
/// }
///
/// coop::run(|| -> io::Result<()> {
///     let listener = TcpListener::bind("127.0.0.1:0")?;
///     let address = listener.local_addr()?;
///     let server = serve::spawn(listener);
///     let mut buf = [0; 5];
///     TcpStream::connect(address)?.recv_exact(&mut buf)?;
///     assert_eq!(&buf, b"hello");
///     server.kill();
///     Ok(())
/// }).unwrap();
/// ```
#[derive(Debug)]
pub struct TcpListener {
    socket: Socket,
}

socket_type!(listener TcpListener, std::net::TcpListener);
socket_options!(TcpListener);
ip_options!(TcpListener);

impl TcpListener {
    /// Listens at an address, or at the first of several that can be bound. Port 0 has the kernel choose one. The address may
    /// be bound again at once after a restart (SO_REUSEADDR). A wait point only if there is a name to look up.
    ///
    /// # Errors
    /// Those of socket(2), bind(2), listen(2), of the last address tried; for a name, those of
    /// [`lookup_host`](super::lookup_host).
    #[track_caller]
    pub fn bind(address: impl ToSocketAddrs) -> io::Result<TcpListener> {
        first_of(address, |address| {
            let socket = tcp_socket(&address, 0)?;
            socket.set_flag(libc::SOL_SOCKET, libc::SO_REUSEADDR, true)?;
            socket.bind(&Address::ip(&address))?;
            Self::listening(socket, BACKLOG)
        })
    }

    pub(super) fn listening(socket: Socket, backlog: i32) -> io::Result<TcpListener> {
        // A blocking `accept4` would hang the thread when a peer resets between readiness and call.
        socket.set_nonblocking()?;
        socket.listen(backlog)?;
        Ok(TcpListener { socket })
    }

    /// The address it listens at.
    ///
    /// # Errors
    /// Those of getsockname(2).
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local()?.to_ip()
    }

    /// Whether it accepts connections over IPv6 only (IPV6_V6ONLY), which is decided before it is bound:
    /// [`TcpSocket::set_only_v6`](super::TcpSocket::set_only_v6).
    ///
    /// # Errors
    /// Those of getsockopt(2); of an IPv4 listener too.
    pub fn only_v6(&self) -> io::Result<bool> {
        self.socket.flag(libc::IPPROTO_IPV6, libc::IPV6_V6ONLY)
    }

    /// Waits for a connection; gives it with the peer's address.
    ///
    /// A wait point; kill-checked: a kill takes no connection from the queue. Connections that died in the queue are passed over.
    ///
    /// # Errors
    /// Those of accept4(2), such as EMFILE when the process has no descriptor left: the connection then stays in the queue, and
    /// accepting again at once finds the same. Wait a little before.
    #[track_caller]
    pub fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        Accepting::new(self).block()
    }

    /// The connections, one after the other: each step is an [`accept`](Self::accept).
    ///
    /// It ends only when the task is killed: after the error that says so.
    ///
    /// ```
    /// use coop::net::{TcpListener, TcpStream};
    /// coop::run(|| -> std::io::Result<()> {
    ///     let listener = TcpListener::bind("127.0.0.1:0")?;
    ///     let address = listener.local_addr()?;
    ///     coop::spawn(move || TcpStream::connect(address)?.send_all(b"hello"));
    ///     for conn in listener.incoming() {
    ///         let mut buf = [0; 5];
    ///         conn?.recv_exact(&mut buf)?;
    ///         assert_eq!(&buf, b"hello");
    ///         break;
    ///     }
    ///     Ok(())
    /// }).unwrap();
    /// ```
    pub fn incoming(&self) -> Incoming<'_, TcpListener> {
        Incoming::new(self)
    }

    /// Has the kernel accept connections before they are asked for: see [`AcceptAhead`](super::AcceptAhead). Not a wait point.
    pub fn accept_ahead(&self) -> super::AcceptAhead<'_, Self> {
        super::AcceptAhead::new(self)
    }
}

impl Listener for TcpListener {
    type Accepted = (TcpStream, SocketAddr);
    type Stream = TcpStream;

    fn socket(&self) -> &Socket {
        &self.socket
    }

    fn accepted(fd: OwnedFd, address: &Address) -> Self::Accepted {
        let unknown = SocketAddr::from(([0, 0, 0, 0], 0));
        if address.is_simulated()
            && let Some(network) = simulated::network()
        {
            network.welcome(fd.as_raw_fd());
        }
        (fd.into(), address.to_ip().unwrap_or(unknown))
    }

    fn without_address(accepted: Self::Accepted) -> TcpStream {
        accepted.0
    }
}
