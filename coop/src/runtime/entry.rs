//! What `#[coop::main]` and `#[coop::test]` call.

use super::builder::Builder;
use crate::error::JoinError;
use std::panic::resume_unwind;
use std::process::Termination;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The options of `#[coop::main]`.
#[doc(hidden)]
#[derive(Clone, Copy)]
pub struct MainOptions {
    stack: Option<usize>,
}

impl MainOptions {
    pub const fn new() -> Self {
        MainOptions { stack: None }
    }

    pub const fn stack(self, bytes: usize) -> Self {
        MainOptions { stack: Some(bytes) }
    }
}

/// Runs `f` as the root task. When no Cooperator can be started, says why, and exits with 1.
#[doc(hidden)]
pub fn main<R>(options: MainOptions, f: impl FnOnce() -> R) -> R {
    let mut builder = Builder::new();
    if let Some(bytes) = options.stack {
        builder = builder.root_stack(bytes);
    }
    match builder.run(f) {
        Ok(value) => value,
        Err(error) => {
            eprintln!("{error}");
            std::process::exit(1);
        }
    }
}

/// The options of `#[coop::test]`.
#[doc(hidden)]
#[derive(Clone, Copy)]
pub struct TestOptions {
    seed: Option<u64>,
    schedules: u32,
    is_real_time: bool,
    stack: Option<usize>,
}

impl TestOptions {
    pub const fn new() -> Self {
        TestOptions { seed: None, schedules: 1, is_real_time: false, stack: None }
    }

    pub const fn seed(self, seed: u64) -> Self {
        TestOptions { seed: Some(seed), ..self }
    }

    pub const fn schedules(self, count: u32) -> Self {
        TestOptions { schedules: count, ..self }
    }

    pub const fn real_time(self) -> Self {
        TestOptions { is_real_time: true, ..self }
    }

    pub const fn stack(self, bytes: usize) -> Self {
        TestOptions { stack: Some(bytes), ..self }
    }
}

/// The variable that replays one schedule.
const SEED: &str = "COOP_SEED";

/// Runs a test once for each schedule, in a Cooperator of its own. The first failure says how to replay it.
#[doc(hidden)]
pub fn test<R: Termination>(options: TestOptions, name: &'static str, f: impl Fn() -> R) {
    let replayed = std::env::var(SEED).ok().map(|text| match text.trim().parse::<u64>() {
        Ok(seed) => seed,
        Err(_) => panic!("{SEED}={text} is not a number"),
    });
    let (first, count) = match (replayed, options.seed) {
        (Some(seed), _) => (seed, 1),
        (None, Some(seed)) => (seed, options.schedules),
        // One schedule of its own accord is the plain order; many begin where no run has begun before.
        (None, None) if options.schedules == 1 => (0, 1),
        (None, None) => (time_seed(), options.schedules),
    };
    let is_seeded = replayed.is_some() || options.seed.is_some() || options.schedules > 1;
    for seed in (0..u64::from(count)).map(|offset| first.wrapping_add(offset)) {
        run_schedule(options, name, is_seeded.then_some(seed), &f);
    }
}

fn run_schedule<R: Termination>(options: TestOptions, name: &str, seed: Option<u64>, f: &impl Fn() -> R) {
    let mut builder = Builder::new().grace(Duration::from_secs(5));
    if let Some(bytes) = options.stack {
        builder = builder.root_stack(bytes);
    }
    if !options.is_real_time {
        builder = builder.virtual_time();
    }
    if let Some(seed) = seed {
        builder = builder.seed(seed);
    }
    let replay = || {
        if let Some(seed) = seed {
            // Test names carry no crate: `cargo test` filters by what follows it.
            let filter = name.split_once("::").map_or(name, |(_, rest)| rest);
            eprintln!("replay this schedule with: {SEED}={seed} cargo test {filter}");
        }
    };
    let (result, verdict) = match builder.run_with_verdict(f) {
        Ok(outcome) => outcome,
        Err(error) => panic!("{error}"),
    };
    match (result, verdict) {
        (Err(JoinError::Panicked(payload)), _) => {
            replay();
            resume_unwind(payload);
        }
        (_, Some(verdict)) => {
            replay();
            panic!("{verdict}");
        }
        (Ok(value), None) => {
            // What an error says, `report` prints.
            let code = value.report();
            if format!("{code:?}") != format!("{:?}", std::process::ExitCode::SUCCESS) {
                replay();
                panic!("the test returned a failure: {code:?}");
            }
        }
        (Err(error), None) => panic!("{error}"),
    }
}

fn time_seed() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |since| since.as_nanos() as u64)
}
