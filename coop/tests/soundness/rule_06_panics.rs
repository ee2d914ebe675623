//! Rule 6: a panic stays in its task until somebody asks for it; a kill is an error value, never an unwind.

use crate::child::child;
use crate::trace::{Defer, Trace};
use coop::{Builder, Cause, JoinError, OrphanPanic};
use std::panic::{AssertUnwindSafe, catch_unwind, panic_any};
use std::time::Duration;

const LONG: Duration = Duration::from_secs(3600);

fn payload(caught: Result<(), Box<dyn std::any::Any + Send>>) -> u32 {
    *caught.unwrap_err().downcast_ref().expect("the payload is a number")
}

#[test]
fn a_joiner_gets_the_payload_and_nobody_else_notices() {
    coop::run(|| {
        let mut healthy = coop::spawn(|| coop::sleep(Duration::from_millis(1)));
        let mut panics = coop::spawn(|| panic_any(17u32));
        let Err(JoinError::Panicked(payload)) = panics.join() else { panic!("it panicked") };
        assert_eq!(payload.downcast_ref(), Some(&17u32));
        assert!(matches!(panics.join(), Err(JoinError::AlreadyJoined)));
        assert_eq!(healthy.join().unwrap(), Ok(()));
    });
}

#[test]
fn a_task_that_panics_kills_its_children_and_awaits_them() {
    let trace = Trace::default();
    coop::run(|| {
        let inner = trace.clone();
        let mut parent = coop::spawn(move || {
            let child = inner.clone();
            drop(coop::spawn(move || {
                let killed = coop::sleep(LONG).unwrap_err();
                coop::shield(LONG, || coop::sleep(Duration::from_millis(1))).unwrap();
                child.say(format!("the child ends: {}", killed.cause()));
            }));
            coop::yield_now().unwrap();
            let _dropped = inner.at_drop("the parent unwinds");
            panic!("on purpose");
        });
        assert!(matches!(parent.join(), Err(JoinError::Panicked(_))));
        trace.say("joined");
    });
    assert_eq!(trace.take(), ["the parent unwinds", "the child ends: its parent ended", "joined"]);
}

#[test]
fn a_scope_passes_the_first_panic_on_when_all_its_children_have_ended() {
    let trace = Trace::default();
    coop::run(|| {
        // In the body, in a child, in a child and then in the body, in two children.
        for (body, children) in
            [(Some(1), [None, None]), (None, [Some(2), None]), (Some(3), [Some(4), None]), (None, [Some(5), Some(6)])]
        {
            let caught = catch_unwind(AssertUnwindSafe(|| {
                coop::wait_all(|s| {
                    let _locals = trace.at_drop("the body's locals");
                    s.spawn(|| {
                        let killed = coop::sleep(LONG).unwrap_err();
                        let cleaned = coop::shield(LONG, || coop::sleep(Duration::from_micros(100))).is_ok();
                        trace.say(format!("a bystander: {}, {cleaned}", killed.cause()));
                    });
                    for number in children.into_iter().flatten() {
                        s.spawn(move || panic_any::<u32>(number));
                    }
                    if let Some(number) = body {
                        coop::yield_now().ok();
                        panic_any::<u32>(number);
                    }
                })
            }));
            trace.say(format!("caught {}", payload(caught)));
        }
    });
    let expected = [
        ["the body's locals", "a bystander: its parent ended, true", "caught 1"],
        ["the body's locals", "a bystander: a sibling failed, true", "caught 2"],
        ["the body's locals", "a bystander: a sibling failed, true", "caught 4"],
        ["the body's locals", "a bystander: a sibling failed, true", "caught 5"],
    ];
    assert_eq!(trace.take(), expected.concat());
}

