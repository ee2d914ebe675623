//! A ring on which things go wrong that seldom do: it passes on to io_uring or to epoll what it is given, and sees to it that some
//! operations fail, that transfers are short, completions late and in another order, that cancels miss, and that the kernel will
//! not be entered.
//!
//! ```text
//!   push ──▶ fails at once ─────────▶ a NOP that the kernel answers with the error (IORING_NOP_INJECT_RESULT, Linux 6.10), or,
//!      │                              where there is none, a completion of our own
//!      ├───▶ fails when cancelled ──▶ `stuck`, handed to nobody, until its cancel comes
//!      ├───▶ is short ──────────────▶ handed on, with a smaller length
//!      └───▶ handed on                                              below ──▶ batch ──▶ shuffled ──▶ `late` ──▶ reap
//! ```
//!
//! What goes wrong is told by [`Faults`]: a single fault at the next operation of a kind, or each kind of fault at so many chances.

use super::submission::*;
use super::uring::excuse;
use super::{Cqe, Driver, Epoll, Patience, Ring, Sqe, TaskRun, Uring};
use crate::random::Random;
use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::io;
use std::os::fd::RawFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// When an operation fails.
#[doc(hidden)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Moment {
    /// As soon as it is submitted.
    AtOnce,
    /// When it is cancelled, and the kernel answers with this and not with `ECANCELED`.
    WhenCancelled,
}

/// What may go wrong.
#[doc(hidden)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(usize)]
pub enum Fault {
    /// An operation fails, without an effect.
    Error,
    /// A transfer is shorter than it could be.
    Short,
    /// A completion comes later.
    Late,
    /// Completions of a batch come in another order.
    Shuffled,
    /// A cancel finds nothing (`ENOENT`), or says that it comes too late (`EALREADY`).
    Missed,
    /// `io_uring_enter` fails with `EINTR`, `EBUSY` or `EAGAIN`.
    Refused,
}

impl Fault {
    pub const ALL: [Fault; 6] =
        [Fault::Error, Fault::Short, Fault::Late, Fault::Shuffled, Fault::Missed, Fault::Refused];
}

/// What goes wrong on a ring, for tests of the runtime. Not part of the API.
#[doc(hidden)]
#[derive(Clone, Debug)]
pub struct Faults {
    seed: u64,
    /// Each kind of fault comes at one in so many chances; 0: never.
    one_in: [usize; Fault::ALL.len()],
    queues: Option<u32>,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    next: Mutex<Option<Planned>>,
    counts: [AtomicU64; Fault::ALL.len()],
}

#[derive(Clone, Copy, Debug)]
struct Planned {
    opcode: u8,
    errno: i32,
    moment: Moment,
}

impl Faults {
    /// None so far.
    pub fn new(seed: u64) -> Self {
        Faults { seed, one_in: Default::default(), queues: None, shared: Arc::default() }
    }

    /// Every kind of fault comes at one in `n` of its chances.
    pub fn often(mut self, n: usize) -> Self {
        self.one_in.fill(n);
        self
    }

    /// This kind of fault comes at one in `n` of its chances; 0: never.
    pub fn with(mut self, fault: Fault, n: usize) -> Self {
        self.one_in[fault as usize] = n;
        self
    }

    /// Both queues of the ring have so many entries: 8 is few.
    pub fn queues(mut self, entries: u32) -> Self {
        self.queues = Some(entries);
        self
    }

    /// The next operation with this opcode fails with `errno`, once.
    pub fn plan(&self, opcode: u8, errno: i32, moment: Moment) {
        *self.next() = Some(Planned { opcode, errno, moment });
    }

    /// Whether what was planned is still to come.
    pub fn is_planned(&self) -> bool {
        self.next().is_some()
    }

    /// Forgets what was planned. Whether it was still to come.
    pub fn forget(&self) -> bool {
        self.next().take().is_some()
    }

    /// How often this has gone wrong.
    pub fn count(&self, fault: Fault) -> u64 {
        self.shared.counts[fault as usize].load(Ordering::Relaxed)
    }

