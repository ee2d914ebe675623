//! Zero-copy sends in a simulation: when a buffer comes back is the network's, and the seed's, to say. (What the simulated kernel
//! looks at in the end must still be what was given to it: that holds in every one of these, or the ring panics.)

use coop::io::Partial;
use coop::net::{TcpListener, TcpStream, ZeroCopy};
use coop::{Killed, op, sim};
use std::cell::Cell;
use std::io::{self, ErrorKind, Read};
use std::net::Shutdown;
use std::sync::Arc;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

fn pair() -> io::Result<(TcpStream, TcpStream)> {
    let listener = TcpListener::bind("10.0.0.1:80")?;
    let client = TcpStream::connect("10.0.0.1:80")?;
    Ok((client, listener.accept()?.0))
}

fn pattern(len: usize, number: usize) -> Arc<[u8]> {
    let page: Vec<u8> = (0..=250).map(|at| (at * 31 + number * 7) as u8).collect();
    page.repeat(len.div_ceil(page.len()))[..len].into()
}

fn read_all(mut stream: &TcpStream) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Waits, for at most so many seconds, until nobody else has it.
fn comes_back(buffer: &Arc<[u8]>, seconds: u32) -> io::Result<bool> {
    for _ in 0..seconds {
        if Arc::strong_count(buffer) == 1 {
            return Ok(true);
        }
        coop::sleep(SECOND)?;
    }
    Ok(false)
}

#[test]
fn what_is_sent_arrives_as_it_was_and_every_buffer_comes_back() {
    let (taken, copied) = (Cell::new(0), Cell::new(0));
    sim::check(0..120, || -> io::Result<()> {
        let (ours, theirs) = pair()?;
        let sizes = [1, 70_000, 300_000, 5_000, 600_000, 100_000];
        let all: Vec<_> = sizes.iter().enumerate().map(|(number, size)| pattern(*size, number)).collect();
        let mut reader = coop::spawn(move || read_all(&theirs));
        let sender = ours.zero_copy().above(1);
        for buffer in &all {
            sender.send_all(buffer.clone())?;
        }
        let count = if sender.is_copied() { &copied } else { &taken };
        count.set(count.get() + 1);
        ours.shutdown(Shutdown::Write)?;
        assert!(reader.join().unwrap()? == all.concat());
        for buffer in &all {
            assert!(comes_back(buffer, 60)?);
        }
        assert_eq!(sender.outstanding(), 0);
        Ok(())
    });
    assert!(taken.get() > 10 && copied.get() > 10, "{} as they were, {} copied", taken.get(), copied.get());
}

/// Sends until killed, and says how much it has sent.
fn send_until_killed(sender: &ZeroCopy<'_>, buffer: Arc<[u8]>) -> usize {
    let error = sender.send_all(buffer).expect_err("more than the network takes");
    assert!(Killed::is(&error), "{error}");
    Partial::of(&error).expect("it says how far").done
}

#[test]
fn a_peer_that_does_not_read_keeps_a_buffer_from_its_owner_and_a_sender_from_nothing() {
    let kept = Cell::new(0);
    sim::check(0..60, || -> io::Result<()> {
        let (ours, theirs) = pair()?;
        let buffer = pattern(3_000_000, 1);
        let mut victim = coop::spawn({
            let buffer = buffer.clone();
            move || (send_until_killed(&ours.zero_copy(), buffer), ours)
        });
        coop::sleep(SECOND)?;
        let began = sim::elapsed();
        victim.kill();
        let (sent, ours) = victim.join().unwrap();
        assert_eq!(sim::elapsed(), began, "a kill waits for nobody");
        // Where it was sent by plain sends nothing is kept.
        coop::sleep(3600 * SECOND)?;
        kept.set(kept.get() + usize::from(Arc::strong_count(&buffer) > 1));
        drop(ours);
        let got = read_all(&theirs)?;
        assert!(got == buffer[..sent], "{} of {sent} bytes", got.len());
        assert!(comes_back(&buffer, 60)?);
        Ok(())
    });
    assert!(kept.get() > 30, "{} were kept for an hour", kept.get());
}

#[test]
fn a_socket_is_closed_while_buffers_are_out() {
    sim::check(0..60, || -> io::Result<()> {
        let (ours, theirs) = pair()?;
        let buffer = pattern(150_000, 2);
        let sender = ours.zero_copy().above(1);
        // One of them is nobody's but the sender's.
        sender.send_all(buffer.to_vec())?;
        sender.send_all(buffer.clone())?;
        drop(ours);
        assert!(read_all(&theirs)? == buffer.repeat(2));
        assert!(comes_back(&buffer, 60)?);
        Ok(())
    });
}

#[test]
fn a_peer_that_goes_gives_everything_back() {
    sim::check(0..60, || -> io::Result<()> {
        let (ours, theirs) = pair()?;
        let buffer = pattern(3_000_000, 3);
        let mut sender = coop::spawn({
            let buffer = buffer.clone();
            move || ours.zero_copy().send_all(buffer)
        });
        coop::sleep(Duration::from_micros(sim::random(5_000) as u64))?;
        drop(theirs);
        let error = sender.join().unwrap().expect_err("nobody takes it");
        assert!(matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset), "{error}");
        assert!(comes_back(&buffer, 60)?);
        Ok(())
    });
}

