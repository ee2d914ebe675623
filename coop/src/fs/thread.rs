//! Calls that no ring makes: on a thread of their own.

use crate::blocking::{Unblock, not_made, unblock_io};
use crate::coordinator::{Coordinated, Wait};
use crate::handle::{Flight, Operation};
use crate::task;
use std::io;
use std::panic::Location;
use std::pin::pin;

/// Makes a call that has an effect. Kill-checked before it; once begun, it is waited for, as the kernel's own calls on disks are:
/// the effect does not come after the error.
#[track_caller]
pub(super) fn to_the_end<T: Send + 'static>(call: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    let cooperator = task::begin_io()?;
    let place = Location::caller();
    let mut flight = pin!(Unblock::new(call).into_flight());
    // SAFETY: pinned to this frame, which is left when it has landed: the wait below is out of reach of kills.
    unsafe { flight.launch(cooperator) };
    loop {
        // SAFETY: it is not moved.
        if let Some(result) = unsafe { flight.as_mut().get_unchecked_mut() }.land(cooperator) {
            return result.unwrap_or_else(|killed| Err(not_made(killed)));
        }
        let entry = Coordinated::new();
        let wait = Wait::new(&cooperator.scheduler);
        // SAFETY: entry and wait stay on this frame until `wait`, dropped first, has unlinked the entry.
        unsafe { wait.enlist(flight.news(), &entry, 0) };
        wait.park(&cooperator.scheduler, false, flight.reason(), place);
    }
}

/// Makes a call that only looks. Kill-checked: a killed task does not wait for its end.
#[track_caller]
pub(super) fn looking<T: Send + 'static>(call: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    task::begin_io()?;
    unblock_io(call)
}
