//! Rows: what a task that only waits costs. Each side in a process of its own, so that its memory is its alone.

use crate::harness::{Amount, Bar, Figure, Row, Side, Stopwatch, Unit};
use crate::peers::{STACK, tokio_run};
use crate::sys::Memory;
use corosensei::stack::DefaultStack;
use corosensei::{Coroutine, CoroutineResult};
use std::cell::Cell;
use std::process::{Command, ExitCode};
use std::rc::Rc;
use std::sync::Arc;

/// The first argument of such a process.
pub const CHILD: &str = "--parked-child";

const MEASURES: &str = "tasks that were spawned, started and wait: CPU and memory of each, cold. Stackful sides with guarded \
                        stacks of 256 KiB; all tasks are woken and end afterwards";

const FIGURES: &[Figure] = &[
    Figure::new("spawn to parked, CPU", Unit::Nanos),
    Figure::new("resident", Unit::Bytes).within(&[Bar::Fixed(5.5 * 1024.0)]),
    Figure::new("page tables", Unit::Bytes),
    Figure::new("mappings added", Unit::Count).within(&[Bar::Fixed(16.0)]),
];

pub const ROWS: &[Row] = &[
    Row {
        name: "parked-100k",
        measures: MEASURES,
        figures: FIGURES,
        amount: Amount::Fixed { full: 100_000, quick: 10_000, samples: 5 },
        only_by_name: false,
        sides: || {
            vec![
                Side::new("coop", |n| in_child("coop", n)),
                Side::new("tokio", |n| in_child("tokio", n)),
                // Two mappings a stack: 100,000 do not fit `vm.max_map_count`.
                Side::aside("corosensei, 30,000", |n| in_child("corosensei", n.min(30_000))),
            ]
        },
    },
    Row {
        name: "parked-1m",
        measures: MEASURES,
        figures: FIGURES,
        amount: Amount::Fixed { full: 1_000_000, quick: 1_000_000, samples: 1 },
        only_by_name: true,
        sides: || vec![Side::new("coop", |n| in_child("coop", n)), Side::new("tokio", |n| in_child("tokio", n))],
    },
];

fn in_child(side: &str, n: u64) -> Vec<f64> {
    let program = std::env::current_exe().expect("this program's own path");
    let output = Command::new(program).args([CHILD, side, &n.to_string()]).output().expect("a child process");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{side}: {}\n{text}{}", output.status, String::from_utf8_lossy(&output.stderr));
    text.split_whitespace().map(|figure| figure.parse().expect("the child prints figures")).collect()
}

/// The child's `main`.
pub fn child(mut arguments: impl Iterator<Item = String>) -> ExitCode {
    let side = arguments.next();
    let n = arguments.next().and_then(|n| n.parse().ok()).unwrap_or(0);
    let figures = match side.as_deref() {
        Some("coop") => coop_side(n),
        Some("tokio") => tokio_side(n),
        Some("corosensei") => corosensei_side(n),
        _ => return ExitCode::FAILURE,
    };
    println!("{}", figures.map(|figure| figure.to_string()).join(" "));
    ExitCode::SUCCESS
}

/// The process before there are tasks.
struct Before {
    memory: Memory,
    time: Stopwatch,
}

impl Before {
    fn now() -> Self {
        Before { memory: Memory::now(), time: Stopwatch::start() }
    }

    /// The figures of `n` tasks that are parked now.
    fn until_now(&self, n: u64) -> [f64; 4] {
        let each = self.time.cpu_per(n);
        let (before, after) = (self.memory, Memory::now());
        [
            each,
            (after.resident - before.resident) / n as f64,
            (after.page_tables - before.page_tables) / n as f64,
            after.mappings - before.mappings,
        ]
    }
}

fn coop_side(n: u64) -> [f64; 4] {
    coop::run(|| {
        let gate = coop::Coordinator::held();
        let (started, passed) = (Cell::new(0u64), Cell::new(0u64));
        let before = Before::now();
        let figures = coop::wait_all(|s| {
            for _ in 0..n {
                s.spawn(|| {
                    started.set(started.get() + 1);
                    // Each hands the gate to the next when its guard drops.
                    gate.acquire().map(|_guard| passed.set(passed.get() + 1))
                });
            }
            while started.get() < n {
                coop::yield_now().expect("nobody kills");
            }
            let figures = before.until_now(n);
            gate.release();
            figures
        });
        assert_eq!((started.get(), passed.get()), (n, n));
        figures
    })
}

fn tokio_side(n: u64) -> [f64; 4] {
    use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
    tokio_run(async {
        let gate = Arc::new(tokio::sync::Semaphore::new(0));
        let counts = Arc::new([AtomicU64::new(0), AtomicU64::new(0)]);
        let before = Before::now();
        for _ in 0..n {
            let (gate, counts) = (gate.clone(), counts.clone());
            tokio::spawn(async move {
                counts[0].fetch_add(1, Relaxed);
                let _guard = gate.acquire().await.expect("nobody closes it");
                counts[1].fetch_add(1, Relaxed);
            });
        }
        while counts[0].load(Relaxed) < n {
            tokio::task::yield_now().await;
        }
        let figures = before.until_now(n);
        gate.add_permits(1);
        while counts[1].load(Relaxed) < n {
            tokio::task::yield_now().await;
        }
        figures
    })
}

fn corosensei_side(n: u64) -> [f64; 4] {
    let passed = Rc::new(Cell::new(0u64));
    let before = Before::now();
    let mut flows = Vec::new();
    for _ in 0..n {
        let passed = passed.clone();
        let stack = DefaultStack::new(STACK).expect("a stack");
        let mut flow = Coroutine::<(), (), (), _>::with_stack(stack, move |yielder, ()| {
            yielder.suspend(());
            passed.set(passed.get() + 1);
        });
        assert!(matches!(flow.resume(()), CoroutineResult::Yield(())));
        flows.push(flow);
    }
    let figures = before.until_now(n);
    for flow in &mut flows {
        assert!(matches!(flow.resume(()), CoroutineResult::Return(())));
    }
    assert_eq!(passed.get(), n);
    figures
}
