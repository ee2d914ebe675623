//! A channel between threads: its ends may be held by tasks of any Cooperator, and by plain threads.
//!
//! ```text
//!   sending side                      behind one lock                              receiving side
//!   no place? a ticket ──▶ tickets of senders │ messages │ tickets of receivers ◀── no message? a ticket
//!                               │                                  │
//!                served: a place is promised           served: a message is promised
//!                               └──────▶ a job in the waiter's inbox, or an unpark ◀──────┘
//! ```
//!
//! Who was served has been promised what he waited for, as in a channel of one thread, so nobody overtakes, and a waiter that
//! goes away passes the promise on. Only the news of it travels: the job releases a Coordinator of the waiting thread's.

use super::end::{self, ReceivingEnd, ReservingEnd};
use super::{Closed, RecvError, ReserveError, SendError, TryRecvError, TrySendError};
use crate::cooperator::Cooperator;
use crate::coordinator::{Coordinated, Coordinator, Settled, Wait};
use crate::error::Killed;
use crate::fiber::Reason;
use crate::handle::{Arm, Flight, Operation, Readiness, Sealed};
use crate::inbox::BackDoor;
use crate::task;
use crate::timers::Sleep;
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::marker::PhantomPinned;
use std::panic::Location;
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, Thread};

struct Passage<T> {
    capacity: usize,
    state: Mutex<State<T>>,
}

struct State<T> {
    messages: VecDeque<T>,
    senders: usize,
    receivers: usize,
    /// Messages promised to receivers that were served.
    promised_messages: usize,
    /// Places promised to permits and to senders that were served.
    promised_places: usize,
    /// By the number of the ticket: whoever gives up leaves from the middle, and of many who do none looks at the others.
    waiting_receivers: BTreeMap<u64, Arc<Ticket>>,
    waiting_senders: BTreeMap<u64, Arc<Ticket>>,
    next_number: u64,
}

/// A waiter's place in a queue.
struct Ticket {
    /// Set under the lock, and read under it or, by its owner, after the news.
    is_served: AtomicBool,
    waiter: Waiter,
}

/// Where the news goes.
enum Waiter {
    Thread(Thread),
    /// Nowhere: there was no descriptor for an inbox. The owner looks from time to time.
    Nobody,
    Task {
        inbox: BackDoor,
        /// Null once the owner has given the ticket up. Only the owner's thread reads or writes it.
        news: Cell<*const Coordinator>,
    },
}

// SAFETY: `news` is for the owner's thread only: the ticket's owner stays on it, and so does the job that reads it. All else is
// `Send` and `Sync`.
unsafe impl Send for Ticket {}
// SAFETY: as above.
unsafe impl Sync for Ticket {}

impl Ticket {
    fn is_served(&self) -> bool {
        self.is_served.load(Ordering::Acquire)
    }

    /// Tells the owner. Outside the lock: it may make a system call.
    fn ring(self: Arc<Self>) {
        match &self.waiter {
            Waiter::Thread(thread) => thread.unpark(),
            Waiter::Nobody => {}
            Waiter::Task { inbox, .. } => {
                let (inbox, ticket) = (inbox.clone(), self.clone());
                // A Cooperator that has finished has no waiters.
                let _ = inbox.push(Box::new(move || ticket.release()));
            }
        }
    }

    /// On the owner's thread.
    fn release(&self) {
        if let Waiter::Task { news, .. } = &self.waiter
            // SAFETY: this runs on the owner's thread, where the pointer is null or leads to a Coordinator that is there.
            && let Some(news) = unsafe { news.get().as_ref() }
        {
            news.release();
        }
    }

    /// From now on the news goes nowhere. On the owner's thread.
    fn give_up(&self) {
        if let Waiter::Task { news, .. } = &self.waiter {
            news.set(ptr::null());
        }
    }
}

impl<T> State<T> {
    fn free_messages(&self) -> usize {
        self.messages.len() - self.promised_messages
    }

