//! A channel that holds nothing: a sender and a receiver meet.
//!
//! A sender that finds nobody waiting leaves its message with the channel as an *offer*, and waits until it is taken. Whoever
//! takes an offer wakes its sender in the same step. Offers stand in the order of their senders in the queue, each with a number,
//! by which a sender that is killed finds its own and takes it back.

use super::error::{RecvError, SendError, TryRecvError, TrySendError};
use crate::cooperator::Cooperator;
use crate::coordinator::{Coordinated, Coordinator, Wait};
use crate::error::Killed;
use crate::fiber::Reason;
use crate::handle::{Queued, Source};
use crate::sync::{Event, Setting};
use crate::task;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::fmt;
use std::panic::Location;
use std::rc::Rc;

struct Channel<T> {
    offers: RefCell<VecDeque<(u64, T)>>,
    next_number: Cell<u64>,
    /// Messages whose senders have gone on: each is promised to a receiver, but for one that a receiver gave up.
    handed: RefCell<VecDeque<T>>,
    promised: Cell<usize>,
    senders: Cell<usize>,
    receivers: Cell<usize>,
    /// Set when no message is taken any more.
    closed: Event,
    /// Always held: queues to wait in.
    wait_to_receive: Coordinator,
    wait_to_send: Coordinator,
}

impl<T> Channel<T> {
    fn is_drained(&self) -> bool {
        self.senders.get() == 0 && self.handed.borrow().is_empty()
    }

    /// Sets a message aside for one receiver: one that was given up, or the first that is offered.
    fn promise_one(&self) -> bool {
        if self.handed.borrow().len() == self.promised.get() {
            let Some((_, message)) = self.offers.borrow_mut().pop_front() else {
                return false;
            };
            self.handed.borrow_mut().push_back(message);
            // The first offer is the first sender's.
            self.wait_to_send.release();
        }
        self.promised.set(self.promised.get() + 1);
        true
    }

    fn serve_receivers(&self) {
        while self.wait_to_receive.has_waiters() && (self.promise_one() || self.is_drained()) {
            self.wait_to_receive.release();
        }
    }

    /// Hands a message to a receiver that waits for one.
    fn hand_over(&self, message: T) {
        self.handed.borrow_mut().push_back(message);
        self.promised.set(self.promised.get() + 1);
        self.wait_to_receive.release();
    }

    /// An offer that was not taken.
    fn take_back(&self, number: u64) -> Option<T> {
        let mut offers = self.offers.borrow_mut();
        let place = offers.binary_search_by_key(&number, |offer| offer.0).ok()?;
        offers.remove(place).map(|offer| offer.1)
    }

    /// Nobody takes anything any more: every sender is told, and finds its offer where it was.
    fn close(&self) {
        self.closed.set();
        while self.wait_to_send.has_waiters() {
            self.wait_to_send.release();
        }
    }
}

/// A channel that holds nothing: a [`send`](Sender::send) returns when a receiver has taken the message.
///
/// ```
/// use coop::chan;
/// use std::cell::RefCell;
/// coop::run(|| {
///     let (tx, rx) = chan::rendezvous();
///     let trace = RefCell::new(Vec::new());
///     coop::wait_all(|s| {
///         s.spawn(|| {
///             tx.send("plate").unwrap();
///             trace.borrow_mut().push("taken");
///         });
///         coop::yield_now().unwrap();
///         trace.borrow_mut().push("receiving");
///         assert_eq!(rx.recv(), Ok("plate"));
///     });
///     assert_eq!(trace.into_inner(), ["receiving", "taken"]);
/// });
/// ```
pub fn rendezvous<T>() -> (Sender<T>, Receiver<T>) {
    let channel = Rc::new(Channel {
        offers: RefCell::default(),
        next_number: Cell::new(0),
        handed: RefCell::default(),
        promised: Cell::new(0),
        senders: Cell::new(1),
        receivers: Cell::new(1),
        closed: Event::new(),
        wait_to_receive: Coordinator::held(),
        wait_to_send: Coordinator::held(),
    });
    (Sender { channel: channel.clone() }, Receiver { channel })
}

/// The sending end of a [`rendezvous`](super::rendezvous()). Clones send to the same receivers.
pub struct Sender<T> {
    channel: Rc<Channel<T>>,
}

/// The receiving end of a [`rendezvous`](super::rendezvous()). Each message goes to one of its clones.
pub struct Receiver<T> {
    channel: Rc<Channel<T>>,
}

impl<T> Sender<T> {
    /// Sends a message: waits until a receiver takes it. First come, first served.
    ///
    /// A wait point if no receiver waits; kill-checked: a killed send gives the message back. Since an arm of a `select!` that does
    /// not win would keep the message it owns, there is no operation for it: send from a child, whose handle is an arm, and which
    /// gives the message back when it is killed.
    ///
    /// ```
    /// use coop::chan::{self, SendError};
    /// use coop::op;
    /// use std::time::Duration;
    /// coop::run(|| -> Result<(), coop::Killed> {
    ///     let (tx, _rx) = chan::rendezvous();
    ///     coop::wait_all(|s| {
    ///         let mut sending = s.spawn(|| tx.send("plate"));
    ///         coop::select! {
    ///             sent = &mut sending => panic!("nobody receives: {sent:?}"),
    ///             _ = op::after(Duration::from_millis(1)) => sending.kill(),
    ///         }?;
    ///         assert!(matches!(sending.join(), Ok(Err(SendError::Killed(_, "plate")))));
    ///         Ok(())
    ///     })
    /// }).unwrap();
    /// ```
    ///
    /// # Errors
    /// [`SendError`], with the message.
    ///
    /// # Panics
    /// On a thread without a Cooperator.
    #[track_caller]
    pub fn send(&self, message: T) -> Result<(), SendError<T>> {
        let cooperator = match task::begin() {
            Ok(cooperator) => cooperator,
            Err(killed) => return Err(SendError::Killed(killed, message)),
        };
        match self.try_send(message) {
            Ok(()) => {
                cooperator.scheduler.spend_little();
                Ok(())
            }
            Err(TrySendError::Closed(message)) => Err(SendError::Closed(message)),
            Err(TrySendError::Full(message)) => self.offer(cooperator, message),
        }
    }

