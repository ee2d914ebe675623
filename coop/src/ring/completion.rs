//! What comes back.

/// One completion entry: `struct io_uring_cqe`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cqe {
    pub(crate) user_data: u64,
    pub(crate) result: i32,
    pub(crate) flags: u32,
}

impl Cqe {
    /// `IORING_CQE_F_MORE`: the operation goes on, this was not its last completion.
    #[inline]
    pub(crate) fn has_more(&self) -> bool {
        self.flags & (1 << 1) != 0
    }
}

/// `IORING_CQE_F_NOTIF`: this says that memory is no longer needed, not what came of the operation.
pub(crate) const NOTIFICATION: u32 = 1 << 3;

/// What the runtime does with the completion of an operation. The pointer in a slot leads here.
///
/// # Safety
/// Implementors stay at their address from `Slots::insert` until their last completion was delivered.
pub(crate) unsafe trait Completion {
    /// Called on the loop's stack for each completion; must not switch, allocate much, or run user code.
    fn complete(&self, result: i32, flags: u32, last: bool);
}
