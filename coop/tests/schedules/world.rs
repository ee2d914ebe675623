//! What the tasks of a program share, and the guards that tell the model what goes when.

use super::model::Model;
use super::program::{CHANNELS, COORDINATORS, MUTEXES, Program, TaskNo};
use super::report::{failed, fold, say};
use coop::__private::{census, tasks};
use coop::Coordinator;
use coop::chan::{Receiver, Sender};
use coop::net::UnixStream;
use coop::sync::Mutex;
use std::cell::{Cell, OnceCell, RefCell};
use std::rc::Rc;

/// What a task that was told to panic panics with: the number of the step.
pub struct Expected(pub u32);

pub struct World {
    pub program: Program,
    pub model: RefCell<Model>,
    pub coordinators: [Coordinator; COORDINATORS],
    pub mutexes: [Mutex<Cell<bool>>; MUTEXES],
    /// The first of each channel; those that use it clone it.
    senders: [RefCell<Option<Sender<Message>>>; CHANNELS],
    receivers: [RefCell<Option<Receiver<Message>>>; CHANNELS],
    /// Handles that every task can reach.
    pub shared: RefCell<Vec<Option<Box<dyn super::handles::Joinable>>>>,
    /// Set when the root's body is over: whoever still has a handle drops it.
    pub is_over: Cell<bool>,
    pub loose: Loose,
    next_message: Cell<u32>,
    /// How many steps were executed.
    pub steps: Cell<u64>,
    pub values_made: RefCell<Vec<u8>>,
    pub values_dropped: RefCell<Vec<u8>>,
}

/// What the ring decides about is not modelled; of it only is checked that nothing is lost or doubled.
pub struct Loose {
    /// Made for the first who wants it: most programs do without.
    socket: OnceCell<(UnixStream, UnixStream)>,
    pub bytes_sent: Cell<u64>,
    pub bytes_received: Cell<u64>,
    pub sender: Sender<Message>,
    pub receiver: Receiver<Message>,
    pub mutex: Mutex<Cell<bool>>,
    pub messages_sent: Cell<u32>,
    pub messages_received: Cell<u32>,
    /// For `Spin`: one pair each.
    pub pings: RefCell<Vec<Option<Rc<(UnixStream, UnixStream)>>>>,
}

impl Loose {
    pub fn socket(&self) -> &(UnixStream, UnixStream) {
        self.socket.get_or_init(|| UnixStream::pair().expect("a pair of sockets"))
    }
}

/// A message knows whether it arrived.
pub struct Message {
    pub number: u32,
    channel: usize,
    has_arrived: bool,
}

/// The number of the channel that is not modelled.
pub const LOOSE: usize = CHANNELS;

impl Drop for Message {
    fn drop(&mut self) {
        if !self.has_arrived && CLOSED.get() & 1 << self.channel == 0 {
            failed(format!("message {} was dropped on its way", self.number));
        }
    }
}

impl Message {
    /// It arrived, or came back.
    pub fn arrives(mut self) -> u32 {
        self.has_arrived = true;
        self.number
    }
}

impl World {
    pub fn new(program: Program) -> Rc<World> {
        let now = census().now;
        CLOSED.set(0);
        let channels: [_; CHANNELS] = program.capacities.map(coop::chan::bounded);
        let (senders, receivers): (Vec<_>, Vec<_>) = channels.into_iter().unzip();
        let (sender, receiver) = coop::chan::bounded(2);
        let count = program.plans.len();
        let world = Rc::new(World {
            model: RefCell::new(Model::new(&program, now)),
            coordinators: program.held.map(|held| if held { Coordinator::held() } else { Coordinator::new() }),
            mutexes: std::array::from_fn(|_| Mutex::new(Cell::new(false))),
            senders: [const { RefCell::new(None) }; CHANNELS],
            receivers: [const { RefCell::new(None) }; CHANNELS],
            shared: RefCell::new((0..count).map(|_| None).collect()),
            is_over: Cell::new(false),
            loose: Loose {
                socket: OnceCell::new(),
                bytes_sent: Cell::new(0),
                bytes_received: Cell::new(0),
                sender,
                receiver,
                mutex: Mutex::new(Cell::new(false)),
                messages_sent: Cell::new(0),
                messages_received: Cell::new(0),
                pings: RefCell::new((0..count).map(|_| None).collect()),
            },
            next_message: Cell::new(0),
            steps: Cell::new(0),
            values_made: RefCell::new(vec![0; count]),
            values_dropped: RefCell::new(vec![0; count]),
            program,
        });
        for (channel, (sender, receiver)) in senders.into_iter().zip(receivers).enumerate() {
            world.senders[channel].replace(Some(sender));
            world.receivers[channel].replace(Some(receiver));
        }
        world
    }

