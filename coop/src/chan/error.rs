//! Why a message was not sent, or none received: one type a verb.

use crate::error::Killed;
use std::error::Error;
use std::fmt;
use std::io;

/// Nobody will receive any more: every receiver is gone, or closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Closed;

/// Why a send that does not wait did not send: nobody will receive any more. With the message.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Unsent<T>(pub T);

/// Why a [`recv`](super::Receiver::recv) gave no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecvError {
    /// The channel is empty, and no message will come any more.
    Closed,
    /// The task was killed.
    Killed(Killed),
}

/// Why a [`send`](super::Sender::send) did not send; with the message.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum SendError<T> {
    /// Nobody will receive any more.
    Closed(T),
    /// The task was killed.
    Killed(Killed, T),
}

/// Why a [`reserve`](super::Sender::reserve) gave no permit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReserveError {
    /// Nobody will receive any more.
    Closed,
    /// The task was killed.
    Killed(Killed),
}

/// Why a [`try_recv`](super::Receiver::try_recv) gave no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TryRecvError {
    /// There is none just now.
    Empty,
    /// There is none, and none will come any more.
    Closed,
}

/// Why a [`try_send`](super::Sender::try_send) did not send; with the message.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum TrySendError<T> {
    /// There is no place just now.
    Full(T),
    /// Nobody will receive any more.
    Closed(T),
}

impl RecvError {
    /// What is the end for a loop that is not told of kills: `Ok(None)`; a kill stays an error.
    pub(super) fn into_end<T>(self) -> Result<Option<T>, Killed> {
        match self {
            RecvError::Closed => Ok(None),
            RecvError::Killed(killed) => Err(killed),
        }
    }
}

impl<T> Unsent<T> {
    /// The message.
    pub fn into_message(self) -> T {
        self.0
    }
}

impl<T> SendError<T> {
    /// The message that was not sent.
    pub fn into_message(self) -> T {
        match self {
            SendError::Closed(message) | SendError::Killed(_, message) => message,
        }
    }
}

impl<T> TrySendError<T> {
    /// The message that was not sent.
    pub fn into_message(self) -> T {
        match self {
            TrySendError::Full(message) | TrySendError::Closed(message) => message,
        }
    }
}

pub(super) const CLOSED: &str = "the channel is closed";

macro_rules! display {
    ($([$($bound:tt)*] $type:ty { $($pattern:pat => $text:expr),+ $(,)? })+) => {$(
        impl<$($bound)*> fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self { $($pattern => fmt::Display::fmt(&$text, f)),+ }
            }
        }
        impl<$($bound)*> Error for $type {}
    )+};
}

display! {
    [] Closed { Closed => CLOSED }
    [T] Unsent<T> { Unsent(_) => CLOSED }
    [] RecvError { RecvError::Closed => CLOSED, RecvError::Killed(killed) => killed }
    [] ReserveError { ReserveError::Closed => CLOSED, ReserveError::Killed(killed) => killed }
    [] TryRecvError { TryRecvError::Closed => CLOSED, TryRecvError::Empty => "the channel is empty" }
    [T] SendError<T> { SendError::Closed(_) => CLOSED, SendError::Killed(killed, _) => killed }
    [T] TrySendError<T> { TrySendError::Closed(_) => CLOSED, TrySendError::Full(_) => "the channel is full" }
}

// The messages need not be `Debug` for the errors to be, nor for `unwrap` on a send.
impl<T> fmt::Debug for Unsent<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Unsent(..)")
    }
}

impl<T> fmt::Debug for SendError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SendError::Closed(_) => f.write_str("Closed(..)"),
            SendError::Killed(killed, _) => write!(f, "Killed({killed:?}, ..)"),
        }
    }
}

impl<T> fmt::Debug for TrySendError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if matches!(self, TrySendError::Full(_)) { "Full(..)" } else { "Closed(..)" })
    }
}

impl From<Killed> for RecvError {
    fn from(killed: Killed) -> Self {
        RecvError::Killed(killed)
    }
}

impl From<Killed> for ReserveError {
    fn from(killed: Killed) -> Self {
        ReserveError::Killed(killed)
    }
}

impl From<Closed> for ReserveError {
    fn from(_: Closed) -> Self {
        ReserveError::Closed
    }
}

impl<T> From<Unsent<T>> for SendError<T> {
    fn from(Unsent(message): Unsent<T>) -> Self {
        SendError::Closed(message)
    }
}

impl From<Closed> for io::Error {
    fn from(closed: Closed) -> Self {
        io::Error::new(io::ErrorKind::BrokenPipe, closed)
    }
}

// A message need be neither `Send` nor `'static`, as what an `io::Error` holds must: it is dropped here.
impl<T> From<Unsent<T>> for io::Error {
    fn from(_: Unsent<T>) -> Self {
        Closed.into()
    }
}

impl From<RecvError> for io::Error {
    fn from(error: RecvError) -> Self {
        match error {
            RecvError::Closed => Closed.into(),
            RecvError::Killed(killed) => killed.into(),
        }
    }
}

impl From<ReserveError> for io::Error {
    fn from(error: ReserveError) -> Self {
        match error {
            ReserveError::Closed => Closed.into(),
            ReserveError::Killed(killed) => killed.into(),
        }
    }
}

impl<T> From<SendError<T>> for io::Error {
    fn from(error: SendError<T>) -> Self {
        match error {
            SendError::Closed(_) => Closed.into(),
            SendError::Killed(killed, _) => killed.into(),
        }
    }
}
