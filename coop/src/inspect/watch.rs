//! The thread that watches the Cooperators from outside: stalls, waits that take too long, and who asks for a dump by SIGQUIT.
//!
//! It runs while there is a Cooperator that wants it, and looks four times in each limit. To see whether a task gives way it reads
//! two words of the Cooperator's ([`Pulse`](crate::scheduler::Pulse)): the same task in the same turn as the last time has run all
//! the while. That costs the task nothing, and there is no task to be found while the loop runs or sleeps.
//!
//! Time in which the thread wanted to run, and was not let, is not the task's doing: the kernel counts it, and it is taken off. So
//! a machine that is busy with something else gives no false alarm.

use super::backtrace::frames;
use super::interrupt::{self, Interrupted, Missed};
use super::roll::{self, Member, ask};
use crate::scheduler::Scheduler;
use crate::sys;
use std::collections::HashMap;
use std::fmt;
use std::os::fd::{AsRawFd, OwnedFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// What a Cooperator wants to be watched for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Watch {
    /// A dump on SIGQUIT.
    pub(crate) dump_on_sigquit: bool,
    /// How long a task may run without a wait.
    pub(crate) longest_turn: Option<Duration>,
    /// How long a task may wait.
    pub(crate) longest_wait: Option<Duration>,
    pub(crate) on_stall: Option<StallHook>,
}

/// Called with the report of each stall.
#[derive(Clone)]
pub(crate) struct StallHook(pub(crate) Arc<dyn Fn(&Stall) + Send + Sync>);

impl fmt::Debug for StallHook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StallHook")
    }
}

impl Watch {
    fn is_on(&self) -> bool {
        self.dump_on_sigquit || self.longest_turn.is_some() || self.longest_wait.is_some()
    }

    /// How often to look.
    fn period(&self) -> Option<Duration> {
        const SHORTEST: Duration = Duration::from_millis(1);
        let limit = self.longest_turn.into_iter().chain(self.longest_wait).min()?;
        Some((limit / 4).max(SHORTEST))
    }
}

/// A task that has run for longer than the limit of a [watchdog](crate::Builder::watchdog) without a wait.
///
/// As text it is the report that is printed.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Stall {
    /// The Cooperator's name.
    pub cooperator: String,
    /// The task's number.
    pub task: u64,
    /// The task's name.
    pub name: &'static str,
    /// The function of the task, as `file:line`; for a closure where it was spawned; empty for the root.
    pub place: String,
    /// How long it had run when it was looked at.
    pub duration: Duration,
    /// Bytes of its stack in use.
    pub stack_used: usize,
    /// Bytes of its stack in all.
    pub stack_size: usize,
    /// What it was doing: a line for each function, innermost first, as a [`Backtrace`](std::backtrace::Backtrace) has them. `None`
    /// where it could not be told. In rare cases it is cut short: where the instruction that was interrupted has no unwind rules.
    pub backtrace: Option<String>,
}

impl Stall {
    fn new(member: &Member, duration: Duration, found: Interrupted) -> Self {
        let place = match found.description.place() {
            ("", _) if found.description.name() == "root" => String::new(),
            ("", _) => format!("{}:{}", found.spawned_at.file(), found.spawned_at.line()),
            (file, line) => format!("{file}:{line}"),
        };
        Stall {
            cooperator: member.name.to_string(),
            task: found.id,
            name: found.name,
            place,
            duration,
            stack_used: found.stack.0,
            stack_size: found.stack.1,
            backtrace: found.backtrace.map(|trace| of_task(&trace)),
        }
    }
}

/// Of a walk that began on the watchdog's stack, what is the task's: behind the frame from which it was led there.
fn of_task(trace: &str) -> String {
    let all = frames(trace);
    let begin = all.iter().rposition(|frame| frame.function.contains("interrupt::bridge")).map_or(0, |index| index + 1);
    // The runtime's own frames at the outer end say nothing.
    let outer =
        all[begin..].iter().rposition(|frame| !frame.is_of_runtime()).map_or(all.len(), |index| begin + index + 1);
    let mut text = String::new();
    for (number, frame) in all[begin..outer].iter().enumerate() {
        text.push_str(&format!("{number:4}: {}\n", frame.function));
        if let Some(place) = &frame.place {
            text.push_str(&format!("             at {place}\n"));
        }
    }
    text
}

