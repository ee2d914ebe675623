//! Calls that block, made on a thread of their own while the task waits.
//!
//! ```text
//!   task                        state, behind a lock           worker thread
//!   launch ────────────────────▶ Waiting(f) ──────────────────▶ takes f
//!                                Running                        runs it
//!   job in the inbox releases ◀─ Done(result) ◀──────────────── leaves the result
//!   the task, which takes it     Gone
//!
//!   killed while Waiting: f comes back, and is dropped on the task; while Running: the result is dropped by the worker
//! ```

use crate::cooperator::Cooperator;
use crate::coordinator::{Coordinated, Coordinator, Settled, Wait};
use crate::error::{Cause, Killed, TaskId};
use crate::fiber::Reason;
use crate::handle::{Flight, Operation, Sealed};
use crate::inbox::BackDoor;
use crate::scheduler::Scheduler;
use crate::task::{self, Task};
use crate::workers::{self, Workers};
use std::any::Any;
use std::cell::{Cell, RefCell};
use std::io;
use std::marker::PhantomPinned;
use std::panic::{AssertUnwindSafe, Location, catch_unwind, resume_unwind};
use std::pin::pin;
use std::ptr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Runs `f` on another thread, and gives what it returns: for calls that would block this thread, and with it all its tasks.
///
/// ```
/// coop::run(|| -> Result<(), coop::Killed> {
///     let mut other = coop::spawn(|| "ran meanwhile");
///     let text = coop::unblock(|| {
///         std::thread::sleep(std::time::Duration::from_millis(5));
///         "slept on a thread"
///     })?;
///     assert_eq!(text, "slept on a thread");
///     assert_eq!(other.join().unwrap(), "ran meanwhile");
///     Ok(())
/// }).unwrap();
/// ```
///
/// The threads belong to the process: one is started when all are busy, up to 512; beyond that calls queue, first come, first
/// served. A thread ends after ten seconds without work. They do not keep the process from ending. `f` runs outside of any task:
/// it has no Cooperator, and no kill reaches it.
///
/// A wait point; kill-checked. Killed before a thread has begun with `f`, the task drops `f`, which never runs. Killed while `f`
/// runs, the task goes on at once, and the thread drops the result when it comes. A result that raced the kill is delivered.
///
/// A panic of `f` goes on here, in the task.
///
/// # Errors
/// `Killed`; with the cause [`Resources`](Cause::Resources) also where there is no thread and the system refuses to start one,
/// and in a process that a task has forked. Then `f` never ran.
///
/// # Panics
/// With the panic of `f`; and on a thread without a Cooperator.
#[track_caller]
pub fn unblock<F, T>(f: F) -> Result<T, Killed>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    call(Kind::Blocking, f)
}

/// Runs `f`, which computes, on a thread of a pool that has as many as the process may use cores, and gives what it returns.
///
/// For pieces of work of more than some 100 µs: hashing, compressing, sorting. They share the cores in the order in which they
/// come, whichever Cooperator they come from, and leave the Cooperators' threads to their tasks. What has been begun stays on its
/// thread. In all else this is [`unblock`], whose pool is for calls that wait: one that waits here keeps a core from working.
///
/// ```
/// coop::run(|| -> Result<(), coop::Killed> {
///     let text = "some text".repeat(10_000);
///     let letters = coop::compute(move || text.chars().filter(|c| c.is_alphabetic()).count())?;
///     assert_eq!(letters, 80_000);
///     Ok(())
/// }).unwrap();
/// ```
///
/// A wait point; kill-checked: see [`unblock`].
///
/// # Errors
/// As [`unblock`].
///
/// # Panics
/// As [`unblock`].
#[track_caller]
pub fn compute<F, T>(f: F) -> Result<T, Killed>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    call(Kind::Computing, f)
}

/// As [`unblock`], for a call whose errors are `io`'s.
#[track_caller]
pub(crate) fn unblock_io<F, T>(f: F) -> io::Result<T>
where
    F: FnOnce() -> io::Result<T> + Send + 'static,
    T: Send + 'static,
{
    unblock(f).unwrap_or_else(|killed| Err(not_made(killed)))
}

/// Why a call was not made. Where there was no thread for it nobody was killed: an error that says so would be taken for one that
/// passes, and the call be made again and again.
pub(crate) fn not_made(killed: Killed) -> io::Error {
    if killed.cause == Cause::Resources && !task::killed() { no_thread() } else { killed.into() }
}

/// Why an operation has failed, as its completion says. The kernel has threads of its own for those that block; one for which it
/// may start none it cancels, though nobody has asked for that.
pub(crate) fn error_of(result: i32) -> io::Error {
    if result == -libc::ECANCELED { no_thread() } else { io::Error::from_raw_os_error(-result) }
}

#[cold]
fn no_thread() -> io::Error {
    io::Error::other(
        "there is no thread for a call that blocks, or no descriptor to hear of its end by: raise RLIMIT_NPROC, the cgroup's \
         pids.max, or RLIMIT_NOFILE",
    )
}

