//! Sends from memory as it is: one completion says how much was sent, another that the memory is no longer needed.

use super::super::{NOTIFICATION, Sqe};
use super::bench::Bench;
use super::{Outcome, PENDING, Scenario};
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::UnixStream;

const OP: u64 = 1;
/// `IORING_NOTIF_USAGE_ZC_COPIED`.
const COPIED: i32 = i32::MIN;
const LITTLE: usize = 1000;
/// More than the sockets hold.
const MUCH: usize = 1 << 20;

fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let ours = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let theirs = listener.accept().unwrap().0;
    theirs.set_nonblocking(true).unwrap();
    for (fd, option) in [(ours.as_raw_fd(), libc::SO_SNDBUF), (theirs.as_raw_fd(), libc::SO_RCVBUF)] {
        let size: libc::c_int = 32 << 10;
        let len = size_of::<libc::c_int>() as libc::socklen_t;
        // SAFETY: an integer, as the length says.
        unsafe { libc::setsockopt(fd, libc::SOL_SOCKET, option, (&raw const size).cast(), len) };
    }
    (ours, theirs)
}

/// What the peer does once the operation is on its way.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Peer {
    Reads,
    /// And closes in the end.
    Waits,
    Resets,
}

/// What is done on this side then.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Then {
    Nothing,
    Cancel,
    Close,
}

/// In words: nothing, part or all of it was sent, or an error.
fn share(sent: i32, len: usize) -> i32 {
    match sent {
        PENDING => PENDING,
        ..=0 => sent,
        sent if sent as usize == len => 2,
        _ => 1,
    }
}

/// What its completions say: how much was sent, whether that was all that is to be said, and what of the memory.
fn told(bench: &Bench, op: u64, len: usize) -> Outcome {
    let all = bench.completions(op);
    let first = all.first().map_or(PENDING, |cqe| share(cqe.result, len));
    let more = all.first().map_or(PENDING, |cqe| i32::from(cqe.has_more()));
    // (One that was never begun has other bits as well.)
    let usage = |result: i32| if result < 0 { COPIED } else { result };
    let notice = all.get(1).map_or(PENDING, |cqe| if cqe.flags & NOTIFICATION != 0 { usage(cqe.result) } else { 99 });
    vec![("sent", first), ("more", more), ("notice", notice)]
}

fn is_notice(notice: i32, reports: bool) -> bool {
    notice == 0 || (reports && notice == COPIED)
}

