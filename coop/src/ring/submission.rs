//! Submission entries: `struct io_uring_sqe` of `linux/io_uring.h`, and one constructor an opcode.

use std::mem::size_of;
use std::os::fd::RawFd;

/// One operation, as io_uring takes it. The kernel reads and writes the memory it names until its last completion: whoever
/// pushes it upholds that.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sqe {
    pub(crate) opcode: u8,
    pub(crate) flags: u8,
    pub(crate) ioprio: u16,
    pub(crate) fd: i32,
    pub(crate) off: u64,
    pub(crate) addr: u64,
    pub(crate) len: u32,
    pub(crate) op_flags: u32,
    pub(crate) user_data: u64,
    pub(crate) buf_index: u16,
    pub(crate) personality: u16,
    pub(crate) file_index: u32,
    pub(crate) addr3: u64,
    pad: u64,
}

const _: () = assert!(size_of::<Sqe>() == size_of::<io_uring::squeue::Entry>());

/// `IORING_RECVSEND_POLL_FIRST`: do not try at once, the last call found nothing left.
pub(crate) const POLL_FIRST: u16 = 1;

/// `IORING_RECV_MULTISHOT`.
pub(super) const RECV_MULTISHOT: u16 = 2;

/// `IOSQE_BUFFER_SELECT`: into one of the buffers that the ring was provided with.
pub(super) const BUFFER_SELECT: u8 = 1 << 5;

/// `IOSQE_IO_LINK`: the next submission is begun when this operation has ended, and cancelled if it has failed.
pub(super) const LINK: u8 = 1 << 2;

/// `IOSQE_IO_HARDLINK`: the next submission is begun when this operation has ended, however it has.
pub(super) const HARD_LINK: u8 = 1 << 3;

/// `IORING_SEND_ZC_REPORT_USAGE`.
pub(super) const REPORT_USAGE: u16 = 1 << 3;

// Opcodes, from `enum io_uring_op`.
pub(crate) const READV: u8 = 1;
pub(crate) const WRITEV: u8 = 2;
pub(crate) const FSYNC: u8 = 3;
pub(crate) const POLL_ADD: u8 = 6;
pub(crate) const ACCEPT: u8 = 13;
pub(crate) const ASYNC_CANCEL: u8 = 14;
pub(crate) const CONNECT: u8 = 16;
pub(crate) const FALLOCATE: u8 = 17;
pub(crate) const OPENAT: u8 = 18;
pub(crate) const STATX: u8 = 21;
pub(crate) const READ: u8 = 22;
pub(crate) const WRITE: u8 = 23;
pub(crate) const SEND: u8 = 26;
pub(crate) const RECV: u8 = 27;
pub(crate) const SPLICE: u8 = 30;
pub(crate) const RENAMEAT: u8 = 35;
pub(crate) const UNLINKAT: u8 = 36;
pub(crate) const MKDIRAT: u8 = 37;
pub(crate) const SYMLINKAT: u8 = 38;
pub(crate) const LINKAT: u8 = 39;
/// Linux 6.9; before, the ring answers EINVAL.
pub(crate) const FTRUNCATE: u8 = 55;

/// Every opcode above, and so every one that the runtime uses wherever it runs: what a hardened ring takes.
pub(crate) const USED: [u8; 21] = [
    READV,
    WRITEV,
    FSYNC,
    POLL_ADD,
    ACCEPT,
    ASYNC_CANCEL,
    CONNECT,
    FALLOCATE,
    OPENAT,
    STATX,
    READ,
    WRITE,
    SEND,
    RECV,
    SPLICE,
    RENAMEAT,
    UNLINKAT,
    MKDIRAT,
    SYMLINKAT,
    LINKAT,
    FTRUNCATE,
];

/// Does nothing. For rings with faults.
pub(super) const NOP: u8 = 0;
/// The time of what it is linked to. The runtime uses none; the rings that stand in for the kernel's know it all the same.
pub(super) const LINK_TIMEOUT: u8 = 15;
/// Linux 6.2, and not on a hardened ring.
pub(super) const SEND_ZC: u8 = 47;

/// `IORING_NOP_INJECT_RESULT` and `IORING_NOP_TW`.
pub(super) const NOP_INJECT_RESULT: u32 = 1 << 0;
pub(super) const NOP_TASK_WORK: u32 = 1 << 4;

/// In place of an offset: the file's own position, which then moves on.
pub(crate) const AT_POSITION: u64 = u64::MAX;

impl Sqe {
    /// Completes once, with the events, when `fd` has any of `events` or an error.
    pub(crate) fn poll(fd: RawFd, events: u32) -> Self {
        Sqe { opcode: POLL_ADD, fd, op_flags: events, ..Sqe::default() }
    }