/// Which threads are to run a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Blocking,
    Computing,
}

impl Kind {
    fn workers(self) -> &'static Workers {
        match self {
            Kind::Blocking => &workers::USERS,
            Kind::Computing => &workers::CORES,
        }
    }

    fn reason(self) -> Reason {
        Reason::new(match self {
            Kind::Blocking => "unblock",
            Kind::Computing => "compute",
        })
    }
}

#[track_caller]
fn call<F, T>(kind: Kind, f: F) -> Result<T, Killed>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    if Cooperator::current().is_none() && Scheduler::is_in_forked_child() {
        // The task goes on in the parent.
        return Err(Killed { cause: Cause::Resources, task: TaskId(0) });
    }
    let cooperator = task::begin()?;
    let place = Location::caller();
    let mut flight = pin!(Unblocking::new(kind, f));
    let entry = Coordinated::new();
    let wait = Wait::new(&cooperator.scheduler);
    // SAFETY: the flight is pinned to this frame, and its drop takes its address back.
    unsafe { flight.launch(cooperator) };
    // It could not be launched, if its news have come already; only a Coordinator that is held can be waited for.
    if flight.news().is_held() {
        // SAFETY: entry and wait stay on this frame until `wait`, dropped first, has unlinked the entry.
        unsafe { wait.enlist(flight.news(), &entry, 0) };
        if wait.park(&cooperator.scheduler, true, kind.reason(), place) == Settled::Killed {
            flight.abort(cooperator);
        }
    }
    // SAFETY: it is not moved.
    match unsafe { flight.as_mut().get_unchecked_mut() }.land(cooperator) {
        Some(result) => result,
        None => Err(task::delivered(cooperator)),
    }
}

/// `op::unblock` and `op::compute`.
///
/// No arm by value: once started, `f` has its effects whether it is chosen or not.
#[doc(hidden)]
pub struct Unblock<F> {
    kind: Kind,
    f: F,
}

impl<F> Unblock<F> {
    pub(crate) fn new(f: F) -> Self {
        Unblock { kind: Kind::Blocking, f }
    }

    pub(crate) fn computing(f: F) -> Self {
        Unblock { kind: Kind::Computing, f }
    }
}

impl<F> Sealed for Unblock<F> {}

impl<F, T> Operation for Unblock<F>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    type Output = Result<T, Killed>;
    type Waited = Result<T, Killed>;
    type Started = Result<T, Killed>;
    type Joined = Result<T, Killed>;
    type Flight = Unblocking<F, T>;

    #[track_caller]
    fn wait(self) -> Result<T, Killed> {
        call(self.kind, self.f)
    }

    fn into_flight(self) -> Unblocking<F, T> {
        Unblocking::new(self.kind, self.f)
    }

    fn joined(result: Result<Result<T, Killed>, Killed>) -> Result<T, Killed> {
        result?
    }
}

/// What the task and the worker share.
struct Call<F, T> {
    state: Mutex<State<F, T>>,
    /// Released when the result is there; null once nobody waits for that. Only the Cooperator's thread reads or writes it.
    waiter: Cell<*const Coordinator>,
    inbox: BackDoor,
}

enum State<F, T> {
    Waiting(F),
    Running,
    Done(Result<T, Box<dyn Any + Send>>),
    /// Taken, or given up by the task.
    Gone,
}

// SAFETY: the state is behind a lock, and what is in it is `Send`; `waiter` is for one thread, the Cooperator's.
unsafe impl<F: Send, T: Send> Send for Call<F, T> {}
// SAFETY: as above.
unsafe impl<F: Send, T: Send> Sync for Call<F, T> {}

impl<F, T> Call<F, T> {
    fn lock(&self) -> MutexGuard<'_, State<F, T>> {
        // Nothing that can panic is done under the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn replace(&self, state: State<F, T>) -> State<F, T> {
        std::mem::replace(&mut *self.lock(), state)
    }
}

impl<F, T> Call<F, T>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    /// What the worker does.
    fn run(self: Arc<Self>) {
        let f = {
            let mut state = self.lock();
            match std::mem::replace(&mut *state, State::Running) {
                State::Waiting(f) => f,
                // The task was killed first.
                gone => {
                    *state = gone;
                    return;
                }
            }
        };
        let result = catch_unwind(AssertUnwindSafe(f));
        let unwanted = {
            let mut state = self.lock();
            match *state {
                State::Running => {
                    *state = State::Done(result);
                    None
                }
                _ => Some(result),
            }
        };
        if let Some(result) = unwanted {
            // What it is, and what its drop does, is the user's.
            if let Err(payload) = catch_unwind(AssertUnwindSafe(|| drop(result.map_err(task::drop_payload)))) {
                task::drop_payload(payload);
            }
            return;
        }
        let call = self.clone();
        // A Cooperator that has finished wants nothing.
        let _ = self.inbox.push(Box::new(move || {
            // SAFETY: this job runs on the Cooperator's thread, where the pointer is null or leads to the flight's Coordinator.
            if let Some(news) = unsafe { call.waiter.get().as_ref() } {
                news.release();
            }
        }));
    }
}

