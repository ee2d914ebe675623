//! Regions that kills from outside do not reach for a while.

use super::Task;
use super::tree::Mask;
use crate::cooperator::Cooperator;
use crate::timers::Timer;
use std::mem::offset_of;
use std::time::Duration;

/// Runs `f`, whose waits do not see kills from outside for at most `grace`, counted from here: for cleanup that must wait.
///
/// Deadlines and scopes inside `f` work as ever. When the grace is over, a kill that came before or comes later takes effect
/// inside too. Masks nest. Not a wait point by itself.
///
/// ```
/// use std::time::Duration;
/// coop::run(|| {
///     let mut task = coop::spawn(|| {
///         let killed = coop::sleep(Duration::from_secs(3600)).is_err();
///         let tidied = coop::shield(Duration::from_secs(5), || coop::sleep(Duration::from_millis(1)).is_ok());
///         (killed, tidied, coop::killed())
///     });
///     coop::yield_now().unwrap();
///     task.kill();
///     assert_eq!(task.join().unwrap(), (true, true, true));
/// });
/// ```
///
/// # Panics
/// On a thread without a Cooperator.
#[track_caller]
pub fn shield<T>(grace: Duration, f: impl FnOnce() -> T) -> T {
    /// Takes the frame off however `f` ends. Waits for nothing.
    struct Inside<'a>(&'a Mask);
    impl Drop for Inside<'_> {
        fn drop(&mut self) {
            self.0.timer.stop();
            self.0.node.leave();
        }
    }

    let cooperator = Cooperator::required();
    let nanos = u64::try_from(grace.as_nanos()).unwrap_or(u64::MAX);
    // SAFETY: `open` finds the mask around its timer; only this timer is given to it.
    let mask = Mask::new(unsafe { Timer::new(open) }, cooperator.clock.now().saturating_add(nanos));
    // SAFETY: the mask stays on this frame until `inside` has taken it off again.
    unsafe { mask.node.enter(Task::running(cooperator)) };
    let inside = Inside(&mask);
    if grace.is_zero() {
        mask.node.open(cooperator);
    }
    let result = f();
    drop(inside);
    result
}

/// # Safety
/// `timer` is that of a `Mask` that is alive.
unsafe fn open(timer: *const Timer) {
    // SAFETY: the caller's promise.
    let mask = unsafe { &*timer.byte_sub(offset_of!(Mask, timer)).cast::<Mask>() };
    if let Some(cooperator) = Cooperator::current() {
        mask.node.open(cooperator);
    }
}
