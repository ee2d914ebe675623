//! What the tasks did, and when: recorded while somebody wants to know.
//!
//! A scheduler that is recorded has a [`Tracer`], and a bit that has each switch take a path of its own; otherwise neither costs
//! anything, since the bit stands beside the one that forbids switching, in the byte that each switch looks at anyway. Each Cooperator
//! writes to a track of its own, which is bounded: the latest events are kept, and those that had to go are counted.

use super::roll::{self, ask};
use crate::cooperator::Cooperator;
use crate::error::Cause;
use crate::fiber::{Fiber, Reason, State};
use crate::scheduler::Tracer;
use crate::sys;
use crate::task::Task;
use std::cell::Cell;
use std::collections::VecDeque;
use std::error::Error;
use std::fmt;
use std::panic::Location;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A recording of what the tasks of all Cooperators do, from when it is started until it is stopped or dropped. There is at most one
/// at a time.
///
/// It holds which task ran when and on which Cooperator, why it stopped (what it waited for, and where), which were spawned and
/// killed and by whom, and when the kernel was entered. What it gives is a [`Trace`].
///
/// A Cooperator on another thread begins to record with its loop's next turn. Times are those of CLOCK_MONOTONIC, also where a
/// Cooperator's own clock is virtual. While it records, each switch takes about 50 ns more; otherwise nothing.
///
/// ```
/// use coop::inspect::Timeline;
/// coop::run(|| {
///     let timeline = Timeline::start().unwrap();
///     let mut task = coop::TaskBuilder::new().name("napper").spawn(|| coop::sleep(std::time::Duration::from_millis(1)));
///     task.join().unwrap().unwrap();
///     let trace = timeline.stop();
///     assert_eq!(trace.dropped(), 0);
///     // Open it in ui.perfetto.dev or chrome://tracing.
///     std::fs::write(std::env::temp_dir().join("coop-trace.json"), trace.to_json()).unwrap();
///     assert!(trace.to_json().contains("napper #2"));
/// });
/// ```
#[must_use = "dropping it ends the recording"]
#[derive(Debug)]
pub struct Timeline {
    recording: Arc<Recording>,
}

/// Another [`Timeline`] is being recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AlreadyRecording;

impl fmt::Display for AlreadyRecording {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a timeline is being recorded already: there is one at a time")
    }
}

impl Error for AlreadyRecording {}

/// The recording that is under way.
static CURRENT: Mutex<Option<Arc<Recording>>> = Mutex::new(None);

fn current() -> MutexGuard<'static, Option<Arc<Recording>>> {
    CURRENT.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether there is one.
pub(super) fn is_on() -> bool {
    current().is_some()
}

/// The events of the recording that is under way, if one is.
pub(super) fn snapshot() -> Option<Trace> {
    current().clone().map(|recording| recording.trace())
}

impl Timeline {
    /// Events of each Cooperator that [`start`](Self::start) keeps.
    pub const DEFAULT_CAPACITY: usize = 1 << 16;

    /// Begins to record; keeps the latest 65,536 events of each Cooperator, some 100 bytes each. From any thread; not a wait point.
    ///
    /// # Errors
    /// [`AlreadyRecording`].
    pub fn start() -> Result<Timeline, AlreadyRecording> {
        Self::with_capacity(Self::DEFAULT_CAPACITY)
    }

    /// As [`start`](Self::start); keeps the latest `events` of each Cooperator, at least one.
    ///
    /// # Errors
    /// [`AlreadyRecording`].
    pub fn with_capacity(events: usize) -> Result<Timeline, AlreadyRecording> {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let mut current = current();
        if current.is_some() {
            return Err(AlreadyRecording);
        }
        let recording = Arc::new(Recording {
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            capacity: events.max(1),
            tracks: Mutex::default(),
        });
        *current = Some(recording.clone());
        drop(current);
        announce();
        Ok(Timeline { recording })
    }

    /// What was recorded so far. It goes on. Not a wait point.
    pub fn snapshot(&self) -> Trace {
        self.recording.trace()
    }

