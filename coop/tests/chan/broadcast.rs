use crate::trace::{Trace, settle};
use coop::chan::broadcast::{RecvError, TryRecvError};
use coop::chan::{self, Unsent};
use coop::op;
use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

#[coop::test]
fn everybody_gets_everything_from_when_they_came() {
    let (tx, mut first) = chan::broadcast(8);
    let trace = Trace::default();
    assert_eq!(tx.send(1), Ok(1));
    let mut second = tx.subscribe();
    assert_eq!(tx.send(2), Ok(2));
    let mut third = first.clone();
    drop(tx);
    coop::wait_all(|s| {
        let trace = &trace;
        for (name, rx) in [("first", &mut first), ("second", &mut second), ("third", &mut third)] {
            s.spawn(move || {
                while let Ok(n) = rx.recv() {
                    trace.say(format!("{name} {n}"));
                }
                assert_eq!((rx.recv(), rx.try_recv()), (Err(RecvError::Closed), Err(TryRecvError::Closed)));
            });
        }
    });
    trace.expect(&["first 1", "first 2", "second 2", "third 1", "third 2"]);
}

#[coop::test]
fn who_waits_is_woken_and_who_lags_is_told() {
    let (tx, mut rx) = chan::broadcast(2);
    let mut slow = tx.subscribe();
    coop::wait_all(|s| {
        let mut quick = s.spawn(move || {
            let mut got = Vec::new();
            while let Ok(n) = rx.recv() {
                got.push(n);
            }
            got
        });
        for n in 0..5 {
            settle();
            tx.send(n).unwrap();
        }
        settle();
        assert_eq!((tx.len(), slow.len(), tx.capacity()), (2, 5, 2));
        assert_eq!(slow.recv(), Err(RecvError::Lagged(3)));
        assert_eq!((slow.recv(), slow.recv(), slow.try_recv()), (Ok(3), Ok(4), Err(TryRecvError::Empty)));
        assert!(tx.is_empty(), "what all have received is not kept");
        drop(tx);
        assert_eq!(quick.join().unwrap(), [0, 1, 2, 3, 4]);
    });
}

/// Woken for a message that is pushed out before the task runs: it is told.
#[coop::test]
fn woken_and_overtaken() {
    let (tx, mut rx) = chan::broadcast(1);
    let mut task = coop::spawn(move || (rx.recv(), rx.recv()));
    settle();
    assert!((0..4).all(|n| tx.send(n).is_ok()));
    assert_eq!(task.join().unwrap(), (Err(RecvError::Lagged(3)), Ok(3)));
}

/// What nobody has yet to receive is not kept, whoever goes in whatever order.
#[coop::test]
fn nothing_is_kept_for_those_who_are_gone() {
    let (tx, mut a) = chan::broadcast(8);
    let mut b = a.clone();
    let c = tx.subscribe();
    let message = Rc::new(());
    let alive = || Rc::strong_count(&message) - 1;
    (0..3).for_each(|_| drop(tx.send(message.clone())));
    assert_eq!((alive(), tx.len()), (3, 3));
    drop(a.recv());
    drop(b.recv());
    assert_eq!(alive(), 3);
    drop(c);
    assert_eq!((alive(), tx.len()), (2, 2), "the first was c's alone");
    drop(a.recv());
    drop(a.recv());
    drop(b);
    assert_eq!((alive(), tx.len(), tx.receiver_count()), (0, 0, 1));
    drop(a);
    assert_eq!(tx.send(message.clone()).map_err(|Unsent(_)| ()), Err(()));
    let mut late = tx.subscribe();
    assert_eq!((late.len(), late.try_recv()), (0, Err(TryRecvError::Empty)));
}

