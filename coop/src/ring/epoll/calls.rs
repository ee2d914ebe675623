//! Submissions as plain system calls. Results are the ring's: what the call gives, or the negated error.

use super::super::submission::*;
use super::Sqe;
use std::io;
use std::os::fd::RawFd;
use std::ptr;

/// What a call has returned, as a completion says it.
fn answer(result: impl Into<i64>) -> i32 {
    match result.into() {
        result if result < 0 => -io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO),
        // Transfers are at most 2 GiB less a page; nothing else is as large.
        result => result as i32,
    }
}

/// The events for which a transfer waits.
pub(in crate::ring) fn events(sqe: &Sqe) -> u32 {
    match sqe.opcode {
        RECV if sqe.op_flags as i32 & libc::MSG_OOB != 0 => libc::POLLPRI as u32,
        // As the real ring: the queue of errors is news for a receiver of it, and reported in any case.
        RECV | READ | READV | ACCEPT => libc::POLLIN as u32,
        _ => libc::POLLOUT as u32,
    }
}

/// Whether a transfer on a socket waits where there is nothing to do.
pub(super) fn may_wait(sqe: &Sqe) -> bool {
    sqe.op_flags as i32 & libc::MSG_DONTWAIT == 0
}

/// Whether calls on a descriptor do not block, whatever they find.
pub(super) fn is_nonblocking(fd: RawFd) -> bool {
    // SAFETY: fcntl has no preconditions.
    let mode = unsafe { libc::fcntl(fd, libc::F_GETFL) };
    mode >= 0 && mode & libc::O_NONBLOCK != 0
}

/// Accepts a connection; waits for one, if that is the listener's mode.
///
/// # Safety
/// As [`perform`].
pub(in crate::ring) unsafe fn accept(sqe: &Sqe) -> i32 {
    let address = ptr::with_exposed_provenance_mut(sqe.addr as usize);
    let len = ptr::with_exposed_provenance_mut(sqe.off as usize);
    // SAFETY: the caller's promise.
    answer(unsafe { libc::accept4(sqe.fd, address, len, sqe.op_flags as libc::c_int) })
}

/// What poll(2) says of a descriptor that epoll does not take.
pub(super) fn poll_now(fd: RawFd, events: u32) -> i32 {
    let mut poll = libc::pollfd { fd, events: events as i16, revents: 0 };
    // SAFETY: one entry, as the count says.
    match unsafe { libc::poll(&mut poll, 1, 0) } {
        result if result < 0 => answer(result),
        _ => i32::from(poll.revents as u16),
    }
}

/// Makes the call of a transfer on a socket without blocking. `None`: it goes on when the socket is ready.
///
/// # Safety
/// The memory that `sqe` names is valid, and nobody else's.
pub(super) unsafe fn transfer(sqe: &mut Sqe, done: &mut i32) -> Option<i32> {
    let asked = sqe.op_flags as i32;
    loop {
        let (address, len, flags) = (sqe.addr as usize, sqe.len as usize, asked | libc::MSG_DONTWAIT);
        // SAFETY: the caller's promise.
        let result = unsafe {
            match sqe.opcode {
                RECV => libc::recv(sqe.fd, ptr::with_exposed_provenance_mut(address), len, flags & !libc::MSG_WAITALL),
                // The ring's sends raise no SIGPIPE.
                _ => libc::send(
                    sqe.fd,
                    ptr::with_exposed_provenance(address),
                    len,
                    (flags & !libc::MSG_WAITALL) | libc::MSG_NOSIGNAL,
                ),
            }
        };
        if result < 0 {
            return match -answer(result as i64) {
                libc::EINTR => continue,
                // Who says so does not want to wait.
                libc::EAGAIN if !may_wait(sqe) => Some(-libc::EAGAIN),
                libc::EAGAIN => None,
                // What was moved is told now; the error comes again.
                _ if *done > 0 => Some(*done),
                error => Some(-error),
            };
        }
        let moved = result as i32;
        let is_all = moved as u32 == sqe.len || (moved == 0 && sqe.opcode == RECV);
        if asked & libc::MSG_WAITALL != 0 && asked & libc::MSG_PEEK == 0 && !is_all {
            *done += moved;
            sqe.addr += moved as u64;
            sqe.len -= moved as u32;
            continue;
        }
        return Some(*done + moved);
    }
}

