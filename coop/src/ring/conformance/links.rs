//! Operations that are linked: what fails, or moves less than it was to, takes the rest of its chain with it; and the time that one may
//! take. coop itself links nothing: see ARCHITECTURE.md for why.

use super::super::{Patience, Sqe};
use super::bench::Bench;
use super::{Outcome, PENDING, Scenario};
use std::fs::File;
use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::time::Duration;

const CANCELLED: i32 = -libc::ECANCELED;

/// Of a chain that was not handed over whole nothing can be said.
const CUT: (&str, i32) = ("cut", 1);

/// A script of chains, and what may come of it.
fn scenario(
    family: &'static str,
    name: String,
    script: impl Fn(&mut Bench) -> Option<Outcome> + 'static,
    is_allowed: impl Fn(&Outcome) -> bool + 'static,
) -> Scenario {
    let script = move |bench: &mut Bench| script(bench).unwrap_or_else(|| vec![CUT]);
    Scenario::new(family, name, script, move |outcome| *outcome == [CUT] || is_allowed(outcome))
}

/// What a first member is about.
struct Things {
    ours: UnixStream,
    theirs: UnixStream,
    file: File,
}

impl Things {
    /// Three bytes are there to be received, and no more will be; the file has four.
    fn new() -> Self {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        theirs.write_all(b"abc").unwrap();
        theirs.shutdown(Shutdown::Write).unwrap();
        // SAFETY: the name is a string; the flags are none.
        let fd = crate::sys::owned(unsafe { libc::memfd_create(c"links".as_ptr(), 0) }).unwrap();
        let mut file = File::from(fd);
        file.write_all(b"four").unwrap();
        Things { ours, theirs, file }
    }
}

/// A member that ends by itself.
#[derive(Clone, Copy)]
struct Member {
    name: &'static str,
    make: fn(&mut Bench, &Things) -> Sqe,
    /// Whether a result is one that it may have; and then whether the kernel takes it for a failure.
    is_failure: fn(i32) -> Option<bool>,
}

/// It has this result, which is no failure.
macro_rules! fine {
    ($($result:pat),+) => { |result| matches!(result, $($result)|+).then_some(false) };
}

/// It has this result, which is one.
macro_rules! fails {
    ($error:expr) => {
        |result| (result == -$error).then_some(true)
    };
}

/// The other side sends no more.
const POLLOUT_AND_THE_END: i32 = libc::POLLOUT as i32 | libc::POLLRDHUP as i32;

const NOT_A_PLACE: &std::ffi::CStr = c"/proc/none/such";

