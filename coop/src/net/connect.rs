//! Connecting: to one address, or to the first of several that answers.

use super::TcpStream;
use super::address::Address;
use super::resolve::no_address;
use super::socket::{Socket, begin};
use crate::cooperator::Cooperator;
use crate::coordinator::{Coordinated, Coordinator, Wait};
use crate::error::Killed;
use crate::fiber::{Detail, Reason};
use crate::handle::{Flight, InFlight, Operation, Sealed};
use crate::ring::Sqe;
use crate::task;
use crate::timers::Sleep;
use std::cell::Cell;
use std::collections::VecDeque;
use std::io;
use std::marker::PhantomPinned;
use std::net::SocketAddr;
use std::panic::Location;
use std::time::Duration;

/// RFC 8305, section 5: how long one address has before the next is tried as well.
const ATTEMPT_DELAY: Duration = Duration::from_millis(250);

/// A new TCP socket for an address like this one.
pub(super) fn tcp_socket(address: &SocketAddr, flags: i32) -> io::Result<Socket> {
    let family = if address.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 };
    Socket::open(family, libc::SOCK_STREAM | flags)
}

/// Connects to the first of `addresses` that answers.
#[track_caller]
pub(super) fn connect(addresses: Vec<SocketAddr>) -> io::Result<Socket> {
    let cooperator = begin()?;
    let place = Location::caller();
    if let [address] = addresses[..] {
        let socket = tcp_socket(&address, 0)?;
        socket.connect(cooperator, &Address::ip(&address), place)?;
        return Ok(socket);
    }
    Race { cooperator, place, attempts: Vec::new() }.run(interleaved(addresses))
}

/// RFC 8305, section 4: the families take turns, beginning with that of the first address; within each the order stays.
fn interleaved(addresses: Vec<SocketAddr>) -> VecDeque<SocketAddr> {
    let Some(first) = addresses.first().copied() else { return VecDeque::new() };
    let (mut one, mut other): (VecDeque<_>, VecDeque<_>) =
        addresses.into_iter().partition(|address| address.is_ipv4() == first.is_ipv4());
    let mut all = VecDeque::with_capacity(one.len() + other.len());
    while !(one.is_empty() && other.is_empty()) {
        all.extend(one.pop_front());
        all.extend(other.pop_front());
    }
    all
}

/// A connect in flight to one of several addresses. The kernel reads the address when it takes the submission.
struct Attempt {
    socket: Socket,
    address: Address,
    flight: InFlight,
    entry: Coordinated,
}

/// Connects to several addresses, "happy eyeballs": each a while after the one before, or as soon as that has failed.
struct Race<'a> {
    cooperator: &'a Cooperator,
    place: &'static Location<'static>,
    /// In flight or just landed.
    #[expect(clippy::vec_box, reason = "the kernel and the wait know where each is, while the vector grows")]
    attempts: Vec<Box<Attempt>>,
}

/// How a round of waiting ended.
enum Round {
    Connected(Socket),
    Failed(io::Error),
    /// Nobody answered in time.
    Next,
}

impl Race<'_> {
    fn run(mut self, mut addresses: VecDeque<SocketAddr>) -> io::Result<Socket> {
        let mut last = None;
        loop {
            let round = match addresses.pop_front() {
                Some(address) => match self.launch(&address) {
                    Ok(()) => self.wait(!addresses.is_empty())?,
                    Err(error) => Round::Failed(error),
                },
                None if !self.attempts.is_empty() => self.wait(false)?,
                None => return Err(last.unwrap_or_else(no_address)),
            };
            match round {
                Round::Connected(socket) => return Ok(socket),
                Round::Failed(error) => last = Some(error),
                Round::Next => {}
            }
        }
    }

    fn launch(&mut self, address: &SocketAddr) -> io::Result<()> {
        let attempt = Box::new(Attempt {
            socket: tcp_socket(address, 0)?,
            address: Address::ip(address),
            flight: InFlight::new(),
            entry: Coordinated::new(),
        });
        self.attempts.push(attempt);
        if let Some(attempt) = self.attempts.last() {
            let sqe = Sqe::connect(attempt.socket.fd(), attempt.address.as_ptr(), attempt.address.len());
            // SAFETY: the attempt is boxed, and its box is freed only when it has landed: `landed` sees to that, and `drop`.
            unsafe { attempt.flight.submit(self.cooperator, sqe) };
        }
        Ok(())
    }

    /// Waits until an attempt lands or, if `is_timed`, it is time for the next.
    fn wait(&mut self, is_timed: bool) -> io::Result<Round> {
        if let Some(round) = self.landed() {
            return Ok(round);
        }
        let cooperator = self.cooperator;
        let (sleep, timer_entry) = (Sleep::new(), Coordinated::new());
        {
            let wait = Wait::new(&cooperator.scheduler);
            for attempt in &self.attempts {
                // SAFETY: timer, entries and wait stay in place until `wait`, dropped first, has unlinked the entries; each
                // attempt flies, so that its Coordinator is held.
                unsafe { wait.enlist(attempt.flight.done(), &attempt.entry, 0) };
            }
            if is_timed {
                let deadline = cooperator.clock.now().saturating_add(ATTEMPT_DELAY.as_nanos() as u64);
                // SAFETY: as above; the timer stops when dropped.
                unsafe {
                    sleep.start(&cooperator.timers, deadline);
                    wait.enlist(sleep.over(), &timer_entry, 1);
                }
            }
            let reason = Reason::on("connect", Detail::Count(self.attempts.len()));
            task::park(cooperator, &wait, reason, self.place)?;
        }
        Ok(self.landed().unwrap_or(Round::Next))
    }

    /// The result of the first attempt that has one.
    fn landed(&mut self) -> Option<Round> {
        let index = self.attempts.iter().position(|attempt| !attempt.flight.is_flying())?;
        let attempt = self.attempts.remove(index);
        Some(match attempt.flight.take_result() {
            Some(0) => Round::Connected(attempt.socket),
            result => Round::Failed(io::Error::from_raw_os_error(-result.unwrap_or(-libc::ECANCELED))),
        })
    }
}

