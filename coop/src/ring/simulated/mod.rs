//! A ring in which chance decides what the kernel's timing decides otherwise. Operations act on real descriptors, by calls that
//! do not block (or, on files, that block as long as the file system does); a seed says which of those that could complete do, in
//! which order, how short a transfer is, and whether a cancel finds its target still there. It does what io_uring may do and seldom
//! does: it takes a part of what is submitted, lets completions overflow their queue, ends what has several completions.
//!
//! With a [`Network`], what stands for an IP socket is connected to the simulator, and what is sent takes time. It waits for nobody
//! while a clock can jump instead.

mod chance;
mod connection;
mod link;
mod name;
mod network;
mod notice;
mod socket;

pub(crate) use chance::{Chance, Choice, Quieted};
pub(crate) use name::address_in;
pub(crate) use network::{Behaviour, ELSEWHERE, Network};

use super::epoll::calls;
use super::provided::Selection;
use super::submission::*;
use super::{Cqe, NOTIFICATION, Patience, Ring, Sqe};
use link::{Chain, Limit};
use notice::Notice;
use std::cell::{OnceCell, RefCell};
use std::collections::VecDeque;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::ptr;
use std::rc::Rc;

/// See the module.
pub(crate) struct Simulated {
    state: RefCell<State>,
    chance: Rc<Chance>,
    network: Option<Rc<Network>>,
    /// As many completions fit the queue; more wait until it was emptied.
    room: usize,
    /// Buffers that it may fill.
    selection: OnceCell<Selection>,
}

#[derive(Default)]
struct State {
    queued: VecDeque<Sqe>,
    pending: Vec<Pending>,
    completed: VecDeque<Cqe>,
    overflown: VecDeque<Cqe>,
    /// The last entry has posted nothing.
    is_settled: bool,
}

/// An operation that the simulated kernel has taken.
struct Pending {
    /// As it was submitted, but that it names `file`, if there is one.
    sqe: Sqe,
    /// The kernel keeps the file that an operation is about, even if its descriptor is closed meanwhile.
    file: Option<OwnedFd>,
    /// Bytes moved so far by one that goes on until all are.
    done: i32,
    /// It has moved some, and would at once again.
    has_moved: bool,
    /// A cancel came too late to stop it at once: it ends soon.
    is_doomed: bool,
    /// It has been cancelled, and ends at the end of this entry: another cancel finds it too.
    is_stopped: bool,
    /// The network tells when it ends.
    is_remote: bool,
    /// A connect that has begun; a receive that was tried.
    is_begun: bool,
    /// What its next completion says of the buffer that it has filled.
    buffer: u32,
    /// What is linked to it.
    rest: Chain,
    /// How long it may take.
    limit: Option<Limit>,
    /// It has sent what it was to send: only its notification is still to come.
    notice: Option<Notice>,
}

impl Pending {
    fn new(sqe: Sqe, rest: Chain, limit: Option<Limit>) -> Self {
        Pending {
            sqe,
            file: None,
            done: 0,
            has_moved: false,
            is_doomed: false,
            is_stopped: false,
            is_remote: false,
            is_begun: false,
            buffer: 0,
            rest,
            limit,
            notice: None,
        }
    }
}

/// `IORING_CQE_F_MORE`.
const MORE: u32 = 1 << 1;

/// `IORING_CQE_F_BUFFER`, with the buffer's number.
fn filled(buffer: u16) -> u32 {
    1 | u32::from(buffer) << 16
}

impl State {
    /// Posts a completion. False: it did not fit the queue.
    fn complete(&mut self, room: usize, user_data: u64, result: i32, flags: u32) -> bool {
        let fits = self.overflown.is_empty() && self.completed.len() < room;
        let queue = if fits { &mut self.completed } else { &mut self.overflown };
        queue.push_back(Cqe { user_data, result, flags });
        fits
    }
}

impl Simulated {
    /// A ring over whatever descriptors there are.
    pub(crate) fn new(seed: u64) -> Self {
        Self::with(Rc::new(Chance::new(seed, &Quieted::default(), false)), None)
    }

