//! Random programs on random schedules.
//!
//! A seed makes a program: a tree of at most 64 tasks, eight deep, that spawn, join, kill, wait, race, panic and give up, on
//! Coordinators, mutexes, channels, sockets and timers ([`generate`]). It runs on virtual time and the simulated ring, the order
//! of tasks and completions decided by the same seed ([`interpret`]). A model says for each step what must come of it
//! ([`model`]); the first step of which the runtime says something else is printed, with the program cut down to what the
//! failure needs ([`minimise`]):
//!
//! ```text
//! COOP_SEED=17 cargo test -p coop --test schedules      that program, with the trace of its run
//! COOP_SEEDS=2000000 cargo test -p coop --test schedules    so many of them; without debug assertions there are as many
//! ```
//!
//! Small trees are not left to chance: each there is, in every state, is killed at every step ([`exhaustive`]).
//!
//! What is checked: no task outlives its parent or scope; a kill reaches everything below at its next wait, unless shielded, and
//! its cause is the outermost; a wait that was handed something succeeds, killed or not, and no other does; every waiter is
//! resumed once, first come, first served; one arm of a `select!` wins, and no other has had an effect; a task that is born
//! killed drops its arguments and nothing else; a timeout says so only for a deadline of its own that a wait was told of; the
//! first error or panic of a scope goes on; time moves only when nothing can run; bytes, messages, values and locks are
//! conserved; no task, stack, operation or timer is left over; the same seed gives the same trace.

mod exhaustive;
mod flights;
mod generate;
mod handles;
mod interpret;
mod minimise;
mod model;
mod prizes;
mod program;
mod races;
mod random;
mod report;
mod scopes;
mod task;
mod workers;
mod world;

use coop::__private::SpareStacks;
use coop::{Builder, JoinError, OrphanPanic};
use program::Program;
use std::collections::HashSet;
use std::io::Write;
use std::time::Duration;

/// Optimised, a program takes some 60 µs.
const SEEDS: u64 = if cfg!(debug_assertions) { 100_000 } else { 2_000_000 };

/// What the programs of a full run must have reached, each at least this often, for the run to mean anything.
const OFTEN: u64 = 5;
const REACHED: [&str; 35] = [
    "a Handle that landed while its wait was refused",
    "a Handle waited for",
    "a Handle's result after the kill",
    "a caught panic",
    "a forgotten Handle",
    "a hand-over",
    "a hand-over that beat the kill",
    "a join of an ancestor",
    "a joined panic",
    "a joined task that never ran",
    "a joined value",
    "a ping that arrived",
    "a place in a closed channel",
    "a program of more than fifty tasks",
    "a result that came before the cancel",
    "a scope that a child fails",
    "a scope that passes a child's panic on",
    "a scope whose body panics",
    "a second join",
    "a send into a closed channel",
    "a task that was born killed",
    "a task eight deep",
    "a timeout",
    "a wait ended by a deadline",
    "a wait ended by a sibling's failure",
    "a wait ended by an explicit kill",
    "a wait ended by the parent's end",
    "a wait ended by the shutdown",
    "a wait refused",
    "a wait refused while unwinding",
    "an arm for an ancestor's end",
    "an arm that loses",
    "an expired deadline",
    "the end of a channel",
    "the ring's completion beats the kill",
];

#[cfg_attr(panic = "abort", ignore = "a panic ends the process")]
#[test]
fn random_programs_do_what_the_model_says() {
    if let Some(share) = workers::share() {
        return share.work();
    }
    if let Some(seed) = workers::number("COOP_SEED") {
        return replay(seed);
    }
    let seeds = workers::number("COOP_SEEDS").unwrap_or(SEEDS);
    match workers::divide(0..seeds) {
        Ok(seen) => {
            println!("{seeds} programs: {seen:#?}");
            let missed: Vec<_> = REACHED.iter().filter(|what| seen.get(**what).is_none_or(|n| *n < OFTEN)).collect();
            assert!(seeds < SEEDS || missed.is_empty(), "hardly reached: {missed:?}");
        }
        Err(failure) => panic!("{}", minimise::report(failure.seed, &failure.text)),
    }
}

/// Not by chance: every small tree, in every state ([`exhaustive`]).
#[cfg_attr(panic = "abort", ignore = "it starts itself again, as the test above")]
#[test]
fn every_small_tree_is_killed_at_every_step() {
    if workers::number("COOP_SEED").is_some() {
        return;
    }
    let count = exhaustive::count();
    match workers::divide(exhaustive::FIRST..exhaustive::FIRST + count) {
        Ok(seen) => {
            println!("{count} states of trees of at most {} tasks: {seen:#?}", exhaustive::MOST_TASKS);
            let ended = seen.get("a wait ended by an explicit kill").copied().unwrap_or(0);
            assert!(ended > count / 10, "{ended} of {count} kills found somebody waiting");
        }
        Err(failure) => panic!("{}", minimise::report(failure.seed, &failure.text)),
    }
}

/// Runs one program and shows it. Straight to standard error: a failure ends the process.
fn replay(seed: u64) {
    let program = generate::generate(seed).without(&removed());
    let is_quiet = minimise::is_trial();
    if !is_quiet {
        let _ = writeln!(std::io::stderr(), "{program}");
    }
    run(program, &mut SpareStacks::default(), !is_quiet);
    if !is_quiet {
        let trace = report::take().join("\n");
        let _ = writeln!(std::io::stderr(), "{trace}\nas the model says");
    }
}

/// Steps to leave out of a program.
fn removed() -> HashSet<u32> {
    let text = std::env::var(minimise::DROP).unwrap_or_default();
    text.split(',').filter_map(|id| id.parse().ok()).collect()
}

/// Runs a program. Does not return if the model and the runtime disagree. Gives the hash of its trace.
fn run(program: Program, spare: &mut SpareStacks, is_kept: bool) -> u64 {
    report::begin(is_kept);
    if program.plans.len() > 50 {
        report::saw("a program of more than fifty tasks");
    }
    let orphans = if program.orphan_kills_parent { OrphanPanic::KillParent } else { OrphanPanic::Log };
    let builder = Builder::new().virtual_time().simulated_ring();
    let builder = if program.is_by_queue { builder } else { builder.seed(program.seed) };
    let builder = builder
        .stack(64 * 1024)
        .root_stack(64 * 1024)
        // Nothing waits that long: a program that is stuck shows as time that moves for no reason.
        .grace(Duration::from_secs(1_000_000))
        .on_orphan_panic(orphans);
    let mut world = None;
    let root = || {
        let world = world.insert(world::World::new(program)).clone();
        {
            let mut model = world.model.borrow_mut();
            model.spawn(0, None, false, true);
            model.set_id(0, coop::current().id());
        }
        task::run_task(task::Arguments::new(&world, 0), None).ok()
    };
    let (result, left) = builder.run_counted(spare, root).expect("a simulated ring needs nothing");
    let world = world.expect("the root has run");
    match &result {
        Err(JoinError::Panicked(payload)) => {
            interpret::check_payload(&**payload);
        }
        Err(error) => report::failed(format!("the root: {error}")),
        Ok(_) => {}
    }
    drop(result);
    if (left.tasks, left.stacks, left.operations, left.strays, left.has_timers) != (0, 0, 0, 0, false) {
        report::failed(format!("left over: {left:?}"));
    }
    world.check_over();
    report::hash()
}