    /// No message is left and none will come. While one is promised this is open: it may be passed on.
    fn is_drained(&self) -> bool {
        self.senders == 0 && self.messages.is_empty()
    }

    fn free_places(&self, capacity: usize) -> usize {
        capacity.saturating_sub(self.messages.len() + self.promised_places)
    }

    /// The place of the next ticket.
    fn number(&mut self) -> u64 {
        self.next_number += 1;
        self.next_number
    }

    /// Serves those that wait, on both sides, first come, first served. The tickets are to be rung without the lock.
    #[must_use]
    fn serve(&mut self, capacity: usize) -> Vec<Arc<Ticket>> {
        let mut served = Vec::new();
        while !self.waiting_receivers.is_empty() && (self.free_messages() > 0 || self.is_drained()) {
            self.promised_messages += usize::from(self.free_messages() > 0);
            served.extend(self.waiting_receivers.pop_first().map(|(_, ticket)| ticket));
        }
        while !self.waiting_senders.is_empty() && (self.free_places(capacity) > 0 || self.receivers == 0) {
            self.promised_places += 1;
            served.extend(self.waiting_senders.pop_first().map(|(_, ticket)| ticket));
        }
        for ticket in &served {
            ticket.is_served.store(true, Ordering::Release);
        }
        served
    }
}

impl<T> Passage<T> {
    /// Changes the state, and tells those that this serves.
    fn change<R>(&self, change: impl FnOnce(&mut State<T>) -> R) -> R {
        let mut state = self.lock();
        let result = change(&mut state);
        let served = state.serve(self.capacity);
        drop(state);
        served.into_iter().for_each(Ticket::ring);
        result
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        // No user code runs under the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A channel between threads that holds at most `capacity` messages. A capacity of zero is raised to one.
///
/// Both ends are `Send` and may be cloned. A task that waits at one parks, a plain thread blocks: so this is also how tasks and
/// threads talk. Between tasks of one thread [`bounded`](super::bounded()) is cheaper, and takes messages that are not `Send`.
///
/// ```
/// use coop::chan;
/// let (tx, rx) = chan::passage(8);
/// let sum = std::thread::spawn(move || coop::run(|| {
///     let mut sum = 0;
///     while let Ok(n) = rx.recv() {                 // a task: it parks
///         sum += n;
///     }
///     sum
/// }));
/// for n in 1..=10 {
///     tx.send(n).unwrap();                          // a plain thread: it blocks while the channel is full
/// }
/// drop(tx);
/// assert_eq!(sum.join().unwrap(), 55);
/// ```
///
/// A task that waits at a passage may be woken from outside, so it is never part of a deadlock report.
pub fn passage<T: Send>(capacity: usize) -> (Sender<T>, Receiver<T>) {
    let passage = Arc::new(Passage {
        capacity: capacity.max(1),
        state: Mutex::new(State {
            messages: VecDeque::new(),
            senders: 1,
            receivers: 1,
            promised_messages: 0,
            promised_places: 0,
            waiting_receivers: BTreeMap::new(),
            waiting_senders: BTreeMap::new(),
            next_number: 0,
        }),
    });
    (Sender { passage: passage.clone() }, Receiver { passage })
}

/// The sending end of a [`passage()`]. Clones send into the same channel.
pub struct Sender<T> {
    passage: Arc<Passage<T>>,
}

/// The receiving end of a [`passage()`]. Each message goes to one of its clones.
pub struct Receiver<T> {
    passage: Arc<Passage<T>>,
}

/// A place in a [`passage()`]. Dropping it gives the place back.
#[must_use = "dropping a permit gives its place in the channel back"]
pub struct Permit<'a, T> {
    passage: &'a Passage<T>,
}

impl<T> Sender<T> {
    /// Sends a message, waiting for a place if the channel is full.
    ///
    /// In a task a wait point if it is full, and kill-checked: a killed send gives the message back. On a plain thread it blocks.
    ///
    /// # Errors
    /// [`SendError`], with the message.
    #[track_caller]
    pub fn send(&self, message: T) -> Result<(), SendError<T>> {
        match self.reserve() {
            Ok(permit) => permit.send(message).map_err(SendError::Closed),
            Err(ReserveError::Closed) => Err(SendError::Closed(message)),
            Err(ReserveError::Killed(killed)) => Err(SendError::Killed(killed, message)),
        }
    }

