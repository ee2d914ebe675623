//! Operations on streams and listeners.

use crate::handle::Polled;
use crate::net::{self, Listener, Stream};

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
pub fn recv<'a, S: Stream>(stream: &'a S, buffer: &'a mut [u8]) -> net::Recv<'a> {
    net::Recv::new(stream.socket(), buffer)
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
pub fn send<'a, S: Stream>(stream: &'a S, buffer: &'a [u8]) -> net::Send<'a> {
    net::Send::new(stream.socket(), buffer)
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
