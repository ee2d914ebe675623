//! What waits give, and what the model says that they have given.

use super::interpret::{block, check_joined};
use super::model::{Fate, Grant, Model, Place};
use super::program::{Step, TaskNo};
use super::races;
use super::report::saw;
use super::task::{Cx, Failure, Value};
use super::world::Message;
use coop::chan::{Closed, Permit, RecvError, ReserveError};
use coop::io::Transfer;
use coop::sync::MutexGuard;
use coop::{JoinError, Killed};
use std::cell::Cell;
use std::fmt;
use std::io;

/// What a wait can give.
pub enum Prize<'a> {
    Guard(MutexGuard<'a, Cell<bool>>),
    Message(Option<Message>),
    Place(Option<Permit<'a, Message>>),
    Moment,
    Joined(Result<Option<Value>, JoinError>),
    Bytes(io::Result<usize>),
}

impl fmt::Debug for Prize<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Prize::Guard(_) => "a guard",
            Prize::Message(_) => "a message",
            Prize::Place(_) => "a place",
            Prize::Moment => "a moment",
            Prize::Joined(_) => "a task's value",
            Prize::Bytes(_) => "bytes",
        })
    }
}

pub fn message<'a>(result: Result<Message, RecvError>) -> Prize<'a> {
    Prize::Message(result.ok())
}

pub fn place(result: Result<Permit<'_, Message>, Closed>) -> Prize<'_> {
    Prize::Place(result.ok())
}

/// What a Handle's `wait` gives.
pub type Waited<'a> = Result<Prize<'a>, Killed>;

pub fn waited_message<'a>(result: Result<Message, RecvError>) -> Waited<'a> {
    match result {
        Err(RecvError::Killed(killed)) => Err(killed),
        result => Ok(message(result)),
    }
}

pub fn waited_place(result: Result<Permit<'_, Message>, ReserveError>) -> Waited<'_> {
    match result {
        Err(ReserveError::Killed(killed)) => Err(killed),
        result => Ok(Prize::Place(result.ok())),
    }
}

/// How many bytes a transfer moved. They are wiped from its buffer: what is found in one later was given to nobody.
pub fn taken(result: io::Result<Transfer<&mut [u8]>>) -> io::Result<usize> {
    result.map(|transfer| {
        let n = transfer.n();
        transfer.into_buf().fill(0);
        n
    })
}

pub fn waited_bytes<'a>(result: io::Result<usize>) -> Waited<'a> {
    races::split_killed(result).map(Prize::Bytes)
}

/// A lock that is held; the model hears of its release first.
pub struct Held<'a, G> {
    pub cx: &'a Cx<'a>,
    pub lock: usize,
    #[allow(dead_code, reason = "held for its drop")]
    pub guard: G,
}

impl<G> Drop for Held<'_, G> {
    fn drop(&mut self) {
        self.cx.model(|model| model.release(self.lock));
    }
}

pub fn split<T>(result: Result<T, Killed>) -> (Option<Killed>, Option<T>) {
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
