//! The user's side of a [`Coordinator`]: acquiring it, one or the first of several.

use crate::coordinator::{Coordinated, Coordinator, Wait};
use crate::error::Killed;
use crate::fiber::{Detail, Reason};
use crate::task;
use crate::timers::Sleep;
use std::fmt;
use std::panic::Location;
use std::time::Duration;

/// A [`Coordinator`] that is held; dropping this releases it.
///
/// ```
/// use coop::Coordinator;
/// coop::run(|| -> Result<(), coop::Killed> {
///     let door = Coordinator::new();
///     let inside = door.acquire()?;
///     assert!(door.is_held());
///     drop(inside);
///     assert!(!door.is_held());
///     door.acquire()?.keep();
///     assert!(door.is_held(), "until somebody releases it");
///     Ok(())
/// }).unwrap();
/// ```
#[must_use = "dropping it releases the Coordinator at once"]
pub struct Acquired<'a> {
    coordinator: &'a Coordinator,
    index: usize,
}

impl<'a> Acquired<'a> {
    /// Which of the Coordinators of a [`coordinate!`](crate::coordinate) it is, counted from 0.
    pub fn index(&self) -> usize {
        self.index
    }

    /// The Coordinator.
    pub fn coordinator(&self) -> &'a Coordinator {
        self.coordinator
    }

    /// Leaves the Coordinator held, for somebody to [`release`](Coordinator::release) later.
    pub fn keep(self) -> &'a Coordinator {
        let coordinator = self.coordinator;
        std::mem::forget(self);
        coordinator
    }
}

impl Drop for Acquired<'_> {
    fn drop(&mut self) {
        self.coordinator.release();
    }
}

impl fmt::Debug for Acquired<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Acquired").field("index", &self.index).finish()
    }
}

impl Coordinator {
    /// Waits until the Coordinator is this task's. First come, first served.
    ///
    /// A wait point if it is held; kill-checked.
    ///
    /// # Errors
    /// `Killed`, when the task was killed before the Coordinator was handed over.
    ///
    /// # Panics
    /// On a thread without a Cooperator.
    #[inline(always)]
    #[track_caller]
    pub fn acquire(&self) -> Result<Acquired<'_>, Killed> {
        task::acquire(self, Reason::new("acquire"))?;
        Ok(Acquired { coordinator: self, index: 0 })
    }

    /// Takes the Coordinator if it is free. Not a wait point.
    pub fn try_acquire(&self) -> Option<Acquired<'_>> {
        // Not `then_some`: that would make a guard in any case, and its drop would release.
        self.take().then(|| Acquired { coordinator: self, index: 0 })
    }
}

/// How a [`coordinate!`](crate::coordinate) ended.
#[doc(hidden)]
#[derive(Debug)]
pub enum Coordination<'a> {
    Acquired(Acquired<'a>),
    TimedOut,
    Killed(Killed),
}

/// What `coordinate!` calls: acquires exactly one, the first in argument order if several are free.
#[doc(hidden)]
#[track_caller]
pub fn coordinate<'a, const N: usize>(
    coordinators: [&'a Coordinator; N],
    timeout: Option<Duration>,
) -> Coordination<'a> {
    let cooperator = match task::begin() {
        Ok(cooperator) => cooperator,
        Err(killed) => return Coordination::Killed(killed),
    };
    let acquired = |index: usize| Coordination::Acquired(Acquired { coordinator: coordinators[index], index });
    if let Some(index) = coordinators.iter().position(|coordinator| coordinator.take()) {
        return acquired(index);
    }
    let entries = [const { Coordinated::new() }; N];
    let sleep = Sleep::new();
    let timer_entry = Coordinated::new();
    let wait = Wait::new(&cooperator.scheduler);
    for (index, (coordinator, entry)) in coordinators.iter().zip(&entries).enumerate() {
        // SAFETY: entries, timer and wait stay on this frame until `wait`, dropped first, has unlinked the entries; the
        // coordinators are borrowed for as long.
        unsafe { wait.enlist(coordinator, entry, index) };
    }
    if let Some(timeout) = timeout {
        let deadline = cooperator.clock.now().saturating_add(u64::try_from(timeout.as_nanos()).unwrap_or(u64::MAX));
        // SAFETY: as above; the timer stops when dropped.
        unsafe {
            sleep.start(&cooperator.timers, deadline);
            wait.enlist(sleep.over(), &timer_entry, N);
        }
    }
    let reason = Reason::on("coordinate", Detail::Count(N));
    match task::park(cooperator, &wait, reason, Location::caller()) {
        Ok(index) if index == N => Coordination::TimedOut,
        Ok(index) => acquired(index),
        Err(killed) => Coordination::Killed(killed),
    }
}
