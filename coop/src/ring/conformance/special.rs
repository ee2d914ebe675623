//! What is no operation on one stream: descriptors that are none, accepts, connects, cancels of what is not there, several operations
//! at once, more completions than fit.

use super::super::submission::AT_POSITION;
use super::super::{Patience, Sqe};
use super::bench::Bench;
use super::{Outcome, PENDING, Scenario};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::sync::atomic::{AtomicU64, Ordering};

const POLLIN: u32 = libc::POLLIN as u32;

fn is_stopped(result: i32) -> bool {
    result == -libc::ECANCELED || result == -libc::EINTR
}

/// Every operation on a descriptor, on a number that is none and on one that is of the wrong kind.
fn wrong_descriptors() -> Vec<Scenario> {
    type Make = fn(RawFd, &mut Bench) -> Sqe;
    let all: [(&'static str, Make, &'static [i32]); 11] = [
        ("poll", |fd, _| Sqe::poll(fd, POLLIN), &[libc::POLLIN as i32]),
        ("recv", |fd, b| Sqe::recv(fd, b.memory(&[0; 4]), 4, 0, 0), &[-libc::ENOTSOCK]),
        ("send", |fd, b| Sqe::send(fd, b.memory(&[0; 4]), 4, 0), &[-libc::ENOTSOCK]),
        ("accept", |fd, _| Sqe::accept_multishot(fd, libc::SOCK_CLOEXEC), &[-libc::ENOTSOCK]),
        (
            "connect",
            |fd, b| Sqe::connect(fd, b.memory(&[2, 0, 0, 80, 127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0]).cast(), 16),
            &[-libc::ENOTSOCK],
        ),
        ("read", |fd, b| Sqe::read(fd, b.memory(&[0; 4]), 4, 0), &[-libc::EISDIR]),
        ("write", |fd, b| Sqe::write(fd, b.memory(&[0; 4]), 4, 0), &[-libc::EBADF]),
        ("fsync", |fd, _| Sqe::fsync(fd, 0), &[0, -libc::EINVAL]),
        ("fallocate", |fd, _| Sqe::fallocate(fd, 0, 0, 10), &[-libc::EBADF, -libc::EISDIR]),
        ("ftruncate", |fd, _| Sqe::ftruncate(fd, 3), &[-libc::EINVAL, -libc::EBADF]),
        (
            "statx",
            |fd, b| Sqe::statx(fd, b.memory(b"none\0").cast_const().cast(), 0, 0, b.memory(&[0; 512]).cast()),
            &[-libc::ENOENT],
        ),
    ];
    let mut scenarios = Vec::new();
    for (name, make, of_directory) in all {
        for is_number in [true, false] {
            let script = move |bench: &mut Bench| {
                let directory = std::fs::File::open("/").unwrap();
                let sqe = make(if is_number { -1 } else { directory.as_raw_fd() }, bench);
                bench.push(1, sqe);
                bench.wait_for(&[1]);
                vec![(name, bench.result(1))]
            };
            let kind = if is_number { "no descriptor" } else { "a directory" };
            let is_allowed = move |outcome: &Outcome| {
                if is_number { outcome[0].1 == -libc::EBADF } else { of_directory.contains(&outcome[0].1) }
            };
            scenarios.push(Scenario::new("wrong descriptors", format!("{name} on {kind}"), script, is_allowed));
        }
    }
    scenarios
}

