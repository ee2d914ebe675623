//! Starting a Cooperator on the calling thread.

use super::cooperators::{self, CooperatorThread};
use super::start::{self, Driver, StartError};
use super::{forked, run_loop};
use crate::clock::Clock;
use crate::cooperator::{Cooperator, OrphanPanic, Settings, Stuck};
use crate::error::JoinError;
use crate::inspect::{self, Census};
use crate::random::Random;
use crate::ring::{self, Simulated, TaskRun};
use crate::scheduler::Scheduler;
use crate::stack::{Pool, overflow};
use crate::sys;
use crate::task;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::time::Duration;

/// Settings of a Cooperator.
///
/// ```
/// use std::time::Duration;
/// let answer = coop::Builder::new()
///     .stack(128 * 1024)
///     .grace(Duration::from_secs(2))
///     .run(|| 42)
///     .expect("there are descriptors, and memory for a stack");
/// assert_eq!(answer, 42);
/// ```
#[derive(Clone, Debug, Default)]
#[must_use = "a builder does nothing until `run`"]
pub struct Builder {
    settings: Settings,
    seed: Option<u64>,
    is_virtual: bool,
    is_simulated: bool,
    driver: Option<Driver>,
    /// How many Cooperators; 0 as 1.
    cooperators: usize,
}

impl Builder {
    /// The defaults: stacks of 256 KiB (four times that under debug assertions), 1,024 of them kept warm, a ring of 256
    /// submission entries, 10 s of grace at shutdown.
    pub fn new() -> Self {
        Self::default()
    }

