//! User code in destructors, wherever the runtime runs one: it may spawn, join, wait, and open scopes.

use crate::child::child;
use crate::trace::Trace;
use coop::{JoinError, TaskBuilder, TaskId};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

/// Does in its `drop` everything that a task can do, and says what came of it.
struct Busy(Trace, &'static str);

// SAFETY: for this test's payloads of panics, which stay on the thread.
unsafe impl Send for Busy {}

impl Drop for Busy {
    fn drop(&mut self) {
        let id: TaskId = coop::current().id();
        let joined = match coop::spawn(|| 5).join() {
            Ok(5) => "joined",
            Err(JoinError::Interrupted(_)) => "join interrupted",
            other => panic!("{other:?}"),
        };
        let slept = if coop::sleep(Duration::from_nanos(1)).is_ok() { "slept" } else { "sleep refused" };
        let mut child = "no child";
        let scoped = coop::scope(|s| -> Result<(), coop::Killed> {
            s.spawn(|| child = "a child");
            coop::yield_now()
        });
        let scoped = if scoped.is_ok() { "scope passed" } else { "scope refused" };
        assert_eq!(coop::current().id(), id);
        self.0.say(format!("{}: {joined}, {slept}, {scoped}, {child}", self.1));
    }
}

const ALL: &str = "joined, slept, scope passed, a child";
const NOTHING: &str = "join interrupted, sleep refused, scope refused, no child";

#[test]
fn of_what_a_body_has_captured() {
    let trace = Trace::default();
    coop::run(|| {
        let busy = Busy(trace.clone(), "captured");
        coop::spawn(move || drop(busy)).join().unwrap();
    });
    assert_eq!(trace.take(), [format!("captured: {ALL}")]);
}

#[test]
fn of_values_that_nobody_joins() {
    let trace = Trace::default();
    coop::run(|| {
        let busy = Busy(trace.clone(), "dropped by its task");
        drop(coop::spawn(move || busy));
        coop::sleep(Duration::from_millis(2)).unwrap();
        let busy = Busy(trace.clone(), "dropped by its handle");
        let handle = coop::spawn(move || busy);
        coop::sleep(Duration::from_millis(2)).unwrap();
        assert!(handle.is_finished());
        drop(handle);
        let busy = Busy(trace.clone(), "dropped at the end of a scope");
        coop::wait_all(|s| {
            s.spawn(move || busy);
        });
    });
    let expected = ["dropped by its task", "dropped by its handle", "dropped at the end of a scope"];
    assert_eq!(trace.take(), expected.map(|who| format!("{who}: {ALL}")));
}

#[test]
fn of_closures_that_never_run() {
    let trace = Trace::default();
    coop::run(|| {
        let busy = Busy(trace.clone(), "no stack");
        drop(TaskBuilder::new().stack(1 << 50).spawn(move || drop(busy)));
        let busy = Busy(trace.clone(), "born killed");
        coop::wait_all(|s| {
            s.kill();
            s.spawn(move || drop(busy));
        });
    });
    assert_eq!(trace.take(), [format!("no stack: {ALL}"), format!("born killed: {NOTHING}")]);
}

#[test]
fn of_the_payloads_of_panics() {
    let trace = Trace::default();
    coop::run(|| {
        let busy = Busy(trace.clone(), "unheard");
        drop(coop::spawn(move || std::panic::panic_any(busy)));
        coop::sleep(Duration::from_millis(2)).unwrap();
        let (first, second) = (Busy(trace.clone(), "first"), Busy(trace.clone(), "second"));
        let panicked = catch_unwind(AssertUnwindSafe(|| {
            coop::wait_all(|s| {
                s.spawn(move || std::panic::panic_any(first));
                s.spawn(move || std::panic::panic_any(second));
            });
        }));
        trace.say("the scope has ended");
        assert_eq!(panicked.unwrap_err().downcast_ref::<Busy>().unwrap().1, "first");
        let (body, child) = (Busy(trace.clone(), "of the body"), Busy(trace.clone(), "of the child"));
        let panicked = catch_unwind(AssertUnwindSafe(|| {
            coop::wait_all(|s| -> () {
                s.spawn(move || std::panic::panic_any(child));
                std::panic::panic_any(body)
            });
        }));
        assert_eq!(panicked.unwrap_err().downcast_ref::<Busy>().unwrap().1, "of the body");
    });
    let expected = [
        // In the task that panicked, which is killed with its children.
        format!("unheard: {NOTHING}"),
        format!("second: {NOTHING}"),
        "the scope has ended".to_owned(),
        format!("first: {ALL}"),
        format!("of the child: {NOTHING}"),
        format!("of the body: {ALL}"),
    ];
    assert_eq!(trace.take(), expected);
}

#[test]
fn of_a_scopes_value_and_of_its_later_errors() {
    let trace = Trace::default();
    coop::run(|| {
        let panicked = catch_unwind(AssertUnwindSafe(|| {
            coop::wait_all(|s| {
                s.spawn(|| panic!("on purpose"));
                Busy(trace.clone(), "the value of a scope whose child panicked")
            })
        }));
        assert!(panicked.is_err());
        let failed: Result<(), Busy> = coop::scope(|s| {
            let (first, second) = (Busy(trace.clone(), "the first error"), Busy(trace.clone(), "the second error"));
            s.try_spawn(move || Err::<(), _>(first));
            s.try_spawn(move || Err::<(), _>(second));
            Ok(())
        });
        trace.say("the scope has failed");
        assert_eq!(failed.unwrap_err().1, "the first error");
    });
    let expected = [
        format!("the value of a scope whose child panicked: {ALL}"),
        format!("the second error: {NOTHING}"),
        "the scope has failed".to_owned(),
        format!("the first error: {ALL}"),
    ];
    assert_eq!(trace.take(), expected);
}

#[test]
fn of_messages_that_nobody_receives() {
    let trace = Trace::default();
    coop::run(|| {
        let (tx, rx) = coop::chan::bounded(4);
        tx.send(Busy(trace.clone(), "left in the channel")).map_err(drop).unwrap();
        let permit = tx.reserve().map_err(drop).unwrap();
        drop(rx);
        permit.send(Busy(trace.clone(), "sent to nobody"));
    });
    assert_eq!(trace.take(), ["left in the channel", "sent to nobody"].map(|who| format!("{who}: {ALL}")));
}

#[test]
fn of_the_roots_value_runs_when_there_is_no_cooperator_any_more() {
    struct Asks(Trace);
    impl Drop for Asks {
        fn drop(&mut self) {
            self.0.say(format!("spawning panics: {}", catch_unwind(|| drop(coop::spawn(|| ()))).is_err()));
        }
    }
    let trace = Trace::default();
    let value = coop::run(|| Asks(trace.clone()));
    trace.say("the run has returned");
    drop(value);
    assert_eq!(trace.take(), ["the run has returned", "spawning panics: true"]);
}

/// Says whether it was dropped where there is a task, or where there is no Cooperator; never in between, on the loop.
struct Where(std::sync::mpsc::Sender<&'static str>);

impl Drop for Where {
    fn drop(&mut self) {
        let place = if catch_unwind(coop::current).is_ok() { "in a task" } else { "without a Cooperator" };
        self.0.send(place).unwrap();
        // And whatever it does there harms nobody.
        let _ = catch_unwind(|| coop::run(|| coop::sleep(Duration::from_nanos(1))));
        panic!("so does a panic");
    }
}

#[test]
fn of_jobs_that_came_too_late_for_their_cooperator() {
    child!(|| {
        let (said, heard) = std::sync::mpsc::channel();
        let mut handles = coop::run(|| {
            let remote = coop::remote().unwrap();
            let jobs = [Where(said.clone()), Where(said)];
            jobs.map(|job| remote.submit(move || drop(job)).map_err(drop).unwrap())
        });
        assert_eq!(heard.try_iter().collect::<Vec<_>>(), ["without a Cooperator"; 2]);
        assert!(handles.iter_mut().all(|handle| matches!(handle.join(), Err(JoinError::NeverRan))));
    })
    .succeeded();
}

#[test]
fn of_jobs_for_which_there_was_no_stack() {
    child!(|| {
        let (said, heard) = std::sync::mpsc::channel();
        coop::Builder::new()
            .stack(1 << 50)
            .run(|| {
                let remote = coop::remote().unwrap();
                let job = Where(said);
                let mut handle = remote.submit(move || drop(job)).map_err(drop).unwrap();
                assert!(matches!(handle.join(), Err(JoinError::NeverRan)), "the answer does not wait for the drop");
            })
            .unwrap();
        assert_eq!(heard.try_iter().collect::<Vec<_>>(), ["without a Cooperator"]);
    })
    .succeeded();
}

#[test]
fn of_a_root_for_which_there_was_no_stack() {
    child!(|| {
        let (said, heard) = std::sync::mpsc::channel();
        let root = Where(said);
        let started =
            catch_unwind(AssertUnwindSafe(|| coop::Builder::new().root_stack(1 << 50).run(move || drop(root))));
        assert_eq!(started.map(drop).unwrap_err().downcast_ref::<&str>(), Some(&"so does a panic"));
        assert_eq!(heard.try_iter().collect::<Vec<_>>(), ["without a Cooperator"]);
        assert_eq!(coop::run(|| 5), 5, "the thread is good for another");
    })
    .succeeded();
}

#[test]
fn that_panic_stay_in_their_task() {
    struct Bomb(u32);
    impl Drop for Bomb {
        fn drop(&mut self) {
            if self.0 > 0 {
                std::panic::panic_any(Bomb(self.0 - 1));
            }
        }
    }
    child!(|| {
        coop::run(|| {
            // The payload's drop panics, and that payload's, and that one's.
            drop(coop::spawn(|| std::panic::panic_any(Bomb(3))));
            drop(coop::spawn(|| Bomb(2)));
            let value = coop::spawn(|| Bomb(1));
            coop::sleep(Duration::from_millis(1)).unwrap();
            drop(value);
            let scoped = catch_unwind(|| {
                coop::wait_all(|s| {
                    s.spawn(|| panic!("first"));
                    s.spawn(|| std::panic::panic_any(Bomb(2)));
                });
            });
            assert_eq!(scoped.unwrap_err().downcast_ref::<&str>(), Some(&"first"));
            assert_eq!(coop::spawn(|| 5).join().unwrap(), 5, "the others go on");
        });
    })
    .succeeded();
}
