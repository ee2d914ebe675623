//! Threads for calls that block: they are made there, so that the Cooperators' threads need not wait.
//!
//! ```text
//!   submit ──▶ queue ──▶ idle thread, or a new one while there are fewer than the bound ──▶ job
//!                              ▲                                                             │
//!                              └────────────── 10 s without work: the thread ends ◀──────────┘
//! ```
//!
//! Nothing is started before the first job. The threads are detached: a process may end while one of them hangs in a call. They
//! do not survive a fork, and the queue's lock may be held by a thread that the child has not: a child begins with new ones.

use crate::sys;
use std::collections::VecDeque;
use std::io;
use std::num::NonZero;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, Once, OnceLock, PoisonError};
use std::thread;
use std::time::Duration;

/// Work for a thread. It must not panic.
pub(crate) type Work = Box<dyn FnOnce() + Send>;

/// What users hand to [`unblock`](crate::unblock). It may block for as long as it likes, so there may be many; a queue in front
/// of that many threads means that something is stuck.
pub(crate) static USERS: Workers = Workers::new("coop-unblock", 512, false);

/// What users hand to [`compute`](crate::compute): as many threads as cores, which more would only take turns on.
pub(crate) static CORES: Workers = Workers::new("coop-compute", PER_CORE, false);

/// As many threads as the process may use cores when the first is needed.
const PER_CORE: usize = 0;

/// System calls of a driver that has no ring to make them. They have threads of their own, so that users' calls that hang do
/// not keep files from being read. More threads than this do not make a disk faster. They hear no signals but one:
/// above all no SIGPIPE.
pub(crate) static CALLS: Workers = Workers::new("coop-call", 64, true);

/// How long a thread waits for work before it ends.
const IDLE: Duration = Duration::from_secs(10);

/// The one signal that deaf threads hear. By default it is ignored.
pub(crate) const INTERRUPT: libc::c_int = libc::SIGURG;

/// Threads of one kind, with one queue.
pub(crate) struct Workers {
    name: &'static str,
    most: usize,
    /// Their threads block every signal but `INTERRUPT`.
    are_deaf: bool,
    /// Made at first use and never freed; null again in a forked child.
    crew: AtomicPtr<Crew>,
}

#[derive(Default)]
struct Crew {
    state: Mutex<State>,
    work: Condvar,
}

#[derive(Default)]
struct State {
    queue: VecDeque<Work>,
    threads: usize,
    /// Threads that wait for work. One that was notified still counts until it has taken some.
    idle: usize,
}

impl Workers {
    pub(crate) const fn new(name: &'static str, most: usize, are_deaf: bool) -> Self {
        Workers { name, most, are_deaf, crew: AtomicPtr::new(ptr::null_mut()) }
    }

    fn crew(&'static self) -> &'static Crew {
        watch_forks();
        let crew = self.crew.load(Ordering::Acquire);
        // SAFETY: what the pointer was set to is a leaked box.
        if let Some(crew) = unsafe { crew.as_ref() } {
            return crew;
        }
        let new = Box::into_raw(Box::<Crew>::default());
        match self.crew.compare_exchange(ptr::null_mut(), new, Ordering::AcqRel, Ordering::Acquire) {
            // SAFETY: leaked above, and shared from now on.
            Ok(_) => unsafe { &*new },
            Err(theirs) => {
                // SAFETY: ours was never shared; theirs was leaked by who set it.
                unsafe {
                    drop(Box::from_raw(new));
                    &*theirs
                }
            }
        }
    }

    /// Has a thread do `work`, in its turn.
    ///
    /// # Errors
    /// The work itself, and why, when there is no thread and none can be started.
    pub(crate) fn submit(&'static self, work: Work) -> Result<(), (Work, io::Error)> {
        let crew = self.crew();
        let mut state = crew.lock();
        state.queue.push_back(work);
        if state.queue.len() <= state.idle {
            drop(state);
            crew.work.notify_one();
            return Ok(());
        }
        if state.threads < self.most() {
            match thread::Builder::new().name(self.name.into()).spawn(move || self.serve(crew)) {
                Ok(_) => state.threads += 1,
                Err(error) if state.threads == 0 => {
                    let work = state.queue.pop_back().expect("pushed above, under the lock");
                    return Err((work, error));
                }
                // Those there are will come to it.
                Err(_) => {}
            }
        }
        Ok(())
    }
}

impl Workers {
    fn most(&self) -> usize {
        static CORES: OnceLock<usize> = OnceLock::new();
        match self.most {
            PER_CORE => *CORES.get_or_init(|| thread::available_parallelism().map_or(1, NonZero::get)),
            most => most,
        }
    }

