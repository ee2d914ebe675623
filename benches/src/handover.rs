//! Row: one task wakes another by name, and waits to be woken in turn.

use crate::harness::{Amount, Bar, CPU, Row, Side, Stopwatch};
use crate::peers::{may_run, may_spawn};
use coop::{Coordinator, Killed};
use may::sync::Semphore;
use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::*};
use std::thread;

/// What each asynchronous peer does.
macro_rules! asynchronous {
    ($peer:ident) => {
        |n| {
            use crate::peers::$peer::{Shared, Turn, join, run, spawn};
            let rounds = n.div_ceil(2);
            run(async move {
                let (ping, pong) = (Shared::new(Turn::new()), Shared::new(Turn::new()));
                let time = Stopwatch::start();
                let answering = spawn({
                    let (ping, pong) = (ping.clone(), pong.clone());
                    async move {
                        let mut answered = 0;
                        for _ in 0..rounds {
                            ping.take().await;
                            answered += 1;
                            pong.give();
                        }
                        answered
                    }
                });
                let asking = spawn(async move {
                    for _ in 0..rounds {
                        ping.give();
                        pong.take().await;
                    }
                });
                join(asking).await;
                let answered = join(answering).await;
                handed(&time, rounds, answered)
            })
        }
    };
}

/// Sees that every question was answered; gives the time of one hand-over, of which a round has two.
fn handed(time: &Stopwatch, rounds: u64, answered: u64) -> Vec<f64> {
    let each = time.cpu_per(rounds * 2);
    assert_eq!(answered, rounds);
    vec![each]
}

pub const ROWS: &[Row] = &[Row {
    name: "hand-over",
    measures: "two tasks wake each other in turn, by two Coordinators, Notifys or semaphores; the time of one hand-over",
    figures: &[CPU.within(&[Bar::OfBestPeer(0.2)])],
    amount: Amount::Calibrated,
    only_by_name: false,
    sides: || {
        vec![
            Side::new("coop", coop_side),
            Side::new("tokio, Notify", asynchronous!(tokio)),
            Side::new("monoio, local-sync", asynchronous!(monoio)),
            Side::new("glommio", asynchronous!(glommio)),
            Side::new("smol", asynchronous!(smol)),
            Side::new("may", may_side),
            Side::new("threads, one core", threads_side),
        ]
    },
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
        handed(&time, rounds, answered.get())
    })
}

fn may_side(n: u64) -> Vec<f64> {
    let rounds = n.div_ceil(2);
    may_run(move || {
        let turns = Arc::new([Semphore::new(0), Semphore::new(0)]);
        let time = Stopwatch::start();
        let answering = may_spawn({
            let turns = turns.clone();
            move || {
                for _ in 0..rounds {
                    turns[0].wait();
                    turns[1].post();
                }
                rounds
            }
        });
        let asking = may_spawn(move || {
            for _ in 0..rounds {
                turns[0].post();
                turns[1].wait();
            }
        });
        asking.join().expect("no task panics");
        let answered = answering.join().expect("no task panics");
        handed(&time, rounds, answered)
    })
}

/// On one core, by way of the kernel.
fn threads_side(n: u64) -> Vec<f64> {
    let rounds = n.div_ceil(2);
    let answered = Arc::new(AtomicU64::new(0));
    let time = Stopwatch::of_process();
    let asking = thread::current();
    let answering = thread::spawn({
        let answered = answered.clone();
        move || {
            for round in 0..rounds {
                while answered.load(Acquire) != round * 2 + 1 {
                    thread::park();
                }
                answered.store(round * 2 + 2, Release);
                asking.unpark();
            }
        }
    });
    for round in 0..rounds {
        answered.store(round * 2 + 1, Release);
        answering.thread().unpark();
        while answered.load(Acquire) != round * 2 + 2 {
            thread::park();
        }
    }
    answering.join().expect("no thread panics");
    handed(&time, rounds, answered.load(Acquire) / 2)
}
