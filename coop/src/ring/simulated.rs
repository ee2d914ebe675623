//! A ring in which chance decides what the kernel's timing decides otherwise. Operations act on real descriptors, by calls that
//! do not block; a seed says which of those that could complete do, in which order, how short a transfer is, and whether a
//! cancel finds its target still there. It waits for nobody while a clock can jump instead.

use super::submission::{ASYNC_CANCEL, CONNECT, POLL_ADD, RECV, SEND};
use super::{Cqe, Patience, Ring, Sqe};
use crate::random::Random;
use std::cell::RefCell;
use std::io;

/// See the module.
pub(crate) struct Simulated {
    state: RefCell<State>,
    random: Random,
}

#[derive(Default)]
struct State {
    queued: Vec<Sqe>,
    pending: Vec<Pending>,
    completed: Vec<Cqe>,
}

/// An operation that the simulated kernel has taken.
struct Pending {
    sqe: Sqe,
    /// Bytes moved so far by one that goes on until all are.
    done: i32,
    /// A cancel came too late to stop it at once: it ends soon.
    is_doomed: bool,
}

impl Simulated {
    pub(crate) fn new(seed: u64) -> Self {
        Simulated { state: RefCell::default(), random: Random::new(seed) }
    }

    fn chance(&self, one_in: usize) -> bool {
        self.random.below(one_in) == 0
    }

    fn start(&self, sqe: Sqe, state: &mut State) {
        if sqe.opcode == ASYNC_CANCEL {
            self.cancel(sqe, state);
        } else {
            state.pending.push(Pending { sqe, done: 0, is_doomed: false });
        }
    }

    /// What a cancel says and what becomes of its target are two things: io_uring_cancelation(7).
    fn cancel(&self, cancel: Sqe, state: &mut State) {
        let Some(index) = state.pending.iter().position(|pending| pending.sqe.user_data == cancel.addr) else {
            state.completed.push(completion(cancel.user_data, -libc::ENOENT));
            return;
        };
        let target = &mut state.pending[index];
        // The target may complete in the moment before its cancel: with its effect, and the cancel finds nothing.
        if self.chance(4)
            && let Some(result) = self.perform(target)
        {
            state.completed.push(completion(target.sqe.user_data, result));
            state.completed.push(completion(cancel.user_data, -libc::ENOENT));
            state.pending.swap_remove(index);
        } else if self.chance(4) {
            target.is_doomed = true;
            state.completed.push(completion(cancel.user_data, -libc::EALREADY));
        } else {
            // As on the real ring, the cancel's own completion comes first.
            state.completed.push(completion(cancel.user_data, 0));
            state.completed.push(completion(target.sqe.user_data, given_up(target)));
            state.pending.swap_remove(index);
        }
    }

    /// Makes the call of an operation, if it can be made without blocking.
    fn perform(&self, pending: &mut Pending) -> Option<i32> {
        let Sqe { fd, addr, len, off, op_flags, .. } = pending.sqe;
        let flags = op_flags as i32 | libc::MSG_DONTWAIT;
        // A transfer may always be shorter than what is there.
        let some = if len > 1 && self.chance(4) { 1 + self.random.below(len as usize) } else { len as usize };
        // SAFETY: whoever pushed the operation keeps the memory it names until its completion, which is still to come.
        let result = unsafe {
            match pending.sqe.opcode {
                POLL_ADD => {
                    let mut poll = libc::pollfd { fd, events: op_flags as i16, revents: 0 };
                    match libc::poll(&mut poll, 1, 0) {
                        0 => return None,
                        _ => isize::from(poll.revents),
                    }
                }
                RECV => libc::recv(fd, addr as *mut _, some, flags),
                SEND => libc::send(fd, addr as *const _, some, flags & !libc::MSG_WAITALL),
                CONNECT => libc::connect(fd, addr as *const _, off as libc::socklen_t) as isize,
                _ => return Some(-libc::EINVAL),
            }
        };
        if result < 0 {
            let error = io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO);
            return (error != libc::EAGAIN && error != libc::EINTR).then_some(-error);
        }
        let moved = result as i32;
        if pending.sqe.opcode == SEND && flags & libc::MSG_WAITALL != 0 && (moved as u32) < len {
            pending.done += moved;
            pending.sqe.addr += moved as u64;
            pending.sqe.len -= moved as u32;
            return None;
        }
        Some(pending.done + moved)
    }

    /// Has pending operations complete, each that can by chance; if `eager`, at least one if any can.
    fn advance(&self, state: &mut State, eager: bool) {
        let (mut left, mut is_pressed) = (state.pending.len(), eager);
        while left > 0 {
            let index = self.random.below(left);
            left -= 1;
            state.pending.swap(index, left);
            if !is_pressed && self.chance(2) {
                continue;
            }
            let pending = &mut state.pending[left];
            let result = match self.perform(pending) {
                None if pending.is_doomed => Some(given_up(pending)),
                result => result,
            };
            if let Some(result) = result {
                state.completed.push(completion(pending.sqe.user_data, result));
                state.pending.swap_remove(left);
                is_pressed = false;
            }
        }
    }
}

