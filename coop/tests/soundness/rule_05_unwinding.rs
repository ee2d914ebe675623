//! Rule 5: no switch while unwinding. A wait in a destructor that a panic runs is refused; only an operation in flight is drained,
//! in place.

use crate::child::child;
use crate::trace::{Defer, Trace};
use coop::net::{UnixListener, UnixStream};
use coop::sync::Mutex;
use coop::{Cause, Coordinator, JoinError, Killed, op};
use std::cell::Cell;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread::panicking;
use std::time::Duration;

const LONG: Duration = Duration::from_secs(3600);

/// Panics, and calls `f` in a destructor that the panic runs.
fn while_unwinding(f: impl FnOnce()) {
    let unwound = catch_unwind(AssertUnwindSafe(|| {
        let _runs_last = Defer::new(|| {
            assert!(panicking());
            f();
        });
        panic!("on purpose");
    }));
    assert_eq!(unwound.unwrap_err().downcast_ref::<&str>(), Some(&"on purpose"));
}

fn is_unwinding(error: io::Error) -> bool {
    Killed::of(&error).is_some_and(|killed| killed.cause() == Cause::Unwinding)
}

#[test]
fn every_wait_is_refused_at_once_and_no_other_task_runs() {
    let trace = Trace::default();
    coop::run(|| {
        let (ours, _theirs) = UnixStream::pair().unwrap();
        let listener = UnixListener::bind(format!("\0coop-unwinding-{}", std::process::id())).unwrap();
        let signal = coop::signal::listen(libc::SIGUSR2).unwrap();
        let (door, mutex) = (Coordinator::held(), Mutex::new(0));
        let _locked = mutex.try_lock();
        let (_tx, rx) = coop::chan::bounded::<u8>(1);
        let (full, _full_rx) = coop::chan::bounded(1);
        full.send(0).unwrap();
        let mut unjoined = coop::spawn(|| coop::sleep(LONG).map_err(drop));
        let mut finished = coop::spawn(|| 5);
        coop::yield_now().unwrap();
        let other = trace.clone();
        drop(coop::spawn(move || other.say("another task runs")));
        let mut buffer = [0; 4];
        while_unwinding(|| {
            let unwinding = |killed: Killed| killed.cause() == Cause::Unwinding;
            assert!(coop::sleep(LONG).is_err_and(unwinding));
            assert!(coop::sleep(Duration::ZERO).is_err_and(unwinding));
            assert!(coop::yield_now().is_err_and(unwinding));
            assert!(coop::checkpoint().is_err_and(unwinding));
            assert!(door.acquire().map(drop).is_err_and(unwinding));
            assert!(mutex.lock().map(drop).is_err_and(unwinding));
            assert!(coop::coordinate!(&door, timeout = LONG).map(drop).is_err_and(unwinding));
            assert!(coop::select! { _ = op::after(LONG) => () }.is_err_and(unwinding));
            assert!(coop::select! { _ = op::after(LONG) => (), default => () }.is_err_and(unwinding));
            assert!(coop::join!(1, 2).map(drop).is_err_and(unwinding));
            assert!(matches!(unjoined.join(), Err(JoinError::Interrupted(killed)) if unwinding(killed)));
            assert!(matches!(finished.join(), Err(JoinError::Interrupted(killed)) if unwinding(killed)));
            assert!(matches!(rx.recv(), Err(coop::chan::RecvError::Killed(killed)) if unwinding(killed)));
            assert!(matches!(full.send(1), Err(coop::chan::SendError::Killed(killed, 1)) if unwinding(killed)));
            assert!(is_unwinding(ours.recv(&mut buffer).unwrap_err()));
            assert!(is_unwinding(ours.peek(&mut buffer).unwrap_err()));
            assert!(is_unwinding(ours.send(b"x").unwrap_err()));
            assert!(is_unwinding(listener.accept().map(drop).unwrap_err()));
            assert!(is_unwinding(UnixStream::connect("\0coop-nowhere").map(drop).unwrap_err()));
            assert!(is_unwinding(signal.recv().unwrap_err()));
            let (slept, expired) = coop::deadline(LONG, || coop::sleep(LONG));
            assert!(slept.is_err_and(unwinding) && !expired.is_expired());
            assert!(coop::shield(LONG, || coop::sleep(LONG)).is_err_and(unwinding));
            assert!(coop::wait_all(|_| coop::sleep(LONG)).is_err_and(unwinding));
            assert!(coop::run(|| coop::sleep(LONG)).is_err_and(unwinding));
            trace.say("unwound");
        });
        coop::yield_now().unwrap();
        assert_eq!(finished.join().unwrap(), 5, "the handle is still good");
        unjoined.kill();
    });
    assert_eq!(trace.take(), ["unwound", "another task runs"]);
}

#[test]
fn what_needs_no_wait_works() {
    coop::run(|| {
        let (tx, rx) = coop::chan::bounded(2);
        let door = Coordinator::new();
        let task = coop::spawn(|| coop::sleep(LONG).is_err());
        while_unwinding(|| {
            tx.try_send(1).unwrap();
            assert_eq!(rx.try_recv(), Ok(1));
            drop(door.try_acquire().unwrap());
            task.kill();
            drop(coop::spawn(|| ()));
            assert!(coop::dump().contains("root #1: running"));
            assert!(!coop::killed() && coop::current().name() == "root");
        });
    });
}

