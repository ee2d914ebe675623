//! System calls that the ring makes: one description, waited for on the caller's frame or put in flight.

use crate::blocking::error_of;
use crate::cooperator::Cooperator;
use crate::coordinator::Coordinator;
use crate::error::Killed;
use crate::fiber::{Detail, Reason};
use crate::handle::{Flight, InFlight, Operation, Sealed, perform};
use crate::ring::Sqe;
use crate::task;
use std::cell::{Cell, RefCell};
use std::io;
use std::marker::PhantomPinned;
use std::os::fd::RawFd;
use std::panic::Location;

/// A system call, or several that make one.
///
/// None of these is an arm of `select!` by value: once the kernel has begun to read a file, make a directory or truncate
/// something, a cancel may come too late, so *started, then not chosen* can have had an effect.
///
/// # Safety
/// The memory that `sqe` names is owned or borrowed by the call, and stays where it is for as long as the call lives, wherever
/// the call itself is moved; `advance` and `wait` aside nobody changes it.
pub unsafe trait Call: Sized {
    /// What waiting for it gives.
    type Waited;
    /// What its Handle gives: that, with what was lent.
    type Started;

    /// What it is called in dumps.
    fn verb(&self) -> &'static str;

    /// The descriptor it works on, if it has one.
    fn fd(&self) -> Option<RawFd> {
        None
    }

    /// What to submit next, unless the arguments are no good.
    fn sqe(&mut self) -> io::Result<Sqe>;

    /// Makes the call, if that can be done without blocking.
    fn attempt(&mut self) -> Option<io::Result<usize>> {
        None
    }

    /// Which readiness to wait for, if the descriptor says EAGAIN because somebody has made it non-blocking.
    fn events(&self) -> libc::c_short {
        libc::POLLIN
    }

    /// Takes note of a result. `None`: there is more to do.
    fn advance(&mut self, result: usize) -> Option<io::Result<usize>> {
        Some(Ok(result))
    }

    /// What to say of an error, given how far the call has come.
    fn failed(&self, error: io::Error) -> io::Result<usize> {
        Err(error)
    }

    /// What a cancelled flight has done all the same, in earlier parts.
    fn done_in_part(&self) -> Option<usize> {
        None
    }

    fn waited(self, result: usize) -> io::Result<Self::Waited>;

    fn started(self, result: usize) -> io::Result<Self::Started>;

    /// Undoes what a result that nobody will take has made: the flight was dropped.
    fn dispose(_: usize) {}
}

/// The operation of a [`Call`].
#[doc(hidden)]
pub struct Request<C>(C);

impl<C: Call> Request<C> {
    pub(crate) fn new(call: C) -> Self {
        Request(call)
    }
}

/// Makes a call and waits for its result; kill-checked. What raced a kill is delivered.
#[track_caller]
pub(super) fn wait<C: Call>(mut call: C) -> io::Result<C::Waited> {
    let result = finish(&mut call, Location::caller()).or_else(|error| call.failed(error))?;
    call.waited(result)
}

#[track_caller]
fn finish<C: Call>(call: &mut C, place: &'static Location<'static>) -> io::Result<usize> {
    loop {
        let cooperator = task::begin_io()?;
        // Among others that are ready the ring reads what is cached at once, too, for many with one call.
        let attempt = if cooperator.submits_together() { None } else { call.attempt() };
        let result = match attempt {
            Some(result) => {
                cooperator.scheduler.spend_call();
                result
            }
            None => {
                let sqe = call.sqe()?;
                // SAFETY: `Call` says that the memory stays while the call does; it is borrowed until `perform` returns.
                let result = unsafe { perform(cooperator, sqe, reason(call), place)? };
                usize::try_from(result).map_err(|_| error_of(result))
            }
        };
        match result {
            Ok(n) => {
                if let Some(result) = call.advance(n) {
                    return result;
                }
            }
            // A signal, or the end of a worker: nothing was done.
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => match (error.kind(), call.fd()) {
                (io::ErrorKind::WouldBlock, Some(fd)) => {
                    crate::handle::wait_ready(cooperator, fd, call.events() as u32, call.verb(), place)?;
                }
                _ => return Err(error),
            },
        }
    }
}

fn reason(call: &impl Call) -> Reason {
    match call.fd() {
        Some(fd) => Reason::on(call.verb(), Detail::Descriptor(fd)),
        None => Reason::new(call.verb()),
    }
}

impl<C: Call> Sealed for Request<C> {}

impl<C: Call> Operation for Request<C> {
    type Output = io::Result<C::Waited>;
    type Waited = io::Result<C::Waited>;
    type Started = io::Result<C::Started>;
    type Joined = io::Result<C::Started>;
    type Flight = CallFlight<C>;

    #[track_caller]
    fn wait(self) -> io::Result<C::Waited> {
        wait(self.0)
    }

