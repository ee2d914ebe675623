//! For every arm of this module: what was there to be had was had once, and what lost the race had no effect.

use crate::race::{ROUNDS, Random, against_both, count, race, rival};
use coop::op;
use coop::sync::{Event, Latch, Notify, OnceCell, RwLock, Semaphore};
use std::cell::{Cell, RefCell};

#[test]
fn read_lock_and_write_lock() {
    against_both(|against, seed| {
        let (lock, ours, theirs) = (RwLock::new(0usize), Cell::new(0), Cell::new(0));
        let (readers, writers) = (Cell::new(0usize), Cell::new(0usize));
        let write = |value: &mut usize, side: &Cell<usize>| {
            assert_eq!((readers.get(), writers.replace(1)), (0, 0));
            let _ = coop::yield_now();
            *value += 1;
            writers.set(0);
            count(side);
        };
        let read = || {
            assert_eq!(writers.get(), 0);
            readers.set(readers.get() + 1);
            let _ = coop::yield_now();
            readers.set(readers.get() - 1);
        };
        let is_over = || ours.get() >= ROUNDS;
        coop::wait_all(|s| {
            s.spawn(|| {
                let random = Random::new(seed + 1);
                while !is_over() {
                    random.pause();
                    write(&mut lock.write().unwrap(), &theirs);
                }
            });
            s.spawn(|| {
                let random = Random::new(seed + 2);
                while !is_over() {
                    random.pause();
                    let _guard = lock.read().unwrap();
                    read();
                }
            });
            let random = Random::new(seed + 3);
            let attempt = |limit| {
                if random.below(2) == 0 {
                    coop::select! {
                        mut guard = op::write_lock(&lock) => { write(&mut guard, &ours); true }
                        _ = rival(limit) => false,
                    }
                } else {
                    coop::select! {
                        _guard = op::read_lock(&lock) => { read(); true }
                        _ = rival(limit) => false,
                    }
                }
            };
            race(against, seed, is_over, attempt);
        });
        assert_eq!(*lock.try_write().expect("nobody is in it"), ours.get() + theirs.get());
    });
}

#[test]
fn acquire() {
    against_both(|against, seed| {
        const PERMITS: usize = 3;
        let (semaphore, inside, won) = (Semaphore::new(PERMITS), Cell::new(0usize), Cell::new(0));
        let enter = |n: u32| {
            inside.set(inside.get() + n as usize);
            assert!(inside.get() <= PERMITS);
            let _ = coop::yield_now();
            inside.set(inside.get() - n as usize);
        };
        let is_over = || won.get() >= ROUNDS;
        coop::wait_all(|s| {
            for task in 1..=2 {
                let (semaphore, enter) = (&semaphore, &enter);
                s.spawn(move || {
                    let random = Random::new(seed + task);
                    while !is_over() {
                        random.pause();
                        let n = 1 + random.below(PERMITS as u64) as u32;
                        let _permits = semaphore.acquire_many(n).unwrap();
                        enter(n);
                    }
                });
            }
            let random = Random::new(seed + 3);
            let attempt = |limit| {
                let n = 1 + random.below(PERMITS as u64) as u32;
                coop::select! {
                    permits = op::acquire_many(&semaphore, n) => {
                        let permits = permits.unwrap();
                        count(&won);
                        enter(permits.count());
                        true
                    }
                    _ = rival(limit) => false,
                }
            };
            race(against, seed, is_over, attempt);
        });
        assert_eq!((semaphore.available_permits(), inside.get()), (PERMITS, 0));
    });
}

/// A notification is given when the one before was seen: none is lost, none is seen twice.
#[test]
fn wait_for_a_notification() {
    against_both(|against, seed| {
        let (notify, sent, seen) = (Notify::new(), Cell::new(0), Cell::new(0));
        let is_over = || seen.get() >= ROUNDS;
        coop::wait_all(|s| {
            s.spawn(|| {
                let random = Random::new(seed + 1);
                while sent.get() < ROUNDS {
                    random.pause();
                    if sent.get() == seen.get() {
                        count(&sent);
                        notify.notify_one();
                    } else {
                        coop::yield_now().unwrap();
                    }
                }
            });
            let attempt = |limit| {
                coop::select! {
                    _ = op::wait(&notify) => {
                        count(&seen);
                        assert_eq!(seen.get(), sent.get(), "seen twice");
                        true
                    }
                    _ = rival(limit) => false,
                }
            };
            race(against, seed, is_over, attempt);
        });
        assert_eq!((seen.get(), notify.try_wait()), (ROUNDS, false));
    });
}