impl fmt::Display for Stall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Stall { cooperator, task, name, place, duration, stack_used, stack_size, backtrace } = self;
        let (used, size) = (stack_used.div_ceil(1024), stack_size / 1024);
        let place = if place.is_empty() { String::new() } else { format!(" ({place})") };
        writeln!(
            f,
            "coop: stall: task #{task} '{name}'{place} has run for {} ms without a wait, on Cooperator '{cooperator}', stack {used} of {size} KiB",
            duration.as_millis()
        )?;
        match backtrace {
            Some(backtrace) => f.write_str(backtrace.trim_end()),
            None => f.write_str("(no backtrace: it ran on another stack than its own)"),
        }
    }
}

/// What wakes the thread before its time. Made once.
fn bell() -> Option<&'static OwnedFd> {
    static BELL: OnceLock<Option<OwnedFd>> = OnceLock::new();
    BELL.get_or_init(|| {
        let bell = sys::eventfd().ok()?;
        BELL_FD.store(bell.as_raw_fd(), Ordering::Release);
        Some(bell)
    })
    .as_ref()
}

/// The same, for the handler of SIGQUIT.
static BELL_FD: AtomicI32 = AtomicI32::new(-1);

/// SIGQUIT has come.
static IS_ASKED: AtomicBool = AtomicBool::new(false);

/// The thread, while one runs.
static IS_RUNNING: Mutex<bool> = Mutex::new(false);

fn is_running() -> MutexGuard<'static, bool> {
    IS_RUNNING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A Cooperator has come, and wants to be watched. It is on the roll.
pub(super) fn begin(watch: &Watch) {
    if !watch.is_on() {
        return;
    }
    watch_forks();
    let Some(bell) = bell() else {
        sys::say(format_args!("coop: no descriptor is left for the watchdog: there is none"));
        return;
    };
    if watch.dump_on_sigquit {
        sigquit::listen();
    }
    let mut running = is_running();
    if *running {
        sys::eventfd_wake(bell.as_raw_fd());
        return;
    }
    match thread::Builder::new().name("coop-watch".into()).spawn(move || watch_all(bell)) {
        Ok(_) => *running = true,
        Err(error) => sys::say(format_args!("coop: no thread for the watchdog: {error}")),
    }
}

/// It has gone.
pub(super) fn end(watch: &Watch) {
    if watch.dump_on_sigquit {
        sigquit::ignore();
    }
    if watch.is_on()
        && let Some(bell) = bell()
    {
        sys::eventfd_wake(bell.as_raw_fd());
    }
}

/// A forked child has no such thread; and nothing that it could watch.
fn watch_forks() {
    extern "C" fn in_child() {
        BELL_FD.store(-1, Ordering::Release);
    }
    static WATCHED: std::sync::Once = std::sync::Once::new();
    // SAFETY: the callback only stores to an atomic.
    WATCHED.call_once(|| unsafe {
        libc::pthread_atfork(None, None, Some(in_child));
    });
}

/// The life of the thread.
fn watch_all(bell: &OwnedFd) {
    deafen();
    let mut turns: HashMap<u64, Turn> = HashMap::new();
    let mut looked = Instant::now();
    loop {
        let period = {
            // Who comes while this decides to end finds that it has ended, and starts another.
            let mut running = is_running();
            let members = roll::members();
            if !members.iter().any(|member| member.watch.is_on()) {
                *running = false;
                return;
            }
            turns.retain(|id, _| members.iter().any(|member| member.id == *id));
            members.iter().filter_map(|member| member.watch.period()).min()
        };
        sleep(bell, period);
        if IS_ASKED.swap(false, Ordering::AcqRel) {
            dump_all();
        }
        // Was this thread kept from looking? Then so was, perhaps, everybody: stopped, suspended, migrated. That time counts for nobody.
        if let Some(late) = period.and_then(|period| looked.elapsed().checked_sub(period * 2)) {
            turns.values_mut().for_each(|turn| turn.since += late);
        }
        looked = Instant::now();
        for stall in look_at_turns(&mut turns) {
            report(&stall);
            // To find the names of functions takes its time, the first time above all.
            looked = Instant::now();
        }
        roll::members().iter().filter(|member| member.watch.longest_wait.is_some()).for_each(|member| {
            member.ask(ask::WAITS);
            if member.look().scheduler.pulse().turn().is_none() {
                member.wake();
            }
        });
    }
}

