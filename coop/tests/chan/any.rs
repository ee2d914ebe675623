//! What holds for every kind of channel.

use crate::trace::settle;
use coop::chan::{self, Closed, RecvError, ReserveError, SendError, TryRecvError, TrySendError, Unsent};
use coop::{Killed, Operation, op};
use std::cell::{Cell, RefCell};
use std::error::Error;
use std::io;
use std::rc::Rc;
use std::time::Duration;

fn no_time() -> Duration {
    Duration::from_millis(1)
}

/// `op::receive` takes them all, also behind another reference or an `Rc`.
#[coop::test]
fn one_operation_receives_from_every_kind() -> Result<(), Killed> {
    let (tx1, bounded) = chan::bounded(3);
    let (tx2, unbounded) = chan::unbounded();
    let (tx3, oneshot) = chan::oneshot();
    let (tx4, watch) = chan::watch(0);
    let (tx5, mut broadcast) = chan::broadcast(1);
    let (tx6, rendezvous) = chan::rendezvous();
    tx1.send(1).unwrap();
    tx2.send(2).unwrap();
    tx3.send(3).unwrap();
    tx4.send(4).unwrap();
    tx5.send(5).unwrap();
    let (bounded, tx1) = (Rc::new(bounded), Rc::new(tx1));
    let unbounded = &unbounded;
    let mut got = Vec::new();
    coop::wait_all(|s| {
        s.spawn(|| tx6.send(6).unwrap());
        for _ in 0..6 {
            let n = coop::select! {
                n = op::receive(&bounded) if !got.contains(&1) => n.unwrap(),
                n = op::receive(&unbounded) if !got.contains(&2) => n.unwrap(),
                n = op::receive(&oneshot) if !got.contains(&3) => n.unwrap(),
                n = op::receive(&watch) => *n.unwrap(),
                n = op::receive(&mut broadcast) if !got.contains(&5) => n.unwrap(),
                n = op::receive(&rendezvous) if !got.contains(&6) => n.unwrap(),
            };
            got.push(n.unwrap());
        }
    });
    got.sort();
    assert_eq!(got, [1, 2, 3, 4, 5, 6]);
    let reference = &tx1;
    drop((op::reserve(&tx1).wait(), op::reserve(&reference).wait(), op::reserve(&*tx1).wait()));
    Ok(())
}

/// `op::closed` is over when the receiver goes, for every kind; it was not before.
#[coop::test]
fn senders_learn_that_nobody_listens() -> Result<(), Killed> {
    macro_rules! learns {
        ($channel:expr) => {{
            let (tx, rx) = $channel;
            coop::select! {
                _ = op::closed(&tx) => panic!("{}", stringify!($channel)),
                _ = op::after(no_time()) => {}
            }?;
            assert!(!tx.is_closed());
            coop::wait_all(|s| {
                let mut waits = s.spawn(|| tx.closed());
                let handle = s.start(op::closed(&tx));
                settle();
                drop(rx);
                assert_eq!((waits.join().unwrap(), handle.wait()), (Ok(()), Ok(())), "{}", stringify!($channel));
            });
            assert!(tx.is_closed());
            tx.closed()?;
        }};
    }
    learns!(chan::bounded::<u8>(1));
    learns!(chan::unbounded::<u8>());
    learns!(chan::oneshot::<u8>());
    learns!(chan::watch(0u8));
    learns!(chan::broadcast::<u8>(1));
    learns!(chan::rendezvous::<u8>());
    Ok(())
}

/// A wait for the end can be killed, and then says so.
#[coop::test]
fn waiting_for_the_end_is_kill_checked() {
    let (tx, _rx) = chan::watch(0);
    let mut task = coop::spawn(move || tx.closed());
    settle();
    task.kill();
    assert!(task.join().unwrap().is_err());
}

