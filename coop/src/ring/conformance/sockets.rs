//! Operations on a connected stream, each in every state of the stream, before and after, cancelled and not.

use super::super::submission::AT_POSITION;
use super::super::{POLL_FIRST, Sqe};
use super::bench::Bench;
use super::{Outcome, PENDING, Scenario};
use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::UnixStream;

const OP: u64 = 1;
const CANCEL: u64 = 2;
const POLLIN: u32 = libc::POLLIN as u32;
const POLLOUT: u32 = libc::POLLOUT as u32;

/// What is waited for.
#[derive(Clone, Copy, Debug, PartialEq)]
enum What {
    Recv,
    RecvPollFirst,
    RecvWhole,
    Poll,
    PollEnd,
    Read,
    Readv,
    Send,
    SendAll,
    PollOut,
    Write,
}

const RECEIVING: [What; 7] = {
    use What::*;
    [Recv, RecvPollFirst, RecvWhole, Poll, PollEnd, Read, Readv]
};
const SENDING: [What; 4] = {
    use What::*;
    [Send, SendAll, PollOut, Write]
};

/// What the peer does, or has done.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Peer {
    Nothing,
    /// Four bytes, of eight that are asked for.
    SendsSome,
    SendsAll,
    Ends,
    Closes,
    /// With something unread.
    Resets,
    /// Has filled the stream, and then empties it.
    Reads,
}

/// When things happen.
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
    /// The operation and its cancel, and then the peer.
    CancelFirst,
    /// The operation; its descriptor is closed; then the peer.
    CloseThenPeer,
}

const ORDERS: [Order; 6] = {
    use Order::*;
    [Before, After, CancelAtOnce, CancelLate, CancelFirst, CloseThenPeer]
};

const LEN: usize = 8;
const MUCH: usize = 1 << 20;

fn submission(what: What, fd: RawFd, bench: &mut Bench) -> Sqe {
    match what {
        What::Recv => Sqe::recv(fd, bench.memory(&[0; LEN]), LEN, 0, 0),
        What::RecvPollFirst => Sqe::recv(fd, bench.memory(&[0; LEN]), LEN, 0, POLL_FIRST),
        What::RecvWhole => Sqe::recv(fd, bench.memory(&[0; LEN]), LEN, libc::MSG_WAITALL, 0),
        What::Poll => Sqe::poll(fd, POLLIN),
        What::PollEnd => Sqe::poll(fd, libc::POLLRDHUP as u32),
        What::Read => Sqe::read(fd, bench.memory(&[0; LEN]), LEN, AT_POSITION),
        What::Readv => {
            let piece = |memory: *mut u8| libc::iovec { iov_base: memory.cast(), iov_len: LEN / 2 };
            let pieces = [piece(bench.memory(&[0; LEN / 2])), piece(bench.memory(&[0; LEN / 2]))];
            // SAFETY: the bytes of an array of plain data.
            let bytes: [u8; 32] = unsafe { std::mem::transmute(pieces) };
            Sqe::readv(fd, bench.memory(&bytes).cast(), 2, AT_POSITION)
        }
        What::Send => Sqe::send(fd, bench.memory(&[7; LEN]), LEN, libc::MSG_NOSIGNAL),
        What::SendAll => Sqe::send(fd, bench.memory(&vec![7; MUCH]), MUCH, libc::MSG_NOSIGNAL | libc::MSG_WAITALL),
        What::PollOut => Sqe::poll(fd, POLLOUT),
        What::Write => Sqe::write(fd, bench.memory(&[7; LEN]), LEN, AT_POSITION),
    }
}

/// Sends until nothing fits any more.
fn fill(stream: &UnixStream) -> usize {
    stream.set_nonblocking(true).unwrap();
    let mut all = 0;
    while let Ok(n) = { stream }.write(&[9; 4096]) {
        all += n;
    }
    stream.set_nonblocking(false).unwrap();
    all
}

/// Reads what is there, and no more.
fn drain(stream: &UnixStream) -> usize {
    stream.set_nonblocking(true).unwrap();
    let (mut all, mut buffer) = (0, vec![0; 65536]);
    while let Ok(n @ 1..) = { stream }.read(&mut buffer) {
        all += n;
    }
    all
}

/// What the peer does; it goes, if it closes.
fn act(peer: &mut Option<UnixStream>, what: Peer) {
    let stream = peer.as_ref().expect("it acts once");
    match what {
        Peer::Nothing => {}
        Peer::SendsSome => { stream }.write_all(b"some").unwrap(),
        Peer::SendsAll => { stream }.write_all(b"all of 8").unwrap(),
        Peer::Ends => stream.shutdown(Shutdown::Write).unwrap(),
        Peer::Closes | Peer::Resets => *peer = None,
        Peer::Reads => _ = drain(stream),
    }
}