    /// A ring that makes these choices, and drives a network.
    pub(crate) fn with(chance: Rc<Chance>, network: Option<Rc<Network>>) -> Self {
        let room = [usize::MAX, 64, 8, 3][chance.below(Choice::Overflow, 4)];
        Simulated { state: RefCell::default(), chance, network, room, selection: OnceCell::new() }
    }

    pub(crate) fn network(&self) -> Option<&Network> {
        self.network.as_deref()
    }

    /// From now on there are buffers.
    pub(super) fn select_from(&self, selection: Selection) {
        let _ = self.selection.set(selection);
    }

    /// How many operations something outside may still complete: those on descriptors that do not belong to the network.
    pub(crate) fn outside(&self) -> usize {
        self.state.borrow().pending.iter().filter(|pending| self.is_outside(pending)).count()
    }

    fn is_outside(&self, pending: &Pending) -> bool {
        !pending.is_remote
            && pending.notice.is_none()
            && self.network().is_none_or(|network| !network.is_ours(pending.sqe.fd))
    }

    /// Waits for what is outside: at most so many milliseconds, or, if that is negative, for as long as it takes.
    pub(crate) fn wait_for_outside(&self, milliseconds: i32) {
        let state = self.state.borrow();
        let outside: Vec<&Pending> = state.pending.iter().filter(|pending| self.is_outside(pending)).collect();
        wait_for_any(&outside, milliseconds);
    }

    /// Whether the last entry has found nothing to complete: unless time passes, nothing will.
    pub(crate) fn is_settled(&self) -> bool {
        let state = self.state.borrow();
        state.is_settled && state.queued.is_empty() && state.overflown.is_empty()
    }

    /// When the network, or the time of an operation, has something to do next.
    pub(crate) fn next_event(&self) -> Option<u64> {
        let arrival = self.network().and_then(Network::next_event);
        arrival.into_iter().chain(self.next_limit(&self.state.borrow())).min()
    }

    fn next_limit(&self, state: &State) -> Option<u64> {
        state.pending.iter().filter(|pending| !pending.is_stopped).filter_map(|p| Some(p.limit.as_ref()?.at)).min()
    }

    fn now(&self) -> u64 {
        self.network().map_or_else(crate::sys::monotonic, Network::now)
    }

    /// Takes operations that are linked; or one alone.
    fn launch(&self, mut chain: Chain, state: &mut State) {
        let before = |index: usize| index.checked_sub(1).and_then(|index| chain.get(index));
        let refused: Vec<_> = (0..chain.len()).map(|index| link::refusal(before(index), &chain[index])).collect();
        if refused.iter().any(Option::is_some) {
            for (sqe, refusal) in chain.iter().zip(refused) {
                match refusal {
                    // It finds out too late that it does not want it.
                    Some(error) if sqe.opcode == SEND_ZC && sqe.addr3 == 0 => {
                        state.complete(self.room, sqe.user_data, error, MORE);
                        state.complete(self.room, sqe.user_data, 0, NOTIFICATION);
                    }
                    Some(error) => drop(state.complete(self.room, sqe.user_data, error, 0)),
                    None => self.give_up(sqe, state),
                }
            }
        } else if let Some(sqe) = chain.pop_front() {
            self.start(sqe, chain, state);
        }
    }

    fn start(&self, sqe: Sqe, mut rest: Chain, state: &mut State) {
        let limit = rest.pop_front_if(|next| next.opcode == LINK_TIMEOUT);
        // SAFETY: whoever pushed it keeps the time until its completion.
        let limit = limit.map(|sqe| unsafe { Limit::new(&sqe, self.now()) });
        let mut pending = Pending::new(sqe, rest, limit);
        match sqe.opcode {
            ASYNC_CANCEL => {
                let result = self.cancel(sqe, state);
                return self.follow(pending, i64::from(sqe.len), result, state);
            }
            NOP => {
                let result = if sqe.op_flags & NOP_INJECT_RESULT != 0 { sqe.len as i32 } else { 0 };
                return self.end(pending, result, state);
            }
            _ => {}
        }
        if may_wait(sqe.opcode) {
            // SAFETY: fcntl has no preconditions.
            match crate::sys::owned(unsafe { libc::fcntl(sqe.fd, libc::F_DUPFD_CLOEXEC, 0) }) {
                Ok(file) => {
                    pending.sqe.fd = file.as_raw_fd();
                    pending.file = Some(file);
                }
                Err(error) if error.raw_os_error() == Some(libc::EBADF) => {
                    return self.end(pending, -libc::EBADF, state);
                }
                // There is no number left: its own must do.
                Err(_) => {}
            }
        }
        if let (CONNECT, Some(network)) = (sqe.opcode, &self.network) {
            // SAFETY: whoever pushed the operation keeps the address until its completion.
            if let Some(to) = unsafe { ip_address(&sqe) }
                && network.is_ours(sqe.fd)
            {
                network.connect(sqe.user_data, pending.sqe.fd, to);
                pending.is_remote = true;
            }
        }
        state.pending.push(pending);
    }