/// Sends, while the peer does something and then this side.
fn sends() -> Vec<Scenario> {
    let mut all = Vec::new();
    for (len, flags, words) in [(LITTLE, 0, "little"), (MUCH, 0, "much"), (MUCH, libc::MSG_WAITALL, "all of much")] {
        for peer in [Peer::Reads, Peer::Waits, Peer::Resets] {
            for then in [Then::Nothing, Then::Cancel, Then::Close] {
                for reports in [false, true] {
                    let script = move |bench: &mut Bench| {
                        let (ours, theirs) = pair();
                        let (mut ours, mut theirs) = (Some(ours), Some(theirs));
                        if peer == Peer::Resets {
                            ours.as_ref().unwrap().write_all(b"unread").unwrap();
                        }
                        let memory = bench.memory(&vec![7; len]);
                        let mut sqe = Sqe::send_zero_copy(ours.as_ref().unwrap().as_raw_fd(), memory, len, flags);
                        if !reports {
                            sqe.ioprio = 0;
                        }
                        bench.push(OP, sqe);
                        bench.settle();
                        match then {
                            Then::Nothing => {}
                            Then::Close => drop(ours.take()),
                            // Its memory is not to be had by that.
                            Then::Cancel => bench.cancel(20, OP),
                        }
                        if peer == Peer::Resets {
                            theirs = None;
                        }
                        bench.settle();
                        let mut outcome = Outcome::new();
                        if then == Then::Cancel {
                            bench.wait_for(&[20]);
                            outcome.push(("cancel", bench.result(20)));
                        }
                        let mut got = 0;
                        let mut buffer = vec![0; 1 << 20];
                        while !bench.is_over(OP) {
                            if peer == Peer::Reads
                                && let Some(theirs) = &mut theirs
                            {
                                while let Ok(n @ 1..) = theirs.read(&mut buffer) {
                                    assert!(buffer[..n].iter().all(|byte| *byte == 7));
                                    got += n;
                                }
                            } else {
                                theirs = None;
                            }
                            bench.settle();
                        }
                        drop(ours);
                        let sent = bench.completions(OP)[0].result.max(0) as usize;
                        if let (Peer::Reads, Some(mut theirs)) = (peer, theirs) {
                            theirs.set_nonblocking(false).unwrap();
                            while let Ok(n @ 1..) = theirs.read(&mut buffer) {
                                got += n;
                            }
                            assert_eq!(got, sent, "what is said to have been sent arrives");
                        }
                        outcome.extend(told(bench, OP, len));
                        outcome
                    };
                    let is_allowed = move |outcome: &Outcome| {
                        let (cancel, rest) = match &outcome[..] {
                            [("cancel", cancel), rest @ ..] => (Some(*cancel), rest),
                            rest => (None, rest),
                        };
                        let [(_, sent), (_, more), (_, notice)] = *rest else { return false };
                        let is_lost = peer != Peer::Reads && [-libc::EPIPE, -libc::ECONNRESET].contains(&sent);
                        let is_stopped = cancel.is_some() && [-libc::ECANCELED, -libc::EINTR].contains(&sent);
                        let is_whole = flags == 0 || peer != Peer::Reads || cancel.is_some();
                        let is_sent = sent == 2 || (sent == 1 && is_whole) || sent == -libc::ENOMEM;
                        let is_answer =
                            cancel.is_none_or(|cancel| [0, -libc::ENOENT, -libc::EALREADY].contains(&cancel));
                        is_answer && (is_sent || is_lost || is_stopped) && more == 1 && is_notice(notice, reports)
                    };
                    let report = if reports { ", reported" } else { "" };
                    let name = format!("zero-copy: {words}, peer {peer:?}, then {then:?}{report}");
                    all.push(Scenario::new("zero-copy sends", name, script, is_allowed));
                }
            }
        }
    }
    all
}

