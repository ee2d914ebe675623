//! Operations on sockets.

use crate::handle::{Polled, Queued};
use crate::net::{self, Connected, Datagrams, Listener, PassesDescriptors, Stream};
use std::io::{IoSlice, IoSliceMut};
use std::net::SocketAddr;
use std::os::fd::BorrowedFd;

/// Receives into `buffer`, as [`TcpStream::recv`](net::TcpStream::recv). Gives `io::Result<usize>`; started, it gives the
/// buffer back.
///
/// ```
/// use coop::{net::UnixStream, op};
/// use std::time::Duration;
/// coop::run(|| -> std::io::Result<()> {
///     let (ours, theirs) = UnixStream::pair()?;
///     theirs.send_all(b"hi")?;
///     let mut buf = [0; 8];
///     let n = coop::select! {
///         n = op::recv(&ours, &mut buf) => n?,
///         _ = op::after(Duration::from_secs(1)) => 0,
///     }?;
///     assert_eq!(&buf[..n], b"hi");
///     Ok(())
/// }).unwrap();
/// ```
#[must_use = "an operation does nothing until it is waited for, started, or an arm of `select!`"]
pub fn recv<'a, S: Connected>(socket: &'a S, buffer: &'a mut [u8]) -> net::Recv<'a> {
    net::Recv::new(socket.socket(), buffer)
}

/// Sends some of `buffer`, as [`TcpStream::send`](net::TcpStream::send). Gives `io::Result<usize>`.
///
/// ```
/// use coop::{net::UnixStream, op};
/// use std::time::Duration;
/// coop::run(|| -> std::io::Result<()> {
///     let (ours, _theirs) = UnixStream::pair()?;
///     let sent = coop::select! {
///         n = op::send(&ours, b"hello") => n?,
///         _ = op::after(Duration::from_secs(1)) => 0,
///     }?;
///     assert_eq!(sent, 5);
///     Ok(())
/// }).unwrap();
/// ```
#[must_use = "an operation does nothing until it is waited for, started, or an arm of `select!`"]
pub fn send<'a, S: Connected>(socket: &'a S, buffer: &'a [u8]) -> net::Send<'a> {
    net::Send::new(socket.socket(), buffer)
}

/// Sends all of `buffer`, as [`TcpStream::send_all`](net::TcpStream::send_all). It can be half done, so it is no arm by value:
/// start it, and use `&mut handle`.
///
/// ```
/// use coop::{net::UnixStream, op};
/// use std::io;
/// coop::run(|| -> io::Result<()> {
///     let (ours, theirs) = UnixStream::pair()?;
///     let (much, mut got) = (vec![7; 1 << 20], vec![0; 1 << 20]);
///     coop::scope(|s| -> io::Result<()> {
///         let sending = s.start(op::send_all(&ours, &much));
///         theirs.recv_exact(&mut got)?;
///         assert_eq!(sending.wait()?.n(), much.len());
///         Ok(())
///     })?;
///     assert_eq!(got, much);
///     Ok(())
/// }).unwrap();
/// ```
#[must_use = "an operation does nothing until it is waited for, started, or an arm of `select!`"]
pub fn send_all<'a, S: Stream>(stream: &'a S, buffer: &'a [u8]) -> net::SendAll<'a> {
    net::SendAll::new(stream.socket(), buffer)
}

/// Accepts a connection, as [`TcpListener::accept`](net::TcpListener::accept).
///
/// ```
/// use coop::{net, op};
/// use std::{io, time::Duration};
/// coop::run(|| -> io::Result<()> {
///     let listener = net::TcpListener::bind("127.0.0.1:0")?;
///     let address = listener.local_addr()?;
///     let client = coop::spawn(move || net::TcpStream::connect(address).map(drop));
///     coop::select! {
///         accepted = op::accept(&listener) => drop(accepted?),
///         _ = op::after(Duration::from_secs(5)) => panic!("nobody came"),
///     }?;
///     # drop(client);
///     Ok(())
/// }).unwrap();
/// ```
#[must_use = "an operation does nothing until it is waited for, started, or an arm of `select!`"]
pub fn accept<L: Listener>(listener: &L) -> net::Accept<'_, L> {
    Polled::new(net::Accepting::new(listener))
}

