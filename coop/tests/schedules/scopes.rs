//! Scopes: who spawns into them, what is started in them, and how they end.

use super::flights::{Flight, InAir};
use super::handles::{Joinable, Owned};
use super::interpret::{block, check_payload};
use super::model::{Cause, Kind, LOCKS, NodeNo, Place};
use super::prizes::{self, Prize, Waited};
use super::program::{Act, CHANNELS, Flying, Landing, Step, TaskNo};
use super::report::saw;
use super::task::{Arguments, Cx, Failure, Region, duration, run_task};
use super::world::{ReceiverGuard, SenderGuard, World};
use coop::{Scope, TaskBuilder, TryScope, op};
use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

/// The scopes around a block.
pub struct Level<'a> {
    pub nursery: &'a dyn Nursery,
    pub outer: Option<&'a Level<'a>>,
}

/// A scope, without the lifetimes of what is in it.
pub trait Nursery {
    fn node(&self) -> NodeNo;
    fn spawn(&self, cx: &Cx, task: TaskNo, keep: bool, fallible: bool, daemon: bool);
    /// Kills the scope, and says on which line.
    fn kill(&self, step: u32) -> u32;
    fn with_handle(&self, task: TaskNo, f: &mut dyn FnMut(&mut dyn Joinable));
    fn discard(&self, task: TaskNo) -> bool;
    fn start(&self, cx: &Cx, flying: &Flying);
    fn land(&self, cx: &Cx, step: &Step, oldest: bool, landing: Landing) -> Result<(), Failure>;
    /// Does something with the oldest Handle; meanwhile nobody else has it.
    fn with_flight(&self, f: &mut dyn FnMut(&mut dyn InAir)) -> bool;
}

/// A scope as its children know it.
#[derive(Clone, Copy)]
struct Known<'scope, 'env> {
    node: NodeNo,
    plain: &'scope Scope<'scope, 'env>,
    fallible: Option<&'scope TryScope<'scope, 'env, Failure>>,
    /// The first error.
    error: &'scope Cell<Option<Failure>>,
}

struct Inside<'scope, 'env, 'b> {
    known: Known<'scope, 'env>,
    handles: RefCell<Vec<(TaskNo, Option<Box<dyn Joinable + 'scope>>)>>,
    flights: RefCell<Vec<Box<dyn InAir + 'scope>>>,
    /// What operations may use that are started in the scope; nothing in a child's view of its scope.
    means: Option<&'scope Means<'b>>,
}

/// What outlives a scope for its operations to use.
struct Means<'b> {
    world: &'b World,
    senders: [Option<SenderGuard>; CHANNELS],
    receivers: [Option<ReceiverGuard>; CHANNELS],
    buffers: RefCell<Vec<&'b mut [u8]>>,
    /// Handles that were forgotten, by their number in the model. Those that depend on the ring, and those that do not, are not
    /// forgotten in one scope: what is handed on while the ring is waited for could not be told.
    forgotten: RefCell<Vec<Option<usize>>>,
}

impl<'scope, 'b: 'scope> Nursery for Inside<'scope, '_, 'b> {
    fn node(&self) -> NodeNo {
        self.known.node
    }

    fn spawn(&self, cx: &Cx, task: TaskNo, keep: bool, fallible: bool, daemon: bool) {
        cx.model(|model| model.spawn(task, Some(self.known.node), daemon, true));
        let (known, arguments) = (self.known, Arguments::new(cx.world, task));
        let body = move || {
            let inside = Inside { known, handles: RefCell::default(), flights: RefCell::default(), means: None };
            run_task(arguments, Some(&Level { nursery: &inside, outer: None }))
        };
        let handle = match known.fallible {
            _ if daemon => TaskBuilder::new().daemon().spawn_in(known.plain, move || body().ok()),
            Some(scope) if fallible => {
                let world = cx.world.clone();
                scope.try_spawn(move || body().inspect_err(|error| fail(&world, known, *error)))
            }
            _ => known.plain.spawn(move || body().ok()),
        };
        cx.model(|model| model.set_id(task, handle.id()));
        let handle = Owned::new(cx.world, task, handle);
        if keep {
            self.handles.borrow_mut().push((task, Some(Box::new(handle))));
        }
    }

    fn kill(&self, step: u32) -> u32 {
        match step % 3 {
            0 => (self.known.plain.kill(), line!()).1,
            1 => (self.known.plain.kill(), line!()).1,
            _ => (self.known.plain.kill(), line!()).1,
        }
    }

