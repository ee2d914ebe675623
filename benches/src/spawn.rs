//! Row: the shortest life of a task.

use crate::bare::{self, Parked, Stacks};
use crate::harness::{Amount, Bar, CPU, Row, Side, Stopwatch};
use crate::peers::{STACK, may_run, may_spawn};
use std::cell::{Cell, RefCell};
use std::ptr;
use std::thread;

/// What each asynchronous peer does.
macro_rules! asynchronous {
    ($peer:ident) => {
        |n| {
            use crate::peers::$peer::{join, run, spawn};
            run(async move {
                join(spawn(async {})).await;
                let time = Stopwatch::start();
                let mut sum = 0;
                for i in 0..n {
                    sum += join(spawn(async move { i })).await;
                }
                summed(&time, n, sum)
            })
        }
    };
}

pub const ROWS: &[Row] = &[Row {
    name: "spawn-join",
    measures: "spawn a task that returns a number, and join it for that; stacks and allocator warm",
    figures: &[CPU.within(&[Bar::OfBestPeer(0.5)])],
    amount: Amount::Calibrated,
    only_by_name: false,
    sides: || {
        vec![
            Side::new("coop", coop_side),
            Side::limit("a call on a pooled stack", limit),
            Side::new("tokio", asynchronous!(tokio)),
            Side::new("monoio", asynchronous!(monoio)),
            Side::new("glommio", asynchronous!(glommio)),
            Side::new("compio", asynchronous!(compio)),
            Side::new("smol", asynchronous!(smol)),
            Side::new("may", may_side),
            Side::aside("generator, no scheduler", generator_side),
            Side::new("threads", threads_side),
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

fn may_side(n: u64) -> Vec<f64> {
    may_run(move || {
        let time = Stopwatch::start();
        let mut sum = 0;
        for i in 0..n {
            sum += may_spawn(move || i).join().expect("no task panics");
        }
        summed(&time, n, sum)
    })
}

fn generator_side(n: u64) -> Vec<f64> {
    let size = STACK / size_of::<usize>();
    let mut flow = generator::Gn::<()>::new_opt(size, || 0u64);
    flow.resume();
    let time = Stopwatch::start();
    let mut sum = 0;
    for i in 0..n {
        // Its way to use a stack again.
        flow.init_code(move || i);
        sum += flow.resume().expect("it gives its number");
    }
    summed(&time, n, sum)
}

fn threads_side(n: u64) -> Vec<f64> {
    let time = Stopwatch::of_process();
    let sum = (0..n).map(|i| thread::spawn(move || i).join().expect("no thread panics")).sum();
    summed(&time, n, sum)
}

/// What is left of a task when nobody schedules: a stack of the pool, a closure that runs on it, and its result.
struct Called<F, T> {
    body: Cell<Option<F>>,
    result: Cell<Option<T>>,
    main: Cell<Parked>,
}

extern "C" fn call<F: FnOnce() -> T, T>(called: usize) -> ! {
    // SAFETY: `on_stack` passes its own, and waits for the switch below.
    let called = unsafe { &*(called as *const Called<F, T>) };
    called.result.set(called.body.take().map(|body| body()));
    let mut never: Parked = ptr::null_mut();
    // SAFETY: who switched here is parked in `main`. This flow is not resumed, and holds nothing.
    unsafe { bare::switch(&raw mut never, called.main.get(), 0) };
    unreachable!("nobody goes back to what has ended");
}

fn on_stack<F: FnOnce() -> T, T>(pool: &RefCell<Vec<*mut u8>>, body: F) -> T {
    let top = pool.borrow_mut().pop().expect("a stack");
    let called = Called { body: Cell::new(Some(body)), result: Cell::new(None), main: Cell::new(ptr::null_mut()) };
    // SAFETY: the stack is nobody else's until it is back in the pool; the flow is new, and comes back once.
    unsafe {
        let flow = bare::prepare(top, call::<F, T>);
        bare::switch(called.main.as_ptr(), flow, (&raw const called).addr());
    }
    pool.borrow_mut().push(top);
    called.result.take().expect("the body has run")
}

fn limit(n: u64) -> Vec<f64> {
    let stacks = Stacks::new(1, STACK);
    let pool = RefCell::new(vec![stacks.guarded(0)]);
    on_stack(&pool, || ());
    let time = Stopwatch::start();
    let sum = (0..n).map(|i| on_stack(&pool, move || std::hint::black_box(i))).sum();
    summed(&time, n, sum)
}
