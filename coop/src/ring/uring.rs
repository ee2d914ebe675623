//! The ring of the running kernel.

use super::enter::{self, Target};
use super::held::Held;
use super::queues::{Place, Queues};
use super::submission::USED;
use super::{Cqe, Patience, Ring, Sqe};
use crate::count::Count;
use crate::sys;
use io_uring::register::{Probe, Restriction};
use io_uring::{IoUring, Submitter, squeue};
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

/// When the kernel runs the second half of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TaskRun {
    /// When we ask for it. A cancel then always beats what has not run.
    Deferred,
    /// At the next system call of any kind: the adversarial order, for tests.
    Cooperative,
}

/// Why there is no hardened ring.
#[derive(Debug)]
pub(crate) enum NotHardened {
    NoRing(io::Error),
    /// There is a ring, but it would not be restricted.
    NoRestrictions(io::Error),
}

/// io_uring, created, entered and destroyed on one thread.
pub(crate) struct Uring {
    ring: IoUring,
    queues: Queues,
    target: Target,
    /// What did not fit the submission queue when the kernel would take nothing.
    backlog: RefCell<VecDeque<Sqe>>,
    overflows: Count,
    /// Receives that were pushed after all that stands in the queue, and what came of the last that a call was enough for.
    held: Held,
    /// Nothing is held, and nothing is in the backlog: what is pushed goes straight into the queue.
    is_straight: Cell<bool>,
    found: Cell<Option<Cqe>>,
}

impl Uring {
    /// A ring with at least 64 submission entries, as near to `entries` as the memory limits allow.
    pub(crate) fn new(entries: u32, task_run: TaskRun) -> io::Result<Self> {
        Self::make(entries, task_run, false)
    }

    /// The same, but of a ring that takes only the operations that this crate makes, with the one flag that it sets, and no
    /// registration but the one that its end takes back: what else comes to stand in its queue is answered EACCES.
    pub(crate) fn new_hardened(entries: u32, task_run: TaskRun) -> Result<Self, NotHardened> {
        let ring = Self::make(entries, task_run, true).map_err(NotHardened::NoRing)?;
        ring.restrict().map_err(NotHardened::NoRestrictions)?;
        Ok(ring)
    }

    /// A ring both of whose queues have so many entries, for tests of what overflows them.
    pub(super) fn small(entries: u32, task_run: TaskRun) -> io::Result<Self> {
        Self::build(entries, entries, task_run, false)
    }

    /// Lays down what a ring that was made disabled may do, and enables it. From then on nobody can change that.
    fn restrict(&self) -> io::Result<()> {
        let submitter = self.submitter();
        // An opcode that the kernel does not know would be refused here, and is answered EINVAL later.
        let mut known = Probe::new();
        submitter.register_probe(&mut known)?;
        let used = USED.into_iter().filter(|opcode| known.is_supported(*opcode));
        let mut allowed: Vec<Restriction> = used.map(Restriction::sqe_op).collect();
        allowed.push(Restriction::sqe_flags_allowed(squeue::Flags::ASYNC.bits()));
        // What its end does (see `Drop`): it gives a place of the thread's back.
        allowed.push(Restriction::register_op(enter::UNREGISTER_RING_FDS));
        submitter.register_restrictions(&mut allowed)?;
        submitter.register_enable_rings()
    }

    fn make(entries: u32, task_run: TaskRun, is_disabled: bool) -> io::Result<Self> {
        // The kernel's own limits: `IORING_MAX_ENTRIES`, which CLAMP would apply, but after the completion queue's size was made
        // of it.
        let mut size = entries.clamp(64, 32768).next_power_of_two();
        let mut attempts = 0;
        let ring = loop {
            // The completion queue is large because kills come in thousands; what overflows it is kept by the kernel, at a price.
            match Self::build(size, size * 16, task_run, is_disabled) {
                Ok(ring) => break ring,
                // The kernel frees the memory of a ring that was just closed a little later, so ENOMEM may pass; if it
                // does not, a smaller ring may fit what RLIMIT_MEMLOCK has left.
                Err(error) if error.raw_os_error() == Some(libc::ENOMEM) => {
                    if attempts < 5 {
                        attempts += 1;
                        std::thread::sleep(std::time::Duration::from_millis(10));
                    } else if size > 64 {
                        size /= 2;
                    } else {
                        return Err(error);
                    }
                }
                Err(error) => return Err(error),
            }
        };
        Ok(ring)
    }

