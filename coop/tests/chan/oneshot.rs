use crate::trace::settle;
use coop::chan::{self, RecvError, TryRecvError, Unsent};
use coop::op;
use std::time::Duration;

#[coop::test]
fn the_answer_comes_or_it_is_said_that_none_will() {
    let (tx, rx) = chan::oneshot();
    assert_eq!(rx.try_recv(), Err(TryRecvError::Empty));
    let mut asks = coop::spawn(move || (rx.recv(), rx.recv(), rx.try_recv()));
    settle();
    tx.send(1).unwrap();
    assert_eq!(asks.join().unwrap(), (Ok(1), Err(RecvError::Closed), Err(TryRecvError::Closed)));

    let (tx, rx) = chan::oneshot::<u8>();
    let mut asks = coop::spawn(move || rx.recv());
    settle();
    drop(tx);
    assert_eq!(asks.join().unwrap(), Err(RecvError::Closed));
}

#[coop::test]
fn nobody_wants_it() {
    let (tx, rx) = chan::oneshot();
    drop(rx);
    assert!(tx.is_closed());
    assert_eq!(tx.send("answer"), Err(Unsent("answer")));

    let (tx, rx) = chan::oneshot();
    rx.close();
    assert_eq!(tx.send("answer"), Err(Unsent("answer")));
    assert_eq!(rx.recv(), Err(RecvError::Closed));

    // What was sent before the close is there.
    let (tx, rx) = chan::oneshot();
    tx.send("answer").unwrap();
    rx.close();
    assert_eq!(rx.recv(), Ok("answer"));
}

/// The sender is killed: its end goes with its stack.
#[coop::test]
fn a_killed_sender_is_the_end() {
    let (tx, rx) = chan::oneshot::<u8>();
    let mut works = coop::spawn(move || {
        coop::sleep(Duration::from_secs(3600))?;
        tx.send(1).map_err(|_| coop::checkpoint().unwrap_err())
    });
    settle();
    works.kill();
    assert_eq!(rx.recv(), Err(RecvError::Closed));
    assert!(works.join().unwrap().is_err());
}

#[coop::test]
fn a_killed_receive_leaves_the_message() {
    let (tx, rx) = chan::oneshot();
    coop::wait_all(|s| {
        let mut asks = s.spawn(|| rx.recv());
        settle();
        asks.kill();
        assert!(matches!(asks.join().unwrap(), Err(RecvError::Killed(_))));
        tx.send(1).unwrap();
    });
    assert_eq!(rx.recv(), Ok(1));
}

/// Two tasks that share the receiver: one gets it, the other learns that it is gone.
#[coop::test]
fn who_waits_longest_gets_it() {
    let (tx, rx) = chan::oneshot();
    coop::wait_all(|s| {
        let handle = s.start(op::receive(&rx));
        let mut second = s.spawn(|| rx.recv());
        let mut third = s.spawn(|| rx.recv());
        settle();
        tx.send(1).unwrap();
        assert_eq!(rx.try_recv(), Err(TryRecvError::Empty), "it is the handle's");
        // Given up: it goes to the next.
        drop(handle);
        assert_eq!((second.join().unwrap(), third.join().unwrap()), (Ok(1), Err(RecvError::Closed)));
    });
}

/// The close is the end for whoever waits already, and for whoever comes, though the sender lives on.
#[coop::test]
fn a_close_ends_the_wait() {
    let (tx, rx) = chan::oneshot::<u8>();
    coop::wait_all(|s| {
        let mut waits = s.spawn(|| rx.recv());
        settle();
        rx.close();
        assert_eq!((waits.join().unwrap(), rx.recv()), (Err(RecvError::Closed), Err(RecvError::Closed)));
    });
    assert_eq!((rx.try_recv(), tx.send(1)), (Err(TryRecvError::Closed), Err(Unsent(1))));
}
