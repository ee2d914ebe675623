//! Row: a byte to and fro between two tasks of one thread.

use crate::harness::{Amount, Bar, CPU, Row, Side, Stopwatch};
use crate::peers::{may_run, may_spawn, monoio_run};
use io_uring::{IoUring, opcode, types};
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::thread;

pub const ROWS: &[Row] = &[Row {
    name: "unix-ping-pong",
    measures: "one byte over a Unix socket pair and back, between two tasks of a thread: two sends, two receives that wait",
    figures: &[CPU.within(&[Bar::OfBestPeer(0.8)])],
    amount: Amount::Calibrated,
    only_by_name: false,
    sides: || {
        vec![
            Side::new("coop", coop_side),
            Side::limit("send, recv, send, recv", plain_limit),
            Side::limit("ring, two enters", ring_limit),
            Side::new("tokio", tokio_side),
            Side::new("monoio", monoio_side),
            Side::new("glommio", glommio_side),
            Side::new("smol", smol_side),
            Side::new("may", may_side),
            Side::new("threads, one core", threads_side),
        ]
    },
}];

/// Room for what is received: more than comes, as in most programs. A runtime may conclude that nothing is left.
const ROOM: usize = 64;

/// What the pinging end counts, and what the other end makes of each byte.
fn answer(byte: u8) -> u8 {
    byte.wrapping_add(1)
}

fn coop_side(n: u64) -> Vec<f64> {
    let body = || -> io::Result<Vec<f64>> {
        let (ours, theirs) = coop::net::UnixStream::pair()?;
        let time = Stopwatch::start();
        let mut answering = coop::spawn(move || -> io::Result<()> {
            let mut byte = [0; ROOM];
            for _ in 0..n {
                assert_eq!(theirs.recv(&mut byte)?, 1);
                theirs.send_all(&[answer(byte[0])])?;
            }
            Ok(())
        });
        let mut asking = coop::spawn(move || -> io::Result<()> {
            let mut byte = [0; ROOM];
            for round in 0..n {
                ours.send_all(&[round as u8])?;
                assert_eq!(ours.recv(&mut byte)?, 1);
                assert_eq!(byte[0], answer(round as u8));
            }
            Ok(())
        });
        asking.join().expect("nobody kills")?;
        answering.join().expect("nobody kills")?;
        Ok(vec![time.cpu_per(n)])
    };
    coop::run(body).expect("the pair stays open")
}

/// The peers that read and write borrowed buffers. Theirs are the traits of the name, and the pair is `$pair`.
macro_rules! borrowing {
    ($peer:ident, $pair:expr, $($traits:tt)*) => {
        |n| {
            use crate::peers::$peer::{join, run, spawn};
            $($traits)*
            let body = async move {
                let (mut ours, mut theirs) = $pair?;
                let time = Stopwatch::start();
                let answering = spawn(async move {
                    let mut byte = [0; ROOM];
                    for _ in 0..n {
                        assert_eq!(theirs.read(&mut byte).await?, 1);
                        theirs.write_all(&[answer(byte[0])]).await?;
                    }
                    io::Result::Ok(())
                });
                let asking = spawn(async move {
                    let mut byte = [0; ROOM];
                    for round in 0..n {
                        ours.write_all(&[round as u8]).await?;
                        assert_eq!(ours.read(&mut byte).await?, 1);
                        assert_eq!(byte[0], answer(round as u8));
                    }
                    io::Result::Ok(())
                });
                join(asking).await?;
                join(answering).await?;
                io::Result::Ok(vec![time.cpu_per(n)])
            };
            run(body).expect("the pair stays open")
        }
    };
}

fn tokio_side(n: u64) -> Vec<f64> {
    borrowing!(tokio, tokio::net::UnixStream::pair(), use tokio::io::{AsyncReadExt, AsyncWriteExt};)(n)
}

fn glommio_side(n: u64) -> Vec<f64> {
    borrowing!(glommio, glommio::net::UnixStream::pair(), use futures_lite::{AsyncReadExt, AsyncWriteExt};)(n)
}

fn smol_side(n: u64) -> Vec<f64> {
    borrowing!(smol, smol::net::unix::UnixStream::pair(), use futures_lite::{AsyncReadExt, AsyncWriteExt};)(n)
}

/// The two ends, where calls block.
fn answering(mut theirs: impl Read + Write, n: u64) -> io::Result<()> {
    let mut byte = [0; ROOM];
    for _ in 0..n {
        assert_eq!(theirs.read(&mut byte)?, 1);
        theirs.write_all(&[answer(byte[0])])?;
    }
    Ok(())
}

