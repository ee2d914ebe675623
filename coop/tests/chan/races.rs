//! For every arm of a channel: what was sent is received once and in order, and what lost the race had no effect.

use crate::race::{ROUNDS, Random, against_both, count, race, rival};
use coop::chan::{self, broadcast};
use coop::op;
use std::cell::{Cell, RefCell};

#[test]
fn receive_from_a_queue() {
    against_both(|against, seed| {
        let (tx, rx) = chan::unbounded();
        let got = Cell::new(0);
        let is_over = || got.get() == ROUNDS;
        coop::wait_all(|s| {
            s.spawn(|| {
                let random = Random::new(seed + 1);
                for n in 0..ROUNDS {
                    random.pause();
                    tx.send(n).unwrap();
                }
            });
            let attempt = |limit| {
                coop::select! {
                    n = op::receive(&rx) => {
                        assert_eq!(n, Ok(got.get()));
                        count(&got);
                        true
                    }
                    _ = rival(limit) => false,
                }
            };
            race(against, seed, is_over, attempt);
        });
        assert_eq!((got.get(), rx.len()), (ROUNDS, 0));
    });
}

/// Each message is taken before its sender goes on.
#[test]
fn receive_at_a_rendezvous() {
    against_both(|against, seed| {
        let (tx, rx) = chan::rendezvous();
        let (sent, got) = (Cell::new(0), Cell::new(0));
        let is_over = || got.get() == ROUNDS;
        coop::wait_all(|s| {
            s.spawn(|| {
                let random = Random::new(seed + 1);
                for n in 0..ROUNDS {
                    random.pause();
                    tx.send(n).unwrap();
                    count(&sent);
                }
            });
            let attempt = |limit| {
                coop::select! {
                    n = op::receive(&rx) => {
                        assert_eq!(n, Ok(got.get()));
                        count(&got);
                        assert!(sent.get() <= got.get(), "a sender went on before");
                        true
                    }
                    _ = rival(limit) => false,
                }
            };
            race(against, seed, is_over, attempt);
        });
        assert_eq!((sent.get(), got.get()), (ROUNDS, ROUNDS));
    });
}

/// The sends themselves are raced, by kills: what came back was not received.
#[test]
fn send_at_a_rendezvous() {
    against_both(|_, seed| {
        let (tx, rx) = chan::rendezvous();
        let (got, killed) = (RefCell::new(Vec::new()), Cell::new(0usize));
        coop::wait_all(|s| {
            let receives = s.spawn(|| {
                let random = Random::new(seed + 1);
                while let Ok(n) = rx.recv() {
                    got.borrow_mut().push(n);
                    random.pause();
                }
            });
            let random = Random::new(seed + 2);
            let mut next = 0usize;
            while next < ROUNDS {
                let tx = &tx;
                let mut sends = s.spawn(move || {
                    let mut n = next;
                    loop {
                        match tx.send(n) {
                            Ok(()) => n += 1,
                            Err(error) => {
                                assert_eq!(error.into_message(), n);
                                return n;
                            }
                        }
                    }
                });
                (0..1 + random.below(8)).for_each(|_| random.pause());
                sends.kill();
                next = sends.join().unwrap();
                count(&killed);
                assert!(got.borrow().len() <= next);
            }
            (0..1000).for_each(|_| coop::yield_now().unwrap());
            assert!(got.borrow().iter().copied().eq(0..next), "lost, doubled, or out of order");
            receives.kill();
        });
        println!("killed {}", killed.get());
        assert!(killed.get() > 10);
    });
}

#[test]
fn receive_an_answer() {
    against_both(|against, seed| {
        let (questions, inbox) = chan::unbounded::<chan::oneshot::Sender<usize>>();
        let (answered, got) = (Cell::new(0), Cell::new(0));
        let is_over = || got.get() == ROUNDS;
        coop::wait_all(|s| {
            s.spawn(|| {
                let random = Random::new(seed + 1);
                for answer in &inbox {
                    random.pause();
                    answer.send(answered.replace(answered.get() + 1)).unwrap();
                }
            });
            let ask = || {
                let (tx, rx) = chan::oneshot();
                questions.send(tx).unwrap();
                rx
            };
            let question = RefCell::new(Some(ask()));
            let attempt = |limit| {
                let rx = question.take().expect("it was put back");
                let won = coop::select! {
                    n = op::receive(&rx) => {
                        assert_eq!(n, Ok(got.get()));
                        count(&got);
                        true
                    }
                    _ = rival(limit) => false,
                };
                question.replace(Some(if won == Ok(true) && !is_over() { ask() } else { rx }));
                won
            };
            race(against, seed, is_over, attempt);
            drop(question);
            drop(questions);
        });
        assert_eq!((answered.get(), got.get()), (ROUNDS, ROUNDS));
    });
}

