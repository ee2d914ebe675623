//! Regions that kills from outside do not reach for a while.

use super::Task;
use super::tree::{Kind, Node};
use crate::cooperator::Cooperator;
use crate::timers::Timer;
use std::marker::PhantomPinned;
use std::time::Duration;

#[repr(C)]
struct Region {
    /// First: the timer's callback finds the region by it.
    timer: Timer,
    node: Node,
    _pinned: PhantomPinned,
}

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
    struct Inside<'a>(&'a Region);
    impl Drop for Inside<'_> {
        fn drop(&mut self) {
            self.0.timer.stop();
            self.0.node.leave();
        }
    }

    let cooperator = Cooperator::required();
    // SAFETY: `open` finds the region around its timer; only this timer is given to it.
    let region = Region { timer: unsafe { Timer::new(open) }, node: Node::new(Kind::Shield), _pinned: PhantomPinned };
    let nanos = u64::try_from(grace.as_nanos()).unwrap_or(u64::MAX);
    region.node.set_grace(&region.timer, cooperator.clock.now().saturating_add(nanos));
    // SAFETY: the region stays on this frame until `inside` has taken it off again.
    unsafe { region.node.enter(Task::running(cooperator)) };
    let inside = Inside(&region);
    if grace.is_zero() {
        region.node.open(cooperator);
    }
    let result = f();
    drop(inside);
    result
}

/// # Safety
/// `timer` is the first field of a `Region` that is alive.
unsafe fn open(timer: *const Timer) {
    // SAFETY: the caller's promise.
    let region = unsafe { &*timer.cast::<Region>() };
    if let Some(cooperator) = Cooperator::current() {
        region.node.open(cooperator);
    }
}