    /// What the Cooperator is called: by [`Cooperators::named`](crate::Cooperators::named), and by the system its thread, if
    /// [`start`](Self::start) makes one. The thread's own name unless said otherwise.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.settings.name = Some(name.into().into());
        self
    }

    /// How many Cooperators [`run`](Self::run) starts: one on the calling thread, where the root task runs, and the others each
    /// on a thread of its own. One unless said otherwise. They find each other by [`cooperators`](crate::cooperators()), are called
    /// `cooperator-0` (unless this has a [`name`](Self::name)), `cooperator-1` and so on, and have the same settings. When the
    /// root returns, the tasks of all are killed with cause `Shutdown`, and awaited.
    pub fn cooperators(mut self, count: usize) -> Self {
        self.cooperators = count;
        self
    }

    /// Usable bytes of stack for tasks that do not say otherwise; four times as much under debug assertions.
    pub fn stack(mut self, bytes: usize) -> Self {
        self.settings.stack = bytes;
        self
    }

    /// Usable bytes of the root's stack; four times as much under debug assertions. 2 MiB unless said otherwise.
    pub fn root_stack(mut self, bytes: usize) -> Self {
        self.settings.root_stack = bytes;
        self
    }

    /// How many unused stacks of each size keep their memory while the Cooperator idles.
    pub fn warm_stacks(mut self, count: usize) -> Self {
        self.settings.warm_stacks = count;
        self
    }

    /// Submission entries of the ring, a power of two; the completion queue has 16 times as many. A kernel short of lockable
    /// memory gives less, down to 64.
    pub fn ring_entries(mut self, count: u32) -> Self {
        self.settings.ring_entries = count;
        self
    }

    /// By what the kernel is reached: see [`Driver`]. Takes precedence over `COOP_DRIVER`. With [`Driver::Uring`] a kernel that
    /// refuses io_uring is an error.
    pub fn driver(mut self, driver: Driver) -> Self {
        self.driver = Some(driver);
        self
    }

    /// How long an idle Cooperator watches its ring before it sleeps in the kernel; not at all unless said otherwise.
    ///
    /// Watching keeps a core busy, and saves the wake-up (an interrupt to another core, under virtualisation a costly one) when
    /// the next completion comes within that time: for a server with a core of its own, some tens of microseconds. With epoll
    /// there is nothing to watch: it sleeps at once.
    pub fn spin(mut self, duration: Duration) -> Self {
        self.settings.spin = duration;
        self
    }

    /// How long tasks may take to end when the root has, before [`Builder::on_stuck`] is applied.
    pub fn grace(mut self, grace: Duration) -> Self {
        self.settings.grace = grace;
        self
    }

    /// What to do with tasks that do not end within the grace of a shutdown.
    pub fn on_stuck(mut self, action: Stuck) -> Self {
        self.settings.on_stuck = action;
        self
    }

    /// What to do with the panic of a task that nobody joins.
    pub fn on_orphan_panic(mut self, action: OrphanPanic) -> Self {
        self.settings.on_orphan_panic = action;
        self
    }

    /// Leaves every choice of the scheduler to a generator with this seed: the same seed, the same order of tasks.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Time that stands still while a task can run, and then jumps to the next timer.
    pub fn virtual_time(mut self) -> Self {
        self.is_virtual = true;
        self
    }

    /// No kernel: operations complete, or lose against their cancel, as the seed decides. For tests of the runtime.
    #[doc(hidden)]
    pub fn simulated_ring(mut self) -> Self {
        self.is_simulated = true;
        self
    }

    /// Starts a Cooperator on the calling thread, runs `f` as its root task, and returns what `f` returned when every task has
    /// ended. When the root returns, everything left is killed with cause `Shutdown`, and awaited.
    ///
    /// Inside a task it runs `f` at once, as a scope of that task.
    ///
    /// # Errors
    /// See [`StartError`].
    ///
    /// # Panics
    /// With the root's panic, after everything was drained.
    pub fn run<F, R>(self, f: F) -> Result<R, StartError>
    where
        F: FnOnce() -> R,
    {
        if Cooperator::current().is_some() {
            return Ok(task::wait_all(|_| f()));
        }
        if self.cooperators > 1 {
            return cooperators::run(self, f);
        }
        self.run_alone(f)
    }

    /// Runs `f` as the root of one Cooperator, on the calling thread.
    pub(super) fn run_alone<F, R>(self, f: F) -> Result<R, StartError>
    where
        F: FnOnce() -> R,
    {
        let (result, _) = self.run_to_end(f)?;
        match result {
            Ok(value) => Ok(value),
            Err(JoinError::Panicked(payload)) => resume_unwind(payload),
            Err(error) => unreachable!("nothing can kill the root before it starts: {error}"),
        }
    }

    /// Starts a Cooperator on a new thread, for tasks that are [submitted](crate::Remote::submit) to it. Returns when it runs.
    ///
    /// # Errors
    /// See [`StartError`].
    pub fn start(self) -> Result<CooperatorThread, StartError> {
        cooperators::start(self)
    }

    /// The name, where none was given.
    pub(super) fn or_name(mut self, name: impl FnOnce() -> String) -> Self {
        self.settings.name.get_or_insert_with(|| name().into());
        self
    }

    pub(super) fn given_name(&self) -> Option<Arc<str>> {
        self.settings.name.clone()
    }

    pub(super) fn count(&self) -> usize {
        self.cooperators
    }

    /// Runs `f` and gives its outcome, and what is left of the Cooperator.
    pub(super) fn run_to_end<F, R>(self, f: F) -> Result<(Result<R, JoinError>, End), StartError>
    where
        F: FnOnce() -> R,
    {
        let pool = Pool::new(self.settings.warm_stacks);
        self.run_on(pool, f)
    }

    /// Runs `f` and gives its outcome, and what the Cooperator had in hand when every task had ended. On stacks that the run
    /// before has left: for tests that start a great many Cooperators, which mapping stacks would dominate.
    #[doc(hidden)]
    pub fn run_counted<F, R>(self, spare: &mut SpareStacks, f: F) -> Result<(Result<R, JoinError>, Census), StartError>
    where
        F: FnOnce() -> R,
    {
        let pool = spare.0.take().unwrap_or_else(|| Pool::new(self.settings.warm_stacks));
        let (result, end) = self.run_on(pool, f)?;
        spare.0 = (end.census.stacks == 0).then_some(end.pool);
        Ok((result, end.census))
    }

    fn run_on<F, R>(mut self, pool: Pool, f: F) -> Result<(Result<R, JoinError>, End), StartError>
    where
        F: FnOnce() -> R,
    {
        let driver = if self.is_simulated {
            ring::Driver::Simulated(Box::new(Simulated::new(self.seed.unwrap_or(0))))
        } else {
            start::driver(self.driver, self.settings.ring_entries, task_run())?
        };
        if matches!(driver, ring::Driver::Epoll(_)) {
            // To look is a system call.
            self.settings.spin = Duration::ZERO;
        }
        let clock = if self.is_virtual { Clock::new_virtual() } else { Clock::Monotonic };
        let scheduler = Scheduler::new(self.seed.map(Random::new));
        let cooperator = Cooperator::new(self.settings, clock, driver, scheduler, pool);
        overflow::set_describer(inspect::describe_overflow);
        #[cfg(debug_assertions)]
        cooperator.scheduler.watcher.set(Some(inspect::look));
        let _alternate_stack = overflow::watch_thread();
        forked::watch_process();

        /// The thread's Cooperator for as long as this lives. Everything has ended when it goes.
        struct Current(Box<Cooperator>);
        impl Drop for Current {
            fn drop(&mut self) {
                Scheduler::set_current(std::ptr::null());
            }
        }
        Scheduler::set_current(&cooperator.scheduler);
        let mut current = Current(cooperator);
        // SAFETY: the box stays until `current` goes, at the end of this function, when no task is left.
        let cooperator: &'static Cooperator = unsafe { &*std::ptr::from_ref(&*current.0) };
        // SAFETY: `run_loop` returns when the root has ended; what it borrows is borrowed by our caller for longer.
        let mut root = match unsafe { task::spawn_root(cooperator, f) } {
            Ok(root) => root,
            Err((error, f)) => {
                // Dropping it is the user's code, for which there must be either a task or no Cooperator.
                drop(current);
                drop(f);
                return Err(StartError::stack(error));
            }
        };
        // The loop runs no user code. Should it panic for a defect of its own, frames of tasks still borrow from our caller's:
        // they must not be left.
        let left_jobs = match catch_unwind(AssertUnwindSafe(|| run_loop(cooperator, root.joining().task()))) {
            Ok(jobs) => jobs,
            Err(payload) => {
                sys::die(format_args!("coop: the loop panicked: {}", crate::error::panic_message(&*payload)));
            }
        };
        let result = root.joining().take();
        drop(root);
        let (verdict, census) = (cooperator.verdict.take(), Census::of(cooperator));
        let orphan_panics = cooperator.counters.orphan_panics.get();
        let pool = std::mem::replace(&mut current.0.pool, Pool::new(0));
        drop(current);
        // What they hold is the user's, and its drop may do anything: now there is no Cooperator that it could harm.
        for job in left_jobs {
            if let Err(payload) = catch_unwind(AssertUnwindSafe(|| drop(job))) {
                task::drop_payload(payload);
            }
        }
        Ok((result, End { verdict, orphan_panics, census, pool }))
    }
}