/// Signals of the process are for its other threads.
fn deafen() {
    // SAFETY: a zeroed set is a place for one; only this thread's mask is changed.
    unsafe {
        let mut all: libc::sigset_t = std::mem::zeroed();
        libc::sigfillset(&mut all);
        libc::pthread_sigmask(libc::SIG_SETMASK, &all, ptr::null_mut());
    }
}

/// Until the bell rings, or the time is up.
fn sleep(bell: &OwnedFd, period: Option<Duration>) {
    let mut poll = libc::pollfd { fd: bell.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    let time = period
        .map(|period| libc::timespec { tv_sec: period.as_secs() as i64, tv_nsec: i64::from(period.subsec_nanos()) });
    // SAFETY: an array of one; the time, if any, lives as long as the call.
    let has_rung =
        unsafe { libc::ppoll(&mut poll, 1, time.as_ref().map_or(ptr::null(), ptr::from_ref), ptr::null()) } > 0;
    if has_rung {
        sys::eventfd_silence(bell.as_raw_fd());
    }
}

/// A turn that was under way when last looked at.
struct Turn {
    turn: (usize, u64),
    since: Instant,
    /// How long the thread had been kept from running by then.
    kept: Duration,
    is_reported: bool,
}

/// The stalls that are not known yet.
fn look_at_turns(turns: &mut HashMap<u64, Turn>) -> Vec<(Stall, Option<StallHook>)> {
    let mut stalls = Vec::new();
    for member in &*roll::members() {
        let Some(limit) = member.watch.longest_turn else { continue };
        let Some(turn) = member.look().scheduler.pulse().turn() else {
            turns.remove(&member.id);
            continue;
        };
        let known = turns.get_mut(&member.id).filter(|known| known.turn == turn);
        let Some(known) = known else {
            let kept = kept_from_running(member.thread);
            turns.insert(member.id, Turn { turn, since: Instant::now(), kept, is_reported: false });
            continue;
        };
        if known.is_reported || known.since.elapsed() < limit {
            continue;
        }
        let scheduler: *const Scheduler = &member.look().scheduler;
        let duration = |known: &Turn| {
            let kept = kept_from_running(member.thread).saturating_sub(known.kept);
            known.since.elapsed().saturating_sub(kept)
        };
        if duration(known) < limit {
            continue;
        }
        match interrupt::interrupt(member.thread, scheduler, turn) {
            // The thread has run since, so that all the time for which it was kept waiting has been counted now.
            Ok(found) => {
                let duration = duration(known);
                if duration >= limit {
                    known.is_reported = true;
                    member.look().counters.stalls.add(1);
                    stalls.push((Stall::new(member, duration, found), member.watch.on_stall.clone()));
                }
            }
            Err(Missed::Over) => {}
            Err(Missed::Deaf) => {
                known.is_reported = true;
                member.look().counters.stalls.add(1);
                sys::say(format_args!(
                    "coop: stall: a task of Cooperator '{}' has run for {} ms without a wait; what it does cannot be seen, since its thread (number {}) takes no signals",
                    member.name,
                    duration(known).as_millis(),
                    member.thread,
                ));
            }
        }
    }
    stalls
}

/// Says it, and tells the hook. Without the roll's lock: a hook may do anything.
fn report((stall, hook): &(Stall, Option<StallHook>)) {
    sys::say(format_args!("{stall}"));
    if let Some(hook) = hook
        && let Err(payload) = catch_unwind(AssertUnwindSafe(|| hook.0(stall)))
    {
        crate::task::drop_payload(payload);
    }
}

/// How long a thread has been ready to run without running, since it began: the kernel's "run delay". Zero where that is not counted.
fn kept_from_running(thread: libc::pid_t) -> Duration {
    let text = std::fs::read_to_string(format!("/proc/self/task/{thread}/schedstat")).unwrap_or_default();
    let delay = text.split_whitespace().nth(1).and_then(|number| number.parse().ok());
    Duration::from_nanos(delay.unwrap_or(0))
}

/// Has every Cooperator print its tree; says which of them cannot, and what it does instead.
fn dump_all() {
    const PATIENCE: Duration = Duration::from_secs(1);
    let asked: Vec<u64> = roll::members().iter().map(|member| member.id).collect();
    roll::members().iter().for_each(|member| member.ask(ask::PRINT));
    let began = Instant::now();
    loop {
        let mut is_done = true;
        for member in roll::members().iter().filter(|member| asked.contains(&member.id) && member.is_asked(ask::PRINT))
        {
            is_done = false;
            member.wake();
        }
        if is_done {
            return;
        }
        if began.elapsed() > PATIENCE {
            break;
        }
        thread::sleep(Duration::from_millis(5));
    }
    for member in roll::members().iter().filter(|member| asked.contains(&member.id) && member.is_asked(ask::PRINT)) {
        let Some(turn) = member.look().scheduler.pulse().turn() else { continue };
        let scheduler: *const Scheduler = &member.look().scheduler;
        let what = match interrupt::interrupt(member.thread, scheduler, turn) {
            Ok(found) => {
                let Stall { task, name, place, backtrace, .. } = Stall::new(member, PATIENCE, found);
                let backtrace = backtrace.unwrap_or_else(|| "(no backtrace)".into());
                let place = if place.is_empty() { String::new() } else { format!(" ({place})") };
                format!("task #{task} '{name}'{place} runs, and gives way to nobody:\n{backtrace}")
            }
            Err(_) => "its thread takes no signals\n".into(),
        };
        sys::say(format_args!(
            "coop: dump of Cooperator '{}', asked for by SIGQUIT, comes when its loop has its turn; until then: {what}",
            member.name
        ));
    }
}

/// The handler of SIGQUIT.
mod sigquit {
    use super::*;

    struct Listening {
        count: usize,
        before: Option<libc::sigaction>,
    }

    static LISTENING: Mutex<Listening> = Mutex::new(Listening { count: 0, before: None });

    /// The handler that was there before, for ours to call; and whether it takes three arguments.
    static BEFORE: AtomicUsize = AtomicUsize::new(libc::SIG_DFL);
    static BEFORE_TAKES_INFO: AtomicBool = AtomicBool::new(false);

    unsafe extern "C" fn handler(signal: libc::c_int, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
        sys::keeping_errno(|| {
            let bell = BELL_FD.load(Ordering::Acquire);
            if bell >= 0 {
                IS_ASKED.store(true, Ordering::Release);
                sys::eventfd_wake(bell);
            }
        });
        match BEFORE.load(Ordering::Acquire) {
            libc::SIG_DFL | libc::SIG_IGN => {}
            // SAFETY: what the process had as its handler of this signal, called as the kernel would.
            before => unsafe {
                if BEFORE_TAKES_INFO.load(Ordering::Acquire) {
                    type Handler = unsafe extern "C" fn(libc::c_int, *mut libc::siginfo_t, *mut libc::c_void);
                    std::mem::transmute::<usize, Handler>(before)(signal, info, context);
                } else {
                    std::mem::transmute::<usize, unsafe extern "C" fn(libc::c_int)>(before)(signal);
                }
            },
        }
    }

    fn listening() -> MutexGuard<'static, Listening> {
        LISTENING.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One more wants it.
    pub(super) fn listen() {
        let mut listening = listening();
        listening.count += 1;
        if listening.count > 1 {
            return;
        }
        // SAFETY: a zeroed sigaction is valid; the handler is async-signal-safe, and finds what was there before.
        unsafe {
            let mut before: libc::sigaction = std::mem::zeroed();
            if libc::sigaction(libc::SIGQUIT, ptr::null(), &mut before) != 0 {
                return;
            }
            BEFORE_TAKES_INFO.store(before.sa_flags & libc::SA_SIGINFO != 0, Ordering::Release);
            BEFORE.store(before.sa_sigaction, Ordering::Release);
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = handler as *const () as usize;
            action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK | libc::SA_RESTART;
            if libc::sigaction(libc::SIGQUIT, &action, ptr::null_mut()) == 0 {
                listening.before = Some(before);
            }
        }
    }

    /// One fewer does. The last puts back what was there, unless somebody has put something else in its place since.
    pub(super) fn ignore() {
        let mut listening = listening();
        listening.count -= 1;
        if listening.count != 0 {
            return;
        }
        let Some(before) = listening.before.take() else { return };
        // SAFETY: as above; what is put back was there before.
        unsafe {
            let mut current: libc::sigaction = std::mem::zeroed();
            let ours = handler as *const () as usize;
            if libc::sigaction(libc::SIGQUIT, ptr::null(), &mut current) == 0 && current.sa_sigaction == ours {
                libc::sigaction(libc::SIGQUIT, &before, ptr::null_mut());
            }
        }
    }
}
