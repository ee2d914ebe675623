//! A queue without bound: sending never waits.

use super::bounded::{self, Receiver};
use super::error::{TrySendError, Unsent};
use crate::error::Killed;
use crate::sync::Event;
use std::fmt;

/// A channel that holds any number of messages, so that sending never waits. What receives more slowly than others send makes
/// it grow: where that can last, [`bounded`](super::bounded()) is right.
///
/// ```
/// use coop::chan;
/// coop::run(|| {
///     let (tx, rx) = chan::unbounded();
///     for n in 0..1000 {
///         tx.send(n).unwrap();
///     }
///     assert_eq!((rx.len(), rx.capacity()), (1000, None));
///     drop(tx);
///     assert_eq!(rx.into_iter().sum::<i32>(), 499_500);
/// });
/// ```
pub fn unbounded<T>() -> (Sender<T>, Receiver<T>) {
    let (sender, receiver) = bounded::with_capacity(usize::MAX);
    (Sender { sender }, receiver)
}

/// The sending end of an [`unbounded`](super::unbounded()) channel. Clones send into the same channel.
pub struct Sender<T> {
    sender: bounded::Sender<T>,
}

impl<T> Sender<T> {
    /// Sends a message. Not a wait point, so that it works in destructors and in tasks that have been killed.
    ///
    /// # Errors
    /// [`Unsent`], with the message, if nobody will receive any more.
    pub fn send(&self, message: T) -> Result<(), Unsent<T>> {
        self.sender.try_send(message).map_err(|error| match error {
            TrySendError::Full(message) | TrySendError::Closed(message) => Unsent(message),
        })
    }

    /// Whether nobody will receive any more: the last receiver is gone, or one was [closed](Receiver::close). Not a wait point.
    pub fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }

    /// Waits until nobody will receive any more.
    ///
    /// A wait point if the channel is open; kill-checked.
    ///
    /// # Errors
    /// `Killed`.
    ///
    /// # Panics
    /// On a thread without a Cooperator.
    #[track_caller]
    pub fn closed(&self) -> Result<(), Killed> {
        self.sender.closed()
    }

    pub(super) fn closing(&self) -> &Event {
        self.sender.closing()
    }

    /// How many messages wait to be received. Not a wait point.
    pub fn len(&self) -> usize {
        self.sender.len()
    }

    /// Whether no message waits to be received. Not a wait point.
    pub fn is_empty(&self) -> bool {
        self.sender.is_empty()
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        Sender { sender: self.sender.clone() }
    }
}

impl<T> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.sender.fmt(f)
    }
}