fn run(bench: &mut Bench, what: What, peer: Peer, order: Order) -> Outcome {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let (mut ours, mut theirs) = (Some(ours), Some(theirs));
    let fd = ours.as_ref().map_or(-1, AsRawFd::as_raw_fd);
    let is_sending = SENDING.contains(&what);
    let mut filled = 0;
    if let Some(ours) = &mut ours {
        // A reset needs something that the peer leaves unread.
        if peer == Peer::Resets {
            ours.write_all(b"unread").unwrap();
        }
        if peer == Peer::Reads || (is_sending && peer == Peer::Nothing) {
            filled = fill(ours);
        }
    }
    let sqe = submission(what, fd, bench);
    let mut outcome = Outcome::new();
    match order {
        Order::Before => {
            act(&mut theirs, peer);
            bench.push(OP, sqe);
        }
        Order::After => {
            bench.push(OP, sqe);
            bench.settle();
            act(&mut theirs, peer);
        }
        Order::CancelAtOnce => {
            act(&mut theirs, peer);
            bench.push(OP, sqe);
            bench.cancel(CANCEL, OP);
        }
        Order::CancelLate => {
            bench.push(OP, sqe);
            bench.settle();
            act(&mut theirs, peer);
            bench.cancel(CANCEL, OP);
        }
        Order::CancelFirst => {
            bench.push(OP, sqe);
            bench.settle();
            bench.cancel(CANCEL, OP);
            bench.settle();
            act(&mut theirs, peer);
        }
        Order::CloseThenPeer => {
            bench.push(OP, sqe);
            bench.settle();
            ours = None;
            act(&mut theirs, peer);
        }
    }
    if matches!(order, Order::CancelAtOnce | Order::CancelLate | Order::CancelFirst) {
        let (cancel, has_missed) = bench.pursue(CANCEL, OP);
        if has_missed {
            outcome.push(("missed", 1));
        }
        outcome.push(("cancel", bench.result(cancel)));
    } else if natural(what, peer).is_empty() {
        bench.settle();
    } else if what == What::SendAll && peer == Peer::Reads {
        // It goes on as long as somebody reads.
        while !bench.is_over(OP) {
            if let Some(theirs) = &theirs {
                drain(theirs);
            }
            bench.settle();
        }
    } else {
        bench.wait_for(&[OP]);
    }
    let result = bench.result(OP);
    outcome.push((label(what), result));
    // Bytes are neither lost nor made up.
    let moved = if result == PENDING { 0 } else { result.max(0) as usize };
    let is_poll = matches!(what, What::Poll | What::PollEnd | What::PollOut);
    if !is_sending && let Some(ours) = &ours {
        let sent = match peer {
            Peer::SendsSome => 4,
            Peer::SendsAll => LEN,
            _ => 0,
        };
        let left = drain(ours);
        // One that waits for all may have some.
        let held = sent - left - if is_poll { 0 } else { moved };
        assert!(
            held == 0 || (result == PENDING && what == What::RecvWhole),
            "{what:?} {peer:?} {order:?}: {held} bytes lost"
        );
    }
    if is_sending
        && !is_poll
        && let (Some(_), Some(theirs)) = (&ours, &theirs)
        && peer != Peer::Reads
    {
        let sent = drain(theirs) - filled;
        assert!(
            sent == moved || result == PENDING,
            "{what:?} {peer:?} {order:?}: {sent} of {moved} bytes have arrived"
        );
    }
    outcome
}

fn label(what: What) -> &'static str {
    match what {
        What::Recv | What::RecvPollFirst | What::RecvWhole => "recv",
        What::Poll | What::PollEnd | What::PollOut => "poll",
        What::Read | What::Readv => "read",
        What::Send | What::SendAll => "send",
        What::Write => "write",
    }
}

