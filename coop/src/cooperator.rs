//! What one thread needs to run tasks, in one piece: scheduler, stacks, clock, timers, ring.

use crate::buffers::Buffers;
use crate::clock::Clock;
use crate::count::Count;
use crate::inbox::{Inbox, Job};
use crate::ring::{BELL, Completion, Driver, Network, Patience, Provided, Ring, Simulated, Slots, Sqe};
use crate::scheduler::Scheduler;
use crate::siblings::Siblings;
use crate::stack::{self, Pool};
use crate::sys;
use crate::timers::Timers;
use std::any::Any;
use std::cell::{Cell, OnceCell, RefCell};
use std::io;
use std::ptr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicU8;
use std::time::Duration;

/// What to do with the panic of a task that nobody joined.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum OrphanPanic {
    /// Count it. The panic hook has already printed it.
    #[default]
    Log,
    /// Kill the task's parent, with cause `Parent`.
    KillParent,
    /// Abort the process.
    Abort,
}

/// What to do when tasks have not ended within the grace of a shutdown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Stuck {
    /// Print the tree of what is left, with backtraces, and go on waiting.
    #[default]
    Report,
    /// Print it and abort the process.
    Abort,
}

/// What a Cooperator was told when it was built.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// Usable bytes of a task's stack when nobody says otherwise; scaled in debug builds.
    pub(crate) stack: usize,
    pub(crate) root_stack: usize,
    pub(crate) warm_stacks: usize,
    pub(crate) ring_entries: u32,
    /// How long the idle loop watches for completions before it sleeps in the kernel.
    pub(crate) spin: Duration,
    pub(crate) grace: Duration,
    pub(crate) on_stuck: Stuck,
    pub(crate) on_orphan_panic: OrphanPanic,
    pub(crate) name: Option<Arc<str>>,
    /// Deadlocks are noted, not printed.
    pub(crate) is_quiet: bool,
    /// A simulation that has not ended by this time of its own is ended.
    pub(crate) time_limit: Option<u64>,
    /// Whether each stack is looked at when its task has ended.
    pub(crate) measure_stacks: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            stack: crate::stack::DEFAULT_SIZE,
            root_stack: 2 * 1024 * 1024,
            warm_stacks: 1024,
            ring_entries: 256,
            spin: Duration::ZERO,
            grace: Duration::from_secs(10),
            on_stuck: Stuck::default(),
            on_orphan_panic: OrphanPanic::default(),
            name: None,
            is_quiet: false,
            time_limit: None,
            measure_stacks: false,
        }
    }
}

/// What `inspect` keeps of a Cooperator.
#[derive(Default)]
pub(crate) struct Inspected {
    /// What other threads want of the loop at its next pass.
    pub(crate) asked: AtomicU8,
    /// Waits longer than this are reported, in nanoseconds of the Cooperator's clock; 0: none is.
    pub(crate) longest_wait: Cell<u64>,
    /// When they were last looked for.
    pub(crate) looked_at: Cell<u64>,
    /// The timeline to which this Cooperator writes; 0: none.
    pub(crate) recording: Cell<u64>,
}

/// Counters of one Cooperator. Every thread may read them.
#[derive(Default)]
pub(crate) struct Counters {
    pub(crate) spawned: Count,
    pub(crate) live: Count,
    /// Panics, before the root's end, that neither a joiner nor a scope has heard of.
    pub(crate) orphan_panics: Count,
    /// Waits that were refused because of a kill.
    pub(crate) refused: Count,
    /// Passes of the loop.
    pub(crate) passes: Count,
    /// How often the ring was entered, and operations were asked to end.
    pub(crate) enters: Count,
    pub(crate) cancels: Count,
    /// Tasks that the watchdog has reported.
    pub(crate) stalls: Count,
    /// In which row of a task's description this Cooperator counts.
    pub(crate) row: Cell<usize>,
}

