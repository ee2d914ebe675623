//! Running a program: each step is made in the model and in the runtime, and both must agree.

use super::handles::{self, Joinable, Owned};
use super::model::{Body, Cause, Delivered, Fate, LOCKS, Model, Place, State};
use super::prizes::{Held, Prize, Taken, redeem, split, take_at_once, take_lock, won};
use super::program::{Act, Keep, Step, TaskNo};
use super::races;
use super::report::{failed, saw};
use super::scopes::{self, Level};
use super::task::{Arguments, Cx, Failure, MILLISECOND, Region, Value, duration, run_task};
use super::world::{Expected, LOOSE};
use coop::JoinError;
use coop::chan::{RecvError, SendError, TryRecvError, TrySendError};
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

/// More steps than any program that ends.
const MOST_STEPS: u64 = 200_000;

/// Yields after which a task that waits for the ring must have ended.
const MOST_YIELDS: usize = 3_000;

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
    let at_once = |model: &mut Model| {
        let index = take_at_once(model, &[(0, place)], &mut taken);
        // It is in the channel before others have their turn.
        if matches!(taken, Some(Taken::Place(_, true))) {
            model.send_by_permit(channel, number);
        }
        index
    };
    let (fate, result) = cx.wait(at_once, &[(0, place)], || guard.sender.send(message));
    let is_sent = matches!(taken, Some(Taken::Place(_, true)));
    let (killed, closed) = match result {
        Ok(()) => (None, None),
        Err(SendError::Killed(killed, message)) => (message.arrives(), (Some(killed), None)).1,
        Err(SendError::Closed(message)) => (None, Some(message.arrives())),
    };
    cx.agree(step, &fate, killed)?;
    match (won(cx, &fate, place, taken), closed) {
        (Taken::Place(_, true), None) => {
            if !is_sent {
                cx.model(|model| model.send_by_permit(channel, number));
            }
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

pub fn check_joined(cx: &Cx, step: &Step, task: TaskNo, result: Result<Option<Value>, JoinError>) {
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
        if !cx.model(|model| matches!(model.state(task), State::Fresh | State::Ring)) {
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
