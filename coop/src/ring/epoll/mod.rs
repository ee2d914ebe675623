//! A ring for kernels that refuse io_uring: what it would have done is done with epoll, system calls that do not block, and
//! threads for those that do.
//!
//! ```text
//!   push ─▶ queued ─▶ enter ─┬─ a poll ───────────────────────▶ watched ── ready ───────────────────┬─▶ completed ─▶ reap
//!                            ├─ on a socket ─▶ tried ── EAGAIN ─▶ watched ── ready, tried again ────┤
//!                            ├─ on a pipe, a terminal ──────────▶ watched ── ready ─▶ on a thread ──┤
//!                            └─ on files and names ─────────────────────────────────▶ on a thread ──┘
//! ```
//!
//! The promises are the ring's: memory that a submission names is not touched after its completion. An operation that is watched
//! can be cancelled at any time. One that a thread has begun is waited for; a signal to that thread ends what may block for ever,
//! such as the opening of a FIFO. What is ready or not, as pipes are, is not begun before it is ready.

pub(super) mod calls;
mod errand;
mod watches;

use super::submission::*;
use super::{Cqe, Patience, Ring, Sqe};
use crate::sys;
use errand::{Desk, Errand};
use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::sync::Arc;
use std::time::{Duration, Instant};
use watches::{Ready, Watches};

/// How soon something is done again of which nothing tells when it is time: connecting where a Unix socket's backlog is full;
/// interrupting a thread that may not have been in its call yet.
const AGAIN: Duration = Duration::from_millis(2);

/// See the module.
pub(crate) struct Epoll {
    /// Only borrowed between the start and the end of one method, none of which calls out meanwhile.
    state: RefCell<State>,
    desk: Arc<Desk>,
    /// Rung when there is something on the desk.
    bell: OwnedFd,
    has_ns: Cell<bool>,
}

/// Events that one call brings at most.
const MOST: usize = 256;

struct State {
    queued: VecDeque<Sqe>,
    /// Operations that have begun and not ended, by their user data.
    pending: HashMap<u64, Pending>,
    completed: VecDeque<Cqe>,
    watches: Watches,
    /// Room for what a call finds.
    events: Box<[libc::epoll_event]>,
    /// What the last call has found ready. Kept for its memory, as everything here: a wait allocates nothing.
    ready: Vec<Ready>,
    /// What is to be done again at this time: connections to be tried, threads to be interrupted.
    again: Vec<u64>,
    again_at: Option<Instant>,
}

/// An operation that has begun.
struct Pending {
    sqe: Sqe,
    /// Bytes moved so far by one that goes on until all are.
    done: i32,
    stage: Stage,
}

enum Stage {
    New,
    /// Until the descriptor is ready.
    Watched,
    /// Until `AGAIN` has passed.
    Waiting,
    /// With a thread.
    Given(Arc<Errand>),
}

impl Epoll {
    pub(crate) fn new() -> io::Result<Self> {
        let bell = sys::eventfd()?;
        let watches = Watches::new(bell.as_raw_fd())?;
        let state = State {
            queued: VecDeque::new(),
            pending: HashMap::new(),
            completed: VecDeque::new(),
            watches,
            events: vec![libc::epoll_event { events: 0, u64: 0 }; MOST].into_boxed_slice(),
            ready: Vec::new(),
            again: Vec::new(),
            again_at: None,
        };
        // SAFETY: our drop closes the desk before the bell.
        let desk = Arc::new(unsafe { Desk::new(bell.as_raw_fd()) });
        Ok(Epoll { state: RefCell::new(state), desk, bell, has_ns: Cell::new(true) })
    }

