//! The queues that a ring shares with the kernel: submissions one way, completions the other.
//!
//! The `io-uring` crate, which makes the ring, has them too; but an entry goes into its queue from a place of its own, and comes out of
//! it by a call. Here a submission is written once, to where the kernel reads it, and a completion read once, from where the
//! kernel wrote it. So the same memory is mapped a second time.

use super::{Cqe, Sqe};
use crate::sys;
use io_uring::{IoUring, Parameters};
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::ptr::{self, NonNull};
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

/// Where things are in the mappings: `struct io_uring_params`, as the kernel has filled it in.
#[repr(C)]
struct Layout {
    sq_entries: u32,
    cq_entries: u32,
    _flags: [u32; 8],
    sq: SubmissionOffsets,
    cq: CompletionOffsets,
}

/// `struct io_sqring_offsets`.
#[repr(C)]
struct SubmissionOffsets {
    head: u32,
    tail: u32,
    ring_mask: u32,
    ring_entries: u32,
    flags: u32,
    dropped: u32,
    array: u32,
    _reserved: [u32; 3],
}

/// `struct io_cqring_offsets`.
#[repr(C)]
struct CompletionOffsets {
    head: u32,
    tail: u32,
    ring_mask: u32,
    ring_entries: u32,
    overflow: u32,
    cqes: u32,
    _reserved: [u32; 4],
}

const _: () = assert!(size_of::<Layout>() == 120 && size_of::<Layout>() == size_of::<Parameters>());
const _: () = assert!(size_of::<Cqe>() == size_of::<io_uring::cqueue::Entry>());

/// `IORING_OFF_SQ_RING`, in whose mapping there are both rings (Linux 5.4), and `IORING_OFF_SQES`.
const RINGS: i64 = 0;
const ENTRIES: i64 = 0x1000_0000;

/// `IORING_SQ_CQ_OVERFLOW` and `IORING_SQ_TASKRUN`.
const OVERFLOW: u32 = 1 << 1;
const TASK_RUN: u32 = 1 << 2;

/// Memory that is the kernel's, too. A child that is forked has no part in it.
struct Shared {
    base: NonNull<u8>,
    len: usize,
}

impl Shared {
    fn map(fd: RawFd, offset: i64, len: usize) -> io::Result<Self> {
        // Without MAP_POPULATE: a Cooperator that lives for a moment touches few of the pages, and would start some 20 µs later.
        let (access, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED);
        // SAFETY: a mapping at an address of the kernel's choosing touches no existing memory.
        let base = unsafe { libc::mmap(ptr::null_mut(), len, access, flags, fd, offset) };
        let base = match NonNull::new(base.cast::<u8>()) {
            Some(base) if base.as_ptr().cast() != libc::MAP_FAILED => base,
            _ => return Err(io::Error::last_os_error()),
        };
        let shared = Shared { base, len };
        // SAFETY: the mapping is the one just made.
        sys::check(unsafe { libc::madvise(base.as_ptr().cast(), len, libc::MADV_DONTFORK) })?;
        Ok(shared)
    }

    /// What the kernel has put so far from the beginning.
    fn at<T>(&self, offset: u32) -> *mut T {
        assert!(offset as usize + size_of::<T>() <= self.len);
        // SAFETY: within the mapping, as asserted.
        unsafe { self.base.as_ptr().add(offset as usize).cast() }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        // SAFETY: the mapping is this one's, whose pointers go with it.
        unsafe { libc::munmap(self.base.as_ptr().cast(), self.len) };
    }
}

/// Both queues, from the side that submits and reaps. Their heads and tails are in the kernel's memory only, so that who else looks at it
/// sees the same.
pub(super) struct Queues {
    submitted: *const AtomicU32,
    pushed: *const AtomicU32,
    flags: *const AtomicU32,
    entries: *mut Sqe,
    last_entry: u32,
    last_completion: u32,
    completions: *const Cqe,
    reaped: *const AtomicU32,
    completed: *const AtomicU32,
    _memory: [Shared; 2],
}

/// An entry of the submission queue that is free.
pub(crate) struct Place<'a> {
    queues: &'a Queues,
    number: u32,
}

impl Queues {
    pub(super) fn of(ring: &IoUring) -> io::Result<Self> {
        let fd = ring.as_raw_fd();
        // SAFETY: `Parameters` is transparent over the kernel's struct, of which `Layout` is the same size, and all integers.
        let layout = unsafe { &*ptr::from_ref(ring.params()).cast::<Layout>() };
        let (sq, cq) = (&layout.sq, &layout.cq);
        let of_submissions = sq.array as usize + size_of::<u32>() * layout.sq_entries as usize;
        let of_completions = cq.cqes as usize + size_of::<Cqe>() * layout.cq_entries as usize;
        let rings = Shared::map(fd, RINGS, of_submissions.max(of_completions))?;
        let entries = Shared::map(fd, ENTRIES, size_of::<Sqe>() * layout.sq_entries as usize)?;
        Ok(Queues {
            submitted: rings.at(sq.head),
            pushed: rings.at(sq.tail),
            flags: rings.at(sq.flags),
            entries: entries.at(0),
            last_entry: layout.sq_entries - 1,
            last_completion: layout.cq_entries - 1,
            completions: rings.at(cq.cqes),
            reaped: rings.at(cq.head),
            completed: rings.at(cq.tail),
            _memory: [rings, entries],
        })
    }

