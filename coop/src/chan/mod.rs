//! Channels: between the tasks of one thread, and one between threads.
//!
//! | made by | holds | a message goes to | sending waits |
//! |---|---|---|---|
//! | [`bounded(n)`](bounded()) | up to `n` messages | one of the receivers | while it is full |
//! | [`unbounded()`](unbounded()) | any number | one of the receivers | never |
//! | [`rendezvous()`](rendezvous()) | none | one of the receivers | until it is taken |
//! | [`oneshot()`](oneshot()) | one, once | the receiver | never |
//! | [`watch(value)`](watch()) | the latest | all receivers, unless a newer one comes first | never |
//! | [`passage(n)`](passage()) | up to `n` messages, between threads | one of the receivers | while it is full |
//! | [`broadcast(n)`](broadcast()) | the last `n` | all receivers, unless they lag by more than `n` | never |
//!
//! Who waits is served in the order of arrival. A message that was sent is received, or dropped when the last receiver goes: a wait
//! that is killed, and an arm of a `select!` that does not win, take nothing. When every sender is gone, receivers get what is left
//! and then `Closed`; when every receiver is gone, senders get their message back.
//!
//! Errors tell the end of a channel from a kill, and both become an [`io::Error`](std::io::Error) by `?`. In functions that return
//! `Result<_, Killed>`, [`Receiver::next`] gives `None` for the end.

mod bounded;
mod end;
mod error;

pub mod broadcast;
pub mod oneshot;
pub mod passage;
pub mod rendezvous;
pub mod unbounded;
pub mod watch;

pub use bounded::{IntoIter, Iter, Permit, Receiver, Sender, TryIter, bounded};
pub use broadcast::broadcast;
pub use end::{ReceivingEnd, ReservingEnd, SendingEnd};
pub use error::{Closed, RecvError, ReserveError, SendError, TryRecvError, TrySendError, Unsent};
pub use oneshot::oneshot;
pub use passage::passage;
pub use rendezvous::rendezvous;
pub use unbounded::unbounded;
pub use watch::watch;

/// What a sender waits for by `closed`, in dumps.
pub(crate) const CLOSING: &str = "wait for a channel to close";
