//! Rule 3: an operation ends at its own completion, and what a completion that raced a kill has made is delivered or disposed of.
//!
//! Races are run in the two modes in which the kernel finishes operations: when it is asked to, and (`cooperative`) at any system
//! call, which is where a cancel comes too late most often. Each in a process of its own, in which descriptors are counted.

use crate::child::{child, descriptors};
use crate::random::Random;
use coop::io::Partial;
use coop::net::{TcpListener, UnixListener, UnixStream};
use coop::{Killed, op};
use std::cell::{Cell, RefCell};
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

const MODES: [&str; 2] = ["deferred", "cooperative"];

/// Lets some time pass, in one of the ways in which it passes: other tasks run, the loop runs, the processor runs.
fn dither(random: &Random) {
    match random.below(4) {
        0 => {}
        1 => (0..random.below(40)).for_each(|_| coop::yield_now().unwrap()),
        2 => coop::sleep(Duration::from_nanos(random.below(30_000))).unwrap(),
        _ => (0..random.below(2_000)).for_each(|_| std::hint::spin_loop()),
    }
}

/// The ways to receive some bytes. All give what they got, or the kill.
fn receive(way: u64, conn: &UnixStream, buffer: &mut [u8]) -> io::Result<usize> {
    match way {
        0 => conn.recv(buffer),
        1 => coop::wait_all(|s| s.start(op::recv(conn, buffer)).wait().map(|received| received.n())),
        2 => coop::select! {
            n = op::recv(conn, buffer) => n,
            _ = op::after(Duration::from_secs(3600)) => Ok(0),
        }?,
        3 => match conn.recv_exact(buffer) {
            Ok(()) => Ok(buffer.len()),
            Err(error) => Partial::of(&error).map(|partial| partial.done).filter(|done| *done > 0).ok_or(error),
        },
        4 => coop::timeout(Duration::from_nanos(20_000), || conn.recv(buffer)),
        _ => coop::wait_all(|s| {
            let mut incoming = s.start(op::recv(conn, buffer));
            let arrived = coop::select! { received = &mut incoming => Some(received.map(|received| received.n())) };
            match arrived {
                Ok(arrived) => arrived,
                // The kill came to the `select!`; a result may have come to the Handle.
                Err(killed) => {
                    incoming.cancel().map(|received| received.map(|received| received.n())).or(Some(Err(killed.into())))
                }
            }
            .expect("one or the other")
        }),
    }
}

#[test]
fn bytes_sent_are_bytes_received_and_bytes_left_however_a_receiver_is_killed() {
    for mode in MODES {
        child!([("COOP_TASKRUN", mode)], || {
            coop::run(|| {
                let before = descriptors();
                for seed in 0..8_000 {
                    let random = Random::new(seed);
                    let (ours, theirs) = UnixStream::pair().unwrap();
                    let way = random.below(6);
                    let received = Rc::new(RefCell::new(Vec::new()));
                    let (conn, log) = (Rc::new(ours), received.clone());
                    let left = conn.clone();
                    let mut receiver = coop::spawn(move || {
                        loop {
                            let mut buffer = [0; 3];
                            match receive(way, &conn, &mut buffer) {
                                Ok(n) => log.borrow_mut().extend_from_slice(&buffer[..n]),
                                Err(error) if Killed::is(&error) => return,
                                Err(error) if error.kind() == io::ErrorKind::TimedOut => {}
                                Err(error) => panic!("seed {seed}: {error}"),
                            }
                        }
                    });
                    let sent: Vec<u8> = (0..random.below(40) as u8).collect();
                    for piece in sent.chunks(1 + random.below(5) as usize) {
                        theirs.send_all(piece).unwrap();
                        dither(&random);
                    }
                    dither(&random);
                    receiver.kill();
                    receiver.join().unwrap();
                    drop(theirs);
                    let mut received = received.take();
                    io::Read::read_to_end(&mut &*left, &mut received).unwrap();
                    assert_eq!(received, sent, "seed {seed}, way {way}");
                }
                let census = coop::__private::census();
                assert_eq!((census.operations, census.strays, descriptors()), (0, 0, before));
            });
        })
        .succeeded();
    }
}