#[coop::test]
fn every_error_says_what_it_is_and_becomes_an_io_error() {
    let killed = {
        let mut task = coop::spawn(coop::checkpoint);
        task.kill();
        task.join().unwrap().unwrap_err()
    };
    let closed: [io::Error; 6] = [
        Closed.into(),
        Unsent("").into(),
        RecvError::Closed.into(),
        ReserveError::Closed.into(),
        SendError::Closed("").into(),
        chan::broadcast::RecvError::Closed.into(),
    ];
    for error in closed {
        assert_eq!((error.kind(), error.to_string().as_str()), (io::ErrorKind::BrokenPipe, "the channel is closed"));
    }
    let kills: [io::Error; 4] = [
        RecvError::from(killed).into(),
        ReserveError::from(killed).into(),
        SendError::Killed(killed, "").into(),
        chan::broadcast::RecvError::from(killed).into(),
    ];
    for error in kills {
        assert_eq!(Killed::of(&error), Some(killed));
    }
    let texts: [Box<dyn Error>; 5] = [
        Box::new(TryRecvError::Empty),
        Box::new(TrySendError::Full(0)),
        Box::new(chan::broadcast::RecvError::Lagged(3)),
        Box::new(chan::broadcast::TryRecvError::Lagged(4)),
        Box::new(chan::broadcast::TryRecvError::Empty),
    ];
    let texts = texts.map(|error| error.to_string());
    let expected = ["is empty", "is full", "3 messages were missed", "4 messages were missed", "is empty"];
    for (text, expected) in texts.iter().zip(expected) {
        assert!(text.ends_with(expected), "{text}");
    }
    assert_eq!((Unsent(1).into_message(), SendError::from(Unsent(2)).into_message()), (1, 2));
    assert_eq!(ReserveError::from(Closed), ReserveError::Closed);
}

/// A function of channels in a scope, with `?` on all of it.
#[coop::test]
fn errors_mix_in_a_scope() {
    fn relay(from: chan::Receiver<u32>, to: chan::Sender<u32>) -> io::Result<u32> {
        coop::scope(|s| -> io::Result<u32> {
            s.try_spawn(|| -> io::Result<()> {
                loop {
                    let n = coop::select! {
                        n = op::receive(&from) => n?,
                        _ = op::after(Duration::from_secs(60)) => return Ok(()),
                    }?;
                    to.reserve()?.send(n);
                }
            });
            coop::sleep(Duration::from_secs(30))?;
            Ok(7)
        })
    }
    let (tx, rx) = chan::bounded(1);
    let (tx2, rx2) = chan::bounded(8);
    let mut task = coop::spawn(move || relay(rx, tx2));
    tx.send(1).unwrap();
    assert_eq!(rx2.recv(), Ok(1));
    drop(tx);
    assert_eq!(
        task.join().unwrap().unwrap_err().kind(),
        io::ErrorKind::BrokenPipe,
        "the end of the input, and no kill"
    );
}

/// A message whose drop uses its own channel.
struct Echo {
    name: &'static str,
    dropped: Rc<RefCell<Vec<&'static str>>>,
    on_drop: Option<Box<dyn FnOnce()>>,
}

impl Drop for Echo {
    fn drop(&mut self) {
        self.dropped.borrow_mut().push(self.name);
        if let Some(f) = self.on_drop.take() {
            f();
        }
    }
}

/// Messages are dropped in order, each once, and may use the channel while they are.
#[coop::test]
fn the_last_receiver_drops_what_is_left_in_order() {
    let dropped = Rc::new(RefCell::new(Vec::new()));
    let echo = |name, on_drop: Option<Box<dyn FnOnce()>>| Echo { name, dropped: dropped.clone(), on_drop };

    let (tx, rx) = chan::unbounded();
    let again = tx.clone();
    let late = echo("late", None);
    tx.send(echo("first", Some(Box::new(move || assert!(again.send(late).is_err() && again.is_empty()))))).unwrap();
    tx.send(echo("second", None)).unwrap();
    drop(rx);
    assert_eq!(dropped.take(), ["first", "late", "second"]);
    drop(tx.send(echo("unsent", None)));
    assert_eq!(dropped.take(), ["unsent"]);

    let (tx, rx) = chan::watch(echo("old", None));
    let peek = rx.clone();
    tx.send(echo("new", Some(Box::new(move || assert_eq!(peek.get().name, "newest"))))).map_err(drop).unwrap();
    assert_eq!(dropped.take(), ["old"]);
    drop(tx.replace(echo("newest", None)));
    drop((tx, rx));
    assert_eq!(dropped.take(), ["new", "newest"]);

    let (tx, rx) = chan::oneshot();
    tx.send(echo("answer", None)).map_err(drop).unwrap();
    drop(rx);
    assert_eq!(dropped.take(), ["answer"]);
}