/// Whether an operation may say this when the peer has acted and nobody has cancelled it. Nothing: it waits.
fn natural(what: What, peer: Peer) -> Vec<std::ops::RangeInclusive<i32>> {
    const IN: i32 = libc::POLLIN as i32;
    const OUT: i32 = libc::POLLOUT as i32;
    const ERR: i32 = libc::POLLERR as i32;
    const HUP: i32 = libc::POLLHUP as i32;
    const RDHUP: i32 = libc::POLLRDHUP as i32;
    let one = |result: i32| vec![result..=result];
    match (what, peer) {
        (What::RecvWhole, Peer::SendsSome) => vec![],
        (What::RecvWhole, Peer::SendsAll) => one(LEN as i32),
        (What::PollEnd, Peer::SendsSome | Peer::SendsAll) => vec![],
        (What::PollEnd, Peer::Ends) => one(RDHUP),
        (What::PollEnd, Peer::Closes) => one(RDHUP | HUP),
        (What::PollEnd, Peer::Resets) => one(RDHUP | HUP | ERR),
        (What::Poll, Peer::SendsSome | Peer::SendsAll | Peer::Ends) => one(IN),
        (What::Poll, Peer::Closes) => one(IN | HUP),
        (What::Poll, Peer::Resets) => one(IN | HUP | ERR),
        (What::PollOut, Peer::Closes) => one(OUT | HUP),
        (What::PollOut, Peer::Resets) => one(OUT | HUP | ERR),
        (What::PollOut, Peer::Reads | Peer::Ends | Peer::SendsSome) => one(OUT),
        (_, Peer::Nothing) => vec![],
        (What::Send | What::SendAll | What::Write, Peer::Closes | Peer::Resets) => vec![-libc::EPIPE..=-libc::EPIPE],
        (What::Send | What::Write, _) => vec![1..=LEN as i32],
        // One that has to wait half way is not over.
        (What::SendAll, Peer::Reads) => one(MUCH as i32),
        (What::SendAll, _) => vec![],
        (_, Peer::SendsSome) => vec![1..=4],
        (_, Peer::SendsAll) => vec![1..=LEN as i32],
        (_, Peer::Ends | Peer::Closes) => one(0),
        (_, Peer::Resets) => one(-libc::ECONNRESET),
        (_, Peer::Reads) => vec![],
    }
}

/// What an operation may say that was stopped: for one that had moved some already, how much.
fn is_stopped(what: What, peer: Peer, result: i32) -> bool {
    let in_part = match (what, peer) {
        (What::SendAll, _) => 1..MUCH as i32,
        (What::RecvWhole, Peer::SendsSome | Peer::SendsAll) => 1..LEN as i32,
        _ => 0..0,
    };
    result == -libc::ECANCELED || result == -libc::EINTR || in_part.contains(&result)
}

fn is_allowed(what: What, peer: Peer, order: Order, outcome: &Outcome) -> bool {
    let natural_of = |peer| natural(what, peer);
    let is_natural = |result: i32| {
        // What was there before the peer acted counts too: a stream that has room is written to at once.
        let early = match (order, peer) {
            (Order::Before | Order::CancelAtOnce, _) => vec![],
            (_, Peer::Closes | Peer::Resets | Peer::Ends | Peer::SendsSome) if SENDING.contains(&what) => {
                natural_of(Peer::Ends)
            }
            _ => vec![],
        };
        // That the other side sends no more is told of by io_uring to who has not asked.
        let is_poll = matches!(what, What::Poll | What::PollOut) && result > 0;
        let result = if is_poll { result & !i32::from(libc::POLLRDHUP) } else { result };
        natural_of(peer).iter().chain(&early).any(|range| range.contains(&result))
    };
    // A poll is always found.
    let outcome = match outcome.as_slice() {
        [("missed", _), rest @ ..] if !matches!(what, What::Poll | What::PollEnd | What::PollOut) => rest,
        all => all,
    };
    match *outcome {
        [("cancel", cancel), (_, result)] => match -cancel {
            0 => is_stopped(what, peer, result),
            libc::ENOENT => is_natural(result) || is_stopped(what, peer, result) && result > 0,
            libc::EALREADY => is_natural(result) || is_stopped(what, peer, result),
            _ => false,
        },
        [(_, PENDING)] => natural(what, peer).is_empty(),
        // What has moved some when the other side goes says how much.
        [(_, result)] => {
            let is_part =
                what == What::SendAll && matches!(peer, Peer::Closes | Peer::Resets) && order != Order::Before;
            is_natural(result) || is_part && (1..MUCH as i32).contains(&result)
        }
        _ => false,
    }
}

pub(super) fn scenarios() -> Vec<Scenario> {
    use Peer::*;
    let mut all = Vec::new();
    let receiving = RECEIVING
        .iter()
        .flat_map(|what| [Nothing, SendsSome, SendsAll, Ends, Closes, Resets].map(|peer| (*what, peer)));
    let sending = SENDING.iter().flat_map(|what| [Nothing, Ends, Closes, Resets, Reads].map(|peer| (*what, peer)));
    for (what, peer) in receiving.chain(sending) {
        for order in ORDERS {
            let scenario = Scenario::new(
                if RECEIVING.contains(&what) { "receiving" } else { "sending" },
                format!("{what:?}, peer {peer:?}, {order:?}"),
                move |bench| run(bench, what, peer, order),
                move |outcome| is_allowed(what, peer, order, outcome),
            );
            all.push(Scenario { is_for_epoll: order != Order::CloseThenPeer, ..scenario });
        }
    }
    all
}
