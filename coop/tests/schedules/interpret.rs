//! Running a program: each step is made in the model and in the runtime, and both must agree.

use super::flights::Prize;
use super::handles::{self, Joinable, Owned};
use super::model::{Body, Cause, Delivered, Fate, Grant, LOCKS, Model, NodeNo, Place};
use super::program::{Act, Keep, Step, TaskNo};
use super::races;
use super::report::{failed, saw};
use super::scopes::{self, Level};
use super::world::{Expected, LOOSE, World};
use coop::chan::{RecvError, SendError, TryRecvError, TrySendError};
use coop::{JoinError, Killed, TimedOut};
use std::any::Any;
use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;
use std::time::Duration;

const MILLISECOND: u64 = 1_000_000;

/// More steps than any program that ends.
const MOST_STEPS: u64 = 200_000;

/// Yields after which a task that waits for the ring must have ended.
const MOST_YIELDS: usize = 3_000;

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

pub fn block(cx: &Cx, steps: &[Step]) -> Result<(), Failure> {
    struct Deferred<'a>(&'a Cx<'a>, &'a [Step]);
    impl Drop for Deferred<'_> {
        fn drop(&mut self) {
            let _ = block(self.0, self.1);
        }
    }
    let mut deferred = Vec::new();
    for step in steps {
        if let Act::Defer(body) = &step.act {
            deferred.push(Deferred(cx, body));
            continue;
        }
        let count = cx.world.steps.get() + 1;
        cx.world.steps.set(count);
        if count > MOST_STEPS {
            cx.wrong(step, "the program does not end".into());
        }
        if let Err(failure) = act(cx, step)
            && !step.swallow
        {
            return Err(failure);
        }
        let (said, is) = (coop::kill_cause().map(|killed| Cause::from(killed.cause())), cx.model(|m| m.killed(cx.me)));
        if said != is {
            cx.wrong(step, format!("afterwards kill_cause() says {said:?}, but it is {is:?}"));
        }
    }
    Ok(())
}

/// The scope that is `up` scopes outward, or the outermost.
fn level<'a>(cx: &Cx<'a>, up: usize) -> Option<&'a Level<'a>> {
    let mut level = cx.scope?;
    for _ in 0..up {
        level = level.outer.unwrap_or(level);
    }
    Some(level)
}

