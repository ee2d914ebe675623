//! Operations on channels.

use crate::chan;
use crate::handle::Queued;

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
