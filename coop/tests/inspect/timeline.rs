//! Timelines: in the format of Chrome, every event somebody's, slices nested, memory bounded. In children: there is one at a time.

use super::child;
use coop::Builder;
use coop::inspect::{AlreadyRecording, Timeline};
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Duration;

/// Runs a child with its own process.
macro_rules! in_a_child {
    ($test:ident, $child:ident) => {
        #[test]
        fn $test() {
            child::run(child::test(module_path!(), stringify!($child)));
        }
    };
}

in_a_child!(every_event_is_somebodys_and_slices_nest, a_busy_program_is_recorded);
in_a_child!(memory_is_bounded_and_what_had_to_go_is_counted, more_happens_than_is_kept);
in_a_child!(there_is_one_at_a_time_and_off_is_off, one_after_the_other);
in_a_child!(other_threads_cooperators_are_on_it, two_cooperators);

/// The slices of each track, by its process and thread.
fn slices(events: &[Value]) -> BTreeMap<(u64, u64), Vec<(f64, f64, String)>> {
    let mut tracks: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for event in events.iter().filter(|event| event["ph"] == "X") {
        let key = (event["pid"].as_u64().unwrap(), event["tid"].as_u64().unwrap());
        let (begin, dur) = (event["ts"].as_f64().unwrap(), event["dur"].as_f64().unwrap());
        tracks.entry(key).or_default().push((begin, begin + dur, event["name"].as_str().unwrap().to_owned()));
    }
    tracks
}

/// Slices of one track lie one after the other or one in the other.
fn assert_nested(mut slices: Vec<(f64, f64, String)>) {
    slices.sort_by(|a, b| a.0.total_cmp(&b.0).then(b.1.total_cmp(&a.1)));
    let mut open: Vec<(f64, f64, String)> = Vec::new();
    for slice in slices {
        // A nanosecond, which is what rounding to microseconds and back may cost.
        while open.last().is_some_and(|outer| outer.1 <= slice.0 + 0.001) {
            open.pop();
        }
        if let Some(outer) = open.last() {
            assert!(slice.1 <= outer.1 + 0.002, "{slice:?} reaches out of {outer:?}");
        }
        open.push(slice);
    }
}

fn events(json: &str) -> Vec<Value> {
    let value: Value = serde_json::from_str(json).unwrap_or_else(|error| panic!("{error}\n{json}"));
    value["traceEvents"].as_array().unwrap().clone()
}

#[test]
#[ignore = "run by another test"]
fn a_busy_program_is_recorded() {
    #[coop::task(name = "worker \"one\" \\ <b>")]
    fn worker(conn: coop::net::UnixStream) {
        let mut buf = [0; 16];
        while let Ok(1..) = conn.recv(&mut buf) {
            coop::yield_now().unwrap();
        }
    }
    Builder::new()
        .name("recorded")
        .run(|| {
            let timeline = Timeline::start().unwrap();
            let (near, far) = coop::net::UnixStream::pair().unwrap();
            let mut task = worker::spawn(far);
            let mut doomed = coop::TaskBuilder::new().name("doomed").spawn(|| coop::sleep(Duration::from_secs(60)));
            for _ in 0..10 {
                near.send_all(b"x").unwrap();
                coop::sleep(Duration::from_millis(1)).unwrap();
            }
            drop(near);
            task.join().unwrap();
            doomed.kill();
            assert!(doomed.join().unwrap().is_err());
            let trace = timeline.stop();
            assert!(trace.len() > 30 && trace.dropped() == 0, "{}", trace.len());
            let events = events(&trace.to_json());
            let named: BTreeMap<u64, &str> = events
                .iter()
                .filter(|event| event["name"] == "thread_name")
                .map(|event| (event["tid"].as_u64().unwrap(), event["args"]["name"].as_str().unwrap()))
                .collect();
            assert_eq!(
                named,
                BTreeMap::from([(0, "loop"), (1, "root #1"), (2, "worker \"one\" \\ <b> #2"), (3, "doomed #3")])
            );
            for event in &events {
                assert!(named.contains_key(&event["tid"].as_u64().unwrap()), "somebody's: {event}");
            }
            let tracks = slices(&events);
            tracks.values().cloned().for_each(assert_nested);
            let of = |tid: u64| tracks.iter().find(|((_, id), _)| *id == tid).unwrap().1;
            let count = |tid: u64, name: &str| of(tid).iter().filter(|slice| slice.2.starts_with(name)).count();
            assert_eq!(count(2, "worker"), 1, "its life");
            assert!(count(2, "running") >= 10 && count(2, "ready") >= 1 && count(2, "recv on fd") >= 9, "{:?}", of(2));
            assert_eq!((count(3, "running"), count(3, "sleep")), (2, 1));
            assert!(count(0, "enter") >= 5, "{:?}", of(0));
            let instants: Vec<(&str, u64)> = events
                .iter()
                .filter(|event| event["ph"] == "i")
                .map(|event| (event["name"].as_str().unwrap(), event["tid"].as_u64().unwrap()))
                .collect();
            assert_eq!(instants, [("spawn", 1), ("spawn", 1), ("kill", 3)], "whose they are");
            for spawn in events.iter().filter(|event| event["name"] == "spawn") {
                assert!(spawn["args"]["at"].as_str().unwrap().contains("tests/inspect/timeline.rs:"), "{spawn}");
            }
            let wait = events.iter().find(|event| event["cat"] == "wait" && event["tid"] == 3).unwrap();
            assert!(wait["args"]["at"].as_str().unwrap().contains("tests/inspect/timeline.rs:"), "{wait}");
        })
        .unwrap();
}

