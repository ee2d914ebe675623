//! Waking from the loop's stack, where no code of the user's may run: what a foreign Waker does, and what its drop does, is left
//! to a task.

use super::waker::is_ours;
use crate::cooperator::Cooperator;
use crate::fiber::State;
use crate::task::{self, Description, Options, Task};
use crate::timers::Timer;
use std::cell::Cell;
use std::task::Waker;

static WAKER: Description = Description::new("waker", "", "", 0, None);

/// How long to wait for a stack when there is none to be had.
const RETRY: u64 = 1_000_000;

/// Wakes, when it is dropped: also as the closure of a task that was born killed.
struct Wakes(Option<Waker>);

impl Drop for Wakes {
    fn drop(&mut self) {
        if let Some(waker) = self.0.take() {
            waker.wake();
        }
    }
}

/// Wakes `waker`. For the loop's stack. The Wakers of `block_on` are woken at once; for another a task is spawned below the root.
pub(super) fn wake(waker: Waker) {
    if is_ours(&waker) {
        waker.wake();
        return;
    }
    let wakes = Wakes(Some(waker));
    spawn(move || drop(wakes));
}

fn spawn(f: impl FnOnce() + 'static) {
    let Some(cooperator) = Cooperator::current() else {
        std::mem::forget(f);
        return;
    };
    // SAFETY: the root is set before the loop delivers anything, and its record stays until the loop has ended.
    let root = unsafe { &*cooperator.root.get().cast::<Task>() };
    if root.fiber.state.get() == State::Ended {
        // Nothing can run any more, and this is no place to drop it. Only what was forgotten is still in flight then.
        std::mem::forget(f);
    } else if let Err(f) = task::spawn_under(root, &WAKER, Options::new(), f) {
        Later::start(cooperator, Box::new(f));
    }
}

/// A wake-up for which there was no stack.
#[repr(C)]
struct Later {
    /// First: the timer's callback finds the rest by it.
    timer: Timer,
    f: Cell<Option<Box<dyn FnOnce()>>>,
}

impl Later {
    fn start(cooperator: &Cooperator, f: Box<dyn FnOnce()>) {
        // SAFETY: `fire` finds the box around its timer; only this timer is given to it.
        let timer = unsafe { Timer::new(Self::fire) };
        let later = Box::leak(Box::new(Later { timer, f: Cell::new(Some(f)) }));
        // SAFETY: the box stays until the timer has fired, which frees it.
        unsafe { cooperator.timers.start(&later.timer, cooperator.clock.now().saturating_add(RETRY)) };
    }

    /// # Safety
    /// `timer` is that of a leaked box, and has fired.
    unsafe fn fire(timer: *const Timer) {
        // SAFETY: the caller's promise.
        let later = unsafe { Box::from_raw(timer.cast_mut().cast::<Later>()) };
        if let Some(f) = later.f.take() {
            spawn(f);
        }
    }
}
