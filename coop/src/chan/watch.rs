//! The latest of a series of values, for any number of receivers.
//!
//! A value is shared, not lent: who looks at it holds an `Rc`, so that a look that lasts across a wait hinders no sender.

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
    value: RefCell<Rc<T>>,
    /// How often it was changed.
    version: Cell<u64>,
    senders: Cell<usize>,
    receivers: Cell<usize>,
    /// Set while there is no receiver.
    closed: Event,
    /// Always held: a queue to wait in.
    wait_for_change: Coordinator,
}

impl<T> Channel<T> {
    fn value(&self) -> Rc<T> {
        self.value.borrow().clone()
    }

    fn wake_all(&self) {
        while self.wait_for_change.has_waiters() {
            self.wait_for_change.release();
        }
    }

    fn new_receiver(self: &Rc<Self>, seen: u64) -> Receiver<T> {
        self.receivers.set(self.receivers.get() + 1);
        self.closed.reset();
        Receiver { channel: self.clone(), seen: Cell::new(seen) }
    }
}

/// A channel for a value that changes, of which only the latest counts: a configuration, a state, progress.
///
/// A receiver that is slow misses values in between, never the last.
///
/// ```
/// use coop::chan;
/// coop::run(|| {
///     let (tx, rx) = chan::watch("starting");
///     let mut watcher = coop::spawn(move || {
///         let mut seen = vec![*rx.get()];
///         while let Ok(state) = rx.changed() {
///             seen.push(*state);
///         }
///         seen
///     });
///     coop::yield_now().unwrap();
///     tx.send("listening").unwrap();
///     coop::yield_now().unwrap();
///     tx.send("draining").unwrap();
///     tx.send("stopped").unwrap();
///     drop(tx);
///     assert_eq!(watcher.join().unwrap(), ["starting", "listening", "stopped"]);
/// });
/// ```
pub fn watch<T>(initial: T) -> (Sender<T>, Receiver<T>) {
    let channel = Rc::new(Channel {
        value: RefCell::new(Rc::new(initial)),
        version: Cell::new(0),
        senders: Cell::new(1),
        receivers: Cell::new(0),
        closed: Event::new(),
        wait_for_change: Coordinator::held(),
    });
    let receiver = channel.new_receiver(0);
    (Sender { channel }, receiver)
}

/// Changes the value of a [`watch`](super::watch()) channel.
pub struct Sender<T> {
    channel: Rc<Channel<T>>,
}

/// Watches the value of a [`watch`](super::watch()) channel. Each remembers which change it has seen; a clone has seen the same.
pub struct Receiver<T> {
    channel: Rc<Channel<T>>,
    seen: Cell<u64>,
}

impl<T> Sender<T> {
    /// Changes the value, for receivers to see. Not a wait point.
    ///
    /// # Errors
    /// [`Unsent`], with the value, if there is no receiver: the value stays as it was. See [`replace`](Sender::replace).
    pub fn send(&self, value: T) -> Result<(), Unsent<T>> {
        if self.is_closed() {
            return Err(Unsent(value));
        }
        self.replace(value);
        Ok(())
    }

    /// Changes the value, receivers or not, and gives the one before. Not a wait point.
    pub fn replace(&self, value: T) -> Rc<T> {
        let before = self.channel.value.replace(Rc::new(value));
        self.channel.version.set(self.channel.version.get() + 1);
        self.channel.wake_all();
        before
    }

    /// Changes a copy of the value, which then takes its place, receivers or not: others see the value before or after, never in
    /// between. If `change` panics nothing has changed.
    ///
    /// ```
    /// let (tx, rx) = coop::chan::watch(vec![1]);
    /// tx.modify(|list| list.push(2));
    /// assert_eq!((*rx.get()).as_slice(), [1, 2]);
    /// ```
    pub fn modify(&self, change: impl FnOnce(&mut T))
    where
        T: Clone,
    {
        let mut value = T::clone(&self.get());
        change(&mut value);
        self.replace(value);
    }

    /// The value. Not a wait point.
    pub fn get(&self) -> Rc<T> {
        self.channel.value()
    }

    /// A new receiver, which has seen the value as it is. Not a wait point.
    pub fn subscribe(&self) -> Receiver<T> {
        self.channel.new_receiver(self.channel.version.get())
    }

