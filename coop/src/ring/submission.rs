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

// Opcodes, from `enum io_uring_op`.
pub(crate) const POLL_ADD: u8 = 6;
pub(crate) const ASYNC_CANCEL: u8 = 14;
pub(crate) const CONNECT: u8 = 16;
pub(crate) const SEND: u8 = 26;
pub(crate) const RECV: u8 = 27;

impl Sqe {
    /// Completes once, with the events, when `fd` has any of `events` or an error.
    pub(crate) fn poll(fd: RawFd, events: u32) -> Self {
        Sqe { opcode: POLL_ADD, fd, op_flags: events, ..Sqe::default() }
    }

    pub(crate) fn recv(fd: RawFd, buffer: *mut u8, len: usize, flags: i32, ioprio: u16) -> Self {
        Sqe { opcode: RECV, fd, addr: buffer as u64, len: clamp(len), op_flags: flags as u32, ioprio, ..Sqe::default() }
    }

    pub(crate) fn send(fd: RawFd, buffer: *const u8, len: usize, flags: i32) -> Self {
        Sqe { opcode: SEND, fd, addr: buffer as u64, len: clamp(len), op_flags: flags as u32, ..Sqe::default() }
    }

    pub(crate) fn connect(fd: RawFd, address: *const libc::sockaddr, len: libc::socklen_t) -> Self {
        Sqe { opcode: CONNECT, fd, addr: address as u64, off: u64::from(len), ..Sqe::default() }
    }

    /// Cancels the operation with this user data. Never by descriptor, which would hit what a reused number stands for, and
    /// never all, which is quadratic.
    pub(crate) fn cancel(user_data: u64) -> Self {
        Sqe { opcode: ASYNC_CANCEL, fd: -1, addr: user_data, ..Sqe::default() }
    }

    pub(crate) fn with_user_data(self, user_data: u64) -> Self {
        Sqe { user_data, ..self }
    }

    pub(super) fn into_entry(self) -> io_uring::squeue::Entry {
        // SAFETY: `Entry` is `repr(C)` around the same kernel struct: 64 bytes (asserted above), every bit pattern valid.
        unsafe { std::mem::transmute(self) }
    }
}

/// The kernel moves at most `MAX_RW_COUNT` bytes a call; a length that does not fit 32 bits becomes a short transfer.
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
        same(Sqe::send(5, at, 99, 0x4000), opcode::Send::new(types::Fd(5), at, 99).flags(0x4000).build());
        same(Sqe::connect(5, at.cast(), 16), opcode::Connect::new(types::Fd(5), at.cast(), 16).build());
        same(Sqe::cancel(77), opcode::AsyncCancel::new(77).build());
    }
}
