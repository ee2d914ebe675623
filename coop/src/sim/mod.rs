//! Whole systems in one thread, in simulated time, over a simulated network, decided by a seed.
//!
//! A program that runs on coop runs here unchanged: [`TcpListener::bind`](crate::net::TcpListener::bind),
//! [`TcpStream::connect`](crate::net::TcpStream::connect) and [`UdpSocket`](crate::net::UdpSocket) meet on a network that exists
//! only in the simulation, at any address, between any number of [hosts](host()). What takes time takes simulated time: an hour
//! passes in a moment. Hosts [crash](Host::crash) and come back, links are [cut](Net::partition) and healed, packets are late,
//! datagrams lost, and io_uring does all that it is allowed to do, such as completing late, in part, or after the cancel. All of it
//! is decided by a seed, and happens again in the same way with the same seed.
//!
//! [`check`] runs a test once for each of many seeds. What it says of a failure is meant to be all that is needed:
//!
//! ```text
//! the simulation with seed 17 has failed: panicked at tests/store.rs:88:9: the store has lost an acknowledged write
//! to see it again:
//!     COOP_SEED=17 cargo test -p store a_write_survives_a_crash -- --exact
//! of 412 choices that chance made, the failure needs 2 (61 runs to find out):
//!     lost datagrams: 1
//!     differing delays: 1
//! with only these it fails so: panicked at tests/store.rs:88:9: the store has lost an acknowledged write
//! what happened:
//!         0.000100 s  10.0.0.2:49152 -> 10.0.0.1:80: connect
//!     …
//! ```
//!
//! # Example
//!
//! A client that asks again when no answer comes must not have the server count twice:
//!
//! ```
//! use coop::{net::UdpSocket, sim};
//! use std::{cell::Cell, collections::BTreeSet, io, rc::Rc, time::Duration};
//!
//! let lossy = sim::NetOptions::new().datagram_loss(0.3).datagram_duplication(0.3);
//! sim::Builder::new().net(lossy).check(0..50, || -> io::Result<()> {
//!     let count = Rc::new(Cell::new(0));
//!     let counted = count.clone();
//!     sim::host("server", [10, 0, 0, 1], move || -> io::Result<()> {
//!         let socket = UdpSocket::bind("0.0.0.0:9")?;
//!         let (mut seen, mut buf) = (BTreeSet::new(), [0; 8]);
//!         loop {
//!             let (n, from) = socket.recv_from(&mut buf)?;
//!             if seen.insert((from, buf)) {               // without this line: "the failure needs 1: doubled datagrams"
//!                 counted.set(counted.get() + 1);
//!             }
//!             socket.send_to(&buf[..n], from)?;
//!         }
//!     })?;
//!     let socket = UdpSocket::bind("0.0.0.0:0")?;
//!     for number in 0..5u64 {
//!         loop {
//!             socket.send_to(&number.to_le_bytes(), "server:9")?;
//!             let mut answer = [0; 8];
//!             let again = coop::timeout(Duration::from_millis(50), || socket.recv_from(&mut answer));
//!             if again.is_ok() && u64::from_le_bytes(answer) == number {
//!                 break;
//!             }
//!         }
//!     }
//!     assert_eq!(count.get(), 5);
//!     Ok(())
//! });
//! ```
//!
//! # What is simulated
//!
//! | | in a simulation |
//! |---|---|
//! | the order of tasks, the budget, where a `select!` begins | decided by the seed |
//! | time | stands still while anything can be done, then jumps to whatever is next |
//! | io_uring | completions in any order, late, in part; cancels that come too late; a completion queue that overflows; accepts that have to be armed again; submissions taken in part; buffers of [zero-copy sends](crate::net::ZeroCopy) that come back late, or that were copied after all |
//! | TCP | streams with delays; resets, half-closes; full buffers; refused and unanswered connects |
//! | UDP | datagrams with delays, so in any order; lost, doubled, and dropped when nobody takes them |
//! | names | those of hosts, and what [`Net::add_name`] says; `localhost` |
//! | socket options | kept, and given back; of effect are those of SOL_SOCKET, and SO_LINGER |
//! | [`unblock`](crate::unblock), [`compute`](crate::compute) | run to their end at once, in no time: what they wait for must not be a task |
//! | files | the real ones, in no time; transfers may be short |
//! | Unix sockets, pipes, signals, processes | the real ones: where they wait for something outside, the run is no function of the seed |
//!
//! Not simulated: SO_REUSEPORT, multicast and broadcast, and what a real network tells a UDP socket whose datagrams reach nobody.
//! A socket that was made by another crate is a real one.
//!
//! What a program draws by itself is no function of the seed, nor is what std's clocks say, or the order of a `HashMap`. For the
//! first there is [`random`]; for the others `coop::time`, and `BTreeMap`. [`check`] finds out whether something was overlooked: it
//! runs some seeds twice.

