//! Channels between threads: nothing lost, nothing doubled, nobody overtaken, whoever waits and however the wait ends.

use coop::chan::passage::{Receiver, Sender};
use coop::chan::{self, RecvError, ReserveError, SendError, TryRecvError, TrySendError};
use coop::{Cause, op};
use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::Duration;

const ROUNDS: usize = if cfg!(debug_assertions) { 5_000 } else { 100_000 };

#[test]
fn messages_arrive_in_order_between_threads_that_are_no_cooperators() {
    let (tx, rx) = chan::passage(3);
    let reader = thread::spawn(move || std::iter::from_fn(|| rx.recv().ok()).collect::<Vec<_>>());
    for n in 0..ROUNDS {
        tx.send(n).unwrap();
    }
    drop(tx);
    assert_eq!(reader.join().unwrap(), Vec::from_iter(0..ROUNDS));
}

#[test]
fn messages_arrive_in_order_between_two_cooperators() {
    let (tx, rx) = chan::passage(3);
    let reader = thread::spawn(move || coop::run(|| std::iter::from_fn(|| rx.recv().ok()).collect::<Vec<_>>()));
    coop::run(|| {
        for n in 0..ROUNDS {
            tx.send(n).unwrap();
        }
        drop(tx);
    });
    assert_eq!(reader.join().unwrap(), Vec::from_iter(0..ROUNDS));
}

/// Several Cooperators, tasks and threads on both sides: each message is received once.
#[test]
fn of_many_senders_and_receivers_each_message_goes_to_one() {
    let (tx, rx) = chan::passage(4);
    let each = ROUNDS / 8;
    let send = |tx: Sender<usize>, from: usize| (0..each).for_each(|n| tx.send(from * each + n).unwrap());
    let receive = |rx: Receiver<usize>| std::iter::from_fn(|| rx.recv().ok()).collect::<Vec<_>>();
    let received: Vec<usize> = thread::scope(|s| {
        let tasks = |from: usize| {
            let tx = tx.clone();
            move || {
                coop::run(|| {
                    coop::wait_all(|s| {
                        for task in 0..3 {
                            let tx = tx.clone();
                            s.spawn(move || send(tx, from + task));
                        }
                    });
                });
            }
        };
        s.spawn(tasks(0));
        s.spawn(tasks(3));
        for from in 6..8 {
            let tx = tx.clone();
            s.spawn(move || send(tx, from));
        }
        drop(tx);
        let mut readers = Vec::new();
        for _ in 0..2 {
            let rx = rx.clone();
            readers.push(s.spawn(move || {
                coop::run(|| {
                    let mut tasks = [(); 3].map(|()| {
                        let rx = rx.clone();
                        coop::spawn(move || receive(rx))
                    });
                    tasks.iter_mut().flat_map(|task| task.join().unwrap()).collect::<Vec<_>>()
                })
            }));
        }
        let rx = rx.clone();
        readers.push(s.spawn(move || receive(rx)));
        readers.into_iter().flat_map(|reader| reader.join().unwrap()).collect()
    });
    assert_eq!(received.len(), 8 * each, "none is doubled");
    assert_eq!(BTreeSet::from_iter(received).len(), 8 * each, "none is lost");
}

#[test]
fn ends_that_close_are_seen_by_the_others() {
    let (tx, rx) = chan::passage::<u8>(1);
    assert_eq!(rx.try_recv(), Err(TryRecvError::Empty));
    tx.try_send(1).unwrap();
    assert_eq!(tx.try_send(2), Err(TrySendError::Full(2)));
    assert_eq!((rx.len(), rx.is_empty()), (1, false));
    drop(tx);
    assert_eq!(rx.recv(), Ok(1), "what was sent is delivered after the sender has gone");
    assert_eq!(rx.recv(), Err(RecvError::Closed));
    assert_eq!(rx.try_recv(), Err(TryRecvError::Closed));

    let (tx, rx) = chan::passage::<u8>(1);
    let permit = tx.reserve().unwrap();
    drop(rx);
    assert_eq!(permit.send(3), Err(3));
    assert!(tx.is_closed());
    assert_eq!(tx.send(4), Err(SendError::Closed(4)));
    assert_eq!(tx.try_send(5), Err(TrySendError::Closed(5)));
    assert_eq!(tx.reserve().unwrap_err(), ReserveError::Closed);
}

