//! TCP.

use super::accept::Accepting;
use super::address::Address;
use super::socket::{Socket, begin};
use super::{Listener, Sealed, Stream, recv, send};
use crate::handle::Blocking;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, ToSocketAddrs};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::panic::Location;

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

impl TcpStream {
    /// Connects to an address, or to the first of several that answers.
    ///
    /// A wait point; kill-checked. Names are resolved by the system's blocking resolver, which blocks the thread.
    ///
    /// # Errors
    /// Those of connect(2), of the last address tried; and [`Killed`](crate::Killed).
    #[track_caller]
    pub fn connect(address: impl ToSocketAddrs) -> io::Result<TcpStream> {
        let cooperator = begin()?;
        let place = Location::caller();
        let mut last = io::Error::new(io::ErrorKind::InvalidInput, "no address to connect to");
        for address in address.to_socket_addrs()? {
            let socket = Socket::open(family(&address), libc::SOCK_STREAM)?;
            match socket.connect(cooperator, &Address::ip(&address), place) {
                Ok(()) => return Ok(TcpStream { socket }),
                Err(error) if crate::Killed::is(&error) => return Err(error),
                Err(error) => last = error,
            }
        }
        Err(last)
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

    /// Sends small pieces at once instead of collecting them (TCP_NODELAY). Off by default, as in the kernel.
    ///
    /// # Errors
    /// Those of setsockopt(2).
    pub fn set_nodelay(&self, nodelay: bool) -> io::Result<()> {
        self.socket.set_option(libc::IPPROTO_TCP, libc::TCP_NODELAY, i32::from(nodelay))
    }

    /// Whether TCP_NODELAY is on.
    ///
    /// # Errors
    /// Those of getsockopt(2).
    pub fn nodelay(&self) -> io::Result<bool> {
        self.socket.option(libc::IPPROTO_TCP, libc::TCP_NODELAY).map(|value| value != 0)
    }

    /// Receives some bytes: at least one, or 0 at the end of the stream (or for an empty buffer).
    ///
    /// A wait point; kill-checked: bytes that raced a kill are delivered.
    ///
    /// # Errors
    /// Those of recv(2), and [`Killed`](crate::Killed); without a Cooperator `Unsupported`.
    #[inline]
    #[track_caller]
    pub fn recv(&self, buffer: &mut [u8]) -> io::Result<usize> {
        recv::recv(&self.socket, buffer)
    }

    /// Receives until `buffer` is full.
    ///
    /// A wait point; kill-checked. A kill or an error can leave the buffer filled in part: the error is then a
    /// [`Partial`](crate::io::Partial), which says how far.
    ///
    /// # Errors
    /// Those of [`recv`](Self::recv), and `UnexpectedEof` when the stream ends first.
    #[track_caller]
    pub fn recv_exact(&self, buffer: &mut [u8]) -> io::Result<()> {
        recv::recv_exact(&self.socket, buffer)
    }

    /// Looks at what has come, or comes next, and leaves it there. 0 at the end of the stream.
    ///
    /// A wait point; kill-checked.
    ///
    /// # Errors
    /// As [`recv`](Self::recv).
    #[track_caller]
    pub fn peek(&self, buffer: &mut [u8]) -> io::Result<usize> {
        recv::peek(&self.socket, buffer)
    }

    /// Sends some of `buffer`: as much as the socket has room for, at least one byte.
    ///
    /// A wait point; kill-checked: bytes that raced a kill are counted.
    ///
    /// # Errors
    /// Those of send(2) (a peer that is gone is `BrokenPipe`, never a signal), and [`Killed`](crate::Killed).
    #[inline]
    #[track_caller]
    pub fn send(&self, buffer: &[u8]) -> io::Result<usize> {
        send::send(&self.socket, buffer)
    }

    /// Sends all of `buffer`.
    ///
    /// A wait point; kill-checked. A kill or an error can leave it sent in part: the error is then a
    /// [`Partial`](crate::io::Partial), which says how far.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    #[inline]
    #[track_caller]
    pub fn send_all(&self, buffer: &[u8]) -> io::Result<()> {
        send::send_all(&self.socket, buffer)
    }

    /// Closes one or both directions: what was sent is delivered, then the peer sees the end. Not a wait point.
    ///
    /// # Errors
    /// Those of shutdown(2).
    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.socket.shutdown(how)
    }
}

impl Sealed for TcpStream {}

impl Stream for TcpStream {
    fn socket(&self) -> &Socket {
        &self.socket
    }
}

/// Reading waits as [`recv`](TcpStream::recv) does: every crate that reads from `std::io::Read` runs on it.
impl Read for &TcpStream {
    #[inline]
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.recv(buffer)
    }
}

/// Writing waits as [`send`](TcpStream::send) does. Nothing is buffered, so flushing does nothing.
impl Write for &TcpStream {
    #[inline]
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.send(buffer)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Read for TcpStream {
    #[inline]
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.recv(buffer)
    }
}

impl Write for TcpStream {
    #[inline]
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.send(buffer)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl AsFd for TcpStream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_owned().as_fd()
    }
}

impl AsRawFd for TcpStream {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.fd()
    }
}

impl From<TcpStream> for OwnedFd {
    fn from(this: TcpStream) -> OwnedFd {
        this.socket.into_owned()
    }
}

/// Takes over a connection of `std`'s. It stays in whatever blocking mode it is in: no call here depends on it.
impl From<std::net::TcpStream> for TcpStream {
    fn from(stream: std::net::TcpStream) -> Self {
        TcpStream { socket: Socket::new(stream.into()) }
    }
}

/// A TCP socket that accepts connections.
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

impl TcpListener {
    /// Listens at an address, or at the first of several that can be bound. Port 0 has the kernel choose one. The address may
    /// be bound again at once after a restart (SO_REUSEADDR). Not a wait point.
    ///
    /// # Errors
    /// Those of socket(2), bind(2), listen(2), of the last address tried.
    pub fn bind(address: impl ToSocketAddrs) -> io::Result<TcpListener> {
        let mut last = io::Error::new(io::ErrorKind::InvalidInput, "no address to listen at");
        for address in address.to_socket_addrs()? {
            let listen = || {
                let socket = Socket::open(family(&address), libc::SOCK_STREAM | libc::SOCK_NONBLOCK)?;
                socket.set_option(libc::SOL_SOCKET, libc::SO_REUSEADDR, 1)?;
                socket.bind(&Address::ip(&address))?;
                socket.listen(BACKLOG)?;
                Ok(TcpListener { socket })
            };
            match listen() {
                Ok(listener) => return Ok(listener),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// The address it listens at.
    ///
    /// # Errors
    /// Those of getsockname(2).
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local()?.to_ip()
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
}

impl Sealed for TcpListener {}

impl Listener for TcpListener {
    type Accepted = (TcpStream, SocketAddr);

    fn socket(&self) -> &Socket {
        &self.socket
    }

    fn accepted(fd: OwnedFd, address: &Address) -> Self::Accepted {
        let unknown = SocketAddr::from(([0, 0, 0, 0], 0));
        (TcpStream { socket: Socket::new(fd) }, address.to_ip().unwrap_or(unknown))
    }
}

impl AsFd for TcpListener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_owned().as_fd()
    }
}

impl AsRawFd for TcpListener {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.fd()
    }
}

impl From<TcpListener> for OwnedFd {
    fn from(this: TcpListener) -> OwnedFd {
        this.socket.into_owned()
    }
}

fn family(address: &SocketAddr) -> i32 {
    if address.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 }
}