    /// Posts the last completion of an operation, but for a notification, and has what is linked to it begin.
    fn end(&self, pending: Pending, result: i32, state: &mut State) {
        let Pending { sqe, done, .. } = pending;
        // SAFETY: whoever pushed it keeps what it names until its completion.
        let asked = unsafe { link::asked(&sqe) } + i64::from(done);
        if sqe.opcode == SEND_ZC {
            let address = sqe.addr - done as u64;
            // SAFETY: as above, to the last of its completions.
            let notice = unsafe { Notice::new(&sqe, address, result, &self.chance, self.network()) };
            state.complete(self.room, sqe.user_data, result, MORE | pending.buffer);
            // It holds no file: that one is closed is no reason to notify.
            state.pending.push(Pending { notice: Some(notice), ..Pending::new(sqe, Chain::new(), None) });
        } else {
            state.complete(self.room, sqe.user_data, result, pending.buffer);
        }
        self.follow(pending, asked, result, state);
    }

    /// An operation has ended: so has its timeout, and what is linked to it is begun, or not.
    fn follow(&self, mut pending: Pending, asked: i64, result: i32, state: &mut State) {
        if let Some(limit) = pending.limit {
            // Its time may have been over in that very moment. (It does not begin for what fails at once.)
            let answers = [-libc::ECANCELED, -libc::ENOENT, -libc::ETIME];
            let is_late = limit.at <= self.now() && (result >= 0 || pending.file.is_some());
            let late = if is_late { self.chance.below(Choice::Cancel, answers.len()) } else { 0 };
            state.complete(self.room, limit.user_data, answers[late], 0);
        }
        if link::has_failed(&pending.sqe, asked, result) {
            pending.rest.iter().for_each(|sqe| self.give_up(sqe, state));
        } else if let Some(next) = pending.rest.pop_front() {
            self.start(next, pending.rest, state);
        }
    }

    /// What is linked to something that has failed is not begun.
    fn give_up(&self, sqe: &Sqe, state: &mut State) {
        state.complete(self.room, sqe.user_data, -libc::ECANCELED, 0);
        // The kernel has a send's notification ready by then, and posts it, though it has announced none.
        if let Some(result) = notice::unannounced(sqe) {
            state.complete(self.room, sqe.user_data, result, NOTIFICATION);
        }
    }

    /// Gives what it says.
    fn cancel(&self, cancel: Sqe, state: &mut State) -> i32 {
        let is_target = |pending: &Pending| pending.sqe.user_data == cancel.addr && pending.notice.is_none();
        match state.pending.iter().position(is_target) {
            Some(index) => self.call_off(index, cancel.user_data, 0, state),
            None => {
                state.complete(self.room, cancel.user_data, -libc::ENOENT, 0);
                -libc::ENOENT
            }
        }
    }

    /// Calls operations off whose time is over.
    fn expire(&self, state: &mut State) {
        while self.next_limit(state).is_some_and(|at| at <= self.now()) {
            let now = self.now();
            let is_over = |pending: &Pending| pending.limit.as_ref().is_some_and(|limit| limit.at <= now);
            let Some(index) = state.pending.iter().position(|pending| !pending.is_stopped && is_over(pending)) else {
                return;
            };
            if let Some(limit) = state.pending[index].limit.take() {
                self.call_off(index, limit.user_data, -libc::ETIME, state);
            }
        }
    }

