//! Links: operations each of which is begun when the one before has ended, and the time that one may take.
//!
//! ```text
//!   a ──link──▶ b ──▶ c          a fails, or moves less than was asked for ──▶ b, c: ECANCELED
//!   a ──hard link──▶ b           b is begun whatever has become of a
//!   a ──link──▶ timeout ──▶ b    it is over with a (ECANCELED), or calls a off (ETIME)
//!   one that is none             has its error; none of its chain is begun
//! ```

use super::super::submission::*;
use super::{at, calls, may_wait};
use std::collections::VecDeque;

/// Operations that are linked, the first of which is begun first.
pub(super) type Chain = VecDeque<Sqe>;

/// The time that an operation may take.
pub(super) struct Limit {
    /// Of the submission that says so.
    pub(super) user_data: u64,
    /// In nanoseconds.
    pub(super) at: u64,
}

impl Limit {
    /// # Safety
    /// The time that `sqe` names is readable.
    pub(super) unsafe fn new(sqe: &Sqe, now: u64) -> Self {
        // SAFETY: the caller's promise.
        let time = unsafe { at(sqe.addr).cast::<libc::timespec>().read_unaligned() };
        let span = (time.tv_sec as u64).saturating_mul(1_000_000_000).saturating_add(time.tv_nsec as u64);
        Limit { user_data: sqe.user_data, at: now.saturating_add(span) }
    }
}

/// Whether the next submission is linked to this.
pub(super) fn is_linked(sqe: &Sqe) -> bool {
    sqe.flags & (LINK | HARD_LINK) != 0
}

/// What the kernel says of a submission that it does not even begin: it knows no such thing.
pub(super) fn refusal(before: Option<&Sqe>, sqe: &Sqe) -> Option<i32> {
    /// `IOSQE_ASYNC`: what is left to a worker here is left to chance in any case.
    const ASYNC: u8 = 1 << 4;
    let selects = sqe.opcode == RECV && sqe.flags & BUFFER_SELECT != 0;
    let known = ASYNC | LINK | HARD_LINK | if selects { BUFFER_SELECT } else { 0 };
    let is_known = sqe.flags & !known == 0
        && match sqe.opcode {
            NOP => sqe.op_flags & !(NOP_INJECT_RESULT | NOP_TASK_WORK) == 0,
            ASYNC_CANCEL => true,
            SEND_ZC => sqe.ioprio & !(POLL_FIRST | REPORT_USAGE) == 0 && sqe.addr3 == 0,
            // Of an operation, and of one that has none yet.
            LINK_TIMEOUT => {
                let is_plain = sqe.len == 1 && sqe.off == 0 && sqe.op_flags == 0;
                is_plain && before.is_some_and(|before| before.opcode != LINK_TIMEOUT)
            }
            opcode => may_wait(opcode) || calls::is_known(opcode),
        };
    (!is_known).then_some(-libc::EINVAL)
}

/// Whether what is linked to an operation is not to be begun after this result; `asked`: what it was to move.
pub(super) fn has_failed(sqe: &Sqe, asked: i64, result: i32) -> bool {
    if sqe.flags & HARD_LINK != 0 {
        return false;
    }
    match sqe.opcode {
        READ | READV | WRITE | WRITEV => i64::from(result) != asked,
        SEND | SEND_ZC | RECV if sqe.op_flags as i32 & libc::MSG_WAITALL != 0 => i64::from(result) < asked,
        // The kernel does not look what has come of these.
        FSYNC | FALLOCATE | FTRUNCATE | STATX | RENAMEAT | UNLINKAT | MKDIRAT | SYMLINKAT | LINKAT => false,
        _ => result < 0,
    }
}

/// The bytes that an operation is to move.
///
/// # Safety
/// The vector that `sqe` names, if it names one, is readable.
pub(super) unsafe fn asked(sqe: &Sqe) -> i64 {
    match sqe.opcode {
        READV | WRITEV => {
            let pieces = at(sqe.addr).cast::<libc::iovec>();
            // SAFETY: the caller's promise.
            (0..sqe.len as usize).map(|index| unsafe { (*pieces.add(index)).iov_len } as i64).sum()
        }
        _ => i64::from(sqe.len),
    }
}
