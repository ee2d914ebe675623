//! Signals of the process, as something to wait for.

use crate::cooperator::Cooperator;
use crate::error::Killed;
use crate::handle::{Blocking, Pollable, Polled, PolledFlight, Readiness, call_when_ready};
use crate::sys;
use crate::task;
use std::io;
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicI32, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

/// Listens for one signal from when it is made until it is dropped; meanwhile the signal does not have its default effect.
///
/// Wait for it with [`recv`](Signal::recv), or in a `select!` by [`op::signal`](crate::op::signal). Signals that come while
/// nobody waits are remembered as one.
#[derive(Debug)]
pub struct Signal {
    number: i32,
    event: ManuallyDrop<OwnedFd>,
    /// A Cooperator with a listener is never deadlocked.
    cooperator: Option<u64>,
    _not_send: PhantomData<*const ()>,
}

/// Whom the handler wakes: an eventfd and its signal a place; the number 0 is a free place.
const PLACES: usize = 64;
static NUMBERS: [AtomicI32; PLACES] = [const { AtomicI32::new(0) }; PLACES];
static EVENTS: [AtomicI32; PLACES] = [const { AtomicI32::new(-1) }; PLACES];

/// Held while places or handlers change; never by the handler itself.
static CHANGING: Mutex<Vec<(i32, SavedAction)>> = Mutex::new(Vec::new());

struct SavedAction(libc::sigaction);

// SAFETY: plain data; a handler's address may be used on any thread.
unsafe impl Send for SavedAction {}

/// Handlers that run just now, on any thread. A descriptor that one of them may have looked up must not be closed: its number may
/// stand for something else when the handler writes to it.
static HANDLING: AtomicUsize = AtomicUsize::new(0);

extern "C" fn handler(signal: libc::c_int) {
    sys::keeping_errno(|| {
        HANDLING.fetch_add(1, Ordering::SeqCst);
        for (number, event) in NUMBERS.iter().zip(&EVENTS) {
            if number.load(Ordering::SeqCst) == signal {
                sys::eventfd_wake(event.load(Ordering::Acquire));
            }
        }
        HANDLING.fetch_sub(1, Ordering::SeqCst);
    });
}

/// Waits until no handler runs that may have seen a place before it was freed. False if one still does, after a long while: a
/// stopped thread, or one that a fork has left behind.
fn no_handler_runs() -> bool {
    (0..10_000).any(|_| {
        let quiet = HANDLING.load(Ordering::SeqCst) == 0;
        if !quiet {
            std::thread::yield_now();
        }
        quiet
    })
}

/// Listens for ctrl-c (SIGINT). Not a wait point.
///
/// ```
/// coop::run(|| -> std::io::Result<()> {
///     let ctrl_c = coop::signal::ctrl_c()?;
///     unsafe { libc::raise(libc::SIGINT) };
///     ctrl_c.recv()?;
///     Ok(())
/// }).unwrap();
/// ```
///
/// # Errors
/// As [`listen`].
pub fn ctrl_c() -> io::Result<Signal> {
    listen(libc::SIGINT)
}

/// Listens for SIGTERM. Not a wait point.
///
/// # Errors
/// As [`listen`].
pub fn terminate() -> io::Result<Signal> {
    listen(libc::SIGTERM)
}

/// Listens for the signal with this number. Not a wait point.
///
/// # Errors
/// `InvalidInput` for a signal that cannot be caught or that reports a fault; those of eventfd(2); `Unsupported` on a thread
/// without a Cooperator; `OutOfMemory` when 64 listeners exist.
pub fn listen(number: i32) -> io::Result<Signal> {
    let Some(cooperator) = Cooperator::current() else {
        return Err(task::begin_io().map(drop).unwrap_err());
    };
    let fault = [libc::SIGSEGV, libc::SIGBUS, libc::SIGFPE, libc::SIGILL, libc::SIGKILL, libc::SIGSTOP];
    if fault.contains(&number) || number <= 0 {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("signal {number} cannot be listened for")));
    }
    let event = sys::eventfd()?;
    let mut saved = CHANGING.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(place) = NUMBERS.iter().position(|number| number.load(Ordering::Relaxed) == 0) else {
        return Err(io::Error::new(io::ErrorKind::OutOfMemory, "64 signal listeners exist"));
    };
    EVENTS[place].store(event.as_raw_fd(), Ordering::Release);
    NUMBERS[place].store(number, Ordering::Release);
    if !saved.iter().any(|(of, _)| *of == number) {
        // SAFETY: a zeroed sigaction is valid; the handler only writes to eventfds.
        let previous = unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = handler as *const () as usize;
            action.sa_flags = libc::SA_RESTART | libc::SA_ONSTACK;
            let mut previous: libc::sigaction = std::mem::zeroed();
            sys::check(libc::sigaction(number, &action, &mut previous)).map(|_| previous)
        };
        match previous {
            Ok(previous) => saved.push((number, SavedAction(previous))),
            Err(error) => {
                NUMBERS[place].store(0, Ordering::Release);
                return Err(error);
            }
        }
    }
    cooperator.wakers.set(cooperator.wakers.get() + 1);
    Ok(Signal { number, event: ManuallyDrop::new(event), cooperator: Some(cooperator.id), _not_send: PhantomData })
}

