use crate::trace::{Trace, settle};
use coop::chan::{self, RecvError, ReserveError, SendError, TryRecvError, TrySendError};
use coop::{Killed, op};
use std::time::Duration;

#[coop::test]
fn both_ends_wait_in_order() {
    let (tx, rx) = chan::bounded(1);
    let trace = Trace::default();
    coop::wait_all(|s| {
        for n in 0..4 {
            let (tx, trace) = (&tx, &trace);
            s.spawn(move || {
                tx.send(n).unwrap();
                trace.say(format!("sent {n}"));
            });
        }
        settle();
        trace.expect(&["sent 0"]);
        assert!(tx.is_full() && tx.try_send(9) == Err(TrySendError::Full(9)));
        assert_eq!([0, 1, 2, 3].map(|_| rx.recv().unwrap()), [0, 1, 2, 3]);
        settle();
        trace.expect(&["sent 1", "sent 2", "sent 3"]);
        for name in ["a", "b"] {
            let (rx, trace) = (&rx, &trace);
            s.spawn(move || trace.say(format!("{name} got {}", rx.recv().unwrap())));
        }
        settle();
        tx.send(5).unwrap();
        assert_eq!(rx.try_recv(), Err(TryRecvError::Empty), "it is a's");
        tx.send(6).unwrap();
    });
    trace.expect(&["a got 5", "b got 6"]);
}

#[coop::test]
fn what_is_a_waiting_receivers_takes_no_place() {
    let (tx, rx) = chan::bounded(1);
    let trace = Trace::default();
    coop::wait_all(|s| {
        s.spawn(|| trace.say(format!("got {:?}", rx.recv())));
        settle();
        assert_eq!((tx.try_send(1), tx.len(), tx.is_full()), (Ok(()), 0, false), "it is as good as received");
        assert_eq!((tx.try_send(2), tx.len(), tx.is_full()), (Ok(()), 1, true));
        assert_eq!(tx.try_send(3), Err(TrySendError::Full(3)));
        settle();
        trace.expect(&["got Ok(1)"]);
        assert_eq!(rx.recv(), Ok(2));
        // A place that becomes free in this way is first of all that of who has waited for it.
        s.spawn(|| trace.say(format!("got {:?}", rx.recv())));
        settle();
        let permit = tx.reserve().unwrap();
        s.spawn(|| trace.say(format!("sent 5: {:?}", tx.send(5))));
        settle();
        permit.send(4);
        assert_eq!(tx.try_send(6), Err(TrySendError::Full(6)), "the sender of 5 was before");
        settle();
        trace.expect(&["got Ok(4)", "sent 5: Ok(())"]);
        assert_eq!(rx.recv(), Ok(5));
        // As a Handle that is given up, it is in nobody's hands again, though there is one too many then.
        tx.send(7).unwrap();
        let handle = s.start(op::receive(&rx));
        assert_eq!((tx.try_send(8), tx.len()), (Ok(()), 1));
        drop(handle);
        assert_eq!((tx.len(), tx.try_send(9)), (2, Err(TrySendError::Full(9))));
        assert_eq!((rx.recv(), rx.recv()), (Ok(7), Ok(8)));
    });
}

#[coop::test]
fn a_place_that_was_given_and_not_used_goes_to_the_next() {
    let (tx, rx) = chan::bounded(1);
    tx.send(0).unwrap();
    coop::wait_all(|s| {
        let mut reserved = s.start(op::reserve(&tx));
        let mut sends = s.spawn(|| tx.send(1));
        settle();
        assert_eq!(rx.recv(), Ok(0));
        coop::select! {
            permit = &mut reserved => drop(permit.unwrap()),
            default => panic!("the place was ours"),
        }
        .unwrap();
        assert_eq!(sends.join().unwrap(), Ok(()));
    });
    assert_eq!((rx.len(), tx.len(), tx.capacity(), rx.capacity()), (1, 1, 1, Some(1)));
}

#[coop::test]
fn closing_lets_what_is_there_be_received() {
    let (tx, rx) = chan::bounded(3);
    tx.send(1).unwrap();
    let permit = tx.reserve().unwrap();
    let mut waits = coop::spawn({
        let tx = tx.clone();
        move || (tx.send(2), tx.send(3), tx.send(4))
    });
    settle();
    rx.close();
    assert!(tx.is_closed());
    assert_eq!(tx.send(9), Err(SendError::Closed(9)));
    assert_eq!(tx.try_send(9), Err(TrySendError::Closed(9)));
    assert_eq!(tx.reserve().map(drop), Err(ReserveError::Closed));
    assert_eq!(waits.join().unwrap(), (Ok(()), Err(SendError::Closed(3)), Err(SendError::Closed(4))));
    assert_eq!((rx.recv(), rx.recv()), (Ok(1), Ok(2)));
    // The permit that was given before is good, and waited for.
    let mut rest = coop::spawn(move || (rx.recv(), rx.recv()));
    settle();
    permit.send(7);
    assert_eq!(rest.join().unwrap(), (Ok(7), Err(RecvError::Closed)));
}