/// The runtime of one thread. Boxed, and alive while the thread's `CURRENT` points to it.
#[repr(C)]
pub struct Cooperator {
    /// First: the thread-local pointer to the scheduler is a pointer to this.
    pub(crate) scheduler: Scheduler,
    pub(crate) siblings: Siblings,
    pub(crate) pool: Pool,
    pub(crate) clock: Clock,
    pub(crate) timers: Timers,
    ring: Driver,
    slots: Slots,
    pub(crate) settings: Settings,
    /// The class of the stacks that most tasks have; none if stacks are measured, which takes more than to take one.
    pub(crate) stack_class: usize,
    pub(crate) counters: Counters,
    /// What receives lend; a lease may outlive its Cooperator.
    pub(crate) buffers: Rc<Buffers>,
    /// What the kernel fills by itself; made when somebody first receives ahead. Behind the ring: it goes after it.
    provided: OnceCell<Option<Provided>>,
    /// Unique in the process: tells a Cooperator from a later one at the same address.
    pub(crate) id: u64,
    /// The root task. Typed above.
    pub(crate) root: Cell<*const ()>,
    /// Sources outside this thread that can still wake a task: signals listened to, Remotes.
    pub(crate) wakers: Cell<usize>,
    /// The Cooperators that were started with this one, if any. Typed above.
    pub(crate) group: RefCell<Option<Box<dyn Any>>>,
    /// The exit code of a process that a task wants to end.
    pub(crate) exit: Cell<Option<i32>>,
    pub(crate) inspected: Inspected,
    /// What deadlock detection found, for tests.
    pub(crate) verdict: RefCell<Option<String>>,
    /// Jobs from other threads; made when somebody first asks for a Remote.
    inbox: OnceCell<Arc<Inbox>>,
    /// Jobs for which there was no stack.
    left_jobs: RefCell<Vec<Job>>,
    bell: Bell,
}

impl Cooperator {
    pub(crate) fn new(settings: Settings, clock: Clock, ring: Driver, scheduler: Scheduler, pool: Pool) -> Box<Self> {
        use std::sync::atomic::{AtomicU64, Ordering};
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let now = clock.now();
        scheduler.pass_time.set(now);
        Box::new(Cooperator {
            scheduler,
            siblings: Siblings::new(),
            pool,
            timers: Timers::new(now),
            clock,
            ring,
            slots: Slots::new(),
            stack_class: match settings.measure_stacks {
                false => stack::class_of(stack::scaled(settings.stack.max(stack::MINIMUM_SIZE))),
                true => stack::NO_CLASS,
            },
            settings,
            counters: Counters::default(),
            buffers: Rc::default(),
            provided: OnceCell::new(),
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            root: Cell::new(ptr::null()),
            wakers: Cell::new(0),
            group: RefCell::default(),
            exit: Cell::new(None),
            inspected: Inspected::default(),
            verdict: RefCell::default(),
            inbox: OnceCell::new(),
            left_jobs: RefCell::default(),
            bell: Bell { is_watched: Cell::new(false), has_rung: Cell::new(false), user_data: Cell::new(0) },
        })
    }