    #[inline]
    pub(crate) fn recv(fd: RawFd, buffer: *mut u8, len: usize, flags: i32, ioprio: u16) -> Self {
        Sqe { opcode: RECV, fd, addr: buffer as u64, len: clamp(len), op_flags: flags as u32, ioprio, ..Sqe::default() }
    }

    /// Completes with a provided buffer for whatever comes, until the stream ends, it fails, is cancelled, there are too many
    /// completions, or no buffer is left (ENOBUFS).
    pub(crate) fn recv_multishot(fd: RawFd, group: u16) -> Self {
        Sqe { opcode: RECV, flags: BUFFER_SELECT, fd, ioprio: RECV_MULTISHOT, buf_index: group, ..Sqe::default() }
    }

    #[inline]
    pub(crate) fn send(fd: RawFd, buffer: *const u8, len: usize, flags: i32) -> Self {
        Sqe { opcode: SEND, fd, addr: buffer as u64, len: clamp(len), op_flags: flags as u32, ..Sqe::default() }
    }

    /// Completes with how much was sent, and, unless that says that there is no more, again when the memory is no longer needed: with
    /// less than nothing if the kernel has copied it all the same. Linux 6.2; not on a hardened ring.
    pub(crate) fn send_zero_copy(fd: RawFd, buffer: *const u8, len: usize, flags: i32) -> Self {
        Sqe { opcode: SEND_ZC, ioprio: REPORT_USAGE, ..Self::send(fd, buffer, len, flags) }
    }

    /// Completes with a descriptor for each connection, until it fails, is cancelled, or there are too many completions.
    pub(crate) fn accept_multishot(fd: RawFd, flags: i32) -> Self {
        /// `IORING_ACCEPT_MULTISHOT`.
        const MULTISHOT: u16 = 1;
        Sqe { opcode: ACCEPT, fd, op_flags: flags as u32, ioprio: MULTISHOT, ..Sqe::default() }
    }

    pub(crate) fn connect(fd: RawFd, address: *const libc::sockaddr, len: libc::socklen_t) -> Self {
        Sqe { opcode: CONNECT, fd, addr: address as u64, off: u64::from(len), ..Sqe::default() }
    }

    /// `pread`, or `read` at [`AT_POSITION`].
    pub(crate) fn read(fd: RawFd, buffer: *mut u8, len: usize, offset: u64) -> Self {
        Sqe { opcode: READ, fd, addr: buffer as u64, len: clamp(len), off: offset, ..Sqe::default() }
    }

    /// `pwrite`, or `write` at [`AT_POSITION`].
    pub(crate) fn write(fd: RawFd, buffer: *const u8, len: usize, offset: u64) -> Self {
        Sqe { opcode: WRITE, fd, addr: buffer as u64, len: clamp(len), off: offset, ..Sqe::default() }
    }

    /// `preadv2`.
    pub(crate) fn readv(fd: RawFd, pieces: *const libc::iovec, count: u32, offset: u64) -> Self {
        Sqe { opcode: READV, fd, addr: pieces as u64, len: count, off: offset, ..Sqe::default() }
    }

    /// `pwritev2`.
    pub(crate) fn writev(fd: RawFd, pieces: *const libc::iovec, count: u32, offset: u64) -> Self {
        Sqe { opcode: WRITEV, fd, addr: pieces as u64, len: count, off: offset, ..Sqe::default() }
    }

    /// `fsync`; with `IORING_FSYNC_DATASYNC`, which is 1, `fdatasync`.
    pub(crate) fn fsync(fd: RawFd, flags: u32) -> Self {
        Sqe { opcode: FSYNC, fd, op_flags: flags, ..Sqe::default() }
    }

    pub(crate) fn fallocate(fd: RawFd, mode: i32, offset: u64, len: u64) -> Self {
        Sqe { opcode: FALLOCATE, fd, off: offset, addr: len, len: mode as u32, ..Sqe::default() }
    }

    pub(crate) fn ftruncate(fd: RawFd, len: u64) -> Self {
        Sqe { opcode: FTRUNCATE, fd, off: len, ..Sqe::default() }
    }

    pub(crate) fn openat(dir: RawFd, path: *const libc::c_char, flags: i32, mode: u32) -> Self {
        Sqe { opcode: OPENAT, fd: dir, addr: path as u64, len: mode, op_flags: flags as u32, ..Sqe::default() }
    }

    pub(crate) fn statx(dir: RawFd, path: *const libc::c_char, flags: i32, mask: u32, to: *mut libc::statx) -> Self {
        let op_flags = flags as u32;
        Sqe { opcode: STATX, fd: dir, addr: path as u64, len: mask, off: to as u64, op_flags, ..Sqe::default() }
    }