/// The latest is never missed: what was sent last is seen, and nothing is seen twice.
#[test]
fn changed() {
    against_both(|against, seed| {
        let (tx, rx) = chan::watch(0usize);
        let (sent, seen) = (Cell::new(0), Cell::new(0));
        let is_over = || seen.get() == ROUNDS;
        coop::wait_all(|s| {
            s.spawn(|| {
                let random = Random::new(seed + 1);
                while sent.get() < ROUNDS {
                    random.pause();
                    if random.below(4) != 0 && sent.get() != seen.get() {
                        continue;
                    }
                    count(&sent);
                    tx.send(sent.get()).unwrap();
                }
            });
            let attempt = |limit| {
                coop::select! {
                    value = op::changed(&rx) => {
                        let value = *value.unwrap();
                        assert!(value > seen.get(), "{value} was seen twice");
                        assert!(value <= sent.get());
                        seen.set(value);
                        true
                    }
                    _ = rival(limit) => false,
                }
            };
            race(against, seed, is_over, attempt);
        });
        assert!(!rx.has_changed());
    });
}

#[test]
fn receive_a_broadcast() {
    against_both(|against, seed| {
        let (tx, rx) = chan::broadcast(4);
        let mut witness = rx.clone();
        let (rx, got) = (RefCell::new(rx), Cell::new(0));
        let is_over = || got.get() == ROUNDS;
        coop::wait_all(|s| {
            s.spawn(|| {
                let random = Random::new(seed + 1);
                for n in 0..ROUNDS {
                    random.pause();
                    tx.send(n).unwrap();
                }
            });
            s.spawn(|| {
                let mut next = 0;
                while next < ROUNDS {
                    match witness.recv() {
                        Ok(n) => assert_eq!(n, std::mem::replace(&mut next, n + 1)),
                        Err(broadcast::RecvError::Lagged(missed)) => next += missed as usize,
                        Err(error) => panic!("{error}"),
                    }
                }
            });
            let attempt = |limit| {
                let mut rx = rx.borrow_mut();
                coop::select! {
                    message = op::receive(&mut *rx) => {
                        match message {
                            Ok(n) => {
                                assert_eq!(n, got.get());
                                count(&got);
                            }
                            Err(broadcast::RecvError::Lagged(missed)) => got.set(got.get() + missed as usize),
                            Err(error) => panic!("{error}"),
                        }
                        true
                    }
                    _ = rival(limit) => false,
                }
            };
            race(against, seed, is_over, attempt);
        });
        assert!(rx.borrow().is_empty() && tx.is_empty());
    });
}

/// Each channel closes once: who has seen it finds it closed, and goes on to the next.
#[test]
fn closed() {
    against_both(|against, seed| {
        let (senders, receivers) = (RefCell::new(None), RefCell::new(None));
        let (made, seen) = (Cell::new(0usize), Cell::new(0usize));
        let open = || {
            let (tx, rx) = chan::bounded::<u8>(1);
            (*senders.borrow_mut(), *receivers.borrow_mut()) = (Some(tx), Some(rx));
            count(&made);
        };
        open();
        let is_over = || seen.get() == ROUNDS;
        coop::wait_all(|s| {
            s.spawn(|| {
                let random = Random::new(seed + 1);
                while !is_over() {
                    random.pause();
                    drop(receivers.take());
                    coop::yield_now().unwrap();
                }
            });
            let attempt = |limit| {
                let tx = senders.borrow().clone().expect("there is one");
                let won = coop::select! {
                    _ = op::closed(&tx) => true,
                    _ = rival(limit) => false,
                }?;
                if won {
                    assert!(tx.is_closed());
                    count(&seen);
                    open();
                }
                Ok(won)
            };
            race(against, seed, is_over, attempt);
        });
        assert_eq!(made.get(), seen.get() + 1);
    });
}

/// Handles that are dropped or cancelled at any moment: what they were given comes out of the cancel, or stays where it was.
#[test]
fn handles_that_end_early_lose_nothing() {
    against_both(|against, seed| {
        let (tx, rx) = chan::unbounded();
        let (tx2, rx2) = chan::rendezvous();
        let (got, got2) = (Cell::new(0), Cell::new(0));
        let is_over = || got.get() + got2.get() == 2 * ROUNDS;
        coop::wait_all(|s| {
            s.spawn(|| {
                let random = Random::new(seed + 1);
                for n in 0..ROUNDS {
                    random.pause();
                    tx.send(n).unwrap();
                }
            });
            s.spawn(|| {
                let random = Random::new(seed + 2);
                for n in 0..ROUNDS {
                    random.pause();
                    tx2.send(n).unwrap();
                }
            });
            let random = Random::new(seed + 3);
            let take = |n: usize, got: &Cell<usize>| {
                assert_eq!(n, got.get());
                count(got);
                true
            };
            let attempt = |limit| {
                coop::wait_all(|s| {
                    let mut first = s.start(op::receive(&rx));
                    let mut second = s.start(op::receive(&rx2));
                    let won = coop::select! {
                        n = &mut first => take(n.unwrap(), &got),
                        n = &mut second => take(n.unwrap(), &got2),
                        _ = rival(limit) => false,
                    };
                    if random.below(2) == 0 {
                        first.cancel().into_iter().for_each(|n| assert!(take(n.unwrap(), &got)));
                        second.cancel().into_iter().for_each(|n| assert!(take(n.unwrap(), &got2)));
                    }
                    won
                })
            };
            race(against, seed, is_over, attempt);
        });
        assert_eq!((got.get(), got2.get(), rx.len()), (ROUNDS, ROUNDS, 0));
    });
}