    /// The Cooperator of the calling thread. The reference is good while the calling task (or the loop) runs: a Cooperator
    /// goes only after its tasks, so callers must not keep it in anything that outlives the task.
    #[inline]
    pub(crate) fn current() -> Option<&'static Cooperator> {
        // SAFETY: the pointer is set by the runtime to the first field of a boxed, `repr(C)` Cooperator, and reset before the
        // box goes.
        unsafe { Scheduler::current().cast::<Cooperator>().as_ref() }
    }

    /// Like [`Cooperator::current`], for calls that make no sense without.
    ///
    /// # Panics
    /// When the thread has none, naming the fix.
    #[inline]
    #[track_caller]
    pub(crate) fn required() -> &'static Cooperator {
        match Self::current() {
            Some(cooperator) => cooperator,
            None => no_cooperator(),
        }
    }

    /// Sees to it that so many tasks can live at the same time: what each has a place in. False if there is no memory.
    pub(crate) fn make_room(&self, live: u64) -> bool {
        // First the one, whose room is asked for when a task is started: there is never less of the other.
        self.siblings.make_room(live) && self.scheduler.make_room(live)
    }

    /// Puts an operation in flight. Returns its user data, for [`Cooperator::cancel`].
    ///
    /// # Safety
    /// `completion`, and all memory that `sqe` names, stay valid until the last completion was delivered.
    pub(crate) unsafe fn submit(&self, sqe: Sqe, completion: &dyn Completion) -> u64 {
        // SAFETY: the caller's promise; the lifetime of the borrow is covered by it.
        let user_data =
            unsafe { self.slots.insert(std::mem::transmute::<&dyn Completion, *const dyn Completion>(completion)) };
        self.ring.push(sqe.with_user_data(user_data));
        self.scheduler.hasten(SUBMIT_WITHIN);
        user_data
    }

    /// The same where it takes no call: on a ring of the kernel's, in whose queue there is a place. There the submission is written, and
    /// nowhere before. None, and nothing has changed: it has to be done by [`submit`](Cooperator::submit).
    ///
    /// # Safety
    /// As [`Cooperator::submit`].
    #[inline(always)]
    pub(crate) unsafe fn submit_quickly<C: Completion + 'static>(&self, sqe: Sqe, completion: &C) -> Option<u64> {
        if !self.slots.has_free() {
            return None;
        }
        let place = self.ring.place_for(&sqe)?;
        // SAFETY: the caller's promise; there is a free slot.
        let user_data = unsafe { self.slots.insert_free(completion) };
        place.put(sqe.with_user_data(user_data));
        self.scheduler.hasten(SUBMIT_WITHIN);
        Some(user_data)
    }

    /// Whether to submit a call that could as well be made at once: other tasks are ready, and are likely to have something for the
    /// kernel too. Then all of it goes there together, which spares the calls, and the kernel does the same thing many times in a
    /// row, with its code in the processor's caches. Who is alone had better call: that is over sooner.
    #[inline]
    pub(crate) fn submits_together(&self) -> bool {
        !self.scheduler.is_idle() && matches!(self.ring, Driver::Uring(_)) && !self.scheduler.is_switching_forbidden()
    }

    /// Asks the kernel to end an operation soon. Whatever it answers, the operation ends at its own completion.
    pub(crate) fn cancel(&self, user_data: u64) {
        self.counters.cancels.add(1);
        self.ring.push(Sqe::cancel(user_data).with_user_data(Slots::cancel_of(user_data)));
        self.scheduler.hasten(SUBMIT_WITHIN);
    }

    /// Hands over submissions, waits within `patience` for a completion, and delivers those that are there. Runs on the loop's
    /// stack, and in place on a task's while it unwinds. Switches nowhere.
    pub(crate) fn drive(&self, patience: Patience) {
        if patience != Patience::None || self.ring.has_work() {
            self.counters.enters.add(1);
            self.scheduler.trace(|tracer| tracer.enters());
            if let Err(error) = self.ring.enter(patience) {
                // Nothing that a well-formed call can return is left (see `Uring::enter`): the ring itself is broken.
                sys::die(format_args!("coop: io_uring_enter failed: {error}"));
            }
            self.scheduler.trace(|tracer| tracer.entered());
        }
        self.ring.reap(|cqe| self.slots.deliver(cqe));
        if self.slots.has_missed() {
            self.slots.take_missed().into_iter().for_each(|user_data| self.cancel(user_data));
        }
    }

    /// The buffers that the kernel fills by itself. None: it takes none.
    pub(crate) fn provided(&self) -> Option<&Provided> {
        let register = || Provided::register(&self.ring).inspect(|provided| self.provide(provided)).ok();
        self.provided.get_or_init(register).as_ref()
    }

    /// Puts others in the place of those that were taken.
    pub(crate) fn provide(&self, provided: &Provided) {
        (0..provided.missing()).for_each(|_| provided.put(self.buffers.take()));
    }

    /// The inbox, from now on watched by the ring.
    pub(crate) fn open_inbox(&self) -> io::Result<Arc<Inbox>> {
        if self.inbox.get().is_none() {
            let new = Inbox::new()?;
            let inbox = self.inbox.get_or_init(|| Arc::new(new));
            if let Some(ring) = self.ring.for_messages() {
                inbox.connect(ring, BELL);
            }
            self.watch_inbox();
        }
        Ok(self.inbox.get().expect("set above").clone())
    }

    fn watch_inbox(&self) {
        if let Some(inbox) = self.inbox.get()
            && !self.bell.is_watched.replace(true)
        {
            // SAFETY: the bell is a part of the boxed Cooperator, which goes when nothing is in flight; a poll names no memory.
            let user_data = unsafe { self.submit(Sqe::poll(inbox.bell(), libc::POLLIN as u32), &self.bell) };
            self.bell.user_data.set(user_data);
        }
    }

    /// Runs the jobs that other threads have left.
    pub(crate) fn run_jobs(&self) {
        let (by_message, by_event) = (self.slots.take_ring(), self.bell.has_rung.take());
        if let Some(inbox) = self.inbox.get()
            && (by_message || by_event)
        {
            if by_event {
                inbox.silence();
            }
            inbox.take().into_iter().for_each(|job| job());
            self.watch_inbox();
        }
    }

    /// Keeps a job that cannot be run, until [`Cooperator::close`].
    pub(crate) fn leave_job(&self, job: Job) {
        self.left_jobs.borrow_mut().push(job);
    }

    /// Takes no more jobs, and sees that nothing is in flight any more. Called when every task has ended. Gives the jobs that
    /// nobody will run: to drop them is to run user code, for which there must be either a task or no Cooperator.
    #[must_use]
    pub(crate) fn close(&self) -> Vec<Job> {
        let mut left = self.left_jobs.take();
        if let Some(inbox) = self.inbox.get() {
            left.extend(inbox.close());
        }
        // The bell's poll, and those of what was forgotten.
        self.slots.all().into_iter().for_each(|user_data| self.cancel(user_data));
        // What lingers may do so for ever: who began it has left with it what it needs.
        while self.in_flight() > self.slots.lingering() {
            self.drive(Patience::Forever);
        }
        left
    }

    /// Whether anything outside can still make a task runnable: an operation in flight, a signal, another thread.
    pub(crate) fn can_be_woken(&self) -> bool {
        let bells = usize::from(self.bell.is_watched.get());
        self.in_flight() > bells + self.slots.lingering() || self.wakers.get() != 0 || self.has_remotes()
    }

    /// Whether a Remote exists, or the last has left something.
    #[inline(never)]
    fn has_remotes(&self) -> bool {
        // It may have gone just now, and have left a job: so the one is asked before the other.
        self.inbox.get().is_some_and(|inbox| Arc::strong_count(inbox) > 1 || inbox.has_last_jobs())
    }

    /// The simulation that takes the kernel's place, if it has a network, and so a time of its own.
    pub(crate) fn simulation(&self) -> Option<(&Simulated, &Network)> {
        let ring = self.ring.simulated()?;
        Some((ring, ring.network()?))
    }

    /// Whether something outside of a simulation can still make a task runnable.
    pub(crate) fn can_be_woken_from_outside(&self) -> bool {
        let bells = usize::from(self.bell.is_watched.get());
        self.has_remotes() || self.wakers.get() != 0 || self.ring.simulated().is_some_and(|ring| ring.outside() > bells)
    }

    /// Watches for completions without entering the kernel, until there is something to pick up or the clock says `until`.
    pub(crate) fn spin(&self, until: u64) -> bool {
        /// A look at the clock costs as much as this many looks at the ring.
        const LOOKS: u32 = 16;
        loop {
            for _ in 0..LOOKS {
                if self.ring.has_work() {
                    return true;
                }
                std::hint::spin_loop();
            }
            if self.clock.now() >= until {
                return false;
            }
        }
    }

    /// Operations whose last completion is still to come.
    pub(crate) fn in_flight(&self) -> usize {
        self.slots.in_flight()
    }

    /// Completions that belonged to no operation.
    pub(crate) fn strays(&self) -> u64 {
        self.slots.strays()
    }

    /// The operations: how many, and what came of them.
    pub(crate) fn slots(&self) -> &Slots {
        &self.slots
    }

    pub(crate) fn ring(&self) -> &Driver {
        &self.ring
    }

    /// Whether submissions still wait for the kernel.
    pub(crate) fn has_unsubmitted(&self) -> bool {
        self.ring.unsubmitted() != 0
    }
}

/// The poll that watches the inbox.
struct Bell {
    is_watched: Cell<bool>,
    has_rung: Cell<bool>,
    user_data: Cell<u64>,
}

// SAFETY: a part of the boxed Cooperator, which goes when nothing is in flight.
unsafe impl Completion for Bell {
    fn complete(&self, _: i32, _: u32, last: bool) {
        if last {
            self.is_watched.set(false);
            self.has_rung.set(true);
        }
    }
}

/// A submission waits for at most this many switches before the kernel hears of it, of those that come together.
const SUBMIT_WITHIN: u32 = 128;

/// What is wrong with a call that finds no Cooperator, and what to do.
pub(crate) fn no_cooperator_text() -> &'static str {
    match Scheduler::is_in_forked_child() {
        false => {
            "this thread runs no Cooperator: call this inside `coop::run(|| …)` or a function marked `#[coop::main]`"
        }
        true => "this process was forked by a task, and tasks go on in the parent only: call `exec` or `_exit` here",
    }
}

#[cold]
#[track_caller]
fn no_cooperator() -> ! {
    panic!("{}", no_cooperator_text())
}