/// An `op::unblock` that was started.
#[doc(hidden)]
pub struct Unblocking<F, T> {
    kind: Kind,
    /// Until launched; and again once it has come back unused, so that it is dropped where flights are.
    f: RefCell<Option<F>>,
    call: RefCell<Option<Arc<Call<F, T>>>>,
    /// Why it could not be launched.
    failure: Cell<Option<Killed>>,
    /// Held until there is a result.
    news: Coordinator,
    _pinned: PhantomPinned,
}

impl<F, T> Unblocking<F, T> {
    fn new(kind: Kind, f: F) -> Self {
        Unblocking {
            kind,
            f: RefCell::new(Some(f)),
            call: RefCell::new(None),
            failure: Cell::new(None),
            news: Coordinator::held(),
            _pinned: PhantomPinned,
        }
    }

    /// Takes back what was handed out.
    fn disconnect(&self) {
        if let Some(call) = &*self.call.borrow()
            && !call.waiter.replace(ptr::null()).is_null()
            && let Some(cooperator) = Cooperator::current()
        {
            cooperator.wakers.set(cooperator.wakers.get() - 1);
        }
    }
}

// SAFETY: the address of `news` is handed out to the call, on this thread only, until `disconnect`. The worker refers to the
// shared call, never to the flight. A call that has begun cannot be undone: that is why this is no arm by value.
unsafe impl<F, T> Flight for Unblocking<F, T>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    type Output = Result<T, Killed>;

    unsafe fn launch(&self, cooperator: &Cooperator) {
        let fail = || {
            let task = Task::running(cooperator).id;
            self.failure.set(Some(Killed { cause: Cause::Resources, task }));
            self.news.release();
        };
        let Ok(inbox) = cooperator.open_inbox() else { return fail() };
        let Some(f) = self.f.take() else { return };
        let call = Arc::new(Call {
            state: Mutex::new(State::Waiting(f)),
            waiter: Cell::new(&self.news),
            inbox: inbox.back_door(),
        });
        cooperator.wakers.set(cooperator.wakers.get() + 1);
        self.call.replace(Some(call.clone()));
        if cooperator.simulation().is_some() {
            // There a thread takes no time, and nothing else happens meanwhile.
            let has_run = std::thread::Builder::new().spawn(move || call.run()).map(|thread| thread.join());
            if has_run.is_err() {
                self.abort(cooperator);
                fail();
            }
            return;
        }
        if self.kind.workers().submit(Box::new(move || call.run())).is_err() {
            self.abort(cooperator);
            fail();
        }
    }

    fn news(&self) -> &Coordinator {
        &self.news
    }

    fn is_ready(&self) -> bool {
        let is_done = |call: &Arc<Call<F, T>>| matches!(*call.lock(), State::Done(_));
        self.failure.get().is_some() || self.call.borrow().as_ref().is_some_and(is_done)
    }

    fn land(&mut self, _: &Cooperator) -> Option<Result<T, Killed>> {
        if let Some(failure) = self.failure.take() {
            return Some(Err(failure));
        }
        if !self.is_ready() {
            return None;
        }
        self.disconnect();
        match self.call.get_mut().take()?.replace(State::Gone) {
            State::Done(Ok(value)) => Some(Ok(value)),
            State::Done(Err(payload)) => resume_unwind(payload),
            _ => None,
        }
    }

    fn abort(&self, _: &Cooperator) {
        self.disconnect();
        let call = self.call.borrow();
        let Some(call) = call.as_ref() else { return };
        let mut state = call.lock();
        match std::mem::replace(&mut *state, State::Gone) {
            State::Waiting(f) => {
                // Not dropped here: what that runs is the user's, and this may be the middle of anything.
                *self.f.borrow_mut() = Some(f);
            }
            done @ State::Done(_) => *state = done,
            State::Running | State::Gone => {}
        }
    }

    fn settle(&self, _: &Cooperator, _: &'static Location<'static>) {}

    fn is_over(&self) -> bool {
        self.call.borrow().as_ref().is_none_or(|call| call.waiter.get().is_null())
    }

    fn reason(&self) -> Reason {
        self.kind.reason()
    }
}

impl<F, T> Drop for Unblocking<F, T> {
    fn drop(&mut self) {
        self.disconnect();
        // A result that nobody has taken goes here, on the task, not with whoever drops the last reference to the call.
        if let Some(call) = self.call.get_mut().take()
            && let State::Done(result) = call.replace_done()
        {
            drop(result.map_err(task::drop_payload));
        }
    }
}

impl<F, T> Call<F, T> {
    /// Takes the result, if there is one.
    fn replace_done(&self) -> State<F, T> {
        let mut state = self.lock();
        match *state {
            State::Done(_) => std::mem::replace(&mut *state, State::Gone),
            _ => State::Gone,
        }
    }
}
