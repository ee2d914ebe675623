//! One submission to the ring, from push to last completion.

use crate::cooperator::Cooperator;
use crate::coordinator::Coordinator;
use crate::error::Killed;
use crate::fiber::{Fiber, Reason};
use crate::ring::{Completion, Patience, Sqe};
use crate::scheduler::{Scheduler, Stopped};
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
        self.result.set(answer(result));
        if last {
            self.life.set(Life::Done);
            self.done.release();
        }
    }
}

/// A result as a system call would give it. ERESTARTSYS and its kin it would never let out: an opening that a worker has begun, and
/// that a cancel interrupts, answers with one of them.
fn answer(result: i32) -> i32 {
    if matches!(-result, 512..=514 | 516) { -libc::EINTR } else { result }
}

/// Whether a result is one of an operation that a cancel has stopped before it had an effect.
fn is_of_a_cancel(result: i32) -> bool {
    result == -libc::ECANCELED || result == -libc::EINTR
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
        self.is_cancelled.get() && is_of_a_cancel(result)
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

/// A submission for whose result the running fiber waits, and for nothing else. It is on that fiber's stack.
///
/// An [`InFlight`] and a wait in its Coordinator's queue, in a third of the steps: the completion wakes the fiber, and so does a kill.
/// Which of them it was, the fiber sees when it runs.
pub(crate) struct Awaited {
    /// `PENDING` until the last completion.
    result: Cell<i32>,
    user_data: Cell<u64>,
    fiber: *const Fiber,
    scheduler: *const Scheduler,
    _pinned: PhantomPinned,
}

/// No operation's result: the one that cannot be negated (see `Uring::reap`).
const PENDING: i32 = i32::MIN;

// SAFETY: `Awaited::launch`'s caller keeps it in place until `Awaited::result` has returned, which is after the last completion.
unsafe impl Completion for Awaited {
    #[inline]
    fn complete(&self, result: i32, _flags: u32, last: bool) {
        if last {
            self.result.set(result);
            // SAFETY: the fiber waits for this, so it has not ended, and its scheduler is there, whose thread this is.
            unsafe { (*self.scheduler).unpark(&*self.fiber) };
        }
    }
}

impl Awaited {
    /// Of the running fiber.
    #[inline(always)]
    pub(crate) fn new(cooperator: &Cooperator) -> Self {
        let scheduler = &cooperator.scheduler;
        Awaited {
            result: Cell::new(PENDING),
            user_data: Cell::new(0),
            fiber: scheduler.running(),
            scheduler,
            _pinned: PhantomPinned,
        }
    }

    /// Pushes `sqe`, and does all of a wait but the switch, and [`result`](Awaited::result), which come next. Right after
    /// [`task::begin`].
    ///
    /// To be inlined into a function that returns before the switch: one that returns after it returns to where the processor predicts
    /// that the task before would.
    ///
    /// # Safety
    /// This, and all memory that `sqe` names, stay in place until `result` has returned. Called once, by the running fiber.
    #[inline(always)]
    pub(crate) unsafe fn launch(
        &self,
        cooperator: &Cooperator,
        sqe: Sqe,
        reason: Reason,
        place: &'static Location<'static>,
    ) -> Stopped {
        let scheduler = &cooperator.scheduler;
        let fiber = scheduler.running_fiber();
        debug_assert!(!fiber.is_killed());
        fiber.wait_for(reason, place, scheduler.pass_time.get());
        // SAFETY: the caller's promise.
        let user_data = match unsafe { cooperator.submit_quickly(sqe, self) } {
            Some(user_data) => user_data,
            // A copy, for which there is memory here only.
            // SAFETY: as above.
            None => return unsafe { self.launch_by_calls(cooperator, &{ sqe }) },
        };
        self.user_data.set(user_data);
        scheduler.stop_here(true)
    }

    /// The rest of [`launch`](Awaited::launch), however many steps it takes.
    ///
    /// # Safety
    /// As there.
    #[inline(never)]
    unsafe fn launch_by_calls(&self, cooperator: &Cooperator, sqe: &Sqe) -> Stopped {
        // SAFETY: the caller's promise.
        self.user_data.set(unsafe { cooperator.submit(*sqe, self) });
        cooperator.scheduler.stop_here(true)
    }

    /// What came of it, after the switch: a result that raced a kill is delivered, and only an operation that the cancel stopped before
    /// it had an effect is `Killed`.
    #[inline(always)]
    pub(crate) fn result(&self, cooperator: &Cooperator, place: &'static Location<'static>) -> Result<i32, Killed> {
        let result = self.result.get();
        if result >= 0 { Ok(result) } else { self.result_otherwise(cooperator, place) }
    }

    /// It has failed, or is not over: something else has woken the fiber.
    #[cold]
    #[inline(never)]
    fn result_otherwise(&self, cooperator: &Cooperator, place: &'static Location<'static>) -> Result<i32, Killed> {
        let fiber = cooperator.scheduler.running_fiber();
        let mut is_cancelled = false;
        loop {
            if self.result.get() != PENDING {
                let result = answer(self.result.get());
                return match is_cancelled && is_of_a_cancel(result) {
                    true => Err(task::delivered(cooperator)),
                    false => Ok(result),
                };
            }
            if !is_cancelled && fiber.is_killed() {
                cooperator.cancel(self.user_data.get());
                is_cancelled = true;
                fiber.wait_for(Reason::new("drain"), place, cooperator.scheduler.pass_time.get());
            }
            cooperator.scheduler.park(!is_cancelled);
        }
    }
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
    let fiber = cooperator.scheduler.running_fiber();
    // Another wait may have come between this and the beginning of the call.
    if fiber.is_killed() {
        return Err(task::refuse(cooperator));
    }
    fiber.wait_for(reason, place, cooperator.scheduler.pass_time.get());
    let awaited = Awaited::new(cooperator);
    // SAFETY: this frame is left only when the flight is over: when there is a result. The rest is the caller's promise.
    unsafe { awaited.launch_by_calls(cooperator, &sqe).switch() };
    awaited.result(cooperator, place)
}