/// What is left of a Cooperator.
pub(super) struct End {
    /// What deadlock detection had to say.
    pub(super) verdict: Option<String>,
    /// Panics of which nobody has heard.
    pub(super) orphan_panics: u64,
    census: Census,
    pool: Pool,
}

/// Stacks that one run leaves to the next: see [`Builder::run_counted`].
#[doc(hidden)]
#[derive(Default)]
pub struct SpareStacks(Option<Pool>);

/// `COOP_TASKRUN=cooperative` runs the ring in the mode in which cancels race hardest; for tests.
fn task_run() -> TaskRun {
    match std::env::var("COOP_TASKRUN").as_deref() {
        Ok("cooperative") => TaskRun::Cooperative,
        _ => TaskRun::Deferred,
    }
}

/// Starts a Cooperator with the default settings on the calling thread, runs `f` as its root task, and returns what `f`
/// returned when every task has ended: see [`Builder::run`].
///
/// ```
/// let sum = coop::run(|| {
///     let mut tasks = [1, 2, 3].map(|n| coop::spawn(move || n * n));
///     tasks.each_mut().map(|task| task.join().unwrap()).iter().sum::<i32>()
/// });
/// assert_eq!(sum, 14);
/// ```
///
/// # Panics
/// With the root's panic; and when no Cooperator can be started, with the text of the [`StartError`].
#[track_caller]
pub fn run<F, R>(f: F) -> R
where
    F: FnOnce() -> R,
{
    match Builder::new().run(f) {
        Ok(value) => value,
        Err(error) => panic!("{error}"),
    }
}
