//! Operations on descriptors that say when they are ready: the kernel is asked to tell, and only then is the call made, at once
//! and without blocking.

use super::arm::{Arm, Operation, Readiness, Sealed};
use super::flight::Flight;
use super::in_flight::{InFlight, perform};
use super::narrow::Narrow;
use crate::cooperator::Cooperator;
use crate::coordinator::{Coordinated, Coordinator, Wait};
use crate::error::Killed;
use crate::fiber::{Detail, Reason};
use std::io;
use std::marker::PhantomPinned;
use std::os::fd::RawFd;
use std::panic::Location;

/// A call that can be made without blocking whenever its descriptor is ready.
///
/// Proof obligation for its being an arm: `attempt` is one system call that either gives its output or has done nothing
/// (EAGAIN); asking whether a descriptor is ready does nothing to it.
pub trait Pollable {
    type Output;
    fn fd(&self) -> RawFd;
    /// The poll events of interest; errors are always reported.
    fn events(&self) -> u32;
    fn verb(&self) -> &'static str;
    fn readiness(&self) -> Readiness;
    /// Whether there is nothing to do: `attempt` then gives its output whether the descriptor is ready or not.
    fn is_nothing(&self) -> bool {
        false
    }
    /// `None`: not ready after all.
    fn attempt(&mut self) -> Option<io::Result<Self::Output>>;
}

/// Waits until `fd` has one of `events`; kill-checked.
pub(crate) fn wait_ready(
    cooperator: &Cooperator,
    fd: RawFd,
    events: u32,
    verb: &'static str,
    place: &'static Location<'static>,
) -> io::Result<()> {
    let narrow = Narrow::new();
    loop {
        let reason = Reason::on(verb, Detail::Descriptor(fd));
        // SAFETY: a poll names no memory.
        let result = unsafe { perform(cooperator, narrow.poll(fd, events), reason, place)? };
        if narrow.is_due(fd, events, result)? {
            return Ok(());
        }
    }
}

/// The operation of a [`Pollable`], as an arm.
#[doc(hidden)]
pub struct Polled<P> {
    pub(crate) what: P,
    poll: InFlight,
    narrow: Narrow,
    entry: Coordinated,
}

impl<P: Pollable> Polled<P> {
    pub(crate) fn new(what: P) -> Self {
        Polled { what, poll: InFlight::new(), narrow: Narrow::new(), entry: Coordinated::new() }
    }
}

impl<P> Sealed for Polled<P> {}

// SAFETY: `enlist` starts a poll, which `disengage` cancels and `settle` drains, and links `entry`, which the wait unlinks.
// `Pollable` states why an attempt without an output has had no effect.
#[diagnostic::do_not_recommend]
unsafe impl<P: Pollable> Arm for Polled<P> {
    type Output = io::Result<P::Output>;
    type Itself = Self;

    fn itself(self) -> Self {
        self
    }

    fn readiness(&self) -> Readiness {
        // While the poll flies, the kernel has seen the descriptor unready and will tell.
        if self.poll.is_flying() { Readiness::No } else { self.what.readiness() }
    }

    fn attempt(&mut self, _: &Cooperator) -> Option<io::Result<P::Output>> {
        self.what.attempt()
    }

    unsafe fn enlist(&self, cooperator: &Cooperator, wait: &Wait, index: usize) {
        // SAFETY: the caller keeps the arm in place until it is settled.
        unsafe {
            if !self.poll.is_flying() {
                self.poll.submit(cooperator, self.narrow.poll(self.what.fd(), self.what.events()));
            }
            wait.enlist(self.poll.done(), &self.entry, index);
        }
    }

    fn won(&mut self, _: &Cooperator) -> Option<io::Result<P::Output>> {
        let result = self.poll.take_result()?;
        match self.narrow.is_due(self.what.fd(), self.what.events(), result) {
            Err(error) => Some(Err(error)),
            Ok(true) => self.what.attempt(),
            Ok(false) => None,
        }
    }