/// Where nothing can be sent.
fn errors() -> Vec<Scenario> {
    type Make = fn(&mut Bench) -> (Sqe, Box<dyn std::any::Any>);
    fn send(bench: &mut Bench, fd: RawFd) -> Sqe {
        Sqe::send_zero_copy(fd, bench.memory(&[7; LITTLE]), LITTLE, libc::MSG_NOSIGNAL)
    }
    // With what is kept; the error; whether there is anything more to be said.
    let all: [(&'static str, Make, i32, bool); 7] = [
        ("no descriptor", |bench| (send(bench, -1), Box::new(())), libc::EBADF, true),
        (
            "a file",
            |bench| {
                let file = std::fs::File::open("/").unwrap();
                (send(bench, file.as_raw_fd()), Box::new(file))
            },
            libc::ENOTSOCK,
            true,
        ),
        (
            "a Unix socket",
            |bench| {
                let pair = UnixStream::pair().unwrap();
                (send(bench, pair.0.as_raw_fd()), Box::new(pair))
            },
            libc::EOPNOTSUPP,
            true,
        ),
        (
            "what is shut down",
            |bench| {
                let pair = pair();
                pair.0.shutdown(Shutdown::Write).unwrap();
                (send(bench, pair.0.as_raw_fd()), Box::new(pair))
            },
            libc::EPIPE,
            true,
        ),
        (
            "a listener",
            |bench| {
                let listener = TcpListener::bind("127.0.0.1:0").unwrap();
                (send(bench, listener.as_raw_fd()), Box::new(listener))
            },
            libc::EPIPE,
            true,
        ),
        (
            "a connection, with a flag that is none",
            |bench| {
                let pair = pair();
                let mut sqe = send(bench, pair.0.as_raw_fd());
                sqe.ioprio = 1 << 9;
                (sqe, Box::new(pair))
            },
            libc::EINVAL,
            true,
        ),
        (
            "a connection, with a field that is none",
            |bench| {
                let pair = pair();
                let mut sqe = send(bench, pair.0.as_raw_fd());
                sqe.addr3 = 1;
                (sqe, Box::new(pair))
            },
            libc::EINVAL,
            false,
        ),
    ];
    let mut scenarios = Vec::new();
    for (name, make, error, has_more) in all {
        let script = move |bench: &mut Bench| {
            let (sqe, _kept) = make(bench);
            bench.push(OP, sqe);
            bench.wait_for(&[OP]);
            told(bench, OP, LITTLE)
        };
        let is_allowed = move |outcome: &Outcome| {
            let [(_, sent), (_, more), (_, notice)] = outcome[..] else { return false };
            let is_right = if has_more { is_notice(notice, true) } else { notice == PENDING };
            (sent == -error || (has_more && sent == -libc::ENOMEM)) && more == i32::from(has_more) && is_right
        };
        scenarios.push(Scenario::new("zero-copy sends", format!("zero-copy: to {name}"), script, is_allowed));
    }
    scenarios
}

/// Sends that are linked: what follows them follows the first of their completions.
fn linked() -> Vec<Scenario> {
    let mut all = Vec::new();
    for is_sendable in [true, false] {
        for is_after in [true, false] {
            let script = move |bench: &mut Bench| {
                let (ours, theirs) = pair();
                if !is_sendable {
                    ours.shutdown(Shutdown::Write).unwrap();
                }
                let memory = bench.memory(&[7; LITTLE]);
                let flags = libc::MSG_WAITALL | libc::MSG_NOSIGNAL;
                let send = Sqe::send_zero_copy(ours.as_raw_fd(), memory, LITTLE, flags);
                let nop = Sqe::nop(if is_sendable || !is_after { 7 } else { -libc::EIO }, false);
                let (chain, op, other) = match is_after {
                    true => ([nop.linked(false), send], 2, 1),
                    false => ([send.linked(false), nop], 1, 2),
                };
                let is_whole = bench.push_chain(chain);
                bench.wait_for(&[1, 2]);
                drop(theirs);
                bench.settle();
                let mut outcome = told(bench, op, LITTLE);
                outcome.extend([("other", bench.result(other)), ("whole", i32::from(is_whole))]);
                outcome
            };
            let is_allowed = move |outcome: &Outcome| {
                let [(_, sent), (_, more), (_, notice), (_, other), (_, whole)] = outcome[..] else { return false };
                if whole == 0 {
                    return true;
                }
                if !is_sendable && is_after {
                    // It was never begun, and says that that is all; and is notified of all the same.
                    return (sent, other, more) == (-libc::ECANCELED, -libc::EIO, 0) && is_notice(notice, true);
                }
                let is_right = sent == if is_sendable { 2 } else { -libc::EPIPE } || sent == -libc::ENOMEM;
                let has_failed = sent < 0 && !is_after;
                is_right
                    && more == 1
                    && is_notice(notice, true)
                    && other == if has_failed { -libc::ECANCELED } else { 7 }
            };
            let first = if is_after { "after a nop" } else { "before a nop" };
            let how = if is_sendable { "" } else { ", which fails" };
            let name = format!("zero-copy: linked {first}{how}");
            all.push(Scenario::new("zero-copy sends", name, script, is_allowed));
        }
    }
    all
}

pub(super) fn scenarios() -> Vec<Scenario> {
    let all = [sends(), errors(), linked()].into_iter().flatten();
    all.map(|scenario| Scenario { is_for_epoll: false, ..scenario }).collect()
}
