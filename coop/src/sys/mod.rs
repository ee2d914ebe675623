//! System calls and kernel constants, nothing else: each function is one call with its errno turned into `io::Error`.

mod bell;

pub(crate) use bell::Bell;

use std::fmt;
use std::io::{self, Write};
use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::process::abort;
use std::ptr;

/// `madvise` advice of Linux 6.13: make pages that fault on every access, without splitting the mapping.
pub(crate) const MADV_GUARD_INSTALL: libc::c_int = 102;

/// Turns a `-1` return into the thread's errno.
pub(crate) fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// Like [`check`], for calls that return a size.
pub(crate) fn check_size(result: libc::ssize_t) -> io::Result<usize> {
    usize::try_from(result).map_err(|_| io::Error::last_os_error())
}

/// Takes ownership of a descriptor that a call has just returned.
pub(crate) fn owned(result: libc::c_int) -> io::Result<OwnedFd> {
    let fd = check(result)?;
    // SAFETY: the kernel has just given this process the descriptor, and nobody else knows its number.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Reserves `len` bytes of zeroed private memory that costs nothing until touched.
pub(crate) fn reserve(len: usize) -> io::Result<*mut u8> {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE | libc::MAP_STACK;
    // SAFETY: an anonymous mapping at an address of the kernel's choosing touches no existing memory.
    let base = unsafe { libc::mmap(ptr::null_mut(), len, libc::PROT_READ | libc::PROT_WRITE, flags, -1, 0) };
    if base == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    Ok(base.cast())
}

/// # Safety
/// `[base, base + len)` is a mapping made by [`reserve`] that nothing refers to any more.
pub(crate) unsafe fn release(base: *mut u8, len: usize) {
    // SAFETY: the caller's promise.
    unsafe { libc::munmap(base.cast(), len) };
}

/// # Safety
/// `[base, base + len)` lies within a mapping made by [`reserve`] and holds nothing that is still needed.
pub(crate) unsafe fn discard(base: *mut u8, len: usize) {
    // SAFETY: the caller's promise. Failure only means that the memory stays resident.
    unsafe { libc::madvise(base.cast(), len, libc::MADV_DONTNEED) };
}

/// `madvise` for several ranges, the first ones of which have been seen to when it returns; how many bytes they are.
/// `process_madvise(2)` of the calling thread's process, which newer kernels know by a number (`PIDFD_SELF_THREAD`): no descriptor
/// that a fork would inherit.
///
/// # Safety
/// As for `madvise` of each range.
pub(crate) unsafe fn advise_all(ranges: &[libc::iovec], advice: libc::c_int) -> io::Result<usize> {
    const PIDFD_SELF_THREAD: libc::c_int = -10000;
    // SAFETY: the caller's promise; the kernel reads as many as there are.
    let result = unsafe {
        libc::syscall(libc::SYS_process_madvise, PIDFD_SELF_THREAD, ranges.as_ptr(), ranges.len(), advice, 0)
    };
    check_size(result as libc::ssize_t)
}

/// Which of the pages from `start` on are in memory: the lowest bit of a byte each.
pub(crate) fn resident(start: usize, len: usize, pages: &mut [u8]) -> io::Result<()> {
    assert!(len.div_ceil(4096) <= pages.len());
    // SAFETY: only asks about addresses, and writes a byte for each page.
    check(unsafe { libc::mincore(ptr::without_provenance_mut(start), len, pages.as_mut_ptr()) }).map(drop)
}

/// By how many nanoseconds the calling thread's wake-ups may be late, so that several become one: 50,000 unless somebody has said
/// otherwise (`prctl`).
pub(crate) fn timer_slack() -> u64 {
    // SAFETY: only asks, and touches no memory.
    u64::try_from(unsafe { libc::prctl(libc::PR_GET_TIMERSLACK) }).unwrap_or(50_000)
}

/// Nanoseconds of CLOCK_MONOTONIC.
pub(crate) fn monotonic() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a valid place for the result.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// What the kernel knows of an open file without asking anybody outside: of that, what `mask` says.
pub(crate) fn statx_of_open(fd: RawFd, mask: libc::c_uint) -> io::Result<libc::statx> {
    let flags = libc::AT_EMPTY_PATH | libc::AT_STATX_DONT_SYNC;
    // SAFETY: a zeroed statx is valid; the path is static, the result is writable.
    unsafe {
        let mut stat: libc::statx = std::mem::zeroed();
        check(libc::statx(fd, c"".as_ptr(), flags, mask, &mut stat))?;
        Ok(stat)
    }
}

/// A new eventfd: close-on-exec and non-blocking.
pub(crate) fn eventfd() -> io::Result<OwnedFd> {
    // SAFETY: eventfd has no preconditions.
    owned(unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) })
}

/// Adds one to an eventfd. Async-signal-safe. A full counter already wakes its reader, so errors do not matter.
pub(crate) fn eventfd_wake(fd: RawFd) {
    let one = 1u64;
    // SAFETY: eight readable bytes, as an eventfd wants.
    unsafe { libc::write(fd, (&raw const one).cast(), 8) };
}

/// Sets a non-blocking eventfd back to zero.
pub(crate) fn eventfd_silence(fd: RawFd) {
    let mut count = 0u64;
    // SAFETY: eight writable bytes, as an eventfd wants; it is non-blocking.
    unsafe { libc::read(fd, (&raw mut count).cast(), 8) };
}

/// A new epoll instance, close-on-exec.
pub(crate) fn epoll() -> io::Result<OwnedFd> {
    // SAFETY: epoll_create1 has no preconditions.
    owned(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) })
}

/// What the inbox is built with. By this name, so that a model checker can put its own in their place.
pub(crate) mod shared {
    pub(crate) use std::sync::{Arc, Mutex, PoisonError, Weak};
}

/// Says something on standard error. If nobody reads that any more, then not: `eprintln!` would panic, in places that must not be
/// left by unwinding, while tasks and the kernel still borrow from them.
pub(crate) fn say(text: fmt::Arguments<'_>) {
    let _ = io::stderr().write_all(format!("{text}\n").as_bytes());
}

/// Says something, and aborts.
pub(crate) fn die(text: fmt::Arguments<'_>) -> ! {
    say(text);
    abort();
}

/// Runs `f`, which may fail without anyone noticing, and leaves the thread's errno as it was: for signal handlers, which run
/// between a call and the look at its errno.
pub(crate) fn keeping_errno(f: impl FnOnce()) {
    // SAFETY: the address of the thread's errno is valid as long as the thread runs.
    unsafe {
        let errno = libc::__errno_location();
        let before = *errno;
        f();
        *errno = before;
    }
}

/// Writes to standard error from a signal handler: no allocation, no lock.
pub(crate) fn write_stderr(bytes: &[u8]) {
    // SAFETY: `bytes` is readable; a short or failed write of a death message has no remedy.
    unsafe { libc::write(2, bytes.as_ptr().cast(), bytes.len()) };
}

/// Asks for the memory at an address, which may be any: it will be touched soon.
#[inline(always)]
pub(crate) fn prefetch(address: *const u8) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a hint, which never faults.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(address.cast());
    }
}
