use crate::trace::{Trace, settle};
use coop::sync::OnceCell;
use coop::{Killed, op};
use std::cell::Cell;
use std::time::Duration;

#[derive(Debug, PartialEq)]
enum Failure {
    Refused,
    Killed,
}

impl From<Killed> for Failure {
    fn from(_: Killed) -> Self {
        Failure::Killed
    }
}

#[coop::test(schedules = 50)]
fn many_ask_and_one_makes() {
    let (cell, made) = (OnceCell::new(), Cell::new(0));
    coop::wait_all(|s| {
        for _ in 0..10 {
            s.spawn(|| {
                let value = cell.get_or_init(|| {
                    made.set(made.get() + 1);
                    coop::sleep(Duration::from_millis(5)).unwrap();
                    String::from("value")
                });
                assert_eq!(value.unwrap(), "value");
            });
        }
    });
    assert_eq!((made.get(), cell.into_inner().as_deref()), (1, Some("value")));
}

#[cfg_attr(panic = "abort", ignore = "a panic ends the process")]
#[coop::test]
fn after_an_error_a_panic_or_a_kill_the_next_in_line_makes_it() {
    let (cell, trace) = (OnceCell::new(), Trace::default());
    coop::wait_all(|s| {
        let mut fails = s.spawn(|| {
            cell.get_or_try_init(|| {
                trace.say("fails");
                coop::yield_now()?;
                Err(Failure::Refused)
            })
            .copied()
        });
        settle_into(&trace, "fails");
        let mut panics = s.spawn(|| {
            let _ = cell.get_or_init(|| {
                trace.say("panics");
                coop::yield_now().unwrap();
                panic!("on purpose");
            });
        });
        let mut is_killed = s.spawn(|| {
            cell.get_or_try_init(|| {
                trace.say("is killed");
                coop::sleep(Duration::from_secs(3600))?;
                Ok::<_, Failure>(1)
            })
            .copied()
        });
        let mut makes = s.spawn(|| cell.get_or_init(|| 7).copied());
        assert_eq!(fails.join().unwrap(), Err(Failure::Refused));
        assert!(panics.join().is_err());
        settle();
        is_killed.kill();
        assert_eq!(is_killed.join().unwrap(), Err(Failure::Killed));
        assert_eq!(makes.join().unwrap(), Ok(7));
    });
    trace.expect(&["panics", "is killed"]);
}

/// Lets the first task begin, and checks that it did.
#[track_caller]
fn settle_into(trace: &Trace, said: &str) {
    coop::yield_now().unwrap();
    trace.expect(&[said]);
}

#[coop::test]
fn one_that_waits_for_its_turn_can_be_killed() {
    let cell = OnceCell::new();
    coop::wait_all(|s| {
        let mut maker = s.spawn(|| cell.get_or_init(|| coop::sleep(Duration::from_secs(5)).is_ok()).copied());
        settle();
        let mut waits = s.spawn(|| cell.get_or_init(|| false).copied());
        settle();
        waits.kill();
        assert!(waits.join().unwrap().is_err());
        assert_eq!(maker.join().unwrap(), Ok(true));
    });
}

#[coop::test]
fn setting_it_by_hand() {
    let mut cell = OnceCell::new();
    coop::wait_all(|s| {
        assert_eq!(cell.get(), None);
        let mut waits = s.spawn(|| cell.wait().copied());
        settle();
        assert_eq!((cell.set(1), cell.set(2)), (Ok(()), Err(2)));
        assert_eq!(waits.join().unwrap(), Ok(1));
        assert_eq!(cell.get_or_init(|| 3), Ok(&1));
    });
    *cell.get_mut().unwrap() += 1;
    assert_eq!((cell.clone().get(), cell.take(), cell.get()), (Some(&2), Some(2), None));
    assert_eq!(format!("{cell:?} {:?}", OnceCell::from(5)), "OnceCell(<empty>) OnceCell(5)");
}

/// While it is being made nobody else can put one in, not even the maker's own code.
#[coop::test]
fn setting_it_while_it_is_being_made_is_refused() {
    let cell = OnceCell::new();
    let value = cell.get_or_init(|| {
        assert_eq!((cell.set(1), cell.get()), (Err(1), None));
        2
    });
    assert_eq!(value, Ok(&2));
}

#[coop::test]
fn waiting_for_it_is_an_arm_that_gives_a_reference() {
    let cell = OnceCell::new();
    coop::wait_all(|s| {
        let mut late = s.spawn(|| {
            coop::select! {
                value = op::wait(&cell) => Some(value),
                _ = op::after(Duration::from_secs(1)) => None,
            }
        });
        assert_eq!(late.join().unwrap(), Ok(None));
        let mut asks = s.spawn(|| {
            coop::select! {
                value = op::wait(&cell) => Some(value),
                _ = op::after(Duration::from_secs(1)) => None,
            }
        });
        settle();
        cell.set(String::from("here")).unwrap();
        assert_eq!(asks.join().unwrap(), Ok(Some(&String::from("here"))));
    });
}

#[coop::test]
fn a_killed_task_still_gets_what_is_there() {
    let cell = OnceCell::from(1);
    let mut task = coop::spawn(move || {
        let _ = coop::yield_now();
        (cell.get_or_init(|| 2).copied(), cell.get().copied())
    });
    task.kill();
    assert_eq!(task.join().unwrap(), (Ok(1), Some(1)));
}

/// The value's own destructor runs once, wherever it ends.
#[coop::test]
fn a_value_is_dropped_once() {
    struct Counts<'a>(&'a Cell<usize>);
    impl Drop for Counts<'_> {
        fn drop(&mut self) {
            self.0.set(self.0.get() + 1);
        }
    }
    let dropped = Cell::new(0);
    let cell = OnceCell::new();
    assert!(cell.set(Counts(&dropped)).is_ok());
    drop(cell.set(Counts(&dropped)));
    assert_eq!(dropped.get(), 1);
    drop(cell);
    assert_eq!(dropped.get(), 2);
}
