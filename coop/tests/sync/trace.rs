//! What tasks do, in the order in which they do it.

use std::cell::RefCell;

/// A trace that tasks write to and the test reads.
#[derive(Default)]
pub struct Trace(RefCell<Vec<String>>);

impl Trace {
    pub fn say(&self, text: impl Into<String>) {
        self.0.borrow_mut().push(text.into());
    }

    #[track_caller]
    pub fn expect(&self, expected: &[&str]) {
        assert_eq!(self.0.take(), expected);
    }
}

/// Lets every task that can run come to its next wait.
pub fn settle() {
    for _ in 0..4 {
        coop::yield_now().expect("nobody kills the test");
    }
}
