//! A queue of bounded length, for any number of senders and receivers.
//!
//! Both ends wait in FIFO order. Who is woken has been promised what he waited for: a message or a place is set aside for him
//! until he takes it, so nobody overtakes. What is set aside for a receiver is as good as received: it takes no place.

use super::error::{Closed, RecvError, ReserveError, SendError, TryRecvError, TrySendError};
use crate::coordinator::Coordinator;
use crate::error::Killed;
use crate::fiber::Reason;
use crate::handle::{Queued, Source};
use crate::sync::{Event, Setting};
use crate::task;
use std::cell::{Cell, UnsafeCell};
use std::collections::VecDeque;
use std::fmt;
use std::rc::Rc;

struct Channel<T> {
    messages: Messages<T>,
    /// `usize::MAX`: without bound.
    capacity: usize,
    senders: Cell<usize>,
    receivers: Cell<usize>,
    /// Set when no message is taken any more: by a receiver's `close`, or when the last is gone.
    closed: Event,
    /// Messages set aside for receivers that were woken.
    promised_messages: Cell<usize>,
    /// Places set aside for permits and for senders that were woken.
    promised_places: Cell<usize>,
    /// Always held: queues to wait in.
    wait_to_receive: Coordinator,
    wait_to_send: Coordinator,
}

/// The messages of a channel, oldest first. No call of it runs anybody's code, so none is made within another.
struct Messages<T>(UnsafeCell<VecDeque<T>>);

impl<T> Messages<T> {
    const fn new() -> Self {
        Messages(UnsafeCell::new(VecDeque::new()))
    }

    #[inline]
    fn len(&self) -> usize {
        // SAFETY: no other reference: each lasts for a call of this type, which is for one thread, and none calls out of it.
        unsafe { (*self.0.get()).len() }
    }

    #[inline]
    fn push(&self, message: T) {
        // SAFETY: as in `len`. To move a message, also within memory that grows, runs none of its code.
        unsafe { (*self.0.get()).push_back(message) }
    }

    #[inline]
    fn pop(&self) -> Option<T> {
        // SAFETY: as in `push`.
        unsafe { (*self.0.get()).pop_front() }
    }

    fn take(&self) -> VecDeque<T> {
        // SAFETY: as in `push`; the caller drops them when this has returned.
        unsafe { std::mem::take(&mut *self.0.get()) }
    }
}

impl<T> Channel<T> {
    #[inline]
    fn free_messages(&self) -> usize {
        self.messages.len() - self.promised_messages.get()
    }

    /// No message is left and none will come. While one is promised this is open: it may be passed on. So it is while a permit
    /// is out: it is good for a message even after a `close`.
    fn is_drained(&self) -> bool {
        let is_ended = self.senders.get() == 0 || self.closed.is_set() && self.promised_places.get() == 0;
        is_ended && self.messages.len() == 0
    }

    #[inline]
    fn has_place(&self) -> bool {
        self.free_messages() + self.promised_places.get() < self.capacity
    }

    /// Puts a message in, for whom there is a place.
    #[inline]
    fn put(&self, message: T) {
        self.messages.push(message);
        if self.wait_to_receive.has_waiters() {
            self.serve_receivers();
        }
    }

    /// Takes the oldest message out, which is either free or was promised to the caller.
    #[inline]
    fn get(&self) -> Option<T> {
        let message = self.messages.pop();
        if self.wait_to_send.has_waiters() {
            self.serve_senders();
        }
        // It may have been the last that other receivers waited for.
        if self.wait_to_receive.has_waiters() {
            self.serve_receivers();
        }
        message
    }

    /// Promises free messages to the receivers that wait, first come, first served; when there is nothing to come, wakes all.
    #[inline(never)]
    fn serve_receivers(&self) {
        while self.wait_to_receive.has_waiters() && (self.free_messages() > 0 || self.is_drained()) {
            self.promised_messages.set(self.promised_messages.get() + usize::from(self.free_messages() > 0));
            self.wait_to_receive.release();
        }
        // What was promised takes no place any more.
        if self.wait_to_send.has_waiters() {
            self.serve_senders();
        }
    }

    /// The same for those who wait for a place.
    #[inline(never)]
    fn serve_senders(&self) {
        while self.wait_to_send.has_waiters() && (self.has_place() || self.closed.is_set()) {
            self.promised_places.set(self.promised_places.get() + 1);
            self.wait_to_send.release();
        }
    }

