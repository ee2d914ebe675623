//! `select!`.

use super::handles;
use super::model::{Cause, Fate, LOCKS, Model, Place};
use super::prizes::{self, Prize, is_ready, redeem, take_at_once, won};
use super::program::{Extra, Race, SocketRace, Step};
use super::report::saw;
use super::task::{Cx, Failure, duration};
use super::world::Message;
use coop::chan::{Receiver, Sender};
use coop::sync::{Mutex, MutexGuard};
use coop::{Arm, JoinHandle, Killed, op};
use std::cell::Cell;
use std::io;
use std::time::Duration;

/// The arms of a `select!`, by number: two receives, a place, a lock, two moments, a Handle.
struct Arms<'a, X> {
    receivers: [Option<&'a Receiver<Message>>; 2],
    sender: Option<&'a Sender<Message>>,
    mutex: Option<&'a Mutex<Cell<bool>>>,
    after: [Option<Duration>; 2],
    extra: Option<X>,
}

const DEFAULT: usize = 100;
const COMPLETE: usize = 101;

/// In which orders arms are written.
const ORDERS: [[usize; 7]; 3] = [[0, 1, 2, 3, 4, 5, 6], [6, 5, 4, 3, 2, 1, 0], [3, 0, 6, 4, 2, 5, 1]];

/// A `select!` with these arms in this order. Each gives its number and its prize.
macro_rules! select_among {
    ([$($mode:tt)*] $arms:ident $prize:ident [$($done:tt)*] 0 $($rest:tt)*) => {
        select_among!([$($mode)*] $arms $prize [$($done)*
            got = op::receive($arms.receivers[0].unwrap()), if $arms.receivers[0].is_some() => (0, prizes::message(got)),
        ] $($rest)*)
    };
    ([$($mode:tt)*] $arms:ident $prize:ident [$($done:tt)*] 1 $($rest:tt)*) => {
        select_among!([$($mode)*] $arms $prize [$($done)*
            got = op::receive($arms.receivers[1].unwrap()), if $arms.receivers[1].is_some() => (1, prizes::message(got)),
        ] $($rest)*)
    };
    ([$($mode:tt)*] $arms:ident $prize:ident [$($done:tt)*] 2 $($rest:tt)*) => {
        select_among!([$($mode)*] $arms $prize [$($done)*
            got = op::reserve($arms.sender.unwrap()), if $arms.sender.is_some() => (2, prizes::place(got)),
        ] $($rest)*)
    };
    ([$($mode:tt)*] $arms:ident $prize:ident [$($done:tt)*] 3 $($rest:tt)*) => {
        select_among!([$($mode)*] $arms $prize [$($done)*
            guard = op::lock($arms.mutex.unwrap()), if $arms.mutex.is_some() => (3, Prize::Guard(guard)),
        ] $($rest)*)
    };
    ([$($mode:tt)*] $arms:ident $prize:ident [$($done:tt)*] 4 $($rest:tt)*) => {
        select_among!([$($mode)*] $arms $prize [$($done)*
            _ = op::after($arms.after[0].unwrap()), if $arms.after[0].is_some() => (4, Prize::Moment),
        ] $($rest)*)
    };
    ([$($mode:tt)*] $arms:ident $prize:ident [$($done:tt)*] 5 $($rest:tt)*) => {
        select_among!([$($mode)*] $arms $prize [$($done)*
            _ = op::after($arms.after[1].unwrap()), if $arms.after[1].is_some() => (5, Prize::Moment),
        ] $($rest)*)
    };
    ([$($mode:tt)*] $arms:ident $prize:ident [$($done:tt)*] 6 $($rest:tt)*) => {
        select_among!([$($mode)*] $arms $prize [$($done)*
            got = $arms.extra.take().unwrap(), if $arms.extra.is_some() => (6, $prize(got)),
        ] $($rest)*)
    };
    ([biased] $arms:ident $prize:ident [$($done:tt)*]) => {
        coop::select! { biased; $($done)* complete => (COMPLETE, Prize::Moment) }
    };
    ([biased default] $arms:ident $prize:ident [$($done:tt)*]) => {
        coop::select! { biased; $($done)* complete => (COMPLETE, Prize::Moment), default => (DEFAULT, Prize::Moment) }
    };
    ([fair] $arms:ident $prize:ident [$($done:tt)*]) => {
        coop::select! { $($done)* complete => (COMPLETE, Prize::Moment) }
    };
    ([fair default] $arms:ident $prize:ident [$($done:tt)*]) => {
        coop::select! { $($done)* complete => (COMPLETE, Prize::Moment), default => (DEFAULT, Prize::Moment) }
    };
}