    /// `renameat2` without flags.
    pub(crate) fn renameat(dir: RawFd, from: *const libc::c_char, to_dir: RawFd, to: *const libc::c_char) -> Self {
        Sqe { opcode: RENAMEAT, fd: dir, addr: from as u64, len: to_dir as u32, off: to as u64, ..Sqe::default() }
    }

    pub(crate) fn unlinkat(dir: RawFd, path: *const libc::c_char, flags: i32) -> Self {
        Sqe { opcode: UNLINKAT, fd: dir, addr: path as u64, op_flags: flags as u32, ..Sqe::default() }
    }

    pub(crate) fn mkdirat(dir: RawFd, path: *const libc::c_char, mode: u32) -> Self {
        Sqe { opcode: MKDIRAT, fd: dir, addr: path as u64, len: mode, ..Sqe::default() }
    }

    pub(crate) fn symlinkat(target: *const libc::c_char, dir: RawFd, link: *const libc::c_char) -> Self {
        Sqe { opcode: SYMLINKAT, fd: dir, addr: target as u64, off: link as u64, ..Sqe::default() }
    }

    /// `linkat` without flags.
    pub(crate) fn linkat(dir: RawFd, from: *const libc::c_char, to_dir: RawFd, to: *const libc::c_char) -> Self {
        Sqe { opcode: LINKAT, fd: dir, addr: from as u64, len: to_dir as u32, off: to as u64, ..Sqe::default() }
    }

    /// Moves up to `len` bytes between two descriptors, one of which is a pipe; `from` is read at `offset`, which only a file
    /// has. Runs on one of the kernel's worker threads.
    pub(crate) fn splice(from: RawFd, offset: Option<u64>, to: RawFd, len: usize) -> Self {
        /// `SPLICE_F_MOVE`: rather pages than copies.
        const MOVE: u32 = 1;
        Sqe {
            opcode: SPLICE,
            fd: to,
            off: u64::MAX,
            addr: offset.unwrap_or(u64::MAX),
            len: clamp(len),
            op_flags: MOVE,
            file_index: from as u32,
            ..Sqe::default()
        }
    }

    /// Cancels the operation with this user data. Never by descriptor, which would hit what a reused number stands for, and
    /// never all, which is quadratic.
    pub(crate) fn cancel(user_data: u64) -> Self {
        Sqe { opcode: ASYNC_CANCEL, fd: -1, addr: user_data, ..Sqe::default() }
    }

    /// Does nothing and says `result` (Linux 6.10); if `later`, when the kernel does what it has put off. For rings with faults: no
    /// hardened ring takes it.
    pub(super) fn nop(result: i32, later: bool) -> Self {
        let op_flags = NOP_INJECT_RESULT | if later { NOP_TASK_WORK } else { 0 };
        Sqe { opcode: NOP, fd: -1, len: result as u32, op_flags, ..Sqe::default() }
    }

    /// Cancels the operation to which it is linked when it has taken so long. For scripts: coop's timers are its own.
    #[cfg(test)]
    pub(super) fn link_timeout(time: *const libc::timespec) -> Self {
        Sqe { opcode: LINK_TIMEOUT, fd: -1, addr: time as u64, len: 1, ..Sqe::default() }
    }

    /// What is pushed next is linked to this.
    #[cfg(test)]
    pub(super) fn linked(self, is_hard: bool) -> Self {
        Sqe { flags: self.flags | if is_hard { HARD_LINK } else { LINK }, ..self }
    }

    /// Has a worker of the kernel's make the call, without a try to make it at once (`IOSQE_ASYNC`).
    pub(crate) fn on_a_worker(self) -> Self {
        Sqe { flags: self.flags | 1 << 4, ..self }
    }

    #[inline]
    pub(crate) fn with_user_data(self, user_data: u64) -> Self {
        Sqe { user_data, ..self }
    }

    #[cfg(test)]
    pub(super) fn into_entry(self) -> io_uring::squeue::Entry {
        // SAFETY: `Entry` is `repr(C)` around the same kernel struct: 64 bytes (asserted above), every bit pattern valid.
        unsafe { std::mem::transmute(self) }
    }
}