    /// Brings the model to where the runtime is. Called wherever the calling task may have been switched out.
    pub fn catch_up(&self) {
        self.model.borrow_mut().catch_up(census(), tasks);
    }

    pub fn message(&self, channel: usize) -> Message {
        self.next_message.set(self.next_message.get() + 1);
        Message { number: self.next_message.get(), channel, has_arrived: false }
    }

    /// Something happened: it is part of what the same seed repeats.
    pub fn note(&self, task: TaskNo, step: u32, code: u64, text: impl FnOnce() -> String) {
        fold(&[task as u64, u64::from(step), code, self.model.borrow().now]);
        say(|| {
            let now = super::model::show_time(self.model.borrow().now);
            format!("{now:>12} {step:>4} task {task}: {}", text())
        });
    }

    /// After the run.
    pub fn check_over(&self) {
        let model = self.model.borrow();
        model.check_over();
        let (made, dropped) = (self.values_made.borrow(), self.values_dropped.borrow());
        if *made != *dropped {
            failed(format!("values made, by task: {made:?}; dropped: {dropped:?}"));
        }
        let loose = &self.loose;
        let mut left = 0;
        let mut buffer = [0; 256];
        while let Some((_, far)) = loose.socket.get() {
            use std::os::fd::AsRawFd;
            // SAFETY: a buffer of the length that is given.
            let n =
                unsafe { libc::recv(far.as_raw_fd(), buffer.as_mut_ptr().cast(), buffer.len(), libc::MSG_DONTWAIT) };
            match u64::try_from(n) {
                Ok(n @ 1..) => left += n,
                _ => break,
            }
        }
        let (sent, received) = (loose.bytes_sent.get(), loose.bytes_received.get());
        if sent != received + left {
            failed(format!("{sent} bytes sent, {received} received, {left} left"));
        }
        let mut left = 0;
        while let Ok(message) = loose.receiver.try_recv() {
            message.arrives();
            left += 1;
        }
        let (sent, received) = (loose.messages_sent.get(), loose.messages_received.get());
        if sent != received + left {
            failed(format!("{sent} messages sent, {received} received, {left} left"));
        }
        if loose.mutex.try_lock().is_none() || self.mutexes.iter().any(|mutex| mutex.try_lock().is_none()) {
            failed("a mutex is still locked".into());
        }
        for (number, coordinator) in self.coordinators.iter().enumerate() {
            if coordinator.is_held() == model.is_free(number) {
                failed(format!("c{number} is held: {}", coordinator.is_held()));
            }
        }
        // What is left in the channels goes with them.
        CLOSED.set(u32::MAX);
    }

    /// The sockets by which a `Spin` and its task talk.
    pub fn ping(&self, task: TaskNo) -> Rc<(UnixStream, UnixStream)> {
        let pair = || Rc::new(UnixStream::pair().expect("a pair of sockets"));
        self.loose.pings.borrow_mut()[task].get_or_insert_with(pair).clone()
    }

    // Channels.

    pub fn sender(self: &Rc<Self>, channel: usize) -> Option<SenderGuard> {
        let sender = self.senders[channel].borrow().clone()?;
        self.model.borrow_mut().add_sender(channel);
        Some(SenderGuard { world: self.clone(), channel, sender })
    }

    pub fn receiver(self: &Rc<Self>, channel: usize) -> Option<ReceiverGuard> {
        let receiver = self.receivers[channel].borrow().clone()?;
        self.model.borrow_mut().add_receiver(channel);
        Some(ReceiverGuard { world: self.clone(), channel, receiver })
    }

    pub fn close_sender(&self, channel: usize) {
        if let Some(first) = self.senders[channel].take() {
            self.model.borrow_mut().drop_sender(channel);
            drop(first);
        }
    }

    pub fn close_receiver(&self, channel: usize) {
        if let Some(first) = self.receivers[channel].take() {
            self.receiver_drops(channel);
            drop(first);
        }
    }

    fn receiver_drops(&self, channel: usize) {
        let mut model = self.model.borrow_mut();
        model.drop_receiver(channel);
        if model.is_closed(channel) {
            CLOSED.set(CLOSED.get() | 1 << channel);
        }
    }
}

thread_local! {
    /// The channels without a receiver: what is sent into them, or left in them, is lost.
    static CLOSED: Cell<u32> = const { Cell::new(0) };
}

/// A sender, whose going the model hears of first.
pub struct SenderGuard {
    world: Rc<World>,
    channel: usize,
    pub sender: Sender<Message>,
}

impl Drop for SenderGuard {
    fn drop(&mut self) {
        self.world.model.borrow_mut().drop_sender(self.channel);
    }
}

pub struct ReceiverGuard {
    world: Rc<World>,
    channel: usize,
    pub receiver: Receiver<Message>,
}

impl Drop for ReceiverGuard {
    fn drop(&mut self) {
        self.world.receiver_drops(self.channel);
    }
}
