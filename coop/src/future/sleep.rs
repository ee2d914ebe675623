//! A moment in time as a future.
//!
//! hyper wants such futures to be `Send` and `Sync`, but a timer belongs to its thread. So the two sides share a box: the timer
//! wheel has a reference to it for as long as the timer runs, and the future another, which may go anywhere. What it asks from
//! another thread goes home through the inbox.

use super::outside;
use crate::cooperator::Cooperator;
use crate::inbox::BackDoor;
use crate::timers::Timer;
use std::cell::Cell;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{Ordering, fence};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

/// A future that is ready when `duration` has passed on the Cooperator's clock, counted from this call. Not a wait point.
///
/// ```
/// use coop::{block_on, future};
/// use std::time::{Duration, Instant};
/// coop::run(|| -> Result<(), coop::Killed> {
///     let start = Instant::now();
///     block_on(future::sleep(Duration::from_millis(5)))?;
///     assert!(start.elapsed() >= Duration::from_millis(5));
///     Ok(())
/// }).unwrap();
/// ```
///
/// # Panics
/// On a thread without a Cooperator, and when the process has no descriptor left for the first call of a Cooperator.
#[track_caller]
pub fn sleep(duration: Duration) -> Sleep {
    let cooperator = Cooperator::required();
    let home = match cooperator.open_inbox() {
        Ok(inbox) => inbox.back_door(),
        Err(error) => panic!("a timer needs a way to its thread: {error}"),
    };
    // SAFETY: `fire` finds the state around its timer; only this timer is given to it.
    let timer = unsafe { Timer::new(fire) };
    let state = Arc::new(State {
        timer,
        is_running: Cell::new(false),
        cooperator: cooperator.id,
        home,
        moment: Mutex::new(Moment { is_over: duration.is_zero(), waker: None }),
    });
    if !duration.is_zero() {
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        let running = Arc::into_raw(state.clone());
        state.is_running.set(true);
        // SAFETY: the reference keeps the state in place until the timer has fired or was stopped, both of which happen on this
        // thread, and release it. Should the Cooperator go first, the future's drop does that.
        unsafe { cooperator.timers.start(&(*running).timer, cooperator.clock.now().saturating_add(nanos)) };
    }
    Sleep { state }
}

/// The future of [`sleep`]. It may be polled on other threads too; dropping it stops the timer.
///
/// It ends with the Cooperator that it was made on: from then on it is never ready.
#[must_use = "futures do nothing unless polled"]
pub struct Sleep {
    state: Arc<State>,
}

#[repr(C)]
struct State {
    /// First: the timer's callback finds the rest by it. Touched at home only.
    timer: Timer,
    /// The wheel has a reference to this. Touched at home only.
    is_running: Cell<bool>,
    /// The number of the Cooperator whose timer it is.
    cooperator: u64,
    home: BackDoor,
    moment: Mutex<Moment>,
}

struct Moment {
    is_over: bool,
    waker: Option<Waker>,
}

// SAFETY: timer and `is_running` are touched on their Cooperator's thread only, as `is_home` or a job of its inbox says; while the
// timer runs the wheel's reference keeps the state from being dropped elsewhere, and a stopped timer's drop touches nothing. When the
// Cooperator has ended, whoever drops the future touches them, and nobody else.
unsafe impl Send for State {}
// SAFETY: as above; the rest is behind a lock.
unsafe impl Sync for State {}

impl State {
    fn moment(&self) -> MutexGuard<'_, Moment> {
        // No code of the user's runs under the lock.
        self.moment.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_home(&self) -> bool {
        Cooperator::current().is_some_and(|cooperator| cooperator.id == self.cooperator)
    }

    /// Stops the timer, at home.
    fn stop(&self) {
        if self.is_running.take() {
            self.timer.stop();
            // SAFETY: the wheel's reference; it has let go of the timer.
            unsafe { Arc::decrement_strong_count(self) };
        }
    }

    /// The Cooperator has ended, with the wheel.
    fn outlive(&self) {
        // That it has ended may be all that is known of it: what it did before is to be seen, too.
        fence(Ordering::Acquire);
        if self.is_running.take() {
            self.timer.outlive();
            // SAFETY: the wheel's reference; it is gone.
            unsafe { Arc::decrement_strong_count(self) };
        }
    }
}

/// A job that stops the timer; or, where nobody does it any more, forgets the wheel: a Cooperator that takes no more jobs fires no more
/// timers.
struct Stop(Arc<State>);

impl Drop for Stop {
    fn drop(&mut self) {
        if self.0.is_home() { self.0.stop() } else { self.0.outlive() }
    }
}

/// # Safety
/// `timer` is that of a state to which the wheel has a reference, and has fired.
unsafe fn fire(timer: *const Timer) {
    // SAFETY: the caller's promise; the wheel's reference passes to here.
    let state = unsafe { Arc::from_raw(timer.cast::<State>()) };
    state.is_running.set(false);
    let waker = {
        let mut moment = state.moment();
        moment.is_over = true;
        moment.waker.take()
    };
    if let Some(waker) = waker {
        outside::wake(waker);
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        {
            let moment = self.state.moment();
            if moment.is_over {
                return Poll::Ready(());
            }
            if moment.waker.as_ref().is_some_and(|waker| waker.will_wake(context.waker())) {
                return Poll::Pending;
            }
        }
        // What a Waker's clone and drop do is the user's.
        let waker = context.waker().clone();
        let before = {
            let mut moment = self.state.moment();
            if moment.is_over { Some(waker) } else { moment.waker.replace(waker) }
        };
        drop(before);
        // If it has passed meanwhile, on its own thread.
        if self.state.moment().is_over { Poll::Ready(()) } else { Poll::Pending }
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        let (waker, is_over) = {
            let mut moment = self.state.moment();
            (moment.waker.take(), moment.is_over)
        };
        if self.state.is_home() {
            self.state.stop();
        } else if !is_over {
            let stop = Stop(self.state.clone());
            drop(self.state.home.push(Box::new(move || drop(stop))));
        }
        drop(waker);
    }
}

impl fmt::Debug for Sleep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sleep").field("is_over", &self.state.moment().is_over).finish()
    }
}
