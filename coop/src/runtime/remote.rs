//! Reaching a Cooperator from other threads.

use super::line::Line;
use super::remote_join::{Found, Reach, RemoteJoinHandle, Reporter, reported};
use crate::cooperator::Cooperator;
use crate::error::JoinError;
use crate::inbox::Job;
use crate::task::{self, Description, Options, Task};
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Mutex, PoisonError};

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
    line: Line,
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
    let line = Line::to(cooperator)?;
    let name = match &cooperator.settings.name {
        Some(name) => name.clone(),
        None => std::thread::current().name().unwrap_or("cooperator").into(),
    };
    Ok(Remote { line, name })
}

impl Remote {
    /// What the Cooperator is called: see [`Builder::name`](crate::Builder::name).
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Leaves a job for the loop. False: the Cooperator has finished.
    pub(super) fn leave(&self, job: Job) -> bool {
        self.line.push(job).is_ok()
    }

    /// Starts `f` as a child of the Cooperator's root task. Not a wait point; may be called from any thread.
    ///
    /// # Errors
    /// `f` itself, from a Cooperator that has finished, or is a forked child's parent's.
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
    let reach = Reach::new();
    let (report, handle) = reported(Some((reach.clone(), remote.line.clone())));
    let arguments = Arc::new(Mutex::new(Some(arguments)));
    let given = arguments.clone();
    let job = move || {
        let taken = given.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(arguments) = taken else { return };
        let cooperator = Cooperator::required();
        // SAFETY: the root is set before the loop runs any job, and stays until the loop has ended.
        let root = unsafe { &*cooperator.root.get().cast::<Task>() };
        let (found, report_refusal) = (Found(reach.clone()), report.another());
        let body = move || {
            let result = catch_unwind(AssertUnwindSafe(|| f(arguments)));
            let result = match result {
                Err(payload) if report.is_for_nobody() => resume_unwind(payload),
                // This one goes to the joiner.
                Err(payload) => {
                    task::caught_panic(Cooperator::required());
                    Err(payload)
                }
                result => result,
            };
            // Nobody on this thread joins the task, so what it returns is dropped when it has ended, and its children with it.
            Outcome { ended: Some((report, result.map_err(JoinError::Panicked))), _found: found }
        };
        match task::spawn_under(root, description, options, body) {
            Ok(task) => reach.task_begins(task),
            // Whoever waits is not kept until the body may be dropped.
            Err(body) => {
                cooperator.leave_job(Box::new(|| drop(body)));
                report_refusal.end(Err(JoinError::NeverRan));
            }
        }
    };
    match remote.line.push(Box::new(job)) {
        Ok(()) => Ok(handle),
        Err(_) => {
            let arguments = arguments.lock().unwrap_or_else(PoisonError::into_inner).take();
            Err(arguments.expect("the job that takes them was given back"))
        }
    }
}

/// A result that is reported when it is dropped.
struct Outcome<R> {
    ended: Option<(Reporter<R>, Result<R, JoinError>)>,
    _found: Found,
}

impl<R> Drop for Outcome<R> {
    fn drop(&mut self) {
        if let Some((report, result)) = self.ended.take() {
            report.end(result);
        }
    }
}