/// The kernel moves at most `MAX_RW_COUNT` bytes a call; a length that does not fit 32 bits becomes a short transfer.
#[inline]
fn clamp(len: usize) -> u32 {
    len.min(0x7fff_f000) as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use io_uring::{opcode, types};

    /// The bytes of an entry, for comparing with what the `io-uring` crate builds for the same operation.
    fn bytes(entry: io_uring::squeue::Entry) -> [u8; 64] {
        // SAFETY: 64 bytes of plain data.
        unsafe { std::mem::transmute(entry) }
    }

    #[test]
    fn the_layout_is_the_kernels() {
        let at = 0x1122_3344_5566usize as *mut u8;
        let same = |ours: Sqe, theirs: io_uring::squeue::Entry| {
            assert_eq!(bytes(ours.into_entry()), bytes(theirs), "{ours:?}")
        };
        same(Sqe::poll(5, 0x41).with_user_data(7), opcode::PollAdd::new(types::Fd(5), 0x41).build().user_data(7));
        same(Sqe::recv(5, at, 99, 0x4000, 0), opcode::Recv::new(types::Fd(5), at, 99).flags(0x4000).build());
        same(Sqe::recv_multishot(5, 3), opcode::RecvMulti::new(types::Fd(5), 3).build());
        same(Sqe::send(5, at, 99, 0x4000), opcode::Send::new(types::Fd(5), at, 99).flags(0x4000).build());
        let report_usage = 1 << 3;
        let zero_copy = opcode::SendZc::new(types::Fd(5), at, 99).flags(0x4000).zc_flags(report_usage);
        same(Sqe::send_zero_copy(5, at, 99, 0x4000), zero_copy.build());
        same(Sqe::accept_multishot(5, 0x80000), opcode::AcceptMulti::new(types::Fd(5)).flags(0x80000).build());
        same(Sqe::connect(5, at.cast(), 16), opcode::Connect::new(types::Fd(5), at.cast(), 16).build());
        same(Sqe::read(5, at, 99, 8), opcode::Read::new(types::Fd(5), at, 99).offset(8).build());
        same(Sqe::write(5, at, 99, AT_POSITION), opcode::Write::new(types::Fd(5), at, 99).offset(u64::MAX).build());
        same(Sqe::readv(5, at.cast(), 3, 8), opcode::Readv::new(types::Fd(5), at.cast(), 3).offset(8).build());
        same(Sqe::writev(5, at.cast(), 3, 8), opcode::Writev::new(types::Fd(5), at.cast(), 3).offset(8).build());
        let datasync = types::FsyncFlags::DATASYNC;
        same(Sqe::fsync(5, 1), opcode::Fsync::new(types::Fd(5)).flags(datasync).build());
        same(Sqe::fallocate(5, 1, 8, 99), opcode::Fallocate::new(types::Fd(5), 99).offset(8).mode(1).build());
        same(Sqe::ftruncate(5, 99), opcode::Ftruncate::new(types::Fd(5), 99).build());
        let (here, path, other) = (types::Fd(-100), at.cast_const().cast(), 0x1122usize as *const libc::c_char);
        same(Sqe::openat(-100, path, 2, 0o644), opcode::OpenAt::new(here, path).flags(2).mode(0o644).build());
        let asynchronous = opcode::OpenAt::new(here, path).build().flags(io_uring::squeue::Flags::ASYNC);
        same(Sqe::openat(-100, path, 0, 0).on_a_worker(), asynchronous);
        let statx = opcode::Statx::new(here, path, at.cast()).flags(0x100).mask(0xfff);
        same(Sqe::statx(-100, path, 0x100, 0xfff, at.cast()), statx.build());
        let to = types::Fd(6);
        same(Sqe::renameat(-100, path, 6, other), opcode::RenameAt::new(here, path, to, other).build());
        same(Sqe::unlinkat(-100, path, 0x200), opcode::UnlinkAt::new(here, path).flags(0x200).build());
        same(Sqe::mkdirat(-100, path, 0o755), opcode::MkDirAt::new(here, path).mode(0o755).build());
        same(Sqe::symlinkat(path, 6, other), opcode::SymlinkAt::new(to, path, other).build());
        same(Sqe::linkat(-100, path, 6, other), opcode::LinkAt::new(here, path, to, other).build());
        let (from, to) = (types::Fd(5), types::Fd(6));
        same(Sqe::splice(5, Some(8), 6, 99), opcode::Splice::new(from, 8, to, -1, 99).flags(1).build());
        same(Sqe::splice(5, None, 6, 99), opcode::Splice::new(from, -1, to, -1, 99).flags(1).build());
        same(Sqe::cancel(77), opcode::AsyncCancel::new(77).build());
        let time: *const libc::timespec = at.cast_const().cast();
        let flags = io_uring::squeue::Flags::IO_LINK;
        same(Sqe::link_timeout(time).linked(false), opcode::LinkTimeout::new(time.cast()).build().flags(flags));
        let flags = io_uring::squeue::Flags::IO_HARDLINK;
        same(Sqe::poll(5, 0x41).linked(true), opcode::PollAdd::new(types::Fd(5), 0x41).build().flags(flags));
    }
}
