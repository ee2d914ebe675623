use crate::trace::{Trace, settle};
use coop::op;
use coop::sync::Latch;
use std::time::Duration;

#[coop::test]
fn it_opens_at_the_last_step_for_all() {
    let (latch, trace) = (Latch::new(2), Trace::default());
    coop::wait_all(|s| {
        for name in ["a", "b"] {
            let (latch, trace) = (&latch, &trace);
            s.spawn(move || {
                latch.wait().unwrap();
                trace.say(name);
            });
        }
        settle();
        latch.count_down();
        settle();
        trace.expect(&[]);
        assert_eq!((latch.count(), latch.is_open()), (1, false));
        latch.count_down();
    });
    trace.expect(&["a", "b"]);
    latch.count_down();
    assert_eq!((latch.count(), latch.is_open()), (0, true), "steps after the last do nothing");
    latch.wait().unwrap();
}

#[coop::test]
fn one_without_steps_is_open() {
    Latch::new(0).wait().unwrap();
}

#[coop::test]
fn it_is_an_arm_and_kills_and_deadlines_reach_it() {
    let latch = Latch::new(1);
    coop::select! {
        _ = op::wait(&latch) => panic!("it is closed"),
        _ = op::after(Duration::from_millis(1)) => {}
    }
    .unwrap();
    let late = coop::timeout(Duration::from_millis(1), || -> std::io::Result<()> { Ok(latch.wait()?) });
    assert_eq!(late.unwrap_err().kind(), std::io::ErrorKind::TimedOut);
    coop::wait_all(|s| {
        let mut waits = s.spawn(|| latch.wait());
        settle();
        waits.kill();
        assert!(waits.join().unwrap().is_err());
        let mut handle = s.start(op::wait(&latch));
        latch.count_down();
        coop::select! {
            _ = &mut handle => {}
            default => panic!("it is open"),
        }
        .unwrap();
    });
}
