//! The other end of a task on another thread.

use super::line::Line;
use crate::chan::RecvError;
use crate::chan::passage::{self, Crossing, Receiving, passage};
use crate::cooperator::Cooperator;
use crate::coordinator::Wait;
use crate::error::{Cause, JoinError};
use crate::handle::{Arm, Readiness, Sealed};
use crate::task::Task;
use std::fmt;
use std::panic::Location;
use std::ptr;
use std::sync::{Arc, Mutex, PoisonError};

/// Owns the value of a task on another thread. The panic of a task whose handle was dropped before is one that nobody joins. Until
/// the value was taken the handle can [kill](Self::kill) the task, and so counts as a [`Remote`](crate::Remote): its Cooperator is
/// not deadlocked.
///
/// It is an arm of [`select!`](crate::select): `&mut handle`.
///
/// ```
/// use coop::{Builder, op};
/// use std::time::Duration;
/// coop::run(|| -> Result<(), coop::Killed> {
///     let storage = Builder::new().name("storage").start().unwrap();
///     let mut flush = storage.remote().submit(|| coop::sleep(Duration::MAX)).map_err(drop).unwrap();
///     coop::select! {
///         _ = &mut flush => unreachable!(),
///         _ = op::after(Duration::from_millis(1)) => flush.kill(),
///     }?;
///     assert!(flush.join().unwrap().is_err(), "it was killed");
///     Ok(())
/// }).unwrap();
/// ```
pub struct RemoteJoinHandle<R> {
    end: passage::Receiver<Result<R, JoinError>>,
    is_taken: bool,
    /// The task, and a way to its thread, until the result was taken. `None`: what ends is no task.
    reach: Option<(Arc<Reach>, Line)>,
}

/// How a task is found from other threads.
pub(super) struct Reach {
    /// The task, from its start to its end: only its own thread sets it, and follows it.
    task: Mutex<Place>,
}

/// The address of a task. Null: it has not begun, or has ended.
struct Place(*const Task);

// SAFETY: an address; it is followed on the task's thread only.
unsafe impl Send for Place {}

impl Reach {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Reach { task: Mutex::new(Place(ptr::null())) })
    }

    fn set(&self, task: *const Task) {
        self.task.lock().unwrap_or_else(PoisonError::into_inner).0 = task;
    }

    /// On the task's thread, before it runs.
    pub(super) fn task_begins(&self, task: *const Task) {
        self.set(task);
    }

    fn kill(self: Arc<Self>, line: &Line, place: &'static Location<'static>) {
        // A Cooperator that has finished gives it back: there is nothing left to kill.
        let _ = line.push(Box::new(move || {
            let task = self.task.lock().unwrap_or_else(PoisonError::into_inner).0;
            // SAFETY: this runs on the task's thread, where it was set when the task began, and is reset before it goes.
            if let Some(task) = unsafe { task.as_ref() } {
                task.node.kill(Cooperator::required(), Cause::Explicit(place));
            }
        }));
    }
}

/// What a task owns that is to be found: dropped on its stack, whether its body runs or not, before its record may go.
pub(super) struct Found(pub(super) Arc<Reach>);

impl Drop for Found {
    fn drop(&mut self) {
        self.0.set(ptr::null());
    }
}

/// Tells the other thread how the task ended; by being dropped unused, that it never ran.
pub(super) struct Reporter<R>(passage::Sender<Result<R, JoinError>>);

/// What reports an end, and what waits for it.
pub(super) fn reported<R: Send>(reach: Option<(Arc<Reach>, Line)>) -> (Reporter<R>, RemoteJoinHandle<R>) {
    let (report, end) = passage(1);
    (Reporter(report), RemoteJoinHandle { end, is_taken: false, reach })
}

impl<R> Reporter<R> {
    /// For who may have to report in its place.
    pub(super) fn another(&self) -> Self {
        Reporter(self.0.clone())
    }

    pub(super) fn end(self, result: Result<R, JoinError>) {
        // There is room for the one. If nobody is left to hear it, it is dropped here.
        let _ = self.0.try_send(result);
    }

    /// The handle is gone.
    pub(super) fn is_for_nobody(&self) -> bool {
        self.0.is_closed()
    }
}

