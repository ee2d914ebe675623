//! Which fiber runs: the ready queue, and the straight way from one fiber to the next. Knows no ring, no timer, no reason
//! for waiting.
//!
//! ```text
//!        spawn, unpark                     switch
//!   ───────────────────▶  ready queue ──────────────▶ running ──▶ ended
//!                              ▲                         │  │
//!                              └───────── yield ─────────┘  │ park
//!                              ▲                            ▼
//!                              └──────── unpark ───────── parked
//! ```
//!
//! A fiber that stops switches to the next ready one itself. Only when there is none, or when the budget of switches is
//! spent, does it switch to the *loop*, which runs on the thread's own stack and looks at the world outside.

use crate::fiber::{Fiber, State};
use crate::random::Random;
use crate::switch::{Context, switch};
use crate::sys;
use std::backtrace::Backtrace;
use std::cell::{Cell, UnsafeCell};
use std::panic::Location;
use std::process::abort;
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};

/// How many times fibers may stop before the loop looks at timers and completions.
const BUDGET: u32 = 64;

/// How many fibers from the front of the queue a seeded scheduler chooses among.
const CHOICE: usize = 8;

thread_local! {
    /// The scheduler of this thread. Const-initialised and without a destructor, so that reading it is one load.
    static CURRENT: Cell<*const Scheduler> = const { Cell::new(ptr::null()) };
}

/// Set in a child that a task forked.
static IS_FORKED_CHILD: AtomicBool = AtomicBool::new(false);

/// Why a switch would abort.
#[derive(Clone, Copy)]
pub(crate) enum Forbidden {
    /// Inside a `no_switch` of this task, at this place.
    Region { task: &'static str, place: &'static Location<'static> },
    /// For good, in a forked child.
    Forked,
}

/// The scheduler of one thread. The first field of its `Cooperator`.
pub(crate) struct Scheduler {
    /// The fiber that runs; null while the loop does.
    running: Cell<*const Fiber>,
    first: Cell<*const Fiber>,
    last: Cell<*const Fiber>,
    budget: Cell<u32>,
    /// Where the loop goes on.
    native: UnsafeCell<Context>,
    /// Set while waits are forbidden.
    forbidden: Cell<Option<Forbidden>>,
    /// In debug builds: looks at each fiber that is about to wait. Set by the layers above.
    #[cfg(debug_assertions)]
    pub(crate) watcher: Cell<Option<fn(&Fiber)>>,
    /// The time of the loop's last pass, for "since" in dumps.
    pub(crate) pass_time: Cell<u64>,
    /// In tests: which of the ready fibers runs next is left to chance.
    chance: Option<Random>,
    turns: Cell<usize>,
}

impl Scheduler {
    pub(crate) fn new(chance: Option<Random>) -> Self {
        Scheduler {
            running: Cell::new(ptr::null()),
            first: Cell::new(ptr::null()),
            last: Cell::new(ptr::null()),
            budget: Cell::new(BUDGET),
            native: UnsafeCell::new(Context::unset()),
            forbidden: Cell::new(None),
            #[cfg(debug_assertions)]
            watcher: Cell::new(None),
            pass_time: Cell::new(0),
            chance,
            turns: Cell::new(0),
        }
    }

    /// The scheduler of the calling thread, or null.
    #[inline]
    pub(crate) fn current() -> *const Scheduler {
        CURRENT.get()
    }

    /// Makes `scheduler` the calling thread's; returns the one before.
    pub(crate) fn set_current(scheduler: *const Scheduler) -> *const Scheduler {
        CURRENT.replace(scheduler)
    }

    /// Takes the calling thread's scheduler away for good: this is a child that one of its tasks has just forked.
    pub(crate) fn abandon_in_child() {
        // SAFETY: the child has a copy of the scheduler, at the same address.
        if let Some(scheduler) = unsafe { Self::set_current(ptr::null()).as_ref() } {
            scheduler.forbid_switching(Forbidden::Forked);
            IS_FORKED_CHILD.store(true, Ordering::Relaxed);
        }
    }

    /// Whether a task forked this process.
    pub(crate) fn is_in_forked_child() -> bool {
        IS_FORKED_CHILD.load(Ordering::Relaxed)
    }

    /// The running fiber; null when the loop runs.
    #[inline]
    pub(crate) fn running(&self) -> *const Fiber {
        self.running.get()
    }

    /// Whether no fiber is ready.
    #[inline]
    pub(crate) fn is_idle(&self) -> bool {
        self.first.get().is_null()
    }

