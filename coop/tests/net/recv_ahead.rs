//! Receiving ahead.

use crate::common::{errno, is_killed, kind, times_out};
use coop::net::{Lease, RecvAhead, TcpListener, TcpStream, UnixStream};
use coop::{Builder, Driver, Operation, op};
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::fd::AsRawFd;
use std::time::Duration;

/// Every way in which it may be done: by the ring, by a ring that takes no buffers, by epoll.
fn everywhere(test: impl Fn() -> io::Result<()>) {
    for (name, builder) in [
        ("default", Builder::new()),
        ("hardened", Builder::new().hardened(true)),
        ("epoll", Builder::new().driver(Driver::Epoll)),
    ] {
        match builder.run(&test) {
            Ok(result) => result.unwrap_or_else(|error| panic!("{name}: {error}")),
            Err(error) => assert!(error.is_not_hardened(), "{name}: {error}"),
        }
    }
}

fn tcp() -> io::Result<(TcpStream, TcpStream)> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let client = TcpStream::connect(listener.local_addr()?)?;
    Ok((listener.accept()?.0, client))
}

fn noise(len: u32) -> Vec<u8> {
    (0..len).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect()
}

/// Everything up to the end.
fn all_of(incoming: &RecvAhead<'_>) -> io::Result<Vec<u8>> {
    let mut got = Vec::new();
    loop {
        let chunk = incoming.recv()?;
        if chunk.is_empty() {
            return Ok(got);
        }
        got.extend_from_slice(&chunk);
    }
}

#[test]
fn what_a_peer_sends_comes_in_order_whichever_way_it_is_taken() {
    everywhere(|| {
        let sent = noise(2_000_000);
        let (ours, theirs) = tcp()?;
        let mut theirs = std::net::TcpStream::from(std::os::fd::OwnedFd::from(theirs));
        let all = sent.clone();
        let peer = std::thread::spawn(move || theirs.write_all(&all).unwrap());
        let incoming = ours.recv_ahead();
        let (mut got, mut kept) = (Vec::new(), Vec::new());
        for turn in 0.. {
            let chunk = match turn % 3 {
                0 => incoming.recv()?,
                1 => coop::select! { chunk = op::recv_next(&incoming) => chunk? }?,
                _ => coop::scope(|s| s.start(op::recv_next(&incoming)).wait())?,
            };
            if chunk.is_empty() {
                break;
            }
            assert!(chunk.len() <= Lease::MAX);
            got.extend_from_slice(&chunk);
            // Some are kept for long.
            if turn % 4 == 0 {
                kept.push((got.len(), chunk));
            }
        }
        peer.join().unwrap();
        assert!(got == sent);
        for (end, chunk) in &kept {
            assert!(got[..*end].ends_with(chunk), "unchanged");
        }
        // The end is told of to whoever asks.
        assert!(incoming.recv()?.is_empty() && incoming.recv()?.is_empty());
        assert!(incoming.stop().is_empty());
        Ok(())
    });
}

#[test]
fn what_was_not_taken_is_given_back_and_the_rest_is_with_the_stream() {
    everywhere(|| {
        for round in 0..60 {
            let sent = noise(1 + 700 * round);
            let (ours, theirs) = UnixStream::pair()?;
            let incoming = ours.recv_ahead();
            for piece in sent.chunks(997) {
                theirs.send_all(piece)?;
                if round % 3 == 0 {
                    coop::yield_now()?;
                }
            }
            drop(theirs);
            let mut got = Vec::new();
            for _ in 0..round % 5 {
                got.extend_from_slice(&incoming.recv()?);
            }
            // Set aside for a flight that is called off: it is given back too.
            coop::scope(|s| -> io::Result<()> {
                let called_off = s.start(op::recv_next(&incoming));
                coop::yield_now()?;
                drop(called_off);
                Ok(())
            })?;
            for chunk in incoming.stop() {
                let chunk = chunk?;
                assert!(!chunk.is_empty());
                got.extend_from_slice(&chunk);
            }
            { &ours }.read_to_end(&mut got)?;
            assert!(got == sent, "round {round}");
        }
        Ok(())
    });
}