#[test]
fn those_who_wait_learn_that_the_other_end_has_gone() {
    let (tx, rx) = chan::passage::<u8>(1);
    let (full, full_rx) = chan::passage::<u8>(1);
    full.send(0).unwrap();
    let waiting = Arc::new(Barrier::new(3));
    let (at, also_at) = (waiting.clone(), waiting.clone());
    let reader = thread::spawn(move || {
        coop::run(|| {
            let mut task = coop::spawn(move || rx.recv());
            coop::yield_now().unwrap();
            at.wait();
            task.join().unwrap()
        })
    });
    let writer = thread::spawn(move || {
        also_at.wait();
        full.send(1)
    });
    waiting.wait();
    drop((tx, full_rx));
    assert_eq!(reader.join().unwrap(), Err(RecvError::Closed));
    assert_eq!(writer.join().unwrap(), Err(SendError::Closed(1)));
}

#[coop::test]
fn a_killed_task_takes_nothing_and_gives_its_message_back() {
    let (tx, rx) = chan::passage(1);
    let (mut receiving, sender) = (
        coop::spawn({
            let rx = rx.clone();
            move || rx.recv()
        }),
        tx.clone(),
    );
    coop::yield_now().unwrap();
    receiving.kill();
    let Err(RecvError::Killed(killed)) = receiving.join().unwrap() else {
        panic!("killed while the channel was empty")
    };
    assert!(matches!(killed.cause(), Cause::Explicit(_)));

    tx.send("first").unwrap();
    let mut sending = coop::spawn(move || sender.send("second"));
    coop::yield_now().unwrap();
    sending.kill();
    assert_eq!(sending.join().unwrap().unwrap_err().into_message(), "second");
    assert_eq!((rx.recv(), rx.try_recv()), (Ok("first"), Err(TryRecvError::Empty)));
}

#[coop::test]
fn a_deadline_ends_a_wait() {
    let (_tx, rx) = chan::passage::<u8>(1);
    let (result, expired) = coop::deadline(Duration::from_secs(5), || rx.recv());
    assert!(matches!(result, Err(RecvError::Killed(_))));
    assert!(expired.is_expired());
}

#[coop::test]
fn tasks_are_served_in_the_order_in_which_they_came() {
    let (tx, rx) = chan::passage(1);
    let order = RefCell::new(Vec::new());
    coop::wait_all(|s| {
        for task in 0..5 {
            let (order, rx) = (&order, &rx);
            s.spawn(move || {
                let message = rx.recv().unwrap();
                order.borrow_mut().push((task, message));
            });
        }
        coop::yield_now().unwrap();
        for message in "abcde".chars() {
            tx.send(message).unwrap();
        }
    });
    assert_eq!(order.into_inner(), [(0, 'a'), (1, 'b'), (2, 'c'), (3, 'd'), (4, 'e')]);
}

/// The race of the lossless arms: against a timer, a kill and each other, with the other end on another thread.
#[test]
fn an_arm_that_does_not_win_has_taken_nothing() {
    let (tx, rx) = chan::passage(2);
    let sent = Arc::new(AtomicUsize::new(0));
    let count = sent.clone();
    let writer = thread::spawn(move || {
        for n in 0..ROUNDS {
            if tx.send(n).is_err() {
                return;
            }
            count.store(n + 1, SeqCst);
            if n % 7 == 0 {
                thread::yield_now();
            }
        }
    });
    let got = coop::run(|| {
        let next = Cell::new(0);
        let take = |n: usize| {
            assert_eq!(n, next.get(), "in order, none lost, none doubled");
            next.set(n + 1);
        };
        let mut killed = 0;
        while next.get() < ROUNDS {
            // Two arms on one channel, a timer that is about as fast, and now and then a kill in the midst.
            coop::wait_all(|s| {
                let mut task = s.spawn(|| {
                    for _ in 0..50 {
                        if next.get() == ROUNDS {
                            return;
                        }
                        coop::select! {
                            n = op::receive(&rx) => take(n.unwrap()),
                            n = op::receive(&rx) => take(n.unwrap()),
                            _ = op::after(Duration::from_micros(3)) => {}
                            killed(_) => { killed += 1; return }
                        }
                    }
                });
                if next.get().is_multiple_of(3) {
                    let _ = coop::sleep(Duration::from_micros(20));
                    task.kill();
                }
                let _ = task.join();
            });
        }
        assert!(killed > 0 || ROUNDS < 1000, "some kills have hit");
        next.get()
    });
    writer.join().unwrap();
    assert_eq!((got, sent.load(SeqCst)), (ROUNDS, ROUNDS));
}

