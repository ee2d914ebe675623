//! Row: many timers that do strike.

use crate::harness::{Amount, Bar, CPU, Figure, Row, Side, Stopwatch, Unit};
use std::cell::Cell;
use std::time::{Duration, Instant};

const TASKS: u64 = 1000;

/// Each asynchronous peer, sleeping again and again.
macro_rules! again {
    ($peer:ident) => {
        |n| {
            use crate::peers::$peer::{join, run_timed, sleep, spawn};
            run_timed(async move {
                let time = Stopwatch::start();
                let body = |task| async move {
                    let mut durations = Durations(task);
                    for _ in 0..n / TASKS {
                        let (began, duration) = (Instant::now(), durations.next());
                        sleep(duration).await;
                        note(began, duration);
                    }
                };
                let tasks: Vec<_> = (0..TASKS).map(|task| spawn(body(task))).collect();
                for task in tasks {
                    join(task).await;
                }
                figures(&time, n / TASKS * TASKS)
            })
        }
    };
}

/// Each asynchronous peer, each task sleeping once.
macro_rules! once {
    ($peer:ident) => {
        |n| {
            use crate::peers::$peer::{join, run_timed, sleep, spawn};
            run_timed(async move {
                let time = Stopwatch::start();
                let deadlines = Deadlines::of(n);
                let body = |task| async move {
                    let (began, duration) = deadlines.until(task);
                    sleep(duration).await;
                    note(began, duration);
                };
                let tasks: Vec<_> = (0..n).map(|task| spawn(body(task))).collect();
                for task in tasks {
                    join(task).await;
                }
                figures(&time, n)
            })
        }
    };
}

/// The second is how long after its deadline a sleep ended, on average.
const FIGURES: &[Figure] = &[CPU.within(&[Bar::OfBestPeer(0.4)]), Figure::new("late by", Unit::Nanos)];

/// Deadlines of the rows below are so far apart on average.
const APART: Duration = Duration::from_micros(1);
/// All tasks sleep before the first deadline comes.
const SETTING_OUT: Duration = Duration::from_micros(2);

pub const ROWS: &[Row] = &[
    Row {
        name: "sleep",
        measures: "1,000 tasks sleep 100 times each, for 2 to 10 ms: CPU of a sleep, and how late it ended on average. The \
                   peers' timers have steps of a millisecond or more: fewer wake-ups against more delay; coop has the thread's \
                   timer slack, 50 µs unless `prctl` says otherwise, as it does in the side in parentheses",
        figures: FIGURES,
        amount: Amount::Fixed { full: 100_000, quick: 10_000, samples: 7 },
        only_by_name: false,
        sides: || {
            vec![
                Side::new("coop", again_coop),
                Side::aside("coop, slack of 1 ms", again_coop_lax),
                Side::new("tokio", again!(tokio)),
                Side::new("monoio", again!(monoio)),
                Side::new("glommio", again!(glommio)),
                Side::new("compio", again!(compio)),
                Side::new("smol", again!(smol)),
            ]
        },
    },
    spread("sleep-10k", 10_000, 15),
    spread("sleep-100k", 100_000, 7),
    spread("sleep-1m", 1_000_000, 3),
];

/// A row of so many tasks.
const fn spread(name: &'static str, tasks: u64, samples: usize) -> Row {
    Row {
        name,
        measures: "so many tasks, each spawned to sleep once, until a deadline of its own: they come in any order, a microsecond \
                   apart on average, all after the last has set out; from the first spawn to the last end. Stacks are warm",
        figures: FIGURES,
        amount: Amount::Fixed { full: tasks, quick: 5_000, samples },
        only_by_name: false,
        sides: || {
            vec![
                Side::new("coop", sleep_once),
                Side::new("tokio", once!(tokio)),
                Side::new("monoio", once!(monoio)),
                Side::new("glommio", once!(glommio)),
                Side::new("compio", once!(compio)),
                Side::new("smol", once!(smol)),
            ]
        },
    }
}

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

fn again_coop(n: u64) -> Vec<f64> {
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

/// The same on a thread whose timers may be as late as those of the peers are.
fn again_coop_lax(n: u64) -> Vec<f64> {
    let set = |nanos: libc::c_ulong| {
        // SAFETY: it sets a number of this thread's; zero is the default.
        assert_eq!(unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, nanos) }, 0);
    };
    set(1_000_000);
    let figures = again_coop(n);
    set(0);
    figures
}

/// When whose sleep ends: the same order on all sides.
#[derive(Clone, Copy)]
struct Deadlines {
    first: Instant,
    count: u64,
}

impl Deadlines {
    fn of(count: u64) -> Self {
        Deadlines { first: Instant::now() + SETTING_OUT * count as u32, count }
    }

    /// From now on. Deadlines are a permutation of places a microsecond apart: the factor is prime, and larger than any count.
    fn until(self, task: u64) -> (Instant, Duration) {
        let now = Instant::now();
        let place = task * 2_654_435_761 % self.count;
        (now, (self.first + APART * place as u32).saturating_duration_since(now))
    }
}

/// For each of `n`: CPU time from its spawn to its end, and how late it was.
pub fn sleep_once(n: u64) -> Vec<f64> {
    coop::run(|| {
        // As many stacks as there will be, and none of them new.
        let gate = coop::Coordinator::held();
        coop::wait_all(|s| {
            for _ in 0..n {
                s.spawn(|| drop(gate.acquire()));
            }
            coop::yield_now().expect("nobody kills");
            gate.release();
        });
        let time = Stopwatch::start();
        let deadlines = Deadlines::of(n);
        coop::wait_all(|s| {
            for task in 0..n {
                s.spawn(move || -> Result<(), coop::Killed> {
                    let (began, duration) = deadlines.until(task);
                    coop::sleep(duration)?;
                    note(began, duration);
                    Ok(())
                });
            }
        });
        figures(&time, n)
    })
}
