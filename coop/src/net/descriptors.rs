//! What Unix sockets carry besides bytes: descriptors, and who the peer is.

use super::polling::{Lending, unless_blocked};
use super::socket::Socket;
use super::vectored::empty_header;
use crate::handle::{Pollable, Readiness};
use crate::io::Transfer;
use crate::sys;
use std::error::Error;
use std::fmt;
use std::io;
use std::mem::size_of;
use std::os::fd::{BorrowedFd, FromRawFd, OwnedFd, RawFd};

/// How many descriptors may be sent at once (`SCM_MAX_FD`).
pub const MAX_DESCRIPTORS: usize = 253;

/// The process at the other end of a Unix connection, as it was when it connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UCred {
    pid: i32,
    uid: u32,
    gid: u32,
}

impl UCred {
    pub(super) fn of_peer(socket: &Socket) -> io::Result<UCred> {
        // SAFETY: three integers.
        let cred: libc::ucred = unsafe { socket.option_of(libc::SOL_SOCKET, libc::SO_PEERCRED)? };
        Ok(UCred { pid: cred.pid, uid: cred.uid, gid: cred.gid })
    }

    /// The process; `None` for one that cannot be named here, such as of another PID namespace.
    pub fn pid(&self) -> Option<i32> {
        (self.pid > 0).then_some(self.pid)
    }

    /// Its effective user.
    pub fn uid(&self) -> u32 {
        self.uid
    }

    /// Its effective group.
    pub fn gid(&self) -> u32 {
        self.gid
    }
}

/// Descriptors came that this process may not have: its limit (RLIMIT_NOFILE) is reached. The kernel has dropped them, those that
/// did come are closed; the bytes are in the buffer.
///
/// It travels in an [`io::Error`] of the kind `Other`; [`DescriptorsLost::of`] finds it there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DescriptorsLost {
    /// Bytes that were received.
    pub n: usize,
    /// Descriptors that were received, and closed.
    pub closed: usize,
}

impl DescriptorsLost {
    /// The `DescriptorsLost` that an `io::Error` carries, if it does.
    pub fn of(error: &io::Error) -> Option<DescriptorsLost> {
        error.get_ref().and_then(|inner| inner.downcast_ref()).copied()
    }
}

impl fmt::Display for DescriptorsLost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("descriptors were received that this process may not have: raise its limit (RLIMIT_NOFILE)")
    }
}

impl Error for DescriptorsLost {}

/// Room for the control data of as many descriptors as there can be, aligned for its header.
#[repr(C, align(8))]
struct Control([u8; Control::SIZE]);

impl Control {
    // SAFETY: arithmetic.
    const SIZE: usize = unsafe { libc::CMSG_SPACE((MAX_DESCRIPTORS * size_of::<RawFd>()) as u32) } as usize;

    fn new() -> Self {
        Control([0; Control::SIZE])
    }
}

/// `op::send_fds`.
#[doc(hidden)]
pub struct SendingDescriptors<'a> {
    socket: &'a Socket,
    buffer: &'a [u8],
    fds: &'a [BorrowedFd<'a>],
}

impl<'a> SendingDescriptors<'a> {
    pub(crate) fn new(socket: &'a Socket, buffer: &'a [u8], fds: &'a [BorrowedFd<'a>]) -> Self {
        SendingDescriptors { socket, buffer, fds }
    }
}

/// As an arm: `sendmsg` with MSG_DONTWAIT sends a byte or a packet, and the descriptors with it, or has done nothing.
impl Pollable for SendingDescriptors<'_> {
    type Output = usize;

    fn fd(&self) -> RawFd {
        self.socket.fd()
    }

    fn events(&self) -> u32 {
        libc::POLLOUT as u32
    }

    fn verb(&self) -> &'static str {
        "send_fds"
    }

    fn readiness(&self) -> Readiness {
        Readiness::Maybe
    }

    fn is_nothing(&self) -> bool {
        self.socket.is_stream() && self.buffer.is_empty()
    }

    fn attempt(&mut self) -> Option<io::Result<usize>> {
        let refuse = |why| Some(Err(io::Error::new(io::ErrorKind::InvalidInput, why)));
        if self.fds.len() > MAX_DESCRIPTORS {
            return refuse("at most 253 descriptors are sent at once");
        }
        if self.is_nothing() {
            return if self.fds.is_empty() {
                Some(Ok(0))
            } else {
                refuse("descriptors go along with at least one byte")
            };
        }
        let mut bytes = libc::iovec { iov_base: self.buffer.as_ptr().cast_mut().cast(), iov_len: self.buffer.len() };
        let mut control = Control::new();
        let mut header = empty_header();
        header.msg_iov = &raw mut bytes;
        header.msg_iovlen = 1;
        if !self.fds.is_empty() {
            let size = size_of_val(self.fds) as u32;
            header.msg_control = control.0.as_mut_ptr().cast();
            // SAFETY: the control data has room for as many descriptors as were let through; `BorrowedFd` is a descriptor, as its
            // docs promise.
            unsafe {
                header.msg_controllen = libc::CMSG_SPACE(size) as _;
                let first = libc::CMSG_FIRSTHDR(&header);
                (*first).cmsg_level = libc::SOL_SOCKET;
                (*first).cmsg_type = libc::SCM_RIGHTS;
                (*first).cmsg_len = libc::CMSG_LEN(size) as _;
                self.fds.as_ptr().cast::<u8>().copy_to_nonoverlapping(libc::CMSG_DATA(first), size as usize);
            }
        }
        // SAFETY: the header names live buffers, which are only read.
        let n = unsafe { libc::sendmsg(self.fd(), &header, libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL) };
        unless_blocked(sys::check_size(n))
    }
}

