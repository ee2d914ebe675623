//! A ring without a kernel: operations stay pending until they are cancelled or a test completes them. A seed decides the
//! order in which completions come and whether a cancel finds its target still there.

use super::submission::{ASYNC_CANCEL, NOP};
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
    pending: Vec<Sqe>,
    completed: Vec<Cqe>,
}

impl Simulated {
    pub(crate) fn new(seed: u64) -> Self {
        Simulated { state: RefCell::default(), random: Random::new(seed) }
    }

    fn start(&self, sqe: Sqe, state: &mut State) {
        let complete = |user_data, result| Cqe { user_data, result, flags: 0 };
        match sqe.opcode {
            NOP => state.completed.push(complete(sqe.user_data, 0)),
            ASYNC_CANCEL => match state.pending.iter().position(|pending| pending.user_data == sqe.addr) {
                // The target may complete in the moment before its cancel: with its effect, and the cancel finds nothing.
                Some(index) if self.random.below(8) == 0 => {
                    let target = state.pending.swap_remove(index);
                    state.completed.push(complete(target.user_data, 1));
                    state.completed.push(complete(sqe.user_data, -libc::ENOENT));
                }
                Some(index) => {
                    let target = state.pending.swap_remove(index);
                    // As on the real ring, the cancel's own completion comes first.
                    state.completed.push(complete(sqe.user_data, 0));
                    state.completed.push(complete(target.user_data, -libc::ECANCELED));
                }
                None => state.completed.push(complete(sqe.user_data, -libc::ENOENT)),
            },
            _ => state.pending.push(sqe),
        }
    }
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
        !state.queued.is_empty() || !state.completed.is_empty()
    }

    fn enter(&self, patience: Patience) -> io::Result<()> {
        let mut state = self.state.borrow_mut();
        for sqe in std::mem::take(&mut state.queued) {
            self.start(sqe, &mut state);
        }
        // A waiter that nothing else wakes sees some pending operation complete: the peer always acts in the end.
        if state.completed.is_empty() && patience != Patience::None && !state.pending.is_empty() {
            let index = self.random.below(state.pending.len());
            let done = state.pending.swap_remove(index);
            state.completed.push(Cqe { user_data: done.user_data, result: 1, flags: 0 });
        }
        Ok(())
    }

    fn reap(&self, mut each: impl FnMut(Cqe)) {
        // Taken out first: `each` may push.
        let completed = std::mem::take(&mut self.state.borrow_mut().completed);
        completed.into_iter().for_each(&mut each);
    }
}
