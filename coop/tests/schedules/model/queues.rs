//! What tasks wait for: locks, channels, ends of tasks, moments. All of it first come, first served.

use super::tree::{Cause, State};
use super::{Alarm, Model};
use crate::program::TaskNo;
use crate::report::failed;
use std::collections::VecDeque;

/// Who waits.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Who {
    Task(TaskNo),
    Flight(usize),
}

/// Where.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Place {
    Lock(usize),
    Receive(usize),
    Reserve(usize),
    Ended(TaskNo),
    /// For the end of a task that waits for the waiter: an error at once.
    Deadlock,
    Landed(usize),
    At(u64),
}

/// A wait that was decided.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Grant {
    /// Which of the places.
    pub index: usize,
    /// In a channel: something was set aside, so this is not the news that it was closed.
    pub has_promise: bool,
}

/// How a wait ends.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Fate {
    /// It was refused.
    Refused(Cause),
    /// It was no wait: this place was free at once.
    AtOnce(usize),
    Won(Grant),
    Killed(Cause),
}

pub(super) struct Coordinator {
    is_held: bool,
    queue: VecDeque<(Who, usize)>,
}

impl Coordinator {
    pub(super) fn new(is_held: bool) -> Self {
        Coordinator { is_held, queue: VecDeque::new() }
    }
}

pub(super) struct Channel {
    messages: VecDeque<u32>,
    capacity: usize,
    senders: usize,
    receivers: usize,
    /// Messages and places that were set aside for those who were woken.
    promised_messages: usize,
    promised_places: usize,
    to_receive: VecDeque<(Who, usize)>,
    to_reserve: VecDeque<(Who, usize)>,
}

impl Channel {
    pub(super) fn new(capacity: usize) -> Self {
        Channel {
            messages: VecDeque::new(),
            capacity,
            senders: 1,
            receivers: 1,
            promised_messages: 0,
            promised_places: 0,
            to_receive: VecDeque::new(),
            to_reserve: VecDeque::new(),
        }
    }

    fn has_message(&self) -> bool {
        self.messages.len() > self.promised_messages
    }

    /// No message will ever come.
    fn is_drained(&self) -> bool {
        self.senders == 0 && self.messages.is_empty()
    }

    fn has_place(&self) -> bool {
        // What is set aside for a receiver is as good as received.
        self.messages.len() - self.promised_messages + self.promised_places < self.capacity
    }
}

/// A Handle that was started.
pub(super) struct Flight {
    what: Place,
    granted: Option<Grant>,
    is_over: bool,
    waiter: Option<(Who, usize)>,
}

impl Model {
    // Waits.

    /// Queues a task at each of the places, to get one.
    pub fn park(&mut self, task: TaskNo, places: &[(usize, Place)]) {
        self.tasks[task].state = State::Parked;
        self.tasks[task].granted = None;
        self.enqueue(Who::Task(task), places);
    }

    fn enqueue(&mut self, who: Who, places: &[(usize, Place)]) {
        for (index, place) in places {
            let entry = (who, *index);
            match *place {
                Place::Lock(lock) => self.locks[lock].queue.push_back(entry),
                Place::Receive(channel) => self.channels[channel].to_receive.push_back(entry),
                Place::Reserve(channel) => self.channels[channel].to_reserve.push_back(entry),
                Place::Ended(task) => self.tasks[task].joiner = Some(entry),
                Place::Deadlock => {}
                Place::Landed(flight) => self.flights[flight].waiter = Some(entry),
                Place::At(moment) => self.start_timer(moment, Alarm::Wake(who, *index)),
            }
            if let Who::Task(task) = who {
                self.tasks[task].places.push(*place);
            }
        }
    }

