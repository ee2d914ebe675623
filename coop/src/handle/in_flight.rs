//! One submission to the ring, from push to last completion.

use crate::cooperator::Cooperator;
use crate::coordinator::{Coordinated, Coordinator, Settled, Wait};
use crate::error::Killed;
use crate::fiber::Reason;
use crate::ring::{Completion, Patience, Sqe};
use crate::task;
use std::cell::Cell;
use std::marker::PhantomPinned;
use std::panic::Location;

/// The life of a submission. `Idle → Flying → Done`, and back to `Idle` when its result was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Life {
    Idle,
    Flying,
    Done,
}

/// What a completion is delivered to. Must not move while it flies.
pub(crate) struct InFlight {
    life: Cell<Life>,
    is_cancelled: Cell<bool>,
    result: Cell<i32>,
    user_data: Cell<u64>,
    /// Held until the last completion.
    done: Coordinator,
    _pinned: PhantomPinned,
}

// SAFETY: whoever submits with an `InFlight` keeps it in place until `is_flying` is false: that is `InFlight::submit`'s contract.
unsafe impl Completion for InFlight {
    fn complete(&self, result: i32, _flags: u32, last: bool) {
        self.result.set(if is_restart(result) { -libc::EINTR } else { result });
        if last {
            self.life.set(Life::Done);
            self.done.release();
        }
    }
}

/// ERESTARTSYS and its kin, which a system call would never let out: an opening that a worker has begun, and that a cancel
/// interrupts, answers with one of them.
fn is_restart(result: i32) -> bool {
    matches!(-result, 512..=514 | 516)
}

impl InFlight {
    pub(crate) const fn new() -> Self {
        InFlight {
            life: Cell::new(Life::Idle),
            is_cancelled: Cell::new(false),
            result: Cell::new(0),
            user_data: Cell::new(0),
            done: Coordinator::held(),
            _pinned: PhantomPinned,
        }
    }

    /// Whether the kernel may still touch what the submission names.
    pub(crate) fn is_flying(&self) -> bool {
        self.life.get() == Life::Flying
    }

    /// Released at the last completion.
    pub(crate) fn done(&self) -> &Coordinator {
        &self.done
    }

    /// Pushes `sqe`.
    ///
    /// # Safety
    /// This and all memory `sqe` names stay in place until `is_flying` is false. It does not fly. (It may have a result that
    /// nobody took: that of an arm whose poll ended in the same batch as another's, for bytes that somebody else then took.)
    pub(crate) unsafe fn submit(&self, cooperator: &Cooperator, sqe: Sqe) {
        // SAFETY: the caller's promise.
        unsafe { self.submit_for(cooperator, sqe, self) };
    }

    /// Pushes `sqe`, whose completions go to `whole`, of which this is a part, and which passes each on to this.
    ///
    /// # Safety
    /// As [`InFlight::submit`], for all of `whole`.
    pub(crate) unsafe fn submit_for(&self, cooperator: &Cooperator, sqe: Sqe, whole: &dyn Completion) {
        debug_assert_ne!(self.life.get(), Life::Flying);
        self.life.set(Life::Flying);
        self.is_cancelled.set(false);
        // After an earlier round that nobody waited for, the Coordinator is free.
        self.done.take();
        // SAFETY: the caller's promise.
        self.user_data.set(unsafe { cooperator.submit(sqe, whole) });
    }

    /// The result, once there is one. None if it was cancelled before it had an effect.
    pub(crate) fn take_result(&self) -> Option<i32> {
        if self.life.get() != Life::Done {
            return None;
        }
        self.life.set(Life::Idle);
        let result = self.result.get();
        (!self.was_stopped(result)).then_some(result)
    }

    /// Whether a result says that the operation was stopped before it had an effect: by our cancel, and by nothing else.
    fn was_stopped(&self, result: i32) -> bool {
        self.is_cancelled.get() && (result == -libc::ECANCELED || result == -libc::EINTR)
    }

    /// Asks for an early end, once.
    pub(crate) fn cancel(&self, cooperator: &Cooperator) {
        if self.is_flying() && !self.is_cancelled.replace(true) {
            cooperator.cancel(self.user_data.get());
        }
    }

    /// Waits for the last completion, out of reach of kills: for what is sure to end soon. While the caller unwinds, or must not
    /// switch, it drives the ring in place.
    pub(crate) fn settle(&self, cooperator: &Cooperator, place: &'static Location<'static>) {
        let is_flying = || self.is_flying();
        drain(cooperator, is_flying, &self.done, place);
    }
}

/// Waits until `done` is released, out of reach of kills, unless nothing flies. While the caller unwinds, or must not switch, it
/// drives the ring in place.
pub(crate) fn drain(
    cooperator: &Cooperator,
    is_flying: impl Fn() -> bool,
    done: &Coordinator,
    place: &'static Location<'static>,
) {
    if !is_flying() {
        return;
    }
    if std::thread::panicking() || cooperator.scheduler.is_switching_forbidden() {
        while is_flying() {
            cooperator.drive(Patience::Forever);
        }
        return;
    }
    done.wait(&cooperator.scheduler, false, 0, Reason::new("drain"), place);
}

/// Performs one submission and waits for its result; kill-checked. A result that raced a kill is delivered: only an operation
/// that the cancel stopped before it had an effect is `Killed`.
///
/// # Safety
/// The memory that `sqe` names stays valid until this returns.
#[inline]
pub(crate) unsafe fn perform(
    cooperator: &Cooperator,
    sqe: Sqe,
    reason: Reason,
    place: &'static Location<'static>,
) -> Result<i32, Killed> {
    let flight = InFlight::new();
    let entry = Coordinated::new();
    let wait = Wait::new(&cooperator.scheduler);
    // SAFETY: this frame is left only when the flight is over: by its completion, or after `settle`. The rest is the caller's.
    unsafe {
        flight.submit(cooperator, sqe);
        wait.enlist(&flight.done, &entry, 0);
    }
    if wait.park(&cooperator.scheduler, true, reason, place) == Settled::Killed {
        flight.cancel(cooperator);
        flight.settle(cooperator, place);
        if flight.was_stopped(flight.result.get()) {
            return Err(task::delivered(cooperator));
        }
    }
    Ok(flight.result.get())
}
