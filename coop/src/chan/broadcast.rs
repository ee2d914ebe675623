//! Every message to every receiver, with a bounded past.
//!
//! ```text
//!   messages ever sent   0 1 2 3 4 5 6 7 8
//!   kept                       │3 4 5 6 7 8│      at most `capacity`; the first goes when all have seen it, or for want of room
//!   receivers' next        ▲       ▲       ▲
//!                       lags by 2          │ waits for the next
//! ```

use super::error::{CLOSED, Closed, Unsent};
use crate::coordinator::Coordinator;
use crate::error::Killed;
use crate::fiber::Reason;
use crate::handle::{Queued, Source};
use crate::sync::{Event, Setting};
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::error::Error;
use std::fmt;
use std::io;
use std::rc::Rc;

/// A message, and how many receivers have yet to see it. Those have seen all before it, or lag.
struct Kept<T> {
    message: Rc<T>,
    unseen: usize,
}

struct Channel<T> {
    kept: RefCell<VecDeque<Kept<T>>>,
    /// The number of the first message that is kept, or of the next to come.
    first: Cell<u64>,
    capacity: usize,
    senders: Cell<usize>,
    receivers: Cell<usize>,
    /// Set while there is no receiver.
    closed: Event,
    /// Always held: a queue to wait in.
    wait_to_receive: Coordinator,
}

impl<T> Channel<T> {
    /// The number of the next message to come.
    fn end(&self) -> u64 {
        self.first.get() + self.kept.borrow().len() as u64
    }

    fn wake_all(&self) {
        while self.wait_to_receive.has_waiters() {
            self.wait_to_receive.release();
        }
    }

    /// Removes the first message that is kept.
    fn forget_first(&self) -> Option<Kept<T>> {
        let first = self.kept.borrow_mut().pop_front();
        self.first.set(self.first.get() + u64::from(first.is_some()));
        first
    }

    /// Message `number`, which is kept, has been seen by one receiver more.
    fn seen(&self, number: u64) -> Rc<T> {
        let mut kept = self.kept.borrow_mut();
        let entry = &mut kept[(number - self.first.get()) as usize];
        entry.unseen -= 1;
        if entry.unseen > 0 {
            return entry.message.clone();
        }
        // Whoever has seen it has seen what came before: it is the first.
        let message = entry.message.clone();
        drop(kept);
        debug_assert_eq!(number, self.first.get());
        self.forget_first();
        message
    }

    fn new_receiver(self: &Rc<Self>, next: u64) -> Receiver<T> {
        self.receivers.set(self.receivers.get() + 1);
        self.closed.reset();
        let skipped = next.saturating_sub(self.first.get()) as usize;
        self.kept.borrow_mut().iter_mut().skip(skipped).for_each(|entry| entry.unseen += 1);
        Receiver { channel: self.clone(), next: Cell::new(next) }
    }
}

/// A channel in which every receiver gets every message sent since it was made. At most `capacity` messages are kept for those who
/// have not received them yet (a capacity of zero is raised to one): sending never waits, and a receiver that is slower by more
/// than that is told how many it has missed.
///
/// ```
/// use coop::chan::{self, broadcast::RecvError};
/// coop::run(|| {
///     let (tx, mut first) = chan::broadcast(2);
///     let mut second = tx.subscribe();
///     tx.send("a").unwrap();
///     tx.send("b").unwrap();
///     assert_eq!((first.recv(), second.recv()), (Ok("a"), Ok("a")));
///     tx.send("c").unwrap();
///     tx.send("d").unwrap();
///     drop(tx);
///     assert_eq!(first.recv(), Err(RecvError::Lagged(1)), "it has missed b");
///     assert_eq!((first.recv(), first.recv(), first.recv()), (Ok("c"), Ok("d"), Err(RecvError::Closed)));
/// });
/// ```
pub fn broadcast<T: Clone>(capacity: usize) -> (Sender<T>, Receiver<T>) {
    let channel = Rc::new(Channel {
        kept: RefCell::default(),
        first: Cell::new(0),
        capacity: capacity.max(1),
        senders: Cell::new(1),
        receivers: Cell::new(0),
        closed: Event::new(),
        wait_to_receive: Coordinator::held(),
    });
    let receiver = channel.new_receiver(0);
    (Sender { channel }, receiver)
}

