//! A failing program, cut down to what its failure needs.

use super::report::FAILED;
use super::workers::itself;
use super::{generate, program::Program};
use std::collections::HashSet;
use std::fmt::Write;
use std::process::Stdio;
use std::time::{Duration, Instant};

/// Steps to leave out: their numbers, with commas between.
pub const DROP: &str = "COOP_DROP";

/// Set for a process that only has to fail or not.
const TRIAL: &str = "COOP_SCHEDULES_TRIAL";

const MOST_TRIALS: usize = 1000;

/// A trial that takes longer does not count as the same failure.
const PATIENCE: Duration = Duration::from_secs(10);

pub fn is_trial() -> bool {
    std::env::var_os(TRIAL).is_some()
}

/// What to print of a failure.
pub fn report(seed: u64, text: &str) -> String {
    let failure = failure(text);
    let removed = minimise(seed);
    let program = generate::generate(seed).without(&removed);
    let mut ids: Vec<u32> = removed.into_iter().collect();
    ids.sort_unstable();
    let ids: Vec<String> = ids.iter().map(u32::to_string).collect();
    let mut report = format!("{failure}\n\nCOOP_SEED={seed} cargo test -p coop --test schedules\n");
    let _ = writeln!(report, "\nwhat of the program is needed to fail:\n\n{program}");
    let _ = writeln!(report, "COOP_SEED={seed} {DROP}={} cargo test -p coop --test schedules", ids.join(","));
    let tail: Vec<&str> = text.lines().rev().take(60).collect();
    let _ = writeln!(report, "\nwhat the failing process said last:");
    tail.iter().rev().for_each(|line| {
        let _ = writeln!(report, "{line}");
    });
    report
}

/// The line that says why: of an oracle, else of a panic or of the runtime's own, else how the process ended.
fn failure(text: &str) -> &str {
    let lines = || text.lines().map(str::trim);
    let panic = || lines().skip_while(|line| !line.contains("panicked at")).nth(1);
    let last = || lines().rev().find(|line| !line.is_empty()).unwrap_or("it did not say why");
    lines()
        .find(|line| line.starts_with(FAILED))
        .or_else(panic)
        .or_else(|| lines().find(|line| line.starts_with("coop: ")))
        .unwrap_or_else(last)
}

/// Takes out what is not needed, the largest pieces first, until nothing more can go.
fn minimise(seed: u64) -> HashSet<u32> {
    let program = |removed: &HashSet<u32>| -> Program { generate::generate(seed).without(removed) };
    let mut removed = HashSet::new();
    let mut trials = 0;
    loop {
        let mut steps = program(&removed).steps();
        steps.sort_by_key(|(_, size)| std::cmp::Reverse(*size));
        let before = removed.len();
        for (step, _) in steps {
            trials += 1;
            if trials > MOST_TRIALS {
                return removed;
            }
            let mut more = removed.clone();
            more.insert(step);
            if fails(seed, &more) {
                removed = more;
            }
        }
        if removed.len() == before {
            return removed;
        }
    }
}

fn fails(seed: u64, removed: &HashSet<u32>) -> bool {
    let ids: Vec<String> = removed.iter().map(u32::to_string).collect();
    let mut command = itself();
    command.env("COOP_SEED", seed.to_string()).env(DROP, ids.join(",")).env(TRIAL, "1");
    let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    let mut child = child.expect("this program can be started again");
    let start = Instant::now();
    loop {
        if let Some(status) = child.try_wait().expect("it is our child") {
            return !status.success();
        }
        if start.elapsed() > PATIENCE {
            let _ = child.kill();
            let _ = child.wait();
            return false;
        }
        std::thread::sleep(Duration::from_micros(500));
    }
}
