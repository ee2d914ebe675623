//! The Waker of a [`block_on`](super::block_on): one for each call, good on any thread and at any time, also long after.
//!
//! ```text
//!                 ┌───────────── begin_poll ─────────────┐
//!                 ▼                                      │
//!   (new) ──▶ Polling ──── wake ───────────────────▶  Woken ◀── end, from wherever it is
//!                 │                                      ▲
//!                 └──── park ────▶ Parked ──── wake ─────┘   this one wake releases `news`: at once on the home thread,
//!                                                            else by a job in the inbox
//! ```
//!
//! Why no wake-up is lost. All of it is one atomic byte, and every step is one atomic read-modify-write of it, so the steps
//! have one order that everybody sees. A wake comes, in that order, either
//!
//! * after `begin_poll` and before `park`: then `park` finds `Woken`, refuses, and the future is polled again;
//! * after `park`: then it finds `Parked`, and releases `news`, for which the task waits. The next wakes find `Woken` and have
//!   nothing to do, since that release is still to come, or has been followed by `begin_poll`;
//! * before `begin_poll`: then that very poll follows it, and sees what was written before the wake, since `begin_poll`
//!   acquires what the wake has released. (A wake that finds `Woken` writes it once more, so that this holds for each.)
//!
//! After `end` the state stays `Woken`: a Waker that outlives the call does nothing. The test below walks through every
//! interleaving of the task with two wakers on the home thread and two elsewhere.

use crate::cooperator::Cooperator;
use crate::coordinator::Coordinator;
use crate::inbox::BackDoor;
use std::cell::Cell;
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::ops::Deref;
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::task::{RawWaker, RawWakerVTable, Waker};

const POLLING: u8 = 0;
const PARKED: u8 = 1;
const WOKEN: u8 = 2;

/// Where the task stands, and whether it was woken.
pub(super) struct State(AtomicU8);

impl State {
    pub(super) const fn new() -> Self {
        State(AtomicU8::new(POLLING))
    }

    /// The task: wakes from here on lead to another poll.
    pub(super) fn begin_poll(&self) {
        self.0.swap(POLLING, Ordering::AcqRel);
    }

    /// The task: whether it may wait for the release of `news`. Not if it was woken meanwhile.
    pub(super) fn park(&self) -> bool {
        self.0.compare_exchange(POLLING, PARKED, Ordering::SeqCst, Ordering::Acquire).is_ok()
    }

    /// Whether the task waits, and nobody has woken it.
    fn is_parked(&self) -> bool {
        self.0.load(Ordering::SeqCst) == PARKED
    }

    /// The task: no more wakes are wanted. Whether there was one since `begin_poll`.
    pub(super) fn end(&self) -> bool {
        self.0.swap(WOKEN, Ordering::AcqRel) == WOKEN
    }

    /// Anybody: whether the task waits for a release, which this call is to bring about.
    pub(super) fn wake(&self) -> bool {
        self.0.swap(WOKEN, Ordering::AcqRel) == PARKED
    }
}

/// What the task and its Wakers share.
pub(super) struct Shared {
    pub(super) state: State,
    /// The number of the task's Cooperator.
    home: u64,
    inbox: BackDoor,
    /// The Wakers that others have. Together with the state it is sequentially consistent: who drops the last sees that the task
    /// is parked, or the task, once parked, that there is none.
    clones: AtomicUsize,
    /// What the parked task waits for. Only the home thread touches it.
    pub(super) news: Coordinator,
    /// The wait counts among the Cooperator's `wakers`. Only the home thread touches it.
    is_counted: Cell<bool>,
}

// SAFETY: state, clones and inbox are made for several threads. `news` and `is_counted` are touched by the task, and by `release`
// and `discount`, which are called on the thread of the same Cooperator only: there `Cooperator::current` has said so, or a job of
// its inbox runs. Dropping it elsewhere touches nothing: the task, which alone enlists with it, has ended its call before it gives
// up its reference.
unsafe impl Send for Shared {}
// SAFETY: as above.
unsafe impl Sync for Shared {}

impl Shared {
    pub(super) fn new(home: u64, inbox: BackDoor) -> Arc<Self> {
        Arc::new(Shared {
            state: State::new(),
            home,
            inbox,
            clones: AtomicUsize::new(0),
            news: Coordinator::held(),
            is_counted: Cell::new(false),
        })
    }

    /// The task, before it waits: counts those who may wake it, if there are any.
    pub(super) fn count(&self, cooperator: &Cooperator) {
        if self.clones.load(Ordering::SeqCst) != 0 {
            self.is_counted.set(true);
            cooperator.wakers.set(cooperator.wakers.get() + 1);
        }
    }