    #[inline(always)]
    fn load_acquire(&self, number: *const AtomicU32) -> u32 {
        // SAFETY: all of them are in memory that is mapped for as long as this is.
        unsafe { (*number).load(Acquire) }
    }

    /// A number that only this side changes.
    #[inline(always)]
    fn load_own(&self, number: *const AtomicU32) -> u32 {
        // SAFETY: as above.
        unsafe { (*number).load(Relaxed) }
    }

    /// Where the next submission goes. None: the queue is full.
    #[inline(always)]
    pub(super) fn place(&self) -> Option<Place<'_>> {
        let (submitted, number) = (self.load_acquire(self.submitted), self.load_own(self.pushed));
        (number.wrapping_sub(submitted) <= self.last_entry).then_some(Place { queues: self, number })
    }

    /// Submissions that the kernel has not taken.
    #[inline]
    pub(super) fn unsubmitted(&self) -> u32 {
        self.load_own(self.pushed).wrapping_sub(self.load_acquire(self.submitted))
    }

    /// Whether there is a completion.
    #[inline]
    pub(super) fn has_completed(&self) -> bool {
        self.load_own(self.reaped) != self.load_acquire(self.completed)
    }

    /// Whether the kernel has completions for which there was no room.
    #[inline]
    pub(super) fn has_overflowed(&self) -> bool {
        self.load_acquire(self.flags) & OVERFLOW != 0
    }

    /// Whether the kernel has something to do, or to hand over, when it is entered.
    #[inline]
    pub(super) fn is_flagged(&self) -> bool {
        self.load_acquire(self.flags) & (OVERFLOW | TASK_RUN) != 0
    }

    /// Takes the next completion.
    #[inline(always)]
    pub(super) fn pop(&self) -> Option<Cqe> {
        let number = self.load_own(self.reaped);
        if number == self.load_acquire(self.completed) {
            return None;
        }
        // SAFETY: within the queue, and written before the kernel moved its end.
        let cqe = unsafe { *self.completions.add((number & self.last_completion) as usize) };
        // SAFETY: as in `load_acquire`.
        unsafe { (*self.reaped).store(number.wrapping_add(1), Release) };
        Some(cqe)
    }
}

impl Place<'_> {
    /// Queues a submission.
    #[inline(always)]
    pub(crate) fn put(self, sqe: Sqe) {
        let Queues { entries, last_entry, pushed, .. } = *self.queues;
        // SAFETY: within the queue, and not the kernel's until its end is moved.
        unsafe {
            entries.add((self.number & last_entry) as usize).write(sqe);
            (*pushed).store(self.number.wrapping_add(1), Release);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Patience, Ring, TaskRun, Uring};
    use super::*;

    /// What the crate that has made the ring sees of the queues: submissions and completions.
    fn seen(ring: &IoUring) -> (usize, usize) {
        // SAFETY: neither outlives this line.
        unsafe { (ring.submission_shared().len(), ring.completion_shared().len()) }
    }

    #[test]
    fn what_stands_in_the_queues_is_the_same_for_who_has_made_the_ring() {
        let uring = Uring::new(64, TaskRun::Deferred).unwrap();
        let (ring, queues) = (uring.ring(), Queues::of(uring.ring()).unwrap());
        // Some times around.
        for round in 0..5000 {
            assert_eq!((seen(ring), queues.unsubmitted(), queues.has_completed()), ((0, 0), 0, false));
            queues.place().unwrap().put(Sqe::nop(0, false).with_user_data(round));
            assert_eq!((seen(ring), queues.unsubmitted()), ((1, 0), 1));
            uring.enter(Patience::Forever).unwrap();
            assert_eq!((seen(ring), queues.unsubmitted(), queues.has_completed()), ((0, 1), 0, true));
            assert_eq!(queues.pop().map(|cqe| cqe.user_data), Some(round));
            assert!(queues.pop().is_none());
        }
    }

    #[test]
    fn a_queue_that_is_full_has_no_place_and_one_that_is_not_has_all_in_order() {
        let uring = Uring::new(64, TaskRun::Deferred).unwrap();
        let (ring, queues) = (uring.ring(), Queues::of(uring.ring()).unwrap());
        let mut names = 0..;
        for _ in 0..3 {
            while let Some(place) = queues.place() {
                assert!(seen(ring).0 < 64);
                place.put(Sqe::nop(0, false).with_user_data(names.next().unwrap()));
            }
            assert_eq!((seen(ring), queues.unsubmitted()), ((64, 0), 64));
            uring.enter(Patience::Forever).unwrap();
            let reaped: Vec<u64> = std::iter::from_fn(|| queues.pop()).map(|cqe| cqe.user_data).collect();
            assert_eq!(reaped, (names.start - 64..names.start).collect::<Vec<u64>>());
            assert_eq!(seen(ring), (0, 0));
        }
    }
}
