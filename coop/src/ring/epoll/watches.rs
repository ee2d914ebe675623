//! Which descriptors are watched, for what, and for whom.
//!
//! epoll knows one registration for a descriptor; any number of operations may wait for one. It is armed for what they want
//! together, once (`EPOLLONESHOT`), at each new wait: a descriptor that was closed and is a new one by the same number is found
//! out by that, since the kernel then knows no registration. Where others wait already, who keep it open, and nothing more is
//! wanted, it is armed as it should be: to arm it for each of thousands would be quadratic. One that fires for nobody is disarmed by having fired; its
//! number of the arming tells it from a later one. epoll keeps nothing open, so nothing needs to be taken back before a close.

use crate::sys;
use std::collections::HashMap;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

pub(super) struct Watches {
    epoll: OwnedFd,
    by_fd: HashMap<RawFd, Watch>,
    /// Descriptors that have fired while others still wait for them.
    spent: Vec<RawFd>,
    armings: u32,
}

#[derive(Default)]
struct Watch {
    waiters: Vec<Waiter>,
    /// Which arming is in force.
    arming: u32,
    /// For what; nothing once it has fired.
    armed: u32,
    /// The kernel has had a registration; it may have gone with a close.
    is_known: bool,
}

struct Waiter {
    user_data: u64,
    events: u32,
}

/// An operation whose descriptor is ready, and for what.
#[derive(Clone, Copy)]
pub(super) struct Ready {
    pub(super) user_data: u64,
    pub(super) events: u32,
}

/// Reported whether asked for or not.
const ALWAYS: u32 = (libc::EPOLLERR | libc::EPOLLHUP) as u32;

/// What an event of the bell is named.
const BELL: u64 = u64::MAX;

impl Watches {
    /// With a bell, which is always watched.
    pub(super) fn new(bell: RawFd) -> io::Result<Self> {
        let epoll = sys::epoll()?;
        let watches = Watches { epoll, by_fd: HashMap::new(), spent: Vec::new(), armings: 0 };
        watches.control(libc::EPOLL_CTL_ADD, bell, libc::EPOLLIN as u32, BELL)?;
        Ok(watches)
    }

    pub(super) fn epoll(&self) -> RawFd {
        self.epoll.as_raw_fd()
    }

    fn control(&self, what: libc::c_int, fd: RawFd, events: u32, name: u64) -> io::Result<()> {
        let mut event = libc::epoll_event { events, u64: name };
        // SAFETY: the event lives until the call returns.
        sys::check(unsafe { libc::epoll_ctl(self.epoll.as_raw_fd(), what, fd, &mut event) }).map(drop)
    }

    /// Waits for `events` of `fd` on behalf of an operation.
    pub(super) fn add(&mut self, fd: RawFd, events: u32, user_data: u64) -> io::Result<()> {
        let watch = self.by_fd.entry(fd).or_default();
        let is_armed = !watch.waiters.is_empty() && watch.armed & events == events;
        watch.waiters.push(Waiter { user_data, events });
        if is_armed {
            return Ok(());
        }
        let result = self.arm(fd);
        if result.is_err() {
            self.remove(fd, user_data);
        }
        result
    }

    /// Waits no more on behalf of that operation. What was armed for it may fire once more, for nobody.
    pub(super) fn remove(&mut self, fd: RawFd, user_data: u64) {
        if let Some(watch) = self.by_fd.get_mut(&fd) {
            watch.waiters.retain(|waiter| waiter.user_data != user_data);
        }
    }

    fn arm(&mut self, fd: RawFd) -> io::Result<()> {
        let Some(watch) = self.by_fd.get_mut(&fd) else { return Ok(()) };
        self.armings = self.armings.wrapping_add(1);
        watch.arming = self.armings;
        let is_known = std::mem::replace(&mut watch.is_known, true);
        let events = watch.waiters.iter().fold(libc::EPOLLONESHOT as u32, |all, waiter| all | waiter.events);
        let name = u64::from(watch.arming) << 32 | u64::from(fd as u32);
        let (first, second, unless) = match is_known {
            true => (libc::EPOLL_CTL_MOD, libc::EPOLL_CTL_ADD, libc::ENOENT),
            false => (libc::EPOLL_CTL_ADD, libc::EPOLL_CTL_MOD, libc::EEXIST),
        };
        let result = match self.control(first, fd, events, name) {
            Err(error) if error.raw_os_error() == Some(unless) => self.control(second, fd, events, name),
            result => result,
        };
        if let Some(watch) = self.by_fd.get_mut(&fd) {
            (watch.armed, watch.is_known) = if result.is_ok() { (events, true) } else { (0, false) };
        }
        result
    }