#[coop::test]
fn a_permit_that_is_dropped_after_the_close_ends_the_wait_for_it() {
    let (tx, rx) = chan::bounded::<u8>(1);
    let permit = tx.reserve().unwrap();
    rx.close();
    let mut last = coop::spawn(move || (rx.try_recv(), rx.recv()));
    settle();
    drop(permit);
    assert_eq!(last.join().unwrap(), (Err(TryRecvError::Empty), Err(RecvError::Closed)));
}

#[coop::test]
fn a_permit_outlives_the_receiver_and_then_its_message_is_dropped() {
    let (tx, rx) = chan::bounded(1);
    let message = std::rc::Rc::new(());
    let permit = tx.reserve().unwrap();
    drop(rx);
    permit.send(message.clone());
    assert_eq!((std::rc::Rc::strong_count(&message), tx.len()), (1, 0));
}

/// `for` ends at the close and at a kill; who must know which asks afterwards, or uses `next`.
#[coop::test]
fn loops_end_at_the_close_and_at_a_kill() {
    let (tx, rx) = chan::bounded(8);
    (0..3).for_each(|n| tx.send(n).unwrap());
    let mut looping = coop::spawn({
        let rx = rx.clone();
        move || {
            let got: Vec<i32> = rx.iter().collect();
            (got, coop::checkpoint().is_err())
        }
    });
    settle();
    looping.kill();
    assert_eq!(looping.join().unwrap(), (vec![0, 1, 2], true));
    let mut next = coop::spawn({
        let rx = rx.clone();
        move || -> Result<(), Killed> {
            while rx.next()?.is_some() {}
            Ok(())
        }
    });
    settle();
    next.kill();
    assert!(next.join().unwrap().is_err());

    tx.send(5).unwrap();
    assert_eq!(rx.try_iter().collect::<Vec<_>>(), [5]);
    drop(tx);
    assert_eq!((rx.next(), (&rx).into_iter().next(), rx.into_iter().next()), (Ok(None), None, None));
}

/// A killed receive has taken nothing, and a killed send sent nothing: whatever the moment of the kill.
#[coop::test(schedules = 200)]
fn kills_lose_nothing() {
    let (tx, rx) = chan::bounded(2);
    let (mut sent, mut got) = (Vec::new(), Vec::new());
    coop::wait_all(|s| {
        let mut senders: Vec<_> = (0..4)
            .map(|n| {
                let tx = tx.clone();
                s.spawn(move || {
                    let tried = (0..3).map(|m| tx.send(n * 3 + m));
                    tried.map(|result| result.map_err(|error| error.into_message())).collect::<Vec<_>>()
                })
            })
            .collect();
        let mut receivers: Vec<_> =
            (0..3).map(|_| s.spawn(|| std::iter::from_fn(|| rx.recv().ok()).collect::<Vec<_>>())).collect();
        settle();
        senders[1].kill();
        receivers[0].kill();
        for sender in &mut senders {
            sent.extend(sender.join().unwrap());
        }
        drop(tx);
        for receiver in &mut receivers {
            got.extend(receiver.join().unwrap());
        }
    });
    let mut kept: Vec<i32> = sent.iter().filter_map(|result| result.err()).collect();
    assert_eq!(got.len() + kept.len(), 12);
    got.append(&mut kept);
    got.sort();
    assert_eq!(got, (0..12).collect::<Vec<_>>());
}

#[coop::test]
fn deadlines_reach_both_ends() {
    let (tx, rx) = chan::bounded(1);
    let kind = |result: std::io::Result<()>| result.unwrap_err().kind();
    let late = || Duration::from_millis(1);
    assert_eq!(kind(coop::timeout(late(), || Ok(rx.recv()?))), std::io::ErrorKind::TimedOut);
    tx.send(()).unwrap();
    assert_eq!(kind(coop::timeout(late(), || Ok(tx.send(())?))), std::io::ErrorKind::TimedOut);
    assert_eq!(
        kind(coop::timeout(late(), || tx.reserve().map(drop).map_err(Into::into))),
        std::io::ErrorKind::TimedOut
    );
    assert_eq!(rx.len(), 1);
}

/// The channel's own receiver as a message: nothing hangs, and what can be freed is.
#[coop::test]
fn ends_as_messages() {
    let (tx, rx) = chan::bounded(1);
    let (inner_tx, inner_rx) = chan::bounded::<u8>(1);
    tx.send(inner_rx).unwrap();
    drop(rx);
    assert!(inner_tx.is_closed(), "what was in the channel is gone");
}
