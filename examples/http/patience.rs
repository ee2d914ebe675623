//! How long answers under way have once the server stops.

use std::{
    cell::Cell,
    time::{Duration, Instant},
};

/// The end of the grace, once it is known.
///
/// The server stops by killing its connections. A connection that waits for a request meets the kill at once. One that
/// answers does so step by step behind shields: they hold the kill off for as long as there is time.
pub struct Patience {
    grace: Duration,
    until: Cell<Option<Instant>>,
}

impl Patience {
    pub const fn new(grace: Duration) -> Self {
        Self { grace, until: Cell::new(None) }
    }

    /// From now on time is short.
    pub fn stop(&self) {
        self.until.set(Some(Instant::now() + self.grace));
    }

    pub fn is_stopping(&self) -> bool {
        self.until.get().is_some()
    }

    /// Whether a step that a kill has ended may be tried again: its shield was older than the stop.
    pub fn is_left(&self) -> bool {
        self.until.get().is_some_and(|until| until > Instant::now())
    }

    /// Runs `f`, whose waits do not see a kill before the time is over.
    pub fn step<T>(&self, f: impl FnOnce() -> T) -> T {
        let left = match self.until.get() {
            Some(until) => until.saturating_duration_since(Instant::now()),
            None => self.grace,
        };
        coop::shield(left, f)
    }
}
