//! Rows: what a task that only waits costs. Each side in a process of its own, so that its memory is its alone.

use crate::bare::{self, Parked, Stacks};
use crate::harness::{Amount, Bar, CPU, Figure, Row, Side, Stopwatch, Unit};
use crate::peers::STACK;
use crate::sys::Memory;
use corosensei::stack::DefaultStack;
use corosensei::{Coroutine, CoroutineResult};
use std::cell::Cell;
use std::process::{Command, ExitCode};
use std::ptr;

/// What each asynchronous peer does.
macro_rules! asynchronous {
    ($peer:ident, $n:expr) => {{
        use crate::peers::$peer::{Shared, Turn, join, run, spawn, yield_now};
        let n = $n;
        run(async move {
            let mut rounds = [[0.0; 4]; 2];
            for figures in &mut rounds {
                let gate = Shared::new(Turn::new());
                let mut measuring = Measuring::start(n);
                let waiting = |gate: Shared<Turn>| async move {
                    started();
                    gate.take().await;
                    passed();
                    // Each hands the turn to the next.
                    gate.give();
                };
                let tasks: Vec<_> = (0..n).map(|_| spawn(waiting(gate.clone()))).collect();
                while STARTED.get() < n {
                    yield_now().await;
                }
                measuring.parked();
                gate.give();
                for task in tasks {
                    join(task).await;
                }
                *figures = measuring.ended();
            }
            rounds
        })
    }};
}

/// The first argument of such a process.
pub const CHILD: &str = "--parked-child";

const COLD: &str = "tasks are spawned, start, wait all at once, are released one by the other, and end: CPU and memory of each, in \
                    a fresh process. Stackful sides with guarded stacks of 256 KiB";
const WARM: &str =
    "the same for the second time, on stacks (the peers: in an allocator) that the first time has left warm";

const FIGURES: &[Figure] = &[
    CPU.within(&[Bar::OfLimit(1.15)]),
    Figure::new("resident", Unit::Bytes).within(&[Bar::Fixed(4_600.0)]),
    Figure::new("page tables", Unit::Bytes),
    Figure::new("mappings added", Unit::Count).within(&[Bar::Fixed(16.0)]),
];

pub const ROWS: &[Row] = &[
    Row {
        name: "parked-100k",
        measures: COLD,
        figures: FIGURES,
        amount: Amount::Fixed { full: 100_000, quick: 5_000, samples: 7 },
        only_by_name: false,
        sides: || sides(CHILD_COLD),
    },
    Row {
        name: "parked-1m",
        measures: COLD,
        figures: FIGURES,
        amount: Amount::Fixed { full: 1_000_000, quick: 5_000, samples: 3 },
        only_by_name: false,
        sides: || {
            let mut sides = sides(CHILD_COLD);
            sides.retain(|side| !side.name.starts_with("corosensei"));
            sides
        },
    },
    Row {
        name: "parked-100k-warm",
        measures: WARM,
        figures: &[CPU.within(&[Bar::OfLimit(1.1)])],
        amount: Amount::Fixed { full: 100_000, quick: 5_000, samples: 7 },
        only_by_name: false,
        sides: || sides(CHILD_WARM),
    },
];

/// Which time a child process is to measure.
const CHILD_COLD: &str = "cold";
const CHILD_WARM: &str = "warm";

fn sides(time: &'static str) -> Vec<Side> {
    let run = move |name: &'static str| move |n| in_child(time, name, n);
    vec![
        Side::new("coop", run("coop")),
        Side::limit("guard, switch, switch", run("limit")),
        Side::new("tokio", run("tokio")),
        Side::new("monoio", run("monoio")),
        Side::new("glommio", run("glommio")),
        Side::new("smol", run("smol")),
        // Two mappings a stack: 100,000 do not fit `vm.max_map_count`.
        Side::aside("corosensei, 30,000", move |n| in_child(time, "corosensei", n.min(30_000))),
    ]
}

fn in_child(time: &str, side: &str, n: u64) -> Vec<f64> {
    let program = std::env::current_exe().expect("this program's own path");
    let output = Command::new(program).args([CHILD, time, side, &n.to_string()]).output().expect("a child process");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{side}: {}\n{text}{}", output.status, String::from_utf8_lossy(&output.stderr));
    text.split_whitespace().map(|figure| figure.parse().expect("the child prints figures")).collect()
}

/// The child's `main`.
pub fn child(mut arguments: impl Iterator<Item = String>) -> ExitCode {
    let (Some(time), Some(side), Some(n)) = (arguments.next(), arguments.next(), arguments.next()) else {
        return ExitCode::FAILURE;
    };
    let Ok(n) = n.parse() else { return ExitCode::FAILURE };
    let rounds = match side.as_str() {
        "coop" => coop_side(n),
        "limit" => limit(n),
        "tokio" => asynchronous!(tokio, n),
        "monoio" => asynchronous!(monoio, n),
        "glommio" => asynchronous!(glommio, n),
        "smol" => asynchronous!(smol, n),
        "corosensei" => corosensei_side(n),
        _ => return ExitCode::FAILURE,
    };
    let figures = if time == CHILD_COLD { rounds[0].to_vec() } else { rounds[1][..1].to_vec() };
    println!("{}", figures.iter().map(f64::to_string).collect::<Vec<_>>().join(" "));
    ExitCode::SUCCESS
}