/// The sending end of a [`broadcast`](super::broadcast()) channel. Clones send into the same channel.
pub struct Sender<T> {
    channel: Rc<Channel<T>>,
}

/// A receiver of a [`broadcast`](super::broadcast()) channel. A clone has received the same so far.
pub struct Receiver<T> {
    channel: Rc<Channel<T>>,
    /// The number of the next message to receive.
    next: Cell<u64>,
}

/// Why a [`recv`](Receiver::recv) gave no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecvError {
    /// So many messages were missed. The next receive gives the oldest that is kept.
    Lagged(u64),
    /// All messages were received, and every sender is gone.
    Closed,
    /// The task was killed.
    Killed(Killed),
}

/// Why a [`try_recv`](Receiver::try_recv) gave no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TryRecvError {
    /// There is none just now.
    Empty,
    /// So many messages were missed. The next receive gives the oldest that is kept.
    Lagged(u64),
    /// All messages were received, and every sender is gone.
    Closed,
}

impl<T> Sender<T> {
    /// Sends a message to every receiver; says how many there are. Not a wait point.
    ///
    /// # Errors
    /// [`Unsent`], with the message, if there is no receiver.
    pub fn send(&self, message: T) -> Result<usize, Unsent<T>> {
        let channel = &self.channel;
        let receivers = channel.receivers.get();
        if receivers == 0 {
            return Err(Unsent(message));
        }
        let is_full = channel.kept.borrow().len() == channel.capacity;
        let oldest = if is_full { channel.forget_first() } else { None };
        channel.kept.borrow_mut().push_back(Kept { message: Rc::new(message), unseen: receivers });
        channel.wake_all();
        // Last: its drop may use the channel.
        drop(oldest);
        Ok(receivers)
    }

    /// A new receiver, of what is sent from now on. Not a wait point.
    pub fn subscribe(&self) -> Receiver<T> {
        self.channel.new_receiver(self.channel.end())
    }

    /// How many receivers there are.
    pub fn receiver_count(&self) -> usize {
        self.channel.receivers.get()
    }

    /// How many messages are kept: those that some receiver has yet to receive. Not a wait point.
    pub fn len(&self) -> usize {
        self.channel.kept.borrow().len()
    }

    /// Whether every receiver has received everything. Not a wait point.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many messages are kept at most.
    pub fn capacity(&self) -> usize {
        self.channel.capacity
    }

    /// Whether there is no receiver. Not a wait point.
    pub fn is_closed(&self) -> bool {
        self.channel.closed.is_set()
    }

    /// Waits until there is no receiver.
    ///
    /// A wait point if there is one; kill-checked.
    ///
    /// # Errors
    /// `Killed`.
    ///
    /// # Panics
    /// On a thread without a Cooperator.
    #[track_caller]
    pub fn closed(&self) -> Result<(), Killed> {
        Queued::wait_for(&Setting::called(&self.channel.closed, super::CLOSING))
    }

    pub(super) fn closing(&self) -> &Event {
        &self.channel.closed
    }
}

impl<T: Clone> Receiver<T> {
    /// Receives the next message.
    ///
    /// A wait point if there is none; kill-checked: a killed receive takes nothing.
    ///
    /// # Errors
    /// [`RecvError`].
    ///
    /// # Panics
    /// As the message's `clone` does; and on a thread without a Cooperator.
    #[track_caller]
    pub fn recv(&mut self) -> Result<T, RecvError> {
        Queued::wait_for(&Receive::new(self))
    }

    /// Receives the next message if there is one. Not a wait point.
    ///
    /// # Errors
    /// [`TryRecvError`].
    pub fn try_recv(&mut self) -> Result<T, TryRecvError> {
        let source = Receive::new(self);
        if !source.is_ready() {
            return Err(TryRecvError::Empty);
        }
        source.take_reserved().map_err(|error| match error {
            RecvError::Lagged(count) => TryRecvError::Lagged(count),
            RecvError::Closed | RecvError::Killed(_) => TryRecvError::Closed,
        })
    }
}