    /// Takes no more messages; who waits for a place is told.
    fn close(&self) {
        self.closed.set();
        self.serve_senders();
        self.serve_receivers();
    }

    /// A place that was set aside is free again.
    fn place_is_free(&self) {
        self.promised_places.set(self.promised_places.get() - 1);
        self.serve_senders();
        // It may have been the last that a closed channel's receivers waited for.
        self.serve_receivers();
    }
}

/// A channel that holds at most `capacity` messages, besides those for which a receiver waits: they are his. A capacity of zero is
/// raised to one; for a channel that holds none there is [`rendezvous`](super::rendezvous()).
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
    with_capacity(capacity.max(1))
}

pub(super) fn with_capacity<T>(capacity: usize) -> (Sender<T>, Receiver<T>) {
    let channel = Rc::new(Channel {
        messages: Messages::new(),
        capacity,
        senders: Cell::new(1),
        receivers: Cell::new(1),
        closed: Event::new(),
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
    #[inline(always)]
    #[track_caller]
    pub fn send(&self, message: T) -> Result<(), SendError<T>> {
        // Nothing is set aside for who need not wait.
        let cooperator = match task::begin() {
            Ok(cooperator) => cooperator,
            Err(killed) => return Err(SendError::Killed(killed, message)),
        };
        if self.channel.has_place() && !self.is_closed() {
            self.channel.put(message);
            cooperator.scheduler.spend_little();
            return Ok(());
        }
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
        if self.is_closed() {
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
    #[inline(always)]
    #[track_caller]
    pub fn reserve(&self) -> Result<Permit<'_, T>, ReserveError> {
        Queued::wait_for(&Reserve { channel: &self.channel })
    }

    /// Whether nobody will receive any more: the last receiver is gone, or one was [closed](Receiver::close). Not a wait point.
    #[inline]
    pub fn is_closed(&self) -> bool {
        self.channel.closed.is_set()
    }

    /// Waits until nobody will receive any more: to stop making what nobody wants.
    ///
    /// A wait point if the channel is open; kill-checked.
    ///
    /// ```
    /// coop::run(|| -> Result<(), coop::Killed> {
    ///     let (tx, rx) = coop::chan::bounded::<u32>(1);
    ///     let mut search = coop::spawn(move || coop::select! {
    ///         _ = coop::op::closed(&tx) => "nobody wants the answer",
    ///         _ = coop::op::after(std::time::Duration::from_secs(3600)) => "42",
    ///     });
    ///     drop(rx);
    ///     assert_eq!(search.join().unwrap()?, "nobody wants the answer");
    ///     Ok(())
    /// }).unwrap();
    /// ```
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

    /// How many messages wait to be received. Not a wait point.
    pub fn len(&self) -> usize {
        self.channel.free_messages()
    }

    /// Whether no message waits to be received. Not a wait point.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether a [`send`](Sender::send) would wait. Not a wait point.
    pub fn is_full(&self) -> bool {
        !Reserve::new(self).is_ready()
    }

    /// How many messages the channel holds at most.
    pub fn capacity(&self) -> usize {
        self.channel.capacity
    }
}

impl<T> Receiver<T> {
    /// Takes the next message, waiting for one if there is none.
    ///
    /// A wait point if the channel is empty; kill-checked: a killed receive takes nothing.
    ///
    /// # Errors
    /// [`RecvError`].
    #[inline(always)]
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

    /// Takes the next message, as [`recv`](Receiver::recv), with `None` for the end: for functions whose errors know no channel.
    ///
    /// A wait point if the channel is empty; kill-checked.
    ///
    /// ```
    /// coop::run(|| -> Result<(), coop::Killed> {
    ///     let (tx, rx) = coop::chan::unbounded();
    ///     (1..=3).for_each(|n| tx.send(n).unwrap());
    ///     drop(tx);
    ///     let mut sum = 0;
    ///     while let Some(n) = rx.next()? {
    ///         sum += n;
    ///         coop::yield_now()?;
    ///     }
    ///     assert_eq!(sum, 6);
    ///     Ok(())
    /// }).unwrap();
    /// ```
    ///
    /// # Errors
    /// `Killed`.
    #[inline(always)]
    #[track_caller]
    pub fn next(&self) -> Result<Option<T>, Killed> {
        self.recv().map_or_else(RecvError::into_end, |message| Ok(Some(message)))
    }

    /// Messages until the end, or until the task is killed; a loop over `&receiver` is one over this. Each step is a wait point if
    /// the channel is empty. Where it matters which of the two it was, [`checkpoint`](crate::checkpoint)`()?` after the loop says,
    /// or [`next`](Receiver::next) in its stead.
    ///
    /// ```
    /// coop::run(|| {
    ///     let (tx, rx) = coop::chan::bounded(2);
    ///     coop::spawn(move || (1..=10).try_for_each(|n| tx.send(n)));
    ///     let mut sum = 0;
    ///     for n in &rx {
    ///         sum += n;
    ///     }
    ///     assert_eq!(sum, 55);
    /// });
    /// ```
    pub fn iter(&self) -> Iter<'_, T> {
        Iter { receiver: self }
    }

    /// The messages that are there. Not a wait point.
    pub fn try_iter(&self) -> TryIter<'_, T> {
        TryIter { receiver: self }
    }

    /// Lets nobody send any more; what has been sent, and what permits that are out will send, can still be received. For an
    /// orderly end: close, then receive until the end. Not a wait point.
    ///
    /// ```
    /// use coop::chan::{self, RecvError};
    /// coop::run(|| {
    ///     let (tx, rx) = chan::bounded(2);
    ///     tx.send("last").unwrap();
    ///     rx.close();
    ///     assert!(tx.send("late").is_err());
    ///     assert_eq!((rx.recv(), rx.recv()), (Ok("last"), Err(RecvError::Closed)));
    /// });
    /// ```
    pub fn close(&self) {
        self.channel.close();
    }

    /// How many messages the channel holds at most; `None` is without bound.
    pub fn capacity(&self) -> Option<usize> {
        (self.channel.capacity != usize::MAX).then_some(self.channel.capacity)
    }

    /// How many messages wait. Not a wait point.
    pub fn len(&self) -> usize {
        self.channel.free_messages()
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
            channel.messages.push(message);
        }
        channel.serve_receivers();
    }
}

