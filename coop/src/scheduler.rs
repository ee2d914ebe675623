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

use crate::count::Count;
use crate::error::Cause;
use crate::fiber::{Fiber, State};
use crate::random::Random;
use crate::ready::{LEAST, Places};
use crate::switch::{Context, switch};
use crate::sys;
use std::backtrace::Backtrace;
use std::cell::{Cell, RefCell, UnsafeCell};
use std::mem::offset_of;
use std::panic::Location;
use std::process::abort;
use std::ptr;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicPtr, Ordering};

/// How many times fibers may stop before the loop looks at timers and completions: at first.
const BUDGET: u32 = 64;

/// The least and the most that may become of it, see [`Scheduler::pace`].
const BUDGETS: [u64; 2] = [16, 256];

/// How long fibers should run, in nanoseconds, before the loop looks: at least this, at most twice as long.
const TURN: u64 = 150_000;

/// So many calls that touch nothing but memory, and need not wait, count as one stop.
const LITTLE: u64 = 4;

/// Where more fibers than that are ready, their memory may be far away.
const MANY: u64 = 16;

/// The fiber whose turn comes so many turns later is fetched then, and so many turns later the frames that it will go on with.
const FETCHED: [u64; 2] = [8, 4];
const _: () = assert!(FETCHED[0] <= MANY && FETCHED[1] < FETCHED[0]);

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

/// What another thread may read of a scheduler at any time: who runs, and whether it is still the same turn.
pub(crate) struct Pulse {
    /// The fiber that runs; null while the loop does.
    running: AtomicPtr<Fiber>,
    /// How often a fiber was put into the ready queue: the number of the next one.
    queued: Count,
    /// How often one has left it, and run: the number of the first that is in it.
    begun: Count,
}

impl Pulse {
    /// The turn that is under way, if the loop does not run: whoever runs, and how many turns there were.
    pub(crate) fn turn(&self) -> Option<(usize, u64)> {
        let begun = self.begun.get();
        let running = self.running.load(Ordering::Relaxed);
        (!running.is_null()).then_some((running.addr(), begun))
    }

    pub(crate) fn begun(&self) -> u64 {
        self.begun.get()
    }

    pub(crate) fn queued(&self) -> u64 {
        self.queued.get()
    }

    /// How many fibers are ready.
    pub(crate) fn ready(&self) -> u64 {
        // On another thread the two are read one after the other while they change.
        self.queued.get().saturating_sub(self.begun.get())
    }
}

/// Told of everything that happens to fibers while somebody wants to know: see [`Scheduler::set_tracer`]. It must not switch, nor
/// spawn.
pub(crate) trait Tracer {
    /// One fiber stops and another begins or goes on; `None` is the loop. What stops has its new state already.
    fn switched(&self, from: Option<&Fiber>, to: Option<&Fiber>);

    /// Another fiber was made, and is in the ready queue.
    fn spawned(&self, child: &Fiber);

    /// A region of a fiber's is killed.
    fn killed(&self, fiber: &Fiber, cause: Cause);

    /// The loop, or a fiber in place, is about to enter the kernel.
    fn enters(&self);

    /// It has come back.
    fn entered(&self);

    /// It will not be told of more, or somebody wants to see what there is: the running fiber goes on.
    fn ends(&self);
}

/// A fiber that is as good as parked: all that is left is the switch.
#[must_use]
pub(crate) struct Stopped {
    from: *mut Context,
    to: *const Context,
}

impl Stopped {
    /// Returns when something has made the fiber runnable.
    ///
    /// # Safety
    /// It is the next that the fiber does, which runs until then.
    #[inline(always)]
    pub(crate) unsafe fn switch(self) {
        // SAFETY: see `Scheduler::go_on`.
        unsafe { switch(self.from, self.to) };
    }
}

/// A switch aborts.
const FORBIDDEN: u8 = 1;
/// A switch is shown to a tracer.
const TRACED: u8 = 2;
/// Who is next is left to chance.
const CHANCE: u8 = 4;