    /// Begins an operation.
    fn start(&self, state: &mut State, sqe: Sqe) {
        let mut pending = Pending { sqe, done: 0, stage: Stage::New };
        /// `IOSQE_ASYNC`: do not try at once; what is given to a thread is not tried here in any case.
        const ASYNC: u8 = 1 << 4;
        // Neither registered files, provided buffers nor links have been made: nobody can name any.
        if sqe.flags & !ASYNC != 0 {
            return state.complete(sqe.user_data, -libc::EINVAL);
        }
        match sqe.opcode {
            ASYNC_CANCEL => state.cancel(sqe),
            POLL_ADD => state.watch(pending, sqe.op_flags),
            SEND | RECV if sqe.ioprio & POLL_FIRST != 0 => state.watch(pending, calls::events(&sqe)),
            SEND | RECV => {
                state.attempt(pending);
            }
            CONNECT => state.connect(pending),
            ACCEPT => state.watch(pending, calls::events(&sqe)),
            READ | READV | WRITE | WRITEV => {
                // SAFETY: whoever pushed it keeps its memory until the completion.
                if let Some(result) = unsafe { calls::read_cached(&sqe) } {
                    return state.complete(sqe.user_data, result);
                }
                match state.watches.add(sqe.fd, calls::events(&sqe), sqe.user_data) {
                    Ok(()) => {
                        pending.stage = Stage::Watched;
                        state.pending.insert(sqe.user_data, pending);
                    }
                    // What cannot be polled does not block for long.
                    Err(error) if error.raw_os_error() == Some(libc::EPERM) => self.give(state, pending),
                    Err(error) => state.complete(sqe.user_data, -code(&error)),
                }
            }
            _ if calls::is_known(sqe.opcode) => self.give(state, pending),
            _ => state.complete(sqe.user_data, -libc::EINVAL),
        }
    }

    /// Has a thread make the call.
    fn give(&self, state: &mut State, mut pending: Pending) {
        let is_stream = matches!(pending.stage, Stage::Watched);
        let errand = Arc::new(Errand::new(pending.sqe, is_stream));
        pending.stage = Stage::Given(errand.clone());
        state.pending.insert(pending.sqe.user_data, pending);
        errand::send(errand, self.desk.clone());
    }

    /// Takes the results that threads have left.
    fn collect(&self, state: &mut State) {
        for (user_data, result) in self.desk.collect() {
            let Some(pending) = state.pending.remove(&user_data) else { continue };
            let is_called_off = matches!(&pending.stage, Stage::Given(errand) if errand.is_called_off());
            let is_stream = matches!(pending.sqe.opcode, READ | READV | WRITE | WRITEV | ACCEPT);
            match result {
                // Somebody else was faster: wait again, unless nobody wants it any more.
                result if result == -libc::EAGAIN && is_stream && !is_called_off => {
                    let events = calls::events(&pending.sqe);
                    state.watch(pending, events);
                }
                result if result == -libc::EAGAIN && is_called_off => state.complete(user_data, -libc::ECANCELED),
                _ => state.complete(user_data, result),
            }
        }
    }

    /// What is to be done now that a descriptor is ready.
    ///
    /// `found_none`: a socket, and the events, whose last transfer has just found nothing to do. Of thousands that wait for the same
    /// bytes only the first few are tried.
    fn ready(&self, state: &mut State, Ready { user_data, events }: Ready, found_none: &mut Option<(RawFd, u32)>) {
        let Some(pending) = state.pending.remove(&user_data) else { return };
        match pending.sqe.opcode {
            POLL_ADD => state.complete(user_data, events as i32),
            SEND | RECV => {
                let (kind, may_wait) = ((pending.sqe.fd, calls::events(&pending.sqe)), calls::may_wait(&pending.sqe));
                if *found_none == Some(kind) && may_wait {
                    state.watch(pending, kind.1);
                } else {
                    *found_none = (!state.attempt(pending)).then_some(kind);
                }
            }
            // One at a time: it ends without F_MORE, as the kernel's own does whenever it likes.
            ACCEPT if calls::is_nonblocking(pending.sqe.fd) => {
                // SAFETY: whoever pushed it keeps its memory until the completion.
                match unsafe { calls::accept(&pending.sqe) } {
                    result if result == -libc::EAGAIN || result == -libc::EINTR => {
                        let events = calls::events(&pending.sqe);
                        state.watch(pending, events);
                    }
                    result => state.complete(user_data, result),
                }
            }
            CONNECT => {
                let result = calls::connected(pending.sqe.fd);
                state.complete(user_data, result);
            }
            _ => self.give(state, pending),
        }
    }

