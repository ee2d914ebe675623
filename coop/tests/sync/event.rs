use crate::trace::{Trace, settle};
use coop::op;
use coop::sync::Event;
use std::time::Duration;

#[coop::test]
fn setting_it_wakes_all_in_order_and_it_stays_set() {
    let (event, trace) = (Event::new(), Trace::default());
    coop::wait_all(|s| {
        for name in ["a", "b", "c"] {
            let (event, trace) = (&event, &trace);
            s.spawn(move || {
                event.wait().unwrap();
                trace.say(name);
            });
        }
        settle();
        trace.expect(&[]);
        event.set();
        event.set();
    });
    trace.expect(&["a", "b", "c"]);
    event.wait().unwrap();
    assert!(event.is_set());
}

/// Whoever waited when it was set goes on; whoever comes after the reset waits.
#[coop::test]
fn a_pulse_reaches_those_who_waited() {
    let (event, trace) = (Event::new(), Trace::default());
    coop::wait_all(|s| {
        s.spawn(|| {
            event.wait().unwrap();
            trace.say("first");
            event.wait().unwrap();
            trace.say("again");
        });
        settle();
        event.set();
        assert!(event.reset() && !event.reset());
        settle();
        trace.expect(&["first"]);
        event.set();
    });
    trace.expect(&["again"]);
}

#[coop::test]
fn it_is_an_arm_and_kills_and_deadlines_reach_it() {
    let event = Event::new();
    let late = coop::timeout(Duration::from_millis(1), || -> std::io::Result<()> { Ok(event.wait()?) });
    assert_eq!(late.unwrap_err().kind(), std::io::ErrorKind::TimedOut);
    coop::wait_all(|s| {
        let mut waits = s.spawn(|| event.wait());
        settle();
        waits.kill();
        assert!(waits.join().unwrap().is_err());
        let mut selects = s.spawn(|| {
            coop::select! {
                _ = op::wait(&event) => "set",
                _ = op::after(Duration::from_secs(60)) => "late",
            }
        });
        settle();
        event.set();
        assert_eq!(selects.join().unwrap(), Ok("set"));
    });
}

/// A Handle that saw it happen keeps that, whatever becomes of the event.
#[coop::test]
fn a_handle_remembers() {
    let event = Event::new();
    coop::wait_all(|s| {
        let handle = s.start(op::wait(&event));
        event.set();
        event.reset();
        handle.wait().unwrap();
    });
}

#[coop::test]
fn setting_works_in_a_destructor_of_a_killed_task() {
    struct SetOnDrop<'a>(&'a Event);
    impl Drop for SetOnDrop<'_> {
        fn drop(&mut self) {
            self.0.set();
        }
    }
    let event = Event::new();
    coop::wait_all(|s| {
        let mut task = s.spawn(|| {
            let _set = SetOnDrop(&event);
            coop::sleep(Duration::from_secs(3600))
        });
        settle();
        task.kill();
        event.wait().unwrap();
        assert!(task.join().unwrap().is_err());
    });
}

/// Handles that have what they wait for at once spend their budget like any call: nobody starves.
#[coop::test]
fn handles_that_are_ready_at_once_leave_the_others_their_turn() {
    let (event, has_run) = (Event::new(), std::cell::Cell::new(false));
    event.set();
    coop::wait_all(|s| {
        s.spawn(|| has_run.set(true));
        let wait = || coop::wait_all(|inner| inner.start(op::wait(&event)).wait()).is_ok() && !has_run.get();
        let rounds = (0..10_000).take_while(|_| wait()).count();
        assert!(rounds < 1_000, "{rounds}");
    });
}