    /// Has the loop look at the world after at most `switches` more: somebody gave it something to do.
    #[inline]
    pub(crate) fn hasten(&self, switches: u32) {
        self.budget.set(self.budget.get().min(switches));
    }

    /// Puts a fiber into the ready queue.
    #[inline]
    fn enqueue(&self, fiber: &Fiber) {
        fiber.state.set(State::Ready);
        fiber.next.set(ptr::null());
        let last = self.last.replace(fiber);
        if last.is_null() {
            self.first.set(fiber);
        } else {
            // SAFETY: a fiber in the ready queue has not ended, so it is where it was.
            unsafe { (*last).next.set(fiber) };
        }
    }

    #[inline]
    fn dequeue(&self) -> *const Fiber {
        if let Some(chance) = &self.chance {
            return self.dequeue_by(chance);
        }
        let first = self.first.get();
        if !first.is_null() {
            // SAFETY: as in `enqueue`.
            let next = unsafe { (*first).next.get() };
            self.first.set(next);
            if next.is_null() {
                self.last.set(ptr::null());
            }
        }
        first
    }

    #[cold]
    fn dequeue_by(&self, chance: &Random) -> *const Fiber {
        let mut candidates = [ptr::null::<Fiber>(); CHOICE];
        let mut count = 0;
        let mut fiber = self.first.get();
        while !fiber.is_null() && count < CHOICE {
            candidates[count] = fiber;
            count += 1;
            // SAFETY: as in `enqueue`.
            fiber = unsafe { (*fiber).next.get() };
        }
        if count == 0 {
            return ptr::null();
        }
        let chosen = chance.below(count);
        // SAFETY: all candidates are in the queue.
        unsafe {
            let next = (*candidates[chosen]).next.get();
            match chosen.checked_sub(1) {
                None => self.first.set(next),
                Some(before) => (*candidates[before]).next.set(next),
            }
            if next.is_null() {
                self.last.set(chosen.checked_sub(1).map_or(ptr::null(), |before| candidates[before]));
            }
        }
        candidates[chosen]
    }

    /// Makes a new fiber runnable.
    ///
    /// # Safety
    /// It was prepared, is not queued, and stays where it is until it has ended.
    #[inline]
    pub(crate) unsafe fn start(&self, fiber: &Fiber) {
        self.enqueue(fiber);
    }

    /// Makes a parked fiber runnable; does nothing to one that is not parked.
    #[inline]
    pub(crate) fn unpark(&self, fiber: &Fiber) {
        if let State::Parked { .. } = fiber.state.get() {
            self.enqueue(fiber);
        }
    }

    /// Makes a fiber runnable if it is parked in a killable wait.
    pub(crate) fn interrupt(&self, fiber: &Fiber) {
        if fiber.state.get() == (State::Parked { killable: true }) {
            self.enqueue(fiber);
        }
    }

    /// Switches the running fiber out until something unparks it. Spurious returns are possible.
    ///
    /// Inlined into whoever waits, with all between: a function that was called before the switch and returns after it returns to
    /// where the processor predicts that the task before would. All but the switch is done by one that returns first.
    #[inline(always)]
    pub(crate) fn park(&self, killable: bool) {
        let (from, to) = self.stop(killable);
        // SAFETY: see `stop`.
        unsafe { switch(from, to) };
    }

    /// All of [`park`](Scheduler::park) but the switch: what to switch from, and to.
    #[inline(never)]
    fn stop(&self, killable: bool) -> (*mut Context, *const Context) {
        let me = self.running_fiber();
        self.show(me);
        me.state.set(State::Parked { killable });
        let next = self.next_or_loop();
        self.leave(me, next)
    }

    /// Shows a fiber that is about to wait, at the place it has noted, to whoever watches in debug builds.
    #[inline]
    pub(crate) fn show(&self, _fiber: &Fiber) {
        #[cfg(debug_assertions)]
        if let Some(watcher) = self.watcher.get() {
            watcher(_fiber);
        }
    }

    /// Lets every other ready fiber run first.
    #[inline(always)]
    pub(crate) fn give_way(&self) {
        let me = self.running_fiber();
        self.enqueue(me);
        let next = self.next_or_loop();
        if ptr::eq(next, me) && !self.is_switching_forbidden() {
            me.state.set(State::Running);
            return;
        }
        self.switch_from(me, next);
    }

    /// Leaves the running fiber for good.
    ///
    /// # Safety
    /// Nothing refers to the fiber's frames any more. Its memory may be used again as soon as this has switched.
    pub(crate) unsafe fn end(&self) -> ! {
        let me = self.running_fiber();
        me.state.set(State::Ended);
        let next = self.next_or_loop();
        self.switch_from(me, next);
        // Nobody may resume what has ended; a frame below this one no longer exists.
        abort();
    }

