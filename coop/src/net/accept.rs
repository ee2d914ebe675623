//! Accepting connections.

use super::Listener;
use super::address::Address;
use super::socket::{begin, spend_budget};
use crate::error::Killed;
use crate::handle::{Blocking, Pollable, Polled, PolledFlight, Readiness, wait_ready};
use crate::sys;
use std::io;
use std::os::fd::RawFd;
use std::panic::Location;

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
                // accept(2): errors of the network that the peer's connection died of are not the listener's.
                Some(
                    libc::EAGAIN
                    | libc::EINTR
                    | libc::ECONNABORTED
                    | libc::ENETDOWN
                    | libc::EPROTO
                    | libc::ENOPROTOOPT
                    | libc::EHOSTDOWN
                    | libc::ENONET
                    | libc::EHOSTUNREACH
                    | libc::ENETUNREACH,
                ) => None,
                _ => Some(Err(error)),
            },
        }
    }
}

impl<'a, L: Listener> Blocking for Accepting<'a, L> {
    type Started = io::Result<L::Accepted>;
    type Flight = PolledFlight<Accepting<'a, L>>;

    #[track_caller]
    fn block(mut self) -> io::Result<L::Accepted> {
        let cooperator = begin()?;
        loop {
            if let Some(result) = self.attempt() {
                spend_budget(cooperator);
                return result;
            }
            wait_ready(cooperator, self.fd(), self.events(), self.verb(), Location::caller())?;
        }
    }

    fn into_flight(self) -> Self::Flight {
        PolledFlight::new(self)
    }

    fn joined(result: Result<Self::Started, Killed>) -> Self::Started {
        result?
    }
}
