//! A connection of the simulated network: its two ends, and what is on its way between them.

use super::chance::Choice;
use super::network::{Network, State};
use super::socket;
use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

/// Whether a packet arrives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Link {
    Open,
    Cut,
}

const MILLISECOND: u64 = 1_000_000;
const SECOND: u64 = 1_000 * MILLISECOND;

/// After so long a connect that was not answered is tried again, then after twice as long, and so on; so many times.
const CONNECT_AGAIN: u64 = SECOND;
const CONNECT_TRIES: u32 = 7;

/// After so long what was not acknowledged is sent again, then after twice as long, up to the most; for so long in all.
const SEND_AGAIN: u64 = 200 * MILLISECOND;
const SEND_AGAIN_MOST: u64 = 10 * SECOND;
const GIVE_UP: u64 = 15 * 60 * SECOND;

/// So much may be on its way; more stays in the sender's socket, which is then full.
const WINDOW: usize = 256 * 1024;

/// A packet has at most so many bytes. (Loopback interfaces have packets of 64 KiB.)
const PACKET: usize = 16 * 1024;

/// See the module. End 0 is whoever connects, end 1 whoever listens.
pub(super) struct Connection {
    pub(super) ends: [End; 2],
    stage: Stage,
}

enum Stage {
    /// The request is on its way.
    Asking(Request),
    /// The answer is, which is an error's number or 0.
    Answered(Request, i32),
    Open,
    /// Nobody has it any more.
    Over,
}

/// A connect that has not ended.
#[derive(Clone, Copy)]
struct Request {
    user_data: u64,
    fd: RawFd,
    at: u64,
    tries: u32,
}

/// One end of a connection.
pub(super) struct End {
    host: IpAddr,
    pub(super) address: SocketAddr,
    pub(super) cookie: u64,
    /// Connected to the task's socket. None before there is such a socket, and after a reset.
    wire: Option<OwnedFd>,
    /// The task sends nothing more.
    is_finished: bool,
    /// The host has crashed: nobody there knows of the connection.
    is_forgotten: bool,
    /// On its way to this end, in order.
    inbound: VecDeque<Packet>,
    /// When the last of it arrives.
    last_at: u64,
    in_flight: usize,
    /// Bytes that were ever taken from the task's socket, and bytes that were put into it.
    taken: u64,
    arrived: u64,
    /// What has arrived finds no room.
    is_blocked: bool,
    again: u64,
    cut_since: Option<u64>,
}

struct Packet {
    at: u64,
    what: What,
}

enum What {
    /// From the index on.
    Bytes(Vec<u8>, usize),
    Finish,
    Reset,
}

impl End {
    fn new(host: IpAddr, address: SocketAddr, cookie: u64) -> Self {
        End {
            host,
            address,
            cookie,
            wire: None,
            is_finished: false,
            is_forgotten: false,
            inbound: VecDeque::new(),
            last_at: 0,
            in_flight: 0,
            taken: 0,
            arrived: 0,
            is_blocked: false,
            again: SEND_AGAIN,
            cut_since: None,
        }
    }

    fn forget_inbound(&mut self) {
        self.inbound.clear();
        self.in_flight = 0;
        self.is_blocked = false;
        self.cut_since = None;
    }

    /// The task learns that the connection is lost: what is unread makes it a reset.
    fn reset(&mut self) {
        self.wire = None;
        self.is_finished = true;
        self.forget_inbound();
    }
}

/// The last of a connection that has ended in good order: nothing may be left unread, or the other side would take it for a reset.
impl Drop for End {
    fn drop(&mut self) {
        if let Some(wire) = &self.wire {
            let _ = socket::receive(wire.as_raw_fd(), &mut [0; 64], 0);
        }
    }
}

impl Connection {
    /// One that `fd` asks for; the request arrives at a time.
    pub(super) fn opening(
        (host, address, cookie): (IpAddr, SocketAddr, u64),
        (to_host, to): (IpAddr, SocketAddr),
        user_data: u64,
        fd: RawFd,
        at: u64,
    ) -> Self {
        let ends = [End::new(host, address, cookie), End::new(to_host, to, 0)];
        Connection { ends, stage: Stage::Asking(Request { user_data, fd, at, tries: 0 }) }
    }