#[test]
fn a_buffer_is_out_for_as_long_as_a_partition_lasts() {
    let out = Cell::new(0);
    sim::check(0..60, || -> io::Result<()> {
        let sink = sim::host("sink", [10, 0, 0, 2], || -> io::Result<()> {
            let listener = TcpListener::bind("0.0.0.0:80")?;
            loop {
                read_all(&listener.accept()?.0)?;
            }
        })?;
        coop::yield_now()?;
        let ours = TcpStream::connect("sink:80")?;
        sim::net().isolate(&sink);
        let buffer = pattern(100_000, 4);
        let sender = ours.zero_copy().above(1);
        sender.send_all(buffer.clone())?;
        coop::sleep(60 * SECOND)?;
        out.set(out.get() + usize::from(Arc::strong_count(&buffer) > 1));
        sim::net().heal_all();
        assert!(comes_back(&buffer, 60)?, "{sender:?}");
        Ok(())
    });
    assert!(out.get() > 30, "{} were out for a minute", out.get());
}

#[test]
fn hosts_crash_while_their_buffers_are_out() {
    sim::check(0..60, || -> io::Result<()> {
        let buffer = pattern(400_000, 5);
        let sender = {
            let buffer = buffer.clone();
            sim::host("sender", [10, 0, 0, 1], move || -> io::Result<()> {
                loop {
                    let conn = TcpStream::connect("receiver:80")?;
                    conn.zero_copy().send_all(buffer.clone())?;
                }
            })?
        };
        let receiver = sim::host("receiver", [10, 0, 0, 2], || -> io::Result<()> {
            let listener = TcpListener::bind("0.0.0.0:80")?;
            loop {
                let conn = listener.accept()?.0;
                coop::spawn(move || read_all(&conn));
            }
        })?;
        for host in [&sender, &receiver, &sender] {
            coop::sleep(Duration::from_millis(5 + sim::random(20) as u64))?;
            host.crash();
            coop::sleep(Duration::from_millis(sim::random(5) as u64))?;
            let _ = host.restart();
        }
        sender.crash();
        receiver.crash();
        // Who has crashed has nothing any more that somebody could hold: but for the closure that would be run again.
        for _ in 0..2000 {
            if Arc::strong_count(&buffer) == 2 {
                return Ok(());
            }
            coop::sleep(SECOND)?;
        }
        Err(io::Error::other(format!("{} have it", Arc::strong_count(&buffer))))
    });
}

/// It does not wait for who never reads, and leaves the buffer where it is.
#[test]
fn a_cooperator_ends_while_buffers_are_out() {
    let mut left = 0;
    for seed in 0..40 {
        let buffer = pattern(150_000, 6);
        let peer = sim::run(seed, || -> io::Result<TcpStream> {
            let (ours, theirs) = pair()?;
            ours.zero_copy().above(1).send_all(buffer.clone())?;
            Ok(theirs)
        });
        left += Arc::strong_count(&buffer) - 1;
        drop(peer);
    }
    assert!(left > 10, "{left} of 40");
}

/// Senders that are killed, that run out of time, that are dropped as Handles' peers go: what is said to have been sent has been.
#[test]
fn whatever_becomes_of_the_senders_it_is_told_what_was_sent() {
    let cut = Cell::new(0);
    sim::check(0..150, || -> io::Result<()> {
        let (ours, theirs) = pair()?;
        let expected = pattern(1_200_000, 7);
        let mut reader = coop::spawn(move || -> io::Result<Vec<u8>> {
            let mut bytes = Vec::new();
            let mut buffer = vec![0; 40_000];
            loop {
                match theirs.recv(&mut buffer)? {
                    0 => return Ok(bytes),
                    n => bytes.extend_from_slice(&buffer[..n]),
                }
                if sim::random(4) == 0 {
                    coop::sleep(Duration::from_micros(sim::random(3_000) as u64))?;
                }
            }
        });
        let mut buffers = Vec::new();
        let mut done = 0;
        while done < expected.len() {
            let piece: Arc<[u8]> = expected[done..expected.len().min(done + 20_000 + sim::random(200_000))].into();
            buffers.push(piece.clone());
            let len = piece.len();
            // Each time anew: one that was told that all is copied does not try again.
            let send = || ours.zero_copy().above(1).send_all(piece.clone());
            let time = Duration::from_micros(1 + sim::random(2_000) as u64);
            let result = match sim::random(3) {
                // (`timeout` would say that its time is over, and not how far it has got.)
                0 => coop::deadline(time, send).0,
                1 => coop::scope(|s| -> io::Result<_> {
                    let mut task = s.spawn(send);
                    coop::select! {
                        sent = &mut task => sent.unwrap(),
                        _ = op::after(time) => {
                            task.kill();
                            task.join().unwrap()
                        }
                    }?
                }),
                _ => send(),
            };
            done += match result {
                Ok(()) => len,
                Err(error) => {
                    cut.set(cut.get() + 1);
                    Partial::of(&error).map_or(0, |partial| partial.done)
                }
            };
        }
        ours.shutdown(Shutdown::Write)?;
        assert!(reader.join().unwrap()? == expected[..]);
        for buffer in &buffers {
            assert!(comes_back(buffer, 60)?);
        }
        Ok(())
    });
    assert!(cut.get() > 100, "{} were cut short", cut.get());
}