fn act(cx: &Cx, step: &Step) -> Result<(), Failure> {
    let world = cx.world;
    match &step.act {
        Act::Yield => {
            let (fate, result) = cx.wait(|_| Some(0), &[], coop::yield_now);
            cx.agree(step, &fate, result.err())
        }
        Act::Checkpoint => {
            let (fate, result) = cx.wait(|_| Some(0), &[], coop::checkpoint);
            cx.agree(step, &fate, result.err())
        }
        Act::Sleep(ms) => {
            let places = [(0, cx.after(*ms))];
            let (fate, result) = cx.wait(|_| (*ms == 0).then_some(0), &places, || coop::sleep(duration(*ms)));
            cx.agree(step, &fate, result.err())
        }
        Act::Spawn { task, keep, daemon } => {
            spawn(cx, step, *task, *keep, *daemon);
            Ok(())
        }
        Act::SpawnIn { task, up, keep, fallible, daemon } => {
            if let Some(level) = level(cx, *up) {
                level.nursery.spawn(cx, *task, *keep, *fallible, *daemon);
                cx.note(step, 20, || step.act.to_string());
            }
            Ok(())
        }
        Act::Join(task) => handles::with(cx, *task, |handle| join(cx, step, *task, handle)).unwrap_or(Ok(())),
        Act::Discard(task) => {
            handles::discard(cx, *task);
            cx.note(step, 21, || step.act.to_string());
            Ok(())
        }
        Act::Kill(task) => {
            if let Some(line) = handles::with(cx, *task, |handle| handle.kill(step.id)) {
                cx.model(|model| model.kill_task(*task, Cause::Explicit(line)));
                cx.note(step, 22, || format!("{} (line {line})", step.act));
            }
            Ok(())
        }
        Act::KillScope(up) => {
            if let Some(level) = level(cx, *up) {
                let line = level.nursery.kill(step.id);
                cx.model(|model| model.kill(level.nursery.node(), Cause::Explicit(line)));
                cx.note(step, 23, || format!("{} (line {line})", step.act));
            }
            Ok(())
        }
        Act::Fail => Err(Failure::Own(step.id)),
        Act::Panic => {
            cx.note(step, 24, || "panics".into());
            cx.model(|model| model.panics(cx.me, step.id));
            resume_unwind(Box::new(Expected(step.id)))
        }
        Act::Acquire(c, body) => {
            let coordinator = &world.coordinators[*c];
            let (fate, result) =
                cx.wait(|model| take_lock(model, *c), &[(0, Place::Lock(*c))], || coordinator.acquire());
            let (killed, guard) = split(result);
            cx.agree(step, &fate, killed)?;
            let _held = Held { cx, lock: *c, guard };
            block(cx, body)
        }
        Act::Release(c) => {
            cx.model(|model| model.release(*c));
            world.coordinators[*c].release();
            cx.note(step, 25, || step.act.to_string());
            Ok(())
        }
        Act::Coordinate(which, timeout, body) => coordinate(cx, step, which, *timeout, body),
        Act::Send(channel) => send(cx, step, *channel),
        Act::TrySend(channel) => {
            let Some(guard) = world.sender(*channel) else {
                return Ok(());
            };
            let message = world.message(*channel);
            let number = message.number;
            let expected = cx.model(|model| {
                if model.is_closed(*channel) {
                    "closed"
                } else if model.can_reserve(*channel) {
                    model.reserve_at_once(*channel);
                    model.send_by_permit(*channel, number);
                    "sent"
                } else {
                    "full"
                }
            });
            let got = match guard.sender.try_send(message) {
                Ok(()) => "sent",
                Err(TrySendError::Full(message)) => (message.arrives(), "full").1,
                Err(TrySendError::Closed(message)) => (message.arrives(), "closed").1,
            };
            if got != expected {
                cx.wrong(step, format!("{got} instead of {expected}"));
            }
            cx.note(step, 26, || format!("{}: {got}", step.act));
            Ok(())
        }
        Act::Receive(channel) => {
            let Some(guard) = world.receiver(*channel) else {
                return Ok(());
            };
            let mut expected = None;
            let (fate, result) = cx.wait(
                |model| take_at_once(model, &[(0, Place::Receive(*channel))], &mut expected),
                &[(0, Place::Receive(*channel))],
                || guard.receiver.recv(),
            );
            let (killed, prize) = match result {
                Err(RecvError::Killed(killed)) => (Some(killed), None),
                Err(RecvError::Closed) => (None, Some(Prize::Message(None))),
                Ok(message) => (None, Some(Prize::Message(Some(message)))),
            };
            cx.agree(step, &fate, killed)?;
            let expected = won(cx, &fate, Place::Receive(*channel), expected);
            redeem(cx, step, expected, prize.expect("not killed"), &[])
        }
        Act::TryReceive(channel) => {
            let Some(guard) = world.receiver(*channel) else {
                return Ok(());
            };
            let expected = cx.model(|model| model.can_receive(*channel).then(|| model.receive_at_once(*channel)));
            let got = match guard.receiver.try_recv() {
                Ok(message) => Some(Some(message.arrives())),
                Err(TryRecvError::Closed) => Some(None),
                Err(TryRecvError::Empty) => None,
            };
            if got != expected {
                cx.wrong(step, format!("{got:?} instead of {expected:?}"));
            }
            cx.note(step, 27, || format!("{}: {got:?}", step.act));
            Ok(())
        }
        Act::CloseSender(channel) => {
            world.close_sender(*channel);
            cx.note(step, 28, || step.act.to_string());
            Ok(())
        }
        Act::CloseReceiver(channel) => {
            world.close_receiver(*channel);
            cx.note(step, 29, || step.act.to_string());
            Ok(())
        }
        Act::Lock(m, body) => {
            let place = Place::Lock(LOCKS + m);
            let mutex = &world.mutexes[*m];
            let (fate, result) = cx.wait(|model| take_lock(model, LOCKS + m), &[(0, place)], || mutex.lock());
            let (killed, guard) = split(result);
            cx.agree(step, &fate, killed)?;
            redeem(cx, step, Taken::Lock(LOCKS + m), Prize::Guard(guard.expect("not killed")), body)
        }
        Act::TryLock(m, body) => {
            let expected = cx.model(|model| take_lock(model, LOCKS + m));
            let guard = world.mutexes[*m].try_lock();
            if guard.is_some() != expected.is_some() {
                cx.wrong(step, format!("{guard:?}"));
            }
            match guard {
                Some(guard) => redeem(cx, step, Taken::Lock(LOCKS + m), Prize::Guard(guard), body),
                None => Ok(()),
            }
        }
        Act::Race(race) => races::run(cx, step, race),
        Act::Start(flying) => {
            if let Some(level) = cx.scope {
                level.nursery.start(cx, flying);
                cx.note(step, 30, || step.act.to_string());
            }
            Ok(())
        }
        Act::Land(oldest, landing) => match cx.scope {
            Some(level) => level.nursery.land(cx, step, *oldest, *landing),
            None => Ok(()),
        },
        Act::SocketSend(n) => races::socket_send(cx, step, *n),
        Act::SocketReceive => races::socket_receive(cx, step),
        Act::SocketRace(race) => races::run_loose(cx, step, race),
        Act::LooseSend => {
            let message = world.message(LOOSE);
            cx.loosely(step, false, || match world.loose.sender.send(message) {
                Ok(()) => Ok(()),
                Err(SendError::Closed(_)) => cx.wrong(step, "closed".into()),
                Err(SendError::Killed(killed, message)) => (message.arrives(), Err(killed)).1,
            })?;
            world.loose.messages_sent.set(world.loose.messages_sent.get() + 1);
            Ok(())
        }
        Act::Spin(task) => spin(cx, step, *task),
        Act::AwaitPing => {
            let pair = world.ping(cx.me);
            let mut buffer = [0; 4];
            cx.loosely(step, false, || races::split_killed(pair.1.recv(&mut buffer))).map(drop)
        }
        Act::Defer(_) => unreachable!("`block` keeps these for its end"),
        Act::Catch(body) => match catch_unwind(AssertUnwindSafe(|| block(cx, body))) {
            Ok(result) => result,
            Err(payload) => {
                let (caught, panic) = (check_payload(&*payload), cx.model(|model| model.panic_of(cx.me)));
                if caught != panic {
                    cx.wrong(step, format!("caught the panic of step {caught} instead of {panic}"));
                }
                saw("a caught panic");
                cx.note(step, 31, || "caught a panic".into());
                Ok(())
            }
        },
        Act::Timeout(ms, body) => {
            let region = Region::new(cx, cx.model(|model| model.enter_limited(cx.me, ms * MILLISECOND)));
            let mut inside = Ok(());
            let result = coop::timeout(duration(*ms), || {
                inside = block(cx, body);
                inside
            });
            let expected = match (inside, region.delivered()) {
                (Ok(()), _) | (_, Delivered::No) => inside,
                (Err(_), _) if cx.model(|m| m.is_killed_from_outside(region.node)) => inside,
                (Err(_), Delivered::Yes) => Err(Failure::TimedOut),
                (Err(_), Delivered::Perhaps) if result == inside => inside,
                (Err(_), Delivered::Perhaps) => Err(Failure::TimedOut),
            };
            if result != expected {
                cx.wrong(step, format!("gave {result:?}, but it is {expected:?}"));
            }
            if result == Err(Failure::TimedOut) && inside != result {
                saw("a timeout");
            }
            cx.note(step, 32, || format!("{} gives {result:?}", step.act));
            result
        }
        Act::Deadline(ms, body) => {
            let region = Region::new(cx, cx.model(|model| model.enter_limited(cx.me, ms * MILLISECOND)));
            let (result, expired) = coop::deadline(duration(*ms), || block(cx, body));
            if !matches!(
                (region.delivered(), expired.is_expired()),
                (Delivered::Yes, true) | (Delivered::No, false) | (Delivered::Perhaps, _)
            ) {
                cx.wrong(step, format!("{expired:?}, but was a wait told? {:?}", region.delivered()));
            }
            if expired.is_expired() {
                saw("an expired deadline");
            }
            cx.note(step, 33, || format!("{} gives {result:?}, {expired:?}", step.act));
            result
        }
        Act::Shield(ms, body) => {
            let _region = Region::new(cx, cx.model(|model| model.enter_shield(cx.me, ms * MILLISECOND)));
            coop::shield(duration(*ms), || block(cx, body))
        }
        Act::Scope { fallible, body } => scopes::run(cx, step, *fallible, body),
    }
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

    fn delivered(&self) -> Delivered {
        self.cx.model(|model| model.delivered(self.node))
    }
}

