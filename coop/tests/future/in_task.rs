//! `future::in_task`: what blocks a task, as a future.

use super::{Trace, let_others_run, milliseconds};
use coop::{Cause, JoinError, block_on, future, spawn};
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

#[coop::test]
fn it_runs_beside_the_future_that_awaits_it() {
    let trace = Trace::default();
    let told = trace.clone();
    let sum = block_on(async {
        let both = [1, 2].map(|n| {
            let told = told.clone();
            future::in_task(move || {
                told.say(format!("{n} sleeps"));
                coop::sleep(milliseconds(10 * n)).unwrap();
                told.say(format!("{n} ends"));
                n
            })
        });
        trace.say("both are queued");
        let [first, second] = both;
        second.await.unwrap() + first.await.unwrap()
    });
    assert_eq!(sum, Ok(3));
    trace.is(&["both are queued", "1 sleeps", "2 sleeps", "1 ends", "2 ends"]);
}

#[coop::test]
fn dropping_it_kills_the_task_whose_parent_awaits_it() {
    let trace = Trace::default();
    let told = trace.clone();
    let mut parent = spawn(move || {
        let inner = told.clone();
        let slow = future::in_task(move || {
            let cause = coop::sleep(milliseconds(1000)).unwrap_err().cause();
            inner.say(format!("explicit: {}", matches!(cause, Cause::Explicit(_))));
            coop::shield(milliseconds(100), || coop::sleep(milliseconds(50))).unwrap();
            inner.say("has tidied up");
        });
        block_on(future::sleep(milliseconds(1))).unwrap();
        drop(slow);
        told.say("the parent returns");
    });
    parent.join().unwrap();
    trace.say("joined");
    trace.is(&["the parent returns", "explicit: true", "has tidied up", "joined"]);
}

#[coop::test]
fn the_slower_of_two_is_killed_by_a_select() {
    use futures::future::{Either, select};
    let trace = Trace::default();
    let told = trace.clone();
    let winner = block_on(async {
        let nap = |time| {
            let told = told.clone();
            future::in_task(move || {
                let result = coop::sleep(milliseconds(time));
                told.say(format!("{time}: {}", if result.is_ok() { "slept" } else { "killed" }));
                time
            })
        };
        match select(nap(20), nap(10)).await {
            Either::Left((time, _)) | Either::Right((time, _)) => time.unwrap(),
        }
    });
    assert_eq!(winner, Ok(10));
    let_others_run();
    trace.is(&["10: slept", "20: killed"]);
}

#[cfg_attr(panic = "abort", ignore = "panics, or starts itself again")]
#[coop::test]
fn its_output_tells_of_a_panic_and_of_a_task_that_never_ran() {
    let panicked = block_on(future::in_task(|| panic!("on purpose"))).unwrap();
    match panicked {
        Err(JoinError::Panicked(payload)) => assert_eq!(payload.downcast_ref::<&str>(), Some(&"on purpose")),
        other => panic!("{other:?}"),
    }
    let mut killed = spawn(|| {
        assert!(coop::sleep(milliseconds(1000)).is_err());
        let mut never = future::in_task(|| unreachable!());
        // Its task runs, but only to drop the closure, while this one awaits its children.
        let mut poll = || Pin::new(&mut never).poll(&mut Context::from_waker(Waker::noop()));
        assert!(poll().is_pending());
        coop::shield(milliseconds(10), || coop::sleep(milliseconds(1))).unwrap();
        assert!(matches!(poll(), Poll::Ready(Err(JoinError::NeverRan))));
        assert!(matches!(poll(), Poll::Ready(Err(JoinError::AlreadyJoined))));
    });
    let_others_run();
    killed.kill();
    killed.join().unwrap();
}

#[coop::test]
fn it_is_ready_when_the_tasks_children_have_ended() {
    let trace = Trace::default();
    let (told, daemon) = (trace.clone(), trace.clone());
    block_on(future::in_task(move || {
        let child = told.clone();
        spawn(move || {
            coop::sleep(milliseconds(5)).unwrap();
            child.say("the child ends");
        });
        coop::TaskBuilder::new().daemon().spawn(move || {
            assert!(coop::sleep(milliseconds(1000)).is_err());
            daemon.say("the daemon is killed");
        });
        let_others_run();
        told.say("the task returns");
    }))
    .unwrap()
    .unwrap();
    trace.say("ready");
    trace.is(&["the task returns", "the daemon is killed", "the child ends", "ready"]);
}

#[coop::test]
fn killed_by_name_it_still_gives_what_it_returns() {
    let task = future::in_task(|| coop::sleep(milliseconds(1000)).is_err());
    let_others_run();
    task.kill();
    assert!(block_on(task).unwrap().unwrap());
}

#[coop::test]
fn a_kill_of_the_waiting_task_reaches_it() {
    let trace = Trace::default();
    let told = trace.clone();
    let mut waits = spawn(move || {
        let slow = future::in_task(move || told.say(format!("{:?}", coop::sleep(milliseconds(1000)).is_err())));
        block_on(slow).is_err()
    });
    let_others_run();
    waits.kill();
    assert!(waits.join().unwrap());
    trace.is(&["true"]);
}

#[cfg_attr(panic = "abort", ignore = "panics, or starts itself again")]
#[test]
fn a_panic_that_the_future_never_tells_goes_where_all_such_go() {
    let kills = coop::Builder::new().on_orphan_panic(coop::OrphanPanic::KillParent);
    kills
        .run(|| {
            // Dropped before its end, and after.
            for time in [0, 10] {
                let mut parent = spawn(move || {
                    let task = future::in_task(|| {
                        let _ = coop::sleep(milliseconds(5));
                        panic!("on purpose");
                    });
                    coop::sleep(milliseconds(time)).unwrap();
                    drop(task);
                    coop::sleep(milliseconds(1000)).is_err()
                });
                assert!(parent.join().unwrap());
            }
        })
        .unwrap();
}
