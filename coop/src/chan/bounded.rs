//! A queue of bounded length, for any number of senders and receivers.
//!
//! Both ends wait in FIFO order. Who is woken has been promised what he waited for: a message or a place is set aside for him
//! until he takes it, so nobody overtakes.

use crate::coordinator::Coordinator;
use crate::error::Killed;
use crate::fiber::Reason;
use crate::handle::{Queued, Source};
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::error::Error;
use std::fmt;
use std::io;
use std::rc::Rc;

struct Channel<T> {
    messages: RefCell<VecDeque<T>>,
    capacity: usize,
    senders: Cell<usize>,
    receivers: Cell<usize>,
    /// Messages set aside for receivers that were woken.
    promised_messages: Cell<usize>,
    /// Places set aside for permits and for senders that were woken.
    promised_places: Cell<usize>,
    /// Always held: queues to wait in.
    wait_to_receive: Coordinator,
    wait_to_send: Coordinator,
}

impl<T> Channel<T> {
    fn free_messages(&self) -> usize {
        self.messages.borrow().len() - self.promised_messages.get()
    }

    /// No message is left and none will come. While one is promised this is open: it may be passed on.
    fn is_drained(&self) -> bool {
        self.senders.get() == 0 && self.messages.borrow().is_empty()
    }

    fn free_places(&self) -> usize {
        self.capacity.saturating_sub(self.messages.borrow().len() + self.promised_places.get())
    }

    /// Promises free messages to the receivers that wait, first come, first served; when there is nothing to come, wakes all.
    fn serve_receivers(&self) {
        while self.wait_to_receive.has_waiters() && (self.free_messages() > 0 || self.is_drained()) {
            self.promised_messages.set(self.promised_messages.get() + usize::from(self.free_messages() > 0));
            self.wait_to_receive.release();
        }
    }

    /// The same for those who wait for a place.
    fn serve_senders(&self) {
        while self.wait_to_send.has_waiters() && (self.free_places() > 0 || self.receivers.get() == 0) {
            self.promised_places.set(self.promised_places.get() + 1);
            self.wait_to_send.release();
        }
    }
}

/// A channel that holds at most `capacity` messages. A capacity of zero is raised to one.
///
/// ```
/// use coop::chan;
/// coop::run(|| {
///     let (tx, rx) = chan::bounded(2);
///     let mut sum = coop::spawn(move || {
///         let mut sum = 0;
///         while let Ok(n) = rx.recv() {
///             sum += n;
///         }
///         sum
///     });
///     for n in 1..=10 {
///         tx.send(n).unwrap();
///     }
///     drop(tx);
///     assert_eq!(sum.join().unwrap(), 55);
/// });
/// ```
pub fn bounded<T>(capacity: usize) -> (Sender<T>, Receiver<T>) {
    let channel = Rc::new(Channel {
        messages: RefCell::default(),
        capacity: capacity.max(1),
        senders: Cell::new(1),
        receivers: Cell::new(1),
        promised_messages: Cell::new(0),
        promised_places: Cell::new(0),
        wait_to_receive: Coordinator::held(),
        wait_to_send: Coordinator::held(),
    });
    (Sender { channel: channel.clone() }, Receiver { channel })
}

/// The sending end. Clones send into the same channel.
pub struct Sender<T> {
    channel: Rc<Channel<T>>,
}

/// The receiving end. Each message goes to one of its clones.
pub struct Receiver<T> {
    channel: Rc<Channel<T>>,
}

/// A place in a channel. Dropping it gives the place back.
#[must_use = "dropping a permit gives its place in the channel back"]
pub struct Permit<'a, T> {
    channel: &'a Channel<T>,
}

impl<T> Sender<T> {
    /// Sends a message, waiting for a place if the channel is full.
    ///
    /// A wait point if it is full; kill-checked: a killed send gives the message back.
    ///
    /// ```
    /// use coop::chan;
    /// coop::run(|| {
    ///     let (tx, _rx) = chan::bounded(1);
    ///     tx.send("first").unwrap();
    ///     let mut task = coop::spawn(move || tx.send("second"));
    ///     coop::yield_now().unwrap();
    ///     task.kill();
    ///     assert_eq!(task.join().unwrap().unwrap_err().into_message(), "second");
    /// });
    /// ```
    ///
    /// # Errors
    /// [`SendError`], with the message.
    #[track_caller]
    pub fn send(&self, message: T) -> Result<(), SendError<T>> {
        match self.reserve() {
            Ok(permit) => {
                permit.send(message);
                Ok(())
            }
            Err(ReserveError::Closed) => Err(SendError::Closed(message)),
            Err(ReserveError::Killed(killed)) => Err(SendError::Killed(killed, message)),
        }
    }