impl Drop for Region<'_> {
    fn drop(&mut self) {
        self.cx.model(|model| model.leave(self.cx.me, self.node));
    }
}

/// A lock that is held; the model hears of its release first.
struct Held<'a, G> {
    cx: &'a Cx<'a>,
    lock: usize,
    #[allow(dead_code, reason = "held for its drop")]
    guard: G,
}

impl<G> Drop for Held<'_, G> {
    fn drop(&mut self) {
        self.cx.model(|model| model.release(self.lock));
    }
}

fn split<T>(result: Result<T, Killed>) -> (Option<Killed>, Option<T>) {
    match result {
        Ok(value) => (None, Some(value)),
        Err(killed) => (Some(killed), None),
    }
}

pub fn take_lock(model: &mut Model, lock: usize) -> Option<usize> {
    model.is_free(lock).then(|| {
        model.take_lock(lock);
        0
    })
}

/// What the model has given to whoever waited.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Taken {
    Lock(usize),
    /// `None`: the channel is closed.
    Message(usize, Option<u32>),
    /// Whether there is a receiver.
    Place(usize, bool),
    Moment,
    Task(TaskNo),
    Deadlock,
}

/// Takes the first of the places that is free.
pub fn take_at_once(model: &mut Model, places: &[(usize, Place)], taken: &mut Option<Taken>) -> Option<usize> {
    let (index, place) = *places.iter().find(|(_, place)| is_ready(model, *place))?;
    *taken = Some(match place {
        Place::Lock(lock) => {
            model.take_lock(lock);
            Taken::Lock(lock)
        }
        Place::Receive(channel) => Taken::Message(channel, model.receive_at_once(channel)),
        Place::Reserve(channel) => Taken::Place(channel, model.reserve_at_once(channel)),
        Place::Ended(task) => Taken::Task(task),
        Place::Deadlock => Taken::Deadlock,
        Place::Landed(flight) => landed(model, flight),
        Place::At(_) => Taken::Moment,
    });
    Some(index)
}