pub fn run(cx: &Cx, step: &Step, race: &Race) -> Result<(), Failure> {
    let none = || select(cx, step, race, None, None::<&mut JoinHandle<()>>, |_| Prize::Moment);
    match race.extra {
        Extra::None => none(),
        Extra::Join(task) => handles::with(cx, task, |handle| handle.race(cx, step, race)).unwrap_or_else(none),
        Extra::Flight => {
            let mut result = None;
            if let Some(level) = cx.scope {
                level.nursery.with_flight(&mut |flight| result = Some(flight.race(cx, step, race)));
            }
            result.unwrap_or_else(none)
        }
    }
}

/// A `select!` of the arms of `race` and one more.
pub fn select<'a, X: Arm>(
    cx: &Cx,
    step: &Step,
    race: &Race,
    extra_place: Option<Place>,
    extra: Option<X>,
    prize: impl FnOnce(X::Output) -> Prize<'a>,
) -> Result<(), Failure> {
    let receivers = race.receive.map(|channel| channel.and_then(|channel| cx.world.receiver(channel)));
    let sender = race.reserve.and_then(|channel| cx.world.sender(channel));
    let mut arms = Arms {
        receivers: [0, 1].map(|at| receivers[at].as_ref().map(|guard| &guard.receiver)),
        sender: sender.as_ref().map(|guard| &guard.sender),
        mutex: race.lock.map(|mutex| &cx.world.mutexes[mutex]),
        after: race.after.map(|ms| ms.map(duration)),
        extra: extra.filter(|_| extra_place.is_some()),
    };
    let place = |arm: usize| match arm {
        0 | 1 => race.receive[arm].filter(|_| receivers[arm].is_some()).map(Place::Receive),
        2 => race.reserve.filter(|_| sender.is_some()).map(Place::Reserve),
        3 => race.lock.map(|mutex| Place::Lock(LOCKS + mutex)),
        4 | 5 => race.after[arm - 4].map(|ms| cx.after(ms)),
        _ => extra_place,
    };
    let places: Vec<(usize, Place)> =
        ORDERS[race.order].into_iter().filter_map(|arm| Some((arm, place(arm)?))).collect();
    let ready = cx.model(|model| places.iter().filter(|(_, place)| is_ready(model, *place)).count());
    // Who wins among several that are ready is a matter of chance, unless the arms are taken in order.
    let is_biased = race.biased || ready > 1;
    let mut taken = None;
    let is_at_once = |model: &mut Model| {
        take_at_once(model, &places, &mut taken)
            .or(places.is_empty().then_some(if race.default { DEFAULT } else { COMPLETE }))
            .or(race.default.then_some(DEFAULT))
    };
    let (fate, result) = cx.wait(is_at_once, &places, || match (race.order, is_biased, race.default) {
        (0, true, false) => select_among!([biased] arms prize [] 0 1 2 3 4 5 6),
        (1, true, false) => select_among!([biased] arms prize [] 6 5 4 3 2 1 0),
        (_, true, false) => select_among!([biased] arms prize [] 3 0 6 4 2 5 1),
        (0, true, true) => select_among!([biased default] arms prize [] 0 1 2 3 4 5 6),
        (1, true, true) => select_among!([biased default] arms prize [] 6 5 4 3 2 1 0),
        (_, true, true) => select_among!([biased default] arms prize [] 3 0 6 4 2 5 1),
        (0, false, false) => select_among!([fair] arms prize [] 0 1 2 3 4 5 6),
        (1, false, false) => select_among!([fair] arms prize [] 6 5 4 3 2 1 0),
        (_, false, false) => select_among!([fair] arms prize [] 3 0 6 4 2 5 1),
        (0, false, true) => select_among!([fair default] arms prize [] 0 1 2 3 4 5 6),
        (1, false, true) => select_among!([fair default] arms prize [] 6 5 4 3 2 1 0),
        (_, false, true) => select_among!([fair default] arms prize [] 3 0 6 4 2 5 1),
    });
    let (arm, prize) = match result {
        Err(killed) => return cx.agree(step, &fate, Some(killed)),
        Ok(won) => won,
    };
    cx.agree(step, &fate, None)?;
    let expected = match fate {
        Fate::AtOnce(arm) => arm,
        Fate::Won(grant) => grant.index,
        other => cx.wrong(step, format!("{other:?}")),
    };
    if arm != expected {
        cx.wrong(step, format!("arm {arm} won instead of {expected}"));
    }
    if places.len() > 1 && matches!(fate, Fate::Won(_)) {
        saw("an arm that loses");
    }
    match places.iter().find(|(of, _)| *of == arm) {
        Some((_, place)) => redeem(cx, step, won(cx, &fate, *place, taken), prize, &race.body),
        None => Ok(()),
    }
}