/// Cancels of what is not there, has ended, is cancelled already.
fn cancels() -> Vec<Scenario> {
    let one = |name, script: fn(&mut Bench) -> Outcome, is_allowed: fn(&Outcome) -> bool| {
        Scenario::new("cancels", name, script, is_allowed)
    };
    vec![
        one(
            "a cancel of what never was",
            |bench| {
                bench.cancel(2, 77);
                bench.wait_for(&[2]);
                vec![("cancel", bench.result(2))]
            },
            |outcome| *outcome == [("cancel", -libc::ENOENT)],
        ),
        one(
            "a cancel of what has ended",
            |bench| {
                let (ours, mut theirs) = UnixStream::pair().unwrap();
                theirs.write_all(b"x").unwrap();
                bench.push(1, Sqe::poll(ours.as_raw_fd(), POLLIN));
                bench.wait_for(&[1]);
                bench.cancel(2, 1);
                bench.wait_for(&[2]);
                vec![("cancel", bench.result(2)), ("poll", bench.result(1))]
            },
            |outcome| *outcome == [("cancel", -libc::ENOENT), ("poll", libc::POLLIN as i32)],
        ),
        one(
            "a cancel before its target",
            |bench| {
                let (ours, _theirs) = UnixStream::pair().unwrap();
                bench.cancel(2, 1);
                bench.push(1, Sqe::poll(ours.as_raw_fd(), POLLIN));
                bench.wait_for(&[2]);
                bench.settle();
                vec![("cancel", bench.result(2)), ("poll", bench.result(1))]
            },
            |outcome| *outcome == [("cancel", -libc::ENOENT), ("poll", PENDING)],
        ),
        one(
            "two cancels of one",
            |bench| {
                let (ours, _theirs) = UnixStream::pair().unwrap();
                bench.push(1, Sqe::poll(ours.as_raw_fd(), POLLIN));
                bench.settle();
                bench.cancel(2, 1);
                bench.cancel(3, 1);
                bench.wait_for(&[1, 2, 3]);
                vec![("first", bench.result(2)), ("second", bench.result(3)), ("poll", bench.result(1))]
            },
            |outcome| {
                let [(_, first), (_, second), (_, poll)] = outcome[..] else { return false };
                let is_answer = |result: i32| [0, -libc::EALREADY, -libc::ENOENT].contains(&result);
                // Whoever is told that it is gone comes after one who has stopped it.
                is_answer(first) && is_answer(second) && is_stopped(poll) && first != -libc::ENOENT
            },
        ),
        one(
            "a cancel takes one of two",
            |bench| {
                let (ours, mut theirs) = UnixStream::pair().unwrap();
                bench.push(1, Sqe::poll(ours.as_raw_fd(), POLLIN));
                bench.push(2, Sqe::poll(ours.as_raw_fd(), POLLIN));
                bench.settle();
                bench.cancel(3, 1);
                bench.wait_for(&[1, 3]);
                theirs.write_all(b"x").unwrap();
                bench.wait_for(&[2]);
                vec![("cancel", bench.result(3)), ("first", bench.result(1)), ("second", bench.result(2))]
            },
            |outcome| {
                let [(_, cancel), (_, first), (_, second)] = outcome[..] else { return false };
                (cancel == 0 || cancel == -libc::EALREADY) && is_stopped(first) && second == libc::POLLIN as i32
            },
        ),
    ]
}

