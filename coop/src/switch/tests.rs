//! The switch alone: two flows, values that live across it, and a backtrace of the parked one.

use super::{Context, prepare, switch, with_backtrace_of};
use std::backtrace::Backtrace;
use std::cell::UnsafeCell;
use std::hint::black_box;

struct Pair {
    main: UnsafeCell<Context>,
    flow: UnsafeCell<Context>,
    trace: UnsafeCell<Vec<String>>,
}

#[inline(never)]
fn parked_here_by_the_test(pair: &Pair, round: u64) {
    let (a, b, c) = (black_box(round * 3), black_box(round as f64 * 0.5), black_box([round; 8]));
    // SAFETY: main switched to this flow and waits in `main`.
    unsafe { switch(pair.flow.get(), pair.main.get()) };
    // SAFETY: the two flows take turns.
    unsafe { (*pair.trace.get()).push(format!("flow {round} {a} {b} {}", c.iter().sum::<u64>())) };
}

unsafe extern "C" fn flow(pair: *mut ()) -> ! {
    // SAFETY: the test passes its own `Pair`, which outlives the flow.
    let pair = unsafe { &*pair.cast::<Pair>() };
    for round in 1.. {
        parked_here_by_the_test(pair, round);
    }
    unreachable!()
}

fn with_flow(test: impl FnOnce(&Pair)) {
    let mut stack = vec![0u128; 16 * 1024];
    let pair = Pair {
        main: UnsafeCell::new(Context::unset()),
        flow: UnsafeCell::new(Context::unset()),
        trace: UnsafeCell::new(Vec::new()),
    };
    let top = stack.as_mut_ptr_range().end.cast::<u8>();
    // SAFETY: 256 KiB, aligned by u128; `flow` never returns.
    unsafe { *pair.flow.get() = prepare(top, flow, (&raw const pair).cast_mut().cast()) };
    // SAFETY: just prepared.
    unsafe { switch(pair.main.get(), pair.flow.get()) };
    test(&pair);
}

#[test]
fn values_live_across_switches_in_both_flows() {
    with_flow(|pair| {
        for round in 2..5u64 {
            let (kept, float) = (black_box(round + 100), black_box(round as f64 + 0.25));
            // SAFETY: the flow is parked in `parked_here_by_the_test`.
            unsafe { switch(pair.main.get(), pair.flow.get()) };
            assert_eq!((kept, float), (round + 100, round as f64 + 0.25));
        }
        // SAFETY: the flow is parked.
        let trace = unsafe { &*pair.trace.get() };
        assert_eq!(*trace, ["flow 1 3 0.5 8", "flow 2 6 1 16", "flow 3 9 1.5 24"]);
    });
}

#[test]
#[cfg_attr(asan, ignore = "a flow has another first frame")]
fn a_backtrace_through_the_bridge_shows_the_parked_frames_and_ends_at_the_trampoline() {
    with_flow(|pair| {
        let mut text = String::new();
        // SAFETY: the flow is parked and stays so.
        unsafe { with_backtrace_of(pair.flow.get(), || text = Backtrace::force_capture().to_string()) };
        // A frame is a line "  N: path::name"; that of an inlined function has no path in release builds.
        let frames = text.lines().filter_map(|line| line.trim_start().split_once(": "));
        let last: Vec<&str> = frames.map(|(_, path)| path.rsplit("::").next().unwrap_or("")).collect();
        let parked = last.iter().position(|name| *name == "parked_here_by_the_test").expect(&text);
        assert_eq!(&last[parked..], ["parked_here_by_the_test", "flow", "trampoline"], "{text}");
        assert!(!text.contains("with_flow"), "the dumper's own callers are not part of it:\n{text}");
    });
}
