//! Row: the bare switch.

use crate::bare::{self, Parked, Stacks};
use crate::harness::{Amount, Bar, CPU, Row, Side, Stopwatch};
use crate::peers::STACK;
use corosensei::stack::DefaultStack;
use corosensei::{Coroutine, CoroutineResult};
use std::cell::Cell;
use std::ptr;

pub const ROWS: &[Row] = &[Row {
    name: "switch",
    measures: "resume a flow, which counts and suspends itself: two switches on both sides, no scheduler",
    figures: &[CPU.within(&[Bar::OfBestPeer(1.0)])],
    amount: Amount::Calibrated,
    only_by_name: false,
    sides: || {
        vec![
            Side::new("coop", coop_side),
            Side::limit("twelve instructions", limit),
            Side::new("corosensei", corosensei_side),
            Side::new("generator", generator_side),
        ]
    },
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

fn generator_side(n: u64) -> Vec<f64> {
    let mut flow = generator::Gn::<()>::new_scoped_opt(STACK / size_of::<usize>(), |mut scope| {
        let mut resumed = 0u64;
        loop {
            resumed += 1;
            scope.yield_(resumed);
        }
    });
    let mut resume = || flow.resume().expect("the flow loops");
    let mut last = resume();
    let time = Stopwatch::start();
    for _ in 0..n {
        last = resume();
    }
    let each = time.cpu_per(n);
    assert_eq!(last, n + 1);
    vec![each]
}

struct Pair {
    main: Cell<Parked>,
    flow: Cell<Parked>,
    resumed: Cell<u64>,
}

extern "C" fn counting(pair: usize) -> ! {
    // SAFETY: `limit` passes its own pair, and does not return while this runs.
    let pair = unsafe { &*(pair as *const Pair) };
    loop {
        pair.resumed.set(pair.resumed.get() + 1);
        // SAFETY: who resumed this flow is parked in `main`.
        unsafe { bare::switch(pair.flow.as_ptr(), pair.main.get(), 0) };
    }
}

fn limit(n: u64) -> Vec<f64> {
    let stacks = Stacks::new(1, STACK);
    // SAFETY: the stack is this flow's alone.
    let flow = unsafe { bare::prepare(stacks.guarded(0), counting) };
    let pair = Pair { main: Cell::new(ptr::null_mut()), flow: Cell::new(flow), resumed: Cell::new(0) };
    // SAFETY: the flow is new, or parked in `counting`.
    let resume = || unsafe { bare::switch(pair.main.as_ptr(), pair.flow.get(), (&raw const pair).addr()) };
    resume();
    let time = Stopwatch::start();
    for _ in 0..n {
        resume();
    }
    let each = time.cpu_per(n);
    assert_eq!(pair.resumed.get(), n + 1);
    vec![each]
}