    /// Ends the recording, and gives it. Not a wait point.
    pub fn stop(self) -> Trace {
        self.end();
        self.recording.trace()
    }

    fn end(&self) {
        let mut current = current();
        if current.as_ref().is_some_and(|recording| recording.id == self.recording.id) {
            *current = None;
            drop(current);
            announce();
        }
    }
}

impl Drop for Timeline {
    fn drop(&mut self) {
        self.end();
    }
}

/// Has every Cooperator see that something has changed; the calling thread's at once.
fn announce() {
    roll::members().iter().for_each(|member| member.ask(ask::TRACE));
    if let Some(cooperator) = Cooperator::current() {
        follow(cooperator);
    }
}

/// Has the calling thread's Cooperator record, or no longer.
pub(super) fn follow(cooperator: &Cooperator) {
    let recording = current().clone();
    let id = recording.as_ref().map_or(0, |recording| recording.id);
    if cooperator.inspected.recording.replace(id) == id {
        return;
    }
    // What is under way ends here for the one that ends.
    cooperator.scheduler.trace(|tracer| tracer.ends());
    let tracer = recording.map(|recording| -> Rc<dyn Tracer> {
        let thread = std::thread::current();
        let name = match &cooperator.settings.name {
            Some(name) => name.to_string(),
            None => thread.name().unwrap_or("cooperator").to_owned(),
        };
        let events = Mutex::new(Events { kept: VecDeque::new(), dropped: 0, capacity: recording.capacity });
        let track = Arc::new(Track { cooperator: cooperator.id, name, events });
        recording.tracks.lock().unwrap_or_else(PoisonError::into_inner).push(track.clone());
        let scheduler = &raw const cooperator.scheduler;
        Rc::new(Recorder { track, scheduler, since: Cell::new(sys::monotonic()), entered: Cell::new(0) })
    });
    cooperator.scheduler.set_tracer(tracer);
}

#[derive(Debug)]
struct Recording {
    id: u64,
    capacity: usize,
    tracks: Mutex<Vec<Arc<Track>>>,
}

impl Recording {
    fn trace(&self) -> Trace {
        // What the calling thread's task is in the midst of belongs to it.
        if let Some(cooperator) = Cooperator::current()
            && cooperator.inspected.recording.get() == self.id
        {
            cooperator.scheduler.trace(|tracer| tracer.ends());
        }
        let tracks = self.tracks.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut tracks: Vec<TraceTrack> = tracks.iter().map(|track| track.copy()).collect();
        tracks.sort_by_key(|track| track.cooperator);
        Trace { tracks }
    }
}

/// Of one Cooperator. Written by its thread, read by whoever wants the trace.
#[derive(Debug)]
struct Track {
    cooperator: u64,
    name: String,
    events: Mutex<Events>,
}

#[derive(Debug)]
struct Events {
    kept: VecDeque<Event>,
    dropped: u64,
    capacity: usize,
}