/// The last receiver of a message gets the message itself, the others clones.
#[coop::test]
fn the_last_one_gets_the_original() {
    struct Counted(Rc<Cell<usize>>);
    impl Clone for Counted {
        fn clone(&self) -> Self {
            self.0.set(self.0.get() + 1);
            Counted(self.0.clone())
        }
    }
    let clones = Rc::new(Cell::new(0));
    let (tx, mut a) = chan::broadcast(1);
    let mut b = a.clone();
    tx.send(Counted(clones.clone())).ok().unwrap();
    drop((a.recv(), b.recv()));
    assert_eq!(clones.get(), 1);
}

#[coop::test]
fn arms_kills_and_deadlines_take_nothing() {
    let (tx, mut rx) = chan::broadcast(4);
    tx.send(1).unwrap();
    coop::select! {
        biased;
        _ = op::after(Duration::ZERO) => {}
        _ = op::receive(&mut rx) => panic!("the first is ready"),
    }
    .unwrap();
    assert_eq!(rx.recv(), Ok(1));
    let late = coop::timeout(Duration::from_millis(1), || -> std::io::Result<u8> { Ok(rx.recv()?) });
    assert_eq!(late.unwrap_err().kind(), std::io::ErrorKind::TimedOut);
    coop::wait_all(|s| {
        let rx = &mut rx;
        let mut task = s.spawn(move || {
            let error = rx.recv();
            (error, rx.try_recv())
        });
        settle();
        task.kill();
        let (error, after) = task.join().unwrap();
        assert!(matches!(error, Err(RecvError::Killed(_))));
        assert_eq!(after, Err(TryRecvError::Empty));
    });
    tx.send(2).unwrap();
    coop::wait_all(|s| assert_eq!(s.start(op::receive(&mut rx)).cancel(), Some(Ok(2)), "it had come"));
    tx.send(3).unwrap();
    coop::wait_all(|s| drop(s.start(op::receive(&mut rx))));
    assert_eq!(rx.recv(), Ok(3), "a handle that is dropped takes nothing");
    assert_eq!(chan::broadcast::<u8>(0).0.capacity(), 1);
}

/// Against a model: each receiver's messages and gaps add up to all that was sent.
#[coop::test(schedules = 100)]
fn messages_and_gaps_add_up() {
    let (tx, rx) = chan::broadcast(3);
    coop::wait_all(|s| {
        for task in 0..5usize {
            let mut rx = rx.clone();
            s.spawn(move || {
                let mut next = 0;
                loop {
                    match rx.recv() {
                        Ok(n) => {
                            assert_eq!(n, next);
                            next += 1;
                        }
                        Err(RecvError::Lagged(missed)) => next += missed,
                        Err(_) => break,
                    }
                    (0..task).for_each(|_| coop::yield_now().unwrap());
                }
                assert_eq!(next, 40);
            });
        }
        drop(rx);
        for n in 0..40u64 {
            tx.send(n).unwrap();
            coop::yield_now().unwrap();
        }
        drop(tx);
    });
}

/// What nobody will see any more goes with the last who would have, all of it, though the drop of one panics.
#[cfg_attr(panic = "abort", ignore = "panics, or starts itself again")]
#[coop::test]
fn a_drop_that_panics_leaves_nothing_that_all_have_seen() {
    struct Panics(Rc<Cell<bool>>);
    impl Drop for Panics {
        fn drop(&mut self) {
            assert!(!self.0.replace(false), "on purpose");
        }
    }
    impl Clone for Panics {
        fn clone(&self) -> Self {
            Panics(Rc::default())
        }
    }
    let is_armed = Rc::new(Cell::new(false));
    let (tx, mut first) = chan::broadcast(4);
    let second = tx.subscribe();
    for _ in 0..3 {
        assert!(tx.send(Panics(is_armed.clone())).is_ok() && first.try_recv().is_ok());
    }
    is_armed.set(true);
    assert!(coop::spawn(move || drop(second)).join().is_err());
    assert_eq!(tx.len(), 0);
    assert!(tx.send(Panics(is_armed)).is_ok() && first.try_recv().is_ok() && tx.is_empty());
}