pub fn is_ready(model: &Model, place: Place) -> bool {
    match place {
        Place::Lock(lock) => model.is_free(lock),
        Place::Receive(channel) => model.can_receive(channel),
        Place::Reserve(channel) => model.can_reserve(channel),
        Place::Ended(task) => model.is_finished(task),
        Place::Deadlock => true,
        Place::Landed(flight) => model.has_landed(flight),
        Place::At(moment) => moment <= model.now,
    }
}

/// What a Handle has got.
pub fn landed(model: &mut Model, flight: usize) -> Taken {
    let grant = model.land(flight);
    granted(model, model.flight(flight), grant)
}

/// What a waiter has got that was woken.
fn granted(model: &mut Model, place: Place, grant: Grant) -> Taken {
    match place {
        Place::Lock(lock) => Taken::Lock(lock),
        Place::Receive(channel) => Taken::Message(channel, model.receive(channel, grant.has_promise)),
        Place::Reserve(channel) => Taken::Place(channel, model.reserve(channel)),
        Place::Ended(task) => Taken::Task(task),
        Place::Deadlock => Taken::Deadlock,
        Place::Landed(flight) => landed(model, flight),
        Place::At(_) => Taken::Moment,
    }
}

/// What a wait for `place` gave that was not killed.
pub fn won(cx: &Cx, fate: &Fate, place: Place, at_once: Option<Taken>) -> Taken {
    match fate {
        Fate::Won(grant) => cx.model(|model| granted(model, place, *grant)),
        _ => at_once.expect("taken at once"),
    }
}

