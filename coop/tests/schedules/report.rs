//! What a run says of itself: its trace, folded into a number or kept as text, and its failure.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io::Write;

thread_local! {
    static SEEN: RefCell<BTreeMap<&'static str, u64>> = const { RefCell::new(BTreeMap::new()) };
    static TRACE: RefCell<Option<Vec<String>>> = const { RefCell::new(None) };
    static HASH: Cell<u64> = const { Cell::new(0) };
}

/// Begins a trace; kept as text if it is to be read.
pub fn begin(is_kept: bool) {
    TRACE.set(is_kept.then(Vec::new));
    HASH.set(0xcbf2_9ce4_8422_2325);
}

/// The number that two runs of the same seed must have in common.
pub fn hash() -> u64 {
    HASH.get()
}

/// Folds what happened into the hash (FNV-1a, by words).
pub fn fold(words: &[u64]) {
    let mut hash = HASH.get();
    for word in words {
        hash = (hash ^ word).wrapping_mul(0x0000_0100_0000_01b3).rotate_left(23);
    }
    HASH.set(hash);
}

/// Counts how often something was reached that programs must reach for the test to mean anything.
pub fn saw(what: &'static str) {
    SEEN.with_borrow_mut(|seen| *seen.entry(what).or_default() += 1);
}

pub fn seen() -> BTreeMap<&'static str, u64> {
    SEEN.take()
}

pub fn say(line: impl FnOnce() -> String) {
    TRACE.with_borrow_mut(|trace| {
        if let Some(trace) = trace {
            trace.push(line());
        }
    });
}

pub fn take() -> Vec<String> {
    TRACE.take().unwrap_or_default()
}

/// The end of the process, at once: tasks are in the middle of things, and nothing that they do from here on means anything.
#[track_caller]
pub fn failed(message: String) -> ! {
    let (trace, place) = (take(), std::panic::Location::caller());
    let trace = trace[trace.len().saturating_sub(200)..].join("\n");
    let _ = writeln!(std::io::stderr(), "{trace}\n{FAILED}{message}\n    (told at {place})");
    // SAFETY: ends the process without running anything else.
    unsafe { libc::_exit(101) }
}

/// How the line with the failure begins.
pub const FAILED: &str = "ORACLE: ";
