//! What every wait does first and last: may this task wait at all, and was it killed.

use super::{Task, kill};
use crate::cooperator::{Cooperator, no_cooperator_text};
use crate::coordinator::{Coordinator, Settled, Wait};
use crate::error::Killed;
use crate::fiber::Reason;
use std::io;
use std::panic::Location;

/// The start of a kill-checked wait: refuses if the running task is killed, or is unwinding.
///
/// # Panics
/// On a thread without a Cooperator.
#[inline]
#[track_caller]
pub(crate) fn begin() -> Result<&'static Cooperator, Killed> {
    let cooperator = Cooperator::required();
    let task = Task::running(cooperator);
    if task.fiber.is_killed() || std::thread::panicking() {
        return Err(kill::refuse(cooperator));
    }
    Ok(cooperator)
}

/// As [`begin`], for calls that return an `io::Result`: without a Cooperator they fail with an error that names the fix.
#[inline]
#[track_caller]
pub(crate) fn begin_io() -> io::Result<&'static Cooperator> {
    if Cooperator::current().is_none() {
        return Err(no_cooperator());
    }
    Ok(begin()?)
}

#[cold]
fn no_cooperator() -> io::Error {
    io::Error::new(io::ErrorKind::Unsupported, no_cooperator_text())
}

/// Notes that the running task meets its kill now, and returns it.
#[cold]
pub(crate) fn delivered(cooperator: &Cooperator) -> Killed {
    let task = Task::running(cooperator);
    // SAFETY: an origin is this task's or an ancestor's node, which outlive it.
    if let Some(origin) = unsafe { task.origin.get().as_ref() } {
        origin.set_delivered();
    }
    task.killed().expect("only called when killed")
}

/// Parks in `wait`; a kill that ends it has been delivered.
#[inline(always)]
pub(crate) fn park(
    cooperator: &Cooperator,
    wait: &Wait,
    reason: Reason,
    place: &'static Location<'static>,
) -> Result<usize, Killed> {
    match wait.park(&cooperator.scheduler, true, reason, place) {
        Settled::Won(index) => Ok(index),
        Settled::Killed => Err(delivered(cooperator)),
    }
}

/// Acquires `coordinator`; kill-checked.
#[inline(always)]
#[track_caller]
pub(crate) fn acquire(coordinator: &Coordinator, reason: Reason) -> Result<(), Killed> {
    let cooperator = begin()?;
    if coordinator.take() {
        return Ok(());
    }
    queue(cooperator, coordinator, 0, reason, Location::caller())
}

/// Waits in the queue of `coordinator`, which is held, until it is handed over; a kill that ends it has been delivered. Right after
/// [`begin`].
#[inline(always)]
pub(crate) fn queue(
    cooperator: &Cooperator,
    coordinator: &Coordinator,
    wants: u32,
    reason: Reason,
    place: &'static Location<'static>,
) -> Result<(), Killed> {
    match coordinator.wait(&cooperator.scheduler, true, wants, reason, place) {
        Settled::Won(_) => Ok(()),
        Settled::Killed => Err(delivered(cooperator)),
    }
}
