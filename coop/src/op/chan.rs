//! Operations on channels.

use crate::chan::{self, ReceivingEnd, ReservingEnd, SendingEnd};
use crate::handle::Queued;
use crate::sync;

/// Receives a message, as the `recv` method of the receiver: `op::receive(&rx)`; `op::receive(&mut rx)` for a
/// [`broadcast`](chan::broadcast()) channel. Gives `Result<T, RecvError>`, of which `Killed` cannot come out of an arm. For a
/// [`watch`](chan::watch()) channel it is [`changed`].
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
pub fn receive<R: ReceivingEnd>(receiver: R) -> R::Receive {
    receiver.receive()
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
pub fn reserve<S: ReservingEnd>(sender: S) -> S::Reserve {
    sender.reserve_place()
}

/// Waits for a value that the receiver has not seen, as [`watch::Receiver::changed`](chan::watch::Receiver::changed). Gives
/// `Result<Rc<T>, RecvError>`.
///
/// ```
/// use coop::{chan, op};
/// use std::time::Duration;
/// coop::run(|| -> Result<(), coop::Killed> {
///     let (tx, rx) = chan::watch(1);
///     tx.send(2).unwrap();
///     let value = coop::select! {
///         value = op::changed(&rx) => value.map_or(0, |value| *value),
///         _ = op::after(Duration::from_secs(1)) => 0,
///     }?;
///     assert_eq!(value, 2);
///     Ok(())
/// }).unwrap();
/// ```
#[must_use = "an operation does nothing until it is waited for, started, or an arm of `select!`"]
pub fn changed<T>(receiver: &chan::watch::Receiver<T>) -> Queued<chan::watch::Receive<'_, T>> {
    Queued::new(chan::watch::Receive::new(receiver))
}

/// Waits until nobody will receive any more, as the `closed` method of the sender, of whatever channel. Gives `()`.
///
/// ```
/// use coop::{chan, op};
/// use std::time::Duration;
/// coop::run(|| {
///     let (answer, result) = chan::oneshot();
///     let mut work = coop::spawn(move || -> Result<bool, coop::Killed> {
///         let is_wanted = coop::select! {
///             _ = op::closed(&answer) => false,
///             _ = op::after(Duration::from_secs(3600)) => true,
///         }?;
///         Ok(is_wanted && answer.send(42).is_ok())
///     });
///     coop::yield_now().unwrap();
///     drop(result);
///     assert_eq!(work.join().unwrap(), Ok(false));
/// });
/// ```
#[must_use = "an operation does nothing until it is waited for, started, or an arm of `select!`"]
pub fn closed<S: SendingEnd>(sender: &S) -> Queued<sync::Setting<'_>> {
    Queued::new(sync::Setting::called(sender.closing(), chan::CLOSING))
}
