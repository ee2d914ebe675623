use crate::trace::{Trace, settle};
use coop::sync::{AcquireError, Semaphore, TryAcquireError};
use coop::{Killed, op};
use std::cell::Cell;
use std::io;
use std::rc::Rc;
use std::time::Duration;

#[coop::test]
fn permits_are_given_in_the_order_of_requests() -> Result<(), AcquireError> {
    let (semaphore, trace) = (Semaphore::new(0), Trace::default());
    coop::wait_all(|s| {
        for name in ["a", "b", "c"] {
            let (semaphore, trace) = (&semaphore, &trace);
            s.spawn(move || {
                semaphore.acquire().unwrap().forget();
                trace.say(name);
            });
        }
        settle();
        semaphore.add_permits(2);
        settle();
        trace.expect(&["a", "b"]);
        semaphore.add_permits(1);
    });
    trace.expect(&["c"]);
    assert_eq!(semaphore.available_permits(), 0);
    Ok(())
}

#[coop::test]
fn small_requests_do_not_starve_a_large_one() -> Result<(), AcquireError> {
    let (semaphore, trace) = (Semaphore::new(3), Trace::default());
    let first = semaphore.acquire_many(2)?;
    coop::wait_all(|s| {
        s.spawn(|| {
            let _permits = semaphore.acquire_many(3).unwrap();
            trace.say("large");
        });
        settle();
        s.spawn(|| {
            let _permit = semaphore.acquire().unwrap();
            trace.say("small");
        });
        settle();
        assert_eq!(semaphore.available_permits(), 1);
        assert_eq!(semaphore.try_acquire().unwrap_err(), TryAcquireError::NoPermits, "nor does one that does not wait");
        trace.expect(&[]);
        drop(first);
    });
    trace.expect(&["large", "small"]);
    assert_eq!(semaphore.available_permits(), 3);
    Ok(())
}

#[coop::test]
fn a_large_request_that_is_killed_lets_the_small_ones_go() -> Result<(), AcquireError> {
    let (semaphore, trace) = (Semaphore::new(1), Trace::default());
    coop::wait_all(|s| {
        let mut large = s.spawn(|| semaphore.acquire_many(100).map(drop));
        settle();
        s.spawn(|| {
            let _permit = semaphore.acquire().unwrap();
            trace.say("small");
        });
        settle();
        trace.expect(&[]);
        large.kill();
        assert!(matches!(large.join().unwrap(), Err(AcquireError::Killed(_))));
    });
    trace.expect(&["small"]);
    assert_eq!(semaphore.available_permits(), 1);
    Ok(())
}

#[coop::test]
fn closing_tells_everybody_and_leaves_what_is_out() -> Result<(), AcquireError> {
    let semaphore = Semaphore::new(2);
    let out = semaphore.acquire()?;
    coop::wait_all(|s| {
        let mut waits = s.spawn(|| semaphore.acquire_many(2).map(drop));
        let mut behind = s.spawn(|| semaphore.acquire().map(drop));
        settle();
        let handle = s.start(op::acquire(&semaphore));
        semaphore.close();
        assert_eq!(waits.join().unwrap(), Err(AcquireError::Closed));
        assert_eq!(behind.join().unwrap(), Err(AcquireError::Closed));
        assert_eq!(handle.wait().unwrap_err(), AcquireError::Closed);
    });
    assert_eq!(semaphore.acquire().unwrap_err(), AcquireError::Closed);
    assert_eq!(semaphore.try_acquire().unwrap_err(), TryAcquireError::Closed);
    assert!(semaphore.is_closed());
    drop(out);
    assert_eq!(semaphore.available_permits(), 2, "all is counted");
    Ok(())
}

/// A task that has been woken with permits, and has not run yet, does not keep them either.
#[coop::test]
fn closing_is_final_for_those_who_have_been_woken() {
    let semaphore = Semaphore::new(0);
    coop::wait_all(|s| {
        let mut woken = s.spawn(|| semaphore.acquire_many(5).map(drop));
        settle();
        semaphore.add_permits(7);
        assert_eq!(semaphore.available_permits(), 2);
        semaphore.close();
        assert_eq!(woken.join().unwrap(), Err(AcquireError::Closed));
    });
    assert_eq!(semaphore.available_permits(), 7);
}