    /// Cancels an operation for another, which is told `success` if that was in time. What is said of a cancel and what becomes of its
    /// target are two things: io_uring_cancelation(7).
    fn call_off(&self, index: usize, asker: u64, success: i32, state: &mut State) -> i32 {
        let target = &mut state.pending[index];
        let (user_data, is_remote) = (target.sqe.user_data, target.is_remote);
        let tell = |state: &mut State, answer: i32| {
            state.complete(self.room, asker, answer, 0);
            answer
        };
        if target.is_stopped {
            return tell(state, success);
        }
        // The target may complete in the moment before its cancel: with its effect.
        let is_tried = !is_remote && self.chance.one_in(Choice::Cancel, 4);
        // One that has several completions, with all that is there.
        while is_tried && let Some(result) = self.perform(&mut state.pending[index]) {
            if !may_go_on(&state.pending[index].sqe, result) {
                let target = state.pending.swap_remove(index);
                self.end(target, result, state);
                // The cancel finds nothing.
                return tell(state, -libc::ENOENT);
            }
            let buffer = std::mem::take(&mut state.pending[index].buffer);
            state.complete(self.room, user_data, result, MORE | buffer);
            // The kernel may know that nothing is left: it then does not look whether that was the end.
            let sqe = &state.pending[index].sqe;
            if sqe.opcode == RECV && socket::unread(sqe.fd) == 0 && self.chance.one_in(Choice::Cancel, 2) {
                break;
            }
        }
        let target = &mut state.pending[index];
        // It is not found while it is about to be tried again.
        let may_be_missed = may_wait(target.sqe.opcode) && target.sqe.opcode != POLL_ADD && target.file.is_some();
        if may_be_missed && !is_remote && self.chance.one_in(Choice::Cancel, 4) {
            tell(state, -libc::ENOENT)
        } else if !is_remote && self.chance.one_in(Choice::Cancel, 4) {
            target.is_doomed = true;
            tell(state, -libc::EALREADY)
        } else {
            // As on the real ring, the cancel's own completion comes first.
            target.is_stopped = true;
            if is_remote && let Some(network) = &self.network {
                network.abandon(user_data);
            }
            tell(state, success);
            if self.chance.one_in(Choice::Cancel, 2) {
                self.end_stopped(state);
            }
            success
        }
    }

    /// The last completions of what has been cancelled.
    fn end_stopped(&self, state: &mut State) {
        while let Some(index) = state.pending.iter().position(|pending| pending.is_stopped) {
            let pending = state.pending.swap_remove(index);
            let result = given_up(&pending);
            self.end(pending, result, state);
        }
    }

