//! The handles that tasks have of tasks.

use super::model::Place;
use super::prizes::Prize;
use super::program::{Race, Step, TaskNo};
use super::races;
use super::task::{Cx, Failure, Value};
use super::world::World;
use coop::{JoinError, JoinHandle, ScopedJoinHandle};
use std::rc::Rc;

/// A handle, of whichever kind.
pub trait Joinable {
    fn join(&mut self) -> Result<Option<Value>, JoinError>;
    /// Kills the task, and says on which line.
    fn kill(&self, step: u32) -> u32;
    fn is_finished(&self) -> bool;
    /// A `select!` with `&mut handle` among its arms.
    fn race(&mut self, cx: &Cx, step: &Step, race: &Race) -> Result<(), Failure>;
}

/// A handle, of whose going the model hears first.
pub struct Owned<H> {
    world: Rc<World>,
    task: TaskNo,
    handle: H,
}

impl<H> Owned<H> {
    pub fn new(world: &Rc<World>, task: TaskNo, handle: H) -> Self {
        Owned { world: world.clone(), task, handle }
    }
}

impl<H> Drop for Owned<H> {
    fn drop(&mut self) {
        self.world.model.borrow_mut().handle_drops(self.task);
    }
}

trait Killable {
    #[track_caller]
    fn kill(&self);
}

/// Kills, at one of several lines: by them the causes are told apart.
fn kill(killable: &impl Killable, step: u32) -> u32 {
    match step % 4 {
        0 => (killable.kill(), line!()).1,
        1 => (killable.kill(), line!()).1,
        2 => (killable.kill(), line!()).1,
        _ => (killable.kill(), line!()).1,
    }
}

macro_rules! joinable {
    ($handle:ty, $($lifetime:lifetime)?) => {
        impl$(<$lifetime>)? Killable for $handle {
            #[track_caller]
            fn kill(&self) {
                <$handle>::kill(self);
            }
        }

        impl$(<$lifetime>)? Joinable for Owned<$handle> {
            fn join(&mut self) -> Result<Option<Value>, JoinError> {
                self.handle.join()
            }

            fn kill(&self, step: u32) -> u32 {
                kill(&self.handle, step)
            }

            fn is_finished(&self) -> bool {
                self.handle.is_finished()
            }

            fn race(&mut self, cx: &Cx, step: &Step, race: &Race) -> Result<(), Failure> {
                let place = cx.model(|model| match self.task {
                    task if model.is_taken(task) => None,
                    task if model.is_self_or_ancestor(task, cx.me) => Some(Place::Deadlock),
                    task => Some(Place::Ended(task)),
                });
                races::select(cx, step, race, place, Some(&mut self.handle), Prize::Joined)
            }
        }
    };
}

joinable!(JoinHandle<Option<Value>>,);
joinable!(ScopedJoinHandle<'s, Option<Value>>, 's);

/// Does something with the handle of a task, if it is within reach: the task's own, a scope's, or shared. Meanwhile nobody else
/// has it.
pub fn with<R>(cx: &Cx, task: TaskNo, f: impl FnOnce(&mut dyn Joinable) -> R) -> Option<R> {
    let own =
        cx.own.borrow_mut().iter_mut().find(|(of, handle)| *of == task && handle.is_some()).map(|(_, h)| h.take());
    if let Some(Some(mut handle)) = own {
        let result = f(&mut *handle);
        if let Some((_, place)) = cx.own.borrow_mut().iter_mut().find(|(of, _)| *of == task) {
            *place = Some(handle);
        }
        return Some(result);
    }
    let (mut f, mut result) = (Some(f), None);
    let mut level = cx.scope;
    while let Some(at) = level {
        at.nursery.with_handle(task, &mut |handle| result = f.take().map(|f| f(handle)));
        if result.is_some() {
            return result;
        }
        level = at.outer;
    }
    let shared = cx.world.shared.borrow_mut()[task].take();
    let (mut handle, f) = (shared?, f?);
    let result = f(&mut *handle);
    if !cx.world.is_over.get() {
        cx.world.shared.borrow_mut()[task] = Some(handle);
    }
    Some(result)
}

/// Drops the handle of a task, if it is within reach.
pub fn discard(cx: &Cx, task: TaskNo) {
    let own = cx.own.borrow_mut().iter_mut().find(|(of, _)| *of == task).and_then(|(_, handle)| handle.take());
    if own.is_some() {
        return drop(own);
    }
    let mut level = cx.scope;
    while let Some(at) = level {
        if at.nursery.discard(task) {
            return;
        }
        level = at.outer;
    }
    let shared = cx.world.shared.borrow_mut()[task].take();
    drop(shared);
}
