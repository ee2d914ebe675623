//! What is left of a zero-copy send that has said how much it has sent: its memory is still needed, until a notification says
//! that it no longer is.
//!
//! The simulator has copied the bytes all the same. But as the kernel's device would it looks at them again when it gives them
//! back, and does not put up with others: so memory that was freed or changed too early shows, in every simulation.

use super::super::submission::*;
use super::{Chance, Choice, Network, at};
use crate::random::mix;
use std::os::fd::RawFd;

/// See the module.
pub(super) struct Notice {
    address: u64,
    len: usize,
    digest: u64,
    /// What its completion says.
    pub(super) result: i32,
    until: Until,
}

/// When memory is given back.
enum Until {
    /// The peer has acknowledged so many bytes of a connection's.
    Acknowledged { connection: u64, end: usize, position: u64 },
    /// It was looked at so often.
    Looked(u32),
}

impl Notice {
    /// After the send `sqe`, whose memory begins at `address`, has ended with `result`.
    ///
    /// # Safety
    /// That memory stays valid until the notification is over.
    pub(super) unsafe fn new(sqe: &Sqe, address: u64, result: i32, chance: &Chance, network: Option<&Network>) -> Self {
        let len = result.max(0) as usize;
        let is_copied = len == 0 || chance.one_in(Choice::Notice, 8);
        let until = match network.and_then(|network| network.sent(sqe.fd)).filter(|_| len > 0) {
            Some((connection, end, position)) => Until::Acknowledged { connection, end, position },
            None if chance.one_in(Choice::Notice, 2) => Until::Looked(chance.below(Choice::Notice, 24) as u32),
            None => Until::Looked(0),
        };
        // SAFETY: the caller's promise.
        let digest = unsafe { digest(address, len) };
        let result = usage(sqe, is_copied);
        Notice { address, len, digest, result, until }
    }

    /// Whether the memory is given back now.
    ///
    /// # Safety
    /// As of [`Notice::new`].
    pub(super) unsafe fn is_due(&mut self, network: Option<&Network>) -> bool {
        let is_due = match (&mut self.until, network) {
            (Until::Acknowledged { connection, end, position }, Some(network)) => {
                network.has_arrived(*connection, *end, *position)
            }
            (Until::Looked(left @ 1..), _) => {
                *left -= 1;
                false
            }
            _ => true,
        };
        // SAFETY: the caller's promise.
        if is_due && unsafe { digest(self.address, self.len) } != self.digest {
            // Whoever reads bytes that are others by now is sent what nobody has said.
            panic!("the memory of a zero-copy send was changed before the kernel has given it back");
        }
        is_due
    }
}

/// What is reported, if that was asked for.
fn usage(sqe: &Sqe, is_copied: bool) -> i32 {
    /// `IORING_NOTIF_USAGE_ZC_COPIED`.
    const COPIED: i32 = i32::MIN;
    if is_copied && sqe.ioprio & REPORT_USAGE != 0 { COPIED } else { 0 }
}

/// What the notification says of a send that was never begun.
pub(super) fn unannounced(sqe: &Sqe) -> Option<i32> {
    (sqe.opcode == SEND_ZC).then(|| usage(sqe, true))
}

/// # Safety
/// The memory is readable.
unsafe fn digest(address: u64, len: usize) -> u64 {
    let bytes = match len {
        // It names none.
        0 => &[][..],
        // SAFETY: the caller's promise.
        _ => unsafe { std::slice::from_raw_parts(at(address).cast::<u8>(), len) },
    };
    let (words, rest) = bytes.as_chunks::<8>();
    let start = rest.iter().fold(len as u64, |digest, byte| mix(digest ^ u64::from(*byte)));
    words.iter().fold(start, |digest, word| mix(digest ^ u64::from_ne_bytes(*word)))
}

/// Whether a socket takes memory as it is: those of the Internet's protocols.
pub(super) fn takes_memory(fd: RawFd, network: Option<&Network>) -> bool {
    matches!(super::socket::option(fd, libc::SO_DOMAIN), libc::AF_INET | libc::AF_INET6)
        || network.is_some_and(|network| network.is_ours(fd))
}
