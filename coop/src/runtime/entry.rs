//! What `#[coop::main]` and `#[coop::test]` call.

use super::builder::Builder;
use crate::error::JoinError;
use std::any::Any;
use std::panic::resume_unwind;
use std::process::{ExitCode, Termination};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The options of `#[coop::main]`.
#[doc(hidden)]
#[derive(Clone, Copy)]
pub struct MainOptions {
    stack: Option<usize>,
    cooperators: usize,
}

impl MainOptions {
    pub const fn new() -> Self {
        MainOptions { stack: None, cooperators: 1 }
    }

    pub const fn stack(self, bytes: usize) -> Self {
        MainOptions { stack: Some(bytes), ..self }
    }

    pub const fn cooperators(self, count: usize) -> Self {
        MainOptions { cooperators: count, ..self }
    }

    pub fn per_core(self) -> Self {
        self.cooperators(super::per_core())
    }
}

/// Runs `f` as the root task. When no Cooperator can be started, says why, and exits with 1.
#[doc(hidden)]
pub fn main<R>(options: MainOptions, f: impl FnOnce() -> R) -> R {
    let mut builder = Builder::new().cooperators(options.cooperators);
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
    package: Option<&'static str>,
}

impl TestOptions {
    /// `package` is the one that the test is in, where cargo says so.
    pub const fn new(package: Option<&'static str>) -> Self {
        TestOptions { seed: None, schedules: 1, is_real_time: false, stack: None, package }
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
#[track_caller]
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
    for index in 0..count {
        let seed = first.wrapping_add(u64::from(index));
        if let Err(failure) = run_schedule(options, is_seeded.then_some(seed), &f) {
            if is_seeded {
                let command = replay(options, name);
                eprintln!(
                    "schedule {} of {count} has failed. To see it again:\n    {SEED}={seed} {command}",
                    index + 1
                );
            }
            match failure {
                Failure::Panic(payload) => resume_unwind(payload),
                Failure::Verdict(text) => panic!("{text}"),
            }
        }
    }
}

/// How a test failed.
enum Failure {
    /// By a panic of its own, which has been printed.
    Panic(Box<dyn Any + Send>),
    Verdict(String),
}

fn run_schedule<R: Termination>(options: TestOptions, seed: Option<u64>, f: &impl Fn() -> R) -> Result<(), Failure> {
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
    let (result, end) = match builder.run_to_end(f) {
        Ok(outcome) => outcome,
        Err(error) => return Err(Failure::Verdict(error.to_string())),
    };
    // First, because it is the reason of the others: what fails in a test that was killed fails for that.
    if let Some(verdict) = end.verdict {
        return Err(Failure::Verdict(verdict));
    }
    let value = match result {
        Ok(value) => value,
        Err(JoinError::Panicked(payload)) => return Err(Failure::Panic(payload)),
        Err(error) => return Err(Failure::Verdict(error.to_string())),
    };
    // What an error says, `report` prints.
    let code = value.report();
    if code != ExitCode::SUCCESS {
        return Err(Failure::Verdict(format!("the test has returned a failure: {code:?}")));
    }
    match end.orphan_panics {
        0 => Ok(()),
        1 => Err(Failure::Verdict("a task has panicked (see above), and nobody has joined it".into())),
        count => Err(Failure::Verdict(format!("{count} tasks have panicked (see above), and nobody has joined them"))),
    }
}

/// The command that runs this test, and no other, in the way it was run now.
fn replay(options: TestOptions, name: &str) -> String {
    let package = options.package.map_or(String::new(), |package| format!(" -p {package}"));
    // Test names carry no crate.
    let test = name.split_once("::").map_or(name, |(_, rest)| rest);
    let is_ignored = std::env::args().any(|argument| argument == "--ignored" || argument == "--include-ignored");
    if std::env::var_os("NEXTEST").is_some() {
        let ignored = if is_ignored { " --run-ignored all" } else { "" };
        format!("cargo nextest run{package}{ignored} -E 'test(={test})'")
    } else {
        let ignored = if is_ignored { " --include-ignored" } else { "" };
        format!("cargo test{package} {test} -- --exact{ignored}")
    }
}

fn time_seed() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |since| since.as_nanos() as u64)
}
