//! Sending without copying.

use crate::common::kind;
use coop::__private::Faults;
use coop::io::Partial;
use coop::net::{TcpListener, TcpStream};
use coop::{Builder, Driver, Killed};
use std::cell::Cell;
use std::io::{self, Read};
use std::net::TcpStream as StdStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A connection, and its other end in std's hands.
fn pair() -> (TcpStream, StdStream) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let ours = StdStream::connect(listener.local_addr().unwrap()).unwrap();
    (ours.into(), listener.accept().unwrap().0)
}

/// More than a peer takes that does not read, and less than what waits for it here may be.
const TOO_MUCH: usize = 600_000;

fn noise(len: usize, seed: u64) -> Vec<u8> {
    let mut x = seed | 1;
    let mut next = || {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        x.to_ne_bytes()
    };
    let mut bytes = Vec::with_capacity(len + 8);
    while bytes.len() < len {
        bytes.extend(next());
    }
    bytes.truncate(len);
    bytes
}

/// By the ring, by one that knows no such operation, by epoll.
fn everywhere(test: impl Fn(bool)) {
    for (name, builder) in [
        ("default", Builder::new()),
        ("hardened", Builder::new().hardened(true)),
        ("epoll", Builder::new().driver(Driver::Epoll)),
    ] {
        if let Err(error) = builder.run(|| test(name == "default")) {
            assert!(error.is_not_hardened(), "{name}: {error}");
        }
    }
}

#[test]
fn what_is_sent_arrives_as_it_was_whatever_its_size() {
    everywhere(|_| {
        for above in [1, 4096, 262_144, usize::MAX] {
            let (ours, mut theirs) = pair();
            let sizes = [0, 1, 4095, 4096, 100_000, 262_144, 1_500_000, 3];
            let expected: Vec<u8> = sizes.iter().flat_map(|size| noise(*size, *size as u64)).collect();
            let reader = std::thread::spawn(move || {
                let mut got = Vec::new();
                theirs.read_to_end(&mut got).unwrap();
                got
            });
            let sender = ours.zero_copy().above(above);
            for (turn, size) in sizes.into_iter().enumerate() {
                let bytes = noise(size, size as u64);
                if turn % 2 == 0 { sender.send_all(bytes) } else { sender.send_all(Arc::<[u8]>::from(bytes)) }.unwrap();
            }
            // Over the loopback interface the kernel copies: that is found out.
            if above == usize::MAX {
                assert!(!sender.is_copied());
            }
            drop(ours);
            assert!(reader.join().unwrap() == expected, "above {above}");
        }
    });
}

#[test]
fn that_the_kernel_copies_all_the_same_is_noticed_and_buffers_come_back() {
    everywhere(|_| {
        let (ours, mut theirs) = pair();
        let sender = ours.zero_copy().above(1);
        let shared: Arc<[u8]> = noise(300_000, 1).into();
        let reader = std::thread::spawn(move || {
            let mut got = vec![0; 600_000];
            theirs.read_exact(&mut got).unwrap();
            (theirs, got)
        });
        sender.send_all(shared.clone()).unwrap();
        let (_theirs, got) = {
            while !sender.is_copied() {
                coop::sleep(Duration::from_millis(1)).unwrap();
            }
            sender.send_all(shared.clone()).unwrap();
            reader.join().unwrap()
        };
        assert!(got[..300_000] == shared[..] && got[300_000..] == shared[..]);
        while sender.outstanding() > 0 {
            coop::sleep(Duration::from_millis(1)).unwrap();
        }
        assert_eq!(Arc::strong_count(&shared), 1, "nothing holds it any more");
        assert!(format!("{sender:?}").contains("is_copied: true, outstanding: 0"));
    });
}

/// A peer that does not read: a kill comes through, says how much was sent, and what was sent arrives as it was.
#[test]
fn a_sender_whose_peer_does_not_read_is_killed_at_once() {
    everywhere(|_| {
        for round in 0..6 {
            let (ours, mut theirs) = pair();
            let shared: Arc<[u8]> = noise(6_000_000, 7).into();
            let sender = ours.zero_copy();
            let sent = Cell::new(0);
            coop::wait_all(|s| {
                let mut victim = s.spawn(|| {
                    let error = sender.send_all(shared.clone()).unwrap_err();
                    assert!(Killed::is(&error), "{error}");
                    sent.set(Partial::of(&error).expect("it says how far").done);
                });
                if round > 0 {
                    coop::sleep(Duration::from_micros(200 * round)).unwrap();
                }
                let begin = Instant::now();
                victim.kill();
                victim.join().unwrap();
                assert!(begin.elapsed() < Duration::from_secs(5));
            });
            assert!(sent.get() < shared.len());
            drop(sender);
            // Its buffer goes on being sent, though nobody here has it any more.
            let expected = shared[..sent.get()].to_vec();
            drop((ours, shared));
            let reader = std::thread::spawn(move || {
                let mut got = Vec::new();
                theirs.read_to_end(&mut got).unwrap();
                got
            });
            while !reader.is_finished() {
                coop::sleep(Duration::from_millis(1)).unwrap();
            }
            assert!(reader.join().unwrap() == expected, "round {round}: {} bytes", expected.len());
        }
    });
}