#[coop::test]
fn an_arm_that_loses_takes_nothing_and_lets_others_go_on() {
    let semaphore = Semaphore::new(1);
    coop::wait_all(|s| {
        let mut small = s.spawn(|| semaphore.acquire().map(drop));
        coop::select! {
            _ = op::acquire_many(&semaphore, 2) => panic!("there is one"),
            _ = op::after(Duration::from_millis(1)) => {}
        }
        .unwrap();
        small.join().unwrap().unwrap();
        assert_eq!(semaphore.available_permits(), 1);

        // A request for more stands in the way for as long as its Handle lives.
        let large = s.start(op::acquire_many(&semaphore, 2));
        assert!(semaphore.try_acquire().is_err());
        drop(large);
        assert!(semaphore.try_acquire().is_ok());
        let given = s.start(op::acquire(&semaphore));
        assert_eq!(semaphore.available_permits(), 0);
        drop(given);
        assert_eq!(semaphore.available_permits(), 1);
    });
}

#[coop::test]
fn permits_can_be_split_forgotten_and_taken_along() -> Result<(), AcquireError> {
    let semaphore = Rc::new(Semaphore::new(10));
    let mut all = semaphore.acquire_many(10)?;
    assert!(all.split(11).is_none());
    let some = all.split(4).unwrap();
    some.forget();
    drop(all);
    assert_eq!(semaphore.available_permits(), 6);
    assert_eq!((semaphore.forget_permits(4), semaphore.forget_permits(4)), (4, 2));
    semaphore.add_permits(1);
    let owned = semaphore.acquire_owned()?;
    coop::spawn(move || drop(owned)).join().unwrap();
    assert_eq!(semaphore.available_permits(), 1);
    let owned = semaphore.acquire_owned()?;
    assert_eq!(owned.count(), 1);
    owned.forget();
    assert_eq!((semaphore.available_permits(), Rc::strong_count(&semaphore)), (0, 1));
    Ok(())
}

/// Whatever is asked for, nothing overflows.
#[coop::test]
fn extreme_numbers() -> Result<(), AcquireError> {
    let semaphore = Semaphore::new(usize::MAX);
    for _ in 0..10 {
        semaphore.add_permits(usize::MAX);
    }
    let most = semaphore.acquire_many(u32::MAX)?;
    assert_eq!(most.count(), u32::MAX);
    drop(most);
    let nothing = Semaphore::new(0);
    assert_eq!(nothing.acquire_many(0)?.count(), 0, "nothing is always there");
    assert_eq!(nothing.forget_permits(usize::MAX), 0);
    Ok(())
}

#[coop::test]
fn errors_become_io_errors_and_say_what_they_are() {
    let semaphore = Semaphore::new(0);
    let late = coop::timeout(Duration::from_millis(1), || -> io::Result<()> {
        drop(semaphore.acquire()?);
        Ok(())
    });
    assert_eq!(late.unwrap_err().kind(), io::ErrorKind::TimedOut);
    semaphore.close();
    let closed = io::Error::from(semaphore.acquire().unwrap_err());
    assert_eq!((closed.kind(), closed.to_string().as_str()), (io::ErrorKind::BrokenPipe, "the semaphore is closed"));
    let mut task = coop::spawn(|| io::Error::from(Semaphore::new(0).acquire().unwrap_err()));
    task.kill();
    assert!(Killed::is(&task.join().unwrap()));
}

#[coop::test(schedules = 100)]
fn never_more_inside_than_permits() {
    let (semaphore, inside) = (Semaphore::new(4), Cell::new(0));
    coop::wait_all(|s| {
        for task in 0..16u32 {
            let (semaphore, inside) = (&semaphore, &inside);
            let handle = s.spawn(move || -> Result<(), AcquireError> {
                for round in 0..6 {
                    let permits = semaphore.acquire_many(1 + (task + round) % 4)?;
                    inside.set(inside.get() + permits.count());
                    assert!(inside.get() <= 4);
                    let _ = coop::yield_now();
                    inside.set(inside.get() - permits.count());
                }
                Ok(())
            });
            if task % 5 == 4 {
                s.spawn(move || {
                    let _ = coop::yield_now();
                    handle.kill();
                });
            }
        }
    });
    assert_eq!((semaphore.available_permits(), inside.get()), (4, 0));
}
