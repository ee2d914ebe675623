//! Futures spawned as tasks.

use super::block_on;
use crate::error::Killed;
use crate::runtime::{Remote, RemoteJoinHandle};
use crate::task::{Description, JoinHandle, Options, TaskBuilder};
use std::future::Future;

static FUTURE: Description = Description::new("future", "", "", 0, None);

/// Spawns futures as tasks, for libraries that want an executor: each is a child of the task that spawns it, in which
/// [`block_on`](crate::block_on) runs it.
///
/// On the thread of its Cooperator a future need not be `Send`. For other threads there is
/// [`Remote::spawn_future`](crate::Remote::spawn_future). With the feature `hyper` both are a `hyper::rt::Executor`.
///
/// ```
/// use coop::{future::Executor, TaskBuilder};
/// use std::{cell::Cell, rc::Rc};
/// coop::run(|| {
///     let count = Rc::new(Cell::new(0));
///     let executor = Executor::of(TaskBuilder::new().name("counter").stack(64 * 1024));
///     let mut tasks = [1, 2, 3].map(|n| {
///         let count = count.clone();
///         executor.spawn(async move { count.set(count.get() + n) })
///     });
///     for task in &mut tasks {
///         task.join().unwrap().unwrap();
///     }
///     assert_eq!(count.get(), 6);
/// });
/// ```
///
/// A task does not end before its children have: one whose futures may go on for ever spawns them with
/// [`daemon`](crate::TaskBuilder::daemon), so that its end kills them.
#[derive(Clone, Copy, Debug, Default)]
pub struct Executor {
    task: TaskBuilder,
}

impl Executor {
    /// An executor whose tasks are as those of [`spawn`](crate::spawn).
    pub const fn new() -> Self {
        Self::of(TaskBuilder::new())
    }

    /// An executor whose tasks are as `task` says.
    pub const fn of(task: TaskBuilder) -> Self {
        Executor { task }
    }

    /// Spawns a future. Not a wait point. The task's value is the future's output, or the kill that ended it.
    ///
    /// # Panics
    /// On a thread without a Cooperator.
    #[track_caller]
    pub fn spawn<F>(&self, future: F) -> JoinHandle<Result<F::Output, Killed>>
    where
        F: Future + 'static,
    {
        self.task.spawn(move || block_on(future))
    }
}

impl Remote {
    /// Spawns a future as a child of the Cooperator's root task. Not a wait point; may be called from any thread. The task's
    /// value is the future's output, or the kill that ended it.
    ///
    /// ```
    /// coop::run(|| {
    ///     let remote = coop::remote().unwrap();
    ///     let (tx, rx) = async_channel::bounded(1);
    ///     let thread = std::thread::spawn(move || {
    ///         let mut task = remote.spawn_future(async move { rx.recv().await }).map_err(drop).unwrap();
    ///         task.join().unwrap()
    ///     });
    ///     coop::block_on(tx.send(7)).unwrap().unwrap();
    ///     assert_eq!(coop::unblock(|| thread.join().unwrap()).unwrap(), Ok(Ok(7)));
    /// });
    /// ```
    ///
    /// # Errors
    /// The future itself, from a Cooperator that has finished.
    #[track_caller]
    pub fn spawn_future<F>(&self, future: F) -> Result<RemoteJoinHandle<Result<F::Output, Killed>>, F>
    where
        F: Future<Output: Send> + Send + 'static,
    {
        crate::runtime::submit(self, &FUTURE, Options::new(), future, block_on)
    }
}
