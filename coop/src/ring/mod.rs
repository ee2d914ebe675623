//! The kernel's side of waiting: submissions go in, completions come out. Knows no task.
//!
//! [`Ring`] is the seam. What lies behind it is chosen when a Cooperator starts: io_uring; epoll and threads where that is
//! refused; or, for tests, a simulation in which nothing happens but what a seed decides, or either of the first two with faults.
//! Operations are described as io_uring submissions ([`Sqe`]); the other drivers interpret the same descriptions.

mod completion;
#[cfg(test)]
mod conformance;
mod enter;
mod epoll;
mod faulty;
#[cfg(test)]
mod hardened_tests;
mod held;
mod provided;
mod queues;
mod simulated;
mod slots;
mod submission;
mod uring;

pub(crate) use completion::{Completion, Cqe, NOTIFICATION};
pub(crate) use epoll::Epoll;
pub(crate) use faulty::Faulty;
pub use faulty::{Fault, Faults, Moment};
pub(crate) use provided::{GROUP, Provided};
pub(crate) use queues::Place;
pub(crate) use simulated::{Behaviour, Chance, Choice, ELSEWHERE, Network, Quieted, Simulated, address_in};
pub(crate) use slots::{BELL, Slots};
pub(crate) use submission::{AT_POSITION, POLL_FIRST, Sqe};
pub(crate) use uring::{NotHardened, TaskRun, Uring};

use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

/// How long [`Ring::enter`] may wait for a completion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Patience {
    /// Not at all.
    None,
    /// At most this long.
    Until(Duration),
    /// Until there is one.
    Forever,
}

/// A queue of submissions to a kernel and of completions from it.
pub(crate) trait Ring {
    /// Queues a submission. It never fails: when the queue is full it is handed over first, and what the kernel will not
    /// take now waits in memory.
    fn push(&self, sqe: Sqe);

    /// Submissions that the kernel has not taken.
    fn unsubmitted(&self) -> usize;

    /// Whether [`Ring::enter`] without patience would do anything: there is something to submit or to pick up.
    fn has_work(&self) -> bool;

    /// Hands over what is queued and waits for a completion. Being woken early by a signal, or by a kernel that is short of
    /// memory, is no error: callers loop on what they wait for.
    fn enter(&self, patience: Patience) -> io::Result<()>;

    /// Takes the completions that are there.
    fn reap(&self, each: impl FnMut(Cqe));
}

/// The rings there are, told apart at run time: one predictable branch before a system call.
pub(crate) enum Driver {
    Uring(Box<Uring>),
    Epoll(Box<Epoll>),
    Staged(Box<Staged>),
}

/// What no program runs on, behind one branch of [`Driver`]: the other two pay nothing for it.
pub(crate) enum Staged {
    Simulated(Simulated),
    Faulty(Faulty),
}

impl From<Simulated> for Driver {
    fn from(ring: Simulated) -> Self {
        Driver::Staged(Box::new(Staged::Simulated(ring)))
    }
}

impl From<Faulty> for Driver {
    fn from(ring: Faulty) -> Self {
        Driver::Staged(Box::new(Staged::Faulty(ring)))
    }
}

impl Driver {
    /// A descriptor by which others can send it messages, if it is one to take them.
    pub(crate) fn for_messages(&self) -> Option<OwnedFd> {
        match self {
            Driver::Uring(ring) => ring.duplicate(),
            _ => self.faulty()?.below().for_messages(),
        }
    }

    /// What it is called in `COOP_DRIVER`, and in metrics.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Driver::Uring(_) => "uring",
            Driver::Epoll(_) => "epoll",
            Driver::Staged(staged) => match **staged {
                Staged::Simulated(_) => "simulated",
                Staged::Faulty(_) => "faulty",
            },
        }
    }

    /// How often the kernel was entered with completions that had not fitted their queue. Every thread may ask.
    pub(crate) fn overflows(&self) -> u64 {
        match self {
            Driver::Uring(ring) => ring.overflows(),
            _ => self.faulty().map_or(0, |ring| ring.below().overflows()),
        }
    }
}

impl Driver {
    /// The simulation, if that is what lies behind it.
    pub(crate) fn simulated(&self) -> Option<&Simulated> {
        match self {
            Driver::Staged(staged) => match &**staged {
                Staged::Simulated(ring) => Some(ring),
                Staged::Faulty(_) => None,
            },
            Driver::Uring(_) | Driver::Epoll(_) => None,
        }
    }

    /// Where a submission like this one can be written, for the kernel to read it there. None, and nothing has changed: it has to be
    /// [pushed](Ring::push).
    #[inline(always)]
    pub(crate) fn place_for(&self, sqe: &Sqe) -> Option<Place<'_>> {
        match self {
            Driver::Uring(ring) => ring.place_for(sqe),
            _ => None,
        }
    }

    fn faulty(&self) -> Option<&Faulty> {
        match self {
            Driver::Staged(staged) => match &**staged {
                Staged::Faulty(ring) => Some(ring),
                Staged::Simulated(_) => None,
            },
            Driver::Uring(_) | Driver::Epoll(_) => None,
        }
    }
}

impl Ring for Driver {
    #[inline]
    fn push(&self, sqe: Sqe) {
        match self {
            Driver::Uring(ring) => ring.push(sqe),
            Driver::Epoll(ring) => ring.push(sqe),
            Driver::Staged(ring) => ring.push(sqe),
        }
    }

    #[inline]
    fn unsubmitted(&self) -> usize {
        match self {
            Driver::Uring(ring) => ring.unsubmitted(),
            Driver::Epoll(ring) => ring.unsubmitted(),
            Driver::Staged(ring) => ring.unsubmitted(),
        }
    }

    #[inline]
    fn has_work(&self) -> bool {
        match self {
            Driver::Uring(ring) => ring.has_work(),
            Driver::Epoll(ring) => ring.has_work(),
            Driver::Staged(ring) => ring.has_work(),
        }
    }

    fn enter(&self, patience: Patience) -> io::Result<()> {
        match self {
            Driver::Uring(ring) => ring.enter(patience),
            Driver::Epoll(ring) => ring.enter(patience),
            Driver::Staged(ring) => ring.enter(patience),
        }
    }

    fn reap(&self, each: impl FnMut(Cqe)) {
        match self {
            Driver::Uring(ring) => ring.reap(each),
            Driver::Epoll(ring) => ring.reap(each),
            Driver::Staged(ring) => ring.reap(each),
        }
    }
}

impl Ring for Staged {
    fn push(&self, sqe: Sqe) {
        match self {
            Staged::Simulated(ring) => ring.push(sqe),
            Staged::Faulty(ring) => ring.push(sqe),
        }
    }

    fn unsubmitted(&self) -> usize {
        match self {
            Staged::Simulated(ring) => ring.unsubmitted(),
            Staged::Faulty(ring) => ring.unsubmitted(),
        }
    }

    fn has_work(&self) -> bool {
        match self {
            Staged::Simulated(ring) => ring.has_work(),
            Staged::Faulty(ring) => ring.has_work(),
        }
    }

    fn enter(&self, patience: Patience) -> io::Result<()> {
        match self {
            Staged::Simulated(ring) => ring.enter(patience),
            Staged::Faulty(ring) => ring.enter(patience),
        }
    }

    fn reap(&self, each: impl FnMut(Cqe)) {
        match self {
            Staged::Simulated(ring) => ring.reap(each),
            Staged::Faulty(ring) => ring.reap(each),
        }
    }
}