    /// The connect was called off.
    pub(super) fn abandon(&mut self, user_data: u64) {
        match self.stage {
            Stage::Asking(request) if request.user_data == user_data => self.stage = Stage::Over,
            Stage::Answered(request, _) if request.user_data == user_data => {
                self.stage = Stage::Open;
                self.ends[0].is_finished = true;
                self.ends[0].is_forgotten = true;
                let at = request.at.max(self.ends[1].last_at);
                self.ends[1].inbound.push_back(Packet { at, what: What::Reset });
            }
            _ => {}
        }
    }

    pub(super) fn crash(&mut self, host: IpAddr) {
        for end in &mut self.ends {
            if end.host == host {
                end.wire = None;
                end.is_finished = true;
                end.is_forgotten = true;
            }
        }
    }

    /// How many bytes the task at an end has sent, if it can still send.
    pub(super) fn sent(&self, end: usize) -> Option<u64> {
        let End { wire, taken, .. } = &self.ends[end];
        // All but the byte that always stays.
        Some(taken + (socket::unread(wire.as_ref()?.as_raw_fd()) as u64).saturating_sub(1))
    }

    /// Whether so many bytes from an end have reached the other, or the connection is lost.
    pub(super) fn has_arrived(&self, from: usize, sent: u64) -> bool {
        self.ends[1 - from].arrived >= sent || self.ends[from].wire.is_none()
    }

    pub(super) fn is_over(&self) -> bool {
        let [a, b] = &self.ends;
        match self.stage {
            Stage::Over => true,
            Stage::Open => {
                let is_done = |end: &End| end.is_finished && end.inbound.is_empty();
                (a.is_forgotten && b.is_forgotten) || (is_done(a) && is_done(b))
            }
            Stage::Asking(_) | Stage::Answered(..) => false,
        }
    }

    /// When something arrives.
    pub(super) fn next_event(&self) -> Option<u64> {
        match self.stage {
            Stage::Asking(request) => Some(request.at),
            Stage::Answered(request, _) => Some(request.at),
            Stage::Open => {
                self.ends.iter().filter(|end| !end.is_blocked).filter_map(|end| Some(end.inbound.front()?.at)).min()
            }
            Stage::Over => None,
        }
    }

    /// Takes what was sent, delivers what has arrived. Gives whether anything has.
    pub(super) fn pump(&mut self, id: u64, network: &Network, state: &mut State) -> bool {
        let has_answer = match self.stage {
            Stage::Asking(request) if request.at <= network.now() => self.ask(id, request, network, state),
            Stage::Answered(request, error) if request.at <= network.now() => {
                self.answer(id, request, error, network, state)
            }
            _ => false,
        };
        self.collect(0, network, state);
        self.collect(1, network, state);
        let is_open = matches!(self.stage, Stage::Open);
        let to_first = is_open && self.deliver(0, network, state);
        let to_second = is_open && self.deliver(1, network, state);
        has_answer || to_first || to_second
    }