    fn over(ring: IoUring) -> io::Result<Self> {
        Ok(Uring {
            queues: Queues::of(&ring)?,
            target: Target::register(ring.as_raw_fd()),
            ring,
            backlog: RefCell::default(),
            overflows: Count::new(0),
            held: Held::new(),
            is_straight: Cell::new(true),
            found: Cell::new(None),
        })
    }

    #[cfg(test)]
    pub(super) fn ring(&self) -> &IoUring {
        &self.ring
    }

    fn build(entries: u32, completions: u32, task_run: TaskRun, is_disabled: bool) -> io::Result<Self> {
        let mut builder = IoUring::builder();
        // SUBMIT_ALL: one bad entry must not hold up those behind it.
        builder.setup_clamp().setup_submit_all().setup_single_issuer().setup_cqsize(completions).setup_taskrun_flag();
        builder.dontfork();
        match task_run {
            TaskRun::Deferred => builder.setup_defer_taskrun(),
            TaskRun::Cooperative => builder.setup_coop_taskrun(),
        };
        if is_disabled {
            builder.setup_r_disabled();
        }
        Self::over(builder.build(entries)?)
    }

    #[cfg(test)]
    pub(super) fn held(&self) -> &Held {
        &self.held
    }

    pub(super) fn submitter(&self) -> Submitter<'_> {
        self.ring.submitter()
    }

    /// Another descriptor of it, which keeps it open. `None`: there are no more to be had.
    pub(super) fn duplicate(&self) -> Option<OwnedFd> {
        // SAFETY: it is open as long as it is borrowed here.
        unsafe { BorrowedFd::borrow_raw(self.ring.as_raw_fd()) }.try_clone_to_owned().ok()
    }

    /// How often completions had overflowed their queue when the kernel was entered.
    pub(super) fn overflows(&self) -> u64 {
        self.overflows.get()
    }

    /// Moves the backlog into the submission queue as far as it goes.
    #[inline]
    fn refill(&self) {
        if !self.is_straight.get() {
            self.refill_some();
        }
    }

    #[cold]
    fn refill_some(&self) {
        let mut backlog = self.backlog.borrow_mut();
        while let Some(sqe) = backlog.front() {
            let Some(place) = self.queues.place() else { break };
            place.put(*sqe);
            backlog.pop_front();
        }
        drop(backlog);
        self.straighten();
    }

    /// Whether anything stands before what is pushed next, after a change of either.
    fn straighten(&self) {
        self.is_straight.set(self.held.is_empty() && self.backlog.borrow().is_empty());
    }

    /// The entry of the queue to which a submission like this one goes at once. None, and nothing has changed: it has to be pushed.
    #[inline(always)]
    pub(super) fn place_for(&self, sqe: &Sqe) -> Option<Place<'_>> {
        let place = if self.is_straight.get() { self.queues.place() } else { None };
        place.filter(|_| !self.held.may_keep(sqe))
    }

    /// Queues an entry behind those that are queued. Where the queue is full it is handed over, without waiting; whatever the kernel
    /// says, the entry is kept.
    fn queue(&self, sqe: Sqe) {
        match self.queues.place() {
            Some(place) if self.backlog.borrow().is_empty() => place.put(sqe),
            _ => {
                self.backlog.borrow_mut().push_back(sqe);
                self.is_straight.set(false);
                let _ = self.enter(Patience::None);
            }
        }
    }

    #[inline(always)]
    fn enter_now(&self, patience: Patience) -> io::Result<()> {
        self.refill();
        if self.queues.has_overflowed() {
            self.overflows.add(1);
        }
        // What waits in memory may be what the completion waited for depends on: it is handed over before anything is waited for.
        let is_urgent = self.queues.has_completed() || !self.backlog.borrow().is_empty();
        let patience = if is_urgent { Patience::None } else { patience };
        match enter::enter(self.target, self.queues.unsubmitted(), patience) {
            Ok(_) => {
                self.refill();
                Ok(())
            }
            Err(error) => excuse(error),
        }
    }

    /// Queues what was held, in order.
    #[cold]
    fn release(&self) {
        self.held.in_vain();
        while let Some(sqe) = self.held.take() {
            self.queue(sqe);
        }
        self.straighten();
    }

    /// Before a wait: whether a call is enough for the oldest receive that is held. Not while anything else is to be submitted or
    /// picked up: nobody waits for the sake of this.
    fn has_found(&self) -> bool {
        let is_quiet = self.queues.unsubmitted() == 0 && !self.queues.is_flagged() && !self.queues.has_completed();
        if is_quiet && self.backlog.borrow().is_empty() {
            self.found.set(self.held.attempt());
            self.straighten();
        }
        // SAFETY: read where it is; the cell is for one thread, and nothing is called meanwhile.
        unsafe { (*self.found.as_ptr()).is_some() }
    }
}

