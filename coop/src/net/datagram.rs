//! Datagrams to and from addresses.

use super::Datagrams;
use super::address::Address;
use super::polling::{Lending, unless_blocked};
use super::simulated;
use super::socket::Socket;
use crate::handle::{Pollable, Readiness};
use crate::io::Transfer;
use crate::sys;
use std::io;
use std::net::SocketAddr;
use std::os::fd::RawFd;

/// A datagram that was received, and whether it fitted: what [`UdpSocket::recv_datagram`](super::UdpSocket::recv_datagram) gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Received<A> {
    /// How many bytes are in the buffer.
    pub n: usize,
    /// How many the datagram had.
    pub size: usize,
    /// Where it came from.
    pub from: A,
}

impl<A> Received<A> {
    /// Whether the buffer was too small: the rest of the datagram is gone.
    pub fn is_truncated(&self) -> bool {
        self.size > self.n
    }
}

/// Receives a datagram without blocking. One call takes it whole: what does not fit the buffer is discarded by it.
fn receive(socket: &Socket, buffer: &mut [u8], flags: i32) -> io::Result<Received<Address>> {
    let mut from = Address::empty();
    // MSG_TRUNC has the kernel tell the datagram's own length.
    let flags = flags | libc::MSG_DONTWAIT | libc::MSG_TRUNC;
    // SAFETY: the buffer is writable for its length; the address has room for any family, as its length says.
    let received = sys::check_size(unsafe {
        let room = (buffer.as_mut_ptr().cast(), buffer.len());
        libc::recvfrom(socket.fd(), room.0, room.1, flags, from.as_mut_ptr(), from.len_mut())
    });
    match received {
        Ok(size) => {
            if flags & libc::MSG_PEEK == 0 {
                socket.note_received(size, buffer.len());
            }
            Ok(Received { n: size.min(buffer.len()), size, from })
        }
        Err(error) => {
            socket.note_drained();
            Err(error)
        }
    }
}

/// The forms of receiving: they differ in what they give.
macro_rules! receiving {
    ($(#[$doc:meta])* $name:ident, $verb:literal, $flags:expr, $output:ty, $back:ty, $make:expr, $give:expr) => {
        $(#[$doc])*
        #[doc(hidden)]
        pub struct $name<'a, D> {
            socket: &'a D,
            buffer: &'a mut [u8],
        }

        impl<'a, D: Datagrams> $name<'a, D> {
            pub(crate) fn new(socket: &'a D, buffer: &'a mut [u8]) -> Self {
                $name { socket, buffer }
            }
        }

        /// As an arm: `recvfrom` with MSG_DONTWAIT gives a datagram, or has done nothing.
        impl<'a, D: Datagrams> Pollable for $name<'a, D> {
            type Output = $output;

            fn fd(&self) -> RawFd {
                self.socket.socket().fd()
            }

            fn events(&self) -> u32 {
                libc::POLLIN as u32
            }

            fn verb(&self) -> &'static str {
                $verb
            }

            fn readiness(&self) -> Readiness {
                self.socket.socket().readiness(true)
            }

            fn attempt(&mut self) -> Option<io::Result<$output>> {
                let received = unless_blocked(receive(self.socket.socket(), self.buffer, $flags))?;
                Some(received.map(|Received { n, size, from }| $make(Received { n, size, from: D::address(&from) })))
            }
        }

        impl<'a, D: Datagrams> Lending for $name<'a, D> {
            type Back = $back;

            fn give_back(&mut self, output: $output) -> $back {
                $give(output, std::mem::take(&mut self.buffer))
            }
        }
    };
}

receiving!(
    /// `op::recv_from`.
    ReceivingFrom, "recv_from", 0,
    (usize, D::Address), (Transfer<&'a mut [u8]>, D::Address),
    |received: Received<_>| (received.n, received.from),
    |(n, from), buffer| (Transfer::new(n, buffer), from)
);
receiving!(
    /// `op::peek_from`.
    PeekingFrom, "peek_from", libc::MSG_PEEK,
    (usize, D::Address), (Transfer<&'a mut [u8]>, D::Address),
    |received: Received<_>| (received.n, received.from),
    |(n, from), buffer| (Transfer::new(n, buffer), from)
);
receiving!(
    /// `op::recv_datagram`.
    ReceivingWhole, "recv_datagram", 0,
    Received<D::Address>, (Received<D::Address>, &'a mut [u8]),
    |received| received,
    |received, buffer| (received, buffer)
);

/// `op::send_to`.
#[doc(hidden)]
pub struct SendingTo<'a> {
    socket: &'a Socket,
    buffer: &'a [u8],
    to: Address,
}

impl<'a> SendingTo<'a> {
    pub(super) fn new(socket: &'a Socket, buffer: &'a [u8], to: Address) -> Self {
        SendingTo { socket, buffer, to }
    }

    pub(crate) fn to_ip(socket: &'a Socket, buffer: &'a [u8], to: &SocketAddr) -> Self {
        Self::new(socket, buffer, Address::ip(to))
    }
}

/// As an arm: `sendto` with MSG_DONTWAIT sends the whole datagram, or has done nothing.
impl Pollable for SendingTo<'_> {
    type Output = usize;

    fn fd(&self) -> RawFd {
        self.socket.fd()
    }

    fn events(&self) -> u32 {
        libc::POLLOUT as u32
    }

    fn verb(&self) -> &'static str {
        "send_to"
    }

    fn readiness(&self) -> Readiness {
        Readiness::Maybe
    }

    fn attempt(&mut self) -> Option<io::Result<usize>> {
        let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
        let (buffer, to) = (self.buffer, &self.to);
        // SAFETY: buffer and address are readable for their lengths.
        let sent = sys::check_size(unsafe {
            libc::sendto(self.fd(), buffer.as_ptr().cast(), buffer.len(), flags, to.as_ptr(), to.len())
        });
        // What stands for a UDP socket in a simulation is of another family.
        if let Err(error) = &sent
            && error.raw_os_error() == Some(libc::EINVAL)
            && let Some(result) = simulated::send_to(self.fd(), buffer, to)
        {
            return Some(result);
        }
        unless_blocked(sent)
    }
}

impl<'a> Lending for SendingTo<'a> {
    type Back = Transfer<&'a [u8]>;

    fn give_back(&mut self, n: usize) -> Self::Back {
        Transfer::new(n, self.buffer)
    }
}