/// It does not wait for a peer who has not read; and what he reads later is what was sent.
#[test]
fn a_cooperator_ends_while_buffers_are_out() {
    for round in 0..3 {
        let (begin, out) = (Instant::now(), Cell::new(0));
        let mut peers = Vec::new();
        coop::run(|| {
            for number in 0..8 {
                let (ours, theirs) = pair();
                // So little that the sockets hold it.
                let sender = ours.zero_copy().above(1);
                sender.send_all(noise(TOO_MUCH, number)).unwrap();
                assert!(sender.outstanding() > 0 || sender.is_copied());
                out.set(out.get() + usize::from(sender.outstanding() > 0));
                peers.push((number, theirs));
                if round % 2 == 0 {
                    coop::yield_now().unwrap();
                }
            }
        });
        assert!(begin.elapsed() < Duration::from_secs(10), "{:?}", begin.elapsed());
        println!("round {round}: {} of 8 buffers were out", out.get());
        // Memory that was freed would be used again.
        let _others: Vec<_> = (0..100).map(|_| vec![9; TOO_MUCH]).collect();
        for (number, mut theirs) in peers {
            let mut got = Vec::new();
            theirs.read_to_end(&mut got).unwrap();
            assert!(got == noise(TOO_MUCH, number));
        }
    }
}

#[test]
fn many_buffers_are_out_at_once() {
    everywhere(|_| {
        coop::wait_all(|s| {
            for number in 0..60 {
                s.spawn(move || {
                    let (ours, mut theirs) = pair();
                    let sender = ours.zero_copy().above(1);
                    let mut expected = Vec::new();
                    for size in [10_000, 5_000, 20_000] {
                        let bytes = noise(size, number * 10 + size as u64);
                        expected.extend_from_slice(&bytes);
                        sender.send_all(bytes).unwrap();
                        coop::yield_now().unwrap();
                    }
                    drop(sender);
                    drop(ours);
                    let mut got = Vec::new();
                    theirs.read_to_end(&mut got).unwrap();
                    assert!(got == expected);
                });
            }
        });
    });
}

#[test]
fn errors_are_those_of_a_send() {
    everywhere(|_| {
        let (ours, theirs) = pair();
        let sender = ours.zero_copy().above(1);
        ours.shutdown(std::net::Shutdown::Write).unwrap();
        let error = sender.send_all(noise(300_000, 1)).unwrap_err();
        assert_eq!((error.kind(), Partial::of(&error).unwrap().done), (io::ErrorKind::BrokenPipe, 0));
        drop(theirs);
        // A peer that goes half way.
        let (ours, theirs) = pair();
        let sender = ours.zero_copy().above(1);
        let peer = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(5));
            drop(theirs);
        });
        let error = sender.send_all(vec![7; 30_000_000]).unwrap_err();
        assert!(
            matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset),
            "{error}, {:?}",
            error.kind()
        );
        assert!(Partial::of(&error).unwrap().done < 30_000_000);
        peer.join().unwrap();
    });
    // Without a Cooperator.
    let (ours, _theirs) = pair();
    assert_eq!(kind(ours.zero_copy().send_all(noise(300_000, 1))), io::ErrorKind::Unsupported);
}

/// That a buffer is still out keeps nobody from seeing that nothing will ever happen any more.
#[test]
fn a_deadlock_is_seen_though_a_buffer_is_out() {
    let (ours, _theirs) = pair();
    coop::run(|| {
        let sender = ours.zero_copy().above(1);
        sender.send_all(noise(TOO_MUCH, 1)).unwrap();
        println!("{sender:?}");
        let gate = coop::Coordinator::held();
        let killed = coop::coordinate!(&gate).map(drop).unwrap_err();
        assert_eq!(killed.cause(), coop::Cause::Resources);
    });
}

#[coop::test]
fn a_killed_task_sends_nothing() -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let client = TcpStream::connect(listener.local_addr()?)?;
    let (server, _) = listener.accept()?;
    coop::wait_all(|s| {
        let mut late = s.spawn(|| {
            while coop::yield_now().is_ok() {}
            client.zero_copy().above(1).send_all(vec![7; 300_000])
        });
        coop::yield_now().unwrap();
        late.kill();
        let error = late.join().unwrap().unwrap_err();
        assert!(Killed::is(&error) && Partial::of(&error).is_some_and(|partial| partial.done == 0));
    });
    drop(client);
    assert_eq!(server.recv(&mut [0; 8])?, 0);
    Ok(())
}

/// On a ring on which submissions fail, completions come late and in another order, and cancels miss: what is said to have been sent
/// has been, and nothing else.
#[test]
fn whatever_goes_wrong_on_the_ring_it_is_told_what_was_sent() {
    let failed = Cell::new(0);
    for seed in 0..12 {
        let faults = Faults::new(seed).often(4);
        let all = || {
            let (ours, mut theirs) = pair();
            let expected = noise(2_000_000, seed);
            let reader = std::thread::spawn(move || {
                let mut got = Vec::new();
                theirs.read_to_end(&mut got).unwrap();
                got
            });
            let (mut done, mut turn) = (0, 0);
            while done < expected.len() {
                turn += 1;
                let piece = expected[done..].iter().copied().take(70_000).collect::<Vec<_>>();
                let len = piece.len();
                // Each time anew: one that has seen the kernel copy does not try again.
                let send = || ours.zero_copy().above(1).send_all(piece);
                let result = match turn % 3 {
                    // (`timeout` would say that its time is over, and not how far it has got.)
                    0 => coop::deadline(Duration::from_micros(50), send).0,
                    _ => send(),
                };
                done += match result {
                    Ok(()) => len,
                    Err(error) => {
                        failed.set(failed.get() + 1);
                        Partial::of(&error).map_or(0, |partial| partial.done)
                    }
                };
            }
            drop(ours);
            assert!(reader.join().unwrap() == expected, "seed {seed}");
        };
        Builder::new().faulty_ring(&faults).run(all).unwrap();
    }
    assert!(failed.get() > 0);
}
