//! Calls that a thread makes for the driver, and how they are called off.
//!
//! ```text
//!   WAITING ──▶ thread's number, while in the call ──▶ result on the desk
//!      │                 │ called off: interrupted until the call returns; it fails with EINTR, or had its effect
//!      └─ called off ──▶ the thread does nothing
//! ```

use super::Sqe;
use super::calls;
use crate::sys;
use crate::workers;
use std::os::fd::RawFd;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, Once, PoisonError};

/// No thread has begun.
const WAITING: i32 = 0;
/// No thread may begin.
const OFF: i32 = -1;

/// A submission on its way to a thread: with the addresses in it.
pub(super) struct Errand {
    sqe: Sqe,
    /// Its descriptor was polled, and found ready.
    is_stream: bool,
    /// `WAITING`, `OFF`, or the thread that is at it.
    thread: AtomicI32,
    is_called_off: AtomicBool,
}

// SAFETY: what the addresses in the submission lead to is not used by anybody else until the completion; that is the contract of
// `Ring::push`. The rest is atomic.
unsafe impl Send for Errand {}
// SAFETY: as above; only the thread that has taken the errand follows the addresses.
unsafe impl Sync for Errand {}

impl Errand {
    pub(super) fn new(sqe: Sqe, is_stream: bool) -> Self {
        Errand { sqe, is_stream, thread: AtomicI32::new(WAITING), is_called_off: AtomicBool::new(false) }
    }

    /// Asks for an early end. True: no thread had begun, and none will. Else it is over when its result is there.
    pub(super) fn call_off(&self) -> bool {
        self.is_called_off.store(true, Ordering::Release);
        let is_stopped = self.thread.compare_exchange(WAITING, OFF, Ordering::AcqRel, Ordering::Acquire).is_ok();
        if !is_stopped {
            self.interrupt();
        }
        is_stopped
    }

    pub(super) fn is_called_off(&self) -> bool {
        self.is_called_off.load(Ordering::Acquire)
    }

    /// Interrupts the call. The signal may come just before the call begins, and be lost: until the result is there, this is
    /// done again.
    pub(super) fn interrupt(&self) {
        listen();
        let thread = self.thread.load(Ordering::Acquire);
        if thread > 0 {
            // SAFETY: the thread is one of the workers, all of which hear this signal and do nothing about it. It has not ended:
            // it waits for work for seconds after it has left its result, which the caller would have seen.
            unsafe { libc::syscall(libc::SYS_tgkill, libc::getpid(), thread, SIGNAL) };
        }
    }

    fn make(&self, desk: &Desk) {
        // SAFETY: gettid has no preconditions.
        let me = unsafe { libc::gettid() };
        if self.thread.compare_exchange(WAITING, me, Ordering::AcqRel, Ordering::Acquire).is_err() {
            return;
        }
        // SAFETY: begun, so it is not over before its result is left; until then its memory is kept.
        let result = unsafe { calls::perform(&self.sqe, self.is_stream, &|| self.is_called_off()) };
        self.thread.store(OFF, Ordering::Release);
        desk.leave(self.sqe.user_data, result);
    }
}

/// Has a thread make the call, and leave its result on the desk.
pub(super) fn send(errand: Arc<Errand>, desk: Arc<Desk>) {
    if let Err((work, _)) = workers::CALLS.submit(Box::new(move || errand.make(&desk))) {
        // No thread is to be had: this one then, though others wait meanwhile.
        work();
    }
}

/// What interrupts a call. By default it is ignored, so it harms nobody whom it reaches by mistake.
const SIGNAL: libc::c_int = workers::INTERRUPT;

/// Sees that the signal interrupts: what is ignored, or restarts calls, does not. A handler that somebody else has set is left
/// alone.
fn listen() {
    extern "C" fn nothing(_: libc::c_int) {}
    static LISTENING: Once = Once::new();
    LISTENING.call_once(|| {
        // SAFETY: a zeroed sigaction is valid; the handler does nothing.
        unsafe {
            let mut before: libc::sigaction = std::mem::zeroed();
            libc::sigaction(SIGNAL, std::ptr::null(), &mut before);
            if before.sa_sigaction == libc::SIG_DFL || before.sa_sigaction == libc::SIG_IGN {
                let mut action: libc::sigaction = std::mem::zeroed();
                action.sa_sigaction = nothing as *const () as usize;
                action.sa_flags = libc::SA_ONSTACK;
                libc::sigaction(SIGNAL, &action, std::ptr::null_mut());
            }
        }
    });
}

/// Where threads leave their results.
pub(super) struct Desk {
    state: Mutex<State>,
}

struct State {
    results: Vec<(u64, i32)>,
    /// Readable when results have come since it was silenced. `None` once the driver, which owns it, has gone: a thread may hold
    /// the desk a little longer.
    bell: Option<RawFd>,
}

impl Desk {
    /// # Safety
    /// `bell` stays open until [`Desk::close`].
    pub(super) unsafe fn new(bell: RawFd) -> Self {
        Desk { state: Mutex::new(State { results: Vec::new(), bell: Some(bell) }) }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn leave(&self, user_data: u64, result: i32) {
        let mut state = self.lock();
        state.results.push((user_data, result));
        // Under the lock: whoever finds the result may close the bell.
        if state.results.len() == 1
            && let Some(bell) = state.bell
        {
            sys::eventfd_wake(bell);
        }
    }

    /// Takes what is there.
    pub(super) fn collect(&self) -> Vec<(u64, i32)> {
        std::mem::take(&mut self.lock().results)
    }

    /// The bell is not rung any more.
    pub(super) fn close(&self) {
        self.lock().bell = None;
    }
}