/// The others are called off. One that has connected in this moment is closed.
impl Drop for Race<'_> {
    fn drop(&mut self) {
        self.attempts.iter().for_each(|attempt| attempt.flight.cancel(self.cooperator));
        self.attempts.iter().for_each(|attempt| attempt.flight.settle(self.cooperator, self.place));
    }
}

/// `op::connect`: it can be half done, so it is no arm by value.
#[doc(hidden)]
pub struct Connect {
    address: SocketAddr,
}

impl Connect {
    pub(crate) fn new(address: SocketAddr) -> Self {
        Connect { address }
    }
}

impl Sealed for Connect {}

impl Operation for Connect {
    type Output = io::Result<TcpStream>;
    type Waited = io::Result<TcpStream>;
    type Started = io::Result<TcpStream>;
    type Joined = io::Result<TcpStream>;
    type Flight = ConnectFlight;

    #[track_caller]
    fn wait(self) -> io::Result<TcpStream> {
        TcpStream::connect(self.address)
    }

    fn into_flight(self) -> ConnectFlight {
        ConnectFlight {
            socket: Cell::new(Some(tcp_socket(&self.address, 0))),
            address: Address::ip(&self.address),
            flight: InFlight::new(),
            _pinned: PhantomPinned,
        }
    }

    fn joined(result: Result<Self::Started, Killed>) -> Self::Joined {
        result?
    }
}

/// A connect that was started.
#[doc(hidden)]
pub struct ConnectFlight {
    /// What is being connected; or why there was no socket for it.
    socket: Cell<Option<io::Result<Socket>>>,
    address: Address,
    flight: InFlight,
    _pinned: PhantomPinned,
}

// SAFETY: the kernel has the addresses of `flight` and `address` until the last completion, which `is_over` tells. A connection
// that nobody takes is closed with the flight.
unsafe impl Flight for ConnectFlight {
    type Output = io::Result<TcpStream>;

    unsafe fn launch(&self, cooperator: &Cooperator) {
        let socket = self.socket.take();
        match &socket {
            Some(Ok(socket)) => {
                let sqe = Sqe::connect(socket.fd(), self.address.as_ptr(), self.address.len());
                // SAFETY: the caller keeps the flight, and so the address, in place until it is over.
                unsafe { self.flight.submit(cooperator, sqe) };
            }
            // There is a result already.
            _ => self.flight.done().release(),
        }
        self.socket.set(socket);
    }

    fn news(&self) -> &Coordinator {
        self.flight.done()
    }

    fn is_ready(&self) -> bool {
        !self.flight.is_flying()
    }

    fn land(&mut self, _: &Cooperator) -> Option<Self::Output> {
        if matches!(self.socket.get_mut(), Some(Err(_))) {
            return self.socket.take().map(|failed| failed.map(TcpStream::of));
        }
        match self.flight.take_result()? {
            0 => self.socket.take().map(|socket| socket.map(TcpStream::of)),
            error => Some(Err(io::Error::from_raw_os_error(-error))),
        }
    }

    fn abort(&self, cooperator: &Cooperator) {
        self.flight.cancel(cooperator);
    }

    fn settle(&self, cooperator: &Cooperator, place: &'static Location<'static>) {
        self.flight.settle(cooperator, place);
    }

    fn is_over(&self) -> bool {
        !self.flight.is_flying()
    }

    fn reason(&self) -> Reason {
        Reason::new("connect")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_families_take_turns() {
        let addresses = |text: &str| text.split(' ').map(|a| a.parse().unwrap()).collect::<Vec<SocketAddr>>();
        let v6_first = interleaved(addresses("[::1]:1 [::1]:2 [::1]:3 127.0.0.1:4 127.0.0.1:5"));
        assert_eq!(v6_first, addresses("[::1]:1 127.0.0.1:4 [::1]:2 127.0.0.1:5 [::1]:3"));
        let v4_first = interleaved(addresses("127.0.0.1:1 127.0.0.1:2 [::1]:3"));
        assert_eq!(v4_first, addresses("127.0.0.1:1 [::1]:3 127.0.0.1:2"));
        assert_eq!(interleaved(Vec::new()), []);
    }
}
