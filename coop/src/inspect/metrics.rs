//! Counters and gauges of the whole process.

use super::roll::{self, Member};
use crate::task::{self, Statistics};
use std::time::Duration;

/// A reading of the counters of the process: see [`metrics`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Metrics {
    /// The Cooperators that run now, in the order in which they were started.
    pub cooperators: Vec<CooperatorMetrics>,
    /// The kinds of tasks that were ever spawned, the latest kind first: what [`descriptions`](crate::descriptions) gives.
    pub kinds: Vec<Statistics>,
}

/// A reading of one Cooperator's counters.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct CooperatorMetrics {
    /// Unique in the process.
    pub id: u64,
    /// What it is called: see [`Builder::name`](crate::Builder::name).
    pub name: String,
    /// Its thread, as gettid(2) has it.
    pub thread_id: i32,
    /// Processor time of its thread since that began, with what it did before it ran the Cooperator.
    pub cpu_time: Duration,
    /// Tasks spawned and not ended, the root among them.
    pub live_tasks: u64,
    /// Tasks ever spawned.
    pub spawned_tasks: u64,
    /// How often a task was switched to: begun, or gone on with.
    pub switches: u64,
    /// How often a task became ready: when spawned, woken, or giving way.
    pub wakes: u64,
    /// Tasks that could run now, and wait for their turn.
    pub ready_tasks: u64,
    /// Turns of the loop, in which it looks at timers, completions, and other threads.
    pub loop_turns: u64,
    /// Timers that run.
    pub timers: u64,
    /// Stacks in use. It is what is left of all stacks without the unused ones: read from another thread, it can be off by as many as
    /// are used, or given back to the kernel, while it is read.
    pub stacks: u64,
    /// Unused stacks that keep their memory.
    pub warm_stacks: u64,
    /// Waits that were refused because the task was killed.
    pub refused_waits: u64,
    /// Panics that neither a joiner nor a scope has heard of.
    pub orphan_panics: u64,
    /// Tasks that the [watchdog](crate::Builder::watchdog) has reported.
    pub stalls: u64,
    /// Its ring.
    pub ring: RingMetrics,
}

/// A reading of one ring's counters.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RingMetrics {
    /// `uring`, `epoll` or `simulated`.
    pub driver: &'static str,
    /// Operations handed over.
    pub submissions: u64,
    /// Completions delivered. An operation can have several.
    pub completions: u64,
    /// Operations whose last completion is still to come.
    pub in_flight: u64,
    /// Operations that were asked to end early.
    pub cancels: u64,
    /// How often the kernel was entered: system calls of the ring's.
    pub enters: u64,
    /// Completions that belonged to no operation.
    pub strays: u64,
    /// How often the kernel was entered while completions had overflowed their queue; none is lost by that.
    pub overflows: u64,
}

/// Reads the counters of all Cooperators of the process, and of all kinds of tasks. From any thread, also one without a
/// Cooperator; not a wait point, and no Cooperator notices.
///
/// Each number is exact for what its Cooperator had done a moment ago. Numbers of a Cooperator that runs on another thread are
/// read one after the other while they change.
///
/// ```
/// coop::run(|| {
///     let before = coop::inspect::metrics();
///     let mut task = coop::spawn(|| coop::yield_now());
///     task.join().unwrap().unwrap();
///     let after = coop::inspect::metrics();
///     assert_eq!(after.cooperators[0].spawned_tasks, before.cooperators[0].spawned_tasks + 1);
///     assert!(after.cooperators[0].switches > before.cooperators[0].switches);
///     assert!(after.to_prometheus().contains("# TYPE coop_switches_total counter"));
/// });
/// assert!(coop::inspect::metrics().cooperators.is_empty());
/// ```
pub fn metrics() -> Metrics {
    let mut cooperators: Vec<_> = roll::members().iter().map(CooperatorMetrics::of).collect();
    cooperators.sort_by_key(|cooperator| cooperator.id);
    Metrics { cooperators, kinds: task::descriptions() }
}

impl CooperatorMetrics {
    fn of(member: &Member) -> Self {
        let cooperator = member.look();
        let (pulse, counters, slots) = (cooperator.scheduler.pulse(), &cooperator.counters, cooperator.slots());
        CooperatorMetrics {
            id: member.id,
            name: member.name.to_string(),
            thread_id: member.thread,
            cpu_time: cpu_time(member.thread),
            live_tasks: counters.live.get(),
            spawned_tasks: counters.spawned.get(),
            switches: pulse.begun(),
            wakes: pulse.queued(),
            ready_tasks: pulse.ready(),
            loop_turns: counters.passes.get(),
            timers: cooperator.timers.running(),
            stacks: cooperator.pool.taken() as u64,
            warm_stacks: cooperator.pool.warm(),
            refused_waits: counters.refused.get(),
            orphan_panics: counters.orphan_panics.get(),
            stalls: counters.stalls.get(),
            ring: RingMetrics {
                driver: cooperator.ring().name(),
                submissions: slots.begun(),
                completions: slots.completions(),
                in_flight: slots.in_flight() as u64,
                cancels: counters.cancels.get(),
                enters: counters.enters.get(),
                strays: slots.strays(),
                overflows: cooperator.ring().overflows(),
            },
        }
    }
}

/// Processor time of a thread of this process.
fn cpu_time(thread: libc::pid_t) -> Duration {
    // As `MAKE_THREAD_CPUCLOCK` of the kernel has it: a clock for each thread, made of its number.
    const PER_THREAD: libc::clockid_t = 4;
    const SCHED: libc::clockid_t = 2;
    let clock = (!thread << 3) | PER_THREAD | SCHED;
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a valid place for the result.
    match unsafe { libc::clock_gettime(clock, &mut time) } {
        0 => Duration::new(time.tv_sec as u64, time.tv_nsec as u32),
        _ => Duration::ZERO,
    }
}