    /// Waits for events within `patience`.
    fn wait(&self, epoll: RawFd, events: &mut [libc::epoll_event], patience: Patience) -> io::Result<usize> {
        let (pointer, most) = (events.as_mut_ptr(), events.len() as libc::c_int);
        let duration = match patience {
            Patience::None => Some(Duration::ZERO),
            Patience::Until(duration) => Some(duration),
            Patience::Forever => None,
        };
        let result = loop {
            if self.has_ns.get() {
                let timespec = duration.map(|duration| libc::timespec {
                    tv_sec: duration.as_secs().min(i64::MAX as u64) as i64,
                    tv_nsec: i64::from(duration.subsec_nanos()),
                });
                let timeout = timespec.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
                let no_mask = std::ptr::null::<libc::sigset_t>();
                // SAFETY: room for `most` events; the time, if any, lives until the call returns.
                let result = unsafe {
                    libc::syscall(libc::SYS_epoll_pwait2, epoll, pointer, most, timeout, no_mask, size_of::<u64>())
                };
                // Linux before 5.11, or a filter that has not heard of it.
                if result < 0 && matches!(code(&io::Error::last_os_error()), libc::ENOSYS | libc::EPERM) {
                    self.has_ns.set(false);
                    continue;
                }
                break result as libc::c_int;
            }
            // Rounded up: to be early is to be called again for nothing.
            let milliseconds = duration
                .map_or(-1, |duration| i32::try_from(duration.as_nanos().div_ceil(1_000_000)).unwrap_or(i32::MAX));
            // SAFETY: room for `most` events.
            break unsafe { libc::epoll_wait(epoll, pointer, most, milliseconds) };
        };
        match sys::check(result) {
            Ok(count) => Ok(count as usize),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(0),
            Err(error) => Err(error),
        }
    }
}

impl Drop for Epoll {
    fn drop(&mut self) {
        self.desk.close();
    }
}

impl State {
    fn complete(&mut self, user_data: u64, result: i32) {
        self.completed.push_back(Cqe { user_data, result, flags: 0 });
    }

    /// Waits for `events` of the operation's descriptor.
    fn watch(&mut self, mut pending: Pending, events: u32) {
        let Sqe { opcode, fd, user_data, .. } = pending.sqe;
        match self.watches.add(fd, events, user_data) {
            Ok(()) => {
                pending.stage = Stage::Watched;
                self.pending.insert(user_data, pending);
            }
            // Files and some devices are always ready: poll(2) says for what.
            Err(error) if error.raw_os_error() == Some(libc::EPERM) && opcode == POLL_ADD => {
                let result = calls::poll_now(fd, events);
                self.complete(user_data, result);
            }
            Err(error) if error.raw_os_error() == Some(libc::EPERM) && opcode == ACCEPT => {
                self.complete(user_data, -libc::ENOTSOCK);
            }
            Err(error) => {
                let result = if pending.done > 0 { pending.done } else { -code(&error) };
                self.complete(user_data, result);
            }
        }
    }

    /// Tries a transfer on a socket. False: there was nothing to do, and it waits.
    fn attempt(&mut self, mut pending: Pending) -> bool {
        // SAFETY: whoever pushed it keeps its memory until the completion, which is still to come.
        match unsafe { calls::transfer(&mut pending.sqe, &mut pending.done) } {
            Some(result) => {
                self.complete(pending.sqe.user_data, result);
                true
            }
            None => {
                let events = calls::events(&pending.sqe);
                self.watch(pending, events);
                false
            }
        }
    }

    /// Tries to connect.
    fn connect(&mut self, mut pending: Pending) {
        // SAFETY: as in `attempt`.
        match unsafe { calls::connect(&pending.sqe) } {
            result if result == -libc::EINPROGRESS => {
                self.watch(pending, libc::POLLOUT as u32);
            }
            result if result == -libc::EAGAIN => {
                pending.stage = Stage::Waiting;
                self.again_later(pending.sqe.user_data);
                self.pending.insert(pending.sqe.user_data, pending);
            }
            result => self.complete(pending.sqe.user_data, result),
        }
    }

    fn again_later(&mut self, user_data: u64) {
        self.again.push(user_data);
        self.again_at.get_or_insert_with(|| Instant::now() + AGAIN);
    }

    /// Does again what was to be done again by now.
    fn again(&mut self) {
        if self.again_at.is_none_or(|time| Instant::now() < time) {
            return;
        }
        self.again_at = None;
        for user_data in std::mem::take(&mut self.again) {
            match self.pending.get(&user_data).map(|pending| &pending.stage) {
                Some(Stage::Given(errand)) => {
                    errand.interrupt();
                    self.again_later(user_data);
                }
                Some(Stage::Waiting) => {
                    if let Some(pending) = self.pending.remove(&user_data) {
                        self.connect(pending);
                    }
                }
                _ => {}
            }
        }
    }