/// Takes the next connection, as [`AcceptAhead::accept`](net::AcceptAhead::accept).
///
/// ```
/// use coop::{net, op};
/// use std::{io, time::Duration};
/// coop::run(|| -> io::Result<()> {
///     let listener = net::TcpListener::bind("127.0.0.1:0")?;
///     let connections = listener.accept_ahead();
///     let client = net::TcpStream::connect(listener.local_addr()?)?;
///     coop::select! {
///         conn = op::accept_next(&connections) => assert_eq!(conn?.peer_addr()?, client.local_addr()?),
///         _ = op::after(Duration::from_secs(5)) => panic!("nobody came"),
///     }?;
///     Ok(())
/// }).unwrap();
/// ```
#[must_use = "an operation does nothing until it is waited for, started, or an arm of `select!`"]
pub fn accept_next<'a, L: Listener>(connections: &'a net::AcceptAhead<'a, L>) -> Queued<net::Taking<'a, L>> {
    Queued::new(net::Taking::new(connections))
}

/// Connects, as [`TcpStream::connect`](net::TcpStream::connect) to one address. It can be half done, so it is no arm by value:
/// start it, and use `&mut handle`. A connection that comes into being while it is called off is closed.
///
/// ```
/// use coop::{net, op};
/// use std::{io, time::Duration};
/// coop::run(|| -> io::Result<()> {
///     let listener = net::TcpListener::bind("127.0.0.1:0")?;
///     let address = listener.local_addr()?;
///     coop::scope(|s| -> io::Result<()> {
///         let mut connecting = s.start(op::connect(address));
///         coop::select! {
///             stream = &mut connecting => assert_eq!(stream?.peer_addr()?, address),
///             _ = op::after(Duration::from_secs(5)) => panic!("nobody answers"),
///         }?;
///         Ok(())
///     })
/// }).unwrap();
/// ```
///
/// ```compile_fail,E0277
/// # use coop::op;
/// # let address = "127.0.0.1:1".parse().unwrap();
/// coop::select! { stream = op::connect(address) => stream.map(drop) };
/// ```
#[must_use = "an operation does nothing until it is waited for, or started"]
pub fn connect(address: SocketAddr) -> net::Connect {
    net::Connect::new(address)
}

/// Looks at what has come, or comes next, as [`TcpStream::peek`](net::TcpStream::peek). Gives `io::Result<usize>`; started, it
/// gives the buffer back.
///
/// ```
/// use coop::{net::UnixStream, op};
/// use std::time::Duration;
/// coop::run(|| -> std::io::Result<()> {
///     let (ours, theirs) = UnixStream::pair()?;
///     theirs.send_all(b"GET /")?;
///     let mut buf = [0; 3];
///     coop::select! {
///         n = op::peek(&ours, &mut buf) => assert_eq!(n?, 3),
///         _ = op::after(Duration::from_secs(1)) => panic!("it has come"),
///     }?;
///     assert_eq!(ours.recv(&mut [0; 8])?, 5, "it is still there");
///     Ok(())
/// }).unwrap();
/// ```
#[must_use = "an operation does nothing until it is waited for, started, or an arm of `select!`"]
pub fn peek<'a, S: Connected>(socket: &'a S, buffer: &'a mut [u8]) -> Polled<net::Peeking<'a>> {
    Polled::new(net::Peeking::new(socket.socket(), buffer))
}