/// Compares what was won with what the model has given, and runs `body` while it is held.
pub fn redeem(cx: &Cx, step: &Step, taken: Taken, prize: Prize, body: &[Step]) -> Result<(), Failure> {
    /// A permit; the model hears first that it is not used.
    struct Unused<'a>(&'a Cx<'a>, usize);
    impl Drop for Unused<'_> {
        fn drop(&mut self) {
            self.0.model(|model| model.drop_permit(self.1));
        }
    }
    match (taken, prize) {
        (Taken::Lock(lock), Prize::Guard(guard)) => {
            if guard.replace(true) {
                cx.wrong(step, "the mutex has two holders".into());
            }
            cx.note(step, 40, || format!("has l{lock}"));
            let held = Held { cx, lock, guard };
            struct Unmark<'a, 'b>(&'a Held<'a, coop::sync::MutexGuard<'b, std::cell::Cell<bool>>>);
            impl Drop for Unmark<'_, '_> {
                fn drop(&mut self) {
                    self.0.guard.set(false);
                }
            }
            let _unmark = Unmark(&held);
            block(cx, body)
        }
        (Taken::Message(channel, expected), Prize::Message(message)) => {
            let got = message.map(|message| message.arrives());
            if got != expected {
                cx.wrong(step, format!("message {got:?} instead of {expected:?}"));
            }
            cx.note(step, 41, || format!("message {got:?} of ch{channel}"));
            if got.is_none() {
                saw("the end of a channel");
                return Err(Failure::Closed);
            }
            block(cx, body)
        }
        (Taken::Place(channel, is_open), Prize::Place(permit)) => {
            if permit.is_some() != is_open {
                cx.wrong(step, format!("{permit:?}, but the channel is open: {is_open}"));
            }
            cx.note(step, 42, || format!("a place in ch{channel}: {permit:?}"));
            let Some(permit) = permit else {
                saw("a place in a closed channel");
                return Err(Failure::Closed);
            };
            let unused = (Unused(cx, channel), permit);
            block(cx, body)?;
            if !step.id.is_multiple_of(3) {
                let message = cx.world.message(channel);
                cx.model(|model| model.send_by_permit(channel, message.number));
                let (unused, permit) = unused;
                std::mem::forget(unused);
                permit.send(message);
            }
            Ok(())
        }
        (Taken::Moment, Prize::Moment) => block(cx, body),
        (Taken::Task(task), Prize::Joined(result)) => {
            check_joined(cx, step, task, result);
            block(cx, body)
        }
        (Taken::Deadlock, Prize::Joined(Err(JoinError::Deadlock))) => {
            saw("an arm for an ancestor's end");
            Ok(())
        }
        (taken, prize) => cx.wrong(step, format!("won {prize:?} instead of {taken:?}")),
    }
}