    /// Sends a message if there is a place. Not a wait point.
    ///
    /// # Errors
    /// [`TrySendError`], with the message.
    pub fn try_send(&self, message: T) -> Result<(), TrySendError<T>> {
        if self.channel.receivers.get() == 0 {
            return Err(TrySendError::Closed(message));
        }
        let source = Reserve { channel: &self.channel };
        if !source.try_reserve() {
            return Err(TrySendError::Full(message));
        }
        Permit { channel: &self.channel }.send(message);
        Ok(())
    }

    /// Waits for a place, to send without waiting later.
    ///
    /// ```
    /// coop::run(|| -> Result<(), coop::chan::ReserveError> {
    ///     let (tx, rx) = coop::chan::bounded(1);
    ///     let permit = tx.reserve()?;
    ///     assert!(tx.try_send(0).is_err(), "the only place is set aside");
    ///     permit.send(1);
    ///     assert_eq!(rx.recv(), Ok(1));
    ///     Ok(())
    /// }).unwrap();
    /// ```
    ///
    /// A wait point if the channel is full; kill-checked.
    ///
    /// # Errors
    /// [`ReserveError`].
    #[track_caller]
    pub fn reserve(&self) -> Result<Permit<'_, T>, ReserveError> {
        Queued::wait_for(&Reserve { channel: &self.channel })
    }

    /// Whether no receiver is left. Not a wait point.
    pub fn is_closed(&self) -> bool {
        self.channel.receivers.get() == 0
    }
}

impl<T> Receiver<T> {
    /// Takes the next message, waiting for one if there is none.
    ///
    /// A wait point if the channel is empty; kill-checked: a killed receive takes nothing.
    ///
    /// # Errors
    /// [`RecvError`].
    #[track_caller]
    pub fn recv(&self) -> Result<T, RecvError> {
        Queued::wait_for(&Receive { channel: &self.channel })
    }

    /// Takes the next message if there is one. Not a wait point.
    ///
    /// # Errors
    /// [`TryRecvError`].
    pub fn try_recv(&self) -> Result<T, TryRecvError> {
        let source = Receive { channel: &self.channel };
        match source.try_reserve() {
            true => source.take_reserved().map_err(|_| TryRecvError::Closed),
            false => Err(TryRecvError::Empty),
        }
    }

    /// How many messages wait. Not a wait point.
    pub fn len(&self) -> usize {
        self.channel.messages.borrow().len()
    }

    /// Whether no message waits. Not a wait point.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<T> Permit<'_, T> {
    /// Sends a message into the place. Not a wait point. If every receiver has gone since, the message is dropped.
    pub fn send(self, message: T) {
        let channel = self.channel;
        std::mem::forget(self);
        channel.promised_places.set(channel.promised_places.get() - 1);
        if channel.receivers.get() != 0 {
            channel.messages.borrow_mut().push_back(message);
            channel.serve_receivers();
        }
    }
}

impl<T> Drop for Permit<'_, T> {
    fn drop(&mut self) {
        self.channel.promised_places.set(self.channel.promised_places.get() - 1);
        self.channel.serve_senders();
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        self.channel.senders.set(self.channel.senders.get() + 1);
        Sender { channel: self.channel.clone() }
    }
}

impl<T> Clone for Receiver<T> {
    fn clone(&self) -> Self {
        self.channel.receivers.set(self.channel.receivers.get() + 1);
        Receiver { channel: self.channel.clone() }
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        self.channel.senders.set(self.channel.senders.get() - 1);
        if self.channel.senders.get() == 0 {
            self.channel.serve_receivers();
        }
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        self.channel.receivers.set(self.channel.receivers.get() - 1);
        if self.channel.receivers.get() == 0 {
            self.channel.serve_senders();
            // Taken out first: a message's drop may use the channel.
            let messages = self.channel.messages.take();
            drop(messages);
        }
    }
}

/// `op::receive`.
#[doc(hidden)]
pub struct Receive<'a, T> {
    channel: &'a Channel<T>,
}

impl<'a, T> Receive<'a, T> {
    pub(crate) fn new(receiver: &'a Receiver<T>) -> Self {
        Receive { channel: &receiver.channel }
    }
}