impl<'a> Lending for SendingDescriptors<'a> {
    type Back = Transfer<&'a [u8]>;

    fn give_back(&mut self, n: usize) -> Self::Back {
        Transfer::new(n, self.buffer)
    }
}

/// `op::recv_fds`.
#[doc(hidden)]
pub struct ReceivingDescriptors<'a> {
    socket: &'a Socket,
    buffer: &'a mut [u8],
}

impl<'a> ReceivingDescriptors<'a> {
    pub(crate) fn new(socket: &'a Socket, buffer: &'a mut [u8]) -> Self {
        ReceivingDescriptors { socket, buffer }
    }
}

/// As an arm: `recvmsg` with MSG_DONTWAIT gives bytes and descriptors, or has done nothing.
impl Pollable for ReceivingDescriptors<'_> {
    type Output = (usize, Vec<OwnedFd>);

    fn fd(&self) -> RawFd {
        self.socket.fd()
    }

    fn events(&self) -> u32 {
        (libc::POLLIN | libc::POLLRDHUP) as u32
    }

    fn verb(&self) -> &'static str {
        "recv_fds"
    }

    fn readiness(&self) -> Readiness {
        self.socket.readiness(!self.buffer.is_empty())
    }

    fn is_nothing(&self) -> bool {
        self.socket.is_stream() && self.buffer.is_empty()
    }

    fn attempt(&mut self) -> Option<io::Result<Self::Output>> {
        if self.is_nothing() {
            return Some(Ok((0, Vec::new())));
        }
        let mut bytes = libc::iovec { iov_base: self.buffer.as_mut_ptr().cast(), iov_len: self.buffer.len() };
        let mut control = Control::new();
        let mut header = empty_header();
        header.msg_iov = &raw mut bytes;
        header.msg_iovlen = 1;
        header.msg_control = control.0.as_mut_ptr().cast();
        header.msg_controllen = control.0.len() as _;
        let flags = libc::MSG_DONTWAIT | libc::MSG_CMSG_CLOEXEC;
        // SAFETY: the header names a buffer that is borrowed mutably, and room for control data.
        let received = sys::check_size(unsafe { libc::recvmsg(self.fd(), &mut header, flags) });
        let result = received.and_then(|n| {
            // Bytes before the next descriptors are received by a call of their own: fewer than there is room for says nothing.
            self.socket.note_received(self.buffer.len(), self.buffer.len());
            // SAFETY: the kernel has filled in the header.
            let fds = unsafe { received_descriptors(&header) };
            if header.msg_flags & libc::MSG_CTRUNC != 0 {
                return Err(io::Error::other(DescriptorsLost { n, closed: fds.len() }));
            }
            Ok((n, fds))
        });
        if result.is_err() {
            self.socket.note_drained();
        }
        unless_blocked(result)
    }
}

/// Takes the descriptors out of a message.
///
/// # Safety
/// `recvmsg` has filled in `header` and what it points to, and nobody else takes them.
unsafe fn received_descriptors(header: &libc::msghdr) -> Vec<OwnedFd> {
    let mut fds = Vec::new();
    // SAFETY: the kernel's control data is a well-formed list, whose data each has the length that its header says, and need not
    // be aligned for descriptors; those are this process's own now.
    unsafe {
        let mut next = libc::CMSG_FIRSTHDR(header);
        while let Some(message) = next.as_ref() {
            if message.cmsg_level == libc::SOL_SOCKET && message.cmsg_type == libc::SCM_RIGHTS {
                let size = message.cmsg_len - libc::CMSG_LEN(0) as usize;
                let data = libc::CMSG_DATA(message).cast::<RawFd>();
                let count = size / size_of::<RawFd>();
                fds.reserve(count);
                fds.extend((0..count).map(|index| OwnedFd::from_raw_fd(data.add(index).read_unaligned())));
            }
            next = libc::CMSG_NXTHDR(header, message);
        }
    }
    fds
}

impl<'a> Lending for ReceivingDescriptors<'a> {
    type Back = (Transfer<&'a mut [u8]>, Vec<OwnedFd>);

    fn give_back(&mut self, (n, fds): Self::Output) -> Self::Back {
        (Transfer::new(n, std::mem::take(&mut self.buffer)), fds)
    }
}

// `send_fds` copies them as such.
const _: () = assert!(size_of::<BorrowedFd<'_>>() == size_of::<RawFd>());
