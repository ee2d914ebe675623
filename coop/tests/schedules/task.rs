//! A task of a program: where it is, and how its waits are compared with the model's.

use super::handles::Joinable;
use super::interpret::block;
use super::model::{Body, Cause, Delivered, Fate, Model, NodeNo, Place};
use super::program::{Step, TaskNo};
use super::report::{failed, saw};
use super::scopes::Level;
use super::world::World;
use coop::{Killed, TimedOut};
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

pub const MILLISECOND: u64 = 1_000_000;

/// The error of a block.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Failure {
    Killed(Cause),
    TimedOut,
    Closed,
    /// Of the step with this number.
    Own(u32),
}

impl From<TimedOut> for Failure {
    fn from(_: TimedOut) -> Self {
        Failure::TimedOut
    }
}

/// Where a step is executed.
#[derive(Clone, Copy)]
pub struct Cx<'a> {
    pub world: &'a Rc<World>,
    pub me: TaskNo,
    pub own: &'a RefCell<Vec<(TaskNo, Option<Box<dyn Joinable>>)>>,
    pub scope: Option<&'a Level<'a>>,
}

/// What a task was given. It knows if it was dropped without being used.
pub struct Arguments {
    world: Rc<World>,
    task: TaskNo,
    is_used: bool,
}

impl Arguments {
    pub fn new(world: &Rc<World>, task: TaskNo) -> Self {
        Arguments { world: world.clone(), task, is_used: false }
    }
}

impl Drop for Arguments {
    fn drop(&mut self) {
        if self.is_used {
            return;
        }
        self.world.catch_up();
        self.world.model.borrow_mut().never_runs(self.task);
        saw("a task that was born killed");
        self.world.note(self.task, 0, 2, || "never runs".into());
        let (running, own) = (coop::current().id(), self.world.model.borrow().id(self.task));
        if own.is_some_and(|own| own != running) {
            failed(format!("the arguments of task {} were dropped by task {running}", self.task));
        }
    }
}

/// What a task returns. Each is dropped once.
pub struct Value {
    world: Rc<World>,
    pub task: TaskNo,
}

impl Value {
    fn new(world: &Rc<World>, task: TaskNo) -> Self {
        world.values_made.borrow_mut()[task] += 1;
        Value { world: world.clone(), task }
    }
}

impl Drop for Value {
    fn drop(&mut self) {
        self.world.values_dropped.borrow_mut()[self.task] += 1;
    }
}

/// The body of every task.
pub fn run_task(mut arguments: Arguments, scope: Option<&Level>) -> Result<Value, Failure> {
    struct Ending<'a>(&'a World, TaskNo);
    impl Drop for Ending<'_> {
        fn drop(&mut self) {
            if self.1 == 0 {
                // No handle outlives the run.
                self.0.is_over.set(true);
                for task in 0..self.0.program.plans.len() {
                    let shared = self.0.shared.borrow_mut()[task].take();
                    drop(shared);
                }
            }
            let body = if std::thread::panicking() { Body::Panicked } else { Body::Returned };
            self.0.model.borrow_mut().body_ends(self.1, body);
            self.0.note(self.1, 0, 1, || format!("{body:?}"));
        }
    }
    arguments.is_used = true;
    let (world, me) = (arguments.world.clone(), arguments.task);
    world.catch_up();
    world.model.borrow_mut().body_starts(me);
    world.note(me, 0, 0, || "starts".into());
    if world.program.plans[me].depth == 8 {
        saw("a task eight deep");
    }
    let ending = Ending(&world, me);
    let own = RefCell::default();
    let result = block(&Cx { world: &world, me, own: &own, scope }, &world.program.plans[me].body);
    drop(own);
    drop(ending);
    result.map(|()| Value::new(&world, me))
}

