//! Wakers: from any thread, at any time, often, and too late.

use super::{let_others_run, milliseconds};
use async_channel as channel;
use coop::{block_on, spawn};
use futures::task::AtomicWaker;
use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::task::{Context, Poll, Waker};
use std::thread;

/// Gives the Waker of a task that waits until it was woken once.
struct WokenOnce(Rc<RefCell<Option<Waker>>>);

impl Future for WokenOnce {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        match self.0.replace(Some(context.waker().clone())) {
            None => Poll::Pending,
            Some(_) => Poll::Ready(()),
        }
    }
}

#[test]
fn of_a_hundred_thousand_wakes_from_another_thread_none_is_lost() {
    const ROUNDS: u64 = 100_000;
    #[derive(Default)]
    struct Shared {
        waker: AtomicWaker,
        said: AtomicU64,
        heard: AtomicU64,
    }
    let shared = Arc::new(Shared::default());
    let theirs = shared.clone();
    // Each round is one wake, and the next begins only when that one was seen: a lost one would be a hang.
    let thread = thread::spawn(move || {
        for round in 1..=ROUNDS {
            theirs.said.store(round, SeqCst);
            theirs.waker.wake();
            while theirs.heard.load(SeqCst) != round {
                // Half the rounds wait for the wake-up in the kernel.
                if round % 2 == 0 { thread::yield_now() } else { std::hint::spin_loop() }
            }
        }
    });
    coop::run(|| {
        // The others of this thread are not disturbed.
        let ticks = spawn(|| while coop::sleep(milliseconds(1)).is_ok() {});
        let mut heard = 0;
        block_on(poll_fn(|context| {
            shared.waker.register(context.waker());
            let said = shared.said.load(SeqCst);
            if said != heard {
                assert_eq!(said, heard + 1);
                heard = said;
                shared.heard.store(heard, SeqCst);
            }
            if heard == ROUNDS { Poll::Ready(()) } else { Poll::Pending }
        }))
        .unwrap();
        ticks.kill();
    });
    thread.join().unwrap();
}

#[test]
fn a_storm_of_wakes_of_four_threads_and_a_task_ends_with_the_last_word() {
    const WAKES: u64 = 25_000;
    for _ in 0..4 {
        let (waker, is_done) = (Arc::new(AtomicWaker::new()), Arc::new(AtomicBool::new(false)));
        let wakes = Arc::new(AtomicU64::new(0));
        let polls = Cell::new(0u64);
        coop::run(|| {
            let threads = [0; 4].map(|_| {
                let (waker, wakes) = (waker.clone(), wakes.clone());
                thread::spawn(move || {
                    for _ in 0..WAKES {
                        wakes.fetch_add(1, SeqCst);
                        waker.wake();
                    }
                })
            });
            let (last, done) = (waker.clone(), is_done.clone());
            let mut task = spawn(move || {
                for thread in threads {
                    while !thread.is_finished() {
                        last.wake();
                        coop::yield_now().unwrap();
                    }
                    thread.join().unwrap();
                }
                done.store(true, SeqCst);
                last.wake();
            });
            block_on(poll_fn(|context| {
                polls.set(polls.get() + 1);
                waker.register(context.waker());
                if is_done.load(SeqCst) { Poll::Ready(()) } else { Poll::Pending }
            }))
            .unwrap();
            task.join().unwrap();
        });
        assert_eq!(wakes.load(SeqCst), 4 * WAKES);
        assert!(polls.get() >= 1);
    }
}

#[test]
fn a_waker_that_is_left_over_does_nothing() {
    let kept: RefCell<Vec<Waker>> = RefCell::default();
    let polls = Cell::new(0);
    let keep = |context: &mut Context<'_>| {
        polls.set(polls.get() + 1);
        kept.borrow_mut().push(context.waker().clone());
    };
    coop::run(|| {
        block_on(poll_fn(|context| {
            keep(context);
            Poll::Ready(())
        }))
        .unwrap();
        // After the call, from here and from another thread, while the same task waits in the next one.
        let leftover = kept.borrow()[0].clone();
        leftover.wake_by_ref();
        let elsewhere = leftover.clone();
        let thread = thread::spawn(move || elsewhere.wake());
        let (tx, rx) = channel::bounded(1);
        let woken = spawn(move || {
            leftover.wake_by_ref();
            let_others_run();
            leftover.wake();
            tx.try_send(()).unwrap();
        });
        let before = polls.get();
        let mut message = std::pin::pin!(rx.recv());
        block_on(poll_fn(|context| {
            keep(context);
            message.as_mut().poll(context).map(drop)
        }))
        .unwrap();
        assert!(polls.get() - before <= 2, "woken by the message alone: {}", polls.get() - before);
        thread.join().unwrap();
        drop(woken);
        // One whose call a kill has ended.
        let given = Rc::new(RefCell::new(None));
        let waits = WokenOnce(given.clone());
        let mut task = spawn(move || block_on(waits));
        let_others_run();
        task.kill();
        assert!(task.join().unwrap().is_err());
        let waker = given.take().unwrap();
        waker.wake_by_ref();
        let waker = thread::spawn(move || {
            waker.wake_by_ref();
            waker
        });
        kept.borrow_mut().push(waker.join().unwrap());
    });
    // After the Cooperator; and while the next one of this thread runs.
    kept.borrow().iter().for_each(Waker::wake_by_ref);
    coop::run(|| {
        kept.borrow().iter().for_each(Waker::wake_by_ref);
        let wakers = kept.take();
        thread::spawn(move || wakers.into_iter().for_each(Waker::wake)).join().unwrap();
        let_others_run();
        assert_eq!(block_on(async { 1 }), Ok(1));
    });
}

