//! What happened, in order: tasks write it, the test reads it.

use std::cell::RefCell;
use std::rc::Rc;

/// A list of what happened. Clones write to the same one.
#[derive(Clone, Default)]
pub struct Trace(Rc<RefCell<Vec<String>>>);

impl Trace {
    pub fn say(&self, text: impl Into<String>) {
        self.0.borrow_mut().push(text.into());
    }

    pub fn take(&self) -> Vec<String> {
        self.0.take()
    }

    /// Something that says `text` when it is dropped.
    pub fn at_drop(&self, text: impl Into<String>) -> AtDrop {
        AtDrop { trace: self.clone(), text: text.into() }
    }
}

/// Made by [`Trace::at_drop`].
pub struct AtDrop {
    trace: Trace,
    text: String,
}

impl Drop for AtDrop {
    fn drop(&mut self) {
        self.trace.say(std::mem::take(&mut self.text));
    }
}

/// Runs a closure when it is dropped.
pub struct Defer<F: FnOnce()>(Option<F>);

impl<F: FnOnce()> Defer<F> {
    pub fn new(f: F) -> Self {
        Defer(Some(f))
    }
}

impl<F: FnOnce()> Drop for Defer<F> {
    fn drop(&mut self) {
        self.0.take().expect("dropped once")();
    }
}
