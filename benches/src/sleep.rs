//! Row: many timers that do strike.

use crate::harness::{Amount, CPU, Figure, Row, Side, Stopwatch, Unit};
use crate::peers::tokio_run;
use std::cell::Cell;
use std::time::{Duration, Instant};

const TASKS: u64 = 1000;

pub const ROWS: &[Row] = &[Row {
    name: "sleep",
    measures: "1,000 tasks sleep 100 times each, for 2 to 10 ms: CPU of a sleep, and how late it ended on average. \
               tokio's timers have steps of 1 ms, coop's of 1 ns: fewer wake-ups against less delay",
    figures: &[CPU, Figure::new("late by", Unit::Nanos)],
    amount: Amount::Fixed { full: 100_000, quick: 10_000, samples: 5 },
    only_by_name: false,
    sides: || vec![Side::new("coop", coop_side), Side::new("tokio", tokio_side)],
}];

/// How long a task sleeps next: the same sequence on both sides.
struct Durations(u64);

impl Durations {
    fn next(&mut self) -> Duration {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        Duration::from_nanos(2_000_000 + (self.0 >> 33) % 8_000_000)
    }
}

thread_local! {
    static SLEPT: Cell<(u64, Duration)> = const { Cell::new((0, Duration::ZERO)) };
}

fn note(began: Instant, duration: Duration) {
    let late = began.elapsed().checked_sub(duration).expect("no sleep ends early");
    let (count, sum) = SLEPT.get();
    SLEPT.set((count + 1, sum + late));
}

fn figures(time: &Stopwatch, wanted: u64) -> Vec<f64> {
    let each = time.cpu_per(wanted);
    let (count, late) = SLEPT.take();
    assert_eq!(count, wanted);
    vec![each, late.as_nanos() as f64 / count as f64]
}

fn coop_side(n: u64) -> Vec<f64> {
    coop::run(|| {
        // The stacks are made before the clock starts.
        coop::wait_all(|s| (0..TASKS).for_each(|_| drop(s.spawn(|| ()))));
        let time = Stopwatch::start();
        coop::wait_all(|s| {
            for task in 0..TASKS {
                s.spawn(move || -> Result<(), coop::Killed> {
                    let mut durations = Durations(task);
                    for _ in 0..n / TASKS {
                        let (began, duration) = (Instant::now(), durations.next());
                        coop::sleep(duration)?;
                        note(began, duration);
                    }
                    Ok(())
                });
            }
        });
        figures(&time, n / TASKS * TASKS)
    })
}

fn tokio_side(n: u64) -> Vec<f64> {
    tokio_run(async {
        let time = Stopwatch::start();
        let tasks: Vec<_> = (0..TASKS)
            .map(|task| {
                tokio::spawn(async move {
                    let mut durations = Durations(task);
                    for _ in 0..n / TASKS {
                        let (began, duration) = (Instant::now(), durations.next());
                        tokio::time::sleep(duration).await;
                        note(began, duration);
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.expect("no task panics");
        }
        figures(&time, n / TASKS * TASKS)
    })
}