    /// The life of a thread.
    fn serve(&self, crew: &Crew) {
        if self.are_deaf {
            // SAFETY: a zeroed set is a place for one; only this thread's mask is changed.
            unsafe {
                let mut all: libc::sigset_t = std::mem::zeroed();
                libc::sigfillset(&mut all);
                libc::sigdelset(&mut all, INTERRUPT);
                libc::pthread_sigmask(libc::SIG_SETMASK, &all, ptr::null_mut());
            }
        }
        crew.serve();
    }
}

impl Crew {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn serve(&self) {
        let mut state = self.lock();
        loop {
            while let Some(work) = state.queue.pop_front() {
                drop(state);
                if catch_unwind(AssertUnwindSafe(work)).is_err() {
                    // Whoever waits for it would wait for ever.
                    sys::die(format_args!("coop: work for another thread panicked"));
                }
                state = self.lock();
            }
            state.idle += 1;
            let (woken, timeout) = self.work.wait_timeout(state, IDLE).unwrap_or_else(PoisonError::into_inner);
            state = woken;
            state.idle -= 1;
            if timeout.timed_out() && state.queue.is_empty() {
                state.threads -= 1;
                return;
            }
        }
    }
}

/// Sees that a forked child forgets the threads it has not.
fn watch_forks() {
    extern "C" fn in_child() {
        for workers in [&USERS, &CORES, &CALLS] {
            workers.crew.store(ptr::null_mut(), Ordering::Release);
        }
    }
    static WATCHED: Once = Once::new();
    // SAFETY: the callback only stores to atomics.
    WATCHED.call_once(|| unsafe {
        libc::pthread_atfork(None, None, Some(in_child));
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    #[test]
    fn threads_are_added_while_all_are_busy_up_to_the_bound_and_then_work_queues() {
        static THREE: Workers = Workers::new("three", 3, true);
        let (says, heard) = mpsc::channel();
        let gates: Vec<_> = (0..5)
            .map(|n| {
                let (gate, opened) = mpsc::channel::<()>();
                let says = says.clone();
                let work = move || {
                    says.send(n).unwrap();
                    let _ = opened.recv();
                };
                THREE.submit(Box::new(work)).map_err(|(_, error)| error).unwrap();
                gate
            })
            .collect();
        let mut begun: Vec<i32> = (0..3).map(|_| heard.recv().unwrap()).collect();
        begun.sort();
        assert_eq!(begun, [0, 1, 2]);
        let counts = || {
            let state = THREE.crew().lock();
            (state.threads, state.queue.len())
        };
        assert_eq!(counts(), (3, 2));
        drop(gates);
        assert_eq!(heard.recv().unwrap() + heard.recv().unwrap(), 7);
        assert_eq!(counts(), (3, 0));
    }

    #[test]
    fn one_after_the_other_needs_one_thread() {
        static ONE: Workers = Workers::new("one", 3, false);
        for _ in 0..100 {
            let (says, heard) = mpsc::channel();
            ONE.submit(Box::new(move || says.send(()).unwrap())).map_err(|(_, error)| error).unwrap();
            heard.recv().unwrap();
            while ONE.crew().lock().idle == 0 {
                thread::yield_now();
            }
        }
        assert_eq!(ONE.crew().lock().threads, 1);
    }
}
