//! One run of a simulation, and how it failed.

use super::host::is_running_task_killed;
use super::options::NetOptions;
use crate::error::{JoinError, panic_message};
use crate::ring::{Chance, Choice, Quieted};
use crate::runtime::{self, Simulation, SpareStacks};
use std::any::Any;
use std::cell::RefCell;
use std::panic;
use std::rc::Rc;
use std::sync::Once;
use std::time::Duration;

/// What is the same in every run.
#[derive(Clone, Debug)]
pub(super) struct Setting {
    pub(super) net: NetOptions,
    pub(super) builder: runtime::Builder,
    pub(super) time_limit: Duration,
}

/// What came of a run.
pub(super) struct Attempt<R> {
    pub(super) result: Result<R, Failure>,
    /// A digest of all that has happened.
    pub(super) hash: u64,
    /// The choices that made something happen.
    pub(super) taken: Vec<(Choice, u32)>,
    /// What has happened, if that was asked for.
    pub(super) lines: Vec<String>,
}

/// How a run failed.
pub(super) struct Failure {
    /// Tells this failure from others, whatever the values in its text.
    pub(super) identity: String,
    pub(super) text: String,
    /// The panic of the root, if that is what it was.
    pub(super) payload: Option<Box<dyn Any + Send>>,
}

impl Failure {
    fn new(identity: impl Into<String>, text: impl Into<String>) -> Self {
        Failure { identity: identity.into(), text: text.into(), payload: None }
    }
}

/// A panic that was seen.
struct Seen {
    place: String,
    text: String,
    /// Its task had been killed: what it did not survive is no failure of the program's.
    is_excused: bool,
}

thread_local! {
    /// The panics of the simulation that this thread runs; and whether they are to be kept from being printed.
    static WATCH: RefCell<Option<(bool, Vec<Seen>)>> = const { RefCell::new(None) };
}

/// Has panics of simulations noted. The hook that was there goes on printing them, unless they are those of a repetition.
fn watch_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let former = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            let is_quiet = WATCH.with(|watch| {
                let Ok(mut watch) = watch.try_borrow_mut() else { return false };
                let Some((is_quiet, seen)) = &mut *watch else { return false };
                let place = info.location().map_or_else(String::new, ToString::to_string);
                let text = info.payload_as_str().unwrap_or("a panic").to_owned();
                let is_excused = is_running_task_killed();
                seen.push(Seen { place, text, is_excused });
                *is_quiet || is_excused
            });
            if !is_quiet {
                former(info);
            }
        }));
    });
}

/// Runs `f` once.
pub(super) fn attempt<R>(
    setting: &Setting,
    seed: u64,
    quieted: &Quieted,
    watching: Watching,
    spare: &mut SpareStacks,
    f: impl FnOnce() -> R,
) -> Attempt<R> {
    watch_panics();
    let chance = Rc::new(Chance::new(seed, quieted, watching.keeps));
    let simulation = Simulation { chance: chance.clone(), behaviour: setting.net.behaviour() };
    let limit = u64::try_from(setting.time_limit.as_nanos()).unwrap_or(u64::MAX).saturating_add(1_000_000_000);
    let mut builder = setting.builder.clone().virtual_time().watched(limit);
    if !quieted.kinds.contains(&Choice::Schedule) {
        builder = builder.seed(seed);
    }
    WATCH.set(Some((watching.is_quiet, Vec::new())));
    let outcome = builder.run_simulated(&simulation, spare, f);
    let seen = WATCH.take().map_or_else(Vec::new, |(_, seen)| seen);
    let failed = |verdict: Option<String>, orphans: u64| {
        if let Some(verdict) = verdict {
            let identity = verdict.lines().next().unwrap_or_default().to_owned();
            return Some(Failure::new(identity, verdict));
        }
        let excused = seen.iter().filter(|panic| panic.is_excused).count() as u64;
        let panic = seen.iter().find(|panic| !panic.is_excused)?;
        let text = format!("a task panicked at {}, and nobody has joined it: {}", panic.place, panic.text);
        (orphans > excused).then(|| Failure::new(&panic.place, text))
    };
    let result = match outcome {
        Err(error) => Err(Failure::new("start", error.to_string())),
        Ok((Err(JoinError::Panicked(payload)), end)) if end.verdict.is_none() => {
            let place = seen.last().map_or_else(String::new, |panic| panic.place.clone());
            let text = format!("panicked at {place}: {}", panic_message(&*payload));
            Err(Failure { identity: place, text, payload: Some(payload) })
        }
        Ok((result, end)) => match (failed(end.verdict, end.orphan_panics), result) {
            (Some(failure), _) => Err(failure),
            (None, Ok(value)) => Ok(value),
            (None, Err(error)) => Err(Failure::new("root", error.to_string())),
        },
    };
    Attempt { result, hash: chance.hash(), taken: chance.taken(), lines: chance.lines() }
}

/// What is seen of a run.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Watching {
    /// What happens is kept.
    pub(super) keeps: bool,
    /// Panics are not printed.
    pub(super) is_quiet: bool,
}
