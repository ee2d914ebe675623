//! `io_uring_enter` and the registration of the ring's own descriptor, as system calls.

use super::Patience;
use crate::sys;
use std::io;
use std::os::fd::RawFd;

const GETEVENTS: libc::c_uint = 1 << 0;
const EXT_ARG: libc::c_uint = 1 << 3;
const REGISTERED_RING: libc::c_uint = 1 << 4;
const REGISTER_RING_FDS: libc::c_uint = 20;
pub(super) const UNREGISTER_RING_FDS: u8 = 21;

/// `struct io_uring_rsrc_update`.
#[repr(C)]
struct Update {
    offset: u32,
    reserved: u32,
    data: u64,
}

/// `struct io_uring_getevents_arg`.
#[repr(C)]
struct GeteventsArg {
    sigmask: u64,
    sigmask_size: u32,
    pad: u32,
    timespec: u64,
}

/// How to name the ring in `io_uring_enter`: by a registered index if the kernel gave one, which spares it the descriptor
/// table at each call.
#[derive(Clone, Copy)]
pub(super) struct Target {
    fd: libc::c_int,
    flags: libc::c_uint,
}

impl Target {
    /// Registers the ring's descriptor with itself; uses the plain descriptor where that is refused.
    pub(super) fn register(fd: RawFd) -> Self {
        let mut update = Update { offset: u32::MAX, reserved: 0, data: fd as u64 };
        // SAFETY: one update entry is passed, as the count says.
        let result = unsafe { libc::syscall(libc::SYS_io_uring_register, fd, REGISTER_RING_FDS, &raw mut update, 1) };
        if result == 1 {
            Target { fd: update.offset as libc::c_int, flags: REGISTERED_RING }
        } else {
            Target { fd, flags: 0 }
        }
    }

    /// Takes back what [`Target::register`] did for the ring with descriptor `fd`. A thread has sixteen such places, and keeps a
    /// ring that stands in one alive, closed or not, until it ends.
    pub(super) fn unregister(self, fd: RawFd) {
        if self.flags & REGISTERED_RING != 0 {
            let update = Update { offset: self.fd as u32, reserved: 0, data: 0 };
            let opcode = libc::c_uint::from(UNREGISTER_RING_FDS);
            // SAFETY: one update entry is passed, as the count says.
            unsafe { libc::syscall(libc::SYS_io_uring_register, fd, opcode, &raw const update, 1) };
        }
    }

    /// Whether the kernel knows the ring by an index.
    #[cfg(test)]
    pub(super) fn is_registered(self) -> bool {
        self.flags & REGISTERED_RING != 0
    }
}

/// Submits `count` entries and, within `patience`, waits for one completion; runs deferred work in any case. Returns how
/// many entries were taken.
pub(super) fn enter(ring: Target, count: u32, patience: Patience) -> io::Result<usize> {
    let mut timespec = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    let mut argument = GeteventsArg { sigmask: 0, sigmask_size: 0, pad: 0, timespec: 0 };
    let wait = match patience {
        Patience::None => 0,
        Patience::Forever => 1,
        Patience::Until(duration) => {
            timespec.tv_sec = duration.as_secs().min(i64::MAX as u64) as i64;
            timespec.tv_nsec = i64::from(duration.subsec_nanos());
            argument.timespec = (&raw const timespec) as u64;
            1
        }
    };
    // SAFETY: the queues belong to `ring`; the argument and what it points to live until the call returns.
    let result = unsafe {
        libc::syscall(
            libc::SYS_io_uring_enter,
            ring.fd,
            count,
            wait,
            GETEVENTS | EXT_ARG | ring.flags,
            &raw const argument,
            size_of::<GeteventsArg>(),
        )
    };
    sys::check_size(result as libc::ssize_t)
}
