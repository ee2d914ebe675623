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
use std::cell::{Cell, UnsafeCell};
use std::process::abort;
use std::ptr;

/// How many times fibers may stop before the loop looks at timers and completions.
const BUDGET: u32 = 64;

/// How many fibers from the front of the queue a seeded scheduler chooses among.
const CHOICE: usize = 8;

thread_local! {
    /// The scheduler of this thread. Const-initialised and without a destructor, so that reading it is one load.
    static CURRENT: Cell<*const Scheduler> = const { Cell::new(ptr::null()) };
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
    /// Waits are forbidden while not zero: how many `no_switch` regions are open.
    forbidden: Cell<u32>,
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
            forbidden: Cell::new(0),
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
    #[inline]
    pub(crate) fn park(&self, killable: bool) {
        let me = self.running_fiber();
        me.state.set(State::Parked { killable });
        let next = self.next_or_loop();
        self.switch_from(me, next);
    }

    /// Lets every other ready fiber run first.
    #[inline]
    pub(crate) fn give_way(&self) {
        let me = self.running_fiber();
        self.enqueue(me);
        let next = self.next_or_loop();
        if ptr::eq(next, me) {
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

    #[inline]
    fn switch_from(&self, me: &Fiber, next: *const Fiber) {
        if self.forbidden.get() != 0 {
            forbidden_switch();
        }
        self.running.set(next);
        // SAFETY: `next` was queued, so it is parked at a switch or prepared, and its stack is its own. The loop is parked in
        // `run_ready` whenever a fiber runs. `me` is what runs.
        unsafe {
            let to = match next.as_ref() {
                Some(next) => {
                    next.state.set(State::Running);
                    next.context.get()
                }
                None => self.native.get(),
            };
            switch(me.context.get(), to);
        }
    }

    /// Opens (`true`) or closes a region in which a switch aborts.
    pub(crate) fn forbid_switching(&self, forbid: bool) {
        self.forbidden.set(if forbid { self.forbidden.get() + 1 } else { self.forbidden.get() - 1 });
    }

    /// Whether a `no_switch` region is open.
    pub(crate) fn is_switching_forbidden(&self) -> bool {
        self.forbidden.get() != 0
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

    /// Whether the budget is spent, so that a call that never waits should give way now.
    #[inline]
    pub(crate) fn spend(&self) -> bool {
        let budget = self.budget.get();
        self.budget.set(budget.saturating_sub(1));
        budget == 0
    }
}

#[cold]
fn forbidden_switch() -> ! {
    eprintln!("coop: a wait inside `coop::no_switch`");
    eprintln!("{}", std::backtrace::Backtrace::force_capture());
    abort();
}
