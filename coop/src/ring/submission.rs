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
pub(crate) const NOP: u8 = 0;
pub(crate) const POLL_ADD: u8 = 6;
pub(crate) const ACCEPT: u8 = 13;
pub(crate) const ASYNC_CANCEL: u8 = 14;
pub(crate) const CONNECT: u8 = 16;
pub(crate) const CLOSE: u8 = 19;
pub(crate) const READ: u8 = 22;
pub(crate) const WRITE: u8 = 23;
pub(crate) const SEND: u8 = 26;
pub(crate) const RECV: u8 = 27;

impl Sqe {
    /// Completes at once, with 0.
    pub(crate) fn nop() -> Self {
        Sqe { opcode: NOP, fd: -1, ..Sqe::default() }
    }

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

    /// Positional; `offset` of `u64::MAX` means the file's own position.
    pub(crate) fn read(fd: RawFd, buffer: *mut u8, len: usize, offset: u64) -> Self {
        Sqe { opcode: READ, fd, addr: buffer as u64, len: clamp(len), off: offset, ..Sqe::default() }
    }

    /// Positional; `offset` of `u64::MAX` means the file's own position.
    pub(crate) fn write(fd: RawFd, buffer: *const u8, len: usize, offset: u64) -> Self {
        Sqe { opcode: WRITE, fd, addr: buffer as u64, len: clamp(len), off: offset, ..Sqe::default() }
    }

    pub(crate) fn accept(fd: RawFd, flags: i32) -> Self {
        Sqe { opcode: ACCEPT, fd, op_flags: flags as u32, ..Sqe::default() }
    }

    pub(crate) fn connect(fd: RawFd, address: *const libc::sockaddr, len: libc::socklen_t) -> Self {
        Sqe { opcode: CONNECT, fd, addr: address as u64, off: u64::from(len), ..Sqe::default() }
    }

    pub(crate) fn close(fd: RawFd) -> Self {
        Sqe { opcode: CLOSE, fd, ..Sqe::default() }
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
        let same = |ours: Sqe, theirs: io_uring::squeue::Entry| assert_eq!(bytes(ours.into_entry()), bytes(theirs), "{ours:?}");
        same(Sqe::nop().with_user_data(7), opcode::Nop::new().build().user_data(7));
        same(Sqe::poll(5, 0x41), opcode::PollAdd::new(types::Fd(5), 0x41).build());
        same(Sqe::recv(5, at, 99, 0x4000, 0), opcode::Recv::new(types::Fd(5), at, 99).flags(0x4000).build());
        same(Sqe::send(5, at, 99, 0x4000), opcode::Send::new(types::Fd(5), at, 99).flags(0x4000).build());
        same(Sqe::read(5, at, 99, 1234), opcode::Read::new(types::Fd(5), at, 99).offset(1234).build());
        same(Sqe::write(5, at, 99, 1234), opcode::Write::new(types::Fd(5), at, 99).offset(1234).build());
        let null = std::ptr::null_mut();
        same(Sqe::accept(5, 0x800), opcode::Accept::new(types::Fd(5), null, null.cast()).flags(0x800).build());
        same(Sqe::connect(5, at.cast(), 16), opcode::Connect::new(types::Fd(5), at.cast(), 16).build());
        same(Sqe::close(5), opcode::Close::new(types::Fd(5)).build());
        same(Sqe::cancel(77), opcode::AsyncCancel::new(77).build());
    }
}