/// A listener with a name of its own, and that name.
fn unix_listener(backlog: i32) -> (UnixListener, SocketAddr) {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let name = format!("coop-conformance-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    let address = SocketAddr::from_abstract_name(name).unwrap();
    let listener = UnixListener::bind_addr(&address).unwrap();
    // As coop's own are: so that no call on it ever waits.
    listener.set_nonblocking(true).unwrap();
    // SAFETY: listen has no preconditions; it sets the length of the queue anew.
    unsafe { libc::listen(listener.as_raw_fd(), backlog) };
    (listener, address)
}

/// Accepts ahead: so many connections before, so many after; cancelled, or not; and connections that are not accepted stay.
fn accepts() -> Vec<Scenario> {
    #[derive(Clone, Copy, Debug, PartialEq)]
    enum End {
        None,
        Cancelled,
    }
    let mut scenarios = Vec::new();
    for before in [0usize, 1, 3] {
        for after in [0usize, 1, 3] {
            for end in [End::None, End::Cancelled] {
                let script = move |bench: &mut Bench| {
                    let (listener, address) = unix_listener(16);
                    let connect = || UnixStream::connect_addr(&address).unwrap();
                    let mut clients: Vec<_> = (0..before).map(|_| connect()).collect();
                    let accept = || Sqe::accept_multishot(listener.as_raw_fd(), libc::SOCK_CLOEXEC);
                    let mut number = 1;
                    bench.push(number, accept());
                    bench.settle();
                    clients.extend((0..after).map(|_| connect()));
                    let accepted = |bench: &Bench, last: u64| -> usize {
                        (1..=last).flat_map(|n| bench.completions(n).to_vec()).filter(|cqe| cqe.result >= 0).count()
                    };
                    match end {
                        // It may end at any time, and is then armed again: until all are there.
                        End::None => {
                            while accepted(bench, number) < before + after {
                                if bench.is_over(number) {
                                    number += 1;
                                    bench.push(number, accept());
                                }
                                bench.enter(Patience::Until(std::time::Duration::from_millis(100)));
                            }
                        }
                        End::Cancelled => {
                            bench.stop(100, number);
                        }
                    }
                    let count = accepted(bench, number);
                    for cqe in (1..=number).flat_map(|n| bench.completions(n).to_vec()).filter(|cqe| cqe.result >= 0) {
                        // SAFETY: the kernel has just given this process the descriptor.
                        drop(unsafe { OwnedFd::from_raw_fd(cqe.result) });
                    }
                    let mut queued = 0;
                    while listener.accept().is_ok() {
                        queued += 1;
                    }
                    assert_eq!(count + queued, clients.len(), "every connection is accepted or queued");
                    // While it is armed nothing more comes; what is still in flight ends with the bench.
                    vec![("accepted", count as i32)]
                };
                let is_allowed = move |outcome: &Outcome| match end {
                    End::None => outcome[0].1 as usize == before + after,
                    _ => outcome[0].1 as usize <= before + after,
                };
                let name = format!("accepts, {before} before, {after} after, {end:?}");
                scenarios.push(Scenario::new("accepts", name, script, is_allowed));
            }
        }
    }
    scenarios
}

/// A `sockaddr` in memory, and its length.
fn unix_address(bench: &mut Bench, address: &SocketAddr) -> (*const libc::sockaddr, u32) {
    let name = address.as_abstract_name().unwrap();
    let mut bytes = (libc::AF_UNIX as u16).to_ne_bytes().to_vec();
    bytes.push(0);
    bytes.extend(name);
    (bench.memory(&bytes).cast_const().cast(), bytes.len() as u32)
}

fn ip_address(bench: &mut Bench, port: u16) -> (*const libc::sockaddr, u32) {
    let mut bytes = (libc::AF_INET as u16).to_ne_bytes().to_vec();
    bytes.extend(port.to_be_bytes());
    bytes.extend([127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0]);
    (bench.memory(&bytes).cast_const().cast(), 16)
}

fn socket(family: i32) -> OwnedFd {
    // SAFETY: socket has no preconditions.
    crate::sys::owned(unsafe { libc::socket(family, libc::SOCK_STREAM | libc::SOCK_CLOEXEC, 0) }).unwrap()
}

/// Connects, to who listens and who does not, cancelled and not.
fn connects() -> Vec<Scenario> {
    #[derive(Clone, Copy, Debug, PartialEq)]
    enum To {
        Unix,
        /// Nobody is there any more.
        UnixGone,
        Tcp,
        TcpGone,
    }
    let mut scenarios = Vec::new();
    for to in [To::Unix, To::UnixGone, To::Tcp, To::TcpGone] {
        for is_cancelled in [false, true] {
            for twice in [false, true] {
                let script = move |bench: &mut Bench| {
                    let (unix, address) = unix_listener(8);
                    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
                    let port = tcp.local_addr().unwrap().port();
                    let (mut unix, mut tcp) = (Some(unix), Some(tcp));
                    let is_unix = matches!(to, To::Unix | To::UnixGone);
                    match to {
                        To::UnixGone => drop(unix.take()),
                        To::TcpGone => drop(tcp.take()),
                        _ => {}
                    }
                    let fd = socket(if is_unix { libc::AF_UNIX } else { libc::AF_INET });
                    let (pointer, len) = if is_unix { unix_address(bench, &address) } else { ip_address(bench, port) };
                    bench.push(1, Sqe::connect(fd.as_raw_fd(), pointer, len));
                    let mut outcome = Outcome::new();
                    if is_cancelled {
                        bench.cancel(20, 1);
                        let (cancel, has_missed) = bench.pursue(20, 1);
                        if has_missed {
                            outcome.push(("missed", 1));
                        }
                        outcome.push(("cancel", bench.result(cancel)));
                    }
                    bench.wait_for(&[1]);
                    outcome.push(("connect", bench.result(1)));
                    if twice && bench.result(1) == 0 {
                        bench.push(3, Sqe::connect(fd.as_raw_fd(), pointer, len));
                        bench.wait_for(&[3]);
                        outcome.push(("again", bench.result(3)));
                    }
                    outcome
                };
                let is_allowed = move |outcome: &Outcome| {
                    let natural = if matches!(to, To::Unix | To::Tcp) { 0 } else { -libc::ECONNREFUSED };
                    // After a connect that does not block, as epoll's, the second is what ends the first.
                    let is_refused = |again: i32| again == -libc::EISCONN || again == 0;
                    let is_right = |cancel: Option<i32>, connect: i32| match cancel {
                        None => connect == natural,
                        Some(0) => is_stopped(connect),
                        Some(error) if error == -libc::ENOENT => connect == natural,
                        Some(error) => error == -libc::EALREADY && (connect == natural || is_stopped(connect)),
                    };
                    let outcome = match &outcome[..] {
                        [("missed", _), rest @ ..] => rest,
                        all => all,
                    };
                    match *outcome {
                        [("connect", connect)] => is_right(None, connect),
                        [("cancel", cancel), ("connect", connect)] => is_right(Some(cancel), connect),
                        [("connect", 0), ("again", again)] => is_refused(again),
                        [("cancel", cancel), ("connect", 0), ("again", again)] => {
                            is_right(Some(cancel), 0) && is_refused(again)
                        }
                        _ => false,
                    }
                };
                let name = format!(
                    "connect to {to:?}{}{}",
                    if is_cancelled { ", cancelled" } else { "" },
                    if twice { ", twice" } else { "" }
                );
                scenarios.push(Scenario::new("connects", name, script, is_allowed));
            }
        }
    }
    scenarios
}

/// Several operations on one stream: what one takes the others do not get, and nothing is lost.
fn several() -> Vec<Scenario> {
    let mut scenarios = Vec::new();
    for receivers in [2usize, 3, 5] {
        for messages in [1usize, 2, 4] {
            let script = move |bench: &mut Bench| {
                let (mut ours, mut theirs) = UnixStream::pair().unwrap();
                for number in 1..=receivers as u64 {
                    let memory = bench.memory(&[0; 4]);
                    bench.push(number, Sqe::recv(ours.as_raw_fd(), memory, 4, 0, 0));
                }
                bench.settle();
                for _ in 0..messages {
                    theirs.write_all(b"four").unwrap();
                    bench.settle();
                }
                let wanted = 4 * messages;
                let moved = |bench: &Bench| {
                    let all = (1..=receivers as u64).map(|n| bench.result(n)).filter(|result| *result != PENDING);
                    all.map(|result| result.max(0) as usize).sum::<usize>()
                };
                // Whoever is late gets what is left.
                bench.wait_until(|bench| {
                    moved(bench) == wanted || (1..=receivers as u64).all(|number| bench.is_over(number))
                });
                let got = moved(bench);
                ours.set_nonblocking(true).unwrap();
                let mut rest = [0; 64];
                let left = ours.read(&mut rest).unwrap_or(0);
                assert_eq!(got + left, wanted, "every byte once");
                let over = (1..=receivers as u64).filter(|number| bench.is_over(*number)).count();
                vec![("all", i32::from(got == wanted)), ("over", over as i32)]
            };
            let is_allowed = move |outcome: &Outcome| {
                let [(_, all), (_, over)] = outcome[..] else { return false };
                // Each takes one message at most, and may take less.
                if all == 1 { (1..=receivers as i32).contains(&over) } else { over == receivers as i32 }
            };
            let name = format!("{receivers} receivers, {messages} messages");
            scenarios.push(Scenario::new("several at once", name, script, is_allowed));
        }
    }
    for count in [2usize, 7, 40] {
        let script = move |bench: &mut Bench| {
            let (ours, mut theirs) = UnixStream::pair().unwrap();
            for number in 1..=count as u64 {
                bench.push(number, Sqe::poll(ours.as_raw_fd(), POLLIN));
            }
            bench.settle();
            theirs.write_all(b"x").unwrap();
            let all: Vec<u64> = (1..=count as u64).collect();
            bench.wait_for(&all);
            vec![("ready", all.iter().filter(|number| bench.result(**number) == libc::POLLIN as i32).count() as i32)]
        };
        let is_allowed = move |outcome: &Outcome| outcome[0].1 == count as i32;
        scenarios.push(Scenario::new("several at once", format!("{count} polls of one stream"), script, is_allowed));
    }
    scenarios
}

/// More completions than the queue has room for (1,024 for a ring of 64): none is lost, and accepts end and are armed again.
fn overflows() -> Vec<Scenario> {
    let mut scenarios = Vec::new();
    for count in [100u64, 1_000, 3_000] {
        let script = move |bench: &mut Bench| {
            let (ours, mut theirs) = UnixStream::pair().unwrap();
            theirs.write_all(b"x").unwrap();
            for number in 1..=count {
                bench.push(number, Sqe::poll(ours.as_raw_fd(), POLLIN));
            }
            let all: Vec<u64> = (1..=count).collect();
            bench.wait_for(&all);
            let once = all.iter().filter(|number| bench.completions(**number).len() == 1).count();
            vec![("completed", once as i32)]
        };
        let is_allowed = move |outcome: &Outcome| outcome[0].1 == count as i32;
        scenarios.push(Scenario::new("overflow", format!("{count} completions at once"), script, is_allowed));
    }
    for count in [10usize, 60] {
        let script = move |bench: &mut Bench| {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            listener.set_nonblocking(true).unwrap();
            let address = listener.local_addr().unwrap();
            let (mut number, mut accepted, mut clients) = (1, Vec::new(), Vec::new());
            bench.push(number, Sqe::accept_multishot(listener.as_raw_fd(), libc::SOCK_CLOEXEC));
            bench.settle();
            for _ in 0..count {
                clients.push(TcpStream::connect(address).unwrap());
            }
            // Polls that crowd the queue meanwhile.
            let (ours, mut theirs) = UnixStream::pair().unwrap();
            theirs.write_all(b"x").unwrap();
            for poll in 10_000..11_500 {
                bench.push(poll, Sqe::poll(ours.as_raw_fd(), POLLIN));
            }
            while accepted.len() < count {
                bench.enter(Patience::Until(std::time::Duration::from_millis(100)));
                let all = (1..=number).flat_map(|number| bench.completions(number).to_vec());
                accepted = all.filter(|cqe| cqe.result >= 0).map(|cqe| cqe.result).collect();
                if bench.is_over(number) {
                    number += 1;
                    bench.push(number, Sqe::accept_multishot(listener.as_raw_fd(), libc::SOCK_CLOEXEC));
                }
            }
            bench.wait_for(&(10_000..11_500).collect::<Vec<_>>());
            for fd in &accepted {
                // SAFETY: the kernel has just given this process the descriptor.
                drop(unsafe { OwnedFd::from_raw_fd(*fd) });
            }
            vec![("accepted", accepted.len() as i32)]
        };
        let is_allowed = move |outcome: &Outcome| outcome[0].1 == count as i32;
        scenarios.push(Scenario::new("overflow", format!("{count} accepts in a crowd"), script, is_allowed));
    }
    scenarios
}

/// Pipes: what has no position is read and written where it stands.
fn pipes() -> Vec<Scenario> {
    let mut scenarios = Vec::new();
    for (name, is_read, is_late) in [
        ("read of a pipe", true, false),
        ("read of a pipe, late", true, true),
        ("write to a pipe", false, false),
        ("write to a full pipe", false, true),
    ] {
        for offset in [0, AT_POSITION] {
            let script = move |bench: &mut Bench| {
                let (mut reader, mut writer) = std::io::pipe().unwrap();
                // SAFETY: fcntl has no preconditions.
                let size = unsafe { libc::fcntl(writer.as_raw_fd(), libc::F_GETPIPE_SZ) } as usize;
                let (fd, memory) = if is_read { (reader.as_raw_fd(), [0; 4]) } else { (writer.as_raw_fd(), *b"four") };
                let memory = bench.memory(&memory);
                if !is_read && is_late {
                    writer.write_all(&vec![0; size]).unwrap();
                }
                if is_read && !is_late {
                    writer.write_all(b"four").unwrap();
                }
                let sqe = if is_read { Sqe::read(fd, memory, 4, offset) } else { Sqe::write(fd, memory, 4, offset) };
                bench.push(1, sqe);
                bench.settle();
                let early = bench.result(1);
                match (is_late, is_read) {
                    (true, true) => writer.write_all(b"four").unwrap(),
                    (true, false) => reader.read_exact(&mut vec![0; size]).unwrap(),
                    _ => {}
                }
                bench.wait_for(&[1]);
                vec![("waited", i32::from(is_late && early == PENDING)), ("moved", bench.result(1))]
            };
            let is_allowed = move |outcome: &Outcome| {
                let [(_, waited), (_, moved)] = outcome[..] else { return false };
                waited == i32::from(is_late) && (1..=4).contains(&moved)
            };
            let place = if offset == 0 { "at 0" } else { "where it stands" };
            scenarios.push(Scenario::new("pipes", format!("{name}, {place}"), script, is_allowed));
        }
    }
    scenarios
}

pub(super) fn scenarios() -> Vec<Scenario> {
    [wrong_descriptors(), cancels(), accepts(), connects(), several(), overflows(), pipes()]
        .into_iter()
        .flatten()
        .collect()
}