const MEMBERS: [Member; 22] = [
    Member { name: "a nop", make: |_, _| Sqe::nop(0, false), is_failure: fine!(0) },
    Member { name: "a nop that says 5", make: |_, _| Sqe::nop(5, true), is_failure: fine!(5) },
    Member { name: "a nop that fails", make: |_, _| Sqe::nop(-libc::EIO, false), is_failure: fails!(libc::EIO) },
    Member { name: "a nop that fails later", make: |_, _| Sqe::nop(-libc::EIO, true), is_failure: fails!(libc::EIO) },
    Member {
        name: "a poll",
        make: |_, t| Sqe::poll(t.ours.as_raw_fd(), libc::POLLOUT as u32),
        is_failure: fine!(POLLOUT_AND_THE_END),
    },
    Member { name: "a poll of nothing", make: |_, _| Sqe::poll(-1, 1), is_failure: fails!(libc::EBADF) },
    Member {
        name: "a receive of part",
        make: |b, t| Sqe::recv(t.ours.as_raw_fd(), b.memory(&[0; 8]), 8, 0, 0),
        is_failure: fine!(1..=3),
    },
    Member {
        name: "a receive of all",
        make: |b, t| Sqe::recv(t.ours.as_raw_fd(), b.memory(&[0; 3]), 3, libc::MSG_WAITALL, 0),
        is_failure: fine!(3),
    },
    Member {
        name: "a receive of more than there is",
        make: |b, t| Sqe::recv(t.ours.as_raw_fd(), b.memory(&[0; 8]), 8, libc::MSG_WAITALL, 0),
        is_failure: |result| (result == 3).then_some(true),
    },
    Member {
        name: "a send",
        make: |b, t| Sqe::send(t.ours.as_raw_fd(), b.memory(b"four"), 4, 0),
        is_failure: fine!(1..=4),
    },
    Member {
        name: "a send of all",
        make: |b, t| Sqe::send(t.ours.as_raw_fd(), b.memory(b"four"), 4, libc::MSG_WAITALL),
        is_failure: fine!(4),
    },
    Member {
        name: "a send where none is possible",
        make: |b, t| Sqe::send(t.theirs.as_raw_fd(), b.memory(b"four"), 4, 0),
        is_failure: fails!(libc::EPIPE),
    },
    Member {
        name: "a read",
        make: |b, t| Sqe::read(t.file.as_raw_fd(), b.memory(&[0; 4]), 4, 0),
        is_failure: |result| (1..=4).contains(&result).then_some(result < 4),
    },
    Member {
        name: "a read of more than there is",
        make: |b, t| Sqe::read(t.file.as_raw_fd(), b.memory(&[0; 9]), 9, 0),
        is_failure: |result| (1..=4).contains(&result).then_some(true),
    },
    Member {
        name: "a read of nothing",
        make: |b, t| Sqe::read(t.file.as_raw_fd(), b.memory(&[0; 9]), 0, 0),
        is_failure: fine!(0),
    },
    Member {
        name: "a write",
        make: |b, t| Sqe::write(t.file.as_raw_fd(), b.memory(b"four"), 4, 0),
        is_failure: |result| (1..=4).contains(&result).then_some(result < 4),
    },
    Member {
        name: "a sync where none is possible",
        make: |_, t| Sqe::fsync(t.ours.as_raw_fd(), 0),
        is_failure: |result| (result == -libc::EINVAL).then_some(false),
    },
    Member {
        name: "a stat of nothing",
        make: |b, _| Sqe::statx(libc::AT_FDCWD, NOT_A_PLACE.as_ptr(), 0, 0, b.memory(&[0; 512]).cast()),
        is_failure: |result| (result == -libc::ENOENT).then_some(false),
    },
    Member {
        name: "an unlink of nothing",
        make: |_, _| Sqe::unlinkat(libc::AT_FDCWD, NOT_A_PLACE.as_ptr(), 0),
        is_failure: |result| (result == -libc::ENOENT).then_some(false),
    },
    Member {
        name: "an open of nothing",
        make: |_, _| Sqe::openat(libc::AT_FDCWD, NOT_A_PLACE.as_ptr(), 0, 0),
        is_failure: fails!(libc::ENOENT),
    },
    Member {
        name: "an accept of none",
        make: |_, t| Sqe::accept_multishot(t.file.as_raw_fd(), 0),
        is_failure: fails!(libc::ENOTSOCK),
    },
    Member { name: "a cancel of nothing", make: |_, _| Sqe::cancel(77), is_failure: fails!(libc::ENOENT) },
];

