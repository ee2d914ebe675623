//! What goes wrong between the runtime and the kernel, on purpose: a ring that passes on to io_uring (or to epoll) what it is given,
//! and on which operations fail, transfers are short, completions late and in another order, cancels miss, and the kernel will not be
//! entered (`coop/src/ring/faulty.rs`).
//!
//! ```text
//! cargo test -p coop --test faults -- --nocapture              says how many cells and completions there were
//! COOP_SEED=17 cargo test -p coop --test faults                with other chances
//! ```

mod kinds;
mod matrix;
mod overflow;
#[path = "../soundness/random.rs"]
mod random;
mod storm;

use coop::__private::Faults;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The tests of this program count the descriptors of the process: one runs at a time.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The seed of this run: what fails prints it.
fn seed() -> u64 {
    number("COOP_SEED", 1)
}

/// How many, unless the environment says.
fn number(variable: &str, otherwise: u64) -> u64 {
    std::env::var(variable).map_or(otherwise, |text| text.parse().unwrap_or_else(|_| panic!("{variable}={text}")))
}

/// Whether there is no ring of the kernel's below.
fn is_epoll() -> bool {
    std::env::var_os("COOP_DRIVER").is_some_and(|driver| driver == "epoll")
}

/// Open descriptors of this process.
fn descriptors() -> usize {
    // The directory itself is one of them, each time.
    std::fs::read_dir("/proc/self/fd").expect("this is Linux").count()
}

/// Runs `f` as the root of a Cooperator on whose ring these things go wrong, and sees that it has left nothing behind.
fn run<R>(faults: &Faults, f: impl FnOnce() -> R) -> R {
    let before = descriptors();
    let builder = coop::Builder::new().faulty_ring(faults);
    let (result, left) = builder.run_counted(&mut Default::default(), f).expect("there is a ring");
    assert_eq!((left.tasks, left.stacks, left.operations, left.strays), (0, 0, 0, 0), "{left:?}");
    // ThreadSanitizer opens some of its own, when it is to say what a function is called.
    assert!(cfg!(tsan) || descriptors() == before, "{} descriptors, {before} before", descriptors());
    match result {
        Ok(result) => result,
        Err(coop::JoinError::Panicked(payload)) => std::panic::resume_unwind(payload),
        Err(error) => panic!("{error}"),
    }
}
