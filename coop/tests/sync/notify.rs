use crate::trace::{Trace, settle};
use coop::op;
use coop::sync::Notify;
use std::time::Duration;

#[coop::test]
fn each_notification_wakes_one_in_order() {
    let (notify, trace) = (Notify::new(), Trace::default());
    coop::wait_all(|s| {
        for name in ["a", "b", "c"] {
            let (notify, trace) = (&notify, &trace);
            s.spawn(move || {
                notify.wait().unwrap();
                trace.say(name);
            });
        }
        settle();
        notify.notify_one();
        settle();
        trace.expect(&["a"]);
        notify.notify_one();
        notify.notify_one();
    });
    trace.expect(&["b", "c"]);
    assert!(!notify.try_wait());
}

#[coop::test]
fn one_is_kept_for_whoever_comes_next() {
    let notify = Notify::new();
    notify.notify_one();
    notify.notify_one();
    notify.wait().unwrap();
    let late = coop::timeout(Duration::from_millis(1), || -> std::io::Result<()> { Ok(notify.wait()?) });
    assert_eq!(late.unwrap_err().kind(), std::io::ErrorKind::TimedOut);
    notify.notify_one();
    assert!(notify.try_wait() && !notify.try_wait());
}

/// It was given before the kill was seen: it is not lost, for the wait succeeds.
#[coop::test]
fn a_notification_and_a_kill_at_once() {
    let notify = Notify::new();
    coop::wait_all(|s| {
        let mut task = s.spawn(|| notify.wait());
        settle();
        notify.notify_one();
        task.kill();
        assert_eq!(task.join().unwrap(), Ok(()));
        assert!(!notify.try_wait());
        let mut task = s.spawn(|| notify.wait());
        settle();
        task.kill();
        notify.notify_one();
        // It goes to the task that was still in the queue.
        let took_it = task.join().unwrap().is_ok();
        assert_ne!(took_it, notify.try_wait(), "to one or to the other");
    });
}

#[coop::test]
fn what_a_handle_was_given_and_did_not_take_goes_on() {
    let (notify, trace) = (Notify::new(), Trace::default());
    coop::wait_all(|s| {
        let handle = s.start(op::wait(&notify));
        s.spawn(|| {
            notify.wait().unwrap();
            trace.say("second");
        });
        settle();
        notify.notify_one();
        settle();
        trace.expect(&[]);
        drop(handle);
        settle();
        trace.expect(&["second"]);
        // And with nobody there it is kept.
        let handle = s.start(op::wait(&notify));
        notify.notify_one();
        drop(handle);
        assert!(notify.try_wait());
    });
}

#[coop::test]
fn an_arm_that_loses_takes_none() {
    let notify = Notify::new();
    notify.notify_one();
    coop::select! {
        biased;
        _ = op::after(Duration::ZERO) => {}
        _ = op::wait(&notify) => panic!("the first is ready"),
    }
    .unwrap();
    assert!(notify.try_wait());
}
