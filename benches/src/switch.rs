//! Row: the bare switch.

use crate::harness::{Amount, CPU, Row, Side, Stopwatch};
use crate::peers::STACK;
use corosensei::stack::DefaultStack;
use corosensei::{Coroutine, CoroutineResult};

pub const ROWS: &[Row] = &[Row {
    name: "switch",
    measures: "resume a flow, which counts and suspends itself: two switches on both sides, no scheduler",
    figures: &[CPU],
    amount: Amount::Calibrated,
    only_by_name: false,
    sides: || vec![Side::new("coop", coop_side), Side::new("corosensei", corosensei_side)],
}];

fn coop_side(n: u64) -> Vec<f64> {
    let mut flow = coop::__bench::RoundTrip::new();
    let mut last = flow.resume();
    let time = Stopwatch::start();
    for _ in 0..n {
        last = flow.resume();
    }
    let each = time.cpu_per(n);
    assert_eq!(last, n + 1);
    vec![each]
}

fn corosensei_side(n: u64) -> Vec<f64> {
    let stack = DefaultStack::new(STACK).expect("one stack");
    let mut flow = Coroutine::<(), u64, (), _>::with_stack(stack, |yielder, ()| {
        let mut resumed = 0;
        loop {
            resumed += 1;
            yielder.suspend(resumed);
        }
    });
    let mut resume = || match flow.resume(()) {
        CoroutineResult::Yield(resumed) => resumed,
        CoroutineResult::Return(()) => unreachable!("the flow loops"),
    };
    let mut last = resume();
    let time = Stopwatch::start();
    for _ in 0..n {
        last = resume();
    }
    let each = time.cpu_per(n);
    assert_eq!(last, n + 1);
    vec![each]
}