fn completion(user_data: u64, result: i32) -> Cqe {
    Cqe { user_data, result, flags: 0 }
}

/// What an operation says that was cancelled.
fn given_up(pending: &Pending) -> i32 {
    if pending.done > 0 { pending.done } else { -libc::ECANCELED }
}

/// Waits until some descriptor of `pending` is ready.
fn wait_for_any(pending: &[Pending]) {
    let events = |sqe: &Sqe| match sqe.opcode {
        POLL_ADD => sqe.op_flags as i16,
        RECV => libc::POLLIN,
        _ => libc::POLLOUT,
    };
    let mut polls: Vec<libc::pollfd> =
        pending.iter().map(|p| libc::pollfd { fd: p.sqe.fd, events: events(&p.sqe), revents: 0 }).collect();
    // SAFETY: an array of the length that is given.
    unsafe { libc::poll(polls.as_mut_ptr(), polls.len() as libc::nfds_t, -1) };
}

impl Ring for Simulated {
    fn push(&self, sqe: Sqe) {
        self.state.borrow_mut().queued.push(sqe);
    }

    fn unsubmitted(&self) -> usize {
        self.state.borrow().queued.len()
    }

    fn has_work(&self) -> bool {
        let state = self.state.borrow();
        !state.queued.is_empty() || !state.completed.is_empty() || !state.pending.is_empty()
    }

    fn enter(&self, patience: Patience) -> io::Result<()> {
        let mut state = self.state.borrow_mut();
        for sqe in std::mem::take(&mut state.queued) {
            self.start(sqe, &mut state);
        }
        self.advance(&mut state, patience != Patience::None);
        if patience == Patience::Forever && state.completed.is_empty() && !state.pending.is_empty() {
            wait_for_any(&state.pending);
            self.advance(&mut state, true);
        }
        Ok(())
    }

    fn reap(&self, mut each: impl FnMut(Cqe)) {
        // Taken out first: `each` may push.
        let completed = std::mem::take(&mut self.state.borrow_mut().completed);
        completed.into_iter().for_each(&mut each);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::os::fd::AsRawFd;
    use std::os::unix::net::UnixStream;

    fn completions(ring: &Simulated, patience: Patience) -> Vec<(u64, i32)> {
        ring.enter(patience).unwrap();
        let mut all = Vec::new();
        ring.reap(|cqe| all.push((cqe.user_data, cqe.result)));
        all
    }

    #[test]
    fn an_operation_completes_with_its_effect_or_is_cancelled_without_one() {
        let mut seen = [0; 3];
        for seed in 0..200 {
            let ring = Simulated::new(seed);
            let (ours, mut theirs) = UnixStream::pair().unwrap();
            let mut buffer = [0; 4];
            ring.push(Sqe::recv(ours.as_raw_fd(), buffer.as_mut_ptr(), 4, 0, 0).with_user_data(7));
            assert_eq!(
                completions(&ring, Patience::Until(std::time::Duration::MAX)),
                [],
                "nothing to receive: seed {seed}"
            );
            theirs.write_all(b"abcd").unwrap();
            ring.push(Sqe::cancel(7).with_user_data(8));
            let mut all = completions(&ring, Patience::None);
            while all.len() < 2 {
                all.extend(completions(&ring, Patience::Forever));
            }
            let received = match all[..] {
                [(7, n @ 1..), (8, error)] if error == -libc::ENOENT => (0, n as usize),
                [(8, 0), (7, error)] if error == -libc::ECANCELED => (1, 0),
                [(8, error), (7, n @ 1..)] if error == -libc::EALREADY => (2, n as usize),
                _ => panic!("seed {seed}: {all:?}"),
            };
            seen[received.0] += 1;
            ours.set_nonblocking(true).unwrap();
            let left = (&ours).read(&mut [0; 8]).unwrap_or(0);
            assert_eq!(received.1 + left, 4, "seed {seed}: {all:?}");
        }
        assert!(seen.iter().all(|count| *count > 10), "each outcome occurs: {seen:?}");
    }
}
