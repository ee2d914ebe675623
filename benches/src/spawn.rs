//! Row: the shortest life of a task.

use crate::harness::{Amount, CPU, Row, Side, Stopwatch};
use crate::peers::{may_run, monoio_run, tokio_run};

pub const ROWS: &[Row] = &[Row {
    name: "spawn-join",
    measures: "spawn a task that returns a number, and join it for that; stacks and allocator warm",
    figures: &[CPU],
    amount: Amount::Calibrated,
    only_by_name: false,
    sides: || {
        vec![
            Side::new("coop", coop_side),
            Side::new("tokio", tokio_side),
            Side::new("monoio", monoio_side),
            Side::new("may", may_side),
        ]
    },
}];

fn summed(time: &Stopwatch, n: u64, sum: u64) -> Vec<f64> {
    let each = time.cpu_per(n);
    assert_eq!(sum, n * (n - 1) / 2);
    vec![each]
}

fn coop_side(n: u64) -> Vec<f64> {
    coop::run(|| {
        coop::spawn(|| ()).join().expect("nobody kills");
        let time = Stopwatch::start();
        let sum = (0..n).map(|i| coop::spawn(move || i).join().expect("nobody kills")).sum();
        summed(&time, n, sum)
    })
}

fn tokio_side(n: u64) -> Vec<f64> {
    tokio_run(async {
        tokio::spawn(async {}).await.expect("no task panics");
        let time = Stopwatch::start();
        let mut sum = 0;
        for i in 0..n {
            sum += tokio::spawn(async move { i }).await.expect("no task panics");
        }
        summed(&time, n, sum)
    })
}

fn monoio_side(n: u64) -> Vec<f64> {
    monoio_run(async {
        monoio::spawn(async {}).await;
        let time = Stopwatch::start();
        let mut sum = 0;
        for i in 0..n {
            sum += monoio::spawn(async move { i }).await;
        }
        summed(&time, n, sum)
    })
}

fn may_side(n: u64) -> Vec<f64> {
    may_run(move || {
        let time = Stopwatch::start();
        let mut sum = 0;
        for i in 0..n {
            // SAFETY: the coroutine uses no thread-local and hardly any stack.
            sum += unsafe { may::coroutine::spawn(move || i) }.join().expect("no task panics");
        }
        summed(&time, n, sum)
    })
}
