//! Receives into buffers that the ring was provided with: one operation for all that comes, as long as there are buffers.

use super::super::provided::GROUP;
use super::super::{Driver, Patience, Sqe, TaskRun, Uring};
use super::bench::Bench;
use super::{Outcome, PENDING, Scenario};
use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::time::Duration;

const OP: u64 = 1;
const CANCEL: u64 = 2;

/// What the peer does, or has done.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Peer {
    Nothing,
    /// Five bytes, twice.
    Sends,
    /// The same, and no more.
    SendsAndEnds,
    Ends,
    Closes,
    /// With something unread.
    Resets,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Order {
    /// The peer, then the operation.
    Before,
    /// The operation, then the peer.
    After,
    /// The peer, then the operation and its cancel in one batch.
    CancelAtOnce,
    /// The operation, the peer, its cancel.
    CancelLate,
}

fn act(peer: &mut Option<UnixStream>, what: Peer) {
    let Some(stream) = peer else { return };
    if matches!(what, Peer::Sends | Peer::SendsAndEnds) {
        stream.write_all(b"first").unwrap();
        stream.write_all(b"again").unwrap();
    }
    match what {
        Peer::Nothing | Peer::Sends => {}
        Peer::SendsAndEnds | Peer::Ends => stream.shutdown(Shutdown::Write).unwrap(),
        Peer::Closes | Peer::Resets => *peer = None,
    }
}

/// Bytes that were received, each in the buffer that its completion names; then how the operation has ended.
fn run(bench: &mut Bench, buffers: usize, peer: Peer, order: Order) -> Outcome {
    bench.provide(buffers, 4);
    let (ours, theirs) = UnixStream::pair().unwrap();
    let mut theirs = Some(theirs);
    if peer == Peer::Resets {
        (&ours).write_all(b"unread").unwrap();
    }
    let receive = |bench: &mut Bench| bench.push(OP, Sqe::recv_multishot(ours.as_raw_fd(), GROUP));
    let mut outcome = Outcome::new();
    match order {
        Order::Before => {
            act(&mut theirs, peer);
            receive(bench);
        }
        Order::After | Order::CancelLate => {
            receive(bench);
            bench.settle();
            act(&mut theirs, peer);
        }
        Order::CancelAtOnce => {
            act(&mut theirs, peer);
            receive(bench);
            bench.cancel(CANCEL, OP);
        }
    }
    if order == Order::CancelLate {
        bench.cancel(CANCEL, OP);
    }
    if matches!(order, Order::CancelAtOnce | Order::CancelLate) {
        let (cancel, has_missed) = bench.pursue(CANCEL, OP);
        if has_missed {
            outcome.push(("missed", 1));
        }
        outcome.push(("cancel", bench.result(cancel)));
    } else {
        bench.settle();
    }
    let mut got = bench.provided_bytes(OP);
    let wanted = if matches!(peer, Peer::Sends | Peer::SendsAndEnds) { &b"firstagain"[..] } else { b"" };
    assert!(wanted.starts_with(&got), "{peer:?} {order:?}: {got:?}");
    outcome.push(("received", got.len() as i32));
    outcome.push(("end", if bench.is_over(OP) { bench.result(OP) } else { PENDING }));
    // What was not received is still there.
    ours.set_nonblocking(true).unwrap();
    let mut rest = [0; 64];
    while let Ok(n @ 1..) = (&ours).read(&mut rest) {
        got.extend_from_slice(&rest[..n]);
    }
    assert_eq!(got, wanted, "{peer:?} {order:?}, {buffers} buffers: lost, or out of order");
    outcome
}

fn is_allowed(buffers: usize, peer: Peer, order: Order, outcome: &Outcome) -> bool {
    let (cancel, received, end) = match *outcome.as_slice() {
        [("received", received), ("end", end)] => (None, received, end),
        [("cancel", cancel), ("received", received), ("end", end)] => (Some(cancel), received, end),
        [("missed", _), ("cancel", cancel), ("received", received), ("end", end)] => (Some(cancel), received, end),
        _ => return false,
    };
    let sent = if matches!(peer, Peer::Sends | Peer::SendsAndEnds) { 10 } else { 0 };
    let is_end = match peer {
        Peer::SendsAndEnds | Peer::Ends | Peer::Closes => end == 0 && received == sent,
        Peer::Resets => end == -libc::ECONNRESET,
        Peer::Nothing | Peer::Sends => false,
    };
    // No buffer is left, or there was none. (It looks for one before it looks for bytes.)
    let is_short = end == -libc::ENOBUFS && received <= 4 * buffers as i32;
    // With its last bytes, as it pleases.
    let is_part = (1..=4).contains(&end) && received <= sent;
    let is_stopped = end == -libc::ECANCELED || end == -libc::EINTR;
    match cancel.map(|cancel| -cancel) {
        None if end == PENDING => !matches!(order, Order::CancelAtOnce | Order::CancelLate),
        None => is_end || is_short || is_part,
        Some(0) => is_stopped || is_part,
        Some(libc::ENOENT) => is_end || is_short || is_part,
        Some(libc::EALREADY) => is_end || is_short || is_part || is_stopped,
        Some(_) => false,
    }
}

pub(super) fn scenarios() -> Vec<Scenario> {
    use Peer::*;
    let mut all = Vec::new();
    for buffers in [0, 1, 2, 8] {
        for peer in [Nothing, Sends, SendsAndEnds, Ends, Closes, Resets] {
            for order in [Order::Before, Order::After, Order::CancelAtOnce, Order::CancelLate] {
                let scenario = Scenario::new(
                    "receiving ahead",
                    format!("receiving ahead, {buffers} buffers, peer {peer:?}, {order:?}"),
                    move |bench| run(bench, buffers, peer, order),
                    move |outcome| is_allowed(buffers, peer, order, outcome),
                );
                all.push(Scenario { is_for_epoll: false, ..scenario });
            }
        }
    }
    all
}

/// A buffer that was taken is replaced, and the operation begun again when it has ended: so often that all counts wrap.
#[test]
fn seventy_thousand_buffers_are_filled_one_after_the_other() {
    let real = Uring::new(64, TaskRun::Deferred).map(|ring| Driver::Uring(Box::new(ring)));
    for driver in [super::simulated(1)].into_iter().chain(real) {
        let mut bench = Bench::new(driver, "70,000 buffers".into());
        bench.provide(2, 1);
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let mut number = 1;
        bench.push(number, Sqe::recv_multishot(ours.as_raw_fd(), GROUP));
        for round in 0..7_000 {
            let ten: [u8; 10] = std::array::from_fn(|at| (round * 10 + at) as u8);
            theirs.write_all(&ten).unwrap();
            let mut got = Vec::new();
            while got.len() < 10 {
                bench.enter(Patience::Until(Duration::from_millis(100)));
                got.extend(bench.provided_bytes(number));
                bench.provide_again(2, 1);
                if bench.is_over(number) {
                    number += 1;
                    bench.push(number, Sqe::recv_multishot(ours.as_raw_fd(), GROUP));
                }
            }
            assert_eq!(got, ten, "round {round}");
        }
    }
}