    /// Sends a message if there is a place. Not a wait point.
    ///
    /// # Errors
    /// [`TrySendError`], with the message.
    pub fn try_send(&self, message: T) -> Result<(), TrySendError<T>> {
        match (Reserving { passage: &self.passage }).try_take() {
            Some(Ok(permit)) => permit.send(message).map_err(TrySendError::Closed),
            Some(Err(Closed)) => Err(TrySendError::Closed(message)),
            None => Err(TrySendError::Full(message)),
        }
    }

    /// Waits for a place, to send without waiting later.
    ///
    /// In a task a wait point if the channel is full, and kill-checked. On a plain thread it blocks.
    ///
    /// # Errors
    /// [`ReserveError`].
    #[track_caller]
    pub fn reserve(&self) -> Result<Permit<'_, T>, ReserveError> {
        wait_for(&Reserving { passage: &self.passage })
    }

    /// Whether no receiver is left. Not a wait point.
    pub fn is_closed(&self) -> bool {
        self.passage.lock().receivers == 0
    }
}

impl<T> Receiver<T> {
    /// Takes the next message, waiting for one if there is none.
    ///
    /// In a task a wait point if the channel is empty, and kill-checked: a killed receive takes nothing. On a plain thread it
    /// blocks.
    ///
    /// # Errors
    /// [`RecvError`].
    #[track_caller]
    pub fn recv(&self) -> Result<T, RecvError> {
        wait_for(&Receiving { passage: &self.passage })
    }

    /// Takes the next message if there is one. Not a wait point.
    ///
    /// # Errors
    /// [`TryRecvError`].
    pub fn try_recv(&self) -> Result<T, TryRecvError> {
        match (Receiving { passage: &self.passage }).try_take() {
            Some(message) => message.map_err(|_| TryRecvError::Closed),
            None => Err(TryRecvError::Empty),
        }
    }

    /// Takes the next message, waiting for one if there is none; `None` when every sender is gone.
    ///
    /// As [`recv`](Self::recv), for functions that return `Result<_, Killed>`.
    ///
    /// # Errors
    /// `Killed`.
    #[track_caller]
    pub fn next(&self) -> Result<Option<T>, Killed> {
        match self.recv() {
            Ok(message) => Ok(Some(message)),
            Err(RecvError::Closed) => Ok(None),
            Err(RecvError::Killed(killed)) => Err(killed),
        }
    }

    /// The messages that come, each when it is there. Ends when every sender is gone, and when the task is killed.
    pub fn iter(&self) -> Iter<'_, T> {
        Iter { receiver: self }
    }

    /// How many messages wait. Not a wait point.
    pub fn len(&self) -> usize {
        self.passage.lock().messages.len()
    }

    /// Whether no message waits. Not a wait point.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<'a, T> IntoIterator for &'a Receiver<T> {
    type Item = T;
    type IntoIter = Iter<'a, T>;

    fn into_iter(self) -> Iter<'a, T> {
        Iter { receiver: self }
    }
}

/// The messages that come to a [`Receiver`].
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

impl<T> Permit<'_, T> {
    /// Sends a message into the place. Not a wait point.
    ///
    /// # Errors
    /// The message, if every receiver has gone since.
    pub fn send(self, message: T) -> Result<(), T> {
        let passage = self.passage;
        std::mem::forget(self);
        passage.change(|state| {
            state.promised_places -= 1;
            if state.receivers == 0 {
                return Err(message);
            }
            state.messages.push_back(message);
            Ok(())
        })
    }
}