/// Receives into several buffers, as [`TcpStream::recv_vectored`](net::TcpStream::recv_vectored). Gives `io::Result<usize>`;
/// started, it gives the buffers back beside the number.
///
/// ```
/// use coop::{net::UnixStream, op};
/// use std::{io::IoSliceMut, time::Duration};
/// coop::run(|| -> std::io::Result<()> {
///     let (ours, theirs) = UnixStream::pair()?;
///     theirs.send_all(b"headbody")?;
///     let (mut head, mut body) = ([0; 4], [0; 16]);
///     let n = coop::select! {
///         n = op::recv_vectored(&ours, &mut [IoSliceMut::new(&mut head), IoSliceMut::new(&mut body)]) => n?,
///         _ = op::after(Duration::from_secs(1)) => 0,
///     }?;
///     assert_eq!((&head, &body[..n - 4]), (b"head", &b"body"[..]));
///     Ok(())
/// }).unwrap();
/// ```
#[must_use = "an operation does nothing until it is waited for, started, or an arm of `select!`"]
pub fn recv_vectored<'a, 'b, S: Connected>(
    socket: &'a S,
    buffers: &'a mut [IoSliceMut<'b>],
) -> Polled<net::ReceivingVectored<'a, 'b>> {
    Polled::new(net::ReceivingVectored::new(socket.socket(), buffers))
}

/// Receives into a buffer of the Cooperator's, as [`TcpStream::recv_leased`](net::TcpStream::recv_leased). Gives
/// `io::Result<Lease>`.
///
/// ```
/// use coop::{net::UnixStream, op};
/// use std::time::Duration;
/// coop::run(|| -> std::io::Result<()> {
///     let (ours, theirs) = UnixStream::pair()?;
///     theirs.send_all(b"hi")?;
///     coop::select! {
///         got = op::recv_leased(&ours) => assert_eq!(&*got?, b"hi"),
///         _ = op::after(Duration::from_secs(1)) => panic!("it has come"),
///     }?;
///     Ok(())
/// }).unwrap();
/// ```
#[must_use = "an operation does nothing until it is waited for, started, or an arm of `select!`"]
pub fn recv_leased<S: Connected>(socket: &S) -> Polled<net::ReceivingLeased<'_>> {
    Polled::new(net::ReceivingLeased::new(socket.socket()))
}

/// Takes what has come next, as [`RecvAhead::recv`](net::RecvAhead::recv). Gives `io::Result<Lease>`.
///
/// ```
/// use coop::{net::UnixStream, op};
/// use std::time::Duration;
/// coop::run(|| -> std::io::Result<()> {
///     let (ours, theirs) = UnixStream::pair()?;
///     let incoming = ours.recv_ahead();
///     theirs.send_all(b"hi")?;
///     coop::select! {
///         got = op::recv_next(&incoming) => assert_eq!(&*got?, b"hi"),
///         _ = op::after(Duration::from_secs(1)) => panic!("it has come"),
///     }?;
///     Ok(())
/// }).unwrap();
/// ```
#[must_use = "an operation does nothing until it is waited for, started, or an arm of `select!`"]
pub fn recv_next<'a>(incoming: &'a net::RecvAhead<'a>) -> Queued<net::TakingNext<'a>> {
    Queued::new(net::TakingNext::new(incoming))
}

/// Sends some of several buffers, as [`TcpStream::send_vectored`](net::TcpStream::send_vectored). Gives `io::Result<usize>`.
///
/// ```
/// use coop::{net::UnixStream, op};
/// use std::{io::IoSlice, time::Duration};
/// coop::run(|| -> std::io::Result<()> {
///     let (ours, theirs) = UnixStream::pair()?;
///     coop::select! {
///         n = op::send_vectored(&ours, &[IoSlice::new(b"head"), IoSlice::new(b"body")]) => assert_eq!(n?, 8),
///         _ = op::after(Duration::from_secs(1)) => panic!("there is room"),
///     }?;
///     assert_eq!(theirs.recv(&mut [0; 16])?, 8);
///     Ok(())
/// }).unwrap();
/// ```
#[must_use = "an operation does nothing until it is waited for, started, or an arm of `select!`"]
pub fn send_vectored<'a, S: Connected>(socket: &'a S, buffers: &'a [IoSlice<'a>]) -> Polled<net::SendingVectored<'a>> {
    Polled::new(net::SendingVectored::new(socket.socket(), buffers))
}

