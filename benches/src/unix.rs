//! Row: a byte to and fro between two tasks of one thread.

use crate::harness::{Amount, CPU, Row, Side, Stopwatch};
use crate::peers::{monoio_run, tokio_run};
use std::io;

pub const ROWS: &[Row] = &[Row {
    name: "unix-ping-pong",
    measures: "one byte over a Unix socket pair and back, between two tasks of a thread: two sends, two receives that wait",
    figures: &[CPU],
    amount: Amount::Calibrated,
    only_by_name: false,
    sides: || vec![Side::new("coop", coop_side), Side::new("tokio", tokio_side), Side::new("monoio", monoio_side)],
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

fn tokio_side(n: u64) -> Vec<f64> {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let body = async {
        let (mut ours, mut theirs) = tokio::net::UnixStream::pair()?;
        let time = Stopwatch::start();
        let answering = tokio::spawn(async move {
            let mut byte = [0; ROOM];
            for _ in 0..n {
                assert_eq!(theirs.read(&mut byte).await?, 1);
                theirs.write_all(&[answer(byte[0])]).await?;
            }
            io::Result::Ok(())
        });
        let asking = tokio::spawn(async move {
            let mut byte = [0; ROOM];
            for round in 0..n {
                ours.write_all(&[round as u8]).await?;
                assert_eq!(ours.read(&mut byte).await?, 1);
                assert_eq!(byte[0], answer(round as u8));
            }
            io::Result::Ok(())
        });
        asking.await.expect("no task panics")?;
        answering.await.expect("no task panics")?;
        io::Result::Ok(vec![time.cpu_per(n)])
    };
    tokio_run(body).expect("the pair stays open")
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