impl<T> Drop for Permit<'_, T> {
    fn drop(&mut self) {
        self.passage.change(|state| state.promised_places -= 1);
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        self.passage.lock().senders += 1;
        Sender { passage: self.passage.clone() }
    }
}

impl<T> Clone for Receiver<T> {
    fn clone(&self) -> Self {
        self.passage.lock().receivers += 1;
        Receiver { passage: self.passage.clone() }
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        self.passage.change(|state| state.senders -= 1);
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        let unread = self.passage.change(|state| {
            state.receivers -= 1;
            match state.receivers {
                0 => std::mem::take(&mut state.messages),
                _ => VecDeque::new(),
            }
        });
        // Without the lock: a message's drop may use the passage.
        drop(unread);
    }
}

/// What can be waited for at an end of a passage.
///
/// Proof obligation for its being an arm: a ticket that is given up unserved has changed nothing but its own place in the queue,
/// and a promise that is not taken is passed on.
#[doc(hidden)]
pub trait Side {
    type Output;
    /// What a blocking call gives.
    type Waited;

    fn try_take(&self) -> Option<Self::Output>;
    fn is_ready(&self) -> bool;
    /// Queues up; or says that what is waited for is there, and promises it to the ticket.
    fn enqueue(&self, ticket: &Turn) -> bool;
    /// Leaves the queue, or passes on what was promised.
    fn leave(&self, ticket: &Turn);
    /// Takes what was promised.
    fn take_promised(&self) -> Self::Output;
    fn waited(result: Result<Self::Output, Killed>) -> Self::Waited;
    fn verb() -> &'static str;
}

/// A ticket, to the outside, and its number in the queue.
#[doc(hidden)]
pub struct Turn(Arc<Ticket>, Cell<u64>);

impl Turn {
    fn new(waiter: Waiter) -> Self {
        Turn(Arc::new(Ticket { is_served: AtomicBool::new(false), waiter }), Cell::new(0))
    }
}

/// `op::receive` from a passage.
#[doc(hidden)]
pub struct Receiving<'a, T> {
    passage: &'a Passage<T>,
}

/// `op::reserve` in a passage.
#[doc(hidden)]
pub struct Reserving<'a, T> {
    passage: &'a Passage<T>,
}

impl<T> Side for Receiving<'_, T> {
    type Output = Result<T, RecvError>;
    type Waited = Result<T, RecvError>;

    fn try_take(&self) -> Option<Self::Output> {
        let mut state = self.passage.lock();
        if state.free_messages() == 0 {
            return state.is_drained().then_some(Err(RecvError::Closed));
        }
        // The first are promised to others only in number: it is the number that is kept.
        let message = state.messages.pop_front();
        let served = state.serve(self.passage.capacity);
        drop(state);
        served.into_iter().for_each(Ticket::ring);
        message.map(Ok)
    }

    fn is_ready(&self) -> bool {
        let state = self.passage.lock();
        state.free_messages() > 0 || state.is_drained()
    }

    fn enqueue(&self, Turn(ticket, number): &Turn) -> bool {
        let mut state = self.passage.lock();
        if state.free_messages() > 0 || state.is_drained() {
            state.promised_messages += usize::from(state.free_messages() > 0);
            ticket.is_served.store(true, Ordering::Release);
            return true;
        }
        number.set(state.number());
        state.waiting_receivers.insert(number.get(), ticket.clone());
        false
    }

    fn leave(&self, Turn(ticket, number): &Turn) {
        self.passage.change(|state| {
            if ticket.is_served() {
                state.promised_messages = state.promised_messages.saturating_sub(1);
            } else {
                state.waiting_receivers.remove(&number.get());
            }
        });
    }

    fn take_promised(&self) -> Self::Output {
        self.passage.change(|state| {
            if state.promised_messages == 0 {
                return Err(RecvError::Closed);
            }
            state.promised_messages -= 1;
            state.messages.pop_front().ok_or(RecvError::Closed)
        })
    }

    fn waited(result: Result<Self::Output, Killed>) -> Self::Waited {
        result.map_err(RecvError::Killed)?
    }

    fn verb() -> &'static str {
        "receive from a passage"
    }
}

