//! Calls that are tried first, and otherwise made when the socket is ready: all forms of such an operation at once.

use super::socket::begin;
use crate::cooperator::Cooperator;
use crate::coordinator::Coordinator;
use crate::error::Killed;
use crate::fiber::Reason;
use crate::handle::{Blocking, Flight, Pollable, PolledFlight, Readiness, wait_ready};
use std::io;
use std::panic::Location;

/// A [`Pollable`] that may borrow a buffer: started, it gives it back with its output.
pub trait Lending: Pollable {
    /// The output, with what was lent.
    type Back;

    fn give_back(&mut self, output: Self::Output) -> Self::Back;
}

/// What an attempt says: a call that would have to wait, or was interrupted, has done nothing.
#[inline]
pub(crate) fn unless_blocked<T>(result: io::Result<T>) -> Option<io::Result<T>> {
    match &result {
        Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => None,
        _ => Some(result),
    }
}

impl<P: Lending> Blocking for P {
    type Started = io::Result<P::Back>;
    type Flight = LendingFlight<P>;

    #[inline]
    #[track_caller]
    fn block(mut self) -> io::Result<P::Output> {
        let cooperator = begin()?;
        // Where the last call found nothing left, a first attempt would be for nothing.
        let mut is_worth_it = self.readiness() == Readiness::Maybe;
        loop {
            if is_worth_it && let Some(result) = self.attempt() {
                cooperator.scheduler.spend_call();
                return result;
            }
            is_worth_it = true;
            wait_ready(cooperator, self.fd(), self.events(), self.verb(), Location::caller())?;
        }
    }

    fn into_flight(self) -> LendingFlight<P> {
        LendingFlight(PolledFlight::new(self))
    }

    fn joined(result: Result<io::Result<P::Back>, Killed>) -> io::Result<P::Back> {
        result?
    }
}

/// A [`Lending`] that was started.
#[doc(hidden)]
pub struct LendingFlight<P>(PolledFlight<P>);

// SAFETY: every call goes to the flight inside; the call itself is made by `land`, which gives its output.
unsafe impl<P: Lending> Flight for LendingFlight<P> {
    type Output = io::Result<P::Back>;

    unsafe fn launch(&self, cooperator: &Cooperator) {
        // SAFETY: the caller's promise.
        unsafe { self.0.launch(cooperator) };
    }

    fn news(&self) -> &Coordinator {
        self.0.news()
    }

    fn is_ready(&self) -> bool {
        self.0.is_ready()
    }

    fn land(&mut self, cooperator: &Cooperator) -> Option<Self::Output> {
        let output = self.0.land(cooperator)?;
        Some(output.map(|output| self.0.what.give_back(output)))
    }

    fn abort(&self, cooperator: &Cooperator) {
        self.0.abort(cooperator);
    }

    fn settle(&self, cooperator: &Cooperator, place: &'static Location<'static>) {
        self.0.settle(cooperator, place);
    }

    fn is_over(&self) -> bool {
        self.0.is_over()
    }

    fn reason(&self) -> Reason {
        self.0.reason()
    }
}
