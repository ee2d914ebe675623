//! A mixed load on a ring on which one thing in a hundred goes wrong: nothing is lost but what an error says, and nothing is left.

use super::kinds::Scratch;
use super::{alone, number, run, seed};
use crate::random::Random;
use coop::__private::{Fault, Faults, census};
use coop::chan;
use coop::fs::File;
use coop::net::{TcpListener, TcpStream, UnixStream};
use coop::{Killed, TimedOut, op};
use std::cell::Cell;
use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// What a round of the load has come to.
#[derive(Debug, Default)]
struct Tally {
    rounds: Cell<u64>,
    failed: Cell<u64>,
    killed: Cell<u64>,
    timed_out: Cell<u64>,
    bytes: Cell<u64>,
}

fn add(count: &Cell<u64>, n: u64) {
    count.set(count.get() + n);
}

#[test]
fn a_mixed_load_survives_one_fault_in_a_hundred() {
    let _alone = alone();
    let seed = seed();
    let faults = Faults::new(seed).often(100);
    // So many rounds, or so many seconds.
    let (rounds, seconds) = (number("COOP_ROUNDS", 2_000), number("COOP_SOAK", 0));
    let begin = Instant::now();
    let tally = run(&faults, || {
        let (tally, random) = (Tally::default(), Random::new(seed));
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        coop::wait_all(|s| {
            let server = s.spawn(|| serve(&listener));
            let (tally, random) = (&tally, &random);
            while if seconds == 0 { tally.rounds.get() < rounds } else { begin.elapsed().as_secs() < seconds } {
                coop::wait_all(|s| {
                    for _ in 0..16 {
                        let dice: [usize; 3] = std::array::from_fn(|_| random.below(1 << 20) as usize);
                        s.spawn(move || round(tally, address, dice));
                    }
                });
                add(&tally.rounds, 16);
            }
            server.kill();
        });
        let now = census();
        assert_eq!((now.tasks, now.strays), (1, 0), "seed {seed}: {now:?}");
        tally
    });
    let counts: Vec<(Fault, u64)> = Fault::ALL.into_iter().map(|fault| (fault, faults.count(fault))).collect();
    println!("seed {seed}: {tally:?}, {counts:?}");
    assert!(counts.iter().all(|(_, count)| *count > 0), "seed {seed}: {counts:?}");
    assert!(tally.failed.get() < tally.rounds.get() / 2, "seed {seed}: most go well: {tally:?}");
    assert!(tally.killed.get() > 0 && tally.timed_out.get() > 0, "seed {seed}: {tally:?}");
}

/// Sends back what it receives, as long as it can.
fn serve(listener: &TcpListener) {
    let connections = listener.accept_ahead();
    coop::wait_all(|s| {
        loop {
            match connections.accept() {
                Ok(stream) => drop(s.spawn(move || echo(&stream))),
                Err(error) if Killed::is(&error) => return,
                // For want of a descriptor, says the fault.
                Err(_) => {}
            }
        }
    });
}

fn echo(stream: &TcpStream) -> io::Result<()> {
    let mut buffer = [0; 1000];
    loop {
        let n = stream.recv(&mut buffer)?;
        if n == 0 {
            return Ok(());
        }
        stream.send_all(&buffer[..n])?;
    }
}

fn round(tally: &Tally, address: SocketAddr, [kind, size, time]: [usize; 3]) {
    let result = match kind % 5 {
        0 => exchange(tally, address, size % 50_000),
        1 => files(size % 20_000),
        2 => coop::timeout(Duration::from_micros(time as u64 % 400), || exchange(tally, address, size % 5_000)),
        3 => killed(tally, address, size % 5_000, time % 30),
        _ => raced(time % 40),
    };
    match result {
        Ok(()) => {}
        Err(error) if Killed::is(&error) => add(&tally.killed, 1),
        Err(error) if error.get_ref().is_some_and(|inner| inner.is::<TimedOut>()) => add(&tally.timed_out, 1),
        Err(_) => add(&tally.failed, 1),
    }
}

fn pattern(at: usize) -> u8 {
    (at % 251) as u8
}

/// To the server and back: what comes is what was sent, as far as it comes.
fn exchange(tally: &Tally, address: SocketAddr, size: usize) -> io::Result<()> {
    let stream = TcpStream::connect(address)?;
    let bytes: Vec<u8> = (0..size).map(pattern).collect();
    coop::scope(|s| -> io::Result<()> {
        s.try_spawn(|| stream.send_all(&bytes));
        let (mut buffer, mut done) = ([0; 2000], 0);
        while done < size {
            let n = stream.recv(&mut buffer)?;
            if n == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            assert_eq!(buffer[..n], bytes[done..done + n], "bytes {done} to {}", done + n);
            done += n;
        }
        add(&tally.bytes, size as u64);
        Ok(())
    })
}

/// What was written is read, or an error has said otherwise.
fn files(size: usize) -> io::Result<()> {
    let scratch = Scratch::new()?;
    let (path, moved) = (scratch.path("data"), scratch.path("moved"));
    let bytes: Vec<u8> = (0..size).map(pattern).collect();
    let file = File::create(&path)?;
    file.write_all_at(&bytes, 0)?;
    file.sync_data()?;
    coop::fs::rename(&path, &moved)?;
    let file = File::open(&moved)?;
    let mut back = vec![0; size];
    coop::scope(|s| -> io::Result<()> {
        // By the ring, not from the page cache.
        s.start(op::read_exact_at(&file, &mut back, 0)).wait()?;
        Ok(())
    })?;
    assert!(back == bytes, "a file of {size} bytes");
    assert_eq!(coop::fs::metadata(&moved)?.len(), size as u64);
    coop::fs::remove_file(&moved)
}

/// An exchange that is killed in the middle.
fn killed(tally: &Tally, address: SocketAddr, size: usize, turns: usize) -> io::Result<()> {
    coop::wait_all(|s| {
        let mut child = s.spawn(|| exchange(tally, address, size));
        for _ in 0..turns {
            coop::yield_now()?;
        }
        child.kill();
        child.join().expect("it does not panic")
    })
}

/// Bytes and messages that race a timer: each comes once.
fn raced(count: usize) -> io::Result<()> {
    let (near, far) = UnixStream::pair()?;
    let (tx, rx) = chan::bounded::<usize>(4);
    coop::scope(|s| -> io::Result<()> {
        s.try_spawn(|| {
            for n in 0..count {
                far.send_all(&[pattern(n)])?;
                tx.send(n).expect("somebody receives");
            }
            io::Result::Ok(())
        });
        let (mut bytes, mut messages, mut failures) = (0, 0, 0);
        while bytes < count || messages < count {
            let mut buffer = [0; 8];
            let failed = coop::select! {
                n = op::recv(&near, &mut buffer) => match n {
                    Ok(n) => {
                        assert!(buffer[..n].iter().enumerate().all(|(at, byte)| *byte == pattern(bytes + at)));
                        bytes += n;
                        false
                    }
                    // Of the poll: nothing was taken.
                    Err(_) => true,
                },
                message = op::receive(&rx), if messages < count => {
                    assert_eq!(message.expect("it is not closed"), messages);
                    messages += 1;
                    false
                },
                _ = op::after(Duration::from_micros(20)) => false,
            }?;
            failures += usize::from(failed);
            assert!(failures < 1000, "more faults than chance would have");
        }
        Ok(())
    })
}
