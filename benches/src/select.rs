//! Rows: `select!` of two channels.

use crate::harness::{Amount, CPU, Row, Side, Stopwatch};
use crate::peers::tokio_run;
use coop::{chan, op};
use std::io;
use tokio::sync::mpsc;

pub const ROWS: &[Row] = &[
    Row {
        name: "select-ready",
        measures: "put a number into a channel, and take it out by a select! of that channel and a silent one",
        figures: &[CPU],
        amount: Amount::Calibrated,
        only_by_name: false,
        sides: || vec![Side::new("coop", coop_ready), Side::new("tokio", tokio_ready)],
    },
    Row {
        name: "select-pending",
        measures: "a task waits in a select! of two channels; another sends to them in turn, and waits for the answer",
        figures: &[CPU],
        amount: Amount::Calibrated,
        only_by_name: false,
        sides: || vec![Side::new("coop", coop_pending), Side::new("tokio", tokio_pending)],
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

fn tokio_ready(n: u64) -> Vec<f64> {
    tokio_run(async {
        let (tx, mut rx) = mpsc::channel(1);
        let (_silent, mut never) = mpsc::channel::<u64>(1);
        let body = async move {
            let mut sum = 0;
            let time = Stopwatch::start();
            for number in 0..n {
                tx.try_send(number).expect("there is room");
                sum += tokio::select! {
                    number = rx.recv() => number.expect("open"),
                    number = never.recv() => number.expect("open"),
                };
            }
            summed(&time, n, sum)
        };
        tokio::spawn(body).await.expect("no task panics")
    })
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

fn tokio_pending(n: u64) -> Vec<f64> {
    tokio_run(async {
        let (tx_a, mut rx_a) = mpsc::channel(1);
        let (tx_b, mut rx_b) = mpsc::channel(1);
        let (answer, mut answers) = mpsc::channel(1);
        let time = Stopwatch::start();
        let selecting = tokio::spawn(async move {
            for _ in 0..n {
                let number: u64 = tokio::select! {
                    number = rx_a.recv() => number.expect("open"),
                    number = rx_b.recv() => number.expect("open"),
                };
                answer.send(number).await.expect("open");
            }
        });
        let asking = tokio::spawn(async move {
            let mut sum = 0;
            for number in 0..n {
                let tx = if number % 2 == 0 { &tx_a } else { &tx_b };
                tx.send(number).await.expect("open");
                sum += answers.recv().await.expect("open");
            }
            sum
        });
        let sum = asking.await.expect("no task panics");
        selecting.await.expect("no task panics");
        summed(&time, n, sum)
    })
}
