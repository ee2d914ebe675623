//! Operations: inert descriptions of something to wait for.
//!
//! Each function names what the method of the same name does, without doing it. An operation can be waited for
//! ([`Operation::wait`](crate::Operation::wait)), started in a scope ([`Scope::start`](crate::Scope::start)), or, unless it
//! says otherwise, stand as an arm of [`select!`](crate::select). Dropping it does nothing.

use crate::handle::{Polled, Queued};
use crate::net::{self, Listener, Stream};
use crate::signal::{self, Signal};
use crate::{chan, time};
use std::time::Duration;

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

/// Is over `duration` after the wait began, or, started, after the start. Gives `()`.
///
/// As an arm it counts anew in each `select!`. For a limit on many rounds start it once, and use `&mut handle`:
///
/// ```
/// use coop::op;
/// use std::time::Duration;
/// coop::run(|| -> Result<(), coop::Killed> {
///     coop::wait_all(|s| {
///         let mut limit = s.start(op::after(Duration::from_millis(20)));
///         let mut rounds = 0;
///         loop {
///             coop::select! {
///                 _ = op::after(Duration::from_millis(1)) => rounds += 1,
///                 _ = &mut limit => break,
///             }?;
///         }
///         assert!(rounds <= 20);
///         Ok(())
///     })
/// }).unwrap();
/// ```
#[must_use = "an operation does nothing until it is waited for, started, or an arm of `select!`"]
pub fn after(duration: Duration) -> time::After {
    time::After::new(duration)
}

/// Waits for a signal, as [`Signal::recv`]. Gives `io::Result<()>`.
///
/// ```
/// use coop::op;
/// use std::time::Duration;
/// coop::run(|| -> std::io::Result<()> {
///     let terminate = coop::signal::terminate()?;
///     let asked = coop::select! {
///         _ = op::signal(&terminate) => true,
///         _ = op::after(Duration::from_millis(1)) => false,
///     }?;
///     assert!(!asked);
///     Ok(())
/// }).unwrap();
/// ```
#[must_use = "an operation does nothing until it is waited for, started, or an arm of `select!`"]
pub fn signal(signal: &Signal) -> signal::SignalOperation<'_> {
    Polled::new(signal::Receiving::new(signal))
}

/// Receives a message, as [`Receiver::recv`](chan::Receiver::recv). Gives `Result<T, RecvError>`, of which only `Closed` can
/// come out of an arm.
///
/// ```
/// use coop::{chan, op};
/// use std::time::Duration;
/// coop::run(|| -> Result<(), coop::Killed> {
///     let (tx, rx) = chan::bounded(1);
///     tx.try_send("job").unwrap();
///     let job = coop::select! {
///         Ok(job) = op::receive(&rx) => Some(job),
///         _ = op::after(Duration::from_secs(1)) => None,
///         else => None,                          // every sender is gone
///     }?;
///     assert_eq!(job, Some("job"));
///     Ok(())
/// }).unwrap();
/// ```
#[must_use = "an operation does nothing until it is waited for, started, or an arm of `select!`"]
pub fn receive<T>(receiver: &chan::Receiver<T>) -> Queued<chan::Receive<'_, T>> {
    Queued::new(chan::Receive::new(receiver))
}

/// Waits for room for one message, as [`Sender::reserve`](chan::Sender::reserve). Gives `Result<Permit<T>, Closed>`: sending by
/// the permit does not wait.
///
/// ```
/// use coop::{chan, op};
/// use std::time::Duration;
/// coop::run(|| -> Result<(), coop::Killed> {
///     let (tx, rx) = chan::bounded(1);
///     let mut outbox = vec!["second", "first"];
///     coop::select! {
///         permit = op::reserve(&tx) => permit.unwrap().send(outbox.pop().unwrap()),
///         _ = op::after(Duration::from_secs(1)) => {}
///     }?;
///     assert_eq!((rx.try_recv(), outbox.len()), (Ok("first"), 1), "what is sent is taken once there is a place");
///     Ok(())
/// }).unwrap();
/// ```
#[must_use = "an operation does nothing until it is waited for, started, or an arm of `select!`"]
pub fn reserve<T>(sender: &chan::Sender<T>) -> Queued<chan::Reserve<'_, T>> {
    Queued::new(chan::Reserve::new(sender))
}

/// Waits for a mutex, as [`Mutex::lock`](crate::sync::Mutex::lock). As an arm that loses it leaves its place in the queue; to
/// keep it, start it.
///
/// ```
/// use coop::{op, sync::Mutex};
/// use std::time::Duration;
/// coop::run(|| -> Result<(), coop::Killed> {
///     let count = Mutex::new(1);
///     let _held = count.try_lock();
///     let was_free = coop::select! {
///         mut guard = op::lock(&count) => { *guard += 1; true }
///         _ = op::after(Duration::from_millis(1)) => false,
///     }?;
///     assert!(!was_free);
///     Ok(())
/// }).unwrap();
/// ```
#[must_use = "an operation does nothing until it is waited for, started, or an arm of `select!`"]
pub fn lock<T: ?Sized>(mutex: &crate::sync::Mutex<T>) -> Queued<crate::sync::Lock<'_, T>> {
    Queued::new(crate::sync::Lock::new(mutex))
}
