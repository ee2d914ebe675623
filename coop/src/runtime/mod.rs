//! The life of a Cooperator: start, loop, shutdown.

mod builder;
mod cooperators;
mod entry;
mod exit;
mod forked;
mod line;
mod remote;
mod remote_join;
mod start;

pub(crate) use builder::Simulation;
pub use builder::{Builder, SpareStacks, run};
pub use cooperators::{CooperatorThread, Cooperators, cooperators, per_core};
pub use entry::{MainOptions, TestOptions, main, test};
pub use exit::exit;
pub use remote::{Remote, remote, submit};
pub use remote_join::RemoteJoinHandle;
pub use start::{Driver, StartError};

use crate::cooperator::{Cooperator, Stuck};
use crate::error::Cause;
use crate::fiber::State;
use crate::inbox::Job;
use crate::inspect;
use crate::ring::Patience;
use crate::sys;
use crate::task::{Node, Task};
use std::sync::atomic::Ordering;
use std::time::Duration;

/// With a virtual clock, how long real operations in flight may take before the clock jumps to the next timer.
const REAL_PATIENCE: Duration = Duration::from_millis(10);

/// How many unused stacks an idle pass gives back.
const TRIM: usize = 64;

/// Runs tasks until the root, and with it every other task, has ended. On the thread's own stack. Returns the jobs of other
/// threads that came too late.
fn run_loop(cooperator: &Cooperator, root: &Task) -> Vec<Job> {
    let mut shutdown = Shutdown::NotYet;
    let slack = if cooperator.clock.is_virtual() { 0 } else { sys::timer_slack() };
    loop {
        let began = cooperator.clock.now();
        cooperator.scheduler.run_ready();
        exit::exit_if_asked(cooperator);
        if root.fiber.state.get() == State::Ended {
            return cooperator.close();
        }
        if cooperator.inspected.asked.load(Ordering::Relaxed) != 0 {
            inspect::answer(cooperator);
        }
        cooperator.counters.passes.add(1);
        cooperator.run_jobs();
        let now = cooperator.clock.now();
        cooperator.scheduler.pass_time.set(now);
        if !cooperator.clock.is_virtual() {
            cooperator.scheduler.pace(now.saturating_sub(began));
        }
        cooperator.timers.advance(now);
        cooperator.pool.watch();
        shutdown.watch(cooperator, root, now);
        if !cooperator.scheduler.is_idle() {
            cooperator.drive(Patience::None);
            continue;
        }
        if cooperator.scheduler.trim(cooperator.counters.live.get()) {
            Node::trim(cooperator);
        }
        let trim_at = cooperator.pool.trim(now, TRIM);
        let next = match (cooperator.timers.next_wake(slack), shutdown.deadline()) {
            (Some(timer), Some(grace)) => Some(timer.min(grace)),
            (timer, grace) => timer.or(grace),
        };
        if cooperator.simulation().is_some() {
            simulated_pass(cooperator, root, next);
            continue;
        }
        let busy = cooperator.can_be_woken();
        match next {
            _ if trim_at.is_some_and(|at| at <= now) => cooperator.drive(Patience::None),
            Some(next) if cooperator.clock.is_virtual() => {
                // Time stands still while somebody outside may still act, but not for long.
                let completions = cooperator.slots().completions();
                if busy {
                    cooperator.drive(Patience::Until(REAL_PATIENCE));
                    // What another thread has just left happened before the jump.
                    cooperator.run_jobs();
                }
                // A cancel that has missed is repeated first: it belongs to this moment. So do completions behind one that nobody
                // waits for.
                let has_come = cooperator.slots().completions() != completions;
                let is_settled = !busy || !(has_come || cooperator.has_unsubmitted());
                if cooperator.scheduler.is_idle() && is_settled {
                    cooperator.clock.advance_to(next);
                }
            }
            Some(next) => sleep(cooperator, now, Some(trim_at.map_or(next, |at| at.min(next)))),
            // Virtual time does not pass here.
            None if busy => sleep(cooperator, now, trim_at.filter(|_| !cooperator.clock.is_virtual())),
            // A cancel, or the poll of the inbox: nothing that is worth sleeping for.
            None if cooperator.has_unsubmitted() => cooperator.drive(Patience::None),
            None => deadlock(cooperator, root),
        }
    }
}

