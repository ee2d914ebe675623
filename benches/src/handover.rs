//! Row: one task wakes another by name, and waits to be woken in turn.

use crate::harness::{Amount, CPU, Row, Side, Stopwatch};
use crate::peers::tokio_run;
use coop::{Coordinator, Killed};
use std::cell::Cell;
use std::sync::Arc;
use tokio::sync::Notify;

pub const ROWS: &[Row] = &[Row {
    name: "hand-over",
    measures: "two tasks wake each other in turn, by two Coordinators or two Notifys; the time of one hand-over",
    figures: &[CPU],
    amount: Amount::Calibrated,
    only_by_name: false,
    sides: || vec![Side::new("coop", coop_side), Side::new("tokio, Notify", tokio_side)],
}];

fn coop_side(n: u64) -> Vec<f64> {
    let rounds = n.div_ceil(2);
    coop::run(|| {
        let (ping, pong) = (Coordinator::held(), Coordinator::held());
        let answered = Cell::new(0);
        let time = Stopwatch::start();
        coop::wait_all(|s| {
            s.spawn(|| -> Result<(), Killed> {
                for _ in 0..rounds {
                    ping.acquire()?.keep();
                    answered.set(answered.get() + 1);
                    pong.release();
                }
                Ok(())
            });
            s.spawn(|| -> Result<(), Killed> {
                for _ in 0..rounds {
                    ping.release();
                    pong.acquire()?.keep();
                }
                Ok(())
            });
        });
        let each = time.cpu_per(rounds * 2);
        assert_eq!(answered.get(), rounds);
        vec![each]
    })
}

fn tokio_side(n: u64) -> Vec<f64> {
    let rounds = n.div_ceil(2);
    tokio_run(async {
        let (ping, pong) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let time = Stopwatch::start();
        let answering = tokio::spawn({
            let (ping, pong) = (ping.clone(), pong.clone());
            async move {
                let mut answered = 0;
                for _ in 0..rounds {
                    ping.notified().await;
                    answered += 1;
                    pong.notify_one();
                }
                answered
            }
        });
        let asking = tokio::spawn(async move {
            for _ in 0..rounds {
                ping.notify_one();
                pong.notified().await;
            }
        });
        asking.await.expect("no task panics");
        let answered = answering.await.expect("no task panics");
        let each = time.cpu_per(rounds * 2);
        assert_eq!(answered, rounds);
        vec![each]
    })
}
