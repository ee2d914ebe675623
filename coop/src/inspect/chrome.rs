//! A trace in the trace event format of Chrome, which Perfetto reads too.
//!
//! A Cooperator is a process, and a task a thread of it; thread 0 is the loop. On a task's track its life is one slice, and within it
//! what it did in turn: running, ready to run, or waiting for something. Slices of one track only ever nest.

use super::text::Json;
use super::timeline::{Event, Stop, Trace, TraceTrack};
use std::collections::BTreeMap;
use std::fmt::Write;

impl Trace {
    /// The trace as JSON in the trace event format, for ui.perfetto.dev, chrome://tracing, and whatever else reads that.
    ///
    /// How many events had to go is in `otherData`, as `dropped_events`.
    pub fn to_json(&self) -> String {
        let mut events = Vec::new();
        for track in &self.tracks {
            write(&mut events, track);
        }
        format!(
            "{{\"displayTimeUnit\":\"ns\",\"otherData\":{{\"dropped_events\":{}}},\"traceEvents\":[\n{}\n]}}\n",
            self.dropped(),
            events.join(",\n")
        )
    }
}

/// What a task does between two of its events.
pub(super) struct Slice {
    pub(super) begin: u64,
    pub(super) end: u64,
    pub(super) what: What,
}

pub(super) enum What {
    Runs,
    Ready,
    /// With what it waits for, and where.
    Waits(String, String),
}

/// A task as a track shows it.
pub(super) struct Life {
    pub(super) name: &'static str,
    pub(super) begin: u64,
    pub(super) end: u64,
    /// In order, one after the other.
    pub(super) slices: Vec<Slice>,
}

/// The tasks of a track, by their numbers: each with what it did, from its first event until it ended, or the recording did.
pub(super) fn lives(track: &TraceTrack) -> BTreeMap<u64, Life> {
    let over = track.events.iter().map(Event::end).max().unwrap_or(0);
    let mut lives: BTreeMap<u64, Life> = BTreeMap::new();
    // What each does since its last event, and since when.
    let mut open: BTreeMap<u64, (u64, Option<What>)> = BTreeMap::new();
    for event in &track.events {
        let (task, name) = match *event {
            Event::Ran { task, name, .. } | Event::Spawned { task, name, .. } | Event::Killed { task, name, .. } => {
                (task, name)
            }
            Event::Entered { .. } => continue,
        };
        let begin = event.begin();
        let life = lives.entry(task).or_insert(Life { name, begin, end: over, slices: Vec::new() });
        // A task that was killed before it was seen to run began to be seen with that.
        match *event {
            Event::Spawned { at, .. } => _ = open.insert(task, (at, Some(What::Ready))),
            Event::Ran { begin, end, stop, .. } => {
                if let Some((since, Some(what))) = open.remove(&task)
                    && since < begin
                {
                    life.slices.push(Slice { begin: since, end: begin, what });
                }
                life.slices.push(Slice { begin, end, what: What::Runs });
                let next = match stop {
                    Stop::Waits { reason, place } => Some(What::Waits(reason.to_string(), place.to_string())),
                    Stop::GivesWay => Some(What::Ready),
                    Stop::Unknown => None,
                    Stop::Ends => {
                        life.end = end;
                        None
                    }
                };
                open.insert(task, (end, next));
            }
            Event::Killed { .. } | Event::Entered { .. } => {}
        }
    }
    for (task, (since, what)) in open {
        if let (Some(life), Some(what)) = (lives.get_mut(&task), what)
            && since < life.end
        {
            life.slices.push(Slice { begin: since, end: life.end, what });
        }
    }
    lives
}

/// Microseconds with three decimals: nanoseconds.
fn micros(nanos: u64) -> String {
    format!("{}.{:03}", nanos / 1000, nanos % 1000)
}

fn write(events: &mut Vec<String>, track: &TraceTrack) {
    let pid = track.cooperator;
    let mut name = |tid: u64, kind: &str, name: &str| {
        events.push(format!(
            "{{\"ph\":\"M\",\"pid\":{pid},\"tid\":{tid},\"name\":\"{kind}\",\"args\":{{\"name\":{}}}}}",
            Json(name)
        ));
    };
    let lives = lives(track);
    name(0, "process_name", &format!("Cooperator {}", track.name));
    name(0, "thread_name", "loop");
    for (task, life) in &lives {
        name(*task, "thread_name", &format!("{} #{task}", life.name));
    }
    let slice = |tid: u64, name: &str, category: &str, begin: u64, end: u64, arguments: &str| {
        format!(
            "{{\"ph\":\"X\",\"pid\":{pid},\"tid\":{tid},\"ts\":{},\"dur\":{},\"cat\":\"{category}\",\"name\":{},\"args\":{{{arguments}}}}}",
            micros(begin),
            micros(end - begin),
            Json(name)
        )
    };
    for (task, life) in &lives {
        events.push(slice(*task, &format!("{} #{task}", life.name), "task", life.begin, life.end, ""));
        for Slice { begin, end, what } in &life.slices {
            events.push(match what {
                What::Runs => slice(*task, "running", "run", *begin, *end, ""),
                What::Ready => slice(*task, "ready", "ready", *begin, *end, ""),
                What::Waits(reason, place) => {
                    slice(*task, reason, "wait", *begin, *end, &format!("\"at\":{}", Json(place)))
                }
            });
        }
    }
    let instant = |tid: u64, name: &str, at: u64, arguments: &str| {
        format!(
            "{{\"ph\":\"i\",\"s\":\"t\",\"pid\":{pid},\"tid\":{tid},\"ts\":{},\"cat\":\"{name}\",\"name\":\"{name}\",\"args\":{{{arguments}}}}}",
            micros(at)
        )
    };
    for event in &track.events {
        match *event {
            Event::Spawned { at, parent, task, name, place } => {
                let mut arguments =
                    format!("\"task\":{},\"at\":{}", Json(&format!("{name} #{task}")), Json(&place.to_string()));
                if let Some(parent) = parent {
                    let _ = write!(arguments, ",\"parent\":{parent}");
                }
                // Whoever spawned it before anything else was seen of him has no track: it stands on its own.
                let tid = parent.filter(|parent| lives.contains_key(parent)).unwrap_or(task);
                events.push(instant(tid, "spawn", at, &arguments));
            }
            Event::Killed { at, task, cause, .. } => {
                events.push(instant(task, "kill", at, &format!("\"cause\":{}", Json(&cause.to_string()))));
            }
            Event::Entered { begin, end } => events.push(slice(0, "enter", "ring", begin, end, "")),
            Event::Ran { .. } => {}
        }
    }
}