/// What an idle loop does in a simulation: nothing waits, but time passes when all that could be done at this moment has been done.
#[cold]
fn simulated_pass(cooperator: &Cooperator, root: &Task, next: Option<u64>) {
    let Some((ring, _)) = cooperator.simulation() else { return };
    // What tasks have sent is taken, and what can complete does.
    let settle = || {
        cooperator.drive(Patience::Until(Duration::ZERO));
        cooperator.run_jobs();
        cooperator.scheduler.is_idle() && ring.is_settled()
    };
    if !settle() {
        return;
    }
    let has_outside = cooperator.can_be_woken_from_outside();
    if has_outside {
        ring.wait_for_outside(REAL_PATIENCE.as_millis() as i32);
        if !settle() {
            return;
        }
    }
    let next = next.into_iter().chain(ring.next_event()).min();
    match (next, cooperator.settings.time_limit) {
        (Some(next), Some(limit)) if next > limit && cooperator.verdict.borrow().is_none() => {
            let tree = inspect::tree_of(cooperator, root);
            let limit = Duration::from_nanos(limit);
            cooperator.verdict.replace(Some(format!("not over after {limit:?} of simulated time\n{tree}")));
            root.node.kill(cooperator, Cause::Resources);
        }
        (Some(next), _) => cooperator.clock.advance_to(next),
        (None, _) if has_outside => ring.wait_for_outside(-1),
        (None, _) => deadlock(cooperator, root),
    }
}

/// Waits for a completion or the time `next`. If so configured, watches the ring for a while first: a peer that answers within
/// it saves both sides the price of a wake-up.
fn sleep(cooperator: &Cooperator, now: u64, next: Option<u64>) {
    let spin = cooperator.settings.spin.as_nanos() as u64;
    if spin != 0 {
        cooperator.drive(Patience::None);
        if !cooperator.scheduler.is_idle() || cooperator.spin(now.saturating_add(spin).min(next.unwrap_or(u64::MAX))) {
            cooperator.drive(Patience::None);
            return;
        }
    }
    cooperator.drive(match next {
        Some(next) => Patience::Until(Duration::from_nanos(next.saturating_sub(cooperator.clock.now()))),
        None => Patience::Forever,
    });
}

/// Nothing is runnable, and nothing that could make it so: no timer, no operation, no signal, no Remote.
#[cold]
fn deadlock(cooperator: &Cooperator, root: &Task) {
    let report = inspect::tree_of(cooperator, root);
    let first = cooperator.verdict.borrow().is_none();
    if !cooperator.settings.is_quiet {
        sys::say(format_args!("coop: deadlock: no task can run, and nothing can wake one\n{report}"));
    }
    if !first {
        sys::die(format_args!("coop: killing the tasks did not resolve it"));
    }
    cooperator.verdict.replace(Some(format!("deadlock: no task can run, and nothing can wake one\n{report}")));
    root.node.kill(cooperator, Cause::Resources);
}

/// The grace of a shutdown, which begins when the root's body has returned.
enum Shutdown {
    NotYet,
    Until(u64),
    Reported,
}

impl Shutdown {
    fn watch(&mut self, cooperator: &Cooperator, root: &Task, now: u64) {
        match *self {
            Shutdown::NotYet if root.node.own_cause() == Some(Cause::Shutdown) => {
                let grace = u64::try_from(cooperator.settings.grace.as_nanos()).unwrap_or(u64::MAX);
                *self = Shutdown::Until(now.saturating_add(grace));
            }
            Shutdown::Until(end) if now >= end => {
                let tree = inspect::tree_of(cooperator, root);
                let grace = cooperator.settings.grace;
                sys::say(format_args!("coop: {grace:?} after the root ended, these tasks have not:\n{tree}"));
                if cooperator.settings.on_stuck == Stuck::Abort {
                    std::process::abort();
                }
                *self = Shutdown::Reported;
            }
            _ => {}
        }
    }

    fn deadline(&self) -> Option<u64> {
        match *self {
            Shutdown::Until(end) => Some(end),
            _ => None,
        }
    }
}