/// Something that has happened. Times in nanoseconds of CLOCK_MONOTONIC.
#[derive(Clone, Copy, Debug)]
pub(super) enum Event {
    Ran { task: u64, name: &'static str, begin: u64, end: u64, stop: Stop },
    Spawned { at: u64, parent: Option<u64>, task: u64, name: &'static str, place: &'static Location<'static> },
    Killed { at: u64, task: u64, name: &'static str, cause: Cause },
    Entered { begin: u64, end: u64 },
}

/// Why a task no longer runs.
#[derive(Clone, Copy, Debug)]
pub(super) enum Stop {
    Waits {
        reason: Reason,
        place: &'static Location<'static>,
    },
    GivesWay,
    Ends,
    /// It does not stop: the recording does, or was looked at.
    Unknown,
}

impl Event {
    /// When it was over.
    pub(super) fn end(&self) -> u64 {
        match *self {
            Event::Ran { end, .. } | Event::Entered { end, .. } => end,
            Event::Spawned { at, .. } | Event::Killed { at, .. } => at,
        }
    }

    pub(super) fn begin(&self) -> u64 {
        match *self {
            Event::Ran { begin, .. } | Event::Entered { begin, .. } => begin,
            Event::Spawned { at, .. } | Event::Killed { at, .. } => at,
        }
    }
}

impl Track {
    fn push(&self, event: Event) {
        let mut events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        if events.kept.len() >= events.capacity {
            events.kept.pop_front();
            events.dropped += 1;
        }
        events.kept.push_back(event);
    }

    fn copy(&self) -> TraceTrack {
        let events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        TraceTrack {
            cooperator: self.cooperator,
            name: self.name.clone(),
            events: events.kept.iter().copied().collect(),
            dropped: events.dropped,
        }
    }
}

/// The tracer of one Cooperator.
struct Recorder {
    track: Arc<Track>,
    /// Whose tracer this is; it goes with it.
    scheduler: *const crate::scheduler::Scheduler,
    /// Since when the running task runs.
    since: Cell<u64>,
    entered: Cell<u64>,
}

impl Recorder {
    fn running(&self) -> Option<&Task> {
        // SAFETY: the scheduler owns this tracer; what runs has not been recycled. Every fiber is that of a task.
        unsafe { (*self.scheduler).running().as_ref().map(|fiber| Task::of(fiber)) }
    }

    fn ran(&self, task: &Task, stop: Stop) {
        let end = sys::monotonic();
        let begin = self.since.replace(end);
        self.track.push(Event::Ran { task: task.id.0, name: task.name, begin, end, stop });
    }
}

impl Tracer for Recorder {
    fn switched(&self, from: Option<&Fiber>, _to: Option<&Fiber>) {
        match from {
            Some(fiber) => {
                // SAFETY: every fiber is that of a task; this one is still on its stack.
                let task = unsafe { Task::of(fiber) };
                let stop = match fiber.state.get() {
                    State::Parked { .. } => Stop::Waits { reason: fiber.reason.get(), place: fiber.place.get() },
                    State::Ended => Stop::Ends,
                    State::Active => Stop::GivesWay,
                };
                self.ran(task, stop);
            }
            None => self.since.set(sys::monotonic()),
        }
    }

    fn spawned(&self, child: &Fiber) {
        // SAFETY: as above: a new task's.
        let task = unsafe { Task::of(child) };
        let parent = self.running().map(|task| task.id.0);
        let (at, place) = (sys::monotonic(), task.spawned_at);
        self.track.push(Event::Spawned { at, parent, task: task.id.0, name: task.name, place });
    }

    fn killed(&self, fiber: &Fiber, cause: Cause) {
        // SAFETY: as above: a task in the tree.
        let task = unsafe { Task::of(fiber) };
        self.track.push(Event::Killed { at: sys::monotonic(), task: task.id.0, name: task.name, cause });
    }

    fn enters(&self) {
        self.entered.set(sys::monotonic());
    }

    fn entered(&self) {
        let begin = self.entered.replace(0);
        // The recording may have begun in between.
        if begin != 0 {
            self.track.push(Event::Entered { begin, end: sys::monotonic() });
        }
    }

    fn ends(&self) {
        if let Some(task) = self.running() {
            self.ran(task, Stop::Unknown);
        }
    }
}

/// What a [`Timeline`] has recorded.
#[derive(Clone, Debug)]
pub struct Trace {
    pub(super) tracks: Vec<TraceTrack>,
}

#[derive(Clone, Debug)]
pub(super) struct TraceTrack {
    pub(super) cooperator: u64,
    pub(super) name: String,
    pub(super) events: Vec<Event>,
    pub(super) dropped: u64,
}

impl Trace {
    /// How many events it holds.
    pub fn len(&self) -> usize {
        self.tracks.iter().map(|track| track.events.len()).sum()
    }

    /// Whether nothing has happened.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many earlier events had to go for later ones.
    pub fn dropped(&self) -> u64 {
        self.tracks.iter().map(|track| track.dropped).sum()
    }
}