impl<T> Drop for Permit<'_, T> {
    fn drop(&mut self) {
        self.channel.place_is_free();
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

    #[inline]
    fn try_take(&self) -> Option<Self::Output> {
        if self.channel.free_messages() > 0 {
            return Some(self.channel.get().ok_or(RecvError::Closed));
        }
        self.channel.is_drained().then_some(Err(RecvError::Closed))
    }

    fn try_reserve(&self) -> bool {
        let has_one = self.channel.free_messages() > 0;
        self.channel.promised_messages.set(self.channel.promised_messages.get() + usize::from(has_one));
        self.channel.serve_senders();
        // At the end there is nothing to set aside, but an answer to give.
        has_one || self.channel.is_drained()
    }

    fn take_reserved(&self) -> Self::Output {
        let promised = self.channel.promised_messages.get();
        if promised == 0 {
            return Err(RecvError::Closed);
        }
        self.channel.promised_messages.set(promised - 1);
        self.channel.get().ok_or(RecvError::Closed)
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
        self.channel.has_place() || self.channel.closed.is_set()
    }

    fn try_reserve(&self) -> bool {
        let ready = self.is_ready();
        self.channel.promised_places.set(self.channel.promised_places.get() + usize::from(ready));
        ready
    }

    fn take_reserved(&self) -> Self::Output {
        let permit = Permit { channel: self.channel };
        if self.channel.closed.is_set() { Err(Closed) } else { Ok(permit) }
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

/// Messages until the end: [`Receiver::iter`].
#[derive(Debug)]
pub struct Iter<'a, T> {
    receiver: &'a Receiver<T>,
}

/// The messages that are there: [`Receiver::try_iter`].
#[derive(Debug)]
pub struct TryIter<'a, T> {
    receiver: &'a Receiver<T>,
}

/// Messages until the end, or until the task is killed, of a receiver that goes with it.
#[derive(Debug)]
pub struct IntoIter<T> {
    receiver: Receiver<T>,
}

impl<T> Iterator for Iter<'_, T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        self.receiver.recv().ok()
    }
}

impl<T> Iterator for TryIter<'_, T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        self.receiver.try_recv().ok()
    }
}

impl<T> Iterator for IntoIter<T> {
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

impl<T> IntoIterator for Receiver<T> {
    type Item = T;
    type IntoIter = IntoIter<T>;

    fn into_iter(self) -> IntoIter<T> {
        IntoIter { receiver: self }
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
