//! Rows: tasks that do nothing but give way to each other.

use crate::harness::{Amount, CPU, Row, Side, Stopwatch};
use crate::peers::{Rewoken, STACK, may_run, tokio_run};
use corosensei::stack::DefaultStack;
use corosensei::{Coroutine, CoroutineResult};
use std::cell::Cell;

pub const ROWS: &[Row] = &[
    Row {
        name: "yield-2",
        measures: "two tasks give way to each other in turn; the time of one yield, with what it counts",
        figures: &[CPU],
        amount: Amount::Calibrated,
        only_by_name: false,
        sides: || sides::<2>(),
    },
    Row {
        name: "yield-1000",
        measures: "1,000 tasks give way in turn; the time of one yield, with what it counts",
        figures: &[CPU],
        amount: Amount::Calibrated,
        only_by_name: false,
        sides: || sides::<1000>(),
    },
];

fn sides<const TASKS: u64>() -> Vec<Side> {
    vec![
        Side::new("coop", coop_side::<TASKS>),
        Side::new("tokio", |n| tokio_side::<TASKS, _>(n, tokio::task::yield_now)),
        Side::new("tokio, wake_by_ref", |n| tokio_side::<TASKS, _>(n, || Rewoken(false))),
        Side::new("may", may_side::<TASKS>),
        Side::new("corosensei, a loop", corosensei_side::<TASKS>),
    ]
}

thread_local! {
    static YIELDS: Cell<u64> = const { Cell::new(0) };
}

fn count() {
    YIELDS.set(YIELDS.get() + 1);
}

/// Sees that every task has done its share; gives the time of one yield.
fn counted(time: &Stopwatch, wanted: u64) -> Vec<f64> {
    let each = time.cpu_per(wanted);
    assert_eq!(YIELDS.replace(0), wanted);
    vec![each]
}

fn coop_side<const TASKS: u64>(n: u64) -> Vec<f64> {
    let share = n.div_ceil(TASKS);
    coop::run(|| {
        let mut time = None;
        coop::wait_all(|s| {
            for _ in 0..TASKS {
                s.spawn(|| -> Result<(), coop::Killed> {
                    coop::yield_now()?;
                    for _ in 0..share {
                        count();
                        coop::yield_now()?;
                    }
                    Ok(())
                });
            }
            // Comes back when each task has started and given way once.
            coop::yield_now().expect("nobody kills");
            time = Some(Stopwatch::start());
        });
        counted(&time.expect("set above"), share * TASKS)
    })
}

fn tokio_side<const TASKS: u64, Y: Future<Output = ()> + Send + 'static>(n: u64, give_way: fn() -> Y) -> Vec<f64> {
    let share = n.div_ceil(TASKS);
    tokio_run(async {
        let mut tasks = Vec::new();
        for _ in 0..TASKS {
            tasks.push(tokio::spawn(async move {
                give_way().await;
                for _ in 0..share {
                    count();
                    give_way().await;
                }
            }));
        }
        Rewoken(false).await;
        let time = Stopwatch::start();
        for task in tasks {
            task.await.expect("no task panics");
        }
        counted(&time, share * TASKS)
    })
}

fn may_side<const TASKS: u64>(n: u64) -> Vec<f64> {
    let share = n.div_ceil(TASKS);
    may_run(move || {
        let tasks: Vec<_> = (0..TASKS)
            .map(|_| {
                let body = move || {
                    may::coroutine::yield_now();
                    for _ in 0..share {
                        count();
                        may::coroutine::yield_now();
                    }
                };
                // SAFETY: one worker runs all coroutines, and the counter is not open across a switch.
                unsafe { may::coroutine::spawn(body) }
            })
            .collect();
        may::coroutine::yield_now();
        let time = Stopwatch::start();
        for task in tasks {
            task.join().expect("no task panics");
        }
        counted(&time, share * TASKS)
    })
}

fn corosensei_side<const TASKS: u64>(n: u64) -> Vec<f64> {
    let share = n.div_ceil(TASKS);
    let mut flows: Vec<Coroutine<(), (), (), _>> = (0..TASKS)
        .map(|_| {
            let stack = DefaultStack::new(STACK).expect("a stack");
            Coroutine::with_stack(stack, move |yielder, ()| {
                yielder.suspend(());
                for _ in 0..share {
                    count();
                    yielder.suspend(());
                }
            })
        })
        .collect();
    for flow in &mut flows {
        assert!(matches!(flow.resume(()), CoroutineResult::Yield(())));
    }
    let time = Stopwatch::start();
    let mut live = TASKS;
    while live != 0 {
        for flow in flows.iter_mut().filter(|flow| !flow.done()) {
            if let CoroutineResult::Return(()) = flow.resume(()) {
                live -= 1;
            }
        }
    }
    counted(&time, share * TASKS)
}
