//! One message, from one sender to one receiver.

use super::error::{RecvError, TryRecvError, Unsent};
use crate::coordinator::Coordinator;
use crate::error::Killed;
use crate::fiber::Reason;
use crate::handle::{Queued, Source};
use crate::sync::{Event, Setting};
use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::Rc;

struct Channel<T> {
    message: RefCell<Option<T>>,
    /// The message is set aside for a receiver that was woken.
    is_promised: Cell<bool>,
    has_sender: Cell<bool>,
    /// Set when no message is taken any more.
    closed: Event,
    /// Always held: a queue to wait in.
    wait_to_receive: Coordinator,
}

impl<T> Channel<T> {
    fn has_message(&self) -> bool {
        self.message.borrow().is_some()
    }

    /// There is no message, and none will come.
    fn is_over(&self) -> bool {
        (!self.has_sender.get() || self.closed.is_set()) && !self.has_message()
    }

    fn has_free_message(&self) -> bool {
        self.has_message() && !self.is_promised.get()
    }

    /// Promises the message to the first who waits for it; when none will come, wakes all.
    fn serve(&self) {
        while self.wait_to_receive.has_waiters() && (self.has_free_message() || self.is_over()) {
            self.is_promised.set(self.has_message());
            self.wait_to_receive.release();
        }
    }
}

/// A channel for one message: an answer.
///
/// ```
/// use coop::chan::{self, oneshot};
/// coop::run(|| -> Result<(), coop::chan::RecvError> {
///     let (requests, inbox) = chan::bounded::<(u32, oneshot::Sender<u32>)>(8);
///     coop::spawn(move || {
///         for (n, answer) in &inbox {
///             let _ = answer.send(n * n);         // it may be that nobody wants it any more
///         }
///     });
///     let (answer, result) = chan::oneshot();
///     requests.send((7, answer)).unwrap();
///     assert_eq!(result.recv()?, 49);
///     Ok(())
/// }).unwrap();
/// ```
pub fn oneshot<T>() -> (Sender<T>, Receiver<T>) {
    let channel = Rc::new(Channel {
        message: RefCell::new(None),
        is_promised: Cell::new(false),
        has_sender: Cell::new(true),
        closed: Event::new(),
        wait_to_receive: Coordinator::held(),
    });
    (Sender { channel: channel.clone() }, Receiver { channel })
}

/// Sends the one message. Dropping it tells the receiver that none will come.
pub struct Sender<T> {
    channel: Rc<Channel<T>>,
}

/// Receives the one message.
pub struct Receiver<T> {
    channel: Rc<Channel<T>>,
}

impl<T> Sender<T> {
    /// Sends the message. Not a wait point.
    ///
    /// # Errors
    /// [`Unsent`], with the message, if the receiver is gone or closed.
    pub fn send(self, message: T) -> Result<(), Unsent<T>> {
        if self.is_closed() {
            return Err(Unsent(message));
        }
        self.channel.message.replace(Some(message));
        // Our drop wakes who waits.
        Ok(())
    }

    /// Whether the receiver is gone or closed. Not a wait point.
    pub fn is_closed(&self) -> bool {
        self.channel.closed.is_set()
    }

    /// Waits until the receiver is gone or closed: to stop working for somebody who no longer wants the answer.
    ///
    /// A wait point if it is neither; kill-checked.
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

impl<T> Receiver<T> {
    /// Waits for the message, and takes it. After that the channel is closed.
    ///
    /// A wait point if there is none yet; kill-checked: a killed receive takes nothing.
    ///
    /// # Errors
    /// [`RecvError`].
    ///
    /// # Panics
    /// On a thread without a Cooperator.
    #[track_caller]
    pub fn recv(&self) -> Result<T, RecvError> {
        Queued::wait_for(&Receive::new(self))
    }

    /// Takes the message if it is there. Not a wait point.
    ///
    /// # Errors
    /// [`TryRecvError`].
    pub fn try_recv(&self) -> Result<T, TryRecvError> {
        let source = Receive::new(self);
        match source.try_reserve() {
            true => source.take_reserved().map_err(|_| TryRecvError::Closed),
            false => Err(TryRecvError::Empty),
        }
    }

    /// Lets nothing be sent any more. What was sent can still be received; else whoever waits, or comes later, is told that
    /// nothing will come. Not a wait point.
    pub fn close(&self) {
        self.channel.closed.set();
        self.channel.serve();
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        self.channel.has_sender.set(false);
        self.channel.serve();
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        self.channel.closed.set();
        // Taken out first: its drop may use the channel.
        let message = self.channel.message.take();
        drop(message);
    }
}

/// `op::receive` of a oneshot channel.
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
        self.channel.has_free_message() || self.channel.is_over()
    }

    fn try_reserve(&self) -> bool {
        let is_ready = self.is_ready();
        if is_ready {
            self.channel.is_promised.set(self.channel.has_message());
        }
        is_ready
    }

    fn take_reserved(&self) -> Self::Output {
        self.channel.is_promised.set(false);
        let message = self.channel.message.take();
        self.channel.serve();
        message.ok_or(RecvError::Closed)
    }

    fn pass_on(&self) {
        self.channel.is_promised.set(false);
        self.channel.serve();
    }

    fn reason(&self) -> Reason {
        Reason::new("receive")
    }

    fn waited(result: Result<Self::Output, Killed>) -> Self::Waited {
        result.map_err(RecvError::Killed)?
    }
}

impl<T> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender").field("is_closed", &self.is_closed()).finish_non_exhaustive()
    }
}

impl<T> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver").field("has_message", &self.channel.has_message()).finish_non_exhaustive()
    }
}