    fn withdraw(&mut self, who: Who) {
        let places = match who {
            Who::Task(task) => std::mem::take(&mut self.tasks[task].places),
            Who::Flight(flight) => vec![self.flights[flight].what],
        };
        for place in places {
            match place {
                Place::Lock(lock) => self.locks[lock].queue.retain(|entry| entry.0 != who),
                Place::Receive(channel) => self.channels[channel].to_receive.retain(|entry| entry.0 != who),
                Place::Reserve(channel) => self.channels[channel].to_reserve.retain(|entry| entry.0 != who),
                Place::Ended(task) => self.tasks[task].joiner = None,
                Place::Deadlock => {}
                Place::Landed(flight) => self.flights[flight].waiter = None,
                Place::At(_) => self.stop_timers(|alarm| matches!(alarm, Alarm::Wake(other, _) if other == who)),
            }
        }
    }

    /// Decides the wait of `who` for the place with this index: at no other does it queue any more.
    pub(super) fn grant(&mut self, who: Who, index: usize, has_promise: bool) {
        self.withdraw(who);
        let grant = Some(Grant { index, has_promise });
        match who {
            Who::Task(task) => self.tasks[task].granted = grant,
            Who::Flight(flight) => {
                self.flights[flight].granted = grant;
                if let Some((waiter, index)) = self.flights[flight].waiter {
                    self.grant(waiter, index, false);
                }
            }
        }
    }

    /// A parked task runs again. What was handed to it before it could run is its own, killed or not.
    pub fn resumes(&mut self, task: TaskNo) -> Fate {
        self.tasks[task].state = State::Running;
        if let Some(grant) = self.tasks[task].granted.take() {
            return Fate::Won(grant);
        }
        let places = self.tasks[task].places.clone();
        self.withdraw(Who::Task(task));
        match self.deliver(task) {
            Some(cause) => Fate::Killed(cause),
            None => failed(format!(
                "task {task} was resumed for no reason: nothing of {places:?} is its own at {}",
                super::show_time(self.now)
            )),
        }
    }

    // Locks.

    pub fn is_free(&self, lock: usize) -> bool {
        !self.locks[lock].is_held
    }

    pub fn take_lock(&mut self, lock: usize) {
        self.locks[lock].is_held = true;
    }

    /// Hands over to whoever has waited longest.
    pub fn release(&mut self, lock: usize) {
        match self.locks[lock].queue.front().copied() {
            Some((who, index)) => self.grant(who, index, false),
            None => self.locks[lock].is_held = false,
        }
    }

    // Channels.

    /// Sets aside what there is for those who wait, in the order they came.
    fn serve(&mut self, channel: usize) {
        loop {
            let this = &mut self.channels[channel];
            if let Some((who, index)) = this.to_receive.front().copied()
                && (this.has_message() || this.is_drained())
            {
                let has_promise = this.has_message();
                this.promised_messages += usize::from(has_promise);
                self.grant(who, index, has_promise);
            } else if let Some((who, index)) = this.to_reserve.front().copied()
                && (this.has_place() || this.receivers == 0)
            {
                this.promised_places += 1;
                self.grant(who, index, true);
            } else {
                return;
            }
        }
    }

    pub fn can_receive(&self, channel: usize) -> bool {
        self.channels[channel].has_message() || self.channels[channel].is_drained()
    }

    /// What a receiver gets that need not wait; `None`: the channel is closed.
    pub fn receive_at_once(&mut self, channel: usize) -> Option<u32> {
        let has_promise = self.channels[channel].has_message();
        self.channels[channel].promised_messages += usize::from(has_promise);
        self.receive(channel, has_promise)
    }

    /// What a receiver gets that was woken.
    pub fn receive(&mut self, channel: usize, has_promise: bool) -> Option<u32> {
        if !has_promise {
            return None;
        }
        self.channels[channel].promised_messages -= 1;
        let message = self.channels[channel].messages.pop_front();
        self.serve(channel);
        message.or_else(|| failed("the model has promised a message that is not there".into()))
    }

    fn pass_message_on(&mut self, channel: usize) {
        self.channels[channel].promised_messages -= 1;
        self.serve(channel);
    }

