//! Rows: an echo server over TCP, its client on another core.
//!
//! The same client for all, which sends so many messages at once on each connection, and the next so many when all have come
//! back. Every byte that comes back is looked at.

mod apart;
mod client;
mod loops;
mod servers;

use crate::harness::{Amount, Bar, Figure, Kind, Row, Side, Unit};
use crate::sys::{Core, CpuClock, pin, raise_descriptors};
use std::io;
use std::net::TcpListener;
use std::os::fd::AsRawFd;
use std::sync::mpsc;
use std::time::Duration;

pub use apart::{ASK, SERVE, ask, serve};

/// Not more than the hand-written loops need by so much: of every cell for itself, where the bar is for the geometric mean.
const CPU: Figure = Figure::new("server CPU", Unit::Nanos).within(&[Bar::OfLimit(1.05), Bar::OfBestPeer(1.0)]);
const FIGURES: &[Figure] = &[CPU];
/// Where a server can be cheap by letting some connections wait.
const FIGURES_OF_MUCH: &[Figure] =
    &[Figure::new("server CPU", Unit::Nanos).within(&[Bar::OfLimit(1.05)]), Figure::new("p99", Unit::Nanos)];

macro_rules! row {
    ($name:literal, $size:literal, $connections:literal, $pipeline:literal, $figures:expr) => {
        Row {
            name: $name,
            measures: concat!(
                "TCP echo of ", $size, " bytes, ", $connections, " connection(s), ", $pipeline, " message(s) at once on each: \
                 CPU of the server's thread, kernel included, for each message. One client for all, on another core, which \
                 looks at every byte. Where p99 is shown: from sending ", $pipeline, " messages to having them all back"
            ),
            figures: $figures,
            amount: Amount::Calibrated,
            only_by_name: false,
            sides: sides::<$size, $connections, $pipeline>,
        }
    };
}

pub const ROWS: &[Row] = &[
    row!("echo-64b-1", 64, 1, 1, FIGURES),
    row!("echo-64b-64", 64, 64, 1, FIGURES),
    row!("echo-64b-1000", 64, 1000, 1, FIGURES),
    row!("echo-64b-1-p16", 64, 1, 16, FIGURES),
    row!("echo-64b-64-p16", 64, 64, 16, FIGURES),
    row!("echo-64b-1000-p16", 64, 1000, 16, FIGURES),
    row!("echo-16k-1", 16384, 1, 1, FIGURES),
    row!("echo-16k-64", 16384, 64, 1, FIGURES),
    row!("echo-16k-1000", 16384, 1000, 1, FIGURES),
    row!("echo-16k-1-p16", 16384, 1, 16, FIGURES_OF_MUCH),
    row!("echo-16k-64-p16", 16384, 64, 16, FIGURES_OF_MUCH),
    row!("echo-16k-1000-p16", 16384, 1000, 16, FIGURES_OF_MUCH),
];

/// What is asked of a server.
#[derive(Clone, Copy)]
struct Cell {
    /// Bytes of a message.
    size: usize,
    connections: usize,
    /// Messages that are sent at once on a connection.
    pipeline: usize,
}

impl Cell {
    /// The servers' buffers: more than a message, as in most servers. A runtime may conclude that nothing is left.
    fn room(self) -> usize {
        (2 * self.size).max(4096)
    }
}

/// Accepts so many connections, echoes, and returns when all of them have ended. Every connection has a buffer of its cell's
/// [`room`](Cell::room).
type Server = fn(Cell, TcpListener) -> io::Result<()>;

/// Coop first.
const SERVERS: &[(&str, Kind, Server)] = &[
    ("coop", Kind::Coop, servers::coop),
    ("tokio", Kind::Peer, servers::tokio),
    ("monoio", Kind::Peer, servers::monoio),
    ("compio", Kind::Peer, servers::compio),
    ("glommio", Kind::Peer, servers::glommio),
    ("smol", Kind::Peer, servers::smol),
    ("epoll loop", Kind::Limit, loops::epoll),
    ("ring loop", Kind::Limit, loops::ring),
];

fn sides<const SIZE: usize, const CONNECTIONS: usize, const PIPELINE: usize>() -> Vec<Side> {
    let cell = Cell { size: SIZE, connections: CONNECTIONS, pipeline: PIPELINE };
    let has_p99 = SIZE > 4096 && PIPELINE > 1;
    let echo = move |name, server: Server| (name, move |n| echoed(cell, n, has_p99, name, server));
    let side = |&(name, kind, server): &(_, Kind, _)| match (kind, echo(name, server)) {
        (Kind::Limit, (name, run)) => Side::limit(name, run),
        (_, (name, run)) => Side::new(name, run),
    };
    SERVERS.iter().map(side).collect()
}

fn echoed(cell: Cell, n: u64, has_p99: bool, name: &str, serve: Server) -> Vec<f64> {
    raise_descriptors(4 * cell.connections as u64 + 256);
    let listener = listen().expect("there is a port");
    let address = listener.local_addr().expect("it is bound");
    // In a thread of its own, since some of the runtimes leave rings behind that are their thread's, and disturb the next. Its
    // name is for profilers.
    let (started, clock) = mpsc::channel();
    let server = std::thread::Builder::new().name(name.to_owned()).spawn(move || {
        pin(Core::Measured);
        started.send(CpuClock::of_this_thread()).expect("the client waits for it");
        serve(cell, listener).expect("the server serves");
    });
    let server = server.expect("there is room for a thread");
    let clock = clock.recv().expect("the server starts");
    let client = std::thread::spawn(move || {
        pin(Core::Other);
        client::ask(address, cell, n, clock, Duration::ZERO).expect("the server answers").1
    });
    let figures = client.join();
    server.join().expect("the server has ended well");
    let mut figures = figures.expect("the client has seen its own bytes");
    figures.truncate(1 + usize::from(has_p99));
    figures
}

/// A listener whose connections send at once, and that keeps a thousand waiting.
fn listen() -> io::Result<TcpListener> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let on: libc::c_int = 1;
    // SAFETY: the option is an integer; listen has no preconditions.
    let result = unsafe {
        let size = size_of::<libc::c_int>() as libc::socklen_t;
        // Accepted sockets have what the listener has.
        libc::setsockopt(listener.as_raw_fd(), libc::IPPROTO_TCP, libc::TCP_NODELAY, (&raw const on).cast(), size)
            | libc::listen(listener.as_raw_fd(), 4096)
    };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(listener) }
}
