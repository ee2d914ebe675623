//! Rows: tasks that do nothing but give way to each other.

use crate::bare::{self, Parked, Stacks};
use crate::harness::{Amount, Bar, CPU, Row, Side, Stopwatch};
use crate::peers::{Rewoken, STACK, may_run, tokio_run};
use corosensei::stack::DefaultStack;
use corosensei::{Coroutine, CoroutineResult};
use std::cell::Cell;
use std::ptr;

pub const ROWS: &[Row] = &[
    Row {
        name: "yield-2",
        measures: "two tasks give way to each other in turn; the time of one yield, with what it counts",
        figures: &[CPU.within(&[Bar::OfBestPeer(0.2)])],
        amount: Amount::Calibrated,
        only_by_name: false,
        sides: || sides::<2>(),
    },
    Row {
        name: "yield-1000",
        measures: "1,000 tasks give way in turn; the time of one yield, with what it counts",
        figures: &[CPU.within(&[Bar::OfBestPeer(0.4)])],
        amount: Amount::Calibrated,
        only_by_name: false,
        sides: || sides::<1000>(),
    },
];

fn sides<const TASKS: u64>() -> Vec<Side> {
    vec![
        Side::new("coop", coop_side::<TASKS>),
        Side::limit("a ring of switches", limit::<TASKS>),
        Side::new("tokio", |n| tokio_side::<TASKS, _>(n, tokio::task::yield_now)),
        Side::new("tokio, wake_by_ref", |n| tokio_side::<TASKS, _>(n, || Rewoken(false))),
        Side::new("may", may_side::<TASKS>),
        Side::aside("corosensei, a loop", corosensei_side::<TASKS>),
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

/// A flow of the limit's. Each switches to the next, and the last to the first.
struct Flow {
    parked: Cell<Parked>,
    next: Cell<*const Flow>,
    /// Where the one goes after its share: to the next, which has done its share, too; the last one to where all began.
    after: Cell<*const Flow>,
    share: u64,
}

extern "C" fn giving_way(flow: usize) -> ! {
    // SAFETY: the flow that switched here has passed this one, and outlives all: `limit` returns when the last has ended.
    let flow = unsafe { &*(flow as *const Flow) };
    let go = |to: *const Flow| {
        // SAFETY: the one that is gone to is parked, or new and passed to itself.
        unsafe { bare::switch(flow.parked.as_ptr(), (*to).parked.get(), to.addr()) }
    };
    go(flow.after.get());
    for _ in 0..flow.share {
        count();
        go(flow.next.get());
    }
    go(flow.after.get());
    unreachable!("nobody goes back to one that has done its share");
}

fn limit<const TASKS: u64>(n: u64) -> Vec<f64> {
    let share = n.div_ceil(TASKS);
    let stacks = Stacks::new(TASKS as usize, STACK);
    let flow =
        |parked| Flow { parked: Cell::new(parked), next: Cell::new(ptr::null()), after: Cell::new(ptr::null()), share };
    // SAFETY: each stack is one flow's alone.
    let flows = (0..TASKS as usize).map(|index| flow(unsafe { bare::prepare(stacks.guarded(index), giving_way) }));
    let flows: Vec<Flow> = flows.collect();
    let main = flow(ptr::null_mut());
    for (index, flow) in flows.iter().enumerate() {
        flow.next.set(&flows[(index + 1) % flows.len()]);
        flow.after.set(flows.get(index + 1).unwrap_or(&main));
    }
    // SAFETY: the first is new at first, and then parked; the last comes back here each time.
    let go = || unsafe { bare::switch(main.parked.as_ptr(), flows[0].parked.get(), (&raw const flows[0]).addr()) };
    go();
    let time = Stopwatch::start();
    go();
    counted(&time, share * TASKS)
}
