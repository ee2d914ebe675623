//! A forked child has a copy of its parent's tasks and half a ring: it must not run them.

use crate::scheduler::Scheduler;
use std::sync::Once;
use std::sync::atomic::{AtomicU32, Ordering};

/// How many forks lie between this process and the one that first started a Cooperator.
static GENERATION: AtomicU32 = AtomicU32::new(0);

/// Sees that in a forked child no thread has a Cooperator: I/O fails with an error, spawning panics, and a task that goes on
/// where it called `fork` can do so until it would switch, which aborts. `exec` and `_exit` work.
pub(super) fn watch_process() {
    extern "C" fn in_child() {
        Scheduler::abandon_in_child();
        GENERATION.fetch_add(1, Ordering::Relaxed);
    }
    static WATCHED: Once = Once::new();
    // SAFETY: the callback touches nothing but a thread-local without a destructor, the scheduler's own memory, and a counter.
    WATCHED.call_once(|| unsafe {
        libc::pthread_atfork(None, None, Some(in_child));
    });
}

/// Tells a process from those it was forked from, and from those it forks.
pub(super) fn generation() -> u32 {
    GENERATION.load(Ordering::Relaxed)
}
