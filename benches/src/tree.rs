//! Row: ending a tree of tasks from its root.

use crate::harness::{Amount, Bar, CPU, Row, Side, Stopwatch};
use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

const BREADTH: u64 = 100;
const TASKS: u64 = 1 + BREADTH + BREADTH * BREADTH;
const LONG: Duration = Duration::from_secs(3600);

/// The peers whose tasks end when their handles are dropped, or the set of them.
macro_rules! asynchronous {
    ($peer:ident) => {
        |n| {
            use crate::peers::$peer::{Children, cancel, run_timed, sleep, spawn, yield_now};
            async fn parent() {
                let _life = Life::begin();
                let mut children = Children::new();
                for _ in 0..BREADTH {
                    children.spawn(async {
                        let _life = Life::begin();
                        sleep(LONG).await;
                    });
                }
                children.wait().await;
            }
            run_timed(async move {
                let mut times = Vec::new();
                for _ in 0..=n {
                    let root = spawn(async {
                        let _life = Life::begin();
                        let mut children = Children::new();
                        for _ in 0..BREADTH {
                            children.spawn(parent());
                        }
                        children.wait().await;
                    });
                    while STARTED.get() < TASKS {
                        yield_now().await;
                    }
                    yield_now().await;
                    let time = Stopwatch::start();
                    cancel(root).await;
                    while ENDED.get() < TASKS {
                        yield_now().await;
                    }
                    times.push(ended(&time));
                }
                figure(n, times.into_iter())
            })
        }
    };
}

pub const ROWS: &[Row] = &[Row {
    name: "kill-tree",
    measures: "a task has 100 children, and each of them 100, which sleep. The root is killed (dropped, aborted): until all 10,101 \
               have ended, their destructors run; CPU of each",
    figures: &[CPU.within(&[Bar::OfBestPeer(0.5)])],
    amount: Amount::Fixed { full: 4, quick: 1, samples: 15 },
    only_by_name: false,
    sides: || {
        vec![
            Side::new("coop", coop_side),
            Side::new("tokio, JoinSet", asynchronous!(tokio)),
            Side::new("glommio", asynchronous!(glommio)),
            Side::new("compio", asynchronous!(compio)),
            Side::new("smol", asynchronous!(smol)),
            // It can end no task from outside: each has to look out for the end itself.
            Side::new("monoio, select!", monoio_side),
        ]
    },
}];

thread_local! {
    static STARTED: Cell<u64> = const { Cell::new(0) };
    static ENDED: Cell<u64> = const { Cell::new(0) };
}

/// What each task holds: its destructor tells that the task has ended.
struct Life;

impl Life {
    fn begin() -> Self {
        STARTED.set(STARTED.get() + 1);
        Life
    }
}

impl Drop for Life {
    fn drop(&mut self) {
        ENDED.set(ENDED.get() + 1);
    }
}

/// CPU of a task, over so many trees; the one before them warms up. `tree` gives the time of one.
fn figure(trees: u64, times: impl Iterator<Item = f64>) -> Vec<f64> {
    vec![times.skip(1).sum::<f64>() / trees as f64]
}

/// Sees that all tasks of a tree have begun and ended.
fn ended(time: &Stopwatch) -> f64 {
    let each = time.cpu_per(TASKS);
    assert_eq!((STARTED.take(), ENDED.take()), (TASKS, TASKS));
    each
}

fn coop_side(n: u64) -> Vec<f64> {
    fn children(body: impl Fn() + Copy) {
        coop::wait_all(|s| {
            for _ in 0..BREADTH {
                s.spawn(body);
            }
        });
    }
    fn sleeper() {
        let _life = Life::begin();
        assert!(coop::sleep(LONG).is_err(), "it is killed");
    }
    fn parent() {
        let _life = Life::begin();
        children(sleeper);
    }
    fn tree() -> f64 {
        let mut root = coop::spawn(|| {
            let _life = Life::begin();
            children(parent);
        });
        while STARTED.get() < TASKS {
            coop::yield_now().expect("nobody kills");
        }
        // The last one goes to sleep.
        coop::yield_now().expect("nobody kills");
        let time = Stopwatch::start();
        root.kill();
        let _ = root.join();
        ended(&time)
    }
    coop::run(move || figure(n, (0..=n).map(|_| tree())))
}

fn monoio_side(n: u64) -> Vec<f64> {
    use crate::peers::monoio::{run_timed, sleep, spawn, yield_now};
    use local_sync::semaphore::Semaphore;

    /// Ends when `work` does, or everything.
    async fn unless(end: &Semaphore, work: impl Future<Output = ()>) {
        monoio::select! {
            _ = end.acquire() => {}
            _ = work => {}
        }
    }
    async fn sleeper(end: Rc<Semaphore>) {
        let _life = Life::begin();
        unless(&end, sleep(LONG)).await;
    }
    async fn parent(end: Rc<Semaphore>) {
        let _life = Life::begin();
        let children: Vec<_> = (0..BREADTH).map(|_| spawn(sleeper(end.clone()))).collect();
        for child in children {
            child.await;
        }
    }
    run_timed(async move {
        let mut times = Vec::new();
        for _ in 0..=n {
            let end = Rc::new(Semaphore::new(0));
            let root = spawn({
                let end = end.clone();
                async move {
                    let _life = Life::begin();
                    let children: Vec<_> = (0..BREADTH).map(|_| spawn(parent(end.clone()))).collect();
                    for child in children {
                        child.await;
                    }
                }
            });
            while STARTED.get() < TASKS {
                yield_now().await;
            }
            let time = Stopwatch::start();
            end.close();
            root.await;
            times.push(ended(&time));
        }
        figure(n, times.into_iter())
    })
}
