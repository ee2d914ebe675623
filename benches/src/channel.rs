//! Rows: messages from one task to another.

use crate::harness::{Amount, CPU, Row, Side, Stopwatch};
use crate::peers::tokio_run;
use coop::chan;
use tokio::sync::mpsc;

pub const ROWS: &[Row] = &[
    Row {
        name: "channel-1",
        measures: "one task sends numbers, another sums them, with room for one between them; the time of a message",
        figures: &[CPU],
        amount: Amount::Calibrated,
        only_by_name: false,
        sides: || sides::<1>(),
    },
    Row {
        name: "channel-128",
        measures: "the same with room for 128",
        figures: &[CPU],
        amount: Amount::Calibrated,
        only_by_name: false,
        sides: || sides::<128>(),
    },
];

fn sides<const ROOM: usize>() -> Vec<Side> {
    vec![Side::new("coop", coop_side::<ROOM>), Side::new("tokio, mpsc", tokio_side::<ROOM>)]
}

fn summed(time: &Stopwatch, n: u64, sum: u64) -> Vec<f64> {
    let each = time.cpu_per(n);
    assert_eq!(sum, n * (n - 1) / 2);
    vec![each]
}

fn coop_side<const ROOM: usize>(n: u64) -> Vec<f64> {
    coop::run(|| {
        let (tx, rx) = chan::bounded(ROOM);
        let time = Stopwatch::start();
        let mut sum = coop::spawn(move || {
            let mut sum = 0;
            while let Ok(number) = rx.recv() {
                sum += number;
            }
            sum
        });
        let sending = coop::spawn(move || {
            for number in 0..n {
                tx.send(number).expect("the receiver stays");
            }
        });
        let sum = sum.join().expect("nobody kills");
        drop(sending);
        summed(&time, n, sum)
    })
}

fn tokio_side<const ROOM: usize>(n: u64) -> Vec<f64> {
    tokio_run(async {
        let (tx, mut rx) = mpsc::channel(ROOM);
        let time = Stopwatch::start();
        let sum = tokio::spawn(async move {
            let mut sum = 0;
            while let Some(number) = rx.recv().await {
                sum += number;
            }
            sum
        });
        tokio::spawn(async move {
            for number in 0..n {
                tx.send(number).await.expect("the receiver stays");
            }
        });
        let sum = sum.await.expect("no task panics");
        summed(&time, n, sum)
    })
}