#[coop::test]
fn waiting_can_be_killed_and_has_a_deadline() -> io::Result<()> {
    let (ours, theirs) = UnixStream::pair()?;
    let incoming = ours.recv_ahead();
    is_killed(|| incoming.recv());
    is_killed(|| op::recv_next(&incoming).wait());
    times_out(|| incoming.recv());
    coop::scope(|s| -> io::Result<()> {
        // Two wait; the first is killed when its bytes come: the other gets them, or it has them.
        let mut first = s.spawn(|| incoming.recv());
        let mut second = s.spawn(|| incoming.recv());
        coop::yield_now()?;
        theirs.send_all(b"bytes")?;
        first.kill();
        let got = match first.join().unwrap() {
            Ok(chunk) => chunk,
            Err(_) => second.join().unwrap()?,
        };
        assert_eq!(&*got, b"bytes");
        second.kill();
        Ok(())
    })
}

#[test]
fn an_error_comes_after_what_came_before_it() {
    everywhere(|| {
        let (ours, theirs) = tcp()?;
        let incoming = ours.recv_ahead();
        theirs.send_all(b"last words")?;
        assert_eq!(&*incoming.recv()?, b"last words");
        theirs.set_linger(Some(Duration::ZERO))?;
        drop(theirs);
        assert_eq!(errno(incoming.recv()), libc::ECONNRESET);
        assert!(incoming.recv()?.is_empty(), "once");
        drop(incoming);
        // What is not taken is given back: the error too.
        let (ours, theirs) = tcp()?;
        let incoming = ours.recv_ahead();
        theirs.set_linger(Some(Duration::ZERO))?;
        drop(theirs);
        coop::sleep(Duration::from_millis(5))?;
        let (given_back, kept) = (incoming.stop(), ours.recv(&mut [0; 8]));
        let errors: Vec<_> = given_back.into_iter().filter_map(Result::err).chain(kept.err()).collect();
        assert_eq!(errors.iter().map(io::Error::raw_os_error).collect::<Vec<_>>(), [Some(libc::ECONNRESET)]);
        Ok(())
    });
}

#[test]
fn sockets_that_are_no_connection_are_errors() {
    everywhere(|| {
        // SAFETY: socket has no preconditions, and nobody else has what it gives.
        let lone = |family| unsafe {
            use std::os::fd::FromRawFd;
            std::os::fd::OwnedFd::from_raw_fd(libc::socket(family, libc::SOCK_STREAM | libc::SOCK_CLOEXEC, 0))
        };
        let stream = TcpStream::from(lone(libc::AF_INET));
        assert_eq!(kind(stream.recv_ahead().recv()), io::ErrorKind::NotConnected);
        let stream = UnixStream::from(lone(libc::AF_UNIX));
        assert_eq!(errno(stream.recv_ahead().recv()), libc::EINVAL);
        Ok(())
    });
}

/// A peer that sends and sends is kept waiting, and loses nothing by it.
#[test]
fn only_so_much_is_received_ahead() {
    everywhere(|| {
        let (ours, theirs) = UnixStream::pair()?;
        let incoming = ours.recv_ahead();
        let mut sent = Vec::new();
        // Until nothing goes any more, with all the time the Cooperator wants in between.
        let mut in_vain = 0;
        while in_vain < 20 {
            let piece = noise(sent.len() as u32 % 9_000 + 1);
            let n = coop::select! { n = op::send(&theirs, &piece) => n?, default => 0 }?;
            sent.extend_from_slice(&piece[..n]);
            in_vain = if n == 0 { in_vain + 1 } else { 0 };
            coop::sleep(Duration::from_micros(100))?;
        }
        // At most what the sockets hold (as on this system they do by default), and somewhat more than 8 times 16 KiB.
        assert!(sent.len() < 2_000_000, "{} bytes are on their way", sent.len());
        drop(theirs);
        assert!(all_of(&incoming)? == sent);
        Ok(())
    });
}

#[test]
fn small_pieces_that_wait_are_put_together() {
    coop::run(|| -> io::Result<()> {
        let (ours, theirs) = UnixStream::pair()?;
        let incoming = ours.recv_ahead();
        let mut sent = Vec::new();
        for number in 0..200u32 {
            theirs.send_all(&number.to_ne_bytes())?;
            sent.extend(number.to_ne_bytes());
            coop::yield_now()?;
        }
        coop::sleep(Duration::from_millis(5))?;
        let chunks: Vec<Lease> = incoming.stop().into_iter().collect::<io::Result<_>>()?;
        assert!(chunks.len() <= 2, "{} chunks", chunks.len());
        let mut got: Vec<u8> = chunks.iter().flat_map(|chunk| chunk.iter().copied()).collect();
        theirs.shutdown(Shutdown::Write)?;
        { &ours }.read_to_end(&mut got)?;
        assert!(got == sent);
        Ok(())
    })
    .unwrap();
}