    /// Makes the call of an operation, if it can be made without blocking.
    fn perform(&self, pending: &mut Pending) -> Option<i32> {
        if let Some(notice) = &mut pending.notice {
            // SAFETY: whoever pushed the send keeps its memory until the notification, which is still to come.
            return unsafe { notice.is_due(self.network()) }.then_some(notice.result);
        }
        let Sqe { fd, addr, len, op_flags, .. } = pending.sqe;
        if pending.sqe.opcode == SEND_ZC && !std::mem::replace(&mut pending.is_begun, true) {
            if socket::option(fd, libc::SO_TYPE) != 0 && !notice::takes_memory(fd, self.network()) {
                return Some(-libc::EOPNOTSUPP);
            }
            if self.chance.one_in(Choice::Notice, 16) {
                return Some(-libc::ENOMEM);
            }
        }
        let flags = op_flags as i32 | libc::MSG_DONTWAIT;
        // SAFETY: whoever pushed the operation keeps the memory it names until its completion, which is still to come.
        let result = unsafe {
            match pending.sqe.opcode {
                POLL_ADD => return Some(poll_as_the_ring(fd, op_flags as i16)).filter(|revents| *revents != 0),
                RECV if pending.sqe.flags & BUFFER_SELECT != 0 => return self.receive_selected(pending),
                RECV => libc::recv(fd, at(addr), self.some(fd, len), flags & !libc::MSG_WAITALL),
                SEND | SEND_ZC => {
                    let flags = (flags & !libc::MSG_WAITALL) | libc::MSG_NOSIGNAL;
                    libc::send(fd, at(addr), self.some(fd, len), flags)
                }
                CONNECT if pending.is_begun => {
                    // To be called again is what makes the socket a connected one.
                    return (poll_now(fd, libc::POLLOUT) != 0).then(|| match calls::connected(fd) {
                        0 => calls::connect(&pending.sqe),
                        error => error,
                    });
                }
                CONNECT => {
                    let result = calls::connect(&pending.sqe);
                    pending.is_begun = result == -libc::EINPROGRESS;
                    return (!pending.is_begun && result != -libc::EAGAIN).then_some(result);
                }
                ACCEPT => {
                    if poll_now(fd, libc::POLLIN) == 0 {
                        return None;
                    }
                    let accepted = calls::accept(&pending.sqe);
                    if let Some(network) = &self.network
                        && accepted >= 0
                    {
                        network.welcome(accepted);
                    }
                    return (accepted != -libc::EAGAIN && accepted != -libc::EINTR).then_some(accepted);
                }
                READ | READV | WRITE | WRITEV => return self.read_or_write(&pending.sqe),
                OPENAT if is_fifo(&pending.sqe) => return Some(-libc::EOPNOTSUPP),
                opcode if calls::is_known(opcode) => return Some(calls::perform(&pending.sqe, false, &|| false)),
                _ => return Some(-libc::EINVAL),
            }
        };
        if result < 0 {
            return match io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO) {
                libc::EAGAIN | libc::EINTR => None,
                // What was moved is told now; the error comes again.
                _ if pending.done > 0 => Some(pending.done),
                error => Some(-error),
            };
        }
        let moved = result as i32;
        let is_all = moved as u32 >= len || (moved == 0 && pending.sqe.opcode == RECV);
        if matches!(pending.sqe.opcode, SEND | SEND_ZC | RECV) && flags & libc::MSG_WAITALL != 0 && !is_all {
            pending.has_moved = true;
            pending.done += moved;
            pending.sqe.addr += moved as u64;
            pending.sqe.len -= moved as u32;
            return None;
        }
        Some(pending.done + moved)
    }

    /// A receive into one of the buffers that were provided. The kernel looks for one before it looks for bytes: at once, and when
    /// there are some.
    ///
    /// # Safety
    /// The buffers are valid, and nobody else's.
    unsafe fn receive_selected(&self, pending: &mut Pending) -> Option<i32> {
        let fd = pending.sqe.fd;
        let is_new = !std::mem::replace(&mut pending.is_begun, true);
        if !is_new && poll_now(fd, libc::POLLIN) == 0 {
            return None;
        }
        let Some((id, address, len)) = self.selection.get().and_then(Selection::next) else {
            return Some(-libc::ENOBUFS);
        };
        let flags = pending.sqe.op_flags as i32 | libc::MSG_DONTWAIT;
        // SAFETY: the caller's promise.
        let result = unsafe { libc::recv(fd, at(address), self.some(fd, len), flags) };
        if result < 0 {
            return match io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO) {
                libc::EAGAIN | libc::EINTR => None,
                error => Some(-error),
            };
        }
        // The end may, or may not, cost a buffer.
        if let Some(selection) = self.selection.get().filter(|_| result > 0 || self.chance.one_in(Choice::Ending, 2)) {
            selection.consume();
            pending.buffer = filled(id);
        }
        Some(result as i32)
    }

    /// How much of `len` a transfer moves: it may always be less than there is. A datagram is never cut.
    fn some(&self, fd: RawFd, len: u32) -> usize {
        let len = len as usize;
        if len > 1 && self.chance.one_in(Choice::Short, 4) && socket::option(fd, libc::SO_TYPE) == libc::SOCK_STREAM {
            return len - self.chance.below(Choice::Short, len);
        }
        len
    }

    /// A read or a write, of files in part if chance will have it.
    ///
    /// # Safety
    /// The memory that `sqe` names is valid, and nobody else's.
    unsafe fn read_or_write(&self, sqe: &Sqe) -> Option<i32> {
        // Files are always ready.
        if poll_now(sqe.fd, calls::events(sqe) as i16) == 0 {
            return None;
        }
        let mut some = *sqe;
        if matches!(sqe.opcode, READ | WRITE) && sqe.len > 1 && self.chance.one_in(Choice::Short, 8) {
            some.len -= self.chance.below(Choice::Short, sqe.len as usize) as u32;
        }
        // SAFETY: the caller's promise.
        let result = unsafe { calls::perform(&some, !is_file(sqe.fd), &|| false) };
        (result != -libc::EAGAIN).then_some(result)
    }

    /// Has pending operations complete, each that can by chance; if `eager`, at least one if any can.
    fn advance(&self, state: &mut State, eager: bool) {
        let (mut left, mut is_pressed) = (state.pending.len(), eager);
        while left > 0 {
            let index = self.chance.below(Choice::Order, left);
            left -= 1;
            state.pending.swap(index, left);
            let pending = &mut state.pending[left];
            if pending.is_remote || (!is_pressed && self.chance.one_in(Choice::Late, 2)) {
                continue;
            }
            let result = match self.perform(pending) {
                None if pending.is_doomed => Some(given_up(pending)),
                result => result,
            };
            if let Some(result) = result {
                self.finish(state, left, result);
                is_pressed = false;
            }
        }
    }

    /// Posts what came of an operation, which has ended unless there can be more.
    fn finish(&self, state: &mut State, index: usize, result: i32) {
        let Pending { sqe, is_doomed, .. } = &state.pending[index];
        let (sqe, is_doomed) = (*sqe, *is_doomed);
        // Which numbers descriptors get depends on the rest of the process.
        if !matches!(sqe.opcode, ACCEPT | OPENAT) {
            self.chance.stir(u64::from(result as u32));
        }
        let goes_on = may_go_on(&sqe, result) && !is_doomed && !self.chance.one_in(Choice::Ending, 4);
        // Too many completions end it.
        let has_room = state.overflown.is_empty() && state.completed.len() < self.room;
        if goes_on && has_room {
            let buffer = std::mem::take(&mut state.pending[index].buffer);
            state.complete(self.room, sqe.user_data, result, MORE | buffer);
            return;
        }
        let pending = state.pending.swap_remove(index);
        if pending.notice.is_some() {
            state.complete(self.room, sqe.user_data, result, NOTIFICATION);
        } else {
            self.end(pending, result, state);
        }
    }

    /// Has the network do what is due.
    fn pump(&self, state: &mut State) {
        let Some(network) = &self.network else { return };
        network.pump();
        for (user_data, result) in network.take_connected() {
            let is_meant = |pending: &Pending| pending.is_remote && pending.sqe.user_data == user_data;
            if let Some(index) = state.pending.iter().position(is_meant) {
                let pending = state.pending.swap_remove(index);
                self.end(pending, result, state);
            }
        }
    }
}

