use crate::trace::{Trace, settle};
use coop::sync::Barrier;
use coop::{Killed, op};
use std::cell::Cell;
use std::time::Duration;

const LONG: Duration = Duration::from_secs(3600);

#[coop::test]
fn all_wait_for_the_last_which_leads() {
    let (barrier, trace) = (Barrier::new(3), Trace::default());
    coop::wait_all(|s| {
        for name in ["a", "b", "c"] {
            let (barrier, trace) = (&barrier, &trace);
            s.spawn(move || {
                trace.say(format!("{name} arrives"));
                let met = barrier.wait().unwrap();
                trace.say(format!("{name} goes on{}", if met.is_leader() { ", leading" } else { "" }));
            });
        }
    });
    let (arrivals, goes_on) =
        (["a arrives", "b arrives", "c arrives"], ["c goes on, leading", "a goes on", "b goes on"]);
    trace.expect(&[arrivals, goes_on].concat());
}

#[coop::test]
fn a_killed_task_has_not_arrived() {
    let (barrier, trace) = (Barrier::new(2), Trace::default());
    coop::wait_all(|s| {
        let mut gone = s.spawn(|| barrier.wait());
        settle();
        assert_eq!(barrier.waiting(), 1);
        gone.kill();
        assert!(gone.join().unwrap().is_err());
        assert_eq!(barrier.waiting(), 0);
        let mut first = s.spawn(|| barrier.wait());
        settle();
        trace.say(format!("waiting {}", barrier.waiting()));
        s.spawn(|| trace.say(format!("leads: {}", barrier.wait().unwrap().is_leader())));
        assert!(!first.join().unwrap().unwrap().is_leader());
    });
    trace.expect(&["waiting 1", "leads: true"]);
}

/// The last one comes before the kill is seen: they have met.
#[coop::test]
fn one_that_is_killed_after_they_have_met_has_met() {
    let barrier = Barrier::new(2);
    coop::wait_all(|s| {
        let mut first = s.spawn(|| barrier.wait());
        settle();
        assert!(barrier.wait().unwrap().is_leader());
        first.kill();
        assert!(!first.join().unwrap().unwrap().is_leader());
    });
    assert_eq!(barrier.waiting(), 0);
}

#[coop::test]
fn a_started_arrival_stays_and_a_dropped_one_is_taken_back() {
    let barrier = Barrier::new(2);
    coop::wait_all(|s| {
        let arrival = s.start(op::wait(&barrier));
        assert_eq!(barrier.waiting(), 1);
        drop(arrival);
        assert_eq!(barrier.waiting(), 0);
        let mut arrival = s.start(op::wait(&barrier));
        let mut other = s.spawn(|| barrier.wait());
        coop::select! {
            met = &mut arrival => assert!(!met.is_leader()),
            _ = op::after(LONG) => panic!("both are there"),
        }
        .unwrap();
        assert!(other.join().unwrap().unwrap().is_leader());
        // The last arrival leads, and lets the other go though nobody asks for its result.
        let mut first = s.spawn(|| barrier.wait());
        settle();
        drop(s.start(op::wait(&barrier)));
        assert!(!first.join().unwrap().unwrap().is_leader());
    });
    assert_eq!(barrier.waiting(), 0);
}

#[coop::test]
fn one_for_nobody_or_one_holds_nobody_up() {
    for size in [0, 1] {
        let barrier = Barrier::new(size);
        for _ in 0..3 {
            assert!(barrier.wait().unwrap().is_leader());
        }
    }
}

#[coop::test]
fn a_deadline_takes_the_arrival_back() {
    let barrier = Barrier::new(2);
    let late = coop::timeout(Duration::from_millis(1), || -> std::io::Result<_> { Ok(barrier.wait()?) });
    assert_eq!(late.unwrap_err().kind(), std::io::ErrorKind::TimedOut);
    assert_eq!(barrier.waiting(), 0);
}

/// Phase by phase, in whatever order tasks run: nobody is a phase ahead, and each has one leader.
#[coop::test(schedules = 100)]
fn phases() -> Result<(), Killed> {
    const TASKS: usize = 7;
    let (barrier, done, leaders) = (Barrier::new(TASKS), Cell::new(0), Cell::new(0));
    coop::wait_all(|s| {
        for _ in 0..TASKS {
            s.spawn(|| {
                for phase in 1..=5 {
                    done.set(done.get() + 1);
                    let met = barrier.wait().unwrap();
                    assert!((phase * TASKS..(phase + 1) * TASKS).contains(&done.get()));
                    leaders.set(leaders.get() + usize::from(met.is_leader()));
                }
            });
        }
    });
    assert_eq!((done.get(), leaders.get(), barrier.waiting()), (5 * TASKS, 5, 0));
    Ok(())
}