#[test]
#[ignore = "run by another test"]
fn more_happens_than_is_kept() {
    coop::run(|| {
        let timeline = Timeline::with_capacity(100).unwrap();
        let mut other = coop::spawn(|| (0..1000).for_each(|_| coop::yield_now().unwrap()));
        (0..1000).for_each(|_| coop::yield_now().unwrap());
        other.join().unwrap();
        let seen = timeline.snapshot();
        assert_eq!(seen.len(), 100);
        assert!(seen.dropped() > 1500, "{}", seen.dropped());
        let json = timeline.stop().to_json();
        let events = events(&json);
        slices(&events).into_values().for_each(assert_nested);
        let value: Value = serde_json::from_str(&json).unwrap();
        assert!(value["otherData"]["dropped_events"].as_u64().unwrap() > 1500);
    });
}

#[test]
#[ignore = "run by another test"]
fn one_after_the_other() {
    coop::run(|| {
        let first = Timeline::start().unwrap();
        let error: AlreadyRecording = Timeline::start().unwrap_err();
        assert!(error.to_string().contains("already"));
        drop(first);
        coop::yield_now().unwrap();
        let second = Timeline::start().unwrap();
        let trace = second.stop();
        assert_eq!(trace.len(), 1, "what the task was in the midst of, and nothing of the time between");
        coop::yield_now().unwrap();
        assert_eq!(trace.len(), 1);
        coop::no_switch(|| ());
    });
    // Without a Cooperator there is nothing to see.
    assert!(Timeline::start().unwrap().stop().is_empty());
}

#[test]
#[ignore = "run by another test"]
fn two_cooperators() {
    Builder::new()
        .cooperators(2)
        .run(|| {
            let timeline = Timeline::start().unwrap();
            let other = coop::cooperators().get(1).unwrap().clone();
            #[coop::task]
            fn far_away() {
                coop::sleep(Duration::from_millis(2)).unwrap();
            }
            far_away::submit(&other).map_err(drop).unwrap().join().unwrap();
            let events = events(&timeline.stop().to_json());
            let names: Vec<&str> = events
                .iter()
                .filter(|event| event["name"] == "process_name")
                .map(|event| event["args"]["name"].as_str().unwrap())
                .collect();
            assert_eq!(names.len(), 2, "{names:?}");
            let task =
                events.iter().find(|event| event["args"]["name"].as_str().is_some_and(|n| n.starts_with("far_away")));
            assert!(task.is_some(), "{events:#?}");
        })
        .unwrap();
}