    /// The task, when it has waited; and whoever has dropped the last clone meanwhile, at home.
    pub(super) fn discount(&self, cooperator: &Cooperator) {
        if self.is_counted.take() {
            cooperator.wakers.set(cooperator.wakers.get() - 1);
        }
    }

    /// One Waker less, which has woken nobody. After the last of them nobody can wake a task that is parked.
    fn lose_clone(self: Arc<Self>) {
        if self.clones.fetch_sub(1, Ordering::SeqCst) != 1 || !self.state.is_parked() {
            return;
        }
        match Cooperator::current() {
            Some(cooperator) if cooperator.id == self.home => self.discount(cooperator),
            _ => {
                let inbox = self.inbox.clone();
                let job = move || {
                    // It may wait for something else by now.
                    if let Some(cooperator) = Cooperator::current()
                        && self.clones.load(Ordering::SeqCst) == 0
                    {
                        self.discount(cooperator);
                    }
                };
                drop(inbox.push(Box::new(job)));
            }
        }
    }

    fn wake(self: Arc<Self>) {
        if !self.state.wake() {
            return;
        }
        match Cooperator::current() {
            Some(cooperator) if cooperator.id == self.home => self.news.release(),
            // A Cooperator that has finished has nobody to wake.
            _ => drop(self.inbox.clone().push(Box::new(move || self.news.release()))),
        }
    }
}

/// The Waker that a task shows to the future it polls.
pub(super) struct Borrowed<'a>(ManuallyDrop<Waker>, PhantomData<&'a Arc<Shared>>);

impl<'a> Borrowed<'a> {
    pub(super) fn new(shared: &'a Arc<Shared>) -> Self {
        // SAFETY: the vtable fits; the reference that it stands for is the borrowed one, and never given up.
        let waker = unsafe { Waker::from_raw(RawWaker::new(Arc::as_ptr(shared).cast(), &VTABLE)) };
        Borrowed(ManuallyDrop::new(waker), PhantomData)
    }
}

impl Deref for Borrowed<'_> {
    type Target = Waker;

    fn deref(&self) -> &Waker {
        &self.0
    }
}

/// Of a Waker whose data is an `Arc<Shared>`, as `Arc::into_raw` gives it.
static VTABLE: RawWakerVTable = RawWakerVTable::new(clone, wake, wake_by_ref, release);

/// Whether it is a Waker of this module: one that runs no code of the user's, and may be woken anywhere.
pub(super) fn is_ours(waker: &Waker) -> bool {
    ptr::eq(waker.vtable(), &raw const VTABLE)
}

/// # Safety
/// `data` is that of a Waker with this vtable; so for the other three. `wake` and `release` end that Waker.
unsafe fn clone(data: *const ()) -> RawWaker {
    // SAFETY: the caller's promise: the Waker's own reference keeps it alive meanwhile.
    unsafe {
        Arc::increment_strong_count(data.cast::<Shared>());
        (*data.cast::<Shared>()).clones.fetch_add(1, Ordering::SeqCst);
    }
    RawWaker::new(data, &VTABLE)
}

unsafe fn wake(data: *const ()) {
    // SAFETY: the caller's promise; the Waker's reference passes to the call.
    let shared = unsafe { Arc::from_raw(data.cast::<Shared>()) };
    // It counts until the news is on its way: a task that parks in between would find that nobody can wake it.
    shared.clone().wake();
    shared.lose_clone();
}

unsafe fn wake_by_ref(data: *const ()) {
    // SAFETY: as in `clone`; the new reference passes to the call.
    let shared = unsafe {
        Arc::increment_strong_count(data.cast::<Shared>());
        Arc::from_raw(data.cast::<Shared>())
    };
    shared.wake();
}