    /// Takes those for whom `event` is good news. False: it is the bell's.
    pub(super) fn take_ready(&mut self, event: &libc::epoll_event, ready: &mut Vec<Ready>) -> bool {
        let (name, got) = (event.u64, event.events);
        if name == BELL {
            return false;
        }
        let fd = name as u32 as RawFd;
        let Some(watch) = self.by_fd.get_mut(&fd) else { return true };
        if watch.arming != (name >> 32) as u32 {
            return true;
        }
        watch.armed = 0;
        watch.waiters.retain(|waiter| {
            let events = got & (waiter.events | ALWAYS);
            if events != 0 {
                ready.push(Ready { user_data: waiter.user_data, events });
            }
            events == 0
        });
        if !watch.waiters.is_empty() {
            self.spent.push(fd);
        }
        true
    }

    /// Arms again what has fired while others wait. Gives those for whom that failed.
    pub(super) fn rearm(&mut self) -> Vec<(u64, io::Error)> {
        let mut failed = Vec::new();
        while let Some(fd) = self.spent.pop() {
            if let Err(error) = self.arm(fd)
                && let Some(watch) = self.by_fd.get_mut(&fd)
            {
                let code = error.raw_os_error().unwrap_or(libc::EIO);
                let lost = watch.waiters.drain(..);
                failed.extend(lost.map(|waiter| (waiter.user_data, io::Error::from_raw_os_error(code))));
            }
        }
        failed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::os::unix::net::UnixStream;

    const IN: u32 = libc::EPOLLIN as u32;
    const OUT: u32 = libc::EPOLLOUT as u32;

    /// What is ready, by user data.
    fn ready(watches: &mut Watches) -> Vec<u64> {
        let mut events = [libc::epoll_event { events: 0, u64: 0 }; 8];
        // SAFETY: room for eight events.
        let count = unsafe { libc::epoll_wait(watches.epoll(), events.as_mut_ptr(), 8, 0) };
        let mut ready = Vec::new();
        for event in &events[..count as usize] {
            assert!(watches.take_ready(event, &mut ready));
        }
        assert!(watches.rearm().is_empty());
        ready.into_iter().map(|ready| ready.user_data).collect()
    }

    #[test]
    fn a_descriptor_is_armed_once_for_all_who_want_the_same_of_it() {
        let bell = sys::eventfd().unwrap();
        let mut watches = Watches::new(bell.as_raw_fd()).unwrap();
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let fd = ours.as_raw_fd();
        (1..=1000).for_each(|user_data| watches.add(fd, IN, user_data).unwrap());
        assert_eq!(watches.armings, 1);
        // Something else is wanted of it; then it is there; then it is not.
        watches.add(fd, OUT, 1001).unwrap();
        assert_eq!((watches.armings, ready(&mut watches)), (2, vec![1001]));
        assert_eq!((watches.armings, ready(&mut watches)), (3, vec![]));
        watches.remove(fd, 1);
        watches.add(fd, IN, 1).unwrap();
        assert_eq!(watches.armings, 3);
        // It has fired: whoever comes next arms it.
        theirs.write_all(b"x").unwrap();
        assert_eq!(ready(&mut watches), (2..=1000).chain([1]).collect::<Vec<_>>());
        watches.add(fd, IN, 2).unwrap();
        assert_eq!((watches.armings, ready(&mut watches)), (4, vec![2]));
    }

    #[test]
    fn a_number_that_is_used_again_is_armed_again() {
        let bell = sys::eventfd().unwrap();
        let mut watches = Watches::new(bell.as_raw_fd()).unwrap();
        let (ours, theirs) = UnixStream::pair().unwrap();
        let fd = ours.as_raw_fd();
        watches.add(fd, IN, 1).unwrap();
        // Who waited is gone, before the descriptor is.
        watches.remove(fd, 1);
        let (other, mut others) = UnixStream::pair().unwrap();
        // SAFETY: both are sockets of this test's.
        assert_eq!(unsafe { libc::dup2(other.as_raw_fd(), fd) }, fd);
        watches.add(fd, IN, 2).unwrap();
        others.write_all(b"x").unwrap();
        assert_eq!(ready(&mut watches), [2]);
        drop(theirs);
    }
}
