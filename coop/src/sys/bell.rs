//! How a thread wakes another that sleeps in the kernel.

use super::{check, eventfd, eventfd_silence, eventfd_wake};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::sync::{Mutex, PoisonError};

/// Wakes whoever watches it: by a message to his ring, if he has one that takes messages; else by an eventfd, readable from when
/// it was rung until it is silenced.
///
/// The message spares him a poll and a read: an eighth of the processor time that a wake from one thread to another costs both.
pub(crate) struct Bell {
    event: OwnedFd,
    /// The ring, by a descriptor of our own, and the user data by which it knows the message.
    ring: Mutex<Option<(OwnedFd, u64)>>,
}

impl Bell {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Bell { event: eventfd()?, ring: Mutex::new(None) })
    }

    /// From now on it rings by messages, as long as the kernel sends them.
    pub(crate) fn connect(&self, ring: OwnedFd, user_data: u64) {
        *self.ring.lock().unwrap_or_else(PoisonError::into_inner) = Some((ring, user_data));
    }

    /// Lets go of the ring.
    pub(crate) fn disconnect(&self) {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    pub(crate) fn ring(&self) {
        // Held through the call, so that nobody sends to a ring that is gone, or to a number that means another.
        let mut ring = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
        let sent = ring.as_ref().is_some_and(|(ring, user_data)| send_message(ring.as_raw_fd(), *user_data).is_ok());
        if !sent {
            // An older kernel does not know how, nor will it learn.
            ring.take();
            eventfd_wake(self.event.as_raw_fd());
        }
    }

    pub(crate) fn silence(&self) {
        eventfd_silence(self.event.as_raw_fd());
    }

    /// The eventfd.
    pub(crate) fn fd(&self) -> RawFd {
        self.event.as_raw_fd()
    }
}

/// Posts a completion with this user data to another ring, by `IORING_REGISTER_SEND_MSG_RING`: an `IORING_OP_MSG_RING` that needs no
/// ring to send from. Linux 6.13; before, the kernel answers EINVAL or EBADF.
fn send_message(ring: RawFd, user_data: u64) -> io::Result<()> {
    const REGISTER_SEND_MSG_RING: libc::c_uint = 31;
    const MSG_RING: u8 = 40;
    let mut sqe = [0u64; 8];
    sqe[0] = u64::from(MSG_RING) | u64::from(ring as u32) << 32;
    sqe[1] = user_data;
    // SAFETY: one entry is passed, as the count says.
    let result = unsafe { libc::syscall(libc::SYS_io_uring_register, -1, REGISTER_SEND_MSG_RING, sqe.as_ptr(), 1) };
    check(result as libc::c_int).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use io_uring::IoUring;

    fn is_readable(bell: &Bell) -> bool {
        let mut poll = libc::pollfd { fd: bell.fd(), events: libc::POLLIN, revents: 0 };
        // SAFETY: an array of one.
        unsafe { libc::poll(&mut poll, 1, 0) == 1 }
    }

    #[test]
    fn it_rings_by_message_where_the_kernel_sends_them_and_by_eventfd_where_not() {
        let mut ring: IoUring = IoUring::builder().setup_single_issuer().setup_defer_taskrun().build(8).unwrap();
        // SAFETY: the ring is borrowed for as long.
        let borrowed = unsafe { std::os::fd::BorrowedFd::borrow_raw(ring.as_raw_fd()) };
        let bell = Bell::new().unwrap();
        bell.ring();
        assert!(is_readable(&bell), "no ring");
        bell.silence();
        bell.connect(borrowed.try_clone_to_owned().unwrap(), 77);
        std::thread::scope(|scope| scope.spawn(|| bell.ring()).join().unwrap());
        if !is_readable(&bell) {
            ring.submit_and_wait(1).unwrap();
            let user_data: Vec<u64> = ring.completion().map(|cqe: io_uring::cqueue::Entry| cqe.user_data()).collect();
            assert_eq!(user_data, [77], "a message is a completion");
        }
        bell.silence();
        // What is no ring takes no messages.
        bell.connect(eventfd().unwrap(), 77);
        bell.ring();
        assert!(is_readable(&bell) && bell.ring.lock().unwrap().is_none());
        bell.silence();
        bell.connect(borrowed.try_clone_to_owned().unwrap(), 78);
        bell.disconnect();
        bell.ring();
        assert!(is_readable(&bell) && ring.completion().next().is_none(), "let go of");
    }
}
