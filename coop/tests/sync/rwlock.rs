use crate::trace::{Trace, settle};
use coop::sync::{RwLock, RwLockWriteGuard};
use coop::{Cause, Killed, op};
use std::cell::Cell;
use std::time::Duration;

const LONG: Duration = Duration::from_secs(3600);

#[coop::test]
fn readers_share_and_a_writer_is_alone() -> Result<(), Killed> {
    let (lock, trace) = (RwLock::new(0), Trace::default());
    coop::wait_all(|s| {
        for name in ["a", "b"] {
            let (lock, trace) = (&lock, &trace);
            s.spawn(move || {
                let value = lock.read().unwrap();
                trace.say(format!("{name} reads {value}"));
                coop::yield_now().unwrap();
                trace.say(format!("{name} leaves"));
            });
        }
        s.spawn(|| {
            let mut value = lock.write().unwrap();
            *value += 1;
            trace.say("w writes");
            coop::yield_now().unwrap();
            trace.say("w leaves");
        });
        s.spawn(|| trace.say(format!("c reads {}", lock.read().unwrap())));
    });
    trace.expect(&["a reads 0", "b reads 0", "a leaves", "b leaves", "w writes", "w leaves", "c reads 1"]);
    Ok(())
}

#[coop::test]
fn a_writer_that_waits_is_not_overtaken() -> Result<(), Killed> {
    let (lock, trace) = (RwLock::new(()), Trace::default());
    let reading = lock.read()?;
    coop::wait_all(|s| {
        s.spawn(|| {
            let _guard = lock.write().unwrap();
            trace.say("writer");
        });
        settle();
        s.spawn(|| {
            let _guard = lock.read().unwrap();
            trace.say("reader");
        });
        settle();
        assert!(lock.try_read().is_none(), "nor by one that does not wait");
        trace.expect(&[]);
        drop(reading);
    });
    trace.expect(&["writer", "reader"]);
    Ok(())
}

#[coop::test]
fn a_run_of_readers_goes_in_together_and_stops_at_the_next_writer() -> Result<(), Killed> {
    let (lock, inside, trace) = (RwLock::new(()), Cell::new(0), Trace::default());
    let writing = lock.write()?;
    coop::wait_all(|s| {
        for name in ["r1", "r2", "w", "r3"] {
            let (lock, inside, trace) = (&lock, &inside, &trace);
            s.spawn(move || {
                let (_read, _write) = match name {
                    "w" => (None, Some(lock.write().unwrap())),
                    _ => (Some(lock.read().unwrap()), None),
                };
                inside.set(inside.get() + 1);
                coop::yield_now().unwrap();
                trace.say(format!("{name} with {}", inside.get()));
                coop::yield_now().unwrap();
                inside.set(inside.get() - 1);
            });
            settle();
        }
        drop(writing);
    });
    trace.expect(&["r1 with 2", "r2 with 2", "w with 1", "r3 with 1"]);
    Ok(())
}

/// The readers behind it can share with the one that is in.
#[coop::test]
fn a_writer_that_is_killed_lets_those_behind_it_in() -> Result<(), Killed> {
    let (lock, trace) = (RwLock::new(()), Trace::default());
    let _reading = lock.read()?;
    coop::wait_all(|s| {
        let mut writer = s.spawn(|| lock.write().map(drop));
        settle();
        s.spawn(|| {
            let _guard = lock.read().unwrap();
            trace.say("reader");
        });
        settle();
        trace.expect(&[]);
        writer.kill();
        let killed = writer.join().unwrap().unwrap_err();
        assert!(matches!(killed.cause(), Cause::Explicit(_)));
    });
    trace.expect(&["reader"]);
    assert!(lock.try_read().is_some() && lock.try_write().is_none());
    Ok(())
}

/// The same for one that leaves because another arm won, or because its Handle was dropped.
#[coop::test(schedules = 50)]
fn a_writer_that_goes_away_lets_those_behind_it_in() -> Result<(), Killed> {
    let lock = RwLock::new(());
    let _reading = lock.read()?;
    coop::wait_all(|s| {
        let mut reader = s.spawn(|| lock.read().map(drop));
        coop::select! {
            _ = op::write_lock(&lock) => panic!("somebody reads"),
            _ = op::after(Duration::from_millis(1)) => {}
        }
        .unwrap();
        reader.join().unwrap().unwrap();

        let writing = s.start(op::write_lock(&lock));
        let mut reader = s.spawn(|| lock.read().map(drop));
        settle();
        assert!(writing.cancel().is_none());
        reader.join().unwrap().unwrap();
    });
    Ok(())
}

