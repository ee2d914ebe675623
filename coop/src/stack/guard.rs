//! Guard pages: memory below each stack that faults on every access.
//!
//! `MADV_GUARD_INSTALL` (Linux 6.13) marks pages without splitting the mapping: a million guards are one mapping.
//! `mprotect`, the fallback, makes two mappings a stack and fails at the 32,753rd (`vm.max_map_count`). Which of the two
//! works is found out once, by errno: the advice is refused with EINVAL by older kernels, and for memory locked by
//! `mlockall(MCL_FUTURE)`.

use crate::sys;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};

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
            // ENOSYS and EPERM are what sandboxes say of advice that they do not know.
            Err(error) if matches!(error.raw_os_error(), Some(libc::EINVAL | libc::ENOSYS | libc::EPERM)) => {
                ADVICE_REFUSED.store(true, Ordering::Relaxed);
            }
            Err(error) => return Err(error),
        }
    }
    // SAFETY: the caller's promise.
    sys::check(unsafe { libc::mprotect(base.cast(), GUARD_SIZE, libc::PROT_NONE) }).map(drop)
}

/// For tests: behave as on a kernel without the advice.
#[cfg(test)]
pub(super) fn refuse_advice(refused: bool) {
    ADVICE_REFUSED.store(refused, Ordering::Relaxed);
}