impl<'a, T> Side for Reserving<'a, T> {
    type Output = Result<Permit<'a, T>, Closed>;
    type Waited = Result<Permit<'a, T>, ReserveError>;

    fn try_take(&self) -> Option<Self::Output> {
        let mut state = self.passage.lock();
        if state.receivers == 0 {
            return Some(Err(Closed));
        }
        if state.free_places(self.passage.capacity) == 0 {
            return None;
        }
        state.promised_places += 1;
        Some(Ok(Permit { passage: self.passage }))
    }

    fn is_ready(&self) -> bool {
        let state = self.passage.lock();
        state.free_places(self.passage.capacity) > 0 || state.receivers == 0
    }

    fn enqueue(&self, Turn(ticket, number): &Turn) -> bool {
        let mut state = self.passage.lock();
        if state.free_places(self.passage.capacity) > 0 || state.receivers == 0 {
            state.promised_places += 1;
            ticket.is_served.store(true, Ordering::Release);
            return true;
        }
        number.set(state.number());
        state.waiting_senders.insert(number.get(), ticket.clone());
        false
    }

    fn leave(&self, Turn(ticket, number): &Turn) {
        self.passage.change(|state| {
            if ticket.is_served() {
                state.promised_places -= 1;
            } else {
                state.waiting_senders.remove(&number.get());
            }
        });
    }

    fn take_promised(&self) -> Self::Output {
        let permit = Permit { passage: self.passage };
        if self.passage.lock().receivers == 0 { Err(Closed) } else { Ok(permit) }
    }

    fn waited(result: Result<Self::Output, Killed>) -> Self::Waited {
        result.map_err(ReserveError::Killed)?.map_err(|Closed| ReserveError::Closed)
    }

    fn verb() -> &'static str {
        "send into a passage"
    }
}

/// The blocking call, of a task or of a plain thread.
#[track_caller]
fn wait_for<S: Side>(side: &S) -> S::Waited {
    let Some(cooperator) = Cooperator::current() else {
        return S::waited(Ok(side.try_take().unwrap_or_else(|| block_thread(side))));
    };
    S::waited((|| {
        task::begin()?;
        if let Some(output) = side.try_take() {
            cooperator.scheduler.spend_little();
            return Ok(output);
        }
        let post = Post::new();
        let entry = Coordinated::new();
        let wait = Wait::new(&cooperator.scheduler);
        /// Whatever ends the wait, the post leaves the queue.
        struct Posted<'a, S: Side>(&'a Post, &'a S, &'a Cooperator);
        impl<S: Side> Drop for Posted<'_, S> {
            fn drop(&mut self) {
                self.0.withdraw(self.1, self.2);
            }
        }
        let posted = Posted(&post, side, cooperator);
        // SAFETY: the post stays on this frame until `posted` has withdrawn it; the entry until `wait` has unlinked it, being
        // settled, killed or dropped.
        unsafe {
            post.queue_up(side, cooperator);
            wait.enlist(post.news(), &entry, 0);
        }
        let place = Location::caller();
        loop {
            let settled = wait.park(&cooperator.scheduler, true, Reason::new(S::verb()), place);
            if post.is_served() {
                return Ok(posted.0.take(side, cooperator));
            }
            if settled == Settled::Killed {
                return Err(task::delivered(cooperator));
            }
            // SAFETY: as above; a wait that was settled has unlinked the entry.
            unsafe {
                post.queue_up(side, cooperator);
                wait.enlist(post.news(), &entry, 0);
            }
        }
    })())
}

