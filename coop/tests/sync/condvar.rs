use crate::trace::{Trace, settle};
use coop::sync::{Condvar, Mutex};
use coop::{Cause, Killed};
use std::collections::VecDeque;
use std::time::Duration;

#[coop::test]
fn waiting_unlocks_and_a_notification_locks_again() -> Result<(), Killed> {
    let (data, changed, trace) = (Mutex::new(0), Condvar::new(), Trace::default());
    coop::wait_all(|s| {
        s.spawn(|| {
            let guard = data.lock().unwrap();
            trace.say("waits");
            let guard = changed.wait(guard).unwrap();
            trace.say(format!("sees {guard}"));
        });
        settle();
        let mut guard = data.lock().unwrap();
        trace.expect(&["waits"]);
        *guard = 1;
        changed.notify_one();
        settle();
        trace.expect(&[]);
        trace.say("unlocks");
        drop(guard);
    });
    trace.expect(&["unlocks", "sees 1"]);
    Ok(())
}

#[coop::test]
fn one_wakes_the_first_and_all_wakes_the_rest_in_order() -> Result<(), Killed> {
    let (gate, opened, trace) = (Mutex::new(()), Condvar::new(), Trace::default());
    coop::wait_all(|s| {
        for name in ["a", "b", "c"] {
            let (gate, opened, trace) = (&gate, &opened, &trace);
            s.spawn(move || {
                let _guard = opened.wait(gate.lock().unwrap()).unwrap();
                trace.say(name);
            });
        }
        settle();
        opened.notify_one();
        settle();
        trace.expect(&["a"]);
        opened.notify_all();
        settle();
        trace.expect(&["b", "c"]);
        opened.notify_all();
        opened.notify_one();
    });
    Ok(())
}

#[coop::test]
fn a_notification_for_nobody_is_not_kept() -> Result<(), Killed> {
    let (data, changed) = (Mutex::new(()), Condvar::new());
    changed.notify_one();
    let (_guard, result) = changed.wait_timeout(data.lock()?, Duration::from_secs(60))?;
    assert!(result.timed_out());
    Ok(())
}

/// The parent has the lock and waits for the child's end: were the lock taken again, neither would ever go on.
#[coop::test]
fn a_killed_wait_ends_without_the_lock() -> Result<(), Killed> {
    let (data, changed) = (Mutex::new(1), Condvar::new());
    let mut cause = None;
    let guard = coop::wait_all(|s| {
        let mut child = s.spawn(|| changed.wait(data.lock().unwrap()).map(drop));
        settle();
        let guard = data.lock().unwrap();
        child.kill();
        cause = Some(child.join().unwrap().unwrap_err().cause());
        guard
    });
    assert!(matches!(cause, Some(Cause::Explicit(_))) && *guard == 1);
    drop(guard);
    assert!(data.try_lock().is_some());
    Ok(())
}

#[coop::test]
fn a_killed_task_gives_the_lock_back_at_once() {
    let (data, changed) = (Mutex::new(()), Condvar::new());
    coop::wait_all(|s| {
        let mut child = s.spawn(|| {
            let guard = data.lock().unwrap();
            while !coop::killed() {
                let _ = coop::yield_now();
            }
            let result = changed.wait(guard).map(drop);
            (result.is_err(), data.try_lock().is_some())
        });
        settle();
        child.kill();
        assert_eq!(child.join().unwrap(), (true, true));
    });
}

/// Notified, then killed while it waits for the lock: the notification goes to the next.
#[coop::test]
fn a_notification_that_a_killed_task_was_given_is_passed_on() {
    let (data, changed, trace) = (Mutex::new(()), Condvar::new(), Trace::default());
    coop::wait_all(|s| {
        let mut first = s.spawn(|| changed.wait(data.lock().unwrap()).map(drop));
        settle();
        s.spawn(|| {
            let _guard = changed.wait(data.lock().unwrap()).unwrap();
            trace.say("second");
        });
        settle();
        let guard = data.lock().unwrap();
        changed.notify_one();
        settle();
        first.kill();
        assert!(first.join().unwrap().is_err());
        drop(guard);
    });
    trace.expect(&["second"]);
}

#[coop::test]
fn waiting_has_a_limit_if_asked_for() -> Result<(), Killed> {
    let (data, changed) = (Mutex::new(0), Condvar::new());
    let start = coop::time::Instant::now();
    let (guard, result) = changed.wait_timeout(data.lock()?, Duration::from_secs(60))?;
    assert_eq!((start.elapsed(), result.timed_out(), *guard), (Duration::from_secs(60), true, 0));
    drop(guard);
    coop::wait_all(|s| {
        let mut waiter = s.spawn(|| {
            let (guard, result) = changed.wait_timeout(data.lock()?, Duration::from_secs(60))?;
            Ok::<_, Killed>((*guard, result.timed_out()))
        });
        settle();
        *data.try_lock().unwrap() = 5;
        changed.notify_one();
        assert_eq!(waiter.join().unwrap(), Ok((5, false)));
    });
    Ok(())
}

/// What `timeout` bounds ends without a guard; the lock is there to be taken.
#[coop::test]
fn a_deadline_around_it_is_a_kill_like_any() {
    let (data, changed) = (Mutex::new(0), Condvar::new());
    let late = coop::timeout(Duration::from_millis(1), || -> std::io::Result<()> {
        drop(changed.wait(data.lock()?)?);
        Ok(())
    });
    assert_eq!(late.unwrap_err().kind(), std::io::ErrorKind::TimedOut);
    assert!(data.try_lock().is_some());
}

/// A bounded queue made by hand, in whatever order its tasks run: nothing is lost, and nobody is left waiting.
#[coop::test(schedules = 100)]
fn producers_and_consumers() {
    let (queue, changed) = (Mutex::new(VecDeque::new()), Condvar::new());
    let mut sum = 0;
    coop::wait_all(|s| {
        for producer in 0..4 {
            let (queue, changed) = (&queue, &changed);
            s.spawn(move || -> Result<(), Killed> {
                for n in 0..10 {
                    let mut queue = changed.wait_while(queue.lock()?, |queue| queue.len() == 2)?;
                    queue.push_back(producer * 10 + n);
                    changed.notify_all();
                }
                Ok(())
            });
        }
        let consumers: Vec<_> = (0..4)
            .map(|_| {
                s.spawn(|| -> Result<i32, Killed> {
                    let mut sum = 0;
                    for _ in 0..10 {
                        let mut queue = changed.wait_while(queue.lock()?, |queue| queue.is_empty())?;
                        sum += queue.pop_front().unwrap();
                        changed.notify_all();
                    }
                    Ok(sum)
                })
            })
            .collect();
        sum = consumers.into_iter().map(|mut consumer| consumer.join().unwrap().unwrap()).sum();
    });
    assert_eq!(sum, (0..40).sum());
}
