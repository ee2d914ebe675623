//! Which of the choices of a failing run the failure needs.

use super::attempt::{Attempt, Setting, Watching, attempt};
use super::verdict::Verdict;
use crate::ring::{Choice, Quieted};
use crate::runtime::SpareStacks;

/// So many runs are spent on it.
const RUNS: usize = 400;

/// What was found.
pub(super) struct Shrunk {
    pub(super) quieted: Quieted,
    /// The run that is left.
    pub(super) attempt: Attempt<Result<(), String>>,
    pub(super) runs: usize,
}

/// Runs the simulation with fewer and fewer choices left to chance, as long as it fails as it did.
pub(super) fn shrink<R: Verdict>(
    setting: &Setting,
    seed: u64,
    identity: &str,
    taken: Vec<(Choice, u32)>,
    spare: &mut SpareStacks,
    f: &impl Fn() -> R,
) -> Shrunk {
    let mut runs = 0;
    let mut try_with = |quieted: &Quieted, keeps| {
        runs += 1;
        let attempt = attempt(setting, seed, quieted, Watching { keeps, is_quiet: true }, spare, || f().verdict());
        let fails = fails_as(&attempt, identity);
        (attempt, fails)
    };
    let (mut best, mut taken) = (Quieted::default(), taken);
    // Whole kinds first: all at once, then each.
    let all = Quieted { kinds: Choice::ALL.to_vec(), ..Quieted::default() };
    if let (attempt, true) = try_with(&all, false) {
        (best, taken) = (all, attempt.taken);
    }
    for choice in Choice::ALL {
        if !best.kinds.contains(&choice) {
            let mut fewer = best.clone();
            fewer.kinds.push(choice);
            if let (attempt, true) = try_with(&fewer, false) {
                (best, taken) = (fewer, attempt.taken);
            }
        }
    }
    // Then single ones, by halves, quarters and so on.
    let mut tries = RUNS;
    let mut size = taken.len().div_ceil(2);
    'sizes: while size > 0 {
        let (mut from, before) = (0, taken.len());
        while from < taken.len() {
            if tries == 0 {
                break 'sizes;
            }
            tries -= 1;
            let mut fewer = best.clone();
            fewer.single.extend(taken.iter().skip(from).take(size));
            match try_with(&fewer, false) {
                // What stood behind them moves up; others may have come in their place.
                (attempt, true) => (best, taken) = (fewer, attempt.taken),
                _ => from += size,
            }
        }
        // Once more, as long as that helps: without one choice another may no longer be needed.
        if size > 1 || taken.len() == before {
            size /= 2;
        }
    }
    let (attempt, _) = try_with(&best, true);
    Shrunk { quieted: best, attempt, runs }
}

/// Whether a run fails in a certain way.
pub(super) fn fails_as(attempt: &Attempt<Result<(), String>>, identity: &str) -> bool {
    self::identity(attempt).is_some_and(|this| this == identity)
}

/// How a run fails, if it does.
pub(super) fn identity(attempt: &Attempt<Result<(), String>>) -> Option<&str> {
    match &attempt.result {
        Ok(Ok(())) => None,
        // Errors are all alike: their texts hold values.
        Ok(Err(_)) => Some("error"),
        Err(failure) => Some(&failure.identity),
    }
}
