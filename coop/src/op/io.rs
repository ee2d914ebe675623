//! Operations on descriptors of any kind.

use crate::handle::Polled;
use crate::io::Ready;
use std::os::fd::AsFd;

/// Waits until a call that reads from this descriptor would not block: there is something to read, or the end, or an error. For
/// descriptors that are somebody else's: a library's connection, a timerfd, a device. Gives `io::Result<()>`.
///
/// Somebody else may be faster, so the call should not block: the descriptor is best a non-blocking one. A file is always ready.
///
/// ```
/// use coop::op;
/// use std::{io::Read, os::unix::net::UnixStream, time::Duration};
/// coop::run(|| -> std::io::Result<()> {
///     // A stream of `std`'s: its own calls would block the thread.
///     let (mut ours, theirs) = UnixStream::pair()?;
///     let is_readable = coop::select! {
///         ready = op::readable(&ours) => ready.is_ok(),
///         _ = op::after(Duration::from_millis(1)) => false,
///     }?;
///     assert!(!is_readable);
///     drop(theirs);
///     op::readable(&ours).wait()?;
///     assert_eq!(ours.read(&mut [0])?, 0, "the end");
///     Ok(())
/// }).unwrap();
/// # use coop::Operation;
/// ```
///
/// # Errors
/// Those of poll(2), and [`Killed`](crate::Killed).
#[must_use = "an operation does nothing until it is waited for, started, or an arm of `select!`"]
pub fn readable(fd: &impl AsFd) -> Polled<Ready<'_>> {
    Polled::new(Ready::to_read(fd.as_fd()))
}

/// Waits until a call that writes to this descriptor would not block: there is room, or an error. As [`readable`] otherwise.
///
/// ```
/// use coop::{Operation, op};
/// coop::run(|| -> std::io::Result<()> {
///     let (ours, _theirs) = std::os::unix::net::UnixStream::pair()?;
///     op::writable(&ours).wait()
/// }).unwrap();
/// ```
///
/// # Errors
/// Those of poll(2), and [`Killed`](crate::Killed).
#[must_use = "an operation does nothing until it is waited for, started, or an arm of `select!`"]
pub fn writable(fd: &impl AsFd) -> Polled<Ready<'_>> {
    Polled::new(Ready::to_write(fd.as_fd()))
}
