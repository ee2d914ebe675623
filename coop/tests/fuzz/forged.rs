//! Completions that no operation has made, sent to the ring of a Cooperator at work, as hostile code in the process, or a forked
//! child, could: a thread posts them by `IORING_REGISTER_SEND_MSG_RING`, which needs nothing but the ring's descriptor.

use crate::child::child;
use crate::generate::{Random, count, seed};
use coop::net::UnixStream;
use coop::{Builder, Driver, op};
use std::cell::Cell;
use std::fs;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// The descriptor of this process's only ring.
fn ring() -> i32 {
    let entries = fs::read_dir("/proc/self/fd").unwrap().flatten();
    let is_ring =
        |entry: &fs::DirEntry| fs::read_link(entry.path()).is_ok_and(|to| to.to_string_lossy().contains("[io_uring]"));
    let rings: Vec<_> = entries.filter(is_ring).map(|entry| entry.file_name().into_string().unwrap()).collect();
    let [ring] = &rings[..] else { panic!("{} rings", rings.len()) };
    ring.parse().unwrap()
}

/// Posts a completion.
fn post(ring: i32, user_data: u64, result: i32, flags: Option<u32>) -> io::Result<()> {
    const REGISTER_SEND_MSG_RING: libc::c_uint = 31;
    const MSG_RING: u64 = 40;
    const PASS_FLAGS: u64 = 1 << 1;
    let mut sqe = [0u64; 8];
    sqe[0] = MSG_RING | (ring as u64) << 32;
    sqe[1] = user_data;
    sqe[3] = u64::from(result as u32) | if flags.is_some() { PASS_FLAGS << 32 } else { 0 };
    sqe[5] = u64::from(flags.unwrap_or(0)) << 32;
    // SAFETY: one entry, as the count says.
    let done = unsafe { libc::syscall(libc::SYS_io_uring_register, -1, REGISTER_SEND_MSG_RING, sqe.as_ptr(), 1) };
    if done < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Whether this kernel lets one thread post to the ring of another.
fn can_post() -> bool {
    let probe = post(-1, 0, 0, None).unwrap_err();
    probe.raw_os_error() == Some(libc::EBADF)
}

const RESULTS: [i32; 8] = [0, 1, 7, i32::MAX, -libc::ECANCELED, -libc::EBADF, -libc::ENOBUFS, i32::MIN];

/// What became of an exchange.
#[derive(Default)]
struct Exchange {
    /// Completions that were posted.
    posted: u64,
    /// Completions that belonged to nobody.
    strays: u64,
    /// Forged errors that were taken for results.
    met: u64,
}

/// Two tasks send each other so many bytes, both by `select!`, while `forge` posts to the ring from another thread. It is told how
/// many have come so far.
fn exchange_under(forge: impl Fn(i32, &mut Random, u64) -> io::Result<()> + Sync, seed: u64, rounds: u64) -> Exchange {
    let (is_over, posted, in_ring) = (AtomicBool::new(false), AtomicU64::new(0), AtomicU64::new(0));
    let (come, met) = (AtomicU64::new(0), Cell::new(0));
    let mut strays = 0;
    std::thread::scope(|threads| {
        let forger = || {
            while in_ring.load(Ordering::Acquire) == 0 {
                std::thread::yield_now();
            }
            let (mut random, ring) = (Random::new(seed), in_ring.load(Ordering::Acquire) as i32);
            while !is_over.load(Ordering::Acquire) {
                forge(ring, &mut random, come.load(Ordering::Relaxed)).expect("the ring takes messages");
                posted.fetch_add(1, Ordering::Relaxed);
            }
        };
        let forger = threads.spawn(forger);
        Builder::new()
            .driver(Driver::Uring)
            .run(|| {
                in_ring.store(ring() as u64, Ordering::Release);
                let (near, far) = UnixStream::pair().unwrap();
                coop::wait_all(|s| {
                    s.spawn(|| echo(&far, &met));
                    // The sums of all bytes, once each.
                    let (mut sent, mut received) = (0u64, 0u64);
                    for round in 0..rounds {
                        come.store(round, Ordering::Relaxed);
                        near.send_all(&[round as u8]).unwrap();
                        sent += u64::from(round as u8);
                        received += u64::from(receive(&near, &met).expect("it has not ended"));
                    }
                    assert_eq!(received, sent);
                    near.shutdown(std::net::Shutdown::Write).unwrap();
                });
                is_over.store(true, Ordering::Release);
                // What was posted last is seen, too.
                while !forger.is_finished() {
                    coop::sleep(Duration::from_millis(1)).unwrap();
                }
                // What the ring had no room for comes when there is some: as long as some comes, or none is to come.
                let mut idle = 0;
                while idle < 4 && strays < posted.load(Ordering::Relaxed) {
                    coop::sleep(Duration::from_millis(2)).unwrap();
                    let before = std::mem::replace(&mut strays, coop::__private::census().strays);
                    idle = if strays == before { idle + 1 } else { 0 };
                }
                assert_eq!(coop::__private::census().tasks, 1, "both have ended, and only once");
            })
            .unwrap();
    });
    Exchange { posted: posted.into_inner(), strays, met: met.get() }
}

/// The next bytes, at most one; none at the end. By an arm of a `select!`: a poll, which names no memory, and a call. What a poll
/// is made to say wrongly is an error of the arm, which has had no effect.
fn receive(conn: &UnixStream, met: &Cell<u64>) -> Option<u8> {
    let mut byte = [0; 1];
    loop {
        let got = coop::select! {
            got = op::recv(conn, &mut byte) => got,
            _ = op::after(Duration::from_secs(600)) => panic!("a byte was lost"),
        };
        match got.expect("nobody kills anybody") {
            Ok(count) => return (count == 1).then_some(byte[0]),
            Err(error) => {
                let result = -error.raw_os_error().expect("what the ring has answered");
                assert!(RESULTS.contains(&result) || result == -i32::MAX, "{error}");
                met.set(met.get() + 1);
            }
        }
    }
}

fn echo(conn: &UnixStream, met: &Cell<u64>) {
    while let Some(byte) = receive(conn, met) {
        conn.send_all(&[byte]).unwrap();
    }
}

#[test]
fn completions_of_no_operation_are_counted_and_change_nothing() {
    child!(|| {
        if !can_post() {
            println!("skipped: Linux 6.13 or newer is needed to post to another ring");
            return;
        }
        let forge = |ring, random: &mut Random, _: u64| {
            // Generations that no slot comes to in this test, so that no operation is hit: its memory is the kernel's meanwhile.
            let user_data = (random.next() | 1 << 63) & !0xffff_0000 | random.next() & 0x1_0000;
            let flags = (random.below(2) == 0).then(|| random.next() as u32 & 0x3);
            post(ring, user_data, *random.pick(&RESULTS), flags)
        };
        let Exchange { posted, strays, .. } = exchange_under(forge, seed(), count(2_000));
        assert!(posted > 100, "only {posted}");
        assert_eq!(strays, posted);
    })
    .succeeded();
}

#[test]
fn completions_that_hit_a_poll_too_early_twice_or_with_nonsense_lose_nothing() {
    child!(|| {
        if !can_post() {
            println!("skipped: Linux 6.13 or newer is needed to post to another ring");
            return;
        }
        // Every operation of the exchange but the sends is a poll. A send of a byte on an empty socket is done at once, and never
        // in flight; so whatever is hit, no memory is given back too early.
        let forge = |ring, random: &mut Random, rounds: u64| {
            // Each of the two or three slots in use is used about once a round.
            let generation = 1 + random.below(2 * rounds as usize + 4) as u64;
            let user_data = generation << 32 | random.below(3) as u64;
            let flags = (random.below(2) == 0).then(|| random.next() as u32 & 0x2);
            post(ring, user_data, *random.pick(&RESULTS), flags)
        };
        // Short ones, so that few generations are to be guessed among: as many as it takes to have hit often.
        let (mut met, mut seeds) = (0, seed()..seed() + 10_000);
        while met < count(100) {
            met += exchange_under(forge, seeds.next().expect("some are hit"), 50).met;
        }
    })
    .succeeded();
}
