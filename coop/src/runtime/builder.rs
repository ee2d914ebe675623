//! Starting a Cooperator on the calling thread.

use super::cooperators::{self, CooperatorThread};
use super::start::{self, Driver, StartError};
use super::{forked, run_loop};
use crate::clock::Clock;
use crate::cooperator::{Cooperator, OrphanPanic, Settings, Stuck};
use crate::debugger;
use crate::error::JoinError;
use crate::inspect::census::Census;
use crate::inspect::{self, Stall, StallHook, Watch};
use crate::random::Random;
use crate::ring::{self, Behaviour, Chance, Faults, Network, Simulated, TaskRun};
use crate::scheduler::Scheduler;
use crate::stack::{Pool, overflow};
use crate::sys;
use crate::task;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;
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
    faults: Option<Faults>,
    driver: Option<Driver>,
    hardened: Option<bool>,
    watch: Watch,
    /// What the environment says unless the program does.
    dump_on_sigquit: Option<bool>,
    measure_stacks: Option<bool>,
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

    /// How many unused stacks of each size keep their memory for good; 1,024 unless said otherwise. Of those above it, memory that was
    /// not needed for a second is given back when the Cooperator idles; with 0, all of it is then given back at once.
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

    /// Restricts the ring to the operations that coop makes: 21 of the kernel's opcodes, without links, registered files or
    /// buffers, and without any further registration (its own descriptor is unregistered when it ends). The kernel enforces it
    /// from before the first operation to the end of the ring, and answers what else comes to stand in the queue, by whatever
    /// code of the process, with `EACCES`. Costs nothing that can be measured. Takes precedence over `COOP_HARDENED` (1 or 0);
    /// off unless either says otherwise.
    ///
    /// It narrows what a defect elsewhere in the process can have the kernel do through this ring; it does not keep code from
    /// making system calls, or rings, of its own: that is what seccomp is for. With epoll there is no ring to restrict.
    ///
    /// A kernel that has io_uring but will not restrict the ring is a [`StartError`] that
    /// [says so](StartError::is_not_hardened): epoll does not step in.
    ///
    /// ```
    /// let value = coop::Builder::new().hardened(true).run(|| {
    ///     let (near, far) = coop::net::UnixStream::pair()?;
    ///     near.send_all(b"hardened")?;
    ///     let mut buf = [0; 8];
    ///     far.recv(&mut buf)?;
    ///     std::io::Result::Ok(buf)
    /// });
    /// assert_eq!(&value.unwrap().unwrap(), b"hardened");
    /// ```
    pub fn hardened(mut self, on: bool) -> Self {
        self.hardened = Some(on);
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

    /// Prints the trees of all Cooperators of the process on standard error, as [`dump`](crate::dump) has them, when SIGQUIT (`ctrl-\`)
    /// comes; the process then goes on. So does `COOP_DUMP=sigquit` in the environment, unless this says `false`.
    ///
    /// The handler only notes that it was called; each Cooperator prints its own tree when its loop has its turn, or is woken for it. Of one
    /// whose task does not give way within a second, that task is printed with its backtrace. A handler that was there before is called
    /// too, and put back when the last Cooperator that wants this has ended. A [`Signal`](crate::signal::Signal) that is listened for later
    /// takes the signal for itself.
    ///
    /// ```no_run
    /// coop::Builder::new().dump_on_sigquit(true).run(|| coop::sleep(std::time::Duration::from_secs(3600))).unwrap().unwrap();
    /// ```
    pub fn dump_on_sigquit(mut self, on: bool) -> Self {
        self.dump_on_sigquit = Some(on);
        self
    }

    /// Has a thread watch for tasks that run for longer than `limit` without a wait, and so keep the others from running: one that
    /// computes, or is in a call that blocks the thread. It is reported on standard error, once for each such stall, with its name, number
    /// and backtrace, and counted in [`stalls`](crate::inspect::CooperatorMetrics::stalls). So does `COOP_WATCHDOG=100ms` in the environment,
    /// where the program says nothing; off otherwise. A limit of zero turns it off.
    ///
    /// A wait here is what gives way to others; a call that succeeds at once is none. A stall is seen when it has lasted for the limit
    /// and a quarter of it more. Time in which the thread was ready, and the machine busy with something else, does not count, nor does a
    /// process that was stopped.
    ///
    /// To see what the task does, its thread is interrupted by a real-time signal that nobody else has a handler for. A call that it blocks
    /// in is restarted, where the kernel can do that; others end with EINTR, as with any signal (those of std are made again). The handler
    /// copies registers and stack, and no more: the copy is walked elsewhere, so nothing that the task is in the midst of, such as an
    /// allocation, matters. There is no backtrace where the thread has blocked the signal, or where code runs on a stack of its own. On
    /// other processors than x86_64 there is none so far. A watched task costs nothing.
    ///
    /// ```
    /// use coop::Builder;
    /// use coop::inspect::metrics;
    /// use std::time::{Duration, Instant};
    ///
    /// let stalls = Builder::new().watchdog(Duration::from_millis(10)).run(|| {
    ///     let began = Instant::now();
    ///     while metrics().cooperators[0].stalls == 0 && began.elapsed() < Duration::from_secs(10) {
    ///         std::hint::spin_loop();
    ///     }
    ///     metrics().cooperators[0].stalls
    /// });
    /// assert_eq!(stalls.unwrap(), 1);
    /// ```
    pub fn watchdog(mut self, limit: Duration) -> Self {
        self.watch.longest_turn = Some(limit);
        self
    }

    /// Calls `hook` with each report of the [`watchdog`](Self::watchdog), after it was printed. On the watchdog's thread, where there is no
    /// Cooperator; while it runs, nothing is watched. If it panics, that is ignored.
    ///
    /// ```
    /// use coop::Builder;
    /// use std::sync::mpsc;
    /// use std::time::Duration;
    ///
    /// let (tx, rx) = mpsc::channel();
    /// let builder = Builder::new().watchdog(Duration::from_millis(10)).on_stall(move |stall| drop(tx.send(stall.clone())));
    /// let stall = builder.run(|| {
    ///     // What blocks the thread is a stall.
    ///     rx.recv_timeout(Duration::from_secs(10))
    /// });
    /// assert_eq!(stall.unwrap().unwrap().name, "root");
    /// ```
    pub fn on_stall(mut self, hook: impl Fn(&Stall) + Send + Sync + 'static) -> Self {
        self.watch.on_stall = Some(StallHook(Arc::new(hook)));
        self
    }

    /// Reports a task that has waited for longer than `limit`, once for each such wait, on standard error, with what it waits for and its
    /// backtrace. Seen when it has lasted for up to a quarter of the limit more. Sleeps are left out, as are other waits that say how long
    /// they take; a server that waits for its next connection is not. Zero turns it off, as does saying nothing.
    ///
    /// ```no_run
    /// # use std::time::Duration;
    /// coop::Builder::new().report_waits_longer_than(Duration::from_secs(30)).run(|| { /* … */ }).unwrap();
    /// ```
    pub fn report_waits_longer_than(mut self, limit: Duration) -> Self {
        self.watch.longest_wait = Some(limit);
        self
    }

    /// Finds out how deep the stack of each task has been at its deepest, when it ends: for
    /// [`Statistics::deepest_stack`](crate::Statistics::deepest_stack), and the [advice](crate::Statistics::stack_advice) made of that. So does
    /// `COOP_STACKS=measure` in the environment. Off otherwise: it takes several microseconds for each task, whose stack is given back to
    /// the kernel before.
    pub fn measure_stacks(mut self, on: bool) -> Self {
        self.measure_stacks = Some(on);
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

    /// Io_uring or epoll, on which these things go wrong. For tests of the runtime.
    #[doc(hidden)]
    pub fn faulty_ring(mut self, faults: &Faults) -> Self {
        self.faults = Some(faults.clone());
        self
    }

    /// What has failed is told, not printed; what is not over by that time of a simulation is ended.
    pub(crate) fn watched(mut self, time_limit: u64) -> Self {
        self.settings.is_quiet = true;
        self.settings.time_limit = Some(time_limit);
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
        self.run_on(pool, None, f)
    }

    /// Runs `f` and gives its outcome, and what the Cooperator had in hand when every task had ended. On stacks that the run
    /// before has left: for tests that start a great many Cooperators, which mapping stacks would dominate.
    #[doc(hidden)]
    pub fn run_counted<F, R>(self, spare: &mut SpareStacks, f: F) -> Result<(Result<R, JoinError>, Census), StartError>
    where
        F: FnOnce() -> R,
    {
        let pool = spare.0.take().unwrap_or_else(|| Pool::new(self.settings.warm_stacks));
        let (result, end) = self.run_on(pool, None, f)?;
        spare.0 = (end.census.stacks == 0).then_some(end.pool);
        Ok((result, end.census))
    }

    /// Runs `f` in a simulation, on stacks that the run before has left, and gives its outcome.
    pub(crate) fn run_simulated<F, R>(
        self,
        simulation: &Simulation,
        spare: &mut SpareStacks,
        f: F,
    ) -> Result<(Result<R, JoinError>, End), StartError>
    where
        F: FnOnce() -> R,
    {
        let pool = spare.0.take().unwrap_or_else(|| Pool::new(self.settings.warm_stacks));
        let (result, mut end) = self.run_on(pool, Some(simulation), f)?;
        if end.census.stacks == 0 {
            spare.0 = Some(std::mem::replace(&mut end.pool, Pool::new(0)));
        }
        Ok((result, end))
    }

    fn run_on<F, R>(
        mut self,
        pool: Pool,
        simulation: Option<&Simulation>,
        f: F,
    ) -> Result<(Result<R, JoinError>, End), StartError>
    where
        F: FnOnce() -> R,
    {
        self.heed_environment()?;
        let clock = if self.is_virtual { Clock::new_virtual() } else { Clock::Monotonic };
        let driver = if let (Some(simulation), Clock::Virtual(now)) = (simulation, &clock) {
            let Simulation { chance, behaviour } = simulation;
            let network = Rc::new(Network::new(now.clone(), chance.clone(), behaviour.clone()));
            Simulated::with(chance.clone(), Some(network)).into()
        } else if self.is_simulated {
            Simulated::new(self.seed.unwrap_or(0)).into()
        } else if let Some(faults) = self.faults.take() {
            start::faulty_driver(faults, self.driver, self.settings.ring_entries, task_run())?
        } else {
            start::driver(self.driver, self.hardened, self.settings.ring_entries, task_run())?
        };
        if matches!(driver, ring::Driver::Epoll(_)) {
            // To look is a system call.
            self.settings.spin = Duration::ZERO;
        }
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
                debugger::hide(&self.0);
                Scheduler::set_current(std::ptr::null());
            }
        }
        Scheduler::set_current(&cooperator.scheduler);
        debugger::show(&cooperator);
        let mut current = Current(cooperator);
        // SAFETY: the box stays until `current` goes, at the end of this function, when no task is left.
        let cooperator: &'static Cooperator = unsafe { &*std::ptr::from_ref(&*current.0) };
        // SAFETY: it is dropped before `current`, and before anything of the Cooperator is taken out.
        let enrolled = unsafe { inspect::enroll(cooperator, self.watch) };
        // SAFETY: `run_loop` returns when the root has ended; what it borrows is borrowed by our caller for longer.
        let mut root = match unsafe { task::spawn_root(cooperator, f) } {
            Ok(root) => root,
            Err((error, f)) => {
                // Dropping it is the user's code, for which there must be either a task or no Cooperator.
                drop(enrolled);
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
        drop(enrolled);
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

impl Builder {
    /// Takes from the environment what the program has not said.
    fn heed_environment(&mut self) -> Result<(), StartError> {
        let is_set = |limit: Option<Duration>| limit.filter(|limit| !limit.is_zero());
        self.watch.longest_turn = match self.watch.longest_turn {
            None => start::duration_from_environment("COOP_WATCHDOG")?,
            limit => limit,
        };
        self.watch.longest_turn = is_set(self.watch.longest_turn);
        self.watch.longest_wait = is_set(self.watch.longest_wait);
        let flag = |said: Option<bool>, variable, word| match said {
            None => start::word_from_environment(variable, word),
            Some(said) => Ok(said),
        };
        self.watch.dump_on_sigquit = flag(self.dump_on_sigquit, "COOP_DUMP", "sigquit")?;
        self.settings.measure_stacks = flag(self.measure_stacks, "COOP_STACKS", "measure")?;
        Ok(())
    }
}

/// What takes the place of the world in a simulation.
pub(crate) struct Simulation {
    pub(crate) chance: Rc<Chance>,
    pub(crate) behaviour: Behaviour,
}

/// What is left of a Cooperator.
pub(crate) struct End {
    /// What deadlock detection had to say.
    pub(crate) verdict: Option<String>,
    /// Panics of which nobody has heard.
    pub(crate) orphan_panics: u64,
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