/// Receives a datagram, as [`UdpSocket::recv_from`](net::UdpSocket::recv_from). Gives its length and where it came from; started,
/// the buffer comes back with the length.
///
/// ```
/// use coop::{net::UdpSocket, op};
/// use std::time::Duration;
/// coop::run(|| -> std::io::Result<()> {
///     let (a, b) = (UdpSocket::bind("127.0.0.1:0")?, UdpSocket::bind("127.0.0.1:0")?);
///     a.send_to(b"hello", b.local_addr()?)?;
///     let mut buf = [0; 1500];
///     coop::select! {
///         received = op::recv_from(&b, &mut buf) => assert_eq!(received?, (5, a.local_addr()?)),
///         _ = op::after(Duration::from_secs(1)) => panic!("it was sent"),
///     }?;
///     Ok(())
/// }).unwrap();
/// ```
#[must_use = "an operation does nothing until it is waited for, started, or an arm of `select!`"]
pub fn recv_from<'a, S: Datagrams>(socket: &'a S, buffer: &'a mut [u8]) -> Polled<net::ReceivingFrom<'a, S>> {
    Polled::new(net::ReceivingFrom::new(socket, buffer))
}

/// Receives a datagram, as [`UdpSocket::recv_datagram`](net::UdpSocket::recv_datagram), which tells whether it was truncated.
/// Started, it gives the buffer back.
///
/// ```
/// use coop::{net::UnixDatagram, op};
/// use std::time::Duration;
/// coop::run(|| -> std::io::Result<()> {
///     let (a, b) = UnixDatagram::pair()?;
///     a.send(b"too long")?;
///     coop::select! {
///         received = op::recv_datagram(&b, &mut [0; 3]) => assert!(received?.is_truncated()),
///         _ = op::after(Duration::from_secs(1)) => panic!("it was sent"),
///     }?;
///     Ok(())
/// }).unwrap();
/// ```
#[must_use = "an operation does nothing until it is waited for, started, or an arm of `select!`"]
pub fn recv_datagram<'a, S: Datagrams>(socket: &'a S, buffer: &'a mut [u8]) -> Polled<net::ReceivingWhole<'a, S>> {
    Polled::new(net::ReceivingWhole::new(socket, buffer))
}

/// Looks at the next datagram, as [`UdpSocket::peek_from`](net::UdpSocket::peek_from). Gives its length and where it came from;
/// started, the buffer comes back with the length.
///
/// ```
/// use coop::{net::UdpSocket, op};
/// use std::time::Duration;
/// coop::run(|| -> std::io::Result<()> {
///     let (a, b) = (UdpSocket::bind("127.0.0.1:0")?, UdpSocket::bind("127.0.0.1:0")?);
///     a.send_to(b"hello", b.local_addr()?)?;
///     let from = coop::select! {
///         seen = op::peek_from(&b, &mut [0; 1]) => seen?.1,
///         _ = op::after(Duration::from_secs(1)) => panic!("it was sent"),
///     }?;
///     assert_eq!(b.recv_from(&mut [0; 8])?, (5, from), "it is still there");
///     Ok(())
/// }).unwrap();
/// ```
#[must_use = "an operation does nothing until it is waited for, started, or an arm of `select!`"]
pub fn peek_from<'a, S: Datagrams>(socket: &'a S, buffer: &'a mut [u8]) -> Polled<net::PeekingFrom<'a, S>> {
    Polled::new(net::PeekingFrom::new(socket, buffer))
}

