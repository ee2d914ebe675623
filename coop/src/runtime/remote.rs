//! Reaching a Cooperator from other threads.

use crate::cooperator::Cooperator;
use crate::error::JoinError;
use crate::handle::wait_ready;
use crate::inbox::{Inbox, Job};
use crate::sys;
use crate::task::{self, Description, Options, Task};
use std::fmt;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::panic::{AssertUnwindSafe, Location, catch_unwind, resume_unwind};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

/// The `Send` reference to a Cooperator: starts tasks on its thread. While one exists the Cooperator is not deadlocked, but it
/// does not keep the Cooperator from ending.
///
/// ```
/// coop::run(|| {
///     let remote = coop::remote().unwrap();
///     let thread = std::thread::spawn(move || {
///         let mut task = remote.submit(|| coop::current().name()).map_err(drop).unwrap();
///         task.join().unwrap()
///     });
///     while !thread.is_finished() {
///         coop::sleep(std::time::Duration::from_millis(1)).unwrap();
///     }
///     assert_eq!(thread.join().unwrap(), "task");
/// });
/// ```
#[derive(Clone)]
pub struct Remote {
    inbox: Arc<Inbox>,
    name: Arc<str>,
}

/// A reference to the calling thread's Cooperator, for other threads. Not a wait point.
///
/// # Errors
/// Those of eventfd(2).
///
/// # Panics
/// On a thread without a Cooperator.
#[track_caller]
pub fn remote() -> std::io::Result<Remote> {
    let cooperator = Cooperator::required();
    let inbox = cooperator.open_inbox()?;
    let name = match &cooperator.settings.name {
        Some(name) => name.clone(),
        None => std::thread::current().name().unwrap_or("cooperator").into(),
    };
    Ok(Remote { inbox, name })
}

impl Remote {
    /// What the Cooperator is called: see [`Builder::name`](crate::Builder::name).
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Leaves a job for the loop. False: the Cooperator has finished.
    pub(super) fn leave(&self, job: Job) -> bool {
        self.inbox.push(job).is_ok()
    }

    /// Starts `f` as a child of the Cooperator's root task. Not a wait point; may be called from any thread.
    ///
    /// # Errors
    /// `f` itself, from a Cooperator that has finished.
    #[track_caller]
    pub fn submit<F, R>(&self, f: F) -> Result<RemoteJoinHandle<R>, F>
    where
        F: FnOnce() -> R + Send + 'static,
        R: Send + 'static,
    {
        static CLOSURE: Description = Description::new("task", "", "", 0, None);
        submit(self, &CLOSURE, Options::new(), f, |f| f())
    }
}

impl fmt::Debug for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Remote({:?})", self.name)
    }
}

/// What `f::submit` calls.
#[doc(hidden)]
#[track_caller]
pub fn submit<A, R>(
    remote: &Remote,
    description: &'static Description,
    options: Options,
    arguments: A,
    f: fn(A) -> R,
) -> Result<RemoteJoinHandle<R>, A>
where
    A: Send + 'static,
    R: Send + 'static,
{
    let (report, handle) = reported();
    let arguments = Arc::new(Mutex::new(Some(arguments)));
    let (given, ours) = (arguments.clone(), handle.shared.clone());
    let job = move || {
        let taken = given.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(arguments) = taken else { return };
        let cooperator = Cooperator::required();
        // SAFETY: the root is set before the loop runs any job, and stays until the loop has ended.
        let root = unsafe { &*cooperator.root.get().cast::<Task>() };
        let body = move || {
            let result = catch_unwind(AssertUnwindSafe(|| f(arguments)));
            let result = match result {
                // Nobody will hear of it: the handle is gone, and the job too, which had the other reference.
                Err(payload) if Arc::strong_count(&report.0) == 1 => resume_unwind(payload),
                // This one goes to the joiner.
                Err(payload) => {
                    task::caught_panic(Cooperator::required());
                    Err(payload)
                }
                result => result,
            };
            // Nobody on this thread joins the task, so what it returns is dropped when it has ended, and its children with it.
            Outcome { report, result: Some(result.map_err(JoinError::Panicked)) }
        };
        if let Err(body) = task::spawn_under(root, description, options, body) {
            cooperator.leave_job(Box::new(|| drop(body)));
            Reporter(ours).end(Err(JoinError::NeverRan));
        }
    };
    match remote.inbox.push(Box::new(job)) {
        Ok(()) => Ok(handle),
        Err(_) => {
            let arguments = arguments.lock().unwrap_or_else(PoisonError::into_inner).take();
            Err(arguments.expect("the job that takes them was given back"))
        }
    }
}

