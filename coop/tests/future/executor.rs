//! `future::Executor`, and futures from other threads.

use super::{Trace, let_others_run, milliseconds};
use async_channel as channel;
use coop::future::{self, Executor};
use coop::{JoinError, TaskBuilder, block_on, spawn};
use std::thread;

#[coop::test]
fn futures_are_children_of_the_task_that_spawns_them() {
    let trace = Trace::default();
    let told = trace.clone();
    let mut parent = spawn(move || {
        for time in [10, 5] {
            let told = told.clone();
            Executor::new().spawn(async move {
                future::sleep(milliseconds(time)).await;
                told.say(format!("{time} ends"));
            });
        }
        told.say("the parent returns");
    });
    parent.join().unwrap();
    trace.say("joined");
    trace.is(&["the parent returns", "5 ends", "10 ends", "joined"]);
}

#[coop::test]
fn daemons_end_with_the_task_that_spawned_them() {
    let trace = Trace::default();
    let told = trace.clone();
    let mut parent = spawn(move || {
        let witness = told.witness("the future");
        Executor::of(TaskBuilder::new().name("endless").daemon()).spawn(async move {
            let _witness = witness;
            std::future::pending::<()>().await;
        });
        let_others_run();
    });
    parent.join().unwrap();
    trace.is(&["the future is dropped in endless"]);
}

#[cfg_attr(panic = "abort", ignore = "panics, or starts itself again")]
#[coop::test]
fn a_killed_future_says_so_and_a_panic_is_told() {
    let mut slow = Executor::new().spawn(future::sleep(milliseconds(1000)));
    let_others_run();
    slow.kill();
    assert!(slow.join().unwrap().is_err());
    let mut fails = Executor::new().spawn(async { panic!("on purpose") });
    assert!(matches!(fails.join(), Err(JoinError::Panicked(_))));
}

#[test]
fn another_thread_spawns_futures_and_gets_what_they_give() {
    coop::run(|| {
        let remote = coop::remote().unwrap();
        let (tx, rx) = channel::bounded(1);
        let thread = thread::spawn(move || {
            let mut tasks = (0..10).map(|n| {
                let rx = rx.clone();
                remote.spawn_future(async move { n + rx.recv().await.unwrap() }).map_err(drop).unwrap()
            });
            let mut tasks: Vec<_> = tasks.by_ref().collect();
            tasks.iter_mut().map(|task| task.join().unwrap().unwrap()).sum::<i32>()
        });
        block_on(async {
            for _ in 0..10 {
                tx.send(100).await.unwrap();
            }
        })
        .unwrap();
        assert_eq!(coop::unblock(|| thread.join().unwrap()).unwrap(), 1045);
    });
}

#[test]
fn a_cooperator_that_has_finished_gives_the_future_back() {
    let remote = coop::run(|| coop::remote().unwrap());
    let future = remote.spawn_future(async { 7 }).map(drop).unwrap_err();
    assert_eq!(futures::executor::block_on(future), 7);
}