    fn with_handle(&self, task: TaskNo, f: &mut dyn FnMut(&mut dyn Joinable)) {
        let find = |handles: &mut Vec<(TaskNo, Option<Box<dyn Joinable + 'scope>>)>| {
            handles.iter().position(|(of, handle)| *of == task && handle.is_some())
        };
        let found = find(&mut self.handles.borrow_mut());
        let Some(index) = found else { return };
        let taken = self.handles.borrow_mut()[index].1.take();
        if let Some(mut handle) = taken {
            f(&mut *handle);
            self.handles.borrow_mut()[index].1 = Some(handle);
        }
    }

    fn discard(&self, task: TaskNo) -> bool {
        let found =
            self.handles.borrow_mut().iter_mut().find(|(of, _)| *of == task).and_then(|(_, handle)| handle.take());
        found.is_some()
    }

    fn start(&self, cx: &Cx, flying: &Flying) {
        let Some(means) = self.means else { return };
        let scope = self.known.plain;
        let flight: Box<dyn InAir + 'scope> = match *flying {
            Flying::After(ms) => {
                let place = cx.after(ms);
                let number = cx.model(|model| model.start(place));
                let handle = scope.start(op::after(duration(ms)));
                let joined = |result: Result<(), _>| -> Waited<'scope> { result.map(|()| Prize::Moment) };
                Box::new(Flight::new(cx, Some(number), handle, |()| Prize::Moment, joined))
            }
            Flying::Receive(channel) => {
                let Some(receiver) = &means.receivers[channel] else {
                    return;
                };
                let number = cx.model(|model| model.start(Place::Receive(channel)));
                let handle = scope.start(op::receive(&receiver.receiver));
                Box::new(Flight::new(cx, Some(number), handle, prizes::message, prizes::waited_message))
            }
            Flying::Reserve(channel) => {
                let Some(sender) = &means.senders[channel] else { return };
                let number = cx.model(|model| model.start(Place::Reserve(channel)));
                let handle = scope.start(op::reserve(&sender.sender));
                Box::new(Flight::new(cx, Some(number), handle, prizes::place, prizes::waited_place))
            }
            Flying::Lock(mutex) => {
                let number = cx.model(|model| model.start(Place::Lock(LOCKS + mutex)));
                let handle = scope.start(op::lock(&means.world.mutexes[mutex]));
                Box::new(Flight::new(cx, Some(number), handle, Prize::Guard, |result| result.map(Prize::Guard)))
            }
            Flying::SocketReceive => {
                let Some(buffer) = means.buffers.borrow_mut().pop() else {
                    return;
                };
                let handle = scope.start(op::recv(&means.world.loose.socket().1, buffer));
                let started = |result| Prize::Bytes(prizes::taken(result));
                let joined = |result| prizes::waited_bytes(prizes::taken(result));
                Box::new(Flight::new(cx, None, handle, started, joined))
            }
        };
        self.flights.borrow_mut().push(flight);
    }

    fn land(&self, cx: &Cx, step: &Step, oldest: bool, landing: Landing) -> Result<(), Failure> {
        let (Some(means), false) = (self.means, self.flights.borrow().is_empty()) else {
            return Ok(());
        };
        let mut flights = self.flights.borrow_mut();
        let last = flights.len() - 1;
        let flight = flights.remove(if oldest { 0 } else { last });
        drop(flights);
        let mut landing = landing;
        if landing == Landing::Forget && !flight.is_spent() {
            let mut forgotten = means.forgotten.borrow_mut();
            if forgotten.iter().all(|other| other.is_some() == flight.number().is_some()) {
                forgotten.push(flight.number());
            } else {
                landing = Landing::Drop;
            }
        }
        flight.land(cx, step, landing)
    }

    fn with_flight(&self, f: &mut dyn FnMut(&mut dyn InAir)) -> bool {
        if self.flights.borrow().is_empty() {
            return false;
        }
        let mut flight = self.flights.borrow_mut().remove(0);
        f(&mut *flight);
        if !flight.is_spent() {
            self.flights.borrow_mut().insert(0, flight);
        }
        true
    }
}

/// An error of a scope: the first counts, and kills.
fn fail(world: &World, scope: Known, error: Failure) {
    if scope.error.get().is_none() {
        scope.error.set(Some(error));
    }
    world.model.borrow_mut().kill(scope.node, Cause::Sibling);
}

