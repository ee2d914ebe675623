//! The same seed, the same run; and what is said of a seed that fails.

use coop::net::{TcpListener, TcpStream, UdpSocket};
use coop::sim::{self, NetOptions, Trace};
use std::collections::BTreeSet;
use std::io::{self, Read, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

/// A bit of everything: streams, datagrams, timers, files, threads, a crash, a partition.
fn everything() -> io::Result<()> {
    let server = sim::host("server", [10, 0, 0, 1], || -> io::Result<()> {
        let listener = TcpListener::bind("0.0.0.0:80")?;
        loop {
            let mut conn = listener.accept()?.0;
            coop::spawn(move || io::copy(&mut conn.try_clone()?, &mut conn).map(drop));
        }
    })?;
    coop::spawn(|| -> io::Result<()> {
        let socket = UdpSocket::bind("10.0.0.9:9")?;
        loop {
            let (n, from) = socket.recv_from(&mut [0; 100])?;
            sim::note(format_args!("{n} bytes from {from}"));
        }
    });
    let clients: Vec<_> = (0..4u8)
        .map(|client| {
            coop::spawn(move || -> io::Result<()> {
                let socket = UdpSocket::bind("0.0.0.0:0")?;
                for round in 0..6u8 {
                    coop::sleep(Duration::from_millis(sim::random(20) as u64))?;
                    socket.send_to(&[client, round], "10.0.0.9:9")?;
                    let _ = coop::timeout(Duration::from_millis(30), || -> io::Result<()> {
                        let mut conn = TcpStream::connect("server:80")?;
                        conn.write_all(&[client; 2000])?;
                        conn.shutdown(std::net::Shutdown::Write)?;
                        conn.read_to_end(&mut Vec::new())?;
                        Ok(())
                    });
                    coop::unblock(move || u32::from(round) * 7)?;
                }
                Ok(())
            })
        })
        .collect();
    coop::sleep(Duration::from_millis(20))?;
    sim::net().partition("server", sim::ELSEWHERE);
    coop::sleep(Duration::from_millis(20))?;
    sim::net().heal_all();
    coop::sleep(Duration::from_millis(10))?;
    server.restart()?;
    for mut client in clients {
        client.join().unwrap()?;
    }
    Ok(())
}

fn traced(seed: u64) -> Trace {
    let net = NetOptions::new().datagram_loss(0.1).datagram_duplication(0.1).reset(0.01);
    let (result, trace) = sim::Builder::new().seed(seed).net(net).traced(everything);
    result.unwrap();
    trace
}

#[test]
fn a_run_is_a_function_of_its_seed() {
    let mut hashes = BTreeSet::new();
    for seed in 0..40 {
        let (one, other) = (traced(seed), traced(seed));
        assert_eq!(one.lines, other.lines, "seed {seed}");
        assert_eq!(one.hash, other.hash, "seed {seed}: the same events, but other choices");
        hashes.insert(one.hash);
    }
    assert_eq!(hashes.len(), 40, "and differs from seed to seed");
}

/// What `check` says of a program that fails.
fn report(builder: &sim::Builder, seeds: u64, f: impl Fn()) -> String {
    let failed = catch_unwind(AssertUnwindSafe(|| builder.check(0..seeds, f))).expect_err("it fails for some seed");
    failed.downcast_ref::<String>().expect("a report").clone()
}

#[test]
fn a_failure_is_reported_with_its_replay_and_only_what_it_needs() {
    let net = NetOptions::new().datagram_loss(0.05).datagram_duplication(0.05);
    let builder = sim::Builder::new().net(net);
    // A program that does not bear that a certain datagram comes twice.
    let program = || {
        let receiver = UdpSocket::bind("10.0.0.1:53").unwrap();
        let sender = UdpSocket::bind("10.0.0.2:0").unwrap();
        let noise = UdpSocket::bind("10.0.0.3:0").unwrap();
        for number in 0..10u8 {
            noise.send_to(&[0], "10.0.0.4:1").unwrap();
            sender.send_to(&[number], "10.0.0.1:53").unwrap();
        }
        let (mut seen, mut buf) = (BTreeSet::new(), [0; 1]);
        while coop::timeout(Duration::from_secs(1), || receiver.recv_from(&mut buf)).is_ok() {
            assert!(seen.insert(buf[0]), "number {} has come twice", buf[0]);
        }
    };
    let text = report(&builder, 100, program);
    assert!(text.contains("has come twice"), "{text}");
    assert!(text.contains("\nto see it again:\n    COOP_SEED="), "{text}");
    let command = " cargo test -p coop replay::a_failure_is_reported_with_its_replay_and_only_what_it_needs -- --exact";
    assert!(text.contains(command) || text.contains("nextest"), "{text}");
    assert!(text.contains("the failure needs 1 ("), "one datagram that is doubled is enough:\n{text}");
    assert!(text.contains("\n    doubled datagrams: 1\n"), "{text}");
    assert_eq!(text.matches("is doubled").count(), 1, "{text}");
    // The seed that was named fails in the same way, alone.
    let seed: u64 = text.split("COOP_SEED=").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap();
    let again = catch_unwind(AssertUnwindSafe(|| builder.check([seed], program))).expect_err("it fails again");
    assert_eq!(again.downcast_ref::<String>(), Some(&text));
}

#[test]
fn a_failure_on_every_seed_needs_nothing_of_chance() {
    let text = report(&sim::Builder::new(), 1, || panic!("as always"));
    assert!(text.contains("as always") && text.contains("the failure needs 0 ("), "{text}");
    assert!(text.contains("none: it fails on every seed"), "{text}");
}

#[test]
fn deadlocks_endless_runs_lost_panics_and_errors_are_failures() {
    let deadlock = report(&sim::Builder::new(), 1, || {
        let listener = TcpListener::bind("10.0.0.1:80").unwrap();
        let _ = listener.accept();
    });
    assert!(deadlock.contains("deadlock: no task can run") && deadlock.contains("accept"), "{deadlock}");
    let limited = sim::Builder::new().time_limit(Duration::from_secs(60));
    let endless = report(&limited, 1, || while coop::sleep(Duration::from_secs(1)).is_ok() {});
    assert!(
        endless.contains("not over after 61s of simulated time") || endless.contains("not over after 60s"),
        "{endless}"
    );
    let orphan = report(&sim::Builder::new(), 1, || {
        coop::spawn(|| panic!("nobody hears me"));
        coop::sleep(Duration::from_secs(1)).unwrap();
    });
    assert!(orphan.contains("nobody hears me") && orphan.contains("nobody has joined it"), "{orphan}");
    let host = report(&sim::Builder::new(), 1, || {
        sim::host("a", [10, 0, 0, 1], || Err::<(), _>("no disk")).unwrap();
        coop::sleep(Duration::from_secs(1)).unwrap();
    });
    assert!(host.contains("host a: \"no disk\""), "{host}");
    let failed = catch_unwind(|| sim::check(0..1, || Err::<(), _>("an error"))).expect_err("it fails");
    assert!(failed.downcast_ref::<String>().unwrap().contains("\"an error\""));
}

#[test]
fn what_is_no_function_of_the_seed_is_found_out() {
    let calls = std::cell::Cell::new(0);
    let text = report(&sim::Builder::new(), 1, || {
        calls.set(calls.get() + 1);
        sim::note(format_args!("call {}", calls.get()));
    });
    assert!(text.contains("does not happen twice in the same way") && text.contains("call "), "{text}");
}

#[test]
fn an_ordinary_run_says_what_is_missing() {
    let outside = catch_unwind(|| coop::run(|| sim::net().heal_all())).expect_err("no simulation");
    assert!(outside.downcast_ref::<&str>().unwrap().contains("coop::sim::run"));
    assert!(!coop::run(sim::is_simulated) && sim::run(1, sim::is_simulated));
    let inside = catch_unwind(|| coop::run(|| sim::run(1, || ()))).expect_err("in a task");
    assert!(inside.downcast_ref::<&str>().unwrap().contains("not in a task"));
    let unknown = catch_unwind(|| sim::run(1, || sim::net().isolate("nobody"))).expect_err("nobody");
    assert!(unknown.downcast_ref::<String>().unwrap().contains("no host of the simulation is called nobody"));
}
