//! The client: many connections on one thread, with epoll, edge-triggered.

use super::Cell;
use crate::sys::CpuClock;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

/// What is sent comes from an endless pattern; the byte at each place differs from those at most other places, so that
/// nothing can be lost, repeated or given to another connection without being seen.
static PATTERN: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut state = 1u64;
    let mut next = || {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 56) as u8
    };
    let mut pattern: Vec<u8> = (0..PERIOD).map(|_| next()).collect();
    pattern.extend_from_within(..CHUNK);
    pattern
});

/// Of the pattern. Prime, so that messages begin everywhere in it.
const PERIOD: usize = 65_521;
/// The most that is sent or received by a call.
const CHUNK: usize = 64 * 1024 - 1024;

struct Connection {
    stream: TcpStream,
    /// Where in the pattern its first byte is.
    begin: usize,
    /// Bytes sent, to be sent, and received, in all.
    sent: u64,
    granted: u64,
    received: u64,
    /// Bytes received of which the messages are counted.
    counted: u64,
    since: Instant,
}

impl Connection {
    fn pattern(&self, at: u64) -> &'static [u8] {
        let begin = (self.begin as u64 + at) as usize % PERIOD;
        &PATTERN[begin..begin + CHUNK]
    }

    /// Sends what it may, as far as there is room for it.
    fn send(&mut self) -> io::Result<()> {
        while self.sent < self.granted {
            let len = CHUNK.min((self.granted - self.sent) as usize);
            match self.stream.write(&self.pattern(self.sent)[..len]) {
                Ok(n) => self.sent += n as u64,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Receives what is there, and looks at it.
    fn receive(&mut self, buffer: &mut [u8]) -> io::Result<()> {
        loop {
            match self.stream.read(buffer) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(n) => {
                    assert!(buffer[..n] == self.pattern(self.received)[..n], "other bytes than were sent");
                    self.received += n as u64;
                    assert!(self.received <= self.sent, "more bytes than were sent");
                    // Edge-triggered: what comes from now on is told.
                    if n < buffer.len() {
                        return Ok(());
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }
}

/// Has `n` messages echoed, after those that warm up. Gives how many those are in all; and the server's CPU time for each, and the
/// 99th percentile of the time from sending as many as are sent at once until the last of them is back. With a pause it is no faster than
/// that: then the server has done all it can when the next messages come.
pub fn ask(address: SocketAddr, cell: Cell, n: u64, server: CpuClock, pause: Duration) -> io::Result<(u64, Vec<f64>)> {
    // SAFETY: no preconditions; the descriptor that comes back is nobody else's.
    let poll = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
    if poll < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: as above.
    let poll = unsafe { OwnedFd::from_raw_fd(poll) };
    let mut open = Vec::new();
    for index in 0..cell.connections {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        let events = (libc::EPOLLIN | libc::EPOLLOUT | libc::EPOLLET) as u32;
        let mut event = libc::epoll_event { events, u64: index as u64 };
        // SAFETY: both descriptors are open; the event is read during the call.
        if unsafe { libc::epoll_ctl(poll.as_raw_fd(), libc::EPOLL_CTL_ADD, stream.as_raw_fd(), &mut event) } < 0 {
            return Err(io::Error::last_os_error());
        }
        let begin = index * 7919 % PERIOD;
        let since = Instant::now();
        open.push(Connection { stream, begin, sent: 0, granted: 0, received: 0, counted: 0, since });
    }
    let at_once = cell.pipeline as u64;
    let bytes = (cell.pipeline * cell.size) as u64;
    let one_each = at_once * cell.connections as u64;
    // Every connection has its turn several times, however few messages a sample is.
    let n = n.max(2 * one_each);
    let warming = (n / 10).max(one_each);
    let total = warming + n;
    let (mut asked, mut answered) = (0, 0);
    for connection in &mut open {
        connection.granted += bytes;
        connection.since = Instant::now();
        connection.send()?;
        asked += at_once;
    }
    let mut start = None;
    let mut times: Vec<Duration> = Vec::new();
    let mut buffer = vec![0; CHUNK];
    let mut events = vec![libc::epoll_event { events: 0, u64: 0 }; 256];
    while answered < total {
        // SAFETY: there is room for as many events as the call is told.
        let count = unsafe { libc::epoll_wait(poll.as_raw_fd(), events.as_mut_ptr(), events.len() as i32, 10_000) };
        let count = usize::try_from(count).map_err(|_| io::Error::last_os_error())?;
        assert_ne!(count, 0, "the server is silent: {answered} of {total} answered");
        if !pause.is_zero() {
            std::thread::sleep(pause);
        }
        for event in &events[..count] {
            let connection = &mut open[event.u64 as usize];
            if event.events & libc::EPOLLIN as u32 != 0 {
                connection.receive(&mut buffer)?;
            }
            while connection.received - connection.counted >= cell.size as u64 {
                connection.counted += cell.size as u64;
                answered += 1;
                if answered == warming {
                    start = Some(server.now());
                    times.clear();
                }
            }
            if connection.received == connection.granted && answered < total {
                times.push(connection.since.elapsed());
                if asked < total {
                    asked += at_once;
                    connection.granted += bytes;
                    connection.since = Instant::now();
                }
            }
            connection.send()?;
        }
    }
    let cpu = server.now() - start.expect("there were messages to warm up with");
    times.sort();
    let late = times.get(times.len().saturating_sub(1) * 99 / 100).copied().unwrap_or_default();
    Ok((answered, vec![cpu.as_nanos() as f64 / n as f64, late.as_nanos() as f64]))
}