    /// As on the real ring, the cancel's own completion comes first, and what it says is not what becomes of its target.
    fn cancel(&mut self, cancel: Sqe) {
        let target = cancel.addr;
        let is_stopped = match self.pending.get(&target) {
            None => return self.complete(cancel.user_data, -libc::ENOENT),
            Some(Pending { stage: Stage::Given(errand), .. }) => errand.call_off(),
            Some(_) => true,
        };
        if !is_stopped {
            self.again_later(target);
            return self.complete(cancel.user_data, -libc::EALREADY);
        }
        self.complete(cancel.user_data, 0);
        if let Some(pending) = self.pending.remove(&target) {
            self.watches.remove(pending.sqe.fd, target);
            self.again.retain(|user_data| *user_data != target);
            self.complete(target, if pending.done > 0 { pending.done } else { -libc::ECANCELED });
        }
    }
}

impl Ring for Epoll {
    fn push(&self, sqe: Sqe) {
        self.state.borrow_mut().queued.push_back(sqe);
    }

    fn unsubmitted(&self) -> usize {
        self.state.borrow().queued.len()
    }

    /// What is watched can only be looked at by a system call: while anything is, there is work.
    fn has_work(&self) -> bool {
        let state = self.state.borrow();
        !state.queued.is_empty() || !state.completed.is_empty() || !state.pending.is_empty()
    }

    fn enter(&self, patience: Patience) -> io::Result<()> {
        let mut state = self.state.borrow_mut();
        let state = &mut *state;
        while let Some(sqe) = state.queued.pop_front() {
            self.start(state, sqe);
        }
        self.collect(state);
        state.again();
        if patience == Patience::None && state.pending.is_empty() {
            return Ok(());
        }
        let patience = match (patience, state.again_at) {
            _ if !state.completed.is_empty() => Patience::None,
            (Patience::None, _) | (_, None) => patience,
            (Patience::Forever, Some(time)) => Patience::Until(time.saturating_duration_since(Instant::now())),
            (Patience::Until(duration), Some(time)) => {
                Patience::Until(duration.min(time.saturating_duration_since(Instant::now())))
            }
        };
        let count = self.wait(state.watches.epoll(), &mut state.events, patience)?;
        for event in &state.events[..count] {
            if !state.watches.take_ready(event, &mut state.ready) {
                sys::eventfd_silence(self.bell.as_raw_fd());
            }
        }
        // In the order in which they came.
        let mut found_none = None;
        for index in 0..state.ready.len() {
            let ready = state.ready[index];
            self.ready(state, ready, &mut found_none);
        }
        state.ready.clear();
        for (user_data, error) in state.watches.rearm() {
            if let Some(pending) = state.pending.remove(&user_data) {
                state.complete(user_data, if pending.done > 0 { pending.done } else { -code(&error) });
            }
        }
        self.collect(state);
        state.again();
        Ok(())
    }

    fn reap(&self, mut each: impl FnMut(Cqe)) {
        loop {
            // One at a time: `each` may push, and must not find the state borrowed.
            let next = self.state.borrow_mut().completed.pop_front();
            let Some(cqe) = next else { break };
            each(cqe);
        }
    }
}