/// Connects without waiting. `EINPROGRESS`: it goes on by itself, and the socket is writable when it is done. `EAGAIN`: it has
/// not begun.
///
/// # Safety
/// The address is valid.
pub(in crate::ring) unsafe fn connect(sqe: &Sqe) -> i32 {
    // There is no flag for one call: the mode of the socket is changed, and given back at once. Whoever shares a socket that is
    // not connected yet could see that; a connection that goes on does not depend on it.
    // SAFETY: calls on a descriptor; the address is the caller's promise.
    unsafe {
        let mode = libc::fcntl(sqe.fd, libc::F_GETFL);
        if mode < 0 {
            return answer(mode);
        }
        let is_blocking = mode & libc::O_NONBLOCK == 0;
        if is_blocking {
            libc::fcntl(sqe.fd, libc::F_SETFL, mode | libc::O_NONBLOCK);
        }
        let address = ptr::with_exposed_provenance(sqe.addr as usize);
        let result = answer(libc::connect(sqe.fd, address, sqe.off as libc::socklen_t));
        if is_blocking {
            libc::fcntl(sqe.fd, libc::F_SETFL, mode);
        }
        result
    }
}

/// How a connection that was on its way has ended.
pub(in crate::ring) fn connected(fd: RawFd) -> i32 {
    let mut error: libc::c_int = 0;
    let mut len = size_of::<libc::c_int>() as libc::socklen_t;
    // SAFETY: room for the option's value, as the length says.
    match unsafe { libc::getsockopt(fd, libc::SOL_SOCKET, libc::SO_ERROR, (&raw mut error).cast(), &mut len) } {
        0 => -error,
        result => answer(result),
    }
}

/// The pieces of memory of a read or a write.
///
/// # Safety
/// The array of pieces, if `sqe` names one, is valid.
unsafe fn pieces(sqe: &Sqe, one: &mut libc::iovec) -> (*const libc::iovec, libc::c_int) {
    let address = sqe.addr as usize;
    match sqe.opcode {
        READ | WRITE => {
            *one = libc::iovec { iov_base: ptr::with_exposed_provenance_mut(address), iov_len: sqe.len as usize };
            (one, 1)
        }
        _ => (ptr::with_exposed_provenance(address), sqe.len as libc::c_int),
    }
}

/// A read or a write, with `flags` of preadv2(2).
///
/// # Safety
/// The memory that `sqe` names is valid, and nobody else's.
unsafe fn read_or_write(sqe: &Sqe, flags: libc::c_int, is_called_off: &dyn Fn() -> bool) -> i32 {
    let mut one = libc::iovec { iov_base: ptr::null_mut(), iov_len: 0 };
    // SAFETY: the caller's promise.
    let (pieces, count) = unsafe { pieces(sqe, &mut one) };
    let mut offset = sqe.off as libc::off_t;
    loop {
        // SAFETY: the caller's promise. An offset of -1 is the file's own position.
        let result = answer(unsafe {
            match sqe.opcode {
                READ | READV => libc::preadv2(sqe.fd, pieces, count, offset, flags),
                _ => libc::pwritev2(sqe.fd, pieces, count, offset, flags),
            }
        } as i64);
        match -result {
            libc::EINTR if !is_called_off() => {}
            // What has no position is read where it stands, as the ring does.
            libc::ESPIPE if offset != -1 => offset = -1,
            _ => return result,
        }
    }
}

/// Writes as much of the first piece as there is room for. What is ready takes `PIPE_BUF` bytes without waiting for a reader.
///
/// # Safety
/// As [`perform`].
unsafe fn write_by_pages(sqe: &Sqe, flags: libc::c_int, is_called_off: &dyn Fn() -> bool) -> i32 {
    let mut first = libc::iovec { iov_base: ptr::null_mut(), iov_len: 0 };
    // SAFETY: the caller's promise; there is a piece if there are any.
    unsafe {
        let (pieces, count) = pieces(sqe, &mut first);
        if count > 0 {
            first = *pieces;
        }
    }
    let mut done = 0;
    loop {
        let mut page = *sqe;
        page.opcode = WRITE;
        page.addr = (first.iov_base.expose_provenance() + done) as u64;
        page.len = (first.iov_len - done).min(libc::PIPE_BUF) as u32;
        // SAFETY: a part of the first piece.
        let result = unsafe { read_or_write(&page, flags, is_called_off) };
        if result < 0 {
            return if done > 0 { done as i32 } else { result };
        }
        done += result as usize;
        let has_room = || poll_now(sqe.fd, libc::POLLOUT as u32) == i32::from(libc::POLLOUT);
        if result as u32 != page.len || done == first.iov_len || is_called_off() || !has_room() {
            return done as i32;
        }
    }
}