fn coordinate(cx: &Cx, step: &Step, which: &[usize], timeout: Option<u64>, body: &[Step]) -> Result<(), Failure> {
    let all = &cx.world.coordinators;
    let mut places: Vec<(usize, Place)> = which.iter().copied().map(Place::Lock).enumerate().collect();
    let locks = places.clone();
    places.extend(timeout.map(|ms| (which.len(), cx.after(ms))));
    let mut taken = None;
    let (fate, result) = cx.wait(
        |model| take_at_once(model, &locks, &mut taken),
        &places,
        || match (which, timeout.map(duration)) {
            ([a], None) => coop::coordinate!(&all[*a]).map(Some),
            ([a, b], None) => coop::coordinate!(&all[*a], &all[*b]).map(Some),
            ([a, b, c, ..], None) => coop::coordinate!(&all[*a], &all[*b], &all[*c]).map(Some),
            ([a], Some(timeout)) => coop::coordinate!(&all[*a], timeout = timeout),
            ([a, b], Some(timeout)) => coop::coordinate!(&all[*a], &all[*b], timeout = timeout),
            ([a, b, c, ..], Some(timeout)) => coop::coordinate!(&all[*a], &all[*b], &all[*c], timeout = timeout),
            ([], _) => unreachable!("at least one is generated"),
        },
    );
    let (killed, acquired) = split(result);
    cx.agree(step, &fate, killed)?;
    let expected = match fate {
        Fate::AtOnce(index) => index,
        Fate::Won(grant) => grant.index,
        other => cx.wrong(step, format!("{other:?}")),
    };
    match acquired.flatten() {
        Some(acquired) if acquired.index() == expected => {
            let _held = Held { cx, lock: which[expected], guard: acquired };
            block(cx, body)
        }
        None if expected == which.len() => Ok(()),
        other => cx.wrong(step, format!("{other:?} instead of {expected}")),
    }
}

fn send(cx: &Cx, step: &Step, channel: usize) -> Result<(), Failure> {
    let Some(guard) = cx.world.sender(channel) else {
        return Ok(());
    };
    let message = cx.world.message(channel);
    let (number, place, mut taken) = (message.number, Place::Reserve(channel), None);
    let (fate, result) =
        cx.wait(|model| take_at_once(model, &[(0, place)], &mut taken), &[(0, place)], || guard.sender.send(message));
    let (killed, closed) = match result {
        Ok(()) => (None, None),
        Err(SendError::Killed(killed, message)) => (message.arrives(), (Some(killed), None)).1,
        Err(SendError::Closed(message)) => (None, Some(message.arrives())),
    };
    cx.agree(step, &fate, killed)?;
    match (won(cx, &fate, place, taken), closed) {
        (Taken::Place(_, true), None) => {
            cx.model(|model| model.send_by_permit(channel, number));
            cx.note(step, 43, || format!("message {number} is in ch{channel}"));
            Ok(())
        }
        (Taken::Place(_, false), Some(_)) => {
            saw("a send into a closed channel");
            Err(Failure::Closed)
        }
        (taken, closed) => cx.wrong(step, format!("closed: {closed:?}, but {taken:?}")),
    }
}

fn spawn(cx: &Cx, step: &Step, task: TaskNo, keep: Keep, daemon: bool) {
    cx.model(|model| {
        let parent = model.node(cx.me);
        model.spawn(task, Some(parent), daemon, true);
    });
    let arguments = Arguments::new(cx.world, task);
    let body = move || run_task(arguments, None).ok();
    let handle = if daemon { coop::TaskBuilder::new().daemon().spawn(body) } else { coop::spawn(body) };
    cx.model(|model| model.set_id(task, handle.id()));
    cx.note(step, 20, || step.act.to_string());
    let handle = Box::new(Owned::new(cx.world, task, handle));
    match keep {
        Keep::Own => cx.own.borrow_mut().push((task, Some(handle))),
        Keep::Share if !cx.world.is_over.get() => cx.world.shared.borrow_mut()[task] = Some(handle),
        Keep::Share | Keep::Drop => drop(handle),
    }
}

