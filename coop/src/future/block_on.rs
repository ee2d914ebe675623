//! A future run by a task, on the task's own stack.

use super::waker::{Borrowed, Shared};
use crate::cooperator::Cooperator;
use crate::coordinator::{Coordinated, Settled, Wait};
use crate::error::{Cause, Killed, TaskId};
use crate::fiber::Reason;
use crate::scheduler::Scheduler;
use crate::task::{self, Task};
use std::future::IntoFuture;
use std::panic::Location;
use std::pin::pin;
use std::task::{Context, Poll};

const REASON: Reason = Reason::new("block_on");

/// Runs a future to its end, and gives its output. Only this task waits: while the future is pending the others run.
///
/// The future is polled on the task's own stack, where it is also pinned: it need neither be `Send` nor `'static`, and may
/// itself call what blocks the task. Its Waker is good on any thread, and costs no system call on this one. A call makes one
/// allocation.
///
/// ```
/// coop::run(|| -> Result<(), coop::Killed> {
///     let (tx, rx) = async_channel::bounded(1);
///     let text = String::from("from another thread");
///     let thread = std::thread::spawn(move || tx.send_blocking(6 * 7));
///     let length = coop::block_on(async { text.len() + rx.recv().await.unwrap() })?;
///     assert_eq!(length, 61);
///     thread.join().unwrap().unwrap();
///     Ok(())
/// }).unwrap();
/// ```
///
/// A wait point; kill-checked. A kill drops the future, here on the task; one that was woken before is polled once more, and
/// its output, if it is ready, is given after all. So [`timeout`](crate::timeout) and [`deadline`](crate::deadline) bound what a
/// future waits for, whoever wrote it. To go on later with a future that a deadline has stopped, lend it:
///
/// ```
/// use coop::{Killed, TimedOut, block_on};
/// use std::{pin::pin, time::Duration};
/// #[derive(Debug, PartialEq)]
/// enum Stopped { Killed, TimedOut }
/// # impl From<Killed> for Stopped { fn from(_: Killed) -> Self { Stopped::Killed } }
/// # impl From<TimedOut> for Stopped { fn from(_: TimedOut) -> Self { Stopped::TimedOut } }
/// coop::run(|| {
///     let (tx, rx) = async_channel::bounded(1);
///     let mut message = pin!(rx.recv());
///     let first = coop::timeout(Duration::from_millis(1), || Ok(block_on(message.as_mut())?));
///     assert_eq!(first, Err(Stopped::TimedOut));
///     tx.try_send("late").unwrap();
///     assert_eq!(block_on(message), Ok(Ok("late")));
/// });
/// ```
///
/// A future that wakes itself gives way to the other tasks before it is polled again. Its panic goes on here.
///
/// As long as somebody has a clone of the Waker of a pending future, that counts as somebody who may wake the task: the
/// Cooperator is not deadlocked. When nobody has, and nothing else can happen, it is.
///
/// # Errors
/// `Killed`; with the cause [`Resources`](Cause::Resources) also where the process has no descriptor left for the first call of
/// a Cooperator, and in a process that a task has forked. Then the future was never polled.
///
/// # Panics
/// With the panic of the future; and on a thread without a Cooperator.
#[track_caller]
pub fn block_on<F: IntoFuture>(future: F) -> Result<F::Output, Killed> {
    if Cooperator::current().is_none() && Scheduler::is_in_forked_child() {
        // The task goes on in the parent.
        return Err(Killed { cause: Cause::Resources, task: TaskId(0) });
    }
    let cooperator = task::begin()?;
    let fiber = &Task::running(cooperator).fiber;
    let place = Location::caller();
    let inbox = match cooperator.open_inbox() {
        Ok(inbox) => inbox.back_door(),
        Err(_) => return Err(Killed { cause: Cause::Resources, task: Task::running(cooperator).id }),
    };
    let shared = Shared::new(cooperator.id, inbox);
    let call = Call(&shared);
    let waker = Borrowed::new(&shared);
    let mut context = Context::from_waker(&waker);
    let mut future = pin!(future.into_future());
    let mut is_last = false;
    loop {
        shared.state.begin_poll();
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            cooperator.scheduler.spend_call();
            return Ok(output);
        }
        if is_last {
            return Err(task::delivered(cooperator));
        }
        if shared.state.park() {
            let settled = call.wait(cooperator, place);
            // Woken from another thread in the moment of the kill: what woke it may have made it ready.
            if settled == Settled::Killed && !shared.state.end() {
                return Err(task::delivered(cooperator));
            }
            is_last = settled == Settled::Killed;
        } else if fiber.is_killed() {
            is_last = true;
        } else if !cooperator.scheduler.is_switching_forbidden() {
            fiber.reason.set(REASON);
            fiber.place.set(place);
            cooperator.scheduler.give_way();
        }
    }
}

/// Until it is dropped, wakes are wanted.
struct Call<'a>(&'a Shared);

impl Call<'_> {
    /// Waits until the future was woken, or the task killed.
    fn wait(&self, cooperator: &Cooperator, place: &'static Location<'static>) -> Settled {
        let news = &self.0.news;
        // After an earlier round it may be free.
        news.take();
        let entry = Coordinated::new();
        let wait = Wait::new(&cooperator.scheduler);
        // SAFETY: entry and wait stay on this frame until `wait`, dropped first, has unlinked the entry.
        unsafe { wait.enlist(news, &entry, 0) };
        // Whoever has a clone may be on another thread.
        self.0.count(cooperator);
        let settled = wait.park(&cooperator.scheduler, true, REASON, place);
        self.0.discount(cooperator);
        settled
    }
}

impl Drop for Call<'_> {
    fn drop(&mut self) {
        self.0.state.end();
    }
}