/// The number of an error of the system's.
fn code(error: &io::Error) -> i32 {
    error.raw_os_error().unwrap_or(libc::EIO)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::os::fd::FromRawFd;
    use std::os::unix::net::UnixStream;

    /// Enters until there are `count` completions.
    fn completions(ring: &Epoll, count: usize) -> Vec<(u64, i32)> {
        let mut all = Vec::new();
        while all.len() < count {
            ring.enter(Patience::Forever).unwrap();
            ring.reap(|cqe| all.push((cqe.user_data, cqe.result)));
        }
        assert!(all.len() == count, "{all:?}");
        all
    }

    #[test]
    fn a_cancel_has_a_completion_of_its_own_before_that_of_what_it_stops() {
        let ring = Epoll::new().unwrap();
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let mut buffer = [0; 4];
        ring.push(Sqe::recv(ours.as_raw_fd(), buffer.as_mut_ptr(), 4, 0, 0).with_user_data(7));
        ring.push(Sqe::cancel(7).with_user_data(8));
        assert_eq!(completions(&ring, 2), [(8, 0), (7, -libc::ECANCELED)]);
        ring.push(Sqe::cancel(7).with_user_data(9));
        assert_eq!(completions(&ring, 1), [(9, -libc::ENOENT)]);
        // Nothing of it is left: what comes later is another's.
        theirs.write_all(b"late").unwrap();
        ring.push(Sqe::poll(ours.as_raw_fd(), libc::POLLIN as u32).with_user_data(10));
        assert_eq!(completions(&ring, 1), [(10, i32::from(libc::POLLIN))]);
        assert_eq!((&ours).read(&mut buffer).unwrap(), 4);
        assert!(!ring.has_work());
    }

    #[test]
    fn polls_of_one_descriptor_complete_each_at_its_own_event() {
        let ring = Epoll::new().unwrap();
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let poll = |events: i16, name| ring.push(Sqe::poll(ours.as_raw_fd(), events as u32).with_user_data(name));
        poll(libc::POLLIN, 1);
        poll(libc::POLLOUT, 2);
        poll(libc::POLLIN, 3);
        poll(libc::POLLRDHUP, 4);
        assert_eq!(completions(&ring, 1), [(2, i32::from(libc::POLLOUT))]);
        theirs.write_all(b"x").unwrap();
        let mut both = completions(&ring, 2);
        both.sort();
        assert_eq!(both, [(1, i32::from(libc::POLLIN)), (3, i32::from(libc::POLLIN))]);
        drop(theirs);
        let hangup = i32::from(libc::POLLRDHUP | libc::POLLHUP);
        assert_eq!(completions(&ring, 1), [(4, hangup)]);
        ring.push(Sqe::poll(-1, libc::POLLIN as u32).with_user_data(5));
        assert_eq!(completions(&ring, 1), [(5, -libc::EBADF)]);
        // epoll does not take what is always ready.
        let file = std::fs::File::open("/proc/self/exe").unwrap();
        ring.push(Sqe::poll(file.as_raw_fd(), libc::POLLIN as u32).with_user_data(6));
        assert_eq!(completions(&ring, 1), [(6, i32::from(libc::POLLIN))]);
    }

    #[test]
    fn a_transfer_of_all_goes_on_until_it_is_done_and_says_how_far_it_came() {
        let ring = Epoll::new().unwrap();
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let (much, mut back) = (vec![7; 1 << 20], vec![0; 1 << 20]);
        let send = Sqe::send(ours.as_raw_fd(), much.as_ptr(), much.len(), libc::MSG_WAITALL);
        ring.push(send.with_user_data(1));
        let reader = std::thread::spawn(move || {
            theirs.read_exact(&mut back).unwrap();
            (theirs, back)
        });
        assert_eq!(completions(&ring, 1), [(1, 1 << 20)]);
        let (theirs, back) = reader.join().unwrap();
        assert!(back == much);
        ring.push(send.with_user_data(2));
        ring.push(Sqe::cancel(2).with_user_data(3));
        let all = completions(&ring, 2);
        assert!(matches!(all[..], [(3, 0), (2, 1..0x100000)]), "{all:?}");
        drop(theirs);
        ring.push(send.with_user_data(4));
        assert_eq!(completions(&ring, 1), [(4, -libc::EPIPE)]);
    }

    #[test]
    fn of_two_that_are_ready_for_the_same_who_comes_too_late_waits_on() {
        let ring = Epoll::new().unwrap();
        // A pipe, whose reads are threads' calls, and a listener that does not block, whose accepts are made here.
        let mut pipe = [0; 2];
        // SAFETY: room for two descriptors, which are this test's from here on.
        let (reads, writes) = unsafe {
            assert_eq!(libc::pipe2(pipe.as_mut_ptr(), libc::O_CLOEXEC), 0);
            (OwnedFd::from_raw_fd(pipe[0]), OwnedFd::from_raw_fd(pipe[1]))
        };
        let mut buffers = [[0u8; 4]; 2];
        for (name, buffer) in (1..).zip(&mut buffers) {
            let read = Sqe::read(reads.as_raw_fd(), buffer.as_mut_ptr(), 4, u64::MAX);
            ring.push(read.with_user_data(name));
        }
        let mut writes = std::fs::File::from(writes);
        writes.write_all(b"one").unwrap();
        let first = completions(&ring, 1);
        assert!(matches!(first[..], [(1 | 2, 3)]), "{first:?}");
        writes.write_all(b"more").unwrap();
        assert_eq!(completions(&ring, 1), [(3 - first[0].0, 4)]);

        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        for name in [3, 4] {
            ring.push(Sqe::accept_multishot(listener.as_raw_fd(), libc::SOCK_CLOEXEC).with_user_data(name));
        }
        let connect = || std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let mut peers = vec![connect()];
        let first = completions(&ring, 1);
        peers.push(connect());
        let second = completions(&ring, 1);
        let mut names = [first[0].0, second[0].0];
        names.sort();
        assert_eq!(names, [3, 4]);
        for (_, fd) in [first[0], second[0]] {
            assert!(fd >= 0, "{fd}");
            // SAFETY: just accepted.
            drop(unsafe { OwnedFd::from_raw_fd(fd) });
        }
    }

    #[test]
    fn who_says_that_it_will_not_wait_does_not() {
        let ring = Epoll::new().unwrap();
        let (ours, _theirs) = UnixStream::pair().unwrap();
        let mut buffer = [0; 4];
        let receive = Sqe::recv(ours.as_raw_fd(), buffer.as_mut_ptr(), 4, libc::MSG_DONTWAIT, 0);
        ring.push(receive.with_user_data(1));
        assert_eq!(completions(&ring, 1), [(1, -libc::EAGAIN)]);
    }

    #[test]
    fn what_it_does_not_know_is_an_error_and_so_is_what_it_cannot_do() {
        let ring = Epoll::new().unwrap();
        let (mut unknown, mut registered) = (Sqe::poll(0, 1), Sqe::poll(0, 1));
        unknown.opcode = 200;
        registered.flags = 1;
        ring.push(unknown.with_user_data(1));
        ring.push(registered.with_user_data(2));
        ring.push(Sqe::splice(0, None, 1, 1).with_user_data(3));
        assert_eq!(completions(&ring, 3), [1, 2, 3].map(|name| (name, -libc::EINVAL)));
        let (mut buffer, eventfd) = ([0; 4], sys::eventfd().unwrap());
        ring.push(Sqe::recv(eventfd.as_raw_fd(), buffer.as_mut_ptr(), 4, 0, 0).with_user_data(4));
        ring.push(Sqe::read(-1, buffer.as_mut_ptr(), 4, 0).with_user_data(5));
        assert_eq!(completions(&ring, 2), [(4, -libc::ENOTSOCK), (5, -libc::EBADF)]);
    }

    #[test]
    fn a_call_on_a_thread_that_hangs_is_called_off() {
        let ring = Epoll::new().unwrap();
        let path = std::env::temp_dir().join(format!("coop-ring-{}", std::process::id()));
        let path = std::ffi::CString::new(path.to_str().unwrap()).unwrap();
        // SAFETY: a text that ends with a zero.
        assert_eq!(unsafe { libc::mkfifo(path.as_ptr(), 0o600) }, 0);
        // As many as there are threads, and more.
        const COUNT: u64 = 80;
        for name in 1..=COUNT {
            ring.push(Sqe::openat(libc::AT_FDCWD, path.as_ptr(), libc::O_RDONLY, 0).with_user_data(name));
        }
        ring.enter(Patience::Until(Duration::from_millis(20))).unwrap();
        for name in 1..=COUNT {
            ring.push(Sqe::cancel(name).with_user_data(1_000 + name));
        }
        let all = completions(&ring, 2 * COUNT as usize);
        for (name, result) in &all {
            let (stopped, late) = (-libc::ECANCELED, -libc::EINTR);
            match name {
                1..=COUNT => assert!(*result == stopped || *result == late, "{result}"),
                _ => assert!(*result == 0 || *result == -libc::EALREADY, "{result}"),
            }
        }
        assert!(all.iter().any(|(_, result)| *result == -libc::EINTR), "some had begun");
        // SAFETY: as above.
        unsafe { libc::unlink(path.as_ptr()) };
    }
}
