//! Rows: tasks that do nothing but give way to each other.

use crate::bare::{self, Parked, Stacks};
use crate::harness::{Amount, Bar, CPU, Row, Side, Stopwatch};
use crate::peers::{STACK, may_run, may_spawn};
use corosensei::stack::DefaultStack;
use corosensei::{Coroutine, CoroutineResult};
use std::cell::Cell;
use std::ptr;

/// What each asynchronous peer does.
macro_rules! asynchronous {
    ($peer:ident, $yield_now:path, $tasks:expr) => {
        |n| {
            use crate::peers::$peer::{join, run, spawn};
            let share = n.div_ceil($tasks);
            run(async move {
                let mut tasks = Vec::new();
                for _ in 0..$tasks {
                    tasks.push(spawn(async move {
                        $yield_now().await;
                        for _ in 0..share {
                            count();
                            $yield_now().await;
                        }
                        done(share, $tasks);
                    }));
                }
                // Comes back when each task has started and given way once.
                futures_lite::future::yield_now().await;
                let time = Stopwatch::start();
                for task in tasks {
                    join(task).await;
                }
                counted(&time, share * $tasks)
            })
        }
    };
}

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
        Side::new("tokio", asynchronous!(tokio, crate::peers::tokio::yield_now, TASKS)),
        Side::new("tokio, yield_now", asynchronous!(tokio, tokio::task::yield_now, TASKS)),
        Side::new("glommio", asynchronous!(glommio, crate::peers::glommio::yield_now, TASKS)),
        Side::new("compio", asynchronous!(compio, crate::peers::compio::yield_now, TASKS)),
        Side::new("smol", asynchronous!(smol, crate::peers::smol::yield_now, TASKS)),
        Side::new("may", may_side::<TASKS>),
        Side::aside("corosensei, a loop", corosensei_side::<TASKS>),
        Side::aside("generator, a loop", generator_side::<TASKS>),
    ]
}

thread_local! {
    static YIELDS: Cell<u64> = const { Cell::new(0) };
}

fn count() {
    YIELDS.set(YIELDS.get() + 1);
}

/// Said by each task in the end: the others have come nearly as far. Not quite: a runtime may have taken some up a few rounds earlier,
/// and looks after its timers and its driver in between.
fn done(share: u64, tasks: u64) {
    assert!(YIELDS.get() + 16 * tasks > share * tasks / 10 * 9, "the tasks have not taken turns");
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
                    done(share, TASKS);
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
                    done(share, TASKS);
                };
                may_spawn(body)
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

fn generator_side<const TASKS: u64>(n: u64) -> Vec<f64> {
    let share = n.div_ceil(TASKS);
    let flow = |_| {
        generator::Gn::<()>::new_scoped_opt(STACK / size_of::<usize>(), move |mut scope| {
            scope.yield_(());
            for _ in 0..share {
                count();
                scope.yield_(());
            }
            generator::done!()
        })
    };
    let mut flows: Vec<_> = (0..TASKS).map(flow).collect();
    for flow in &mut flows {
        assert!(flow.resume().is_some());
    }
    let time = Stopwatch::start();
    while !flows[0].is_done() {
        for flow in &mut flows {
            flow.resume();
        }
    }
    counted(&time, share * TASKS)
}

/// The limit's flows, in a ring: each switches to the next, and nobody asks whether it is ready.
struct Ring {
    parked: Vec<Cell<Parked>>,
    /// Where all began.
    main: Cell<Parked>,
    share: u64,
}

thread_local! {
    static RING: Cell<*const Ring> = const { Cell::new(ptr::null()) };
}

extern "C" fn giving_way(place: usize) -> ! {
    // SAFETY: `limit` sets it, and stays until the last flow has ended.
    let ring = unsafe { &*RING.get() };
    let first = ring.parked.as_ptr();
    // SAFETY: one past the end.
    let end = unsafe { first.add(ring.parked.len()) };
    // From the first flow to the second, …, and from the last to where all began.
    let pass_on = |place: *const Cell<Parked>| {
        // SAFETY: `place` is this flow's; the next is parked or new, and so is who began.
        unsafe {
            let next = place.add(1);
            let to = if next == end { ring.main.get() } else { (*next).get() };
            bare::switch((*place).as_ptr(), to, next.addr()) as *const Cell<Parked>
        }
    };
    let mut place = pass_on(place as *const Cell<Parked>);
    for _ in 0..ring.share {
        count();
        // SAFETY: `place` is this flow's own in each round, and all others are parked.
        unsafe {
            let mut next = place.add(1);
            if next == end {
                next = first;
            }
            place = bare::switch((*place).as_ptr(), (*next).get(), next.addr()) as *const Cell<Parked>;
        }
    }
    pass_on(place);
    unreachable!("nobody goes back to one that has done its share");
}

fn limit<const TASKS: u64>(n: u64) -> Vec<f64> {
    let share = n.div_ceil(TASKS);
    let stacks = Stacks::new(TASKS as usize, STACK);
    // SAFETY: each stack is one flow's alone.
    let flow = |index| Cell::new(unsafe { bare::prepare(stacks.guarded(index), giving_way) });
    let parked = (0..TASKS as usize).map(flow).collect();
    let ring = Ring { parked, main: Cell::new(ptr::null_mut()), share };
    RING.set(&ring);
    // SAFETY: the first is new at first, and then parked; the last comes back here each time.
    let go = || unsafe { bare::switch(ring.main.as_ptr(), ring.parked[0].get(), (&raw const ring.parked[0]).addr()) };
    go();
    let time = Stopwatch::start();
    go();
    counted(&time, share * TASKS)
}