/// Each is set, opened or filled once: who has seen it finds that it is so, and goes on to the next.
#[test]
fn wait_for_an_event_a_latch_and_a_cell() {
    against_both(|against, seed| {
        let event = Event::new();
        let (latch, cell) =
            (RefCell::new(std::rc::Rc::new(Latch::new(2))), RefCell::new(std::rc::Rc::new(OnceCell::new())));
        let (round, done) = (Cell::new(0usize), Cell::new(0usize));
        let is_over = || done.get() >= ROUNDS;
        coop::wait_all(|s| {
            s.spawn(|| {
                let random = Random::new(seed + 1);
                while round.get() < ROUNDS {
                    random.pause();
                    if round.get() != done.get() {
                        coop::yield_now().unwrap();
                        continue;
                    }
                    count(&round);
                    match round.get() % 3 {
                        0 => event.set(),
                        1 => {
                            let latch = latch.borrow().clone();
                            latch.count_down();
                            random.pause();
                            latch.count_down();
                        }
                        _ => {
                            let cell = cell.borrow().clone();
                            cell.set(round.get()).unwrap();
                        }
                    }
                }
            });
            let attempt = |limit| {
                // What it waits for is the next round's, whether or not that has begun.
                let next = done.get() + 1;
                let (latch_now, cell_now) = (latch.borrow().clone(), cell.borrow().clone());
                let won = match next % 3 {
                    0 => coop::select! {
                        _ = op::wait(&event) => { assert!(event.reset()); true }
                        _ = rival(limit) => false,
                    },
                    1 => coop::select! {
                        _ = op::wait(&*latch_now) => { assert!(latch_now.is_open()); true }
                        _ = rival(limit) => false,
                    },
                    _ => coop::select! {
                        value = op::wait(&*cell_now) => { assert_eq!(*value, next); true }
                        _ = rival(limit) => false,
                    },
                }?;
                if won {
                    assert_eq!(round.get(), next, "before it has happened");
                    *latch.borrow_mut() = std::rc::Rc::new(Latch::new(2));
                    *cell.borrow_mut() = std::rc::Rc::new(OnceCell::new());
                    done.set(next);
                }
                Ok(won)
            };
            race(against, seed, is_over, attempt);
        });
        assert_eq!((round.get(), done.get()), (ROUNDS, ROUNDS));
    });
}

/// Handles of what hands over: dropped at any moment, what they were given goes on.
#[test]
fn handles_that_are_dropped_keep_nothing() {
    against_both(|against, seed| {
        let (semaphore, notify, lock) = (Semaphore::new(1), Notify::new(), RwLock::new(0usize));
        let (sent, seen, won) = (Cell::new(0usize), Cell::new(0usize), Cell::new(0));
        let is_over = || won.get() >= ROUNDS;
        coop::wait_all(|s| {
            s.spawn(|| {
                let random = Random::new(seed + 1);
                while !is_over() {
                    random.pause();
                    let _permit = semaphore.acquire().unwrap();
                    let _guard = lock.write().unwrap();
                    if sent.get() == seen.get() {
                        count(&sent);
                        notify.notify_one();
                    }
                    random.pause();
                }
            });
            let attempt = |limit| {
                coop::wait_all(|s| {
                    let mut permit = s.start(op::acquire(&semaphore));
                    let mut notified = s.start(op::wait(&notify));
                    let mut guard = s.start(op::write_lock(&lock));
                    let has_won = coop::select! {
                        permit = &mut permit => { drop(permit.unwrap()); true }
                        _ = &mut notified => { count(&seen); true }
                        mut guard = &mut guard => { *guard += 1; true }
                        _ = rival(limit) => false,
                    }?;
                    won.set(won.get() + usize::from(has_won));
                    Ok(has_won)
                })
            };
            race(against, seed, is_over, attempt);
        });
        assert_eq!(semaphore.available_permits(), 1);
        assert!(lock.try_write().is_some());
        seen.set(seen.get() + usize::from(notify.try_wait()));
        assert_eq!(seen.get(), sent.get());
    });
}
