//! Waiting for a task's end, and taking what it returned.

use super::{Node, Outcome, Task, TaskInfo, spawn, wait};
use crate::cooperator::Cooperator;
use crate::error::{Cause, JoinError, Killed, TaskId};
use crate::fiber::{Detail, Reason, State};
use std::fmt;
use std::marker::PhantomData;
use std::panic::Location;

/// What joins a task: the owner of its value. Shared by the two public handles.
pub(crate) struct Joining<R> {
    task: *const Task,
    _value: PhantomData<R>,
}

impl<R> Joining<R> {
    pub(crate) fn task(&self) -> &Task {
        // SAFETY: a task's record stays while its `has_handle` is set, which only this handle's drop unsets; the memory of a
        // Cooperator with handles left is leaked.
        unsafe { &*self.task }
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.task().fiber.state.get() == State::Ended
    }

    /// Whether the value was taken, so that there is nothing to join any more.
    pub(crate) fn is_taken(&self) -> bool {
        self.task().outcome.get() == Outcome::Taken
    }

    /// Whether waiting for the task would be waiting for oneself.
    #[inline]
    pub(crate) fn is_self_or_ancestor(&self) -> bool {
        Cooperator::current().is_some_and(|cooperator| self.is_at_or_above_running(cooperator))
    }

    #[inline]
    fn is_at_or_above_running(&self, cooperator: &Cooperator) -> bool {
        let running = &Task::running(cooperator).node;
        // Not a child of one's own.
        !self.task().node.is_child_of(running) && self.is_at_or_above(running)
    }

    #[inline(never)]
    fn is_at_or_above(&self, node: &Node) -> bool {
        let mut node = Some(node);
        while let Some(current) = node {
            if std::ptr::eq(current, &self.task().node) {
                return true;
            }
            node = current.parent();
        }
        false
    }

    /// What the ended task left.
    #[inline]
    pub(crate) fn take(&mut self) -> Result<R, JoinError> {
        let task = self.task();
        if task.outcome.get() == Outcome::Returned {
            // SAFETY: the outcome says so, and `R` is the type the handle was made with.
            return Ok(unsafe { spawn::take_value(task) });
        }
        self.take_other()
    }

    /// What it has left that is no value.
    #[cold]
    fn take_other(&mut self) -> Result<R, JoinError> {
        let task = self.task();
        match task.outcome.get() {
            // SAFETY: as in `take`.
            Outcome::Panicked => Err(JoinError::Panicked(unsafe { spawn::take_panic(task) })),
            Outcome::NeverRan => Err(JoinError::NeverRan),
            Outcome::Taken => Err(JoinError::AlreadyJoined),
            Outcome::None | Outcome::Returned => unreachable!("a task that has ended has an outcome"),
        }
    }

    #[inline(always)]
    #[track_caller]
    fn join(&mut self) -> Result<R, JoinError> {
        let cooperator = wait::begin()?;
        if !self.has_ended() {
            if self.is_at_or_above_running(cooperator) {
                return Err(JoinError::Deadlock);
            }
            self.await_end(cooperator, Location::caller())?;
        }
        self.take()
    }

    /// Waits until the task has ended. Right after [`wait::begin`].
    #[inline(always)]
    fn await_end(&self, cooperator: &Cooperator, place: &'static Location<'static>) -> Result<(), Killed> {
        let (task, me) = (self.task(), &Task::running(cooperator).fiber);
        me.wait_for(Reason::on("join", Detail::Task(task.id.0)), place, cooperator.scheduler.pass_time.get());
        task.joiner.set_fiber(me);
        loop {
            cooperator.scheduler.park(true);
            if self.has_ended() {
                return Ok(());
            }
            if me.is_killed() {
                task.joiner.clear();
                return Err(wait::delivered(cooperator));
            }
        }
    }

    fn kill(&self, place: &'static Location<'static>) {
        let task = self.task();
        if let Some(cooperator) = Cooperator::current()
            && cooperator.id == task.cooperator
            && !self.has_ended()
        {
            task.node.kill(cooperator, Cause::Explicit(place));
        }
    }

    fn info(&self) -> TaskInfo {
        TaskInfo { id: self.task().id, name: self.task().name }
    }
}