mod attempt;
mod builder;
mod host;
mod net;
mod options;
mod report;
mod shrink;
mod verdict;

pub use builder::{Builder, Trace};
pub use host::{Host, host};
pub use net::{HostName, Net, net};
pub use options::NetOptions;
pub use verdict::Verdict;

use crate::cooperator::Cooperator;
use crate::ring::{self, Network};
use std::fmt::Display;
use std::net::IpAddr;
use std::time::Duration;

/// The address of tasks that are on no host. They may bind any address; what they connect from is this.
pub const ELSEWHERE: IpAddr = ring::ELSEWHERE;

/// Runs `f` as the root task of a simulation with this seed, and returns what it returned: see [`Builder::run`].
///
/// ```
/// use coop::net::{TcpListener, TcpStream};
/// use coop::sim;
/// use std::io;
/// sim::run(7, || -> io::Result<()> {
///     let listener = TcpListener::bind("10.0.0.1:80")?;
///     let client = TcpStream::connect("10.0.0.1:80")?;
///     let (conn, peer) = listener.accept()?;
///     assert_eq!((peer, conn.local_addr()?), (client.local_addr()?, "10.0.0.1:80".parse().unwrap()));
///     Ok(())
/// }).unwrap();
/// ```
///
/// # Panics
/// As [`Builder::run`].
#[track_caller]
pub fn run<F, R>(seed: u64, f: F) -> R
where
    F: FnOnce() -> R,
{
    Builder::new().seed(seed).run(f)
}

/// Runs `f` once for each seed, each time in a simulation of its own, and reports the first that fails: see [`Builder::check`].
///
/// ```
/// coop::sim::check(0..20, || {
///     let mut turns = [1, 2, 3].map(|n| coop::spawn(move || n));
///     assert_eq!(turns.each_mut().map(|turn| turn.join().unwrap()), [1, 2, 3]);
/// });
/// ```
///
/// # Panics
/// As [`Builder::check`].
#[track_caller]
pub fn check<F, R>(seeds: impl IntoIterator<Item = u64>, f: F)
where
    F: Fn() -> R,
    R: Verdict,
{
    Builder::new().check(seeds, f);
}

/// Whether the calling task is in a simulation.
pub fn is_simulated() -> bool {
    Cooperator::current().is_some_and(|cooperator| cooperator.simulation().is_some())
}

#[track_caller]
fn network() -> &'static Network {
    match Cooperator::current().and_then(Cooperator::simulation) {
        Some((_, network)) => network,
        None => panic!("this is no simulation: call it inside `coop::sim::run` or `coop::sim::check`"),
    }
}

/// Writes a line into the report of a failure, at its place among what happened, and into the [`Trace`].
///
/// # Panics
/// Outside of a simulation.
#[track_caller]
pub fn note(what: impl Display) {
    network().note(format_args!("{what}"));
}

/// A number below `bound`, decided by the seed; 0 for a bound of 0. For what a program would draw by itself, such as the delay before
/// it tries again. Where a failure does not need it, its report has 0.
///
/// # Panics
/// Outside of a simulation.
#[track_caller]
pub fn random(bound: usize) -> usize {
    network().draw(bound)
}

/// How much time has passed since the simulation began.
///
/// # Panics
/// Outside of a simulation.
#[track_caller]
pub fn elapsed() -> Duration {
    network().elapsed()
}
