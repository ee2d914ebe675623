//! Receives of which the kernel has not heard yet, since a plain call may do.
//!
//! A receive that is to wait goes to the ring, which arms a poll for it, runs deferred work when something comes, and receives then.
//! Where two tasks of a thread talk to each other, what is waited for has come by the time that nobody is ready: a plain `recv`
//! takes it for half of that. So the last receives stay here until the loop would wait in the kernel. Then the oldest is tried, and what
//! finds nothing is submitted, with the wait, as it would have been. Where that is so mostly, it is hardly tried any more.

use super::submission::RECV;
use super::{Cqe, POLL_FIRST, Sqe};
use std::cell::Cell;

/// At most two receives, in the order in which they were pushed, and behind everything else that was.
pub(super) struct Held {
    older: Cell<Option<Sqe>>,
    newer: Cell<Option<Sqe>>,
    /// Receives that are passed on before one is held again, and how many they were after the last in vain.
    passed_on: Cell<u8>,
    caution: Cell<u8>,
}

impl Held {
    pub(super) const fn new() -> Self {
        Held { older: Cell::new(None), newer: Cell::new(None), passed_on: Cell::new(0), caution: Cell::new(0) }
    }

    #[inline]
    pub(super) fn len(&self) -> usize {
        // The younger never stands alone.
        match (self.is_some(&self.older), self.is_some(&self.newer)) {
            (false, _) => 0,
            (true, false) => 1,
            (true, true) => 2,
        }
    }

