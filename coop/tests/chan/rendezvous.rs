use crate::trace::{Trace, settle};
use coop::chan::{self, RecvError, SendError, TryRecvError, TrySendError};
use coop::{Killed, op};
use std::cell::Cell;
use std::time::Duration;

#[coop::test]
fn a_sender_goes_on_when_its_message_was_taken() {
    let (tx, rx) = chan::rendezvous();
    let trace = Trace::default();
    coop::wait_all(|s| {
        for n in 0..3 {
            let (tx, trace) = (&tx, &trace);
            s.spawn(move || {
                tx.send(n).unwrap();
                trace.say(format!("{n} was taken"));
            });
        }
        settle();
        trace.expect(&[]);
        assert_eq!(rx.recv(), Ok(0));
        settle();
        trace.expect(&["0 was taken"]);
        assert_eq!((rx.try_recv(), rx.recv(), rx.try_recv()), (Ok(1), Ok(2), Err(TryRecvError::Empty)));
    });
    trace.expect(&["1 was taken", "2 was taken"]);
}

#[coop::test]
fn who_waits_is_handed_it_at_once() {
    let (tx, rx) = chan::rendezvous();
    assert_eq!(tx.try_send(0), Err(TrySendError::Full(0)), "nobody waits");
    coop::wait_all(|s| {
        let mut first = s.spawn(|| rx.recv());
        let mut second = s.spawn(|| rx.recv());
        settle();
        coop::no_switch(|| tx.try_send(1)).unwrap();
        coop::no_switch(|| tx.send(2)).unwrap();
        assert_eq!(tx.try_send(3), Err(TrySendError::Full(3)));
        assert_eq!((first.join().unwrap(), second.join().unwrap()), (Ok(1), Ok(2)));
    });
}

#[coop::test]
fn a_killed_sender_takes_its_message_back_from_the_middle() {
    let (tx, rx) = chan::rendezvous();
    coop::wait_all(|s| {
        let send = |n| {
            let tx = tx.clone();
            s.spawn(move || tx.send(n))
        };
        let (mut a, mut b, mut c) = (send(1), send(2), send(3));
        settle();
        b.kill();
        assert!(matches!(b.join().unwrap(), Err(SendError::Killed(_, 2))));
        assert_eq!((rx.recv(), rx.recv(), rx.try_recv()), (Ok(1), Ok(3), Err(TryRecvError::Empty)));
        assert_eq!((a.join().unwrap(), c.join().unwrap()), (Ok(()), Ok(())));
    });
}

#[coop::test]
fn the_ends_learn_of_each_other() {
    let (tx, rx) = chan::rendezvous();
    coop::wait_all(|s| {
        let mut sends = s.spawn({
            let tx = tx.clone();
            move || tx.send(1)
        });
        settle();
        drop(rx);
        assert_eq!(sends.join().unwrap(), Err(SendError::Closed(1)));
    });
    assert_eq!((tx.send(2), tx.try_send(3)), (Err(SendError::Closed(2)), Err(TrySendError::Closed(3))));

    let (tx, rx) = chan::rendezvous::<u8>();
    coop::wait_all(|s| {
        let mut receives = s.spawn(|| rx.recv());
        settle();
        drop(tx);
        assert_eq!(receives.join().unwrap(), Err(RecvError::Closed));
    });
    assert_eq!((rx.try_recv(), rx.next(), rx.iter().next()), (Err(TryRecvError::Closed), Ok(None), None));
}

/// An arm that loses was no receiver: the sender goes on waiting. A Handle is one: what it was handed and gave up is the next's.
#[coop::test]
fn arms_and_handles() -> Result<(), Killed> {
    let (tx, rx) = chan::rendezvous();
    let sent = Cell::new(false);
    coop::wait_all(|s| {
        coop::select! {
            _ = op::receive(&rx) => panic!("nobody sends"),
            _ = op::after(Duration::from_millis(1)) => {}
        }
        .unwrap();
        s.spawn(|| {
            tx.send(1).unwrap();
            sent.set(true);
        });
        settle();
        coop::select! {
            biased;
            _ = op::after(Duration::ZERO) => {}
            _ = op::receive(&rx) => panic!("the first is ready"),
        }
        .unwrap();
        settle();
        assert!(!sent.get());
        let handle = s.start(op::receive(&rx));
        settle();
        assert!(sent.get());
        drop(handle);
        assert_eq!(rx.try_recv(), Ok(1));
    });
    Ok(())
}

#[coop::test]
fn a_deadline_ends_a_send() {
    let (tx, rx) = chan::rendezvous();
    let late = coop::timeout(Duration::from_millis(1), || -> std::io::Result<()> { Ok(tx.send(1)?) });
    assert_eq!(late.unwrap_err().kind(), std::io::ErrorKind::TimedOut);
    assert_eq!(rx.try_recv(), Err(TryRecvError::Empty));
}

#[coop::test(schedules = 200)]
fn kills_lose_nothing() {
    let (tx, rx) = chan::rendezvous();
    let (mut sent, mut got) = (0, Vec::new());
    coop::wait_all(|s| {
        let mut senders: Vec<_> = (0..4)
            .map(|n| {
                let tx = tx.clone();
                s.spawn(move || (0..3).filter(|m| tx.send(n * 3 + m).is_ok()).count())
            })
            .collect();
        let mut receivers: Vec<_> =
            (0..3).map(|_| s.spawn(|| std::iter::from_fn(|| rx.recv().ok()).collect::<Vec<_>>())).collect();
        settle();
        senders[1].kill();
        receivers[0].kill();
        sent = senders.iter_mut().map(|sender| sender.join().unwrap()).sum();
        drop(tx);
        receivers.iter_mut().for_each(|receiver| got.extend(receiver.join().unwrap()));
    });
    assert_eq!(got.len(), sent);
    got.sort();
    got.dedup();
    assert_eq!(got.len(), sent);
}
