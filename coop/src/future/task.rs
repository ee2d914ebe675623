//! A task as a future.

use crate::cooperator::Cooperator;
use crate::error::JoinError;
use crate::task::{self, JoinHandle, Task};
use std::cell::{Cell, RefCell};
use std::fmt;
use std::future::Future;
use std::panic::{AssertUnwindSafe, Location, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

/// Runs `f`, which may call whatever blocks a task, as a child of the running task, and gives a future of what it returns.
///
/// The child is queued at once, and runs whether the future is polled or not. Dropping the future kills the child, and does not
/// wait for it: who awaits it is the task that called this, before it ends.
///
/// ```
/// use coop::{block_on, future, net::UnixStream};
/// use std::io;
/// coop::run(|| -> io::Result<()> {
///     let (ours, theirs) = UnixStream::pair()?;
///     let greeting = block_on(async {
///         let received = future::in_task(move || -> io::Result<[u8; 5]> {
///             let mut buf = [0; 5];
///             ours.recv_exact(&mut buf)?;               // blocks the child, not the future
///             Ok(buf)
///         });
///         theirs.send_all(b"hello")?;
///         received.await.expect("it does not panic")
///     })??;
///     assert_eq!(&greeting, b"hello");
///     Ok(())
/// }).unwrap();
/// ```
///
/// Not a wait point; polling the future is none either.
///
/// # Errors
/// The future's output is an error when the child was born killed ([`NeverRan`](JoinError::NeverRan)) or has
/// [`Panicked`](JoinError::Panicked); and, polled once more after its output, [`AlreadyJoined`](JoinError::AlreadyJoined).
///
/// # Panics
/// On a thread without a Cooperator.
#[track_caller]
pub fn in_task<F, R>(f: F) -> TaskFuture<R>
where
    F: FnOnce() -> R + 'static,
    R: 'static,
{
    let end = Rc::new(End { result: RefCell::new(None), waker: Cell::new(None), is_wanted: Cell::new(true) });
    let (reporter, place) = (Reporter(end.clone()), Location::caller());
    let handle = task::spawn(move || reporter.run(f, place));
    TaskFuture { handle: Some(handle), end }
}

/// The future that [`in_task`] gives. Dropping it kills the task.
#[must_use = "dropping it kills the task"]
pub struct TaskFuture<R> {
    /// `None` once the result was taken.
    handle: Option<JoinHandle<()>>,
    end: Rc<End<R>>,
}

/// Where the task leaves its result.
struct End<R> {
    result: RefCell<Option<Result<R, JoinError>>>,
    waker: Cell<Option<Waker>>,
    /// The future is still there.
    is_wanted: Cell<bool>,
}

impl<R> End<R> {
    fn report(&self, result: Result<R, JoinError>) {
        self.result.replace(Some(result));
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

/// The task's side. Dropped unused, it says that the task never ran.
struct Reporter<R>(Rc<End<R>>);

impl<R> Reporter<R> {
    fn run(self, f: impl FnOnce() -> R, place: &'static Location<'static>) {
        let result = catch_unwind(AssertUnwindSafe(f));
        // The children first, as at the end of every task: the result is not given before.
        let cooperator = Cooperator::required();
        let node = &Task::running(cooperator).node;
        match &result {
            Ok(_) => node.kill_daemons(cooperator),
            Err(_) => task::caught_panic(cooperator),
        }
        node.await_children(cooperator, place);
        match result {
            // A panic of which nobody will hear.
            Err(payload) if !self.0.is_wanted.get() => resume_unwind(payload),
            result => self.0.report(result.map_err(JoinError::Panicked)),
        }
    }
}

impl<R> Drop for Reporter<R> {
    fn drop(&mut self) {
        let has_reported = self.0.result.borrow().is_some();
        if !has_reported && self.0.is_wanted.get() {
            self.0.report(Err(JoinError::NeverRan));
        }
    }
}

impl<R> TaskFuture<R> {
    /// Kills the task, and everything below it. The future goes on: its output is what the task returns nevertheless. Not a wait
    /// point.
    #[track_caller]
    pub fn kill(&self) {
        if let Some(handle) = &self.handle {
            handle.kill();
        }
    }
}

impl<R> Future for TaskFuture<R> {
    type Output = Result<R, JoinError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if let Some(result) = self.end.result.take() {
            self.end.is_wanted.set(false);
            self.handle = None;
            return Poll::Ready(result);
        }
        if self.handle.is_none() {
            return Poll::Ready(Err(JoinError::AlreadyJoined));
        }
        // What goes may be a user's, with a drop that ends the task meanwhile: so it goes before the task is looked at again.
        drop(self.end.waker.replace(Some(context.waker().clone())));
        let has_ended = self.end.result.borrow().is_some();
        if has_ended { self.poll(context) } else { Poll::Pending }
    }
}

impl<R> Drop for TaskFuture<R> {
    #[track_caller]
    fn drop(&mut self) {
        self.end.is_wanted.set(false);
        self.kill();
        if let Some(Err(JoinError::Panicked(payload))) = self.end.result.take()
            && Cooperator::current().is_some()
        {
            // Nobody has heard of it: that is dealt with as for any task.
            drop(task::spawn(move || resume_unwind(payload)));
        }
    }
}

impl<R> fmt::Debug for TaskFuture<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TaskFuture").field(&self.handle).finish()
    }
}