/// A destructor that panics takes no message with it, and leaves the channel as it should be.
#[cfg_attr(panic = "abort", ignore = "panics, or starts itself again")]
#[coop::test]
fn a_message_whose_drop_panics() {
    struct Panics(Rc<Cell<usize>>);
    impl Drop for Panics {
        fn drop(&mut self) {
            self.0.set(self.0.get() + 1);
            if self.0.get() == 1 {
                panic!("on purpose");
            }
        }
    }
    let dropped = Rc::new(Cell::new(0));
    let (tx, rx) = chan::unbounded();
    let sender = tx.clone();
    (0..3).for_each(|_| tx.send(Panics(dropped.clone())).unwrap());
    let mut task = coop::spawn(move || drop(rx));
    assert!(task.join().is_err());
    assert_eq!(dropped.get(), 3);
    assert!(sender.is_closed() && sender.is_empty());

    let (tx, mut first) = chan::broadcast::<Rc<Panics>>(1);
    dropped.set(0);
    tx.send(Rc::new(Panics(dropped.clone()))).unwrap();
    let again = tx.clone();
    let mut task = coop::spawn(move || again.send(Rc::new(Panics(Rc::new(Cell::new(7))))));
    assert!(task.join().is_err(), "the one that is pushed out panics in the sender");
    assert_eq!(first.try_recv().map(|_| ()), Err(chan::broadcast::TryRecvError::Lagged(1)));
    assert!(first.try_recv().is_ok(), "the new one was sent all the same");
}

/// A clone that panics, or that uses the channel.
#[cfg_attr(panic = "abort", ignore = "panics, or starts itself again")]
#[coop::test]
fn a_message_whose_clone_misbehaves() {
    struct Odd(chan::broadcast::Sender<Odd>, u8);
    impl Clone for Odd {
        fn clone(&self) -> Self {
            assert_ne!(self.1, 1, "on purpose");
            if self.1 == 2 {
                let _ = self.0.send(Odd(self.0.clone(), 3));
            }
            Odd(self.0.clone(), self.1)
        }
    }
    let (tx, mut rx) = chan::broadcast(8);
    let _other = tx.subscribe();
    tx.send(Odd(tx.clone(), 1)).ok().unwrap();
    tx.send(Odd(tx.clone(), 2)).ok().unwrap();
    let mut task = coop::spawn(move || {
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| rx.recv().map(drop))).is_err();
        (panicked, rx.recv().unwrap().1, rx.recv().unwrap().1)
    });
    assert_eq!(task.join().unwrap(), (true, 2, 3));
}

/// Debug says how things stand, and never what is inside of what need not be `Debug`.
#[coop::test]
fn debug() {
    struct Plain;
    let (tx, rx) = chan::bounded(1);
    tx.try_send(Plain).unwrap();
    assert_eq!(format!("{tx:?} {rx:?}"), "Sender { is_closed: false, .. } Receiver { len: 1, .. }");
    assert_eq!(format!("{:?}", tx.try_send(Plain)), "Err(Full(..))");
    let (tx, rx) = chan::watch(5);
    assert_eq!(format!("{tx:?} {rx:?}"), "Sender { value: 5, .. } Receiver { value: 5, has_changed: false, .. }");
    let (tx, rx) = chan::oneshot::<Plain>();
    assert_eq!(format!("{tx:?} {rx:?}"), "Sender { is_closed: false, .. } Receiver { has_message: false, .. }");
    let (tx, rx) = chan::rendezvous::<Plain>();
    assert_eq!(format!("{tx:?} {rx:?}"), "Sender { is_closed: false, .. } Receiver { offers: 0, .. }");
    let (tx, rx) = chan::broadcast::<Rc<Plain>>(1);
    assert_eq!(format!("{tx:?} {rx:?}"), "Sender { len: 0, receivers: 1, .. } Receiver { len: 0, .. }");
}

/// Everything that does not wait works on a thread without a Cooperator, and after one is gone.
#[test]
fn without_a_cooperator() {
    let (tx, rx) = chan::unbounded();
    let (tx2, mut rx2) = chan::broadcast(1);
    coop::run(|| {
        tx.send(1).unwrap();
        tx2.send(1).unwrap();
    });
    tx.send(2).unwrap();
    assert_eq!(rx.try_iter().collect::<Vec<_>>(), [1, 2]);
    assert_eq!(rx2.try_recv(), Ok(1));
    coop::run(|| {
        coop::spawn(move || tx.send(3));
        assert_eq!(rx.recv(), Ok(3));
    });
}