impl<T> Source for Receive<'_, T> {
    type Output = Result<T, RecvError>;
    type Waited = Result<T, RecvError>;

    fn queue(&self) -> &Coordinator {
        &self.channel.wait_to_receive
    }

    fn is_ready(&self) -> bool {
        self.channel.free_messages() > 0 || self.channel.is_drained()
    }

    fn try_reserve(&self) -> bool {
        let has_one = self.channel.free_messages() > 0;
        self.channel.promised_messages.set(self.channel.promised_messages.get() + usize::from(has_one));
        // At the end there is nothing to set aside, but an answer to give.
        has_one || self.channel.is_drained()
    }

    fn take_reserved(&self) -> Self::Output {
        let promised = self.channel.promised_messages.get();
        if promised == 0 {
            return Err(RecvError::Closed);
        }
        self.channel.promised_messages.set(promised - 1);
        let message = self.channel.messages.borrow_mut().pop_front().ok_or(RecvError::Closed)?;
        self.channel.serve_senders();
        // It may have been the last that receivers waited for.
        self.channel.serve_receivers();
        Ok(message)
    }

    fn pass_on(&self) {
        let promised = self.channel.promised_messages.get();
        self.channel.promised_messages.set(promised.saturating_sub(1));
        self.channel.serve_receivers();
    }

    fn reason(&self) -> Reason {
        Reason::new("receive")
    }

    fn waited(result: Result<Self::Output, Killed>) -> Self::Waited {
        result.map_err(RecvError::Killed)?
    }
}

/// `op::reserve`.
#[doc(hidden)]
pub struct Reserve<'a, T> {
    channel: &'a Channel<T>,
}

impl<'a, T> Reserve<'a, T> {
    pub(crate) fn new(sender: &'a Sender<T>) -> Self {
        Reserve { channel: &sender.channel }
    }
}

impl<'a, T> Source for Reserve<'a, T> {
    type Output = Result<Permit<'a, T>, Closed>;
    type Waited = Result<Permit<'a, T>, ReserveError>;

    fn queue(&self) -> &Coordinator {
        &self.channel.wait_to_send
    }

    fn is_ready(&self) -> bool {
        self.channel.free_places() > 0 || self.channel.receivers.get() == 0
    }

    fn try_reserve(&self) -> bool {
        let ready = self.is_ready();
        self.channel.promised_places.set(self.channel.promised_places.get() + usize::from(ready));
        ready
    }

    fn take_reserved(&self) -> Self::Output {
        let permit = Permit { channel: self.channel };
        if self.channel.receivers.get() == 0 { Err(Closed) } else { Ok(permit) }
    }

    fn pass_on(&self) {
        drop(Permit { channel: self.channel });
    }

    fn reason(&self) -> Reason {
        Reason::new("send")
    }

    fn waited(result: Result<Self::Output, Killed>) -> Self::Waited {
        result.map_err(ReserveError::Killed)?.map_err(|Closed| ReserveError::Closed)
    }
}

/// Every receiver of the channel is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Closed;

/// Why a [`recv`](Receiver::recv) gave no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecvError {
    /// The channel is empty, and every sender is gone.
    Closed,
    /// The task was killed.
    Killed(Killed),
}

/// Why a [`send`](Sender::send) did not send; with the message.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum SendError<T> {
    /// Every receiver is gone.
    Closed(T),
    /// The task was killed.
    Killed(Killed, T),
}

/// Why a [`reserve`](Sender::reserve) gave no permit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReserveError {
    /// Every receiver is gone.
    Closed,
    /// The task was killed.
    Killed(Killed),
}

/// Why a [`try_recv`](Receiver::try_recv) gave no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TryRecvError {
    /// There is none just now.
    Empty,
    /// There is none, and every sender is gone.
    Closed,
}

/// Why a [`try_send`](Sender::try_send) did not send; with the message.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum TrySendError<T> {
    /// There is no place just now.
    Full(T),
    /// Every receiver is gone.
    Closed(T),
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

const CLOSED: &str = "the channel is closed";

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
    [] RecvError { RecvError::Closed => CLOSED, RecvError::Killed(killed) => killed }
    [] ReserveError { ReserveError::Closed => CLOSED, ReserveError::Killed(killed) => killed }
    [] TryRecvError { TryRecvError::Closed => CLOSED, TryRecvError::Empty => "the channel is empty" }
    [T] SendError<T> { SendError::Closed(_) => CLOSED, SendError::Killed(killed, _) => killed }
    [T] TrySendError<T> { TrySendError::Closed(_) => CLOSED, TrySendError::Full(_) => "the channel is full" }
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

impl From<RecvError> for io::Error {
    fn from(error: RecvError) -> Self {
        match error {
            RecvError::Closed => io::Error::new(io::ErrorKind::BrokenPipe, error),
            RecvError::Killed(killed) => killed.into(),
        }
    }
}

impl<T> From<SendError<T>> for io::Error {
    fn from(error: SendError<T>) -> Self {
        match error {
            SendError::Closed(_) => io::Error::new(io::ErrorKind::BrokenPipe, CLOSED),
            SendError::Killed(killed, _) => killed.into(),
        }
    }
}

impl<T> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender").field("is_closed", &self.is_closed()).finish_non_exhaustive()
    }
}

impl<T> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver").field("len", &self.len()).finish_non_exhaustive()
    }
}

impl<T> fmt::Debug for Permit<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Permit")
    }
}