pub fn run(cx: &Cx, step: &Step, is_fallible: bool, body: &[Step]) -> Result<(), Failure> {
    let mut bytes = [[0u8; 8]; 3];
    let error = Cell::new(None);
    let means = Means {
        world: cx.world,
        // Only what is used: an end that a scope has keeps the channel open.
        senders: std::array::from_fn(|ch| starts(body, Flying::Reserve(ch)).then(|| cx.world.sender(ch)).flatten()),
        receivers: std::array::from_fn(|ch| starts(body, Flying::Receive(ch)).then(|| cx.world.receiver(ch)).flatten()),
        buffers: RefCell::new(bytes.iter_mut().map(|bytes| &mut bytes[..]).collect()),
        forgotten: RefCell::default(),
    };
    let region = Region::new(cx, cx.model(|model| model.enter(cx.me, Kind::Scope)));
    let node = region.node;
    let mut inside = None;
    let result = catch_unwind(AssertUnwindSafe(|| {
        if is_fallible {
            coop::scope(|scope| {
                let known = Known { node, plain: scope, fallible: Some(scope), error: &error };
                run_body(cx, known, &means, body, &mut inside)
            })
        } else {
            coop::wait_all(|scope| {
                let known = Known { node, plain: scope, fallible: None, error: &error };
                run_body(cx, known, &means, body, &mut inside)
            })
        }
    }));
    cx.world.catch_up();
    let panics = cx.model(|model| {
        model.set_running(cx.me);
        model.check_settled(node);
        means.forgotten.take().into_iter().flatten().for_each(|number| model.abort(number));
        model.first_panics(node)
    });
    drop(means);
    // What Handles received whose result nobody took.
    let unseen = bytes.iter().flatten().filter(|byte| **byte != 0).count();
    cx.world.loose.bytes_received.set(cx.world.loose.bytes_received.get() + unseen as u64);
    match (result, inside) {
        (Err(payload), inside) => {
            let panic = check_payload(&*payload);
            if !panics.contains(&panic) {
                cx.wrong(step, format!("the panic of step {panic} goes on, instead of {panics:?}"));
            }
            cx.model(|model| model.panics(cx.me, panic));
            saw(if inside.is_some() { "a scope that passes a child's panic on" } else { "a scope whose body panics" });
            cx.note(step, 61, || "the scope panics".into());
            drop(region);
            resume_unwind(payload)
        }
        (Ok(_), None) => cx.wrong(step, "the panic of the body was lost".into()),
        (Ok(result), Some(inside)) => {
            let expected = error.get().map_or(inside, Err);
            if !panics.is_empty() || result != expected {
                cx.wrong(step, format!("gave {result:?} instead of {expected:?} or the panic of {panics:?}"));
            }
            if inside != expected {
                saw("a scope that a child fails");
            }
            cx.note(step, 62, || format!("the scope gives {result:?}"));
            result
        }
    }
}

/// Whether an operation is started in a block, scopes in it aside.
fn starts(body: &[Step], flying: Flying) -> bool {
    body.iter().any(|step| match &step.act {
        Act::Start(other) => *other == flying,
        Act::Scope { .. } => false,
        act => act.body().is_some_and(|body| starts(body, flying)),
    })
}

/// The closure of a scope. Leaves its result in `inside`, or nothing if it panics.
fn run_body<'scope, 'env, 'b: 'scope>(
    cx: &Cx,
    known: Known<'scope, 'env>,
    means: &'scope Means<'b>,
    body: &[Step],
    inside: &mut Option<Result<(), Failure>>,
) -> Result<(), Failure> {
    /// The body is over; from here on the task waits for its children.
    struct Over<'a, 'b, 'c, 'scope, 'env> {
        cx: &'a Cx<'b>,
        known: Known<'scope, 'env>,
        means: &'a Means<'c>,
        result: Cell<Option<Result<(), Failure>>>,
    }
    impl Drop for Over<'_, '_, '_, '_, '_> {
        fn drop(&mut self) {
            let Over { cx, known, means, result } = self;
            let is_draining = means.forgotten.borrow().iter().any(Option::is_none);
            match result.get() {
                None => cx.model(|model| model.scope_panics(cx.me, known.node)),
                Some(Err(error)) if known.fallible.is_some() => fail(cx.world, *known, error),
                Some(_) => {}
            }
            cx.model(|model| {
                model.kill_daemons(known.node);
                model.await_children(cx.me, known.node, is_draining);
            });
        }
    }
    let over = Over { cx, known, means, result: Cell::new(None) };
    let nursery = Inside { known, handles: RefCell::default(), flights: RefCell::default(), means: Some(means) };
    let level = Level { nursery: &nursery, outer: cx.scope };
    let result = block(&Cx { scope: Some(&level), ..*cx }, body);
    // Handles are dropped in the order they were made. Dropping one may wait: it is taken out first.
    loop {
        let next = nursery.flights.borrow_mut().pop();
        if next.is_none() {
            break;
        }
    }
    drop(nursery);
    over.result.set(Some(result));
    *inside = Some(result);
    result
}