fn results(bench: &Bench, named: &[(u64, &'static str)]) -> Outcome {
    named.iter().map(|(number, name)| (*name, bench.result(*number))).collect()
}

/// Two are linked to each kind that there is.
fn members() -> Vec<Scenario> {
    let mut all = Vec::new();
    for member in MEMBERS {
        for is_hard in [false, true] {
            let script = move |bench: &mut Bench| {
                let things = Things::new();
                let first = (member.make)(bench, &things);
                let others = [Sqe::nop(7, false).linked(false), Sqe::nop(8, true)];
                if !bench.push_chain([first.linked(is_hard)].into_iter().chain(others)) {
                    return None;
                }
                bench.wait_for(&[1, 2, 3]);
                assert!(bench.in_order(&[1, 2, 3]), "each after the one before");
                Some(results(bench, &[(1, "first"), (2, "second"), (3, "third")]))
            };
            let is_allowed = move |outcome: &Outcome| {
                let [(_, first), (_, second), (_, third)] = outcome[..] else { return false };
                (member.is_failure)(first).is_some_and(|is_failure| {
                    (second, third) == if is_failure && !is_hard { (CANCELLED, CANCELLED) } else { (7, 8) }
                })
            };
            let kind = if is_hard { "hard" } else { "soft" };
            all.push(scenario("links", format!("two linked to {}, {kind}", member.name), script, is_allowed));
        }
    }
    all
}

/// One of three is none that the kernel knows: none is begun.
fn refusals() -> Vec<Scenario> {
    fn unknown_opcode() -> Sqe {
        let mut sqe = Sqe::nop(0, false);
        sqe.opcode = 200;
        sqe
    }
    fn unknown_flag() -> Sqe {
        let mut sqe = Sqe::nop(0, false);
        sqe.op_flags |= 1 << 30;
        sqe
    }
    fn nop() -> Sqe {
        Sqe::nop(7, false)
    }
    fn timeout() -> Sqe {
        static TIME: libc::timespec = libc::timespec { tv_sec: 9, tv_nsec: 0 };
        Sqe::link_timeout(&TIME)
    }
    let chains: [(&'static str, [fn() -> Sqe; 3], usize); 8] = [
        ("an unknown opcode, then two", [unknown_opcode, nop, nop], 0),
        ("an unknown opcode between two", [nop, unknown_opcode, nop], 1),
        ("an unknown opcode after two", [nop, nop, unknown_opcode], 2),
        ("an unknown flag, then two", [unknown_flag, nop, nop], 0),
        ("an unknown flag between two", [nop, unknown_flag, nop], 1),
        ("an unknown flag after two", [nop, nop, unknown_flag], 2),
        ("a timeout of nothing, then two", [timeout, nop, nop], 0),
        ("a timeout of a timeout", [nop, timeout, timeout], 2),
    ];
    let mut all = Vec::new();
    for (name, chain, bad) in chains {
        for is_hard in [false, true] {
            let script = move |bench: &mut Bench| {
                if !bench.push_chain([chain[0]().linked(is_hard), chain[1]().linked(is_hard), chain[2]()]) {
                    return None;
                }
                bench.wait_for(&[1, 2, 3]);
                Some(results(bench, &[(1, "first"), (2, "second"), (3, "third")]))
            };
            let is_allowed = move |outcome: &Outcome| {
                let wanted = |member| if member == bad { -libc::EINVAL } else { CANCELLED };
                outcome.iter().enumerate().all(|(member, (_, result))| *result == wanted(member))
            };
            let kind = if is_hard { "hard" } else { "soft" };
            all.push(scenario("links", format!("{name}, {kind}"), script, is_allowed));
        }
    }
    all
}

/// Members are cancelled: one that is begun, and ones that are not, which no cancel finds.
fn cancels() -> Vec<Scenario> {
    let mut all = Vec::new();
    for target in 1..=3u64 {
        for is_hard in [false, true] {
            let script = move |bench: &mut Bench| {
                let things = Things::new();
                // It never ends by itself.
                let first = Sqe::poll(things.theirs.as_raw_fd(), libc::POLLPRI as u32).linked(is_hard);
                if !bench.push_chain([first, Sqe::nop(7, false).linked(false), Sqe::nop(8, false)]) {
                    return None;
                }
                bench.settle();
                bench.cancel(20, target);
                bench.wait_for(&[20]);
                bench.settle();
                Some(results(bench, &[(20, "cancel"), (1, "first"), (2, "second"), (3, "third")]))
            };
            let is_allowed = move |outcome: &Outcome| {
                let [(_, cancel), (_, first), (_, second), (_, third)] = outcome[..] else { return false };
                if target != 1 {
                    return (cancel, first, second, third) == (-libc::ENOENT, PENDING, PENDING, PENDING);
                }
                let rest = if is_hard { (7, 8) } else { (CANCELLED, CANCELLED) };
                [0, -libc::EALREADY].contains(&cancel) && first == CANCELLED && (second, third) == rest
            };
            let kind = if is_hard { "hard" } else { "soft" };
            all.push(scenario("links", format!("a cancel of member {target}, {kind}"), script, is_allowed));
        }
    }
    all
}

/// What may have a time.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Timed {
    /// It has ended at once.
    Nop,
    /// It never ends.
    Poll,
    /// It waits for the rest.
    Half,
    /// Its descriptor is none.
    Nothing,
}

/// An operation, its timeout, and what is linked to that.
fn timeouts() -> Vec<Scenario> {
    // A simulated kernel may look at it late.
    static NONE: libc::timespec = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    static MILLISECOND: libc::timespec = libc::timespec { tv_sec: 0, tv_nsec: 1_000_000 };
    static HOUR: libc::timespec = libc::timespec { tv_sec: 3600, tv_nsec: 0 };
    let mut all = Vec::new();
    for timed in [Timed::Nop, Timed::Poll, Timed::Half, Timed::Nothing] {
        for (words, time) in [("none", &NONE), ("a millisecond", &MILLISECOND), ("an hour", &HOUR)] {
            for is_hard in [false, true] {
                let script = move |bench: &mut Bench| {
                    let things = Things::new();
                    let (ours, mut theirs) = UnixStream::pair().unwrap();
                    theirs.write_all(b"abc").unwrap();
                    let sqe = match timed {
                        Timed::Nop => Sqe::nop(7, false),
                        Timed::Poll => Sqe::poll(things.theirs.as_raw_fd(), libc::POLLPRI as u32),
                        Timed::Half => Sqe::recv(ours.as_raw_fd(), bench.memory(&[0; 6]), 6, libc::MSG_WAITALL, 0),
                        Timed::Nothing => Sqe::poll(-1, libc::POLLPRI as u32),
                    };
                    let timeout = Sqe::link_timeout(time).linked(false);
                    if !bench.push_chain([sqe.linked(is_hard), timeout, Sqe::nop(8, false)]) {
                        return None;
                    }
                    bench.settle();
                    if time.tv_sec == 0 || matches!(timed, Timed::Nop | Timed::Nothing) {
                        bench.wait_for(&[2]);
                        // The timeout may have missed it.
                        if bench.result(2) == -libc::ENOENT && !bench.is_over(1) {
                            bench.stop(20, 1);
                        }
                        bench.wait_for(&[1, 3]);
                    }
                    Some(results(bench, &[(1, "first"), (2, "timeout"), (3, "then")]))
                };
                let is_allowed = move |outcome: &Outcome| {
                    let [(_, first), (_, timeout), (_, then)] = outcome[..] else { return false };
                    let is_over = match timed {
                        // (Or it was too fast for its timeout.)
                        Timed::Nop => first == 7 && [CANCELLED, -libc::ENOENT, -libc::ETIME].contains(&timeout),
                        Timed::Nothing => first == -libc::EBADF && timeout == CANCELLED,
                        _ if words == "an hour" => return (first, timeout, then) == (PENDING, PENDING, PENDING),
                        Timed::Poll | Timed::Half => {
                            ([CANCELLED, -libc::EINTR].contains(&first) || (1..=3).contains(&first))
                                && [-libc::ETIME, -libc::EALREADY, -libc::ENOENT].contains(&timeout)
                        }
                    };
                    is_over && then == if timed == Timed::Nop || is_hard { 8 } else { CANCELLED }
                };
                let kind = if is_hard { "hard" } else { "soft" };
                let name = format!("{timed:?} with a timeout of {words}, {kind}");
                all.push(scenario("linked timeouts", name, script, is_allowed));
            }
        }
    }
    all
}

/// What chains are for.
fn uses() -> Vec<Scenario> {
    let echo = |bench: &mut Bench| {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let (fd, memory) = (ours.as_raw_fd(), bench.memory(&[0; 4]));
        let receive = Sqe::recv(fd, memory, 4, libc::MSG_WAITALL, 0).linked(false);
        if !bench.push_chain([receive, Sqe::send(fd, memory, 4, libc::MSG_WAITALL)]) {
            return None;
        }
        bench.settle();
        theirs.write_all(b"echo").unwrap();
        bench.wait_for(&[1, 2]);
        let mut got = [0; 4];
        theirs.read_exact(&mut got).unwrap();
        Some(vec![("received", bench.result(1)), ("sent", bench.result(2)), ("same", i32::from(got == *b"echo"))])
    };
    let apart = |bench: &mut Bench| {
        let things = Things::new();
        if !bench.push_chain([Sqe::poll(things.theirs.as_raw_fd(), libc::POLLPRI as u32).linked(false)]) {
            return None;
        }
        // That the chain is not whole does not show: it ends with what was handed over at once.
        bench.push(2, Sqe::nop(7, false));
        bench.settle();
        bench.enter(Patience::Until(Duration::from_millis(1)));
        Some(results(bench, &[(1, "first"), (2, "second")]))
    };
    let long = |bench: &mut Bench| {
        let nop = |number| Sqe::nop(if number == 25 { -libc::EIO } else { 0 }, number % 3 == 0);
        let is_whole = bench.push_chain((1..40).map(|number| nop(number).linked(false)).chain([nop(40)]));
        bench.wait_for(&(1..=40).collect::<Vec<_>>());
        let count = |result| (1..=40).filter(|number| bench.result(*number) == result).count() as i32;
        is_whole.then(|| vec![("done", count(0)), ("failed", count(-libc::EIO)), ("cancelled", count(CANCELLED))])
    };
    vec![
        scenario("links", "an echo".into(), echo, |outcome| *outcome == [("received", 4), ("sent", 4), ("same", 1)]),
        scenario("links", "a chain in two batches".into(), apart, |outcome| {
            *outcome == [("first", PENDING), ("second", 7)]
        }),
        scenario("links", "a long chain".into(), long, |outcome| {
            *outcome == [("done", 24), ("failed", 1), ("cancelled", 15)]
        }),
    ]
}

pub(super) fn scenarios() -> Vec<Scenario> {
    let all = [members(), refusals(), cancels(), timeouts(), uses()].into_iter().flatten();
    // It links nothing, and has no NOPs.
    all.map(|scenario| Scenario { is_for_epoll: false, ..scenario }).collect()
}