#[test]
fn a_scoped_child_that_was_joined_keeps_its_panic_from_the_scope() {
    coop::run(|| {
        let joined = coop::wait_all(|s| s.spawn(|| panic_any(1u32)).join());
        assert!(matches!(joined, Err(JoinError::Panicked(_))));
        let failed: Result<(), &str> = coop::scope(|s| {
            let mut child = s.try_spawn(|| -> Result<(), &str> { panic_any(2u32) });
            assert!(matches!(child.join(), Err(JoinError::Panicked(_))));
            Err("the body's")
        });
        assert_eq!(failed, Err("the body's"));
    });
}

#[test]
fn the_roots_panic_goes_on_when_everything_has_ended() {
    let trace = Trace::default();
    let caught = catch_unwind(AssertUnwindSafe(|| {
        coop::run(|| {
            let child = trace.clone();
            drop(coop::spawn(move || {
                let killed = coop::sleep(LONG).unwrap_err();
                child.say(format!("the child ends: {}", killed.cause()));
            }));
            coop::yield_now().unwrap();
            panic_any(9u32)
        })
    }));
    trace.say(format!("caught {}", payload(caught)));
    assert_eq!(trace.take(), ["the child ends: its parent ended", "caught 9"]);
    assert_eq!(coop::run(|| 5), 5, "the thread is good for another Cooperator");
}

#[test]
fn an_orphans_panic_is_counted_or_kills_its_parent_as_configured() {
    let parent_after = |action| {
        let run = || {
            let mut parent = coop::spawn(|| {
                drop(coop::spawn(|| panic!("an orphan")));
                coop::sleep(Duration::from_millis(2)).map_err(|killed| killed.cause())
            });
            parent.join().unwrap()
        };
        Builder::new().on_orphan_panic(action).run(run).unwrap()
    };
    assert_eq!(parent_after(OrphanPanic::Log), Ok(()));
    assert_eq!(parent_after(OrphanPanic::KillParent), Err(Cause::Parent));
}

#[test]
fn an_orphans_panic_aborts_if_so_configured_and_names_the_task() {
    child!(|| {
        let run = || {
            drop(coop::TaskBuilder::new().name("orphan").spawn(|| panic!("on purpose")));
            let _ = coop::sleep(LONG);
        };
        Builder::new().on_orphan_panic(OrphanPanic::Abort).run(run).unwrap();
    })
    .died_of(libc::SIGABRT)
    .said("coop: task #2 'orphan' panicked and nobody joined it; aborting as configured");
}

#[test]
fn a_kill_never_unwinds() {
    let trace = Trace::default();
    coop::run(|| {
        let inner = trace.clone();
        let mut task = coop::spawn(move || {
            let _guard =
                Defer::new(|| inner.say(format!("its destructors run, panicking: {}", std::thread::panicking())));
            let caught = catch_unwind(|| coop::sleep(LONG).is_err());
            inner.say(format!("its sleep returned an error: {:?}", caught.ok()));
        });
        coop::yield_now().unwrap();
        task.kill();
        task.join().unwrap();
    });
    assert_eq!(trace.take(), ["its sleep returned an error: Some(true)", "its destructors run, panicking: false"]);
}

#[test]
fn a_hundred_tasks_that_panic_in_turn_leave_nothing_behind() {
    coop::run(|| {
        for round in 0..10u32 {
            let mut tasks: Vec<_> = (0..10u32)
                .map(|number| {
                    coop::spawn(move || {
                        (0..number).for_each(|_| coop::yield_now().unwrap());
                        let _spawns = Defer::new(|| drop(coop::spawn(|| coop::sleep(LONG))));
                        panic_any(round * 10 + number);
                    })
                })
                .collect();
            for (number, task) in tasks.iter_mut().enumerate() {
                let Err(JoinError::Panicked(payload)) = task.join() else { panic!("it panicked") };
                assert_eq!(payload.downcast_ref(), Some(&(round * 10 + number as u32)));
            }
        }
        let census = coop::__private::census();
        assert_eq!((census.tasks, census.stacks, census.operations), (1, 1, 0));
    });
}