/// Sends a datagram to an address, as [`UdpSocket::send_to`](net::UdpSocket::send_to). Gives `io::Result<usize>`; started, it
/// gives the buffer back.
///
/// ```
/// use coop::{net::UdpSocket, op};
/// use std::time::Duration;
/// coop::run(|| -> std::io::Result<()> {
///     let (a, b) = (UdpSocket::bind("127.0.0.1:0")?, UdpSocket::bind("127.0.0.1:0")?);
///     coop::select! {
///         sent = op::send_to(&a, b"hello", b.local_addr()?) => assert_eq!(sent?, 5),
///         _ = op::after(Duration::from_secs(1)) => panic!("there is room"),
///     }?;
///     assert_eq!(b.recv_from(&mut [0; 8])?, (5, a.local_addr()?));
///     Ok(())
/// }).unwrap();
/// ```
#[must_use = "an operation does nothing until it is waited for, started, or an arm of `select!`"]
pub fn send_to<'a>(socket: &'a net::UdpSocket, buffer: &'a [u8], to: SocketAddr) -> Polled<net::SendingTo<'a>> {
    Polled::new(net::SendingTo::to_ip(socket.socket(), buffer, &to))
}

/// Receives bytes and descriptors, as [`UnixStream::recv_fds`](net::UnixStream::recv_fds). Started, it gives the buffer back
/// beside the descriptors.
///
/// ```
/// use coop::{net::UnixStream, op};
/// use std::{io::Read, os::fd::AsFd, time::Duration};
/// coop::run(|| -> std::io::Result<()> {
///     let (ours, theirs) = UnixStream::pair()?;
///     let executable = std::fs::File::open(std::env::current_exe()?)?;
///     theirs.send_fds(b"!", &[executable.as_fd()])?;
///     let mut buf = [0; 8];
///     let (n, mut fds) = coop::select! {
///         received = op::recv_fds(&ours, &mut buf) => received?,
///         _ = op::after(Duration::from_secs(1)) => panic!("it was sent"),
///     }?;
///     assert_eq!((n, fds.len()), (1, 1));
///     std::fs::File::from(fds.remove(0)).read_exact(&mut buf[..4])?;
///     assert_eq!(&buf[..4], b"\x7fELF");
///     Ok(())
/// }).unwrap();
/// ```
#[must_use = "an operation does nothing until it is waited for, started, or an arm of `select!`"]
pub fn recv_fds<'a, S: PassesDescriptors>(
    socket: &'a S,
    buffer: &'a mut [u8],
) -> Polled<net::ReceivingDescriptors<'a>> {
    Polled::new(net::ReceivingDescriptors::new(socket.socket(), buffer))
}

/// Sends bytes and descriptors, as [`UnixStream::send_fds`](net::UnixStream::send_fds). Gives `io::Result<usize>`; started, it
/// gives the buffer back.
///
/// ```
/// use coop::{net::UnixDatagram, op};
/// use std::{os::fd::AsFd, time::Duration};
/// coop::run(|| -> std::io::Result<()> {
///     let (ours, theirs) = UnixDatagram::pair()?;
///     coop::select! {
///         sent = op::send_fds(&ours, b"", &[ours.as_fd()]) => assert_eq!(sent?, 0),
///         _ = op::after(Duration::from_secs(1)) => panic!("there is room"),
///     }?;
///     assert_eq!(theirs.recv_fds(&mut [])?.1.len(), 1);
///     Ok(())
/// }).unwrap();
/// ```
#[must_use = "an operation does nothing until it is waited for, started, or an arm of `select!`"]
pub fn send_fds<'a, S: PassesDescriptors>(
    socket: &'a S,
    buffer: &'a [u8],
    fds: &'a [BorrowedFd<'a>],
) -> Polled<net::SendingDescriptors<'a>> {
    Polled::new(net::SendingDescriptors::new(socket.socket(), buffer, fds))
}
