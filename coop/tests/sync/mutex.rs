use crate::trace::{Trace, settle};
use coop::sync::Mutex;
use coop::{Killed, op};
use std::time::Duration;

#[coop::test]
fn it_goes_to_whoever_waits_longest_and_is_not_overtaken() -> Result<(), Killed> {
    let (mutex, trace) = (Mutex::default(), Trace::default());
    let held = mutex.lock()?;
    coop::wait_all(|s| {
        for name in ["a", "b"] {
            let (mutex, trace) = (&mutex, &trace);
            s.spawn(move || {
                let _guard = mutex.lock().unwrap();
                trace.say(name);
            });
        }
        settle();
        drop(held);
        assert!(mutex.try_lock().is_none(), "it is a's, who has not run yet");
    });
    trace.expect(&["a", "b"]);
    let _: () = mutex.into_inner();
    Ok(())
}

#[cfg_attr(panic = "abort", ignore = "a panic ends the process")]
#[coop::test]
fn a_panic_unlocks_and_poisons_nothing() {
    let mutex = Mutex::from(1);
    coop::wait_all(|s| {
        let mut panics = s.spawn(|| {
            *mutex.lock().unwrap() = 2;
            let _guard = mutex.lock().unwrap();
            panic!("on purpose");
        });
        assert!(panics.join().is_err());
    });
    assert_eq!(*mutex.try_lock().expect("unlocked"), 2);
    assert_eq!(format!("{mutex:?}"), "Mutex(2)");
    let guard = mutex.try_lock();
    assert_eq!(format!("{mutex:?} {}", guard.unwrap()), "Mutex(<locked>) 2");
}

#[coop::test]
fn a_lock_that_was_given_to_a_dropped_handle_goes_on() {
    let (mutex, trace) = (Mutex::new(()), Trace::default());
    let held = mutex.try_lock().unwrap();
    coop::wait_all(|s| {
        let handle = s.start(op::lock(&mutex));
        s.spawn(|| {
            let _guard = mutex.lock().unwrap();
            trace.say("next");
        });
        settle();
        drop(held);
        settle();
        trace.expect(&[]);
        drop(handle);
    });
    trace.expect(&["next"]);
}

#[coop::test]
fn a_deadline_ends_the_wait() {
    let mutex = Mutex::new(());
    let _held = mutex.try_lock();
    let late = coop::timeout(Duration::from_millis(1), || -> std::io::Result<()> {
        drop(mutex.lock()?);
        Ok(())
    });
    assert_eq!(late.unwrap_err().kind(), std::io::ErrorKind::TimedOut);
}