// What the ring decides about.

impl Cx<'_> {
    /// A wait that the ring may end at any time: only what it says about a kill is compared. One that was in flight before may
    /// succeed although it is refused: what it has moved is not lost.
    pub fn loosely<T>(
        &self,
        step: &Step,
        was_in_flight: bool,
        call: impl FnOnce() -> Result<T, Killed>,
    ) -> Result<T, Failure> {
        let refused = self.model(|model| {
            let refused = if was_in_flight { None } else { model.begin(self.me).err() };
            if refused.is_none() {
                model.set_ring(self.me);
            }
            refused
        });
        let result = call();
        self.world.catch_up();
        self.model(|model| {
            model.set_running(self.me);
            model.stop_ring_timer(self.me);
        });
        let fate = match (refused, &result) {
            (Some(cause), _) => Fate::Refused(cause),
            (None, Ok(_)) => {
                if self.model(|model| model.killed(self.me)).is_some() {
                    saw("the ring's completion beats the kill");
                }
                Fate::AtOnce(0)
            }
            (None, Err(killed)) => match Cause::from(killed.cause()) {
                Cause::Unwinding if std::thread::panicking() => Fate::Refused(Cause::Unwinding),
                cause if self.model(|model| model.deliver_late(self.me, cause)) => Fate::Killed(cause),
                cause => self.wrong(step, format!("said {cause:?}, but it is {:?}", self.model(|m| m.killed(self.me)))),
            },
        };
        match result {
            Ok(value) => self.agree(step, &fate, None).map(|()| value),
            Err(killed) => Err(self.agree(step, &fate, Some(killed)).expect_err("both say so")),
        }
    }
}

pub fn split_killed<T>(result: io::Result<T>) -> Result<io::Result<T>, Killed> {
    match result {
        Err(error) if Killed::is(&error) => Err(Killed::of(&error).expect("just asked")),
        result => Ok(result),
    }
}

fn note_sent(cx: &Cx, step: &Step, result: io::Result<usize>) {
    match result {
        Ok(n @ 1..) => cx.world.loose.bytes_sent.set(cx.world.loose.bytes_sent.get() + n as u64),
        other => cx.wrong(step, format!("{other:?}")),
    }
}