impl Signal {
    /// The signal's number.
    pub fn number(&self) -> i32 {
        self.number
    }

    /// Waits until the signal comes, or has come since the last time.
    ///
    /// A wait point; kill-checked: a signal that raced a kill is remembered.
    ///
    /// # Errors
    /// [`Killed`].
    #[track_caller]
    pub fn recv(&self) -> io::Result<()> {
        Receiving { signal: self }.block()
    }
}

impl Drop for Signal {
    fn drop(&mut self) {
        let mut saved = CHANGING.lock().unwrap_or_else(PoisonError::into_inner);
        let fd = self.event.as_raw_fd();
        for (number, event) in NUMBERS.iter().zip(&EVENTS) {
            if number.load(Ordering::Relaxed) == self.number && event.load(Ordering::Relaxed) == fd {
                number.store(0, Ordering::SeqCst);
                break;
            }
        }
        if NUMBERS.iter().all(|number| number.load(Ordering::Relaxed) != self.number)
            && let Some(index) = saved.iter().position(|(of, _)| *of == self.number)
        {
            let (number, previous) = saved.swap_remove(index);
            // SAFETY: what `listen` replaced.
            unsafe { libc::sigaction(number, &previous.0, std::ptr::null_mut()) };
        }
        if no_handler_runs() {
            // SAFETY: not used again; it is left open otherwise.
            unsafe { ManuallyDrop::drop(&mut self.event) };
        }
        if let Some(cooperator) = Cooperator::current()
            && self.cooperator == Some(cooperator.id)
        {
            cooperator.wakers.set(cooperator.wakers.get() - 1);
        }
    }
}

/// `op::signal`.
pub(crate) type SignalOperation<'a> = Polled<Receiving<'a>>;

#[doc(hidden)]
pub struct Receiving<'a> {
    signal: &'a Signal,
}

impl<'a> Receiving<'a> {
    pub(crate) fn new(signal: &'a Signal) -> Self {
        Receiving { signal }
    }
}

/// As an arm: reading a non-blocking eventfd takes what was noted, or has done nothing.
impl Pollable for Receiving<'_> {
    type Output = ();

    fn fd(&self) -> RawFd {
        self.signal.event.as_raw_fd()
    }

    fn events(&self) -> u32 {
        libc::POLLIN as u32
    }

    fn verb(&self) -> &'static str {
        "signal"
    }

    fn readiness(&self) -> Readiness {
        // Signals are rare: the poll finds out.
        Readiness::Doubtful
    }

    fn attempt(&mut self) -> Option<io::Result<()>> {
        let mut count = 0u64;
        // SAFETY: eight writable bytes, as an eventfd wants.
        let n = unsafe { libc::read(self.fd(), (&raw mut count).cast(), 8) };
        match sys::check_size(n) {
            Ok(_) => Some(Ok(())),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => None,
            Err(error) => Some(Err(error)),
        }
    }
}

impl<'a> Blocking for Receiving<'a> {
    type Started = io::Result<()>;
    type Flight = PolledFlight<Receiving<'a>>;

    #[track_caller]
    fn block(mut self) -> io::Result<()> {
        call_when_ready(task::begin_io()?, &mut self)
    }

    fn into_flight(self) -> Self::Flight {
        PolledFlight::new(self)
    }

    fn joined(result: Result<Self::Started, Killed>) -> Self::Started {
        result?
    }
}