#[cold]
fn block_thread<S: Side>(side: &S) -> S::Output {
    let turn = Turn::new(Waiter::Thread(thread::current()));
    if !side.enqueue(&turn) {
        while !turn.0.is_served() {
            thread::park();
        }
    }
    side.take_promised()
}

/// How often a waiter looks whom nobody can wake.
const LOOKS_EVERY: u64 = 1_000_000;

/// Where a task waits for its turn: a ticket, and the Coordinator that is released when it is served.
struct Post {
    turn: RefCell<Option<Turn>>,
    /// Its Coordinator is released by the news; its timer runs only where none can come.
    news: Sleep,
    _pinned: PhantomPinned,
}

impl Post {
    const fn new() -> Self {
        Post { turn: RefCell::new(None), news: Sleep::new(), _pinned: PhantomPinned }
    }

    fn news(&self) -> &Coordinator {
        self.news.over()
    }

    fn is_served(&self) -> bool {
        self.turn.borrow().as_ref().is_some_and(|turn| turn.0.is_served())
    }

    /// Takes a ticket, unless it has one.
    ///
    /// # Safety
    /// The post stays in place until it is withdrawn, or what it was promised taken.
    unsafe fn queue_up<S: Side>(&self, side: &S, cooperator: &Cooperator) {
        let mut turn = self.turn.borrow_mut();
        if turn.is_none() {
            self.news().take();
            let waiter = match cooperator.open_inbox() {
                Ok(inbox) => Waiter::Task { inbox: inbox.back_door(), news: Cell::new(self.news()) },
                Err(_) => Waiter::Nobody,
            };
            cooperator.wakers.set(cooperator.wakers.get() + 1);
            let ours = turn.insert(Turn::new(waiter));
            if side.enqueue(ours) {
                // It came in this moment. The news takes the usual way, so that nothing is settled while arms are enlisted.
                ours.0.clone().ring();
            }
        }
        if turn.as_ref().is_some_and(|turn| matches!(turn.0.waiter, Waiter::Nobody)) && !self.news.is_running() {
            self.news().take();
            // SAFETY: the caller's promise.
            unsafe { self.news.start(&cooperator.timers, cooperator.clock.now().saturating_add(LOOKS_EVERY)) };
        }
    }

    fn give_up(&self, cooperator: &Cooperator) -> Option<Turn> {
        let turn = self.turn.borrow_mut().take()?;
        turn.0.give_up();
        self.news.stop();
        cooperator.wakers.set(cooperator.wakers.get() - 1);
        Some(turn)
    }

    /// Leaves the queue. What was promised goes to the next.
    fn withdraw<S: Side>(&self, side: &S, cooperator: &Cooperator) {
        if let Some(turn) = self.give_up(cooperator) {
            side.leave(&turn);
        }
    }

    /// Takes what was promised.
    fn take<S: Side>(&self, side: &S, cooperator: &Cooperator) -> S::Output {
        self.give_up(cooperator);
        side.take_promised()
    }
}

/// The operation of a [`Side`].
#[doc(hidden)]
pub struct Crossing<S> {
    side: S,
    post: Post,
    entry: Coordinated,
}

impl<S: Side> Crossing<S> {
    fn new(side: S) -> Self {
        Crossing { side, post: Post::new(), entry: Coordinated::new() }
    }
}

impl<S> Sealed for Crossing<S> {}

// SAFETY: `enlist` links `entry`, which the wait unlinks, and takes a ticket, which `disengage` gives up; `Side` states why a
// ticket that was given up has had no effect.
#[diagnostic::do_not_recommend]
unsafe impl<S: Side> Arm for Crossing<S> {
    type Output = S::Output;
    type Itself = Self;

    fn itself(self) -> Self {
        self
    }

    fn readiness(&self) -> Readiness {
        if self.post.is_served() || self.side.is_ready() { Readiness::Maybe } else { Readiness::No }
    }

