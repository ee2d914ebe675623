//! The handles that tasks have of tasks.

use super::flights::Prize;
use super::interpret::{Cx, Failure, Value};
use super::model::Place;
use super::program::{Race, Step, TaskNo};
use super::races;
use super::world::World;
use coop::{Arm, JoinError, JoinHandle, ScopedJoinHandle};
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

macro_rules! joinable {
    ($handle:ty, $($lifetime:lifetime)?) => {
        impl$(<$lifetime>)? Joinable for Owned<$handle> {
            fn join(&mut self) -> Result<Option<Value>, JoinError> {
                self.handle.join()
            }

            fn kill(&self, step: u32) -> u32 {
                kill(step, || self.handle.kill(), || self.handle.kill())
            }

            fn is_finished(&self) -> bool {
                self.handle.is_finished()
            }

            fn race(&mut self, cx: &Cx, step: &Step, race: &Race) -> Result<(), Failure> {
                let disabled = cx.model(|model| model.is_taken(self.task));
                let place = (!disabled).then_some(Place::Ended(self.task));
                races::select(cx, step, race, place, Some(&mut self.handle), Prize::Joined)
            }
        }
    };
}

joinable!(JoinHandle<Option<Value>>,);
joinable!(ScopedJoinHandle<'s, Option<Value>>, 's);