/// Reads at a place of a file, if all of it is in memory. `None`: it takes longer.
///
/// # Safety
/// As [`perform`].
pub(super) unsafe fn read_cached(sqe: &Sqe) -> Option<i32> {
    if sqe.opcode != READ || sqe.off == AT_POSITION || sqe.op_flags != 0 {
        return None;
    }
    let mut one = libc::iovec { iov_base: ptr::null_mut(), iov_len: 0 };
    // SAFETY: the caller's promise.
    let result = unsafe {
        let (pieces, count) = pieces(sqe, &mut one);
        libc::preadv2(sqe.fd, pieces, count, sqe.off as libc::off_t, libc::RWF_NOWAIT)
    };
    // Less than was asked for may be the end, or the end of what is in memory: only a blocking call can tell.
    (result == sqe.len as isize).then_some(result as i32)
}

/// Whether [`perform`] knows an operation.
pub(in crate::ring) fn is_known(opcode: u8) -> bool {
    // Not splices: they may block for ever on either side, and no poll promises that they will not. Whoever wants one copies.
    matches!(
        opcode,
        READ | READV
            | WRITE
            | WRITEV
            | FSYNC
            | FALLOCATE
            | FTRUNCATE
            | OPENAT
            | STATX
            | RENAMEAT
            | UNLINKAT
            | MKDIRAT
            | SYMLINKAT
            | LINKAT
    )
}

/// Makes the call of an operation, on a thread that may block. `is_stream`: the descriptor was polled, and found ready; if that is
/// no longer true the result is EAGAIN. A signal ends a call that was called off, with EINTR.
///
/// # Safety
/// The memory that `sqe` names is valid, and nobody else's, until this returns.
pub(in crate::ring) unsafe fn perform(sqe: &Sqe, is_stream: bool, is_called_off: &dyn Fn() -> bool) -> i32 {
    let Sqe { fd, off, addr, len, op_flags, .. } = *sqe;
    let first: *const libc::c_char = ptr::with_exposed_provenance(addr as usize);
    let second: *const libc::c_char = ptr::with_exposed_provenance(off as usize);
    let (flags, other) = (op_flags as libc::c_int, len as RawFd);
    loop {
        // SAFETY: the caller's promise; which field is what is the kernel's layout, in `submission`.
        let result = unsafe {
            match sqe.opcode {
                READ | READV | WRITE | WRITEV => {
                    let asked = op_flags as libc::c_int;
                    if !is_stream {
                        return read_or_write(sqe, asked, is_called_off);
                    }
                    return match read_or_write(sqe, asked | libc::RWF_NOWAIT, is_called_off) {
                        // FIFOs and terminals do not know the flag.
                        result if result == -libc::EOPNOTSUPP => match sqe.opcode {
                            READ | READV => read_or_write(sqe, asked, is_called_off),
                            _ => write_by_pages(sqe, asked, is_called_off),
                        },
                        result => result,
                    };
                }
                ACCEPT => match accept(sqe) {
                    result if result == -libc::EINTR && !is_called_off() => continue,
                    result => return result,
                },
                FSYNC if op_flags & 1 != 0 => libc::fdatasync(fd),
                FSYNC => libc::fsync(fd),
                FALLOCATE => libc::fallocate(fd, len as libc::c_int, off as libc::off_t, addr as libc::off_t),
                FTRUNCATE => libc::ftruncate(fd, off as libc::off_t),
                OPENAT => libc::openat(fd, first, flags, len),
                STATX => libc::statx(fd, first, flags, len, second.cast_mut().cast()),
                RENAMEAT => libc::syscall(libc::SYS_renameat2, fd, first, other, second, op_flags) as libc::c_int,
                UNLINKAT => libc::unlinkat(fd, first, flags),
                MKDIRAT => libc::mkdirat(fd, first, len),
                SYMLINKAT => libc::symlinkat(first, fd, second),
                LINKAT => libc::linkat(fd, first, other, second, flags),
                _ => return -libc::EINVAL,
            }
        };
        match answer(result) {
            result if result == -libc::EINTR && !is_called_off() => {}
            result => return result,
        }
    }
}