#[test]
fn an_operation_in_flight_is_drained_in_place_before_any_other_task_runs() {
    let trace = Trace::default();
    coop::run(|| {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let mut buffer = [0; 4];
        let (other, trace) = (trace.clone(), trace.clone());
        let unwound = catch_unwind(AssertUnwindSafe(|| {
            coop::wait_all(|s| {
                let incoming = s.start(op::recv(&ours, &mut buffer));
                coop::sleep(Duration::from_millis(1)).unwrap();
                drop(coop::spawn(move || other.say("another task runs")));
                let _drained_in_place = Defer::new(move || {
                    drop(incoming);
                    trace.say(format!(
                        "drained while panicking: {}, left: {}",
                        panicking(),
                        coop::__private::census().operations
                    ));
                });
                panic!("on purpose");
            });
        }));
        assert!(unwound.is_err());
        theirs.send_all(b"late").unwrap();
        assert_eq!((buffer, ours.recv(&mut [0; 4]).unwrap()), ([0; 4], 4));
    });
    assert_eq!(trace.take(), ["drained while panicking: true, left: 0", "another task runs"]);
}

#[test]
fn a_scope_in_such_a_destructor_has_no_children_and_returns() {
    let trace = Trace::default();
    coop::run(|| {
        while_unwinding(|| {
            let dropped = trace.at_drop("its closure was dropped");
            let joined = coop::wait_all(|s| {
                let mut child = s.spawn(move || drop(dropped));
                trace.say(format!("finished at once: {}", child.is_finished()));
                coop::wait_all(|inner| {
                    drop(inner.spawn(|| unreachable!("no child of a scope runs while its task unwinds")))
                });
                child.join()
            });
            assert!(matches!(joined, Err(JoinError::Interrupted(_))));
            let refused: Result<(), Killed> = coop::scope(|s| {
                s.try_spawn(|| -> Result<(), Killed> { unreachable!("nor of this one") });
                coop::sleep(LONG)
            });
            assert!(refused.is_err());
        });
    });
    assert_eq!(trace.take(), ["its closure was dropped", "finished at once: true"]);
}

#[test]
fn a_detached_child_of_such_a_destructor_runs_later_and_is_not_unwinding() {
    let trace = Trace::default();
    coop::run(|| {
        let later = trace.clone();
        let mut child = None;
        while_unwinding(|| {
            child = Some(coop::spawn(move || {
                coop::sleep(Duration::from_nanos(1)).unwrap();
                later.say(format!("the child has slept, panicking: {}", panicking()));
            }));
            trace.say("spawned");
        });
        trace.say("unwound");
        child.unwrap().join().unwrap();
    });
    assert_eq!(trace.take(), ["spawned", "unwound", "the child has slept, panicking: false"]);
}

#[test]
fn no_task_ever_sees_the_panic_of_another_and_std_mutexes_stay_healthy() {
    coop::run(|| {
        let healthy = std::sync::Mutex::new(0);
        let (ours, _theirs) = UnixStream::pair().unwrap();
        let rounds = Cell::new(0);
        coop::wait_all(|s| {
            for _ in 0..4 {
                s.spawn(|| {
                    while rounds.get() < 100 {
                        assert!(!panicking());
                        *healthy.lock().unwrap() += 1;
                        let _ = coop::yield_now();
                    }
                });
            }
            for _ in 0..2 {
                s.spawn(|| {
                    while rounds.get() < 100 {
                        rounds.set(rounds.get() + 1);
                        let mut buffer = [0; 4];
                        while_unwinding(|| {
                            let _ = coop::sleep(LONG);
                            coop::wait_all(|s| drop(s.start(op::recv(&ours, &mut buffer))));
                            let _ = coop::yield_now();
                        });
                        coop::yield_now().unwrap();
                    }
                });
            }
        });
        assert!(!healthy.is_poisoned());
    });
}

#[test]
fn a_panic_hook_that_waits_is_refused() {
    child!(|| {
        std::panic::set_hook(Box::new(|_| {
            let refused = coop::sleep(LONG).is_err_and(|killed| killed.cause() == Cause::Unwinding);
            eprintln!("the hook's wait was refused: {refused}");
        }));
        coop::run(|| {
            drop(coop::spawn(|| eprintln!("another task runs")));
            assert!(catch_unwind(|| panic!("on purpose")).is_err());
        });
    })
    .succeeded()
    .said("the hook's wait was refused: true\nanother task runs");
}

#[test]
fn a_run_in_a_destructor_of_a_thread_without_cooperator_refuses_waits_and_ends() {
    while_unwinding(|| {
        let value = coop::run(|| {
            let mut child = coop::spawn(|| 7);
            assert!(matches!(child.join(), Err(JoinError::Interrupted(_))));
            drop(coop::spawn(|| {
                assert!(coop::checkpoint().is_err(), "the whole thread unwinds");
            }));
            coop::sleep(LONG).is_err()
        });
        assert!(value);
    });
}