#[test]
fn a_permit_that_loses_gives_its_place_back() {
    let (tx, rx) = chan::passage(1);
    let reader = thread::spawn(move || std::iter::from_fn(|| rx.recv().ok()).collect::<Vec<_>>());
    let sent = coop::run(|| {
        let mut sent = Vec::new();
        for n in 0..ROUNDS / 10 {
            coop::select! {
                permit = op::reserve(&tx) => { permit.unwrap().send(n).unwrap(); sent.push(n); }
                _ = op::after(Duration::from_micros(2)) => {}
            }
            .unwrap();
        }
        drop(tx);
        sent
    });
    assert!(!sent.is_empty());
    assert_eq!(reader.join().unwrap(), sent);
}

#[coop::test(real_time)]
fn a_handle_keeps_its_place() -> Result<(), coop::Killed> {
    let (tx, rx) = chan::passage(1);
    coop::wait_all(|s| {
        let mut next = s.start(op::receive(&rx));
        let timed_out = coop::select! {
            _ = &mut next => false,
            _ = op::after(Duration::from_millis(1)) => true,
        }?;
        assert!(timed_out);
        let mut later = coop::spawn({
            let rx = rx.clone();
            move || rx.recv()
        });
        let writer = thread::spawn(move || (tx.send("first").unwrap(), tx.send("second").unwrap()));
        assert_eq!(next.wait(), Ok("first"), "the Handle came before the task");
        assert_eq!(later.join().unwrap(), Ok("second"));
        writer.join().unwrap();
        // One that is dropped with a message in hand passes it on.
        Ok(())
    })
}

#[coop::test(real_time)]
fn a_handle_that_is_dropped_or_forgotten_passes_its_message_on() {
    let (tx, rx) = chan::passage(4);
    coop::wait_all(|s| {
        let served = s.start(op::receive(&rx));
        tx.send(1).unwrap();
        drop(served);
        let forgotten = s.start(op::receive(&rx));
        std::mem::forget(forgotten);
    });
    assert_eq!(rx.recv(), Ok(1));
}

/// Messages whose drop uses the channel, and messages that nobody receives.
#[test]
fn messages_that_nobody_received_are_dropped_without_the_lock() {
    struct Curious(Sender<Curious>, Arc<AtomicUsize>);
    impl Drop for Curious {
        fn drop(&mut self) {
            assert!(self.0.is_closed());
            self.1.fetch_add(1, SeqCst);
        }
    }
    let dropped = Arc::new(AtomicUsize::new(0));
    let (tx, rx) = chan::passage(4);
    for _ in 0..3 {
        assert!(tx.send(Curious(tx.clone(), dropped.clone())).is_ok());
    }
    drop(rx);
    assert_eq!(dropped.load(SeqCst), 3);
}

/// A Cooperator that ends with waiters, killed at its shutdown, leaves no ticket behind.
#[test]
fn a_cooperator_that_ends_leaves_the_queue() {
    let (tx, rx) = chan::passage(1);
    coop::run(|| {
        for _ in 0..10 {
            let rx = rx.clone();
            coop::spawn(move || rx.recv());
        }
        coop::yield_now().unwrap();
    });
    tx.send(7).unwrap();
    assert_eq!(rx.recv(), Ok(7), "those who were killed are promised nothing");
}

/// Of many who wait some give up, from everywhere in the queue: the others keep their order.
#[coop::test]
fn those_who_give_up_leave_from_the_middle() {
    const MANY: usize = 2_000;
    let (tx, rx) = chan::passage(1);
    let received = RefCell::new(Vec::new());
    let receive = &|place| rx.recv().map(|_| received.borrow_mut().push(place));
    coop::wait_all(|s| {
        let small = coop::TaskBuilder::new().stack(32 * 1024);
        let waiting: Vec<_> = (0..MANY).map(|place| small.spawn_in(s, move || receive(place))).collect();
        coop::sleep(Duration::from_millis(1)).unwrap();
        // 7 and the number of tasks have no divisor in common, so each place comes once.
        let leaving = (0..MANY / 2).map(|n| n * 7 % MANY);
        let mut staying = BTreeSet::from_iter(0..MANY);
        for place in leaving {
            waiting[place].kill();
            staying.remove(&place);
        }
        coop::sleep(Duration::from_millis(1)).unwrap();
        (0..staying.len()).for_each(|n| tx.send(n).unwrap());
        coop::sleep(Duration::from_millis(1)).unwrap();
        assert_eq!(received.take(), Vec::from_iter(staying));
    });
}
