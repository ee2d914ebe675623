//! Futures run by tasks, tasks as futures, and what other people's crates make of both.

#[path = "../soundness/child.rs"]
#[allow(dead_code)]
mod child;

mod allocations;
mod block_on;
mod crates;
mod executor;
mod in_task;
mod sleep;
mod stream;
mod wakers;

use std::cell::RefCell;
use std::fmt::Debug;
use std::rc::Rc;
use std::time::Duration;

/// What happened, in order.
#[derive(Clone, Default)]
struct Trace(Rc<RefCell<Vec<String>>>);

impl Trace {
    fn say(&self, text: impl Into<String>) {
        self.0.borrow_mut().push(text.into());
    }

    #[track_caller]
    fn is(&self, expected: &[&str]) {
        assert_eq!(*self.0.borrow(), expected);
    }

    /// What says, when it is dropped, that it was, and in which task.
    fn witness(&self, name: &'static str) -> Witness {
        Witness(name, self.clone())
    }
}

struct Witness(&'static str, Trace);

impl Drop for Witness {
    fn drop(&mut self) {
        self.1.say(format!("{} is dropped in {}", self.0, coop::current().name()));
    }
}

/// What a deadline makes of a `Killed`.
#[derive(Debug, PartialEq)]
enum Stopped {
    Killed(coop::Cause),
    TimedOut,
}

impl From<coop::Killed> for Stopped {
    fn from(killed: coop::Killed) -> Self {
        Stopped::Killed(killed.cause())
    }
}

impl From<coop::TimedOut> for Stopped {
    fn from(_: coop::TimedOut) -> Self {
        Stopped::TimedOut
    }
}

/// Lets every other task that is ready run until it waits.
fn let_others_run() {
    for _ in 0..10 {
        coop::yield_now().unwrap();
    }
}

fn milliseconds(count: u64) -> Duration {
    Duration::from_millis(count)
}

/// The cause of the kill that a result tells of.
#[track_caller]
fn cause_of<T: Debug>(result: Result<T, coop::Killed>) -> coop::Cause {
    result.unwrap_err().cause()
}