/// The figures of the first time, and of the second.
type Rounds = [[f64; 4]; 2];

/// One time.
struct Measuring {
    before: Memory,
    time: Stopwatch,
    parked: Option<(f64, Memory)>,
    n: u64,
}

impl Measuring {
    fn start(n: u64) -> Self {
        STARTED.set(0);
        PASSED.set(0);
        Measuring { before: Memory::now(), time: Stopwatch::start(), parked: None, n }
    }

    /// All wait now. What it takes to find out is not counted.
    fn parked(&mut self) {
        assert_eq!((STARTED.get(), PASSED.get()), (self.n, 0));
        let each = self.time.cpu_per(self.n);
        self.parked = Some((each, Memory::now()));
        self.time = Stopwatch::start();
    }

    /// All have ended.
    fn ended(self) -> [f64; 4] {
        let (until_parked, after) = self.parked.expect("they were parked");
        let each = until_parked + self.time.cpu_per(self.n);
        assert_eq!((STARTED.get(), PASSED.get()), (self.n, self.n));
        [
            each,
            (after.resident - self.before.resident) / self.n as f64,
            (after.page_tables - self.before.page_tables) / self.n as f64,
            after.mappings - self.before.mappings,
        ]
    }
}

thread_local! {
    static STARTED: Cell<u64> = const { Cell::new(0) };
    static PASSED: Cell<u64> = const { Cell::new(0) };
}

fn started() {
    STARTED.set(STARTED.get() + 1);
}

fn passed() {
    PASSED.set(PASSED.get() + 1);
}

fn coop_side(n: u64) -> Rounds {
    coop::run(|| {
        [(); 2].map(|()| {
            let gate = coop::Coordinator::held();
            let mut measuring = Measuring::start(n);
            coop::wait_all(|s| {
                for _ in 0..n {
                    s.spawn(|| {
                        started();
                        // Each hands the gate to the next when its guard drops.
                        gate.acquire().map(|_guard| passed())
                    });
                }
                while STARTED.get() < n {
                    coop::yield_now().expect("nobody kills");
                }
                measuring.parked();
                gate.release();
            });
            measuring.ended()
        })
    })
}

struct Flows {
    parked: Vec<Cell<Parked>>,
    main: Cell<Parked>,
}

extern "C" fn waiting(flows: usize) -> ! {
    // SAFETY: `limit` passes its own, and outlives the flows.
    let flows = unsafe { &*(flows as *const Flows) };
    let index = STARTED.get() as usize;
    started();
    // SAFETY: who began this flow, and who resumes it, is parked in `main`.
    unsafe { bare::switch(flows.parked[index].as_ptr(), flows.main.get(), 0) };
    passed();
    // SAFETY: as above.
    unsafe { bare::switch(flows.parked[index].as_ptr(), flows.main.get(), 0) };
    unreachable!("nobody goes back to one that has ended");
}

/// Whose stack is fetched while one runs: each is a miss of the caches and of the TLB, and who is next is known.
const AHEAD: usize = 6;

fn fetch(place: *mut u8) {
    // SAFETY: a hint, which may say anything.
    unsafe { std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(place.cast()) };
}

/// The kernel's part, two times two switches, and nothing to keep account of who waits.
fn limit(n: u64) -> Rounds {
    let stacks = Stacks::new(n as usize, STACK);
    let mut tops = Vec::new();
    [(); 2].map(|()| {
        let mut measuring = Measuring::start(n);
        let parked = (0..n).map(|_| Cell::new(ptr::null_mut())).collect();
        let flows = Flows { parked, main: Cell::new(ptr::null_mut()) };
        for index in 0..n as usize {
            // A stack that was used has its guard.
            if index == tops.len() {
                tops.push(stacks.guarded(index));
            }
            if let Some(later) = tops.get(index + AHEAD) {
                fetch(later.wrapping_sub(64));
            }
            // SAFETY: the stack is this flow's alone; what was there has ended. It parks itself.
            unsafe {
                let flow = bare::prepare(tops[index], waiting);
                bare::switch(flows.main.as_ptr(), flow, (&raw const flows).addr());
            }
        }
        measuring.parked();
        for (index, flow) in flows.parked.iter().enumerate() {
            if let Some(later) = flows.parked.get(index + AHEAD) {
                fetch(later.get().cast());
            }
            // SAFETY: it is parked, for the first time.
            unsafe { bare::switch(flows.main.as_ptr(), flow.get(), 0) };
        }
        measuring.ended()
    })
}

fn corosensei_side(n: u64) -> Rounds {
    let mut stacks: Vec<DefaultStack> = Vec::new();
    [(); 2].map(|()| {
        let mut measuring = Measuring::start(n);
        let mut flows = Vec::new();
        for _ in 0..n {
            let stack = stacks.pop().unwrap_or_else(|| DefaultStack::new(STACK).expect("a stack"));
            let mut flow = Coroutine::<(), (), (), _>::with_stack(stack, |yielder, ()| {
                started();
                yielder.suspend(());
                passed();
            });
            assert!(matches!(flow.resume(()), CoroutineResult::Yield(())));
            flows.push(flow);
        }
        measuring.parked();
        for flow in &mut flows {
            assert!(matches!(flow.resume(()), CoroutineResult::Return(())));
        }
        stacks.extend(flows.into_iter().map(Coroutine::into_stack));
        measuring.ended()
    })
}
