//! Crates that were written for no runtime in particular, driven by `block_on`.

use super::{Trace, let_others_run, milliseconds};
use coop::future::{self, Executor};
use coop::{block_on, spawn};
use futures::channel::{mpsc, oneshot};
use futures::{FutureExt, SinkExt, StreamExt, stream};
use std::rc::Rc;
use std::sync::Arc;
use std::thread;

#[coop::test]
fn futures_join_and_select() {
    let trace = Trace::default();
    let step = |name: &'static str, time| {
        let trace = trace.clone();
        async move {
            future::sleep(milliseconds(time)).await;
            trace.say(name);
            name
        }
    };
    let all = block_on(async {
        let joined = futures::join!(step("slow", 20), step("quick", 10));
        let mut slow = Box::pin(step("slower", 20).fuse());
        let chosen = futures::select! {
            name = slow => name,
            name = step("quicker", 10).fuse() => name,
        };
        (joined, chosen, slow.await)
    });
    assert_eq!(all, Ok((("slow", "quick"), "quicker", "slower")));
    trace.is(&["quick", "slow", "quicker", "slower"]);
}

#[coop::test]
fn futures_try_join_drops_the_others_at_the_first_error() {
    let trace = Trace::default();
    let witness = trace.witness("the other");
    let result = block_on(async {
        futures::try_join!(
            async {
                let _witness = witness;
                future::sleep(milliseconds(1000)).await;
                Ok::<(), &str>(())
            },
            async {
                future::sleep(milliseconds(1)).await;
                Err::<(), _>("failed")
            }
        )
    });
    assert_eq!(result, Ok(Err("failed")));
    trace.is(&["the other is dropped in root"]);
}

#[test]
fn futures_channels_between_threads_and_a_stream_of_many_at_once() {
    let (mut to_task, from_thread) = mpsc::channel::<u32>(4);
    let (answer, sum) = oneshot::channel();
    let thread = thread::spawn(move || {
        for n in 0..1000 {
            futures::executor::block_on(to_task.send(n)).unwrap();
        }
        drop(to_task);
        futures::executor::block_on(sum).unwrap()
    });
    coop::run(|| {
        let doubled = from_thread.map(|n| async move { n * 2 }).buffer_unordered(8);
        let total = block_on(doubled.fold(0, |sum, n| async move { sum + n })).unwrap();
        answer.send(total).unwrap();
    });
    assert_eq!(thread.join().unwrap(), 999_000);
}

#[coop::test]
fn a_shared_future_wakes_every_task_that_awaits_it() {
    let (tx, rx) = oneshot::channel::<&str>();
    let shared = rx.shared();
    let mut tasks = [(); 3].map(|()| Executor::new().spawn(shared.clone()));
    let_others_run();
    tx.send("told").unwrap();
    for task in &mut tasks {
        assert_eq!(task.join().unwrap(), Ok(Ok("told")));
    }
}

#[coop::test]
fn a_stream_of_what_tasks_give() {
    let squares = stream::iter(1..=10u64)
        .map(|n| {
            future::in_task(move || {
                coop::sleep(milliseconds(20 - n)).unwrap();
                n * n
            })
        })
        .buffered(4)
        .map(Result::unwrap)
        .collect::<Vec<_>>();
    assert_eq!(block_on(squares).unwrap(), (1..=10).map(|n| n * n).collect::<Vec<u64>>());
}

#[test]
fn async_channel_between_many_threads_and_tasks() {
    const EACH: u64 = 500;
    let (tx, rx) = async_channel::bounded::<u64>(3);
    let (results, sums) = std::sync::mpsc::channel();
    let cooperators: Vec<_> = (0..2)
        .map(|_| {
            let (rx, results) = (rx.clone(), results.clone());
            thread::spawn(move || {
                let sum = coop::run(|| {
                    let mut tasks = [(); 5].map(|()| {
                        let rx = rx.clone();
                        spawn(move || {
                            let mut sum = 0;
                            while let Ok(n) = block_on(rx.recv()).unwrap() {
                                sum += n;
                            }
                            sum
                        })
                    });
                    tasks.each_mut().map(|task| task.join().unwrap()).iter().sum::<u64>()
                });
                results.send(sum).unwrap();
            })
        })
        .collect();
    let senders: Vec<_> = (0..3)
        .map(|_| {
            let tx = tx.clone();
            thread::spawn(move || {
                coop::run(|| {
                    for n in 1..=EACH {
                        block_on(tx.send(n)).unwrap().unwrap();
                    }
                });
            })
        })
        .collect();
    senders.into_iter().for_each(|thread| thread.join().unwrap());
    tx.close();
    cooperators.into_iter().for_each(|thread| thread.join().unwrap());
    drop(results);
    assert_eq!(sums.iter().sum::<u64>(), 3 * EACH * (EACH + 1) / 2);
}

#[test]
fn event_listener_tells_a_task_from_a_thread() {
    use event_listener::Event;
    let event = Arc::new(Event::new());
    let (listening, heard) = std::sync::mpsc::channel::<()>();
    let tells = event.clone();
    let thread = thread::spawn(move || {
        for () in heard {
            tells.notify(1);
        }
    });
    coop::run(|| {
        for _ in 0..1000 {
            let listener = event.listen();
            listening.send(()).unwrap();
            block_on(listener).unwrap();
        }
    });
    drop(listening);
    thread.join().unwrap();
}

#[coop::test]
fn async_lock_keeps_tasks_apart() {
    let (mutex, barrier) = (Rc::new(async_lock::Mutex::new(Vec::new())), Rc::new(async_lock::Barrier::new(3)));
    let mut tasks = [1, 2, 3].map(|n| {
        let (mutex, barrier) = (mutex.clone(), barrier.clone());
        Executor::new().spawn(async move {
            let mut trace = mutex.lock().await;
            trace.push(format!("{n} enters"));
            future::sleep(milliseconds(1)).await;
            trace.push(format!("{n} leaves"));
            drop(trace);
            barrier.wait().await.is_leader()
        })
    });
    let leaders = tasks.each_mut().map(|task| task.join().unwrap().unwrap());
    assert_eq!(leaders.iter().filter(|is_leader| **is_leader).count(), 1);
    let trace = block_on(mutex.lock()).unwrap();
    assert_eq!(*trace, ["1 enters", "1 leaves", "2 enters", "2 leaves", "3 enters", "3 leaves"]);
}

#[coop::test]
fn a_kill_lets_go_of_an_async_lock() {
    let mutex = Rc::new(async_lock::Mutex::new(()));
    let holds = mutex.clone();
    let mut task = spawn(move || {
        block_on(async {
            let _guard = holds.lock().await;
            future::sleep(milliseconds(1000)).await;
        })
        .is_err()
    });
    let_others_run();
    assert!(mutex.try_lock().is_none());
    task.kill();
    assert!(task.join().unwrap());
    assert!(mutex.try_lock().is_some());
}
