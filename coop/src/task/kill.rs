//! Being killed, from the inside: asking, checking, giving way, and the refusal of a wait.

use super::{Task, wait};
use crate::cooperator::Cooperator;
use crate::error::{Cause, Killed};
use crate::fiber::Reason;
use crate::scheduler::Forbidden;
use crate::sys;
use std::panic::Location;

/// After this many refused waits in a row a task is reported: something in it swallows its kill.
const REPORTED_AFTER: u32 = 10_000;

/// Refuses a wait of the running task, which is killed or unwinding. A killed one gives way, so that a loop that retries
/// cannot freeze the thread; an unwinding one must not switch.
#[cold]
#[track_caller]
pub(crate) fn refuse(cooperator: &Cooperator) -> Killed {
    let task = Task::running(cooperator);
    if std::thread::panicking() {
        return Killed { cause: Cause::Unwinding, task: task.id };
    }
    let killed = wait::delivered(cooperator);
    pass(cooperator, task, &killed);
    killed
}

/// The same of a wait for what may have come meanwhile: it was told of the kill only if there is nothing to take.
#[cold]
#[track_caller]
pub(crate) fn refuse_unless<T>(cooperator: &Cooperator, taken: impl FnOnce() -> Option<T>) -> Result<T, Killed> {
    let task = Task::running(cooperator);
    if std::thread::panicking() {
        return taken().ok_or(Killed { cause: Cause::Unwinding, task: task.id });
    }
    let (origin, killed) = (task.origin.get(), task.killed().expect("only called when killed"));
    pass(cooperator, task, &killed);
    taken().ok_or_else(|| {
        // SAFETY: an origin is this task's or an ancestor's node, which outlive it.
        if let Some(origin) = unsafe { origin.as_ref() } {
            origin.set_delivered();
        }
        killed
    })
}

/// Counts a refusal, and gives way.
fn pass(cooperator: &Cooperator, task: &Task, killed: &Killed) {
    let refusals = task.fiber.refusals.get().saturating_add(1);
    task.fiber.refusals.set(refusals);
    cooperator.counters.refused.add(1);
    if refusals == REPORTED_AFTER {
        let backtrace = match task.has_room_for_backtrace() {
            true => std::backtrace::Backtrace::force_capture().to_string(),
            false => "(too little of its stack is left for a backtrace)".to_owned(),
        };
        sys::say(format_args!(
            "coop: task {} '{}' was killed ({}) and has since waited {refusals} times: something ignores the error\n{backtrace}",
            task.id, task.name, killed.cause
        ));
    }
    if !cooperator.scheduler.is_switching_forbidden() {
        task.fiber.reason.set(Reason::new("refused wait"));
        cooperator.scheduler.give_way();
    }
}

/// Returns `Err(Killed)` if the task was killed, and does nothing else. Not a wait point when it returns `Ok`.
///
/// ```
/// # fn work(_: u32) {}
/// fn crunch() -> Result<(), coop::Killed> {
///     for piece in 0..100 {
///         coop::checkpoint()?;
///         work(piece);
///     }
///     Ok(())
/// }
/// coop::run(crunch).unwrap();
/// ```
///
/// # Panics
/// On a thread without a Cooperator.
#[inline]
#[track_caller]
pub fn checkpoint() -> Result<(), Killed> {
    wait::begin().map(drop)
}

/// Lets every other ready task run, and the loop look at I/O and timers in its turn. A wait point; kill-checked.
///
/// ```
/// coop::run(|| -> Result<(), coop::Killed> { coop::yield_now() }).unwrap();
/// ```
///
/// # Panics
/// On a thread without a Cooperator.
#[inline]
#[track_caller]
pub fn yield_now() -> Result<(), Killed> {
    let cooperator = wait::begin()?;
    if cfg!(debug_assertions) {
        let fiber = &Task::running(cooperator).fiber;
        fiber.reason.set(Reason::new("yield"));
        fiber.place.set(Location::caller());
        cooperator.scheduler.show(fiber);
    }
    cooperator.scheduler.give_way();
    Ok(())
}

/// Whether the task's next wait will be refused. Not a wait point. Always false on a thread without a Cooperator.
///
/// ```
/// coop::run(|| assert!(!coop::killed()));
/// ```
pub fn killed() -> bool {
    kill_cause().is_some()
}

/// Why the task's next wait will be refused, if it will. Not a wait point. `None` on a thread without a Cooperator.
///
/// ```
/// coop::run(|| assert_eq!(coop::kill_cause(), None));
/// ```
pub fn kill_cause() -> Option<Killed> {
    Cooperator::current().and_then(|cooperator| Task::running(cooperator).killed())
}

/// Whether the next wait will be refused: because of a kill, or because a panic unwinds.
pub(crate) fn is_refused() -> bool {
    killed() || std::thread::panicking()
}

/// Runs `f`, in which any wait aborts the process and prints where it was made.
///
/// For code that keeps something of the *thread* open: a reference from a `thread_local!`, a C callback. Other tasks of the
/// thread would find it open.
///
/// ```
/// coop::run(|| {
///     let sum = coop::no_switch(|| (1..=10).sum::<u32>());
///     assert_eq!(sum, 55);
/// });
/// ```
#[track_caller]
pub fn no_switch<R>(f: impl FnOnce() -> R) -> R {
    struct Region(Option<(&'static Cooperator, Option<Forbidden>)>);
    impl Drop for Region {
        fn drop(&mut self) {
            if let Some((cooperator, outer)) = self.0 {
                cooperator.scheduler.allow_switching(outer);
            }
        }
    }
    let place = Location::caller();
    let _region = Region(Cooperator::current().map(|cooperator| {
        let task = Task::running(cooperator).name;
        (cooperator, cooperator.scheduler.forbid_switching(Forbidden::Region { task, place }))
    }));
    f()
}
