//! Unix stream sockets.

use super::accept::Accepting;
use super::address::Address;
use super::descriptors::{ReceivingDescriptors, SendingDescriptors, UCred};
use super::options::socket_options;
use super::socket::{Socket, begin};
use super::stream::{byte_stream, passing, socket_type, unix_addresses};
use super::vectored::{ReceivingVectored, SendingVectored};
use super::{Connected, Incoming, Listener, PassesDescriptors, Sealed, Stream, recv, send};
use crate::handle::Blocking;
use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::net::Shutdown;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::panic::Location;
use std::path::{Path, PathBuf};

/// A Unix stream connection. `Send`.
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

socket_type!(UnixStream, Socket::new, std::os::unix::net::UnixStream);
byte_stream!(UnixStream);
socket_options!(UnixStream);
unix_addresses!(UnixStream);
passing!(UnixStream, "bytes, at least one of them: like [`send`](Self::send) it may send fewer than all");

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
        let (a, b) = Socket::pair(libc::SOCK_STREAM)?;
        Ok((UnixStream { socket: a }, UnixStream { socket: b }))
    }
}

/// A Unix stream socket that accepts connections. Its file is not removed when it is dropped.
///
/// ```
/// use coop::net::{UnixListener, UnixStream};
/// coop::run(|| -> std::io::Result<()> {
///     // Of the abstract namespace: there is no file, and it is gone with the listener.
///     let name = format!("\0coop-example-{}", std::process::id());
///     let listener = UnixListener::bind(&name)?;
///     let client = UnixStream::connect(&name)?;
///     let (conn, _unnamed) = listener.accept()?;
///     assert_eq!(conn.peer_cred()?.uid(), client.peer_cred()?.uid());
///     Ok(())
/// }).unwrap();
/// ```
#[derive(Debug)]
pub struct UnixListener {
    socket: Socket,
}

socket_type!(listener UnixListener, std::os::unix::net::UnixListener);
socket_options!(UnixListener);

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

    /// Waits for a connection; gives it with the peer's path, if that has one.
    ///
    /// A wait point; kill-checked: a kill takes no connection from the queue.
    ///
    /// # Errors
    /// As [`TcpListener::accept`](super::TcpListener::accept).
    #[track_caller]
    pub fn accept(&self) -> io::Result<(UnixStream, Option<PathBuf>)> {
        Accepting::new(self).block()
    }

    /// The connections, one after the other: each step is an [`accept`](Self::accept). It ends only when the task is killed:
    /// after the error that says so.
    pub fn incoming(&self) -> Incoming<'_, UnixListener> {
        Incoming::new(self)
    }

    /// Has the kernel accept connections before they are asked for: see [`AcceptAhead`](super::AcceptAhead). Not a wait point.
    pub fn accept_ahead(&self) -> super::AcceptAhead<'_, Self> {
        super::AcceptAhead::new(self)
    }
}

impl Listener for UnixListener {
    type Accepted = (UnixStream, Option<PathBuf>);
    type Stream = UnixStream;

    fn socket(&self) -> &Socket {
        &self.socket
    }

    fn accepted(fd: OwnedFd, address: &Address) -> Self::Accepted {
        (fd.into(), address.to_path())
    }

    fn without_address(accepted: Self::Accepted) -> UnixStream {
        accepted.0
    }
}