    /// Sends a message if a receiver waits for one. Not a wait point.
    ///
    /// # Errors
    /// [`TrySendError`], with the message: `Full` if no receiver waits.
    pub fn try_send(&self, message: T) -> Result<(), TrySendError<T>> {
        if self.is_closed() {
            return Err(TrySendError::Closed(message));
        }
        if !self.channel.wait_to_receive.has_waiters() {
            return Err(TrySendError::Full(message));
        }
        self.channel.hand_over(message);
        Ok(())
    }

    #[track_caller]
    fn offer(&self, cooperator: &Cooperator, message: T) -> Result<(), SendError<T>> {
        let channel = &*self.channel;
        let number = channel.next_number.replace(channel.next_number.get() + 1);
        channel.offers.borrow_mut().push_back((number, message));
        let entry = Coordinated::new();
        let wait = Wait::new(&cooperator.scheduler);
        // SAFETY: entry and wait stay on this frame until `wait`, dropped first, has unlinked the entry; the channel is borrowed for
        // as long.
        unsafe { wait.enlist(&channel.wait_to_send, &entry, 0) };
        let settled = task::park(cooperator, &wait, Reason::new("send to a receiver"), Location::caller());
        match (channel.take_back(number), settled) {
            (None, _) => Ok(()),
            (Some(message), Ok(_)) => Err(SendError::Closed(message)),
            (Some(message), Err(killed)) => Err(SendError::Killed(killed, message)),
        }
    }

    /// Whether every receiver is gone. Not a wait point.
    pub fn is_closed(&self) -> bool {
        self.channel.closed.is_set()
    }

    /// Waits until every receiver is gone.
    ///
    /// A wait point if one is not; kill-checked.
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
    /// Takes a message from the sender that waits longest, or waits for one.
    ///
    /// A wait point if none waits; kill-checked: a killed receive takes nothing.
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

    /// Takes a message from the sender that waits longest, if one waits. Not a wait point.
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

    /// Takes a message, as [`recv`](Receiver::recv), with `None` for the end.
    ///
    /// A wait point if none is offered; kill-checked.
    ///
    /// # Errors
    /// `Killed`.
    ///
    /// # Panics
    /// On a thread without a Cooperator.
    #[track_caller]
    pub fn next(&self) -> Result<Option<T>, Killed> {
        self.recv().map_or_else(RecvError::into_end, |message| Ok(Some(message)))
    }

    /// Messages until the end, or until the task is killed; a loop over `&receiver` is one over this. See
    /// [`chan::Receiver::iter`](super::Receiver::iter).
    pub fn iter(&self) -> Iter<'_, T> {
        Iter { receiver: self }
    }
}

/// Messages until the end: [`Receiver::iter`].
#[derive(Debug)]
pub struct Iter<'a, T> {
    receiver: &'a Receiver<T>,
}

impl<T> Iterator for Iter<'_, T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        self.receiver.recv().ok()
    }
}

impl<'a, T> IntoIterator for &'a Receiver<T> {
    type Item = T;
    type IntoIter = Iter<'a, T>;

    fn into_iter(self) -> Iter<'a, T> {
        self.iter()
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
            self.channel.close();
            // What a receiver was handed and gave up. Taken out first: its drop may use the channel.
            let handed = self.channel.handed.take();
            drop(handed);
        }
    }
}

/// `op::receive` of a rendezvous.
#[doc(hidden)]
pub struct Receive<'a, T> {
    channel: &'a Channel<T>,
}

impl<'a, T> Receive<'a, T> {
    pub(crate) fn new(receiver: &'a Receiver<T>) -> Self {
        Receive { channel: &receiver.channel }
    }
}

/// Started, a receive is a receiver: a sender goes on when a Handle has been handed its message. A Handle that is dropped without
/// its message being taken leaves it to the next receiver.
impl<T> Source for Receive<'_, T> {
    type Output = Result<T, RecvError>;
    type Waited = Result<T, RecvError>;

    fn queue(&self) -> &Coordinator {
        &self.channel.wait_to_receive
    }

    fn is_ready(&self) -> bool {
        let has_free = self.channel.handed.borrow().len() > self.channel.promised.get();
        has_free || !self.channel.offers.borrow().is_empty() || self.channel.is_drained()
    }

    fn try_reserve(&self) -> bool {
        self.channel.promise_one() || self.channel.is_drained()
    }

    fn take_reserved(&self) -> Self::Output {
        let promised = self.channel.promised.get();
        if promised == 0 {
            return Err(RecvError::Closed);
        }
        self.channel.promised.set(promised - 1);
        let message = self.channel.handed.borrow_mut().pop_front().ok_or(RecvError::Closed)?;
        // It may have been the last that receivers waited for.
        self.channel.serve_receivers();
        Ok(message)
    }

    fn pass_on(&self) {
        self.channel.promised.set(self.channel.promised.get().saturating_sub(1));
        self.channel.serve_receivers();
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
        f.debug_struct("Receiver").field("offers", &self.channel.offers.borrow().len()).finish_non_exhaustive()
    }
}
