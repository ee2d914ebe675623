//! What an operation becomes when it is started.

use crate::cooperator::Cooperator;
use crate::coordinator::Coordinator;
use crate::fiber::Reason;
use std::panic::Location;

/// An operation in flight.
///
/// # Safety
/// * From `launch` until `is_over` is true the flight stays at its address; implementors may hand that address out.
/// * When `is_over` is true nobody outside refers to the flight, or to memory it borrows.
/// * After `abort`, `settle` returns in bounded time; after `settle`, `is_over` is true.
/// * A flight that has been aborted and settled without `land` giving a value has had no effect, or has undone it.
pub unsafe trait Flight {
    type Output;

    /// Starts it. Called once.
    ///
    /// # Safety
    /// The flight stays in place until it is over.
    unsafe fn launch(&self, cooperator: &Cooperator);

    /// Released when `land` is worth calling.
    fn news(&self) -> &Coordinator;

    /// Whether `land` is worth calling now.
    fn is_ready(&self) -> bool;

    /// The result, if there is one. A flight that finds that its news were stale starts over by itself, so that after `None`
    /// the Coordinator of `news` is held.
    fn land(&mut self, cooperator: &Cooperator) -> Option<Self::Output>;

    /// Asks for an early end. Does not wait.
    fn abort(&self, cooperator: &Cooperator);

    /// Waits, out of reach of kills, until it is over.
    fn settle(&self, cooperator: &Cooperator, place: &'static Location<'static>);

    /// Whether nobody outside refers to it.
    fn is_over(&self) -> bool;

    /// What it waits for.
    fn reason(&self) -> Reason;
}