unsafe fn release(data: *const ()) {
    // SAFETY: the caller's promise; the Waker's reference passes to the call.
    unsafe { Arc::from_raw(data.cast::<Shared>()) }.lose_clone();
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    /// A task in `block_on`, and those that wake it. The future is ready when each of them has done its part, which it does
    /// right before it wakes.
    #[derive(Clone, PartialEq, Eq, Hash)]
    struct World {
        state: u8,
        task: Task,
        is_killed: bool,
        wakers: [Step; 4],
        /// Releases on their way.
        jobs: usize,
    }

    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    enum Task {
        Begins,
        Polls,
        Parks,
        /// In the queue of `news`.
        Waits,
        /// In the ready queue, for `news` was handed to it.
        Won,
        Withdraws,
        Ready,
        Killed,
    }

    /// What a waker does next.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    enum Step {
        DoPart,
        Wake,
        Push,
        Over,
    }

    /// The first two are tasks of the same thread: they run while this one waits, or inside its poll.
    const AT_HOME: usize = 2;

    impl World {
        /// One atomic step of the code above.
        fn with<R>(&mut self, step: impl FnOnce(&State) -> R) -> R {
            let state = State(AtomicU8::new(self.state));
            let result = step(&state);
            self.state = state.0.into_inner();
            result
        }

        fn release(&mut self) {
            if self.task == Task::Waits {
                self.task = Task::Won;
            }
        }

        /// Every world that may come next.
        fn next(&self) -> Vec<World> {
            let mut all = Vec::new();
            let mut add = |change: &dyn Fn(&mut World)| {
                let mut world = self.clone();
                change(&mut world);
                all.push(world);
            };
            let is_parked = matches!(self.task, Task::Waits | Task::Won);
            match self.task {
                Task::Begins => add(&|w| {
                    w.with(State::begin_poll);
                    w.task = Task::Polls;
                }),
                Task::Polls => add(&|w| {
                    let is_ready = w.wakers.iter().all(|waker| !matches!(waker, Step::DoPart));
                    w.task = match (is_ready, w.is_killed) {
                        (true, _) => Task::Ready,
                        (false, true) => Task::Killed,
                        (false, false) => Task::Parks,
                    };
                }),
                Task::Parks => add(&|w| w.task = if w.with(State::park) { Task::Waits } else { Task::Begins }),
                Task::Won => add(&|w| w.task = Task::Begins),
                Task::Withdraws => add(&|w| w.task = if w.with(State::end) { Task::Begins } else { Task::Killed }),
                Task::Waits => add(&|w| (w.is_killed, w.task) = (true, Task::Withdraws)),
                Task::Ready | Task::Killed => {}
            }
            for (index, step) in self.wakers.into_iter().enumerate() {
                let is_home = index < AT_HOME;
                if is_home && !is_parked && self.task != Task::Polls {
                    continue;
                }
                match step {
                    Step::DoPart => add(&|w| w.wakers[index] = Step::Wake),
                    Step::Wake => add(&|w| {
                        let releases = w.with(State::wake);
                        w.wakers[index] = if releases && !is_home { Step::Push } else { Step::Over };
                        if releases && is_home {
                            w.release();
                        }
                    }),
                    Step::Push => add(&|w| (w.wakers[index], w.jobs) = (Step::Over, w.jobs + 1)),
                    Step::Over => {}
                }
            }
            // The loop runs jobs when every task waits.
            if self.jobs != 0 && self.task == Task::Waits {
                add(&|w| {
                    w.jobs -= 1;
                    w.release();
                });
            }
            all
        }
    }

    #[test]
    fn in_every_interleaving_the_task_learns_that_its_future_is_ready() {
        let start = World { state: POLLING, task: Task::Begins, is_killed: false, wakers: [Step::DoPart; 4], jobs: 0 };
        let (mut seen, mut todo) = (HashSet::new(), vec![start]);
        let (mut ready, mut killed, mut ready_though_killed) = (0, 0, 0);
        while let Some(world) = todo.pop() {
            let next = world.next();
            match world.task {
                Task::Ready => {
                    ready += 1;
                    ready_though_killed += usize::from(world.is_killed);
                }
                Task::Killed => killed += 1,
                // Only the kill, which may come at any time, is left to do: it was not woken for something.
                Task::Waits if next.iter().all(|world| world.task == Task::Withdraws) => {
                    panic!("asleep for ever: {:?}", world.wakers)
                }
                _ => assert!(!next.is_empty(), "stuck: {:?} {:?}", world.task, world.wakers),
            }
            todo.extend(next.into_iter().filter(|world| seen.insert(world.clone())));
        }
        assert!(ready > 10 && killed > 10 && ready_though_killed > 10, "{ready} {killed} {ready_though_killed}");
    }

    #[test]
    fn a_waker_counts_its_clones_and_does_nothing_after_the_end() {
        let inbox = crate::inbox::Inbox::new().unwrap();
        let shared = Shared::new(7, inbox.back_door());
        let waker = Borrowed::new(&shared);
        let clones = || shared.clones.load(Ordering::SeqCst);
        assert!(is_ours(&waker) && !is_ours(Waker::noop()) && clones() == 0);
        let (first, second) = (Waker::clone(&waker), Waker::clone(&waker));
        assert!(is_ours(&first) && first.will_wake(&second) && clones() == 2);
        shared.state.begin_poll();
        first.wake_by_ref();
        assert!(!shared.state.park(), "woken meanwhile");
        shared.state.begin_poll();
        assert!(shared.state.park());
        first.wake();
        second.wake_by_ref();
        assert_eq!(inbox.take().len(), 1, "on a foreign thread a job; one for all wakes");
        shared.state.end();
        std::thread::spawn(move || second.wake()).join().unwrap();
        assert!(inbox.take().is_empty() && clones() == 0);
    }
}