/// The ways to accept a connection.
macro_rules! accept {
    ($way:expr, $listener:expr) => {
        match $way {
            0 => $listener.accept().map(|accepted| accepted.0),
            1 => coop::wait_all(|s| s.start(op::accept($listener)).wait()).map(|accepted| accepted.0),
            2 => coop::select! {
                accepted = op::accept($listener) => accepted.map(|accepted| accepted.0),
                _ = op::after(Duration::from_secs(3600)) => panic!("an hour has passed"),
            }
            .unwrap_or_else(|killed| Err(killed.into())),
            _ => coop::wait_all(|s| {
                let mut incoming = s.start(op::accept($listener));
                let accepted = match coop::select! { accepted = &mut incoming => accepted } {
                    Ok(accepted) => accepted,
                    Err(killed) => incoming.cancel().unwrap_or(Err(killed.into())),
                };
                accepted.map(|accepted| accepted.0)
            }),
        }
    };
}

/// Kills acceptors while connections come, and sees where each connection went: to the acceptor, or to who accepts next.
macro_rules! race_acceptors {
    ($rounds:expr, $listener:expr, $connect:expr) => {
        coop::run(|| {
            let before = descriptors();
            for seed in 0..$rounds {
                let random = Random::new(seed);
                let listener = Rc::new($listener);
                let (accepted, acceptors, way) = (Rc::new(Cell::new(0)), listener.clone(), random.below(4));
                let count = accepted.clone();
                let mut acceptor = coop::spawn(move || {
                    loop {
                        match accept!(way, &*acceptors) {
                            Ok(connection) => drop(connection),
                            Err(error) if Killed::is(&error) => return,
                            Err(error) => panic!("seed {seed}: {error}"),
                        }
                        count.set(count.get() + 1);
                    }
                });
                let mut connections = Vec::new();
                for _ in 0..random.below(4) {
                    connections.push($connect(&*listener));
                    dither(&random);
                }
                dither(&random);
                acceptor.kill();
                acceptor.join().unwrap();
                let left = std::iter::from_fn(|| {
                    coop::select! { accepted = op::accept(&*listener) => accepted.ok(), default => None }.unwrap()
                });
                assert_eq!(accepted.get() + left.count(), connections.len(), "seed {seed}, way {way}");
            }
            let census = coop::__private::census();
            assert_eq!((census.operations, census.strays, descriptors()), (0, 0, before));
        })
    };
}

#[test]
fn each_connection_is_accepted_once_or_left_however_an_acceptor_is_killed() {
    for mode in MODES {
        child!([("COOP_TASKRUN", mode)], || {
            let name = format!("\0coop-acceptors-{}", std::process::id());
            let connect = |_: &UnixListener| {
                let address = SocketAddr::from_abstract_name(&name[1..]).unwrap();
                std::os::unix::net::UnixStream::connect_addr(&address).unwrap()
            };
            race_acceptors!(5_000, UnixListener::bind(&name).unwrap(), connect);
            let connect =
                |listener: &TcpListener| std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            race_acceptors!(800, TcpListener::bind("127.0.0.1:0").unwrap(), connect);
        })
        .succeeded();
    }
}

#[test]
fn a_send_that_is_cancelled_or_killed_says_how_much_was_sent() {
    for mode in MODES {
        child!([("COOP_TASKRUN", mode)], || {
            coop::run(|| {
                let bytes: Vec<u8> = (0..1 << 20).map(|index: usize| (index / 7) as u8).collect();
                let mut partial = 0;
                for seed in 0..300 {
                    let random = Random::new(seed);
                    let (ours, theirs) = UnixStream::pair().unwrap();
                    let received = coop::wait_all(|s| {
                        let (theirs, random) = (&theirs, &random);
                        let mut drain = s.spawn(move || {
                            let (mut buffer, mut received) = (vec![0; 50_000], Vec::new());
                            loop {
                                match theirs.recv(&mut buffer).unwrap() {
                                    0 => return received,
                                    n => received.extend_from_slice(&buffer[..n]),
                                }
                                dither(random);
                            }
                        });
                        let is_killed = random.below(2) == 0;
                        let sent = if is_killed {
                            let mut sender = s.spawn(|| ours.send_all(&bytes));
                            dither(random);
                            dither(random);
                            sender.kill();
                            match sender.join().unwrap() {
                                Ok(()) => bytes.len(),
                                Err(error) => Partial::of(&error).expect("it says how far it came").done,
                            }
                        } else {
                            let sending = s.start(op::send_all(&ours, &bytes));
                            dither(random);
                            dither(random);
                            sending.cancel().map_or(0, |sent| sent.unwrap().n())
                        };
                        ours.shutdown(std::net::Shutdown::Write).unwrap();
                        let received = drain.join().unwrap();
                        assert_eq!(received.len(), sent, "seed {seed}, killed {is_killed}");
                        received
                    });
                    assert!(bytes.starts_with(&received), "seed {seed}");
                    partial += usize::from((1..bytes.len()).contains(&received.len()));
                }
                assert!(partial > 30, "the race was run: {partial} were sent in part");
            });
        })
        .succeeded();
    }
}