#[coop::test]
fn a_started_lock_keeps_its_place_and_a_dropped_one_gives_it_on() -> Result<(), Killed> {
    let (lock, trace) = (RwLock::new(0), Trace::default());
    let reading = lock.read()?;
    coop::wait_all(|s| {
        let mut first = s.start(op::write_lock(&lock));
        s.spawn(|| {
            *lock.write().unwrap() += 1;
            trace.say("second");
        });
        settle();
        drop(reading);
        settle();
        trace.expect(&[]);
        coop::select! {
            mut guard = &mut first => *guard += 10,
            _ = op::after(LONG) => panic!("the lock is ours"),
        }
        .unwrap();
        settle();
        trace.expect(&["second"]);

        // One that was given the lock, and does not want it.
        let unwanted = s.start(op::write_lock(&lock));
        assert!(lock.try_read().is_none());
        drop(unwanted);
    });
    assert_eq!(lock.into_inner(), 11);
    Ok(())
}

#[coop::test]
fn downgrading_lets_readers_in_and_no_writer() -> Result<(), Killed> {
    let (lock, trace) = (RwLock::new(1), Trace::default());
    let writing = lock.write()?;
    coop::wait_all(|s| {
        s.spawn(|| trace.say(format!("reads {}", lock.read().unwrap())));
        settle();
        s.spawn(|| {
            *lock.write().unwrap() += 1;
            trace.say("writes");
        });
        settle();
        let reading = RwLockWriteGuard::downgrade(writing);
        settle();
        trace.expect(&["reads 1"]);
        assert_eq!(*reading, 1);
    });
    trace.expect(&["writes"]);
    Ok(())
}

#[coop::test]
fn a_killed_task_gets_no_lock_even_if_it_is_free() {
    let lock = RwLock::new(());
    let mut task = coop::spawn(move || {
        let _ = coop::yield_now();
        (lock.read().is_err(), lock.write().is_err(), lock.try_write().is_some())
    });
    task.kill();
    assert_eq!(task.join().unwrap(), (true, true, true), "what does not wait works");
}

#[coop::test]
fn a_wait_for_it_ends_at_a_deadline() {
    let lock = RwLock::new(());
    let _writing = lock.try_write();
    let late = coop::timeout(Duration::from_millis(5), || -> std::io::Result<()> {
        let _reading = lock.read()?;
        Ok(())
    });
    assert_eq!(late.unwrap_err().kind(), std::io::ErrorKind::TimedOut);
}

/// Guards that are forgotten keep the lock; a panic does not poison it.
#[cfg_attr(panic = "abort", ignore = "a panic ends the process")]
#[coop::test]
fn forgetting_keeps_it_and_panicking_frees_it() -> Result<(), Killed> {
    let lock = RwLock::new(());
    coop::wait_all(|s| {
        let mut task = s.spawn(|| {
            let _writing = lock.write().unwrap();
            panic!("on purpose");
        });
        assert!(task.join().is_err());
    });
    std::mem::forget(lock.read()?);
    assert!(lock.try_read().is_some() && lock.try_write().is_none());
    assert_eq!(format!("{:?} {:?}", lock, RwLock::new(7)), "RwLock(()) RwLock(7)");
    Ok(())
}

/// Against a model: who is in, in whatever order tasks run.
#[coop::test(schedules = 100)]
fn never_a_writer_with_anybody_else() {
    let (lock, readers, writers) = (RwLock::new(0), Cell::new(0), Cell::new(0));
    coop::wait_all(|s| {
        for task in 0..12 {
            let (lock, readers, writers) = (&lock, &readers, &writers);
            let handle = s.spawn(move || -> Result<(), Killed> {
                for _ in 0..8 {
                    if task % 3 == 0 {
                        let mut value = lock.write()?;
                        assert_eq!((readers.get(), writers.replace(1)), (0, 0));
                        *value += 1;
                        let _ = coop::yield_now();
                        writers.set(0);
                    } else {
                        let _value = lock.read()?;
                        assert_eq!(writers.get(), 0);
                        readers.set(readers.get() + 1);
                        let _ = coop::yield_now();
                        readers.set(readers.get() - 1);
                    }
                }
                Ok(())
            });
            if task % 4 == 3 {
                s.spawn(move || {
                    let _ = coop::sleep(Duration::ZERO);
                    handle.kill();
                });
            }
        }
    });
    assert!(lock.try_write().is_some(), "nobody was forgotten in it");
}
