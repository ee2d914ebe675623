//! What is said of a simulation that failed.

use super::attempt::Attempt;
use super::shrink::Shrunk;
use crate::ring::Choice;
use std::fmt::Write;

/// The variable that replays one seed.
pub(super) const SEED: &str = "COOP_SEED";

/// So many of the last events are shown.
const EVENTS: usize = 80;

/// The end of what happened.
pub(super) fn events(lines: &[String]) -> String {
    let mut text = String::from("what happened:\n");
    let left_out = lines.len().saturating_sub(EVENTS);
    if left_out > 0 {
        let _ = writeln!(text, "    ({left_out} events before)");
    }
    for line in &lines[left_out..] {
        let _ = writeln!(text, "    {line}");
    }
    text
}

pub(super) fn failed(seed: u64, first: &Attempt<Result<(), String>>, shrunk: &Shrunk) -> String {
    let mut text = format!("the simulation with seed {seed} has failed: {}\n", describe(first));
    let _ = writeln!(text, "to see it again:\n    {SEED}={seed} {}", command());
    let left = &shrunk.attempt.taken;
    let _ = writeln!(
        text,
        "of {} choices that chance made, the failure needs {} ({} runs to find out):",
        first.taken.len(),
        left.len(),
        shrunk.runs
    );
    for choice in Choice::ALL {
        let count = left.iter().filter(|taken| taken.0 == choice).count();
        if count > 0 {
            let _ = writeln!(text, "    {}: {count}", choice.name());
        }
    }
    if shrunk.quieted.kinds.len() == Choice::ALL.len() {
        let _ = writeln!(text, "    none: it fails on every seed");
    }
    let _ = writeln!(text, "with only these it fails so: {}", describe(&shrunk.attempt));
    text.push_str(&events(&shrunk.attempt.lines));
    text
}

fn describe(attempt: &Attempt<Result<(), String>>) -> &str {
    match &attempt.result {
        Ok(Ok(())) => "it has passed",
        Ok(Err(text)) => text,
        Err(failure) => &failure.text,
    }
}

/// Two runs with one seed that were not the same.
pub(super) fn differing(seed: u64, one: &[String], other: &[String]) -> String {
    let at = one.iter().zip(other).position(|(a, b)| a != b).unwrap_or(one.len().min(other.len()));
    let line = |lines: &[String]| lines.get(at).cloned().unwrap_or_else(|| "(nothing more)".into());
    format!(
        "the simulation with seed {seed} does not happen twice in the same way. Something in it is no function of the seed: \
         the real time, a thread, the order of a HashMap. The first event that differs, number {}:\n    {}\n    {}\n\
         to see it again:\n    {SEED}={seed} {}",
        at + 1,
        line(one),
        line(other),
        command()
    )
}

/// The command that runs this test, and no other.
fn command() -> String {
    let package = std::env::var("CARGO_PKG_NAME").map_or(String::new(), |package| format!(" -p {package}"));
    match std::thread::current().name() {
        Some(test) if test != "main" => {
            if std::env::var_os("NEXTEST").is_some() {
                format!("cargo nextest run{package} -E 'test(={test})'")
            } else {
                format!("cargo test{package} {test} -- --exact")
            }
        }
        _ => std::env::args().collect::<Vec<_>>().join(" "),
    }
}