/// Whoever keeps leases, more than the kernel ever has buffers, keeps nobody from receiving.
#[test]
fn leases_that_are_kept_are_missed_by_nobody() {
    everywhere(|| {
        let (greedy, feeder) = UnixStream::pair()?;
        let (ours, theirs) = UnixStream::pair()?;
        let (greedy, incoming) = (greedy.recv_ahead(), ours.recv_ahead());
        let mut kept = Vec::new();
        for number in 0..700u32 {
            feeder.send_all(&number.to_ne_bytes())?;
            kept.push(greedy.recv()?);
            theirs.send_all(&number.to_ne_bytes())?;
            assert_eq!(*incoming.recv()?, number.to_ne_bytes());
        }
        for (number, lease) in (0..700u32).zip(&kept) {
            assert_eq!(**lease, number.to_ne_bytes());
        }
        Ok(())
    });
}

/// More at once than there are buffers at first, and ever: each gets what is its own.
#[test]
fn connections_that_all_speak_at_once_are_all_heard() {
    everywhere(|| {
        let count = 700u32;
        let pairs: Vec<_> = (0..count).map(|_| UnixStream::pair()).collect::<io::Result<_>>()?;
        let incoming: Vec<_> = pairs.iter().map(|(ours, _)| ours.recv_ahead()).collect();
        for round in 0..3 {
            for (number, (_, theirs)) in (0..count).zip(&pairs) {
                theirs.send_all(&(round * count + number).to_ne_bytes())?;
            }
            coop::wait_all(|s| {
                for (number, incoming) in (0..count).zip(&incoming) {
                    s.spawn(move || {
                        let mut got = Vec::new();
                        while got.len() < 4 {
                            got.extend_from_slice(&incoming.recv().unwrap());
                        }
                        assert_eq!(got, (round * count + number).to_ne_bytes());
                    });
                }
            });
        }
        Ok(())
    });
}

/// So few completions fit the queue that each batch overflows it, and ends receives.
#[test]
fn a_queue_that_overflows_loses_nothing() {
    let all = || -> io::Result<()> {
        let pairs: Vec<_> = (0..40).map(|_| UnixStream::pair()).collect::<io::Result<_>>()?;
        let incoming: Vec<_> = pairs.iter().map(|(ours, _)| ours.recv_ahead()).collect();
        let (ours, theirs) = UnixStream::pair()?;
        theirs.send_all(b"x")?;
        coop::scope(|s| -> io::Result<()> {
            for round in 0..40u8 {
                // More than 1,024, and in the midst of them what is received.
                let crowd = |n| (0..n).map(|_| s.start(op::readable(&ours))).collect::<Vec<_>>();
                let mut flights = crowd(800);
                for (_, theirs) in &pairs {
                    theirs.send_all(&[round; 100])?;
                }
                flights.extend(crowd(800));
                for incoming in &incoming {
                    let mut got = Vec::new();
                    while got.len() < 100 {
                        got.extend_from_slice(&incoming.recv()?);
                    }
                    assert_eq!(got, [round; 100]);
                }
                for flight in flights {
                    flight.wait()?;
                }
            }
            Ok(())
        })
    };
    Builder::new().ring_entries(64).run(all).unwrap().unwrap();
}

#[test]
fn it_is_of_use_with_one_cooperator_after_the_other_and_without_one_says_so() {
    let (mut theirs, ours) = std::os::unix::net::UnixStream::pair().unwrap();
    let ours = UnixStream::from(ours);
    let incoming = ours.recv_ahead();
    assert_eq!(kind(incoming.recv()), io::ErrorKind::Unsupported);
    for (turn, builder) in
        [Builder::new(), Builder::new().driver(Driver::Epoll), Builder::new()].into_iter().enumerate()
    {
        theirs.write_all(&[turn as u8]).unwrap();
        let all = || -> io::Result<()> {
            assert_eq!(*incoming.recv()?, [turn as u8]);
            times_out(|| incoming.recv());
            theirs.write_all(b"left")?;
            coop::sleep(Duration::from_millis(1)).map_err(io::Error::from)
        };
        builder.run(all).unwrap().unwrap();
        // What has come then is there now, or comes with the next.
        let left = || -> io::Result<Vec<u8>> {
            let mut got = Vec::new();
            while got.len() < 4 {
                got.extend_from_slice(&incoming.recv()?);
            }
            Ok(got)
        };
        assert_eq!(coop::run(left).unwrap(), b"left");
    }
    assert!(format!("{incoming:?}").contains(&format!("socket: {}", ours.as_raw_fd())));
}