fn note_received(cx: &Cx, step: &Step, result: io::Result<usize>) {
    match result {
        Ok(n @ 1..) => cx.world.loose.bytes_received.set(cx.world.loose.bytes_received.get() + n as u64),
        other => cx.wrong(step, format!("{other:?}")),
    }
}

pub fn socket_send(cx: &Cx, step: &Step, n: usize) -> Result<(), Failure> {
    let result = cx.loosely(step, false, || split_killed(cx.world.loose.socket().0.send(&[7; 32][..n])))?;
    note_sent(cx, step, result);
    Ok(())
}

pub fn socket_receive(cx: &Cx, step: &Step) -> Result<(), Failure> {
    let mut buffer = [0; 8];
    let result = cx.loosely(step, false, || split_killed(cx.world.loose.socket().1.recv(&mut buffer)))?;
    note_received(cx, step, result);
    Ok(())
}

pub fn redeem_loosely(cx: &Cx, step: &Step, prize: Prize) -> Result<(), Failure> {
    match prize {
        Prize::Bytes(result) => note_received(cx, step, result),
        other => cx.wrong(step, format!("{other:?} came of a socket")),
    }
    Ok(())
}

/// A `select!` among sockets, a channel and a lock that are not modelled, and a moment.
pub fn run_loose(cx: &Cx, step: &Step, race: &SocketRace) -> Result<(), Failure> {
    enum Out<'a> {
        Sent(io::Result<usize>),
        Received(io::Result<usize>),
        Message(Option<Message>),
        Locked(MutexGuard<'a, Cell<bool>>),
        Late,
        Nothing,
    }
    let loose = &cx.world.loose;
    let (mut buffer, bytes) = ([0; 8], [9; 16]);
    let deadline = race.after.map(|ms| cx.model(|model| model.start_ring_timer(cx.me, ms)));
    let after = duration(race.after.unwrap_or(0));
    let out = cx.loosely(step, false, || {
        if race.default {
            coop::select! {
                n = op::recv(&loose.socket().1, &mut buffer), if race.socket => Out::Received(n),
                n = op::send(&loose.socket().0, &bytes[..race.send.unwrap_or(0)]), if race.send.is_some() => Out::Sent(n),
                got = op::receive(&loose.receiver), if race.receive => Out::Message(got.ok()),
                guard = op::lock(&loose.mutex), if race.lock => Out::Locked(guard),
                _ = op::after(after), if race.after.is_some() => Out::Late,
                complete => Out::Nothing,
                default => Out::Nothing,
            }
        } else {
            coop::select! {
                _ = op::after(after), if race.after.is_some() => Out::Late,
                guard = op::lock(&loose.mutex), if race.lock => Out::Locked(guard),
                got = op::receive(&loose.receiver), if race.receive => Out::Message(got.ok()),
                n = op::send(&loose.socket().0, &bytes[..race.send.unwrap_or(0)]), if race.send.is_some() => Out::Sent(n),
                n = op::recv(&loose.socket().1, &mut buffer), if race.socket => Out::Received(n),
                complete => Out::Nothing,
            }
        }
    })?;
    match out {
        Out::Sent(result) => note_sent(cx, step, result),
        Out::Received(result) => note_received(cx, step, result),
        Out::Message(Some(message)) => {
            let number = message.arrives();
            cx.note(step, 72, || format!("message {number}"));
            loose.messages_received.set(loose.messages_received.get() + 1);
        }
        Out::Message(None) => cx.wrong(step, "the channel is closed, which it is not".into()),
        Out::Locked(guard) => {
            if guard.replace(true) {
                cx.wrong(step, "the mutex has two holders".into());
            }
            let (fate, result) = cx.wait(|_| Some(0), &[], coop::yield_now);
            guard.set(false);
            drop(guard);
            cx.agree(step, &fate, result.err())?;
        }
        Out::Late if deadline.is_none_or(|deadline| cx.model(|model| model.now) < deadline) => {
            cx.wrong(step, "a moment came too early".into());
        }
        Out::Late | Out::Nothing => {}
    }
    Ok(())
}
