//! Rows: `select!` of two channels.

use crate::harness::{Amount, Bar, CPU, Row, Side, Stopwatch};
use coop::{chan, op};
use std::io;

/// What each asynchronous peer does when one is ready.
macro_rules! ready {
    ($peer:ident) => {
        |n| {
            use crate::peers::$peer::{bounded, either, put, run};
            run(async move {
                let (tx, mut rx) = bounded(1);
                let (_silent, mut never) = bounded::<u64>(1);
                let mut sum = 0;
                let time = Stopwatch::start();
                for number in 0..n {
                    put(&tx, number).await;
                    sum += either(&mut rx, &mut never).await.expect("open");
                }
                summed(&time, n, sum)
            })
        }
    };
}

/// What each does when none is.
macro_rules! pending {
    ($peer:ident) => {
        |n| {
            use crate::peers::$peer::{bounded, either, join, receive, run, send, spawn};
            run(async move {
                let (tx_a, mut rx_a) = bounded(1);
                let (tx_b, mut rx_b) = bounded(1);
                let (answer, mut answers) = bounded(1);
                let time = Stopwatch::start();
                let selecting = spawn(async move {
                    for _ in 0..n {
                        let number: u64 = either(&mut rx_a, &mut rx_b).await.expect("open");
                        send(&answer, number).await;
                    }
                });
                let asking = spawn(async move {
                    let mut sum = 0;
                    for number in 0..n {
                        send(if number % 2 == 0 { &tx_a } else { &tx_b }, number).await;
                        sum += receive(&mut answers).await.expect("open");
                    }
                    sum
                });
                let sum = join(asking).await;
                join(selecting).await;
                summed(&time, n, sum)
            })
        }
    };
}

/// coop and the peers.
macro_rules! sides {
    ($coop:expr, $asynchronous:ident) => {
        || {
            vec![
                Side::new("coop", $coop),
                Side::new("tokio, select!", $asynchronous!(tokio)),
                Side::new("monoio, select!", $asynchronous!(monoio)),
                Side::new("glommio, or", $asynchronous!(glommio)),
                Side::new("smol, or", $asynchronous!(smol)),
            ]
        }
    };
}

pub const ROWS: &[Row] = &[
    Row {
        name: "select-ready",
        measures: "put a number into a channel, and take it out by a select! of that channel and a silent one",
        figures: &[CPU.within(&[Bar::OfBestPeer(0.5)])],
        amount: Amount::Calibrated,
        only_by_name: false,
        sides: sides!(coop_ready, ready),
    },
    Row {
        name: "select-pending",
        measures: "a task waits in a select! of two channels; another sends to them in turn, and waits for the answer",
        figures: &[CPU.within(&[Bar::OfBestPeer(0.25)])],
        amount: Amount::Calibrated,
        only_by_name: false,
        sides: sides!(coop_pending, pending),
    },
];

fn summed(time: &Stopwatch, n: u64, sum: u64) -> Vec<f64> {
    let each = time.cpu_per(n);
    assert_eq!(sum, n * (n - 1) / 2);
    vec![each]
}

fn coop_ready(n: u64) -> Vec<f64> {
    let body = || -> io::Result<Vec<f64>> {
        let (tx, rx) = chan::bounded(1);
        let (_silent, never) = chan::bounded::<u64>(1);
        let mut sum = 0;
        let time = Stopwatch::start();
        for number in 0..n {
            tx.try_send(number).expect("there is room");
            sum += coop::select! {
                number = op::receive(&rx) => number?,
                number = op::receive(&never) => number?,
            }?;
        }
        Ok(summed(&time, n, sum))
    };
    coop::run(body).expect("nobody closes a channel")
}

fn coop_pending(n: u64) -> Vec<f64> {
    let body = || -> io::Result<Vec<f64>> {
        let (tx_a, rx_a) = chan::bounded(1);
        let (tx_b, rx_b) = chan::bounded(1);
        let (answer, answers) = chan::bounded(1);
        let time = Stopwatch::start();
        let mut selecting = coop::spawn(move || -> io::Result<()> {
            for _ in 0..n {
                let number = coop::select! {
                    number = op::receive(&rx_a) => number?,
                    number = op::receive(&rx_b) => number?,
                }?;
                answer.send(number).map_err(|_| io::ErrorKind::BrokenPipe)?;
            }
            Ok(())
        });
        let mut asking = coop::spawn(move || -> io::Result<u64> {
            let mut sum = 0;
            for number in 0..n {
                let tx = if number % 2 == 0 { &tx_a } else { &tx_b };
                tx.send(number).map_err(|_| io::ErrorKind::BrokenPipe)?;
                sum += answers.recv()?;
            }
            Ok(sum)
        });
        let sum = asking.join().expect("nobody kills")?;
        selecting.join().expect("nobody kills")?;
        Ok(summed(&time, n, sum))
    };
    coop::run(body).expect("nobody closes a channel")
}