/// Owns the value of a task on another thread. The panic of a task whose handle was dropped before is one that nobody joins.
pub struct RemoteJoinHandle<R> {
    shared: Arc<Shared<R>>,
}

struct Shared<R> {
    state: Mutex<State<R>>,
    ended: Condvar,
}

enum State<R> {
    /// With an eventfd, when a task waits for it.
    Running(Option<OwnedFd>),
    Ended(Result<R, JoinError>),
    Taken,
}

// SAFETY: a `JoinError` holds a `Send` payload, and `R` is `Send`; the eventfd is.
unsafe impl<R: Send> Send for Shared<R> {}
// SAFETY: everything is behind a lock.
unsafe impl<R: Send> Sync for Shared<R> {}

/// Tells the other thread how the task ended; by being dropped unused, that it never ran.
pub(super) struct Reporter<R>(Arc<Shared<R>>);

/// A result that is reported when it is dropped.
struct Outcome<R> {
    report: Reporter<R>,
    result: Option<Result<R, JoinError>>,
}

impl<R> Drop for Outcome<R> {
    fn drop(&mut self) {
        if let Some(result) = self.result.take() {
            self.report.set(result);
        }
    }
}

/// What reports an end, and what waits for it.
pub(super) fn reported<R>() -> (Reporter<R>, RemoteJoinHandle<R>) {
    let shared = Arc::new(Shared { state: Mutex::new(State::Running(None)), ended: Condvar::new() });
    (Reporter(shared.clone()), RemoteJoinHandle { shared })
}

impl<R> Reporter<R> {
    pub(super) fn end(self, result: Result<R, JoinError>) {
        self.set(result);
    }

    fn set(&self, result: Result<R, JoinError>) {
        let mut state = self.0.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let State::Running(bell) = &*state {
            if let Some(bell) = bell {
                sys::eventfd_wake(bell.as_raw_fd());
            }
            *state = State::Ended(result);
        }
        self.0.ended.notify_all();
    }
}

impl<R> Drop for Reporter<R> {
    fn drop(&mut self) {
        self.set(Err(JoinError::NeverRan));
    }
}

impl<R: Send> RemoteJoinHandle<R> {
    /// Waits until the task has ended, and its children have, and gives what it returned. In a task this is a wait point, and kill-checked; on a thread
    /// without a Cooperator it blocks the thread.
    ///
    /// # Errors
    /// See [`JoinError`]; `NeverRan` also when the Cooperator ended first.
    #[track_caller]
    pub fn join(&mut self) -> Result<R, JoinError> {
        if let Some(cooperator) = Cooperator::current() {
            task::begin()?;
            while let Some(bell) = self.bell() {
                let place = Location::caller();
                let result = bell.and_then(|bell| {
                    wait_ready(cooperator, bell.as_raw_fd(), libc::POLLIN as u32, "join remote task", place)
                });
                match result.as_ref().err().map(crate::Killed::of) {
                    None => {}
                    Some(Some(killed)) => return Err(JoinError::Interrupted(killed)),
                    // No descriptor to be had, or to be watched. Blocking the thread might block the very task that is joined.
                    Some(None) => crate::time::sleep(Duration::from_millis(1))?,
                }
            }
        }
        let mut state = self.shared.state.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            match std::mem::replace(&mut *state, State::Taken) {
                State::Ended(result) => return result,
                State::Taken => return Err(JoinError::AlreadyJoined),
                running => *state = running,
            }
            state = self.shared.ended.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// What rings when the task ends; `None` if it has.
    fn bell(&self) -> Option<io::Result<OwnedFd>> {
        let mut state = self.shared.state.lock().unwrap_or_else(PoisonError::into_inner);
        let State::Running(bell) = &mut *state else { return None };
        Some(match bell {
            Some(bell) => bell.try_clone(),
            None => sys::eventfd().and_then(|new| bell.insert(new).try_clone()),
        })
    }
}

impl<R> fmt::Debug for RemoteJoinHandle<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RemoteJoinHandle")
    }
}