    /// Runs ready fibers until there are none or the budget is spent. Called by the loop, on the thread's own stack.
    pub(crate) fn run_ready(&self) {
        self.budget.set(match &self.chance {
            None => BUDGET,
            Some(chance) => 1 + chance.below(BUDGET as usize) as u32,
        });
        let first = self.dequeue();
        // SAFETY: a fiber that was queued is parked at a switch, or prepared. The loop's frame stays until it is switched
        // back to: `run_ready` has not returned.
        if let Some(fiber) = unsafe { first.as_ref() } {
            self.running.set(fiber);
            fiber.state.set(State::Running);
            // SAFETY: as above; the thread is the same, fibers never migrate.
            unsafe { switch(self.native.get(), fiber.context.get()) };
        }
    }

    #[inline]
    fn running_fiber(&self) -> &Fiber {
        debug_assert!(!self.running.get().is_null(), "only a task can wait");
        // SAFETY: callers run on a fiber, which stays where it is while it runs.
        unsafe { &*self.running.get() }
    }

    /// The next ready fiber, or null for the loop.
    #[inline]
    fn next_or_loop(&self) -> *const Fiber {
        let budget = self.budget.get();
        if budget == 0 {
            return ptr::null();
        }
        self.budget.set(budget - 1);
        self.dequeue()
    }

    #[inline(always)]
    fn switch_from(&self, me: &Fiber, next: *const Fiber) {
        let (from, to) = self.leave(me, next);
        // SAFETY: see `leave`.
        unsafe { switch(from, to) };
    }

    /// Makes `next` the running fiber, or the loop if it is null. The contexts to switch from, and to: `next` was queued, so it is
    /// parked at a switch or prepared, and its stack is its own. The loop is parked in `run_ready` whenever a fiber runs. `me` is
    /// what runs.
    #[inline]
    fn leave(&self, me: &Fiber, next: *const Fiber) -> (*mut Context, *const Context) {
        if let Some(why) = self.forbidden.get() {
            forbidden_switch(me, why);
        }
        self.running.set(next);
        // SAFETY: a fiber in the ready queue has not ended, so it is where it was.
        let to = match unsafe { next.as_ref() } {
            Some(next) => {
                next.state.set(State::Running);
                next.context.get()
            }
            None => self.native.get(),
        };
        (me.context.get(), to)
    }

    /// From now on a switch aborts. Returns what has forbidden it so far.
    pub(crate) fn forbid_switching(&self, why: Forbidden) -> Option<Forbidden> {
        self.forbidden.replace(Some(why))
    }

    /// Ends what `forbid_switching` began, given what that returned.
    pub(crate) fn allow_switching(&self, before: Option<Forbidden>) {
        if !matches!(self.forbidden.get(), Some(Forbidden::Forked)) {
            self.forbidden.set(before);
        }
    }

    /// Whether a switch would abort.
    pub(crate) fn is_switching_forbidden(&self) -> bool {
        self.forbidden.get().is_some()
    }

    /// Where among `count` equals to begin this time: each gets its turn.
    #[inline]
    pub(crate) fn turn(&self, count: usize) -> usize {
        if let Some(chance) = &self.chance {
            return chance.below(count);
        }
        let turn = self.turns.get();
        self.turns.set(if turn + 1 < count { turn + 1 } else { 0 });
        turn.min(count - 1)
    }

    /// Whether the budget is spent, so that a call that never waits should give way now. Never where it must not.
    #[inline]
    pub(crate) fn spend(&self) -> bool {
        let budget = self.budget.get();
        self.budget.set(budget.saturating_sub(1));
        budget == 0 && !self.is_switching_forbidden()
    }
}

#[cold]
fn forbidden_switch(fiber: &Fiber, why: Forbidden) -> ! {
    let wait = match fiber.state.get() {
        State::Parked { .. } => format!("{} at {}", fiber.reason.get(), fiber.place.get()),
        _ => "to give way".to_owned(),
    };
    let trace = Backtrace::force_capture();
    match why {
        Forbidden::Region { task, place } => sys::die(format_args!(
            "coop: task '{task}' waits ({wait}) inside its `coop::no_switch` at {place}\n{trace}"
        )),
        Forbidden::Forked => sys::die(format_args!(
            "coop: a wait ({wait}) in a forked child, whose tasks go on in the parent only: `exec` or `_exit`\n{trace}"
        )),
    }
}