/// Whether an operation may wait for its descriptor.
fn may_wait(opcode: u8) -> bool {
    matches!(opcode, POLL_ADD | SEND | SEND_ZC | RECV | CONNECT | ACCEPT | READ | READV | WRITE | WRITEV)
}

/// A field of a submission, as the address it is.
fn at(address: u64) -> *mut libc::c_void {
    ptr::with_exposed_provenance_mut(address as usize)
}

/// Whether there can be more of an operation after this: an accept goes on unless it has failed, a receive until the end.
fn may_go_on(sqe: &Sqe, result: i32) -> bool {
    match sqe.opcode {
        ACCEPT => sqe.ioprio & 1 != 0 && result >= 0,
        RECV => sqe.ioprio & RECV_MULTISHOT != 0 && result > 0,
        _ => false,
    }
}

fn poll_now(fd: RawFd, events: i16) -> i32 {
    let mut poll = libc::pollfd { fd, events, revents: 0 };
    // SAFETY: one entry, as the count says.
    match unsafe { libc::poll(&mut poll, 1, 0) } {
        0 => 0,
        result if result < 0 => -io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO),
        _ if poll.revents & libc::POLLNVAL != 0 => -libc::EBADF,
        _ => i32::from(poll.revents),
    }
}

/// What io_uring says of a descriptor: also that the other side sends no more, which nobody has asked for. (It ends a poll for that
/// alone. Here it does not: who polls again at once would do so for ever, in a time that does not pass.)
fn poll_as_the_ring(fd: RawFd, events: i16) -> i32 {
    let revents = poll_now(fd, events | libc::POLLRDHUP);
    let asked = i32::from(events | libc::POLLERR | libc::POLLHUP);
    if revents < 0 || revents & asked != 0 { revents } else { 0 }
}