impl<R> Drop for Joining<R> {
    #[inline]
    fn drop(&mut self) {
        let task = self.task();
        task.has_handle.set(false);
        if !self.has_ended() {
            return;
        }
        if task.outcome.get() == Outcome::Taken
            && let Some(cooperator) = Cooperator::current()
            && cooperator.id == task.cooperator
        {
            // SAFETY: ended, switched away from, the last handle gone, the payload taken.
            return unsafe { spawn::recycle(cooperator, task) };
        }
        self.let_go();
    }
}

impl<R> Joining<R> {
    /// There is no handle any more to the task, which has ended and whose value nobody has taken, or whose Cooperator is not this
    /// thread's.
    #[inline(never)]
    fn let_go(&mut self) {
        let task = self.task();
        match Cooperator::current() {
            Some(cooperator) if cooperator.id == task.cooperator => {
                spawn::discard(cooperator, task);
                // SAFETY: ended, switched away from, the last handle gone, the payload dealt with.
                unsafe { spawn::recycle(cooperator, task) };
            }
            // The Cooperator is gone and has left its stacks mapped. The value still deserves its drop.
            _ if task.outcome.get() == Outcome::Returned => drop(self.take()),
            _ => {}
        }
    }
}

macro_rules! join_handle_methods {
    () => {
        /// Waits until the task has ended and gives what it returned. A killed task that returned still gives its value.
        ///
        /// A wait point; kill-checked: when the *joiner* is killed this returns [`JoinError::Interrupted`], and the handle is
        /// still good.
        ///
        /// # Errors
        /// See [`JoinError`].
        #[inline(always)]
        #[track_caller]
        pub fn join(&mut self) -> Result<R, JoinError> {
            self.joining.join()
        }

        /// Kills the task and everything below it: each of their waits, the present and all later ones, returns `Err(Killed)`.
        /// Does not wait for their end, and is not a wait point. Killing a task that was killed, or has ended, does nothing.
        #[track_caller]
        pub fn kill(&self) {
            self.joining.kill(Location::caller());
        }

        /// Whether the task has ended, so that a join would not wait. Not a wait point.
        pub fn is_finished(&self) -> bool {
            self.joining.has_ended()
        }

        /// The task's number.
        pub fn id(&self) -> TaskId {
            self.joining.info().id()
        }

        /// The task's name.
        pub fn name(&self) -> &'static str {
            self.joining.info().name()
        }

        pub(crate) fn new(task: *const Task) -> Self {
            Self { joining: Joining { task, _value: PhantomData }, _lifetime: PhantomData }
        }

        pub(crate) fn joining(&mut self) -> &mut Joining<R> {
            &mut self.joining
        }
    };
}

/// Owns the value of a task spawned by [`spawn`](crate::spawn): join it, kill it, or drop the handle and let it run.
///
/// ```
/// use coop::JoinError;
/// coop::run(|| {
///     let mut sum = coop::spawn(|| (1..=4).sum::<i32>());
///     assert!(!sum.is_finished(), "it has not run yet");
///     assert_eq!(sum.join().unwrap(), 10);
///     assert!(sum.is_finished() && matches!(sum.join(), Err(JoinError::AlreadyJoined)));
/// });
/// ```
///
/// A task that has ended keeps its stack until its handle is joined and dropped. The handle cannot be sent to another thread:
///
/// ```compile_fail
/// # coop::run(|| {
/// let task = coop::spawn(|| 1);
/// std::thread::spawn(move || task);
/// # });
/// ```
pub struct JoinHandle<R> {
    joining: Joining<R>,
    _lifetime: PhantomData<()>,
}

impl<R> JoinHandle<R> {
    join_handle_methods!();
}

/// Owns the value of a task of a [`Scope`](crate::Scope). Dropping it leaves the task to the scope, which awaits it and
/// passes its panic on.
pub struct ScopedJoinHandle<'scope, R> {
    joining: Joining<R>,
    _lifetime: PhantomData<&'scope ()>,
}

impl<R> ScopedJoinHandle<'_, R> {
    join_handle_methods!();
}

impl<R> fmt::Debug for JoinHandle<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.joining.info().fmt(f)
    }
}

impl<R> fmt::Debug for ScopedJoinHandle<'_, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.joining.info().fmt(f)
    }
}
