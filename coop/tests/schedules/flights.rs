//! Handles of operations: what is in flight, and what it brings.

use super::model::{Fate, Place};
use super::prizes::{Prize, Taken, Waited, landed, redeem};
use super::program::{Landing, Race, Step, TaskNo};
use super::races;
use super::report::saw;
use super::task::{Cx, Failure};
use super::world::World;
use coop::{Handle, Operation};
use std::rc::Rc;

/// A Handle, of whichever operation.
pub trait InAir {
    fn land(self: Box<Self>, cx: &Cx, step: &Step, landing: Landing) -> Result<(), Failure>;
    /// A `select!` with `&mut handle` among its arms.
    fn race(&mut self, cx: &Cx, step: &Step, race: &Race) -> Result<(), Failure>;
    fn is_spent(&self) -> bool;
    /// The number in the model; `None` if it depends on the ring.
    fn number(&self) -> Option<usize>;
}

/// A Handle, of whose going the model hears first.
pub struct Flight<'s, O: Operation> {
    world: Rc<World>,
    owner: TaskNo,
    number: Option<usize>,
    handle: Option<Handle<'s, O>>,
    started: fn(O::Started) -> Prize<'s>,
    joined: fn(O::Joined) -> Waited<'s>,
}

impl<'s, O: Operation> Flight<'s, O> {
    pub fn new(
        cx: &Cx,
        number: Option<usize>,
        handle: Handle<'s, O>,
        started: fn(O::Started) -> Prize<'s>,
        joined: fn(O::Joined) -> Waited<'s>,
    ) -> Self {
        Flight { world: cx.world.clone(), owner: cx.me, number, handle: Some(handle), started, joined }
    }

    /// Runs what may wait for the ring to be done with the operation.
    fn draining<R>(world: &World, owner: TaskNo, number: Option<usize>, f: impl FnOnce() -> R) -> R {
        if number.is_none() && !std::thread::panicking() {
            world.model.borrow_mut().set_ring(owner);
        }
        let result = f();
        world.catch_up();
        if number.is_none() && !std::thread::panicking() {
            world.model.borrow_mut().set_running(owner);
        }
        result
    }

    fn wait(&mut self, cx: &Cx, step: &Step) -> Result<(), Failure> {
        let (Some(handle), joined) = (self.handle.take(), self.joined) else {
            return Ok(());
        };
        let Some(number) = self.number else {
            let prize = cx.loosely(step, true, || joined(handle.wait()))?;
            return races::redeem_loosely(cx, step, prize);
        };
        // A Handle that has its result gives it, killed or not.
        let landed_before = cx.model(|model| model.has_landed(number));
        let mut taken = None;
        let (fate, result) = if landed_before {
            if cx.model(|model| model.killed(cx.me)).is_some() {
                saw("a Handle's result after the kill");
            }
            taken = Some(cx.model(|model| landed(model, number)));
            let result = joined(handle.wait());
            cx.world.catch_up();
            (Fate::AtOnce(0), result)
        } else {
            let untold = cx.model(|model| model.untold());
            let (fate, result) = cx.wait(|_| None, &[(0, Place::Landed(number))], || joined(handle.wait()));
            // A refused wait gives way before it cancels: what has come by then is given.
            if cx.model(|model| model.has_landed(number)) {
                saw(match fate {
                    Fate::Won(_) => "a Handle waited for",
                    _ => "a Handle that landed while its wait was refused",
                });
                if matches!(fate, Fate::Refused(_)) {
                    cx.model(|model| model.take_back(&untold));
                }
                taken = Some(cx.model(|model| landed(model, number)));
                (Fate::AtOnce(0), result)
            } else {
                cx.model(|model| model.abort(number));
                (fate, result)
            }
        };
        match result {
            Err(killed) => cx.agree(step, &fate, Some(killed)),
            Ok(prize) => {
                cx.agree(step, &fate, None)?;
                redeem(cx, step, taken.unwrap_or(Taken::Moment), prize, &[])
            }
        }
    }

    fn cancel(&mut self, cx: &Cx, step: &Step) -> Result<(), Failure> {
        let (Some(handle), started) = (self.handle.take(), self.started) else {
            return Ok(());
        };
        let taken = self.number.and_then(|number| {
            cx.model(|model| {
                let taken = model.has_landed(number).then(|| landed(model, number));
                model.abort(number);
                taken
            })
        });
        let result = Self::draining(cx.world, cx.me, self.number, || handle.cancel()).map(started);
        cx.note(step, 50, || format!("{}: {result:?}", step.act));
        if result.is_some() {
            saw("a result that came before the cancel");
        }
        match (self.number, taken, result) {
            (None, _, Some(prize)) => races::redeem_loosely(cx, step, prize),
            (_, Some(taken), Some(prize)) => redeem(cx, step, taken, prize, &[]),
            (_, None, None) => Ok(()),
            (_, taken, result) => cx.wrong(step, format!("{result:?} instead of {taken:?}")),
        }
    }
}

impl<'s, O: Operation> InAir for Flight<'s, O> {
    fn land(mut self: Box<Self>, cx: &Cx, step: &Step, landing: Landing) -> Result<(), Failure> {
        match landing {
            Landing::Wait => self.wait(cx, step),
            Landing::Cancel => self.cancel(cx, step),
            Landing::Drop => Ok(()),
            Landing::Forget => {
                saw("a forgotten Handle");
                std::mem::forget(self.handle.take());
                Ok(())
            }
        }
    }

    fn race(&mut self, cx: &Cx, step: &Step, race: &Race) -> Result<(), Failure> {
        // What the ring decides has no place in a modelled wait.
        let (Some(number), Some(handle)) = (self.number, self.handle.as_mut()) else {
            return races::select(cx, step, race, None, None::<&mut Handle<'s, O>>, self.started);
        };
        let place = (!handle.is_spent()).then_some(Place::Landed(number));
        races::select(cx, step, race, place, Some(handle), self.started)
    }

    fn is_spent(&self) -> bool {
        self.handle.as_ref().is_none_or(Handle::is_spent)
    }

    fn number(&self) -> Option<usize> {
        self.number
    }
}

impl<O: Operation> Drop for Flight<'_, O> {
    fn drop(&mut self) {
        let Some(handle) = self.handle.take() else { return };
        if let Some(number) = self.number {
            self.world.model.borrow_mut().abort(number);
        }
        let world = self.world.clone();
        Self::draining(&world, self.owner, self.number, || drop(handle));
    }
}