    fn next(&self) -> std::sync::MutexGuard<'_, Option<Planned>> {
        self.shared.next.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, fault: Fault) {
        self.shared.counts[fault as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// What was planned for this operation.
    fn planned(&self, opcode: u8) -> Option<Planned> {
        let mut next = self.next();
        next.filter(|planned| planned.opcode == opcode)?;
        self.note(if opcode == ASYNC_CANCEL { Fault::Missed } else { Fault::Error });
        next.take()
    }
}

/// See the module.
pub(crate) struct Faulty {
    below: Driver,
    faults: Faults,
    random: Random,
    /// The kernel answers a NOP with what it is told.
    injects: bool,
    state: RefCell<State>,
}

#[derive(Default)]
struct State {
    /// Completions that were held back, or are our own, each with the passes that it lets others go before. Those of one operation stand
    /// in their order.
    late: VecDeque<(Cqe, usize)>,
    /// Operations that nobody was given: they fail with this when they are cancelled.
    stuck: Vec<(u64, i32)>,
}

/// A completion lets at most so many passes go by.
const LATEST: usize = 4;

impl Faulty {
    /// Over io_uring, unless epoll is asked for or io_uring is refused. Never restricted: what stands in for an operation is another.
    pub(crate) fn new(faults: Faults, wants_epoll: bool, entries: u32, task_run: TaskRun) -> io::Result<Self> {
        let uring = match faults.queues {
            None => Uring::new(entries, task_run),
            Some(entries) => Uring::small(entries, task_run),
        };
        let below = match uring {
            Ok(ring) if !wants_epoll => Driver::Uring(Box::new(ring)),
            _ => Driver::Epoll(Box::new(Epoll::new()?)),
        };
        let injects = matches!(below, Driver::Uring(_)) && injects(&below)?;
        let random = Random::new(faults.seed);
        Ok(Faulty { below, faults, random, injects, state: RefCell::default() })
    }

    pub(super) fn below(&self) -> &Driver {
        &self.below
    }

    fn happens(&self, fault: Fault) -> bool {
        let happens = match self.faults.one_in[fault as usize] {
            0 => false,
            n => self.random.below(n) == 0,
        };
        if happens {
            self.faults.note(fault);
        }
        happens
    }

    /// How this operation is to fail.
    fn failure(&self, opcode: u8) -> Option<Planned> {
        self.faults.planned(opcode).or_else(|| {
            let errors: &[i32] = match opcode {
                ASYNC_CANCEL => return None,
                POLL_ADD => &[libc::ENOMEM],
                RECV | SEND => &[libc::EINTR, libc::ECONNRESET, libc::ENOMEM],
                ACCEPT => &[libc::EINTR, libc::EMFILE, libc::ECONNABORTED],
                CONNECT => &[libc::ECONNREFUSED, libc::ETIMEDOUT],
                _ => &[libc::EINTR, libc::EIO, libc::ENOMEM],
            };
            let errno = errors[self.random.below(errors.len())];
            self.happens(Fault::Error).then_some(Planned { opcode, errno, moment: Moment::AtOnce })
        })
    }

    fn fail(&self, user_data: u64, errno: i32) {
        if self.injects {
            self.below.push(Sqe::nop(-errno, self.random.below(2) == 0).with_user_data(user_data));
        } else {
            self.answer(user_data, -errno);
        }
    }

    /// Posts a completion of our own.
    fn answer(&self, user_data: u64, result: i32) {
        self.state.borrow_mut().late.push_back((Cqe { user_data, result, flags: 0 }, 0));
    }

    fn cancel(&self, cancel: Sqe) {
        let mut state = self.state.borrow_mut();
        if let Some(index) = state.stuck.iter().position(|(user_data, _)| *user_data == cancel.addr) {
            let (user_data, errno) = state.stuck.swap_remove(index);
            drop(state);
            // The kernel's order: what the cancel says comes first.
            self.answer(cancel.user_data, 0);
            return self.answer(user_data, -errno);
        }
        drop(state);
        let errno = match self.faults.planned(ASYNC_CANCEL) {
            Some(planned) => planned.errno,
            None if self.happens(Fault::Missed) => [libc::ENOENT, libc::EALREADY][self.random.below(2)],
            None => return self.below.push(cancel),
        };
        if errno != libc::ENOENT {
            // Too late to stop it at once: it ends nevertheless.
            self.below.push(cancel.with_user_data(NOBODY));
        }
        self.answer(cancel.user_data, -errno);
    }

    /// The same operation over less, if less of it makes sense.
    fn shortened(&self, mut sqe: Sqe) -> Sqe {
        let is_transfer = match sqe.opcode {
            READ | WRITE | SPLICE | READV | WRITEV => true,
            // A datagram is never cut, nor what the kernel is to go on with until all is moved.
            SEND | RECV => sqe.op_flags & libc::MSG_WAITALL as u32 == 0 && is_stream(sqe.fd),
            _ => false,
        };
        // Of pieces at least the first is left.
        if is_transfer && sqe.len > 1 && self.happens(Fault::Short) {
            sqe.len = 1 + self.random.below(sqe.len as usize - 1) as u32;
        }
        sqe
    }

    /// The same completions in another order, but for those of one operation.
    fn shuffled(&self, batch: Vec<Cqe>) -> Vec<Cqe> {
        let mut order: Vec<u64> = batch.iter().map(|cqe| cqe.user_data).collect();
        for last in (1..order.len()).rev() {
            order.swap(last, self.random.below(last + 1));
        }
        let mut queues: HashMap<u64, VecDeque<Cqe>> = HashMap::new();
        batch.into_iter().for_each(|cqe| queues.entry(cqe.user_data).or_default().push_back(cqe));
        order.into_iter().filter_map(|user_data| queues.get_mut(&user_data)?.pop_front()).collect()
    }

    fn is_holding(&self) -> bool {
        !self.state.borrow().late.is_empty()
    }
}

/// User data of what nobody waits for.
const NOBODY: u64 = 0;

/// Whether a NOP of this ring says what it is told.
fn injects(ring: &Driver) -> io::Result<bool> {
    let mut said = None;
    ring.push(Sqe::nop(-libc::ENOBUFS, true).with_user_data(1));
    while said.is_none() {
        ring.enter(Patience::Forever)?;
        ring.reap(|cqe| said = Some(cqe.result));
    }
    Ok(said == Some(-libc::ENOBUFS))
}

fn is_stream(fd: RawFd) -> bool {
    let (mut kind, mut len): (libc::c_int, _) = (0, size_of::<libc::c_int>() as libc::socklen_t);
    // SAFETY: room for an integer, as the length says.
    let result = unsafe { libc::getsockopt(fd, libc::SOL_SOCKET, libc::SO_TYPE, (&raw mut kind).cast(), &mut len) };
    result == 0 && kind == libc::SOCK_STREAM
}

impl Ring for Faulty {
    fn push(&self, sqe: Sqe) {
        if sqe.opcode == ASYNC_CANCEL {
            return self.cancel(sqe);
        }
        match self.failure(sqe.opcode) {
            None => self.below.push(self.shortened(sqe)),
            Some(Planned { errno, moment: Moment::AtOnce, .. }) => self.fail(sqe.user_data, errno),
            Some(Planned { errno, moment: Moment::WhenCancelled, .. }) => {
                self.state.borrow_mut().stuck.push((sqe.user_data, errno));
            }
        }
    }

    fn unsubmitted(&self) -> usize {
        self.below.unsubmitted()
    }

    fn has_work(&self) -> bool {
        self.is_holding() || self.below.has_work()
    }

    fn enter(&self, patience: Patience) -> io::Result<()> {
        if self.happens(Fault::Refused) {
            let errno = [libc::EINTR, libc::EBUSY, libc::EAGAIN][self.random.below(3)];
            return excuse(io::Error::from_raw_os_error(errno));
        }
        self.below.enter(if self.is_holding() { Patience::None } else { patience })
    }

    fn reap(&self, each: impl FnMut(Cqe)) {
        let mut batch = Vec::new();
        let mut keep = |cqe| batch.push(cqe);
        // Not the closure's own type: a driver may be faulty, and so would make rings in rings without end.
        self.below.reap(&mut keep as &mut dyn FnMut(Cqe));
        if batch.len() > 1 && self.happens(Fault::Shuffled) {
            batch = self.shuffled(batch);
        }
        let mut due = Vec::new();
        {
            let late = &mut self.state.borrow_mut().late;
            let held = std::mem::take(late).into_iter().map(|(cqe, passes)| (cqe, passes, true));
            let new = batch.into_iter().map(|cqe| (cqe, 0, false));
            for (cqe, mut passes, was_held) in held.chain(new) {
                if !was_held && self.happens(Fault::Late) {
                    passes = 1 + self.random.below(LATEST);
                }
                // Never before another of the same operation.
                let is_behind = late.iter().any(|(other, _)| other.user_data == cqe.user_data);
                if passes == 0 && !is_behind {
                    due.push(cqe);
                } else {
                    late.push_back((cqe, passes.saturating_sub(usize::from(was_held))));
                }
            }
        }
        // Nothing is borrowed: `each` may push.
        due.into_iter().for_each(each);
    }
}