    fn into_flight(self) -> CallFlight<C> {
        CallFlight {
            reason: reason(&self.0),
            call: RefCell::new(Some(self.0)),
            flight: InFlight::new(),
            is_polling: Cell::new(false),
            refused: Cell::new(None),
            is_aborted: Cell::new(false),
            _pinned: PhantomPinned,
        }
    }

    fn joined(result: Result<io::Result<C::Started>, Killed>) -> io::Result<C::Started> {
        result?
    }
}

/// A [`Call`] that was started.
#[doc(hidden)]
pub struct CallFlight<C: Call> {
    /// `None` once the result was given out.
    call: RefCell<Option<C>>,
    reason: Reason,
    flight: InFlight,
    /// What flies is a poll: the call itself follows.
    is_polling: Cell<bool>,
    /// Its arguments were no good: nothing flies.
    refused: Cell<Option<io::Error>>,
    /// Nothing more is begun.
    is_aborted: Cell<bool>,
    _pinned: PhantomPinned,
}

impl<C: Call> CallFlight<C> {
    /// # Safety
    /// The flight stays in place until it is over.
    unsafe fn submit(&self, cooperator: &Cooperator) {
        let sqe = match self.call.borrow_mut().as_mut() {
            Some(call) => call.sqe(),
            None => return,
        };
        match sqe {
            // SAFETY: `Call` says that the memory stays while the call does, which is a part of the flight.
            Ok(sqe) => unsafe { self.flight.submit(cooperator, sqe) },
            Err(error) => {
                self.refused.set(Some(error));
                self.flight.done().release();
            }
        }
    }

    fn give(&mut self, result: io::Result<usize>) -> Option<io::Result<C::Started>> {
        let call = self.call.take()?;
        Some(result.or_else(|error| call.failed(error)).and_then(|n| call.started(n)))
    }
}

// SAFETY: the kernel has the call's memory and the flight's address until the last completion, which `is_over` tells. A call
// that completes after `abort` is given out by `land`, or disposed of by `drop`.
unsafe impl<C: Call> Flight for CallFlight<C> {
    type Output = io::Result<C::Started>;

    unsafe fn launch(&self, cooperator: &Cooperator) {
        // SAFETY: the caller's promise.
        unsafe { self.submit(cooperator) };
    }

    fn news(&self) -> &Coordinator {
        self.flight.done()
    }

    fn is_ready(&self) -> bool {
        !self.flight.is_flying()
    }

    fn land(&mut self, cooperator: &Cooperator) -> Option<Self::Output> {
        if let Some(error) = self.refused.take() {
            return self.give(Err(error));
        }
        if self.flight.is_flying() {
            return None;
        }
        let Some(result) = self.flight.take_result() else {
            // Stopped by a cancel. Parts that were done before are told of.
            let done = self.call.get_mut().as_ref()?.done_in_part()?;
            return self.give(Ok(done));
        };
        let call = self.call.get_mut().as_mut()?;
        let was_poll = self.is_polling.take();
        match usize::try_from(result) {
            Ok(_) if was_poll => {}
            Ok(n) => {
                if let Some(result) = call.advance(n) {
                    return self.give(result);
                }
            }
            Err(_) if result == -libc::EINTR => {}
            Err(_) => match call.fd() {
                Some(_) if result == -libc::EAGAIN && self.is_aborted.get() => {}
                Some(fd) if result == -libc::EAGAIN => {
                    self.is_polling.set(true);
                    let poll = Sqe::poll(fd, call.events() as u32);
                    // SAFETY: it was launched, so it stays in place until it is over; a poll names no memory.
                    unsafe { self.flight.submit(cooperator, poll) };
                    return None;
                }
                _ => return self.give(Err(error_of(result))),
            },
        }
        if self.is_aborted.get() {
            // A part was done when the cancel came: it is told of, and the rest is not begun.
            let done = call.done_in_part()?;
            return self.give(Ok(done));
        }
        // SAFETY: it was launched, so it stays in place until it is over.
        unsafe { self.submit(cooperator) };
        None
    }

    fn abort(&self, cooperator: &Cooperator) {
        self.is_aborted.set(true);
        self.flight.cancel(cooperator);
    }

    fn settle(&self, cooperator: &Cooperator, place: &'static Location<'static>) {
        self.flight.settle(cooperator, place);
    }

    fn is_over(&self) -> bool {
        !self.flight.is_flying()
    }

    fn reason(&self) -> Reason {
        self.reason
    }
}

impl<C: Call> Drop for CallFlight<C> {
    fn drop(&mut self) {
        if !self.is_polling.get()
            && let Some(result) = self.flight.take_result()
            && let Ok(result) = usize::try_from(result)
        {
            C::dispose(result);
        }
    }
}