    pub fn can_reserve(&self, channel: usize) -> bool {
        self.channels[channel].has_place() || self.channels[channel].receivers == 0
    }

    /// Sets a place aside for one who need not wait.
    pub fn reserve_at_once(&mut self, channel: usize) -> bool {
        self.channels[channel].promised_places += 1;
        self.reserve(channel)
    }

    /// A place was set aside. False: there is no receiver any more.
    pub fn reserve(&mut self, channel: usize) -> bool {
        let is_open = self.channels[channel].receivers > 0;
        if !is_open {
            self.drop_permit(channel);
        }
        is_open
    }

    pub fn send_by_permit(&mut self, channel: usize, message: u32) {
        let this = &mut self.channels[channel];
        this.promised_places -= 1;
        if this.receivers > 0 {
            this.messages.push_back(message);
        }
        self.serve(channel);
    }

    pub fn drop_permit(&mut self, channel: usize) {
        self.channels[channel].promised_places -= 1;
        self.serve(channel);
    }

    pub fn is_closed(&self, channel: usize) -> bool {
        self.channels[channel].receivers == 0
    }

    pub fn add_sender(&mut self, channel: usize) {
        self.channels[channel].senders += 1;
    }

    pub fn drop_sender(&mut self, channel: usize) {
        self.channels[channel].senders -= 1;
        self.serve(channel);
    }

    pub fn add_receiver(&mut self, channel: usize) {
        self.channels[channel].receivers += 1;
    }

    pub fn drop_receiver(&mut self, channel: usize) {
        self.channels[channel].receivers -= 1;
        if self.channels[channel].receivers == 0 {
            self.channels[channel].messages.clear();
        }
        self.serve(channel);
    }

    // Handles.

    pub fn start(&mut self, what: Place) -> usize {
        let flight = self.flights.len();
        self.flights.push(Flight { what, granted: None, is_over: false, waiter: None });
        let has_promise = match what {
            Place::Lock(lock) if self.is_free(lock) => {
                self.take_lock(lock);
                true
            }
            Place::Receive(channel) if self.can_receive(channel) => {
                let has_message = self.channels[channel].has_message();
                self.channels[channel].promised_messages += usize::from(has_message);
                self.serve(channel);
                has_message
            }
            Place::Reserve(channel) if self.can_reserve(channel) => {
                self.channels[channel].promised_places += 1;
                true
            }
            _ => {
                self.enqueue(Who::Flight(flight), &[(0, what)]);
                return flight;
            }
        };
        self.flights[flight].granted = Some(Grant { index: 0, has_promise });
        flight
    }

    pub fn flight(&self, flight: usize) -> Place {
        self.flights[flight].what
    }

    pub fn has_landed(&self, flight: usize) -> bool {
        self.flights[flight].granted.is_some() && !self.flights[flight].is_over
    }

    /// The result is taken. What it is a promise of is for the caller to take.
    pub fn land(&mut self, flight: usize) -> Grant {
        let this = &mut self.flights[flight];
        match (this.granted, std::mem::replace(&mut this.is_over, true)) {
            (Some(grant), false) => grant,
            _ => failed(format!("Handle {flight} gave a result that it does not have")),
        }
    }

    /// The Handle goes without its result: what was set aside for it goes to the next.
    pub fn abort(&mut self, flight: usize) {
        if std::mem::replace(&mut self.flights[flight].is_over, true) {
            return;
        }
        let (what, granted) = (self.flights[flight].what, self.flights[flight].granted);
        match (granted, what) {
            (None, _) => self.withdraw(Who::Flight(flight)),
            (Some(_), Place::Lock(lock)) => self.release(lock),
            (Some(Grant { has_promise: true, .. }), Place::Receive(channel)) => self.pass_message_on(channel),
            (Some(_), Place::Reserve(channel)) => self.drop_permit(channel),
            _ => {}
        }
    }
}