fn asking(mut ours: impl Read + Write, n: u64) -> io::Result<()> {
    let mut byte = [0; ROOM];
    for round in 0..n {
        ours.write_all(&[round as u8])?;
        assert_eq!(ours.read(&mut byte)?, 1);
        assert_eq!(byte[0], answer(round as u8));
    }
    Ok(())
}

fn may_side(n: u64) -> Vec<f64> {
    may_run(move || {
        let (ours, theirs) = may::os::unix::net::UnixStream::pair().expect("a pair");
        let time = Stopwatch::start();
        let answers = may_spawn(move || answering(theirs, n));
        let asks = may_spawn(move || asking(ours, n));
        for task in [asks, answers] {
            task.join().expect("no task panics").expect("the pair stays open");
        }
        vec![time.cpu_per(n)]
    })
}

fn threads_side(n: u64) -> Vec<f64> {
    let (ours, theirs) = UnixStream::pair().expect("a pair");
    let time = Stopwatch::of_process();
    let answers = thread::spawn(move || answering(theirs, n));
    asking(ours, n).expect("the pair stays open");
    answers.join().expect("no thread panics").expect("the pair stays open");
    vec![time.cpu_per(n)]
}

/// Nobody waits: each call finds what it needs.
fn plain_limit(n: u64) -> Vec<f64> {
    let body = || -> io::Result<Vec<f64>> {
        let (mut ours, mut theirs) = UnixStream::pair()?;
        let mut byte = [0; ROOM];
        let time = Stopwatch::start();
        for round in 0..n {
            ours.write_all(&[round as u8])?;
            assert_eq!(theirs.read(&mut byte)?, 1);
            theirs.write_all(&[answer(byte[0])])?;
            assert_eq!(ours.read(&mut byte)?, 1);
            assert_eq!(byte[0], answer(round as u8));
        }
        Ok(vec![time.cpu_per(n)])
    };
    body().expect("the pair stays open")
}

/// A receive that waits and the send that ends its wait, by one system call each way.
fn ring_limit(n: u64) -> Vec<f64> {
    let (ours, theirs) = UnixStream::pair().expect("a pair");
    let mut builder = IoUring::builder();
    builder.setup_single_issuer().setup_defer_taskrun();
    let mut ring: IoUring = builder.build(8).expect("a ring");
    let mut over = |from: &UnixStream, to: &UnixStream, byte: u8| {
        let (mut received, sent) = ([0u8; ROOM], [byte]);
        let receive = opcode::Recv::new(types::Fd(to.as_raw_fd()), received.as_mut_ptr(), ROOM as u32).build();
        let send = opcode::Send::new(types::Fd(from.as_raw_fd()), sent.as_ptr(), 1).build();
        // SAFETY: both have completed when this returns, so the buffers outlive them; there is room for two.
        unsafe { ring.submission().push_multiple(&[receive, send]) }.expect("there is room");
        ring.submit_and_wait(2).expect("the ring works");
        let mut completed = 0;
        for completion in ring.completion() {
            assert_eq!(completion.result(), 1);
            completed += 1;
        }
        assert_eq!(completed, 2);
        received[0]
    };
    let time = Stopwatch::start();
    for round in 0..n {
        let asked = over(&ours, &theirs, round as u8);
        assert_eq!(over(&theirs, &ours, answer(asked)), answer(round as u8));
    }
    vec![time.cpu_per(n)]
}

fn emptied(mut buffer: Vec<u8>) -> Vec<u8> {
    buffer.clear();
    buffer
}

fn monoio_side(n: u64) -> Vec<f64> {
    use monoio::io::{AsyncReadRent, AsyncWriteRentExt};
    let body = async {
        let (mut ours, mut theirs) = monoio::net::UnixStream::pair()?;
        let time = Stopwatch::start();
        let answering = monoio::spawn(async move {
            let mut byte = Vec::with_capacity(ROOM);
            for _ in 0..n {
                let (read, mut buffer) = theirs.read(byte).await;
                assert_eq!(read?, 1);
                buffer[0] = answer(buffer[0]);
                let (written, buffer) = theirs.write_all(buffer).await;
                assert_eq!(written?, 1);
                byte = emptied(buffer);
            }
            io::Result::Ok(())
        });
        let asking = monoio::spawn(async move {
            let mut byte = Vec::with_capacity(ROOM);
            for round in 0..n {
                byte.push(round as u8);
                let (written, buffer) = ours.write_all(byte).await;
                assert_eq!(written?, 1);
                let (read, buffer) = ours.read(emptied(buffer)).await;
                assert_eq!(read?, 1);
                assert_eq!(buffer[0], answer(round as u8));
                byte = emptied(buffer);
            }
            io::Result::Ok(())
        });
        asking.await?;
        answering.await?;
        io::Result::Ok(vec![time.cpu_per(n)])
    };
    monoio_run(body).expect("the pair stays open")
}