    /// The request arrives.
    fn ask(&mut self, id: u64, request: Request, network: &Network, state: &mut State) -> bool {
        let (from, to) = (self.ends[0].address, self.ends[1].address);
        let (from_host, to_host) = (self.ends[0].host, self.ends[1].host);
        let reached = match state.passes(from_host, to_host) {
            Link::Open => network.reach(id, to, from, from_host, state),
            Link::Cut => Err(io::ErrorKind::WouldBlock.into()),
        };
        let error = match reached {
            Ok(wire) => {
                self.ends[1].wire = Some(wire);
                0
            }
            // Lost, or the listener's queue is full, which is the same to the other side.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.ask_again(request, state);
                return true;
            }
            Err(_) => {
                network.chance.note(network.now(), format_args!("{from} -> {to}: refused"));
                libc::ECONNREFUSED
            }
        };
        let at = network.now() + network.delay(&state.behaviour, to_host, from_host, 0);
        self.stage = Stage::Answered(Request { at, tries: 0, ..request }, error);
        true
    }

    fn ask_again(&mut self, request: Request, state: &mut State) {
        let tries = request.tries + 1;
        if tries >= CONNECT_TRIES {
            state.connected.push((request.user_data, -libc::ETIMEDOUT));
            self.stage = Stage::Over;
            return;
        }
        let at = request.at + (CONNECT_AGAIN << request.tries);
        let request = Request { at, tries, ..request };
        self.stage = match self.stage {
            Stage::Answered(_, error) => Stage::Answered(request, error),
            _ => Stage::Asking(request),
        };
    }

    /// The answer arrives.
    fn answer(&mut self, id: u64, request: Request, error: i32, network: &Network, state: &mut State) -> bool {
        if state.passes(self.ends[1].host, self.ends[0].host) == Link::Cut {
            self.ask_again(request, state);
            if matches!(self.stage, Stage::Over) {
                // The listener has a connection that nobody has asked for.
                self.ends[1].reset();
            }
            return true;
        }
        let (from, to) = (self.ends[0].address, self.ends[1].address);
        let result = match error {
            0 => network.meet(id, request.fd, to).map(|wire| self.ends[0].wire = Some(wire)),
            error => Err(io::Error::from_raw_os_error(error)),
        };
        match result {
            Ok(()) => {
                network.chance.note(network.now(), format_args!("{from} -> {to}: connected"));
                state.connected.push((request.user_data, 0));
                self.stage = Stage::Open;
            }
            Err(error) => {
                state.connected.push((request.user_data, -error.raw_os_error().unwrap_or(libc::EIO)));
                self.ends[1].reset();
                self.stage = Stage::Over;
            }
        }
        true
    }

    /// Puts a packet on its way to an end.
    fn dispatch(&mut self, to: usize, what: What, network: &Network, state: &State) {
        let len = if let What::Bytes(bytes, _) = &what { bytes.len() } else { 0 };
        let (from_host, to_host) = (self.ends[1 - to].host, self.ends[to].host);
        let delay = network.delay(&state.behaviour, from_host, to_host, len);
        let end = &mut self.ends[to];
        end.last_at = end.last_at.max(network.now() + delay);
        end.in_flight += len;
        end.inbound.push_back(Packet { at: end.last_at, what });
    }

    /// Takes what the task at an end has sent.
    fn collect(&mut self, from: usize, network: &Network, state: &State) {
        let end = &self.ends[from];
        let Some(wire) = &end.wire else { return };
        if end.is_finished || self.ends[1 - from].in_flight >= WINDOW {
            return;
        }
        let fd = wire.as_raw_fd();
        let end = &mut self.ends[from];
        let revents = socket::poll(fd, libc::POLLIN | libc::POLLRDHUP);
        let mut buffer = vec![0; 64 * 1024];
        let n =
            if revents & libc::POLLIN != 0 { socket::receive(fd, &mut buffer, libc::MSG_PEEK).unwrap_or(0) } else { 0 };
        if n > 1 {
            // All but the last byte, which stays in place of the one that was there.
            let _ = socket::receive(fd, &mut vec![0; n - 1], 0);
            end.taken += n as u64 - 1;
            let (a, b) = (end.address, self.ends[1 - from].address);
            let mut rest = &buffer[1..n];
            while !rest.is_empty() {
                let len = match rest.len().min(PACKET) {
                    most if network.chance.one_in(Choice::Cut, 4) => 1 + network.chance.below(Choice::Cut, most),
                    most => most,
                };
                let (packet, others) = rest.split_at(len);
                rest = others;
                if a.ip() != b.ip() && network.chance.with_probability(Choice::Reset, state.behaviour.reset) {
                    network.chance.note(network.now(), format_args!("{a} - {b}: the connection is lost"));
                    for to in 0..2 {
                        self.ends[to].is_finished = true;
                        self.dispatch(to, What::Reset, network, state);
                    }
                    return;
                }
                self.dispatch(1 - from, What::Bytes(packet.to_vec(), 0), network, state);
            }
            return;
        }
        if revents & (libc::POLLERR | libc::POLLHUP | libc::POLLRDHUP) == 0 {
            return;
        }
        end.is_finished = true;
        let is_closed = revents & libc::POLLHUP != 0;
        let is_reset = revents & libc::POLLERR != 0 && socket::option(fd, libc::SO_ERROR) != 0
            || is_closed && Network::resets_when_closed(state, end.cookie);
        let what = match is_reset {
            true => {
                // What is still on its way here is answered by another.
                end.wire = None;
                What::Reset
            }
            false => What::Finish,
        };
        self.dispatch(1 - from, what, network, state);
    }

    /// Delivers what has arrived at an end. Gives whether anything has.
    fn deliver(&mut self, to: usize, network: &Network, state: &State) -> bool {
        let now = network.now();
        let mut has_delivered = false;
        while let Some(packet) = self.ends[to].inbound.front_mut()
            && packet.at <= now
        {
            let (from_host, to_host) = (self.ends[1 - to].host, self.ends[to].host);
            if state.passes(from_host, to_host) == Link::Cut {
                self.send_again(to, now);
                return true;
            }
            let (a, b) = (self.ends[1 - to].address, self.ends[to].address);
            let end = &mut self.ends[to];
            end.cut_since = None;
            end.again = SEND_AGAIN;
            let Some(packet) = end.inbound.front_mut() else { break };
            if end.is_forgotten {
                let is_reset = matches!(packet.what, What::Reset);
                end.forget_inbound();
                if !is_reset {
                    self.dispatch(1 - to, What::Reset, network, state);
                }
                return true;
            }
            let Some(wire) = end.wire.as_ref().map(AsRawFd::as_raw_fd) else {
                let is_reset = matches!(packet.what, What::Reset);
                end.forget_inbound();
                if !is_reset && !self.knows_of_reset(1 - to) {
                    self.dispatch(1 - to, What::Reset, network, state);
                }
                return true;
            };
            match &mut packet.what {
                What::Bytes(bytes, sent) => match socket::send(wire, &bytes[*sent..]) {
                    Ok(n) => {
                        *sent += n;
                        end.arrived += n as u64;
                        end.in_flight -= n;
                        network.chance.note(now, format_args!("{a} -> {b}: {n} bytes"));
                        if *sent < bytes.len() {
                            end.is_blocked = true;
                            return true;
                        }
                    }
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        end.is_blocked = true;
                        return has_delivered;
                    }
                    // The task has closed its socket.
                    Err(_) => {
                        end.reset();
                        self.dispatch(1 - to, What::Reset, network, state);
                        return true;
                    }
                },
                What::Finish => {
                    socket::finish(wire);
                    network.chance.note(now, format_args!("{a} -> {b}: the end"));
                }
                // Before it is accepted nobody could be told.
                What::Reset if !socket::has_unread(wire) => {
                    end.is_blocked = true;
                    return has_delivered;
                }
                What::Reset => {
                    network.chance.note(now, format_args!("{a} -> {b}: reset"));
                    end.reset();
                    return true;
                }
            }
            end.is_blocked = false;
            end.inbound.pop_front();
            has_delivered = true;
        }
        has_delivered
    }

    /// Whether an end has been reset, or is about to be. That which was to reset it may be lost in a partition, and is then not repeated
    /// of itself, but when this end sends something.
    fn knows_of_reset(&self, end: usize) -> bool {
        let End { wire, inbound, .. } = &self.ends[end];
        wire.is_none() || inbound.iter().any(|packet| matches!(packet.what, What::Reset))
    }

    /// The next packet to an end does not get there now.
    fn send_again(&mut self, to: usize, now: u64) {
        let end = &mut self.ends[to];
        let since = *end.cut_since.get_or_insert(now);
        let again = end.again;
        end.again = (again * 2).min(SEND_AGAIN_MOST);
        match end.inbound.front_mut() {
            // Nobody repeats these before they are asked.
            Some(Packet { what: What::Reset, .. }) => end.forget_inbound(),
            Some(_) if now - since >= GIVE_UP => {
                end.forget_inbound();
                self.ends[1 - to].reset();
            }
            Some(packet) => packet.at = now + again,
            None => {}
        }
    }
}
