//! Rows: messages from one task to another.

use crate::harness::{Amount, Bar, CPU, Row, Side, Stopwatch};
use crate::peers::{may_run, may_spawn};
use coop::chan;
use std::sync::mpsc;
use std::thread;

/// What each asynchronous peer does.
macro_rules! asynchronous {
    ($peer:ident, $room:expr) => {
        |n| {
            use crate::peers::$peer::{bounded, join, receive, run, send, spawn};
            run(async move {
                let (tx, mut rx) = bounded($room);
                let time = Stopwatch::start();
                let sum = spawn(async move {
                    let mut sum = 0;
                    while let Some(number) = receive(&mut rx).await {
                        sum += number;
                    }
                    sum
                });
                let sending = spawn(async move {
                    for number in 0..n {
                        send(&tx, number).await;
                    }
                });
                let sum = join(sum).await;
                join(sending).await;
                summed(&time, n, sum)
            })
        }
    };
}

pub const ROWS: &[Row] = &[
    Row {
        name: "channel-1",
        measures: "one task sends numbers, another sums them, with room for one between them; the time of a message",
        figures: &[CPU.within(&[Bar::OfBestPeer(0.2)])],
        amount: Amount::Calibrated,
        only_by_name: false,
        sides: || sides::<1>(),
    },
    Row {
        name: "channel-128",
        measures: "the same with room for 128",
        figures: &[CPU.within(&[Bar::OfBestPeer(0.25)])],
        amount: Amount::Calibrated,
        only_by_name: false,
        sides: || sides::<128>(),
    },
];

fn sides<const ROOM: usize>() -> Vec<Side> {
    vec![
        Side::new("coop", coop_side::<ROOM>),
        Side::new("tokio, mpsc", asynchronous!(tokio, ROOM)),
        Side::new("monoio, local-sync", asynchronous!(monoio, ROOM)),
        Side::new("glommio", asynchronous!(glommio, ROOM)),
        Side::new("smol, async-channel", asynchronous!(smol, ROOM)),
        // It has no bounded channel: its sender never waits.
        Side::aside("may, unbounded", may_side),
        Side::new("threads, one core", threads_side::<ROOM>),
    ]
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

fn may_side(n: u64) -> Vec<f64> {
    may_run(move || {
        let (tx, rx) = may::sync::mpsc::channel();
        let time = Stopwatch::start();
        let sum = may_spawn(move || rx.iter().sum());
        may_spawn(move || (0..n).for_each(|number| tx.send(number).expect("the receiver stays")));
        summed(&time, n, sum.join().expect("no task panics"))
    })
}

/// On one core, by way of the kernel.
fn threads_side<const ROOM: usize>(n: u64) -> Vec<f64> {
    let time = Stopwatch::of_process();
    let (tx, rx) = mpsc::sync_channel(ROOM);
    let sending = thread::spawn(move || (0..n).for_each(|number| tx.send(number).expect("the receiver stays")));
    let sum = rx.iter().sum();
    sending.join().expect("no thread panics");
    summed(&time, n, sum)
}