impl Drop for Uring {
    fn drop(&mut self) {
        self.target.unregister(self.ring.as_raw_fd());
    }
}

impl Ring for Uring {
    fn push(&self, sqe: Sqe) {
        if let Some(place) = self.place_for(&sqe) {
            return place.put(sqe);
        }
        if self.held.may_keep(&sqe) && self.held.keep(&sqe) {
            self.is_straight.set(false);
            return;
        }
        if !self.held.is_empty() {
            self.release();
        }
        self.queue(sqe);
    }

    fn unsubmitted(&self) -> usize {
        self.queues.unsubmitted() as usize + self.backlog.borrow().len() + self.held.len()
    }

    fn has_work(&self) -> bool {
        let queues = &self.queues;
        queues.unsubmitted() != 0 || queues.is_flagged() || queues.has_completed() || !self.is_straight.get()
    }

    fn enter(&self, patience: Patience) -> io::Result<()> {
        if !self.held.is_empty() {
            if patience != Patience::None && self.has_found() {
                return Ok(());
            }
            self.release();
        }
        self.enter_now(patience)
    }

    #[inline]
    fn reap(&self, mut each: impl FnMut(Cqe)) {
        if let Some(found) = self.found.take() {
            each(found);
        }
        while let Some(cqe) = self.queues.pop() {
            // Errors are negated further on. No operation answers the one number that cannot be; a completion that somebody
            // has forged may.
            each(Cqe { result: cqe.result.max(-i32::MAX), ..cqe });
        }
    }
}

/// What is left of an error of `io_uring_enter`.
pub(super) fn excuse(error: io::Error) -> io::Result<()> {
    match error.raw_os_error() {
        // The time was up; a signal came; the completion queue must be emptied first; no memory just now.
        Some(libc::ETIME | libc::EINTR | libc::EBUSY | libc::EAGAIN) => Ok(()),
        Some(libc::EBADR) => {
            // The kernel could not even keep an overflowed completion: some operation will never end.
            sys::die(format_args!("coop: the kernel dropped an io_uring completion for want of memory"));
        }
        _ => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ring_that_went_leaves_its_place_to_the_next() {
        // A thread has 16 places.
        for _ in 0..40 {
            let plain = Uring::new(64, TaskRun::Deferred).unwrap();
            assert!(plain.target.is_registered());
            if let Ok(hardened) = Uring::new_hardened(64, TaskRun::Deferred) {
                assert!(hardened.target.is_registered());
            }
        }
    }

    #[test]
    fn nothing_is_waited_for_while_submissions_stand_in_memory() {
        let ring = Uring::new(64, TaskRun::Deferred).unwrap();
        let (silent, ringing) = (sys::eventfd().unwrap(), sys::eventfd().unwrap());
        sys::eventfd_wake(ringing.as_raw_fd());
        let poll =
            |fd: &std::os::fd::OwnedFd, name| Sqe::poll(fd.as_raw_fd(), libc::POLLIN as u32).with_user_data(name);
        // As after a kernel without memory has refused two hundred submissions: only the last of them will ever complete.
        ring.backlog.borrow_mut().extend((1..=200).map(|name| poll(&silent, name)));
        ring.backlog.borrow_mut().push_back(poll(&ringing, 201));
        ring.is_straight.set(false);
        let mut completed = Vec::new();
        while completed.is_empty() {
            ring.enter(Patience::Forever).unwrap();
            ring.reap(|cqe| completed.push(cqe.user_data));
        }
        assert_eq!((completed, ring.unsubmitted()), (vec![201], 0));
    }
}