    fn attempt(&mut self, cooperator: &Cooperator) -> Option<S::Output> {
        if self.post.is_served() {
            return Some(self.post.take(&self.side, cooperator));
        }
        self.side.try_take()
    }

    unsafe fn enlist(&self, cooperator: &Cooperator, wait: &Wait, index: usize) {
        // SAFETY: the caller's promise: the arm stays in place until it is settled.
        unsafe {
            self.post.queue_up(&self.side, cooperator);
            wait.enlist(self.post.news(), &self.entry, index);
        }
    }

    fn won(&mut self, cooperator: &Cooperator) -> Option<S::Output> {
        self.post.is_served().then(|| self.post.take(&self.side, cooperator))
    }

    fn disengage(&self, cooperator: &Cooperator) {
        self.post.withdraw(&self.side, cooperator);
    }

    fn settle(&self, _: &Cooperator, _: &'static Location<'static>) {}
}

impl<S: Side> Operation for Crossing<S> {
    type Output = S::Output;
    type Waited = S::Waited;
    type Started = S::Output;
    type Joined = S::Waited;
    type Flight = AtPost<S>;

    #[track_caller]
    fn wait(self) -> S::Waited {
        wait_for(&self.side)
    }

    fn into_flight(self) -> AtPost<S> {
        AtPost { side: self.side, post: Post::new() }
    }

    fn joined(result: Result<S::Output, Killed>) -> S::Waited {
        S::waited(result)
    }
}

/// A place in a passage's queue that is kept while its owner does other things.
#[doc(hidden)]
pub struct AtPost<S> {
    side: S,
    post: Post,
}

// SAFETY: the address of the post's Coordinator is handed out to the ticket, on this thread, until it is withdrawn or taken.
// What was promised and not taken is passed on.
unsafe impl<S: Side> Flight for AtPost<S> {
    type Output = S::Output;

    unsafe fn launch(&self, cooperator: &Cooperator) {
        // SAFETY: the caller's promise.
        unsafe { self.post.queue_up(&self.side, cooperator) };
    }

    fn news(&self) -> &Coordinator {
        self.post.news()
    }

    fn is_ready(&self) -> bool {
        self.post.is_served() || !self.post.news().is_held()
    }

    fn land(&mut self, cooperator: &Cooperator) -> Option<S::Output> {
        if self.post.is_served() {
            return Some(self.post.take(&self.side, cooperator));
        }
        if !self.is_over() {
            // SAFETY: it was launched, so it stays in place until it is over.
            unsafe { self.post.queue_up(&self.side, cooperator) };
        }
        None
    }

    fn abort(&self, cooperator: &Cooperator) {
        self.post.withdraw(&self.side, cooperator);
    }

    fn settle(&self, _: &Cooperator, _: &'static Location<'static>) {}

    fn is_over(&self) -> bool {
        self.post.turn.borrow().is_none()
    }

    fn reason(&self) -> Reason {
        Reason::new(S::verb())
    }
}

impl<T> Receiver<T> {
    /// What `op::receive` gives.
    pub(crate) fn crossing(&self) -> Crossing<Receiving<'_, T>> {
        Crossing::new(Receiving { passage: &self.passage })
    }

    /// Every sender is gone. What was sent may still be there.
    pub(crate) fn is_closed(&self) -> bool {
        self.passage.lock().senders == 0
    }
}

impl<T> end::Sealed for &Receiver<T> {}

impl<'a, T> ReceivingEnd for &'a Receiver<T> {
    type Receive = Crossing<Receiving<'a, T>>;

    fn receive(self) -> Self::Receive {
        self.crossing()
    }
}

impl<T> end::Sealed for &Sender<T> {}

impl<'a, T> ReservingEnd for &'a Sender<T> {
    type Reserve = Crossing<Reserving<'a, T>>;

    fn reserve_place(self) -> Self::Reserve {
        Crossing::new(Reserving { passage: &self.passage })
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
