//! Accepting connections.

use super::Listener;
use super::address::Address;
use super::polling::Lending;
use crate::handle::{Pollable, Polled, Readiness};
use crate::sys;
use std::io;
use std::os::fd::RawFd;

/// `op::accept`.
pub(crate) type Accept<'a, L> = Polled<Accepting<'a, L>>;

#[doc(hidden)]
pub struct Accepting<'a, L> {
    listener: &'a L,
}

impl<'a, L: Listener> Accepting<'a, L> {
    pub(crate) fn new(listener: &'a L) -> Self {
        Accepting { listener }
    }
}

/// As an arm: `accept4` on a non-blocking listener gives a connection, or has done nothing. (On a blocking one it would hang the
/// thread when the peer resets between readiness and call.)
impl<L: Listener> Pollable for Accepting<'_, L> {
    type Output = L::Accepted;

    fn fd(&self) -> RawFd {
        self.listener.socket().fd()
    }

    fn events(&self) -> u32 {
        libc::POLLIN as u32
    }

    fn verb(&self) -> &'static str {
        "accept"
    }

    fn readiness(&self) -> Readiness {
        Readiness::Maybe
    }

    fn attempt(&mut self) -> Option<io::Result<L::Accepted>> {
        let mut address = Address::empty();
        // SAFETY: the address has room for any family, as its length says.
        let accepted = unsafe { libc::accept4(self.fd(), address.as_mut_ptr(), address.len_mut(), libc::SOCK_CLOEXEC) };
        match sys::owned(accepted) {
            Ok(fd) => Some(Ok(L::accepted(fd, &address))),
            Err(error) => match error.raw_os_error() {
                Some(libc::EAGAIN) => None,
                Some(number) if is_the_peers(number) => None,
                _ => Some(Err(error)),
            },
        }
    }
}

/// accept(2): errors of the network that the peer's connection died of are not the listener's; nor is an interruption.
pub(super) fn is_the_peers(error: i32) -> bool {
    matches!(
        error,
        libc::EINTR
            | libc::ECONNABORTED
            | libc::ENETDOWN
            | libc::EPROTO
            | libc::ENOPROTOOPT
            | libc::EHOSTDOWN
            | libc::ENONET
            | libc::EHOSTUNREACH
            | libc::ENETUNREACH
    )
}

impl<L: Listener> Lending for Accepting<'_, L> {
    type Back = L::Accepted;

    fn give_back(&mut self, accepted: L::Accepted) -> L::Accepted {
        accepted
    }
}
