//! What must happen: a second, naive description of tasks, kills, queues and time, written from the contract.
//!
//! Every call that a program makes is first made here, and every return of a call is compared with what is said here. Nothing is
//! kept up to date that can be computed: whether a task is killed is found by walking up the tree each time it is asked.
//!
//! Two things happen without any program's doing, and are learnt by looking ([`Model::catch_up`]): tasks end, some time after
//! their body has; and time moves, which it may only when nothing can run.

mod queues;
mod tree;

pub use queues::{Fate, Grant, Place, Who};
pub use tree::{Body, Cause, Delivered, Kind, NodeNo, State};

use crate::program::{COORDINATORS, MUTEXES, Program, TaskNo};
use crate::report::failed;
use coop::__private::Census;
use coop::TaskId;
use queues::{Channel, Coordinator, Flight};
use tree::{Node, Task};

/// The Coordinators of the program, then the locks of its mutexes.
pub const LOCKS: usize = COORDINATORS;

pub struct Model {
    pub now: u64,
    nodes: Vec<Node>,
    tasks: Vec<Task>,
    locks: Vec<Coordinator>,
    channels: Vec<Channel>,
    flights: Vec<Flight>,
    timers: Vec<Timer>,
    timers_started: u64,
    /// Tasks that have not ended.
    live: usize,
    /// How often the model has caught up.
    looks: u64,
    orphan_kills_parent: bool,
}

/// Something that happens at a moment.
struct Timer {
    deadline: u64,
    number: u64,
    what: Alarm,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Alarm {
    /// A wait is over; with which of its places.
    Wake(Who, usize),
    /// The time of a region is up.
    Expire(NodeNo),
    /// The grace of a shield is over.
    Open(NodeNo),
    /// A wait whose other places are not modelled is over.
    Ring(TaskNo),
}

impl Model {
    pub fn new(program: &Program, now: u64) -> Self {
        let held = program.held.into_iter().chain([false; MUTEXES]);
        Model {
            now,
            nodes: Vec::new(),
            tasks: (0..program.plans.len()).map(|_| Task::default()).collect(),
            locks: held.map(Coordinator::new).collect(),
            channels: program.capacities.into_iter().map(Channel::new).collect(),
            flights: Vec::new(),
            timers: Vec::new(),
            timers_started: 0,
            live: 0,
            looks: 0,
            orphan_kills_parent: program.orphan_kills_parent,
        }
    }

    pub fn start_timer(&mut self, deadline: u64, what: Alarm) {
        self.timers_started += 1;
        self.timers.push(Timer { deadline, number: self.timers_started, what });
    }

    /// A moment among what a task waits for in a wait that is not modelled.
    pub fn start_ring_timer(&mut self, task: TaskNo, milliseconds: u64) -> u64 {
        let deadline = self.now + milliseconds * 1_000_000;
        self.start_timer(deadline, Alarm::Ring(task));
        deadline
    }

    pub fn stop_ring_timer(&mut self, task: TaskNo) {
        self.stop_timers(|alarm| alarm == Alarm::Ring(task));
    }

    fn stop_timers(&mut self, is_meant: impl Fn(Alarm) -> bool) {
        self.timers.retain(|timer| !is_meant(timer.what));
    }

    /// Learns what has happened since any task last ran: first the ends of tasks, which needed no time, then what came with time.
    /// Called whenever a task comes back from where it could be switched out.
    pub fn catch_up(&mut self, census: Census, tasks: impl FnOnce() -> Vec<TaskId>) {
        self.looks += 1;
        if census.tasks != self.live {
            self.end_tasks(census.tasks, &tasks());
        }
        while self.now < census.now {
            self.check_idle();
            let next = self.timers.iter().map(|timer| timer.deadline).filter(|deadline| *deadline > self.now).min();
            match next {
                Some(next) if next <= census.now => self.now = next,
                _ => failed(format!("time moved to {}, when nothing is due", show_time(census.now))),
            }
            self.fire();
        }
        if self.now > census.now {
            failed(format!("time went back from {} to {}", show_time(self.now), show_time(census.now)));
        }
    }

    /// What is due, in the order of the deadlines, and of the starts.
    fn fire(&mut self) {
        // One by one: the first of several timers of a wait decides it, and stops the others.
        let next = |timers: &[Timer], now: u64| {
            let due = timers.iter().enumerate().filter(|(_, timer)| timer.deadline <= now);
            due.min_by_key(|(_, timer)| (timer.deadline, timer.number)).map(|(index, _)| index)
        };
        while let Some(index) = next(&self.timers, self.now) {
            match self.timers.swap_remove(index).what {
                Alarm::Wake(who, place) => self.grant(who, place, false),
                Alarm::Expire(node) => self.kill(node, Cause::Deadline),
                // A shield is open when its time has come: see `Model::effective`.
                Alarm::Open(_) => {}
                Alarm::Ring(task) => self.tasks[task].state = State::Running,
            }
        }
    }

    /// Nothing may be able to run when time moves.
    fn check_idle(&self) {
        for (number, task) in self.tasks.iter().enumerate() {
            let is_runnable = match task.state {
                State::NotYet | State::Ring | State::Draining | State::Ended => false,
                State::Fresh | State::Running => true,
                State::Parked => task.granted.is_some() || self.killed(number).is_some(),
                State::Awaiting(node) | State::Done(node) => self.nodes[node].children.is_empty(),
            };
            if is_runnable {
                failed(format!("time moved although task {number} could run: {:?}", task.state));
            }
        }
    }
}

pub fn show_time(nanoseconds: u64) -> String {
    format!("{} ms", nanoseconds as f64 / 1e6)
}