/// The scheduler of one thread. The first field of its `Cooperator`.
pub(crate) struct Scheduler {
    pulse: Pulse,
    /// The ready queue: the fibers with the numbers from `pulse.begun` to `pulse.queued`.
    ready: Places,
    /// The loop has its turn when that many fibers have begun in all, times [`LITTLE`]: the budget, as a point on the way.
    limit: Cell<u64>,
    /// How far that is away at the beginning of a turn.
    budget: Cell<u64>,
    /// What makes a switch something else than a switch: all of it behind one branch.
    attention: Cell<u8>,
    /// Where the loop goes on.
    native: UnsafeCell<Context>,
    /// Set while waits are forbidden.
    forbidden: Cell<Option<Forbidden>>,
    tracer: RefCell<Option<Rc<dyn Tracer>>>,
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
    /// For debuggers.
    pub(crate) const RUNNING_OFFSET: usize = offset_of!(Scheduler, pulse.running);

    pub(crate) fn new(chance: Option<Random>) -> Self {
        Scheduler {
            pulse: Pulse { running: AtomicPtr::new(ptr::null_mut()), queued: Count::new(0), begun: Count::new(0) },
            ready: Places::new(),
            limit: Cell::new(u64::from(BUDGET) * LITTLE),
            budget: Cell::new(u64::from(BUDGET)),
            attention: Cell::new(if chance.is_some() { CHANCE } else { 0 }),
            native: UnsafeCell::new(Context::unset()),
            forbidden: Cell::new(None),
            tracer: RefCell::new(None),
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
        self.pulse.running.load(Ordering::Relaxed)
    }

    /// What other threads may read. A place to point to: the scheduler itself is for one thread.
    pub(crate) fn pulse(&self) -> &Pulse {
        &self.pulse
    }

    #[inline]
    fn set_running(&self, fiber: *const Fiber) {
        self.pulse.running.store(fiber.cast_mut(), Ordering::Relaxed);
    }

    /// Whether no fiber is ready.
    #[inline]
    pub(crate) fn is_idle(&self) -> bool {
        self.pulse.begun.get() == self.pulse.queued.get()
    }

    /// Has the loop look at the world after at most `switches` more: somebody gave it something to do.
    #[inline]
    pub(crate) fn hasten(&self, switches: u32) {
        self.limit.set(self.limit.get().min((self.pulse.begun.get() + u64::from(switches)) * LITTLE));
    }

    /// Puts a fiber into the ready queue, where there is a place for each that has not ended.
    #[inline]
    fn enqueue(&self, fiber: &Fiber) {
        fiber.state.set(State::Active);
        let queued = self.pulse.queued.get();
        debug_assert!(queued - self.pulse.begun.get() < self.ready.count());
        self.ready.set(queued, fiber);
        self.pulse.queued.set(queued + 1);
    }

    /// Takes the first out of the ready queue, whose number is `begun`.
    #[inline]
    fn dequeue(&self, begun: u64) -> *const Fiber {
        if let Some(chance) = &self.chance {
            self.choose_by(chance, begun, self.pulse.queued.get());
        }
        self.dequeue_first(begun)
    }

    /// The same where it is not left to chance.
    #[inline]
    fn dequeue_first(&self, begun: u64) -> *const Fiber {
        let queued = self.pulse.queued.get();
        if begun == queued {
            return ptr::null();
        }
        self.pulse.begun.set(begun + 1);
        if queued - begun > MANY {
            self.fetch_ahead(begun);
        }
        self.ready.get(begun)
    }

    /// Asks for the memory of fibers whose turn comes soon, given the number of that whose turn it is.
    #[inline]
    fn fetch_ahead(&self, begun: u64) {
        sys::prefetch(self.ready.get(begun + FETCHED[0]).cast());
        let fiber = self.ready.get(begun + FETCHED[1]);
        // SAFETY: a fiber in the ready queue has not ended, so it is where it was; its context was written when it was
        // prepared or switched away from.
        let frames = unsafe { (*(*fiber).context.get()).rsp } as *const u8;
        for line in 0..4 {
            sys::prefetch(frames.wrapping_add(64 * line));
        }
    }

    /// Lets one of the first few in the queue go before the others.
    #[cold]
    fn choose_by(&self, chance: &Random, begun: u64, queued: u64) {
        if begun == queued {
            return;
        }
        let chosen = begun + chance.below(CHOICE.min((queued - begun) as usize)) as u64;
        let fiber = self.ready.get(chosen);
        for number in (begun..chosen).rev() {
            self.ready.set(number + 1, self.ready.get(number));
        }
        self.ready.set(begun, fiber);
    }

    /// How many fibers can be ready at the same time.
    #[inline]
    pub(crate) fn room(&self) -> u64 {
        self.ready.count()
    }

    /// Sees to it that so many fibers can be ready at the same time, each of them once. False if there is no memory.
    pub(crate) fn make_room(&self, live: u64) -> bool {
        live <= self.ready.count() || self.ready.resize(live, self.pulse.begun.get(), self.pulse.queued.get())
    }

    /// Gives memory back that was needed when many more fibers lived than these. Whether there was some to give.
    pub(crate) fn trim(&self, live: u64) -> bool {
        live.max(LEAST) * 16 <= self.ready.count()
            && self.is_idle()
            && self.ready.resize(live * 2, self.pulse.begun.get(), self.pulse.queued.get())
    }

    /// Makes a new fiber runnable, for which [`make_room`](Scheduler::make_room) has seen to a place.
    ///
    /// # Safety
    /// It was prepared, is not queued, and stays where it is until it has ended.
    #[inline]
    pub(crate) unsafe fn start(&self, fiber: &Fiber) {
        self.enqueue(fiber);
    }

    /// Makes a parked fiber runnable; does nothing to one that is not parked.
    #[inline(always)]
    pub(crate) fn unpark(&self, fiber: &Fiber) {
        if let State::Parked { .. } = fiber.state.get() {
            self.enqueue(fiber);
        }
    }

    /// [`unpark`](Scheduler::unpark) on the calling thread's scheduler. Where that was taken away, in a child that a task has forked, nobody
    /// goes on.
    ///
    /// # Safety
    /// The fiber is one of this thread's, and has not ended.
    #[inline(always)]
    pub(crate) unsafe fn unpark_here(fiber: *const Fiber) {
        // SAFETY: a scheduler outlives its fibers; the rest is the caller's promise.
        unsafe {
            if let Some(scheduler) = Self::current().as_ref() {
                scheduler.unpark(&*fiber);
            }
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
        // SAFETY: the switch is made at once.
        unsafe { self.stop(killable).switch() };
    }

    /// All of [`park`](Scheduler::park) but the switch.
    #[inline(never)]
    fn stop(&self, killable: bool) -> Stopped {
        self.stop_here(killable)
    }

    /// The same for one that does more before, and then returns to who makes the switch.
    #[inline(always)]
    pub(crate) fn stop_here(&self, killable: bool) -> Stopped {
        let me = self.running_fiber();
        self.show(me);
        me.state.set(State::Parked { killable });
        let (from, to) = self.go_on(me);
        Stopped { from, to }
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
        // If there is no other, it switches to itself.
        let (from, to) = self.go_on(me);
        // SAFETY: see `go_on`.
        unsafe { switch(from, to) };
    }

    /// Leaves the running fiber for good, and makes `waiting`, if it is not null and parked, runnable.
    ///
    /// # Safety
    /// Nothing refers to the fiber's frames any more. Its memory may be used again as soon as this has switched. `waiting` has not
    /// ended.
    #[inline(always)]
    pub(crate) unsafe fn end(&self, me: &Fiber, waiting: *const Fiber) -> ! {
        debug_assert!(ptr::eq(me, self.running()));
        me.state.set(State::Ended);
        // SAFETY: the caller's promise.
        let (from, to) = match unsafe { waiting.as_ref() } {
            Some(waiting) if matches!(waiting.state.get(), State::Parked { .. }) => self.go_on_with(me, waiting),
            _ => self.go_on(me),
        };
        // SAFETY: see `go_on`.
        unsafe { switch(from, to) };
        // Nobody may resume what has ended; a frame below this one no longer exists.
        abort();
    }

    /// Makes a parked fiber runnable, and then does what [`go_on`](Scheduler::go_on) does: where no other is ready, it is the next.
    #[inline(always)]
    fn go_on_with(&self, me: &Fiber, waiting: &Fiber) -> (*mut Context, *const Context) {
        let begun = self.pulse.begun.get();
        if begun == self.pulse.queued.get() && begun * LITTLE < self.limit.get() && self.attention.get() == 0 {
            // As if it had been put into the queue, and taken out again.
            waiting.state.set(State::Active);
            self.pulse.queued.set(begun + 1);
            self.pulse.begun.set(begun + 1);
            self.set_running(waiting);
            return (me.context.get(), waiting.context.get());
        }
        self.enqueue(waiting);
        self.go_on_otherwise(me)
    }

    /// Runs ready fibers until there are none or the budget is spent. Called by the loop, on the thread's own stack.
    pub(crate) fn run_ready(&self) {
        let budget = match &self.chance {
            None => self.budget.get(),
            Some(chance) => 1 + chance.below(BUDGET as usize) as u64,
        };
        let begun = self.pulse.begun.get();
        self.limit.set((begun + 1 + budget) * LITTLE);
        let first = self.dequeue(begun);
        // SAFETY: a fiber that was queued is parked at a switch, or prepared. The loop's frame stays until it is switched
        // back to: `run_ready` has not returned.
        if let Some(fiber) = unsafe { first.as_ref() } {
            self.set_running(fiber);
            self.trace(|tracer| tracer.switched(None, Some(fiber)));
            // SAFETY: as above; the thread is the same, fibers never migrate.
            unsafe { switch(self.native.get(), fiber.context.get()) };
        }
    }

    /// Fits the budget to how long fibers have just run. The more of them run in a row, the more submissions go to the kernel
    /// together, and the more of it is still in the processor's caches: with 1,000 connections an echo costs a quarter less at 256
    /// than at 64. But fibers that compute for long must not keep timers and completions waiting.
    pub(crate) fn pace(&self, took: u64) {
        let budget = self.budget.get();
        let [least, most] = BUDGETS;
        if took > 2 * TURN {
            self.budget.set((budget / 2).max(least));
        } else if took < TURN && budget < most && self.pulse.begun.get() * LITTLE >= self.limit.get() {
            // It was spent in so short a time: of turns that were over before, it knows nothing.
            self.budget.set(budget * 2);
        }
    }

    #[inline]
    pub(crate) fn running_fiber(&self) -> &Fiber {
        debug_assert!(!self.running().is_null(), "only a task can wait");
        // SAFETY: callers run on a fiber, which stays where it is while it runs.
        unsafe { &*self.running() }
    }

    /// Makes the next ready fiber the running one, or the loop. The contexts to switch from, and to: what is next was queued, so it is
    /// parked at a switch or prepared, and its stack is its own. The loop is parked in `run_ready` whenever a fiber runs. `me` is what
    /// runs.
    ///
    /// Here is what is done when some are ready, not many, and nobody looks: in a few instructions, without a call.
    #[inline(always)]
    fn go_on(&self, me: &Fiber) -> (*mut Context, *const Context) {
        let begun = self.pulse.begun.get();
        let others = self.pulse.queued.get().wrapping_sub(begun + 1);
        if others < MANY && begun * LITTLE < self.limit.get() && self.attention.get() == 0 {
            self.pulse.begun.set(begun + 1);
            let next = self.ready.get(begun);
            self.set_running(next);
            // SAFETY: a fiber in the ready queue has not ended, so it is where it was.
            return unsafe { (me.context.get(), (*next).context.get()) };
        }
        self.go_on_otherwise(me)
    }

    /// The same, however many are ready.
    #[inline(never)]
    fn go_on_otherwise(&self, me: &Fiber) -> (*mut Context, *const Context) {
        if self.attention.get() != 0 {
            return self.go_on_attended(me);
        }
        let begun = self.pulse.begun.get();
        let next = if begun * LITTLE < self.limit.get() { self.dequeue_first(begun) } else { ptr::null() };
        self.go_on_to(me, next)
    }

    /// The same, also where a switch is more than one.
    #[cold]
    #[inline(never)]
    fn go_on_attended(&self, me: &Fiber) -> (*mut Context, *const Context) {
        let begun = self.pulse.begun.get();
        let next = if begun * LITTLE < self.limit.get() { self.dequeue(begun) } else { ptr::null() };
        self.attend(me, next);
        self.go_on_to(me, next)
    }

    /// Makes a fiber that was in the ready queue the running one, or if it is null the loop.
    #[inline(always)]
    fn go_on_to(&self, me: &Fiber, next: *const Fiber) -> (*mut Context, *const Context) {
        self.set_running(next);
        // SAFETY: as in `go_on`.
        let to = match unsafe { next.as_ref() } {
            Some(next) => next.context.get(),
            None => self.native.get(),
        };
        (me.context.get(), to)
    }

    /// A switch that is more than one: forbidden, or shown to a tracer.
    #[cold]
    fn attend(&self, me: &Fiber, next: *const Fiber) {
        if let Some(why) = self.forbidden.get() {
            forbidden_switch(me, why);
        }
        // SAFETY: a fiber in the ready queue has not ended, so it is where it was.
        self.trace(|tracer| tracer.switched(Some(me), unsafe { next.as_ref() }));
    }

    /// From now on a tracer is told of everything; or nobody is.
    pub(crate) fn set_tracer(&self, tracer: Option<Rc<dyn Tracer>>) {
        let others = self.attention.get() & !TRACED;
        self.attention.set(if tracer.is_some() { others | TRACED } else { others });
        let before = self.tracer.replace(tracer);
        // Not while it is borrowed.
        drop(before);
    }

    /// Whether there is somebody to tell.
    #[inline]
    pub(crate) fn is_traced(&self) -> bool {
        self.attention.get() & TRACED != 0
    }

    /// Tells the tracer, if there is one.
    #[inline]
    pub(crate) fn trace(&self, tell: impl FnOnce(&dyn Tracer)) {
        if self.is_traced() {
            self.tell(tell);
        }
    }

    #[cold]
    fn tell(&self, tell: impl FnOnce(&dyn Tracer)) {
        if let Ok(tracer) = self.tracer.try_borrow()
            && let Some(tracer) = &*tracer
        {
            tell(&**tracer);
        }
    }

    /// From now on a switch aborts. Returns what has forbidden it so far.
    pub(crate) fn forbid_switching(&self, why: Forbidden) -> Option<Forbidden> {
        self.attention.set(self.attention.get() | FORBIDDEN);
        self.forbidden.replace(Some(why))
    }

    /// Ends what `forbid_switching` began, given what that returned.
    pub(crate) fn allow_switching(&self, before: Option<Forbidden>) {
        if !matches!(self.forbidden.get(), Some(Forbidden::Forked)) {
            self.forbidden.set(before);
            if before.is_none() {
                self.attention.set(self.attention.get() & !FORBIDDEN);
            }
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
        self.spend_some(LITTLE)
    }

    #[inline]
    fn spend_some(&self, some: u64) -> bool {
        let limit = self.limit.get();
        if limit > self.pulse.begun.get() * LITTLE {
            self.limit.set(limit.saturating_sub(some));
            return false;
        }
        !self.is_switching_forbidden()
    }

    /// What a call does that has got what it wanted without waiting, and without a system call: now and then it lets others run
    /// all the same. Not kill-checked: what was got is the caller's.
    #[inline]
    pub(crate) fn spend_little(&self) {
        if self.spend_some(1) {
            self.give_way_now();
        }
    }

    /// The same for a call that has cost a system call.
    #[inline]
    pub(crate) fn spend_call(&self) {
        if self.spend() {
            self.give_way_now();
        }
    }

    #[cold]
    #[inline(never)]
    fn give_way_now(&self) {
        self.give_way();
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