#[test]
fn a_waker_of_one_cooperator_wakes_it_from_a_task_of_another() {
    let (to_a, in_a) = channel::bounded::<u32>(1);
    let (to_b, in_b) = channel::bounded::<u32>(1);
    const ROUNDS: u32 = 1000;
    let other = thread::spawn(move || {
        coop::run(|| {
            block_on(async {
                for _ in 0..ROUNDS {
                    to_a.send(in_b.recv().await.unwrap() + 1).await.unwrap();
                }
            })
            .unwrap();
        });
    });
    coop::run(|| {
        block_on(async {
            for round in 0..ROUNDS {
                to_b.send(round).await.unwrap();
                assert_eq!(in_a.recv().await.unwrap(), round + 1);
            }
        })
        .unwrap();
    });
    other.join().unwrap();
}

#[coop::test(schedules = 100)]
fn what_races_a_kill_is_received_or_still_there() {
    const MESSAGES: u32 = 20;
    let (tx, rx) = channel::unbounded();
    let received = Rc::new(RefCell::new(Vec::new()));
    let mut receivers = Vec::new();
    for _ in 0..4 {
        let (rx, received) = (rx.clone(), received.clone());
        receivers.push(spawn(move || {
            // The channel's end, too, may come first.
            while let Ok(Ok(message)) = block_on(rx.recv()) {
                received.borrow_mut().push(message);
            }
        }));
    }
    let mut sender = spawn(move || {
        for message in 0..MESSAGES {
            tx.try_send(message).unwrap();
            if message % 3 == 0 {
                coop::yield_now().unwrap();
            }
        }
        tx
    });
    for receiver in &receivers {
        receiver.kill();
        coop::yield_now().unwrap();
    }
    drop(sender.join().unwrap());
    receivers.iter_mut().for_each(|receiver| receiver.join().unwrap());
    let mut all = received.take();
    let left = std::iter::from_fn(|| rx.try_recv().ok());
    all.extend(left);
    all.sort();
    assert_eq!(all, (0..MESSAGES).collect::<Vec<_>>());
}

#[test]
fn what_another_thread_sends_in_the_moment_of_a_kill_is_received_or_still_there() {
    const ROUNDS: u32 = 2000;
    let (go, started) = std::sync::mpsc::channel::<channel::Sender<u32>>();
    let sender = thread::spawn(move || {
        for (round, tx) in (0..).zip(started) {
            tx.try_send(round).unwrap();
        }
    });
    let (mut received, mut killed) = (0, 0);
    coop::run(|| {
        for round in 0..ROUNDS {
            let (tx, rx) = channel::bounded(1);
            let waits = rx.clone();
            let mut task = spawn(move || block_on(waits.recv()));
            coop::yield_now().unwrap();
            go.send(tx).unwrap();
            for _ in 0..round % 40 {
                coop::yield_now().unwrap();
            }
            task.kill();
            match task.join().unwrap() {
                Ok(message) => {
                    assert_eq!(message, Ok(round));
                    received += 1;
                }
                Err(_) => {
                    assert_eq!(rx.recv_blocking(), Ok(round));
                    killed += 1;
                }
            }
        }
    });
    drop(go);
    sender.join().unwrap();
    assert_eq!(received + killed, ROUNDS);
}

/// A Waker that is gone wakes nobody: when the last was dropped, here or on another thread, the task waits for ever, and that is
/// found out.
#[test]
fn when_the_last_clone_has_been_dropped_it_is_a_deadlock() {
    for is_elsewhere in [false, true] {
        coop::run(|| {
            let kept = Rc::new(RefCell::new(None));
            let takes = kept.clone();
            spawn(move || {
                let last: Waker = takes.take().unwrap();
                match is_elsewhere {
                    true => drop(thread::spawn(move || drop(last))),
                    false => drop(last),
                }
            });
            let waits = poll_fn(|context| {
                kept.replace(Some(context.waker().clone()));
                Poll::<()>::Pending
            });
            assert_eq!(block_on(waits).unwrap_err().cause(), coop::Cause::Resources);
        });
    }
}