impl<T> Receiver<T> {
    /// How many messages it has yet to receive, or to learn that it has missed. Not a wait point.
    pub fn len(&self) -> usize {
        (self.channel.end() - self.next.get()) as usize
    }

    /// Whether it has received everything. Not a wait point.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
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
        self.channel.new_receiver(self.next.get())
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        self.channel.senders.set(self.channel.senders.get() - 1);
        if self.channel.senders.get() == 0 {
            self.channel.wake_all();
        }
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        let channel = &self.channel;
        channel.receivers.set(channel.receivers.get() - 1);
        if channel.receivers.get() == 0 {
            channel.closed.set();
        }
        let skipped = self.next.get().saturating_sub(channel.first.get()) as usize;
        channel.kept.borrow_mut().iter_mut().skip(skipped).for_each(|entry| entry.unseen -= 1);
        // All of them first, and then their drops, outside of every borrow: these may use the channel, and one may panic.
        let is_seen = || channel.kept.borrow().front().is_some_and(|entry| entry.unseen == 0);
        let seen: Vec<_> = std::iter::from_fn(|| is_seen().then(|| channel.forget_first()).flatten()).collect();
        drop(seen);
    }
}

/// `op::receive` of a broadcast channel. It has the receiver to itself: what is there stays there until it is taken, but for what
/// the receiver comes to lag behind, of which it is told.
#[doc(hidden)]
pub struct Receive<'a, T> {
    receiver: &'a mut Receiver<T>,
}

impl<'a, T> Receive<'a, T> {
    pub(crate) fn new(receiver: &'a mut Receiver<T>) -> Self {
        Receive { receiver }
    }
}

impl<T: Clone> Source for Receive<'_, T> {
    type Output = Result<T, RecvError>;
    type Waited = Result<T, RecvError>;

    fn queue(&self) -> &Coordinator {
        &self.receiver.channel.wait_to_receive
    }

    fn is_ready(&self) -> bool {
        !self.receiver.is_empty() || self.receiver.channel.senders.get() == 0
    }

    fn try_reserve(&self) -> bool {
        self.is_ready()
    }

    fn take_reserved(&self) -> Self::Output {
        let Receiver { channel, next } = &*self.receiver;
        if self.receiver.is_empty() {
            return Err(RecvError::Closed);
        }
        let (number, first) = (next.get(), channel.first.get());
        if number < first {
            next.set(first);
            return Err(RecvError::Lagged(first - number));
        }
        next.set(number + 1);
        // The last to see it need not copy it.
        Ok(Rc::try_unwrap(channel.seen(number)).unwrap_or_else(|shared| T::clone(&shared)))
    }

    fn pass_on(&self) {}

    fn reason(&self) -> Reason {
        Reason::new("receive")
    }

    fn waited(result: Result<Self::Output, Killed>) -> Self::Waited {
        result.map_err(RecvError::Killed)?
    }
}

impl fmt::Display for RecvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RecvError::Lagged(count) => write!(f, "{count} messages were missed"),
            RecvError::Closed => f.write_str(CLOSED),
            RecvError::Killed(killed) => killed.fmt(f),
        }
    }
}

impl fmt::Display for TryRecvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TryRecvError::Empty => f.write_str("the channel is empty"),
            TryRecvError::Lagged(count) => write!(f, "{count} messages were missed"),
            TryRecvError::Closed => f.write_str(CLOSED),
        }
    }
}

impl Error for RecvError {}
impl Error for TryRecvError {}

impl From<Killed> for RecvError {
    fn from(killed: Killed) -> Self {
        RecvError::Killed(killed)
    }
}

impl From<RecvError> for io::Error {
    fn from(error: RecvError) -> Self {
        match error {
            RecvError::Lagged(_) => io::Error::other(error),
            RecvError::Closed => Closed.into(),
            RecvError::Killed(killed) => killed.into(),
        }
    }
}

impl<T> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender")
            .field("len", &self.len())
            .field("receivers", &self.receiver_count())
            .finish_non_exhaustive()
    }
}

impl<T> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver").field("len", &self.len()).finish_non_exhaustive()
    }
}
