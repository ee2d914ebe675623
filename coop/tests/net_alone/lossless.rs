//! An arm that does not win has had no effect: nothing is lost, nothing comes twice, no descriptor is left.

use crate::race::{ROUNDS, Random, in_both_modes, race};
use coop::net::{PassesDescriptors, UdpSocket, UnixListener, UnixSeqpacket, UnixStream};
use coop::op;
use std::cell::Cell;
use std::fs::File;
use std::io::{IoSlice, IoSliceMut, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::UnixStream as StdStream;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

/// How many datagrams may be under way: fewer than any receive buffer has room for, so that UDP loses none.
const WINDOW: usize = 32;

/// Counts that go up by one, from nothing to `ROUNDS`.
#[derive(Default)]
struct Numbers {
    next: Cell<usize>,
}

impl Numbers {
    #[track_caller]
    fn arrives(&self, number: usize) {
        assert_eq!(number, self.next.get(), "lost, doubled, or out of order");
        self.next.set(number + 1);
    }

    fn byte_arrives(&self, byte: u8) {
        assert_eq!(byte, self.next.get() as u8, "byte {}", self.next.get());
        self.next.set(self.next.get() + 1);
    }

    fn count(&self) -> usize {
        self.next.get()
    }

    fn are_complete(&self) -> bool {
        self.next.get() == ROUNDS
    }
}

/// Sends the numbers, a byte of each, with pauses, and closes.
fn produce_bytes(mut into: StdStream, seed: u64) {
    let random = Random::new(seed + 1);
    for number in 0..ROUNDS {
        random.spin(8_000);
        into.write_all(&[number as u8]).expect("the peer listens");
    }
}

#[test]
fn recv_from() {
    in_both_modes("lossless::recv_from", |rival, seed| {
        coop::run(|| {
            let ours = UdpSocket::bind("127.0.0.1:0").unwrap();
            let address = ours.local_addr().unwrap();
            let theirs = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
            let from = theirs.local_addr().unwrap();
            let (sent, received) = (AtomicUsize::new(0), AtomicUsize::new(0));
            std::thread::scope(|threads| {
                threads.spawn(|| {
                    let random = Random::new(seed + 1);
                    for number in 0..ROUNDS {
                        random.spin(8_000);
                        while number - received.load(SeqCst) >= WINDOW {
                            std::thread::yield_now();
                        }
                        theirs.send_to(&number.to_ne_bytes(), address).unwrap();
                        sent.store(number + 1, SeqCst);
                    }
                });
                let numbers = Numbers::default();
                let attempt = |limit| {
                    let mut number = [0; 8];
                    let won = coop::select! {
                        got = op::recv_from(&ours, &mut number) => { assert_eq!(got.unwrap(), (8, from)); true }
                        _ = op::after(limit) => false,
                    }?;
                    if won {
                        numbers.arrives(usize::from_ne_bytes(number));
                        received.store(numbers.count(), SeqCst);
                    }
                    Ok(won)
                };
                let is_there = || sent.load(SeqCst) > numbers.count();
                race(rival, seed, || numbers.are_complete(), is_there, attempt);
                assert!(numbers.are_complete());
            });
        });
    });
}

#[test]
fn send_to() {
    in_both_modes("lossless::send_to", |rival, seed| {
        coop::run(|| {
            let ours = UdpSocket::bind("127.0.0.1:0").unwrap();
            let theirs = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
            let address = theirs.local_addr().unwrap();
            let received = AtomicUsize::new(0);
            std::thread::scope(|threads| {
                threads.spawn(|| {
                    let mut number = [0; 8];
                    for expected in 0..ROUNDS {
                        assert_eq!(theirs.recv(&mut number).unwrap(), 8);
                        assert_eq!(usize::from_ne_bytes(number), expected, "lost, doubled, or out of order");
                        received.store(expected + 1, SeqCst);
                    }
                });
                let sent = Cell::new(0);
                let attempt = |limit| {
                    let number = sent.get();
                    while number - received.load(SeqCst) >= WINDOW {
                        std::thread::yield_now();
                    }
                    if number == ROUNDS {
                        return Ok(false);
                    }
                    coop::select! {
                        n = op::send_to(&ours, &number.to_ne_bytes(), address) => {
                            assert_eq!(n.unwrap(), 8);
                            sent.set(number + 1);
                            true
                        }
                        _ = op::after(limit) => false,
                    }
                };
                race(rival, seed, || sent.get() == ROUNDS, || false, attempt);
            });
            assert_eq!(received.load(SeqCst), ROUNDS);
        });
    });
}

#[test]
fn recv_vectored() {
    in_both_modes("lossless::recv_vectored", |rival, seed| {
        coop::run(|| {
            let (ours, theirs) = UnixStream::pair().unwrap();
            let peer = OwnedFd::from(theirs).into();
            let peer = std::thread::spawn(move || produce_bytes(peer, seed));
            let (numbers, is_closed) = (Numbers::default(), Cell::new(false));
            let attempt = |limit| {
                let (mut one, mut two) = ([0; 1], [0; 2]);
                let mut buffers = [IoSliceMut::new(&mut one), IoSliceMut::new(&mut two)];
                let n = coop::select! {
                    n = op::recv_vectored(&ours, &mut buffers) => Some(n.unwrap()),
                    _ = op::after(limit) => None,
                }?;
                is_closed.set(n == Some(0));
                one.iter().chain(&two).take(n.unwrap_or(0)).for_each(|byte| numbers.byte_arrives(*byte));
                Ok(n.is_some())
            };
            race(rival, seed, || is_closed.get(), || peer.is_finished(), attempt);
            peer.join().unwrap();
            assert_eq!(numbers.count(), ROUNDS);
        });
    });
}

/// Each connection brings its number.
#[test]
fn accept_next() {
    in_both_modes("lossless::accept_next", |rival, seed| {
        coop::run(|| {
            let name = format!("\0coop-net-lossless-{}-{rival:?}", std::process::id());
            let listener = UnixListener::bind(&name).unwrap();
            let connections = listener.accept_ahead();
            let produced = AtomicUsize::new(0);
            std::thread::scope(|threads| {
                threads.spawn(|| {
                    let address = std::os::unix::net::SocketAddr::from_abstract_name(&name[1..]).unwrap();
                    let random = Random::new(seed + 1);
                    for number in 0..ROUNDS {
                        random.spin(8_000);
                        let mut stream = StdStream::connect_addr(&address).expect("somebody listens");
                        stream.write_all(&number.to_ne_bytes()).expect("it is connected");
                        produced.store(number + 1, SeqCst);
                    }
                });
                let numbers = Numbers::default();
                let attempt = |limit| {
                    coop::select! {
                        conn = op::accept_next(&connections) => {
                            let (conn, mut number) = (StdStream::from(OwnedFd::from(conn.unwrap())), [0; 8]);
                            (&conn).read_exact(&mut number).unwrap();
                            numbers.arrives(usize::from_ne_bytes(number));
                            true
                        }
                        _ = op::after(limit) => false,
                    }
                };
                let is_there = || produced.load(SeqCst) > numbers.count();
                race(rival, seed, || numbers.are_complete(), is_there, attempt);
                assert!(numbers.are_complete());
                assert!(connections.stop().is_empty());
            });
        });
    });
}

#[test]
fn recv_leased() {
    in_both_modes("lossless::recv_leased", |rival, seed| {
        coop::run(|| {
            let (ours, theirs) = UnixStream::pair().unwrap();
            let peer = OwnedFd::from(theirs).into();
            let peer = std::thread::spawn(move || produce_bytes(peer, seed));
            let (numbers, is_closed) = (Numbers::default(), Cell::new(false));
            let attempt = |limit| {
                coop::select! {
                    got = op::recv_leased(&ours) => {
                        let got = got.unwrap();
                        is_closed.set(got.is_empty());
                        got.iter().for_each(|byte| numbers.byte_arrives(*byte));
                        true
                    }
                    _ = op::after(limit) => false,
                }
            };
            race(rival, seed, || is_closed.get(), || peer.is_finished(), attempt);
            peer.join().unwrap();
            assert_eq!(numbers.count(), ROUNDS);
        });
    });
}

#[test]
fn recv_next() {
    in_both_modes("lossless::recv_next", |rival, seed| {
        coop::run(|| {
            let (ours, theirs) = UnixStream::pair().unwrap();
            let peer = OwnedFd::from(theirs).into();
            let peer = std::thread::spawn(move || produce_bytes(peer, seed));
            let incoming = ours.recv_ahead();
            let (numbers, is_closed) = (Numbers::default(), Cell::new(false));
            let attempt = |limit| {
                coop::select! {
                    got = op::recv_next(&incoming) => {
                        let got = got.unwrap();
                        is_closed.set(got.is_empty());
                        got.iter().for_each(|byte| numbers.byte_arrives(*byte));
                        true
                    }
                    _ = op::after(limit) => false,
                }
            };
            race(rival, seed, || is_closed.get(), || peer.is_finished(), attempt);
            peer.join().unwrap();
            assert_eq!(numbers.count(), ROUNDS);
        });
    });
}

/// Begun, and stopped again, at any moment: what it had goes before what the stream has.
#[test]
fn recv_ahead_and_stop() {
    in_both_modes("lossless::recv_ahead_and_stop", |rival, seed| {
        coop::run(|| {
            let (ours, theirs) = UnixStream::pair().unwrap();
            let peer = OwnedFd::from(theirs).into();
            let peer = std::thread::spawn(move || produce_bytes(peer, seed));
            let (numbers, is_closed, random) = (Numbers::default(), Cell::new(false), Random::new(seed + 2));
            let attempt = |limit| {
                let take = |bytes: &[u8]| bytes.iter().for_each(|byte| numbers.byte_arrives(*byte));
                let incoming = ours.recv_ahead();
                random.spin(6_000);
                let won = coop::select! {
                    got = op::recv_next(&incoming) => {
                        let got = got.unwrap();
                        is_closed.set(got.is_empty());
                        take(&got);
                        true
                    }
                    _ = op::after(limit) => false,
                };
                incoming.stop().into_iter().for_each(|chunk| take(&chunk.unwrap()));
                won
            };
            race(rival, seed, || is_closed.get(), || peer.is_finished(), attempt);
            peer.join().unwrap();
            assert_eq!(numbers.count(), ROUNDS);
        });
    });
}

/// What was seen is what is received next.
#[test]
fn peek() {
    in_both_modes("lossless::peek", |rival, seed| {
        coop::run(|| {
            let (ours, theirs) = UnixStream::pair().unwrap();
            let peer = OwnedFd::from(theirs).into();
            let peer = std::thread::spawn(move || produce_bytes(peer, seed));
            let (numbers, is_closed) = (Numbers::default(), Cell::new(false));
            let attempt = |limit| {
                let (mut seen, mut taken) = ([0; 3], [0; 3]);
                let n = coop::select! {
                    n = op::peek(&ours, &mut seen) => Some(n.unwrap()),
                    _ = op::after(limit) => None,
                }?;
                let Some(n) = n else { return Ok(false) };
                is_closed.set(n == 0);
                if n > 0 {
                    // There at once, so that no kill comes between.
                    let got = (&ours).read(&mut taken[..n]);
                    if let Err(killed) = got {
                        assert!(coop::Killed::is(&killed));
                        return Ok(false);
                    }
                    assert_eq!(got.unwrap(), n);
                    assert_eq!(seen, taken);
                }
                taken[..n].iter().for_each(|byte| numbers.byte_arrives(*byte));
                Ok(true)
            };
            race(rival, seed, || is_closed.get(), || peer.is_finished(), attempt);
            peer.join().unwrap();
            assert_eq!(numbers.count(), ROUNDS);
        });
    });
}

/// Each number comes with a descriptor: the reading end of a pipe in which the number stands.
#[test]
fn recv_fds() {
    in_both_modes("lossless::recv_fds", |rival, seed| {
        coop::run(|| {
            let (ours, theirs) = UnixSeqpacket::pair().unwrap();
            // The sender's thread has a Cooperator of its own.
            let peer = std::thread::spawn(move || {
                coop::run(|| {
                    let random = Random::new(seed + 1);
                    for number in 0..ROUNDS {
                        random.spin(4_000);
                        let (read, mut write) = std::io::pipe().unwrap();
                        write.write_all(&number.to_ne_bytes()).unwrap();
                        theirs.send_fds(&number.to_ne_bytes(), &[read.as_fd()]).unwrap();
                    }
                });
            });
            let numbers = Numbers::default();
            let attempt = |limit| {
                let mut number = [0; 8];
                let fds = coop::select! {
                    got = op::recv_fds(&ours, &mut number) => Some(got.unwrap().1),
                    _ = op::after(limit) => None,
                }?;
                let Some(mut fds) = fds else { return Ok(false) };
                let mut along = [0; 8];
                File::from(fds.remove(0)).read_exact(&mut along).unwrap();
                assert!(along == number && fds.is_empty());
                numbers.arrives(usize::from_ne_bytes(number));
                Ok(true)
            };
            race(rival, seed, || numbers.are_complete(), || peer.is_finished(), attempt);
            peer.join().unwrap();
            assert!(numbers.are_complete());
        });
    });
}

/// Receives numbers, and counts the descriptors that come along.
fn consume(mut from: StdStream, seed: u64) -> usize {
    let (random, mut received, mut buffer) = (Random::new(seed + 1), 0usize, [0; 700]);
    loop {
        random.spin(8_000);
        let n = from.read(&mut buffer).expect("a stream");
        if n == 0 {
            return received;
        }
        for byte in &buffer[..n] {
            assert_eq!(*byte, received as u8, "byte {received}");
            received += 1;
        }
    }
}

#[test]
fn send_vectored() {
    in_both_modes("lossless::send_vectored", |rival, seed| {
        coop::run(|| {
            let (ours, theirs) = UnixStream::pair().unwrap();
            // So small that sending has to wait.
            ours.set_send_buffer_size(1).unwrap();
            let peer = OwnedFd::from(theirs).into();
            let peer = std::thread::spawn(move || consume(peer, seed));
            let (sent, sends) = (Cell::new(0usize), Cell::new(0));
            let attempt = |limit| {
                let bytes: [u8; 300] = std::array::from_fn(|at| (sent.get() + at) as u8);
                let (one, two) = bytes.split_at(99);
                let n = coop::select! {
                    n = op::send_vectored(&ours, &[IoSlice::new(one), IoSlice::new(two)]) => Some(n.unwrap()),
                    _ = op::after(limit) => None,
                }?;
                sent.set(sent.get() + n.unwrap_or(0));
                sends.set(sends.get() + usize::from(n.is_some()));
                Ok(n.is_some())
            };
            race(rival, seed, || sends.get() == ROUNDS, || false, attempt);
            drop(ours);
            assert_eq!(peer.join().unwrap(), sent.get());
        });
    });
}

#[test]
fn send_fds() {
    fn send<S: PassesDescriptors>(ours: &S, rival: crate::race::Rival, seed: u64) {
        let null = File::open("/dev/null").unwrap();
        let sent = Cell::new(0usize);
        let attempt = |limit| {
            let won = coop::select! {
                n = op::send_fds(ours, &sent.get().to_ne_bytes(), &[null.as_fd()]) => { assert_eq!(n.unwrap(), 8); true }
                _ = op::after(limit) => false,
            }?;
            sent.set(sent.get() + usize::from(won));
            Ok(won)
        };
        race(rival, seed, || sent.get() == ROUNDS, || false, attempt);
    }
    in_both_modes("lossless::send_fds", |rival, seed| {
        coop::run(|| {
            let (ours, theirs) = UnixSeqpacket::pair().unwrap();
            ours.set_send_buffer_size(1).unwrap();
            let peer = std::thread::spawn(move || {
                coop::run(|| {
                    let random = Random::new(seed + 1);
                    for expected in 0..ROUNDS {
                        random.spin(4_000);
                        let mut number = [0; 8];
                        let (n, fds) = theirs.recv_fds(&mut number).unwrap();
                        assert_eq!((n, fds.len(), usize::from_ne_bytes(number)), (8, 1, expected));
                    }
                    assert_eq!(theirs.recv(&mut [0; 8]).unwrap(), 0, "the end");
                });
            });
            send(&ours, rival, seed);
            drop(ours);
            peer.join().unwrap();
        });
    });
}
