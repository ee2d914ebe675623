//! What works without a Cooperator, and what an operation does that nobody waits for: nothing.

use coop::op;
use coop::sync::{Barrier, Condvar, Event, Latch, Mutex, Notify, OnceCell, RwLock, Semaphore};
use std::mem::forget;

/// Everything that does not wait works on any thread, before a Cooperator, and after one.
#[test]
fn what_does_not_wait_works_anywhere() {
    let (mutex, lock, semaphore) = (Mutex::new(1), RwLock::new(1), Semaphore::new(1));
    let (event, notify, latch, cell) = (Event::new(), Notify::new(), Latch::new(1), OnceCell::new());
    let condvar = Condvar::new();
    for _ in 0..2 {
        *mutex.try_lock().unwrap() += 1;
        *lock.try_write().unwrap() += 1;
        drop(semaphore.try_acquire().unwrap());
        event.set();
        notify.notify_one();
        latch.count_down();
        condvar.notify_all();
        let _ = cell.set(5);
        coop::run(|| -> Result<(), coop::Killed> {
            *mutex.lock()? += 1;
            *lock.write()? += 1;
            drop(semaphore.acquire().unwrap());
            event.wait()?;
            notify.wait()?;
            latch.wait()?;
            assert_eq!((cell.wait()?, cell.get_or_init(|| 6)?), (&5, &5));
            Ok(())
        })
        .unwrap();
    }
    assert_eq!((mutex.into_inner(), lock.into_inner(), notify.try_wait()), (5, 5, false));
}

/// What there is can be read without one; what must wait names the fix.
#[test]
#[should_panic(expected = "call this inside `coop::run(|| …)`")]
fn waiting_without_a_cooperator_names_the_fix() {
    assert_eq!(OnceCell::from(1).get_or_init(|| 2), Ok(&1));
    let _ = Event::new().wait();
}

#[coop::test]
fn an_operation_that_nobody_waits_for_does_nothing() {
    let (mutex, lock, semaphore, notify, barrier) =
        (Mutex::new(()), RwLock::new(()), Semaphore::new(1), Notify::new(), Barrier::new(2));
    notify.notify_one();
    let _inert =
        (op::lock(&mutex), op::write_lock(&lock), op::acquire(&semaphore), op::wait(&notify), op::wait(&barrier));
    assert!(mutex.try_lock().is_some() && lock.try_write().is_some());
    assert_eq!((semaphore.available_permits(), barrier.waiting(), notify.try_wait()), (1, 0, true));
}

/// A Handle that is forgotten is ended by its scope, and then has nothing any more.
#[coop::test]
fn a_forgotten_handle_keeps_nothing_beyond_its_scope() {
    let (lock, semaphore, barrier, notify) = (RwLock::new(()), Semaphore::new(1), Barrier::new(2), Notify::new());
    coop::wait_all(|s| {
        forget((s.start(op::write_lock(&lock)), s.start(op::acquire(&semaphore)), s.start(op::wait(&barrier))));
        forget(s.start(op::wait(&notify)));
        assert!(lock.try_read().is_none() && semaphore.try_acquire().is_err() && barrier.waiting() == 1);
        notify.notify_one();
    });
    assert!(lock.try_write().is_some() && semaphore.try_acquire().is_ok() && barrier.waiting() == 0);
    assert!(notify.try_wait(), "it was not taken");
}