impl<R: Send> RemoteJoinHandle<R> {
    /// Waits until the task has ended, and its children have, and gives what it returned. In a task this is a wait point, and
    /// kill-checked; on a thread without a Cooperator it blocks the thread.
    ///
    /// # Errors
    /// See [`JoinError`]; `NeverRan` also when the Cooperator ended first.
    #[track_caller]
    pub fn join(&mut self) -> Result<R, JoinError> {
        if self.is_taken {
            return Err(JoinError::AlreadyJoined);
        }
        match self.end.recv() {
            Err(RecvError::Killed(killed)) => Err(JoinError::Interrupted(killed)),
            ended => {
                (self.is_taken, self.reach) = (true, None);
                ended.unwrap_or(Err(JoinError::NeverRan))
            }
        }
    }

    /// Kills the task and everything below it, as [`JoinHandle::kill`](crate::JoinHandle::kill), from any thread. The kill is in
    /// effect when the task's thread comes to look at what other threads have left for it; a task that ends before then has not
    /// been killed. Not a wait point.
    #[track_caller]
    pub fn kill(&self) {
        if let Some((reach, line)) = &self.reach {
            reach.clone().kill(line, Location::caller());
        }
    }

    /// Whether the task has ended, so that a join would not wait. Not a wait point.
    pub fn is_finished(&self) -> bool {
        self.is_taken || !self.end.is_empty() || self.end.is_closed()
    }
}

/// A [`RemoteJoinHandle`] in a `select!`.
#[doc(hidden)]
pub struct RemoteJoining<'a, R> {
    crossing: Crossing<Receiving<'a, Result<R, JoinError>>>,
    is_taken: &'a mut bool,
    reach: &'a mut Option<(Arc<Reach>, Line)>,
}

impl<R> RemoteJoining<'_, R> {
    fn ended(&mut self, result: Result<Result<R, JoinError>, RecvError>) -> Result<R, JoinError> {
        (*self.is_taken, *self.reach) = (true, None);
        result.unwrap_or(Err(JoinError::NeverRan))
    }
}

impl<R> Sealed for RemoteJoining<'_, R> {}

// SAFETY: every call goes to the `Crossing` inside.
#[diagnostic::do_not_recommend]
unsafe impl<R> Arm for RemoteJoining<'_, R> {
    type Output = Result<R, JoinError>;
    type Itself = Self;

    fn itself(self) -> Self {
        self
    }

    fn is_disabled(&self) -> bool {
        *self.is_taken
    }

    fn readiness(&self) -> Readiness {
        self.crossing.readiness()
    }

    fn attempt(&mut self, cooperator: &Cooperator) -> Option<Self::Output> {
        let ended = self.crossing.attempt(cooperator)?;
        Some(self.ended(ended))
    }

    unsafe fn enlist(&self, cooperator: &Cooperator, wait: &Wait, index: usize) {
        // SAFETY: the caller's promise.
        unsafe { self.crossing.enlist(cooperator, wait, index) };
    }

    fn won(&mut self, cooperator: &Cooperator) -> Option<Self::Output> {
        let ended = self.crossing.won(cooperator)?;
        Some(self.ended(ended))
    }

    fn disengage(&self, cooperator: &Cooperator) {
        self.crossing.disengage(cooperator);
    }

    fn settle(&self, cooperator: &Cooperator, place: &'static Location<'static>) {
        self.crossing.settle(cooperator, place);
    }
}

impl<R> Sealed for &mut RemoteJoinHandle<R> {}

// SAFETY: in a `select!` stands what `itself` makes of it, which keeps the promises.
#[diagnostic::do_not_recommend]
unsafe impl<'a, R> Arm for &'a mut RemoteJoinHandle<R> {
    type Output = Result<R, JoinError>;
    type Itself = RemoteJoining<'a, R>;

    fn itself(self) -> RemoteJoining<'a, R> {
        RemoteJoining { crossing: self.end.crossing(), is_taken: &mut self.is_taken, reach: &mut self.reach }
    }

    fn readiness(&self) -> Readiness {
        Readiness::No
    }

    fn attempt(&mut self, _: &Cooperator) -> Option<Self::Output> {
        None
    }

    unsafe fn enlist(&self, _: &Cooperator, _: &Wait, _: usize) {}

    fn won(&mut self, _: &Cooperator) -> Option<Self::Output> {
        None
    }

    fn disengage(&self, _: &Cooperator) {}

    fn settle(&self, _: &Cooperator, _: &'static Location<'static>) {}
}

impl<R> fmt::Debug for RemoteJoinHandle<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RemoteJoinHandle")
    }
}