    #[inline]
    fn is_some(&self, place: &Cell<Option<Sqe>>) -> bool {
        // SAFETY: read where it is; the cell is for one thread, and nothing is called meanwhile.
        unsafe { (*place.as_ptr()).is_some() }
    }

    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        !self.is_some(&self.older)
    }

    /// Whether it is worth a try to keep this: a receive that is to wait first, while there is hope.
    #[inline(always)]
    pub(super) fn may_keep(&self, sqe: &Sqe) -> bool {
        if sqe.opcode != RECV || sqe.ioprio != POLL_FIRST {
            return false;
        }
        let passed_on = self.passed_on.get();
        if passed_on != 0 {
            self.passed_on.set(passed_on - 1);
        }
        passed_on == 0
    }

    /// Keeps a receive without flags that is to wait first, if there is room. Nothing else is ever kept.
    pub(super) fn keep(&self, sqe: &Sqe) -> bool {
        if sqe.opcode != RECV || sqe.ioprio != POLL_FIRST || sqe.flags != 0 || sqe.op_flags != 0 {
            return false;
        }
        match self.len() {
            0 => self.older.set(Some(*sqe)),
            1 => self.newer.set(Some(*sqe)),
            _ => return false,
        }
        true
    }

    /// The oldest, for submission.
    #[inline]
    pub(super) fn take(&self) -> Option<Sqe> {
        self.older.replace(self.newer.take())
    }

    /// Makes the oldest one's call. What that has brought; or nothing, and it is still here. (As every call that does not wait, it takes
    /// what there is, also where SO_RCVLOWAT asks for more.)
    pub(super) fn attempt(&self) -> Option<Cqe> {
        let sqe = self.older.get()?;
        // SAFETY: whoever pushed it keeps its memory writable until it has completed, which is not before this returns.
        let n = unsafe { libc::recv(sqe.fd, sqe.addr as *mut libc::c_void, sqe.len as usize, libc::MSG_DONTWAIT) };
        let result = match crate::sys::check_size(n) {
            // At most as many as the 32 bits of the length say, which are fewer than the result has.
            Ok(n) => n as i32,
            Err(error) => match error.raw_os_error() {
                None | Some(libc::EAGAIN | libc::EINTR) => return None,
                Some(errno) => -errno,
            },
        };
        self.take();
        self.caution.set(0);
        Some(Cqe { user_data: sqe.user_data, result, flags: 0 })
    }

    /// Notes that what was held has to be submitted after all.
    pub(super) fn in_vain(&self) {
        let caution = self.caution.get().saturating_mul(2).saturating_add(1);
        self.caution.set(caution);
        self.passed_on.set(caution);
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Patience, Ring, TaskRun, Uring};
    use super::*;
    use crate::sys;
    use std::io::Write;
    use std::net::Shutdown;
    use std::os::fd::AsRawFd;
    use std::os::unix::net::UnixStream;
    use std::time::Duration;

    fn receive(from: &UnixStream, into: &mut [u8; 8], name: u64) -> Sqe {
        Sqe::recv(from.as_raw_fd(), into.as_mut_ptr(), into.len(), 0, POLL_FIRST).with_user_data(name)
    }

    fn reaped(ring: &Uring) -> Vec<(u64, i32)> {
        let mut all = Vec::new();
        ring.reap(|cqe| all.push((cqe.user_data, cqe.result)));
        all.sort();
        all
    }

    fn in_both_modes(story: impl Fn(Uring)) {
        for task_run in [TaskRun::Deferred, TaskRun::Cooperative] {
            story(Uring::new(64, task_run).unwrap());
        }
    }

    #[test]
    fn what_has_come_by_the_time_of_the_wait_is_taken_by_a_call_the_oldest_first() {
        in_both_modes(|ring| {
            let ((one, mut other), (mut one_bytes, mut other_bytes)) = (UnixStream::pair().unwrap(), ([0; 8], [0; 8]));
            ring.push(receive(&one, &mut one_bytes, 1));
            ring.push(receive(&other, &mut other_bytes, 2));
            assert_eq!((ring.unsubmitted(), ring.has_work()), (2, true));
            for round in 1..=9 {
                other.write_all(&[round; 3]).unwrap();
                ring.enter(Patience::Forever).unwrap();
                assert_eq!((reaped(&ring), &one_bytes[..3]), (vec![(1, 3)], &[round; 3][..]));
                (&one).write_all(&[round]).unwrap();
                ring.push(receive(&one, &mut one_bytes, 1));
                ring.enter(Patience::Until(Duration::from_secs(1))).unwrap();
                assert_eq!((reaped(&ring), other_bytes[0]), (vec![(2, 1)], round));
                ring.push(receive(&other, &mut other_bytes, 2));
                assert_eq!(ring.unsubmitted(), 2, "the kernel has heard of neither");
            }
            // Not closed: its number would be another's.
            other.shutdown(Shutdown::Both).unwrap();
            ring.enter(Patience::Forever).unwrap();
            assert_eq!(reaped(&ring), [(1, 0)], "the end of the stream");
            ring.enter(Patience::Forever).unwrap();
            assert_eq!(reaped(&ring), [(2, 0)], "and of the other way");
        });
    }

    #[test]
    fn what_finds_nothing_is_submitted_with_the_wait_and_the_next_is_no_longer_held() {
        in_both_modes(|ring| {
            let ((one, mut other), mut bytes) = (UnixStream::pair().unwrap(), [0; 8]);
            let mut held = Vec::new();
            for round in 0..8 {
                ring.push(receive(&one, &mut bytes, round));
                held.push(!ring.held().is_empty());
                ring.enter(Patience::Until(Duration::from_micros(1))).unwrap();
                assert_eq!((reaped(&ring), ring.unsubmitted()), (vec![], 0));
                other.write_all(b"now").unwrap();
                ring.enter(Patience::Forever).unwrap();
                assert_eq!(reaped(&ring), [(round, 3)]);
            }
            assert_eq!(held, [true, false, true, false, false, false, true, false]);
        });
    }

    #[test]
    fn a_cancel_comes_after_the_receive_that_it_is_for() {
        in_both_modes(|ring| {
            let ((one, _other), mut bytes) = (UnixStream::pair().unwrap(), [0; 8]);
            ring.push(receive(&one, &mut bytes, 1));
            ring.push(Sqe::cancel(1).with_user_data(2));
            let mut all = Vec::new();
            while all.len() < 2 {
                ring.enter(Patience::Until(Duration::from_secs(10))).unwrap();
                let more = reaped(&ring);
                assert!(!more.is_empty(), "of two only {all:?} has ended");
                all.extend(more);
            }
            all.sort();
            assert_eq!(all, [(1, -libc::ECANCELED), (2, 0)]);
        });
    }

    #[test]
    fn of_two_that_find_nothing_the_kernel_has_both_when_it_is_waited_in() {
        in_both_modes(|ring| {
            let ((one, two), (mut one_bytes, mut two_bytes)) = (UnixStream::pair().unwrap(), ([0; 8], [0; 8]));
            ring.push(receive(&one, &mut one_bytes, 1));
            ring.push(receive(&two, &mut two_bytes, 2));
            ring.enter(Patience::Until(Duration::from_micros(1))).unwrap();
            assert_eq!((reaped(&ring), ring.unsubmitted()), (vec![], 0));
            (&one).write_all(b"to two").unwrap();
            (&two).write_all(b"to one!").unwrap();
            let mut all = Vec::new();
            while all.len() < 2 {
                ring.enter(Patience::Forever).unwrap();
                all.extend(reaped(&ring));
            }
            all.sort();
            assert_eq!(
                (all, &one_bytes[..7], &two_bytes[..6]),
                (vec![(1, 7), (2, 6)], &b"to one!"[..], &b"to two"[..])
            );
        });
    }

    #[test]
    fn who_waits_in_the_kernel_does_not_wait_for_those_whose_calls_are_enough() {
        in_both_modes(|ring| {
            let ((one, mut other), mut bytes) = (UnixStream::pair().unwrap(), [0; 8]);
            let bell = sys::eventfd().unwrap();
            ring.push(Sqe::poll(bell.as_raw_fd(), libc::POLLIN as u32).with_user_data(9));
            ring.enter(Patience::None).unwrap();
            ring.push(receive(&one, &mut bytes, 1));
            other.write_all(b"!").unwrap();
            sys::eventfd_wake(bell.as_raw_fd());
            ring.enter(Patience::Forever).unwrap();
            assert!(reaped(&ring).contains(&(9, libc::POLLIN.into())));
        });
    }

    #[test]
    fn errors_are_those_of_the_ring_and_nothing_else_is_held() {
        in_both_modes(|ring| {
            let (file, mut bytes) = (sys::eventfd().unwrap(), [0; 8]);
            let at = bytes.as_mut_ptr();
            for ioprio in [POLL_FIRST, 0] {
                ring.push(Sqe::recv(file.as_raw_fd(), at, 8, 0, ioprio).with_user_data(1));
                assert_eq!(ring.held().is_empty(), ioprio == 0);
                ring.enter(Patience::Forever).unwrap();
                assert_eq!(reaped(&ring), [(1, -libc::ENOTSOCK)]);
            }
            let flagged = Sqe::recv(file.as_raw_fd(), at, 8, libc::MSG_WAITALL, POLL_FIRST);
            assert!(!ring.held().keep(&flagged) && !ring.held().keep(&flagged.on_a_worker()));
            assert!(!ring.held().keep(&Sqe::poll(file.as_raw_fd(), 1)));
        });
    }
}