/// Whether a descriptor is of a file or a directory, whose calls do not wait for anybody.
fn is_file(fd: RawFd) -> bool {
    crate::sys::statx_of_open(fd, libc::STATX_TYPE).is_ok_and(|stat| {
        matches!(u32::from(stat.stx_mode) & libc::S_IFMT, libc::S_IFREG | libc::S_IFDIR | libc::S_IFBLK)
    })
}

/// Whether what is to be opened is a named pipe, which may wait for its other end for ever.
///
/// # Safety
/// The path is valid.
unsafe fn is_fifo(sqe: &Sqe) -> bool {
    // SAFETY: the caller's promise; the result is writable.
    unsafe {
        let mut stat: libc::stat = std::mem::zeroed();
        libc::fstatat(sqe.fd, at(sqe.addr).cast(), &mut stat, 0) == 0 && stat.st_mode & libc::S_IFMT == libc::S_IFIFO
    }
}

/// The IP address that a connect names.
///
/// # Safety
/// The address is valid.
unsafe fn ip_address(sqe: &Sqe) -> Option<SocketAddr> {
    let address: *const libc::sockaddr = at(sqe.addr).cast();
    let len = sqe.off as usize;
    // SAFETY: the caller's promise; each is read as far as its length allows.
    unsafe {
        match i32::from((*address).sa_family) {
            libc::AF_INET if len >= size_of::<libc::sockaddr_in>() => {
                let v4 = &*address.cast::<libc::sockaddr_in>();
                let ip = Ipv4Addr::from(v4.sin_addr.s_addr.to_ne_bytes());
                Some(SocketAddr::from((ip, u16::from_be(v4.sin_port))))
            }
            libc::AF_INET6 if len >= size_of::<libc::sockaddr_in6>() => {
                let v6 = &*address.cast::<libc::sockaddr_in6>();
                let ip = Ipv6Addr::from(v6.sin6_addr.s6_addr);
                Some(SocketAddrV6::new(ip, u16::from_be(v6.sin6_port), v6.sin6_flowinfo, v6.sin6_scope_id).into())
            }
            _ => None,
        }
    }
}

/// What an operation says that was cancelled.
fn given_up(pending: &Pending) -> i32 {
    if pending.done > 0 { pending.done } else { -libc::ECANCELED }
}

/// Waits until some descriptor of `pending` is ready, at most so many milliseconds; as long as it takes, if that is negative.
fn wait_for_any(pending: &[&Pending], milliseconds: i32) {
    let events = |sqe: &Sqe| match sqe.opcode {
        POLL_ADD => sqe.op_flags as i16,
        _ => calls::events(sqe) as i16,
    };
    let mut polls: Vec<libc::pollfd> =
        pending.iter().map(|p| libc::pollfd { fd: p.sqe.fd, events: events(&p.sqe), revents: 0 }).collect();
    // SAFETY: an array of the length that is given.
    unsafe { libc::poll(polls.as_mut_ptr(), polls.len() as libc::nfds_t, milliseconds) };
}

impl Ring for Simulated {
    fn push(&self, sqe: Sqe) {
        self.state.borrow_mut().queued.push_back(sqe);
    }

    fn unsubmitted(&self) -> usize {
        // What has not fitted the queue of completions keeps the kernel busy as well.
        let state = self.state.borrow();
        state.queued.len() + state.overflown.len()
    }

    fn has_work(&self) -> bool {
        let state = self.state.borrow();
        let is_idle = state.queued.is_empty() && state.completed.is_empty() && state.overflown.is_empty();
        !is_idle || !state.pending.is_empty() || self.network().is_some_and(Network::is_alive)
    }

