//! Unix stream sockets.

use super::accept::Accepting;
use super::address::Address;
use super::socket::{Socket, begin};
use super::{Listener, Sealed, Stream, recv, send};
use crate::handle::Blocking;
use crate::sys;
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::panic::Location;
use std::path::{Path, PathBuf};

/// A Unix stream connection.
///
/// ```
/// use coop::net::UnixStream;
/// coop::run(|| -> std::io::Result<()> {
///     let (a, b) = UnixStream::pair()?;
///     a.send_all(b"ping")?;
///     let mut buf = [0; 4];
///     b.recv_exact(&mut buf)?;
///     assert_eq!(&buf, b"ping");
///     Ok(())
/// }).unwrap();
/// ```
#[derive(Debug)]
pub struct UnixStream {
    socket: Socket,
}

impl UnixStream {
    /// Connects to the socket at `path`; a leading NUL byte names one of the abstract namespace.
    ///
    /// A wait point; kill-checked.
    ///
    /// # Errors
    /// Those of connect(2), `InvalidInput` for a path that is too long, and [`Killed`](crate::Killed).
    #[track_caller]
    pub fn connect(path: impl AsRef<Path>) -> io::Result<UnixStream> {
        let cooperator = begin()?;
        let address = Address::path(path.as_ref())?;
        let socket = Socket::open(libc::AF_UNIX, libc::SOCK_STREAM)?;
        socket.connect(cooperator, &address, Location::caller())?;
        Ok(UnixStream { socket })
    }

    /// Two connected sockets. Not a wait point.
    ///
    /// # Errors
    /// Those of socketpair(2).
    pub fn pair() -> io::Result<(UnixStream, UnixStream)> {
        let mut fds = [0; 2];
        // SAFETY: room for two descriptors.
        sys::check(unsafe {
            libc::socketpair(libc::AF_UNIX, libc::SOCK_STREAM | libc::SOCK_CLOEXEC, 0, fds.as_mut_ptr())
        })?;
        // SAFETY: the kernel has just given this process both.
        let stream = |fd| UnixStream { socket: Socket::new(unsafe { OwnedFd::from_raw_fd(fd) }) };
        Ok((stream(fds[0]), stream(fds[1])))
    }

    /// The path of the other end, if it is bound to one.
    ///
    /// # Errors
    /// Those of getpeername(2).
    pub fn peer_path(&self) -> io::Result<Option<PathBuf>> {
        Ok(self.socket.peer()?.to_path())
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

impl Sealed for UnixStream {}

impl Stream for UnixStream {
    fn socket(&self) -> &Socket {
        &self.socket
    }
}

/// Reading waits as [`recv`](UnixStream::recv) does: every crate that reads from `std::io::Read` runs on it.
impl Read for &UnixStream {
    #[inline]
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.recv(buffer)
    }
}

/// Writing waits as [`send`](UnixStream::send) does. Nothing is buffered, so flushing does nothing.
impl Write for &UnixStream {
    #[inline]
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.send(buffer)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Read for UnixStream {
    #[inline]
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.recv(buffer)
    }
}

impl Write for UnixStream {
    #[inline]
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.send(buffer)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl AsFd for UnixStream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_owned().as_fd()
    }
}

impl AsRawFd for UnixStream {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.fd()
    }
}

impl From<UnixStream> for OwnedFd {
    fn from(this: UnixStream) -> OwnedFd {
        this.socket.into_owned()
    }
}

/// Takes over a connection of `std`'s. It stays in whatever blocking mode it is in: no call here depends on it.
impl From<std::os::unix::net::UnixStream> for UnixStream {
    fn from(stream: std::os::unix::net::UnixStream) -> Self {
        UnixStream { socket: Socket::new(stream.into()) }
    }
}

/// A Unix stream socket that accepts connections. Its file is not removed when it is dropped.
#[derive(Debug)]
pub struct UnixListener {
    socket: Socket,
}

impl UnixListener {
    /// Listens at `path`; a leading NUL byte names one of the abstract namespace. Not a wait point.
    ///
    /// # Errors
    /// Those of bind(2), such as `AddrInUse` for a path that exists, and listen(2).
    pub fn bind(path: impl AsRef<Path>) -> io::Result<UnixListener> {
        let address = Address::path(path.as_ref())?;
        let socket = Socket::open(libc::AF_UNIX, libc::SOCK_STREAM | libc::SOCK_NONBLOCK)?;
        socket.bind(&address)?;
        socket.listen(4096)?;
        Ok(UnixListener { socket })
    }

    /// The path it listens at.
    ///
    /// # Errors
    /// Those of getsockname(2).
    pub fn local_path(&self) -> io::Result<Option<PathBuf>> {
        Ok(self.socket.local()?.to_path())
    }

    /// Waits for a connection.
    ///
    /// A wait point; kill-checked: a kill takes no connection from the queue.
    ///
    /// # Errors
    /// As [`TcpListener::accept`](super::TcpListener::accept).
    #[track_caller]
    pub fn accept(&self) -> io::Result<(UnixStream, Option<PathBuf>)> {
        Accepting::new(self).block()
    }
}

impl Sealed for UnixListener {}

impl Listener for UnixListener {
    type Accepted = (UnixStream, Option<PathBuf>);

    fn socket(&self) -> &Socket {
        &self.socket
    }

    fn accepted(fd: OwnedFd, address: &Address) -> Self::Accepted {
        (UnixStream { socket: Socket::new(fd) }, address.to_path())
    }
}

impl AsFd for UnixListener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_owned().as_fd()
    }
}

impl AsRawFd for UnixListener {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.fd()
    }
}

impl From<UnixListener> for OwnedFd {
    fn from(this: UnixListener) -> OwnedFd {
        this.socket.into_owned()
    }
}
