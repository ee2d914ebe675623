//! Guard pages: memory below each stack that faults on every access.
//!
//! `MADV_GUARD_INSTALL` (Linux 6.13) marks pages without splitting the mapping: a million guards are one mapping.
//! `mprotect`, the fallback, makes two mappings a stack and fails at the 32,753rd (`vm.max_map_count`); so would every other
//! mapping of the process then, the allocator's too, so the number of such guards is limited to leave some. Which of the two
//! works is found out once, by errno: the advice is refused with EINVAL by older kernels, and for memory locked by
//! `mlockall(MCL_FUTURE)`.

use crate::sys;
use std::io;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// C code and the kernel are not probed page by page, so one page is not enough to catch a large frame: 64 KiB, and one page
/// more, so that the distance between stacks is an odd number of pages. Tops a power of two apart would all compete for the
/// same sets of the second-level cache.
pub(crate) const GUARD_SIZE: usize = 68 * 1024;

/// Set when this process has seen the advice refused.
static ADVICE_REFUSED: AtomicBool = AtomicBool::new(false);

/// Makes `[base, base + GUARD_SIZE)` fault on every access, for good: `MADV_DONTNEED` does not undo it.
///
/// # Safety
/// The range is page-aligned, lies in a mapping of the caller's, and holds nothing.
pub(super) unsafe fn install(base: *mut u8) -> io::Result<()> {
    if !ADVICE_REFUSED.load(Ordering::Relaxed) {
        // SAFETY: the caller's promise.
        let result = unsafe { libc::madvise(base.cast(), GUARD_SIZE, sys::MADV_GUARD_INSTALL) };
        match sys::check(result) {
            Ok(_) => return Ok(()),
            Err(error) if is_refusal(&error) => {
                ADVICE_REFUSED.store(true, Ordering::Relaxed);
            }
            Err(error) => return Err(error),
        }
    }
    if PROTECTED.fetch_add(1, Ordering::Relaxed) >= protected_limit() {
        PROTECTED.fetch_sub(1, Ordering::Relaxed);
        return Err(io::Error::from_raw_os_error(libc::ENOMEM));
    }
    // SAFETY: the caller's promise.
    sys::check(unsafe { libc::mprotect(base.cast(), GUARD_SIZE, libc::PROT_NONE) })
        .map(drop)
        .inspect_err(|_| removed(1))
}

/// Whether it says that the kernel does not know the advice. ENOSYS and EPERM are what sandboxes say.
fn is_refusal(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EINVAL | libc::ENOSYS | libc::EPERM))
}

/// Puts up the guards of several slots with one system call, which then cost a quarter less each: that of the slot at `base`, and
/// of up to `count` in all that begin `stride` bytes apart. How many it has put up: at least one.
///
/// # Safety
/// As for [`install`], of each.
pub(super) unsafe fn install_some(base: *mut u8, stride: usize, count: usize) -> io::Result<usize> {
    if count > 1 && !ADVICE_REFUSED.load(Ordering::Relaxed) && !BATCH_REFUSED.load(Ordering::Relaxed) {
        let guard = |slot| libc::iovec { iov_base: base.wrapping_add(slot * stride).cast(), iov_len: GUARD_SIZE };
        let guards: [libc::iovec; BATCH] = std::array::from_fn(guard);
        // SAFETY: the caller's promise, for the first `count`, which the kernel reads.
        match unsafe { sys::advise_all(&guards[..count.min(BATCH)], sys::MADV_GUARD_INSTALL) } {
            Ok(bytes) if bytes >= GUARD_SIZE => return Ok(bytes / GUARD_SIZE),
            // Older kernels, and sandboxes that do not know the call.
            Err(error) if is_refusal(&error) || error.raw_os_error() == Some(libc::EBADF) => {
                BATCH_REFUSED.store(true, Ordering::Relaxed);
            }
            // Whatever it is, putting one up finds it out.
            _ => {}
        }
    }
    // SAFETY: the caller's promise.
    unsafe { install(base) }.map(|()| 1)
}

/// How many guards one system call puts up at most: 30 µs.
const BATCH: usize = 32;

/// Set when this process has seen advice for several ranges refused.
static BATCH_REFUSED: AtomicBool = AtomicBool::new(false);

/// Guards of this process that are mappings of their own.
static PROTECTED: AtomicUsize = AtomicUsize::new(0);

/// How many there may be: each splits a mapping in two, and a quarter of the mappings is for the rest of the process.
fn protected_limit() -> usize {
    static LIMIT: OnceLock<usize> = OnceLock::new();
    *LIMIT.get_or_init(|| {
        let text = std::fs::read_to_string("/proc/sys/vm/max_map_count").unwrap_or_default();
        let mappings: usize = text.trim().parse().unwrap_or(65_530);
        mappings / 8 * 3
    })
}

/// Notes that `count` guards are gone with the memory they were in.
pub(super) fn removed(count: usize) {
    if ADVICE_REFUSED.load(Ordering::Relaxed) {
        let _ = PROTECTED.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |now| Some(now.saturating_sub(count)));
    }
}

/// For tests: behave as on a kernel without the advice.
#[cfg(test)]
pub(super) fn refuse_advice(refused: bool) {
    ADVICE_REFUSED.store(refused, Ordering::Relaxed);
}

#[cfg(test)]
mod tests {
    use super::super::PAGE;
    use super::*;
    use std::os::fd::AsRawFd;

    /// Whether the kernel can write there; where it cannot, it says so, and nobody dies.
    fn is_writable(place: *mut u8) -> bool {
        let zeros = std::fs::File::open("/dev/zero").unwrap();
        // SAFETY: one byte, to memory of the test's, or to where there is none.
        let n = unsafe { libc::read(zeros.as_raw_fd(), place.cast(), 1) };
        if n < 0 {
            assert_eq!(io::Error::last_os_error().raw_os_error(), Some(libc::EFAULT));
        }
        n == 1
    }

    #[test]
    fn of_a_batch_that_the_kernel_ends_early_only_whole_guards_count_and_the_next_call_says_why() {
        const STRIDE: usize = GUARD_SIZE + 32768;
        const SLOTS: usize = 5;
        // A hole where the fourth slot begins, or in the middle of its guard.
        for hole in [3 * STRIDE, 3 * STRIDE + 8 * PAGE] {
            let base = sys::reserve(SLOTS * STRIDE).unwrap();
            // SAFETY: the memory is this test's, and holds nothing.
            unsafe {
                sys::release(base.add(hole), PAGE);
                let mut guarded = 0;
                let error = loop {
                    match install_some(base.add(guarded * STRIDE), STRIDE, SLOTS - guarded) {
                        // Three at once, or, on a kernel that does not know how, one by one.
                        Ok(count) => guarded += count,
                        Err(error) => break error,
                    }
                };
                assert_eq!((guarded, error.raw_os_error()), (3, Some(libc::ENOMEM)), "{hole}: {error}");
                // Of the fourth's guard there is a part.
                for slot in [0, 1, 2, 4] {
                    let bottom = base.add(slot * STRIDE);
                    let [first, last] = [0, GUARD_SIZE - 1].map(|at| is_writable(bottom.add(at)));
                    assert_eq!([first, last], [slot > 2; 2], "{hole}: the guard of slot {slot}");
                    assert!(is_writable(bottom.add(GUARD_SIZE)), "{hole}: what is above the guard of slot {slot}");
                }
                sys::release(base, SLOTS * STRIDE);
            }
        }
    }
}