    fn disengage(&self, cooperator: &Cooperator) {
        self.poll.cancel(cooperator);
    }

    fn settle(&self, cooperator: &Cooperator, place: &'static Location<'static>) {
        self.poll.settle(cooperator, place);
    }
}

/// An operation whose every form is a poll and a call: accepting a connection, receiving a signal.
impl<P: Pollable + Blocking> Operation for Polled<P> {
    type Output = io::Result<P::Output>;
    type Waited = io::Result<P::Output>;
    type Started = P::Started;
    type Joined = P::Started;
    type Flight = P::Flight;

    #[track_caller]
    fn wait(self) -> io::Result<P::Output> {
        self.what.block()
    }

    fn into_flight(self) -> P::Flight {
        self.what.into_flight()
    }

    fn joined(result: Result<P::Started, Killed>) -> P::Started {
        P::joined(result)
    }
}

/// Makes a call as soon as it can be made without blocking; kill-checked.
#[track_caller]
pub(crate) fn call_when_ready<P: Pollable>(cooperator: &Cooperator, what: &mut P) -> io::Result<P::Output> {
    loop {
        if let Some(result) = what.attempt() {
            return result;
        }
        wait_ready(cooperator, what.fd(), what.events(), what.verb(), Location::caller())?;
    }
}

/// The other forms of a [`Pollable`].
pub trait Blocking: Pollable + Sized {
    type Started;
    type Flight: Flight<Output = Self::Started>;
    #[track_caller]
    fn block(self) -> io::Result<Self::Output>;
    fn into_flight(self) -> Self::Flight;
    fn joined(result: Result<Self::Started, Killed>) -> Self::Started;
}

/// A [`Pollable`] that was started.
#[doc(hidden)]
pub struct PolledFlight<P> {
    pub(crate) what: P,
    poll: InFlight,
    narrow: Narrow,
    _pinned: PhantomPinned,
}

impl<P: Pollable> PolledFlight<P> {
    pub(crate) fn new(what: P) -> Self {
        PolledFlight { what, poll: InFlight::new(), narrow: Narrow::new(), _pinned: PhantomPinned }
    }
}

// SAFETY: only the poll's address is handed out, until its last completion; `Pollable` says why a poll has no effect.
unsafe impl<P: Pollable> Flight for PolledFlight<P> {
    type Output = io::Result<P::Output>;

    unsafe fn launch(&self, cooperator: &Cooperator) {
        if self.what.is_nothing() {
            return self.poll.done().release();
        }
        // SAFETY: the caller's promise; a poll names no memory.
        unsafe { self.poll.submit(cooperator, self.narrow.poll(self.what.fd(), self.what.events())) };
    }

    fn news(&self) -> &Coordinator {
        self.poll.done()
    }

    fn is_ready(&self) -> bool {
        !self.poll.is_flying()
    }

    fn land(&mut self, cooperator: &Cooperator) -> Option<io::Result<P::Output>> {
        if self.what.is_nothing() {
            return self.what.attempt();
        }
        let result = self.poll.take_result()?;
        let output = match self.narrow.is_due(self.what.fd(), self.what.events(), result) {
            Err(error) => Some(Err(error)),
            Ok(true) => self.what.attempt(),
            Ok(false) => None,
        };
        if output.is_none() {
            // SAFETY: it was launched, so it stays in place until it is over.
            unsafe { self.launch(cooperator) };
        }
        output
    }

    fn abort(&self, cooperator: &Cooperator) {
        self.poll.cancel(cooperator);
    }

    fn settle(&self, cooperator: &Cooperator, place: &'static Location<'static>) {
        self.poll.settle(cooperator, place);
    }

    fn is_over(&self) -> bool {
        !self.poll.is_flying()
    }

    fn reason(&self) -> Reason {
        Reason::on(self.what.verb(), Detail::Descriptor(self.what.fd()))
    }
}