impl Cx<'_> {
    pub fn model<R>(&self, f: impl FnOnce(&mut Model) -> R) -> R {
        f(&mut self.world.model.borrow_mut())
    }

    pub fn note(&self, step: &Step, code: u64, text: impl FnOnce() -> String) {
        self.world.note(self.me, step.id, code, text);
    }

    /// Waits, in the model and in the runtime. `at_once` says which of the places is free, and takes it.
    pub fn wait<T>(
        &self,
        at_once: impl FnOnce(&mut Model) -> Option<usize>,
        places: &[(usize, Place)],
        call: impl FnOnce() -> T,
    ) -> (Fate, T) {
        let known = self.model(|model| match model.begin(self.me) {
            Err(cause) => Some(Fate::Refused(cause)),
            Ok(()) => match at_once(model) {
                Some(index) => Some(Fate::AtOnce(index)),
                None => {
                    model.park(self.me, places);
                    None
                }
            },
        });
        let result = call();
        self.world.catch_up();
        let fate = known.unwrap_or_else(|| self.model(|model| model.resumes(self.me)));
        (fate, result)
    }

    /// Compares what a wait says about a kill with what the model says. `Err`: both say that it was killed.
    pub fn agree(&self, step: &Step, fate: &Fate, killed: Option<Killed>) -> Result<(), Failure> {
        match (fate, killed) {
            (Fate::Refused(cause) | Fate::Killed(cause), Some(killed)) => {
                self.check_killed(step, *cause, killed);
                saw(match (fate, cause) {
                    (_, Cause::Unwinding) => "a wait refused while unwinding",
                    (Fate::Refused(_), _) => "a wait refused",
                    (_, Cause::Explicit(_)) => "a wait ended by an explicit kill",
                    (_, Cause::Parent) => "a wait ended by the parent's end",
                    (_, Cause::Sibling) => "a wait ended by a sibling's failure",
                    (_, Cause::Deadline) => "a wait ended by a deadline",
                    (_, Cause::Shutdown) => "a wait ended by the shutdown",
                    _ => "a wait ended by something else",
                });
                self.note(step, 10, || format!("{} is killed: {cause:?}", step.act));
                Err(Failure::Killed(*cause))
            }
            (Fate::Refused(cause) | Fate::Killed(cause), None) => {
                self.wrong(step, format!("{cause:?} was not noticed"))
            }
            (fate, Some(killed)) => self.wrong(step, format!("said {killed}, but: {fate:?}")),
            (fate, None) => {
                if matches!(fate, Fate::Won(_)) {
                    saw(match self.model(|model| model.killed(self.me)) {
                        Some(_) => "a hand-over that beat the kill",
                        None => "a hand-over",
                    });
                }
                self.note(step, 11, || format!("{}: {fate:?}", step.act));
                Ok(())
            }
        }
    }

    pub fn check_killed(&self, step: &Step, cause: Cause, killed: Killed) {
        if Cause::from(killed.cause()) != cause {
            self.wrong(step, format!("said {killed}, but the cause is {cause:?}"));
        }
        if Some(killed.task()) != self.model(|model| model.id(self.me)) {
            self.wrong(step, format!("said {killed} of another task"));
        }
    }

    #[track_caller]
    pub fn wrong(&self, step: &Step, message: String) -> ! {
        failed(format!("task {} step {} ({}): {message}", self.me, step.id, step.act))
    }

    pub fn after(&self, milliseconds: u64) -> Place {
        Place::At(self.world.model.borrow().now + milliseconds * MILLISECOND)
    }
}

pub fn duration(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}
/// A region of the model. Left when this goes, as the runtime's is.
pub struct Region<'a> {
    cx: &'a Cx<'a>,
    pub node: NodeNo,
}

impl<'a> Region<'a> {
    pub fn new(cx: &'a Cx<'a>, node: NodeNo) -> Self {
        Region { cx, node }
    }

    pub fn delivered(&self) -> Delivered {
        self.cx.model(|model| model.delivered(self.node))
    }
}

impl Drop for Region<'_> {
    fn drop(&mut self) {
        self.cx.model(|model| model.leave(self.cx.me, self.node));
    }
}
