use crate::trace::{Trace, settle};
use coop::chan::{self, RecvError, TryRecvError, Unsent};
use coop::op;
use std::time::Duration;

#[coop::test]
fn every_receiver_sees_the_latest_once() {
    let (tx, rx) = chan::watch(0);
    let trace = Trace::default();
    coop::wait_all(|s| {
        for name in ["a", "b"] {
            let (rx, trace) = (rx.clone(), &trace);
            s.spawn(move || {
                while let Ok(n) = rx.changed() {
                    trace.say(format!("{name} {n}"));
                }
            });
        }
        settle();
        trace.expect(&[]);
        tx.send(1).unwrap();
        settle();
        trace.expect(&["a 1", "b 1"]);
        tx.send(2).unwrap();
        tx.send(3).unwrap();
        settle();
        trace.expect(&["a 3", "b 3"]);
        tx.send(4).unwrap();
        drop(tx);
    });
    trace.expect(&["a 4", "b 4"]);
    assert_eq!((rx.changed().as_deref(), rx.changed()), (Ok(&4), Err(RecvError::Closed)), "the last is not missed");
    assert_eq!((*rx.get(), rx.try_changed()), (4, Err(TryRecvError::Closed)));
}

#[coop::test]
fn looking_is_not_seeing() {
    let (tx, rx) = chan::watch(0);
    assert!(!rx.has_changed(), "the first value counts as seen");
    assert_eq!(rx.try_changed(), Err(TryRecvError::Empty));
    tx.send(1).unwrap();
    assert_eq!((*rx.get(), rx.has_changed()), (1, true));
    let other = rx.clone();
    assert_eq!((rx.try_changed().as_deref(), rx.has_changed(), other.has_changed()), (Ok(&1), false, true));
    assert!(!tx.subscribe().has_changed());
}

/// A value that somebody looks at, for however long, hinders nobody.
#[coop::test]
fn a_look_that_lasts() {
    let (tx, rx) = chan::watch(String::from("old"));
    let look = rx.get();
    tx.send("new".into()).unwrap();
    tx.modify(|text| text.push('!'));
    assert_eq!((look.as_str(), rx.get().as_str(), tx.get().as_str()), ("old", "new!", "new!"));
    assert_eq!(tx.replace("newest".into()).as_str(), "new!");
}

#[cfg_attr(panic = "abort", ignore = "panics, or starts itself again")]
#[coop::test]
fn a_change_that_panics_changes_nothing() {
    let (tx, rx) = chan::watch(1);
    let sender = tx.clone();
    let mut task = coop::spawn(move || {
        sender.modify(|n| {
            *n = 2;
            panic!("on purpose");
        });
    });
    assert!(task.join().is_err());
    assert_eq!((*rx.get(), rx.has_changed()), (1, false));
    tx.send(3).unwrap();
    assert_eq!(*rx.get(), 3);
}

#[coop::test]
fn without_receivers_a_send_fails_and_a_replacement_does_not() {
    let (tx, rx) = chan::watch(0);
    drop(rx);
    assert_eq!((tx.send(1), *tx.get(), tx.is_closed()), (Err(Unsent(1)), 0, true));
    tx.replace(2);
    let rx = tx.subscribe();
    assert_eq!((*rx.get(), rx.has_changed(), tx.is_closed(), tx.receiver_count()), (2, false, false, 1));
    tx.send(3).unwrap();
    assert!(rx.has_changed());
}

#[coop::test]
fn waiting_for_a_value() {
    let (tx, rx) = chan::watch(1);
    assert_eq!(rx.wait_for(|n| *n == 1).as_deref(), Ok(&1), "the one that is there counts");
    let mut waits = coop::spawn(move || (rx.wait_for(|n| *n > 5).map(|n| *n), rx.wait_for(|n| *n > 100)));
    for n in [3, 7, 8] {
        settle();
        tx.send(n).unwrap();
    }
    settle();
    drop(tx);
    assert_eq!(waits.join().unwrap(), (Ok(7), Err(RecvError::Closed)));
}

/// Two tasks that share a receiver both learn of a change; an arm that loses has seen nothing.
#[coop::test]
fn shared_receivers_and_arms() {
    let (tx, rx) = chan::watch(0);
    coop::wait_all(|s| {
        let mut both = [s.spawn(|| rx.changed().map(|n| *n)), s.spawn(|| rx.changed().map(|n| *n))];
        settle();
        tx.send(1).unwrap();
        assert_eq!(both.each_mut().map(|task| task.join().unwrap()), [Ok(1), Ok(1)]);
    });
    tx.send(2).unwrap();
    coop::select! {
        biased;
        _ = op::after(Duration::ZERO) => {}
        _ = op::changed(&rx) => panic!("the first is ready"),
    }
    .unwrap();
    assert!(rx.has_changed());
    let late = coop::timeout(Duration::from_millis(1), || -> std::io::Result<()> {
        rx.changed()?;
        rx.changed()?;
        Ok(())
    });
    assert_eq!(late.unwrap_err().kind(), std::io::ErrorKind::TimedOut);
}

/// A change that came before a kill was seen is given, and counts as seen only then.
#[coop::test]
fn a_change_and_a_kill_at_once() {
    let (tx, rx) = chan::watch(0);
    coop::wait_all(|s| {
        let mut waits = s.spawn(|| rx.changed().map(|n| *n));
        settle();
        tx.send(1).unwrap();
        waits.kill();
        assert_eq!(waits.join().unwrap(), Ok(1));
        let mut waits = s.spawn(|| rx.changed().map(|n| *n));
        settle();
        waits.kill();
        assert!(matches!(waits.join().unwrap(), Err(RecvError::Killed(_))));
    });
    tx.send(2).unwrap();
    assert!(rx.has_changed());
}