fn join(cx: &Cx, step: &Step, task: TaskNo, handle: &mut dyn Joinable) -> Result<(), Failure> {
    const FINISHED: usize = 0;
    const DEADLOCK: usize = 1;
    if handle.is_finished() != cx.model(|model| model.is_finished(task)) {
        cx.wrong(step, format!("is_finished() says {}", handle.is_finished()));
    }
    let (fate, result) = cx.wait(
        |model| match () {
            () if model.is_finished(task) => Some(FINISHED),
            () if model.is_self_or_ancestor(task, cx.me) => Some(DEADLOCK),
            () => None,
        },
        &[(FINISHED, Place::Ended(task))],
        || handle.join(),
    );
    match result {
        Err(JoinError::Interrupted(killed)) => cx.agree(step, &fate, Some(killed)),
        result => {
            cx.agree(step, &fate, None)?;
            match (fate, result) {
                (Fate::AtOnce(DEADLOCK), Err(JoinError::Deadlock)) => {
                    saw("a join of an ancestor");
                    Ok(())
                }
                (Fate::AtOnce(FINISHED) | Fate::Won(_), result) => {
                    check_joined(cx, step, task, result);
                    Ok(())
                }
                (fate, result) => cx.wrong(step, format!("{:?}, but {fate:?}", result.map(|_| ()))),
            }
        }
    }
}

fn check_joined(cx: &Cx, step: &Step, task: TaskNo, result: Result<Option<Value>, JoinError>) {
    let (body, is_taken, panic) = cx.model(|model| (model.body(task), model.is_taken(task), model.panic_of(task)));
    let is_right = match (&result, body) {
        (Err(JoinError::AlreadyJoined), _) => is_taken,
        (Ok(value), Some(Body::Returned)) => !is_taken && value.as_ref().is_none_or(|value| value.task == task),
        (Err(JoinError::Panicked(payload)), Some(Body::Panicked)) => !is_taken && check_payload(&**payload) == panic,
        (Err(JoinError::NeverRan), Some(Body::NeverRan)) => true,
        _ => false,
    };
    if !is_right {
        cx.wrong(step, format!("{:?}, but {body:?}, taken: {is_taken}", result.map(|_| ())));
    }
    saw(match &result {
        Ok(_) => "a joined value",
        Err(JoinError::Panicked(_)) => "a joined panic",
        Err(JoinError::NeverRan) => "a joined task that never ran",
        _ => "a second join",
    });
    cx.model(|model| model.take(task));
    cx.note(step, 44, || format!("joins task {task}: {body:?}"));
}

/// Panics are part of programs; panics of the runtime or of this test are not. Which step it was that panicked.
pub fn check_payload(payload: &(dyn Any + Send)) -> u32 {
    let Some(Expected(step)) = payload.downcast_ref() else {
        let text = payload.downcast_ref::<&str>().copied().or(payload.downcast_ref::<String>().map(String::as_str));
        failed(format!("an unexpected panic: {}", text.unwrap_or("not text")));
    };
    *step
}

fn spin(cx: &Cx, step: &Step, task: TaskNo) -> Result<(), Failure> {
    let pair = cx.world.ping(task);
    for count in 0.. {
        if !cx.model(|model| matches!(model.state(task), super::model::State::Fresh | super::model::State::Ring)) {
            saw("a ping that arrived");
            return Ok(());
        }
        if count == 5 {
            let sent = cx.loosely(step, false, || races::split_killed(pair.0.send(b"ping")));
            // Without a ping it ends only if the kill reaches it, too. Refused waits give way, so that it can.
            if sent.is_err() && cx.model(|model| model.killed(task)).is_none() {
                return Ok(());
            }
        }
        if count == MOST_YIELDS {
            cx.wrong(step, format!("task {task} starves: the ring was not looked at"));
        }
        let (fate, result) = cx.wait(|_| Some(0), &[], coop::yield_now);
        let _ = cx.agree(step, &fate, result.err());
    }
    Ok(())
}