    fn enter(&self, patience: Patience) -> io::Result<()> {
        let mut state = self.state.borrow_mut();
        let state = &mut *state;
        while state.completed.len() < self.room
            && let Some(cqe) = state.overflown.pop_front()
        {
            state.completed.push_back(cqe);
        }
        // A signal, or a kernel short of memory: it takes a part, and waits for nothing. (Who waits for a time as well has to do with a
        // clock that jumps: then nothing may be left that could have been done before.)
        let is_cut_short = !matches!(patience, Patience::Until(_)) && self.chance.one_in(Choice::Enter, 32);
        let taken = match state.queued.len() {
            len if is_cut_short => self.chance.below(Choice::Enter, len + 1),
            len => len,
        };
        // A chain that is not whole ends here.
        let mut chain = Chain::new();
        for sqe in state.queued.drain(..taken).collect::<Vec<_>>() {
            self.chance.stir(u64::from(sqe.opcode) << 32 | u64::from(sqe.len));
            chain.push_back(sqe);
            if !link::is_linked(&sqe) {
                self.launch(std::mem::take(&mut chain), state);
            }
        }
        self.launch(chain, state);
        self.expire(state);
        self.end_stopped(state);
        self.pump(state);
        if is_cut_short {
            return Ok(());
        }
        self.advance(state, patience != Patience::None);
        if patience == Patience::Forever && state.completed.is_empty() && !state.pending.is_empty() {
            // What the network will do does not show in descriptors.
            if self.network.is_none() {
                let waiting: Vec<_> = state.pending.iter().filter(|pending| pending.notice.is_none()).collect();
                let has_notices = waiting.len() < state.pending.len();
                let limit = self.next_limit(state).map(|at| at.saturating_sub(self.now()).div_ceil(1_000_000));
                let patience = limit.map_or(-1, |milliseconds| milliseconds.min(i32::MAX as u64) as i32);
                wait_for_any(&waiting, if has_notices { 0 } else { patience });
            }
            self.expire(state);
            self.end_stopped(state);
            self.advance(state, true);
        }
        let has_moved = |pending: &mut Pending| std::mem::take(&mut pending.has_moved);
        let is_moving = state.pending.iter_mut().map(has_moved).fold(false, |any, moved| any | moved);
        state.is_settled = state.completed.is_empty() && !is_moving;
        Ok(())
    }

    fn reap(&self, mut each: impl FnMut(Cqe)) {
        // Taken out first: `each` may push.
        let completed = std::mem::take(&mut self.state.borrow_mut().completed);
        completed.into_iter().for_each(&mut each);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::os::fd::AsRawFd;
    use std::os::unix::net::UnixStream;

    fn completions(ring: &Simulated, patience: Patience) -> Vec<(u64, i32)> {
        ring.enter(patience).unwrap();
        let mut all = Vec::new();
        ring.reap(|cqe| all.push((cqe.user_data, cqe.result)));
        all
    }

    #[test]
    fn an_operation_completes_with_its_effect_or_is_cancelled_without_one() {
        let mut seen = [0; 4];
        for seed in 0..200 {
            let ring = Simulated::new(seed);
            let (ours, mut theirs) = UnixStream::pair().unwrap();
            let mut buffer = [0; 4];
            ring.push(Sqe::recv(ours.as_raw_fd(), buffer.as_mut_ptr(), 4, 0, 0).with_user_data(7));
            assert_eq!(
                completions(&ring, Patience::Until(std::time::Duration::MAX)),
                [],
                "nothing to receive: seed {seed}"
            );
            theirs.write_all(b"abcd").unwrap();
            ring.push(Sqe::cancel(7).with_user_data(8));
            let mut all = completions(&ring, Patience::None);
            while all.len() < 2 {
                all.extend(completions(&ring, Patience::Forever));
            }
            let received = match all[..] {
                [(7, n @ 1..), (8, error)] if error == -libc::ENOENT => (0, n as usize),
                [(8, 0), (7, error)] if error == -libc::ECANCELED => (1, 0),
                [(8, error), (7, n @ 1..)] if error == -libc::EALREADY => (2, n as usize),
                [(8, error), (7, n @ 1..)] if error == -libc::ENOENT => (3, n as usize),
                _ => panic!("seed {seed}: {all:?}"),
            };
            seen[received.0] += 1;
            ours.set_nonblocking(true).unwrap();
            let left = (&ours).read(&mut [0; 8]).unwrap_or(0);
            assert_eq!(received.1 + left, 4, "seed {seed}: {all:?}");
        }
        assert!(seen.iter().all(|count| *count > 10), "each outcome occurs: {seen:?}");
    }
}