    /// How many receivers there are.
    pub fn receiver_count(&self) -> usize {
        self.channel.receivers.get()
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

impl<T> Receiver<T> {
    /// The value, whether seen or not; it does not count as seen by this. Not a wait point.
    pub fn get(&self) -> Rc<T> {
        self.channel.value()
    }

    /// Waits for a value that this receiver has not seen, and gives the latest, which it then has. After the last sender has gone
    /// a change that was not seen is still given.
    ///
    /// A wait point if there is none; kill-checked: a killed wait has seen nothing.
    ///
    /// # Errors
    /// [`RecvError`].
    ///
    /// # Panics
    /// On a thread without a Cooperator.
    #[track_caller]
    pub fn changed(&self) -> Result<Rc<T>, RecvError> {
        Queued::wait_for(&Receive::new(self))
    }

    /// The value, if this receiver has not seen it. Not a wait point.
    ///
    /// # Errors
    /// [`TryRecvError`].
    pub fn try_changed(&self) -> Result<Rc<T>, TryRecvError> {
        let source = Receive::new(self);
        match source.try_reserve() {
            true => source.take_reserved().map_err(|_| TryRecvError::Closed),
            false => Err(TryRecvError::Empty),
        }
    }

    /// Waits until `condition` holds of the value, beginning with the one that is there, and gives it.
    ///
    /// A wait point if it does not hold; kill-checked.
    ///
    /// ```
    /// coop::run(|| {
    ///     let (tx, rx) = coop::chan::watch(0);
    ///     coop::spawn(move || (1..=10).for_each(|n| {
    ///         tx.send(n).unwrap();
    ///         coop::yield_now().unwrap();
    ///     }));
    ///     assert_eq!(*rx.wait_for(|n| *n >= 5).unwrap(), 5);
    /// });
    /// ```
    ///
    /// # Errors
    /// [`RecvError`]: `Closed` if it does not hold of the last value.
    ///
    /// # Panics
    /// On a thread without a Cooperator.
    #[track_caller]
    pub fn wait_for(&self, mut condition: impl FnMut(&T) -> bool) -> Result<Rc<T>, RecvError> {
        self.seen.set(self.channel.version.get());
        let mut value = self.get();
        while !condition(&value) {
            value = self.changed()?;
        }
        Ok(value)
    }

    /// Whether there is a value that this receiver has not seen. Not a wait point.
    pub fn has_changed(&self) -> bool {
        self.seen.get() != self.channel.version.get()
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
        self.channel.new_receiver(self.seen.get())
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
        self.channel.receivers.set(self.channel.receivers.get() - 1);
        if self.channel.receivers.get() == 0 {
            self.channel.closed.set();
        }
    }
}

/// `op::changed`, and `op::receive` of a watch channel. Nothing is set aside: what is given is the value at the time it is taken,
/// and only then has it been seen.
#[doc(hidden)]
pub struct Receive<'a, T> {
    receiver: &'a Receiver<T>,
}

impl<'a, T> Receive<'a, T> {
    pub(crate) fn new(receiver: &'a Receiver<T>) -> Self {
        Receive { receiver }
    }
}

impl<T> Source for Receive<'_, T> {
    type Output = Result<Rc<T>, RecvError>;
    type Waited = Result<Rc<T>, RecvError>;

    fn queue(&self) -> &Coordinator {
        &self.receiver.channel.wait_for_change
    }

    fn is_ready(&self) -> bool {
        self.receiver.has_changed() || self.receiver.channel.senders.get() == 0
    }

    fn try_reserve(&self) -> bool {
        self.is_ready()
    }

    fn take_reserved(&self) -> Self::Output {
        let channel = &self.receiver.channel;
        // Two tasks that share a receiver, woken by one change, both get it.
        if !self.receiver.has_changed() && channel.senders.get() == 0 {
            return Err(RecvError::Closed);
        }
        self.receiver.seen.set(channel.version.get());
        Ok(channel.value())
    }

    fn pass_on(&self) {}

    fn reason(&self) -> Reason {
        Reason::new("wait for a change")
    }

    fn waited(result: Result<Self::Output, Killed>) -> Self::Waited {
        result.map_err(RecvError::Killed)?
    }
}

impl<T: fmt::Debug> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender").field("value", &self.get()).finish_non_exhaustive()
    }
}

impl<T: fmt::Debug> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver")
            .field("value", &self.get())
            .field("has_changed", &self.has_changed())
            .finish_non_exhaustive()
    }
}