#[test]
fn twenty_thousand_completions_at_once_come_through_a_queue_of_a_thousand() {
    for mode in MODES {
        child!([("COOP_TASKRUN", mode)], || {
            let waiters = 20_000;
            let run = || {
                let (ours, theirs) = UnixStream::pair().unwrap();
                let seen = Cell::new(0);
                coop::wait_all(|s| {
                    for _ in 0..waiters {
                        s.spawn(|| {
                            assert_eq!(ours.peek(&mut [0]).unwrap(), 1);
                            seen.set(seen.get() + 1);
                        });
                    }
                    while coop::__private::census().operations != waiters {
                        coop::yield_now().unwrap();
                    }
                    // All at once, while this task never lets the loop rest.
                    theirs.send_all(b"!").unwrap();
                    while seen.get() < waiters {
                        coop::yield_now().unwrap();
                    }
                });
                let census = coop::__private::census();
                assert_eq!((census.operations, census.strays, census.tasks), (0, 0, 1));
            };
            coop::Builder::new().ring_entries(64).stack(1).run(run).unwrap();
        })
        .succeeded();
    }
}

#[test]
fn a_thousand_operations_are_started_over_a_full_submission_queue() {
    coop::Builder::new()
        .ring_entries(64)
        .run(|| {
            let (ours, theirs) = UnixStream::pair().unwrap();
            let mut buffers = vec![[0u8; 1]; 1_000];
            coop::wait_all(|s| {
                // Nothing waits meanwhile: whatever does not fit is handed over on the way.
                let handles: Vec<_> = buffers.iter_mut().map(|buffer| s.start(op::recv(&ours, buffer))).collect();
                theirs.send_all(&[7; 1_000]).unwrap();
                for handle in handles {
                    assert_eq!(handle.wait().unwrap().bytes(), [7]);
                }
            });
        })
        .unwrap();
}

#[test]
fn a_result_that_came_before_the_kill_is_delivered_by_a_wait_that_begins_after_it() {
    coop::run(|| {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let listener = UnixListener::bind(format!("\0coop-before-the-kill-{}", std::process::id())).unwrap();
        let (tx, rx) = coop::chan::bounded(1);
        let mut buffer = [0; 8];
        coop::wait_all(|s| {
            let mut task = s.spawn(|| {
                coop::wait_all(|inner| {
                    let (bytes, message) = (inner.start(op::recv(&ours, &mut buffer)), inner.start(op::receive(&rx)));
                    let connection = inner.start(op::accept(&listener));
                    let _ = coop::sleep(Duration::from_secs(3600));
                    (bytes.wait().map(|bytes| bytes.n()).ok(), message.wait(), connection.wait().map(drop))
                })
            });
            coop::yield_now().unwrap();
            theirs.send_all(b"hello").unwrap();
            tx.send("hello").unwrap();
            while coop::__private::census().operations != 1 {
                coop::sleep(Duration::from_micros(100)).unwrap();
            }
            task.kill();
            let (bytes, message, connection) = task.join().unwrap();
            assert_eq!((bytes, message), (Some(5), Ok("hello")));
            assert!(
                Killed::is(&connection.unwrap_err()),
                "what had not come is the kill, not an error of the kernel's"
            );
        });
    });
}

#[test]
fn an_operation_that_is_cancelled_before_it_had_an_effect_gives_nothing() {
    coop::run(|| {
        let (ours, _theirs) = UnixStream::pair().unwrap();
        let listener = UnixListener::bind(format!("\0coop-cancelled-{}", std::process::id())).unwrap();
        let signal = coop::signal::listen(libc::SIGUSR1).unwrap();
        let mutex = coop::sync::Mutex::new(0);
        let _locked = mutex.try_lock();
        let (_tx, rx) = coop::chan::bounded::<u8>(1);
        let mut buffer = [0; 8];
        coop::wait_all(|s| {
            assert!(s.start(op::recv(&ours, &mut buffer)).cancel().is_none());
            assert!(s.start(op::accept(&listener)).cancel().is_none());
            assert!(s.start(op::signal(&signal)).cancel().is_none());
            assert!(s.start(op::lock(&mutex)).cancel().is_none());
            assert!(s.start(op::receive(&rx)).cancel().is_none());
            assert!(s.start(op::after(Duration::from_secs(3600))).cancel().is_none());
        });
    });
}
