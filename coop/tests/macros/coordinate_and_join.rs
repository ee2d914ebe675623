//! `coordinate!` and `join!`: their grammars, and what they give.

use coop::{Acquired, Coordinator, Killed};
use std::cell::RefCell;
use std::time::Duration;

const MOMENT: Duration = Duration::from_millis(1);

#[coop::test]
fn coordinate_acquires_the_first_that_is_free_and_releases_it_when_dropped() -> Result<(), Killed> {
    let doors = [Coordinator::held(), Coordinator::new(), Coordinator::new()];
    let acquired = coop::coordinate!(&doors[0], &doors[1], &doors[2],)?;
    assert_eq!(acquired.index(), 1);
    assert_eq!(doors.each_ref().map(Coordinator::is_held), [true, true, false], "one, and no other");
    drop(acquired);
    assert_eq!(doors.each_ref().map(Coordinator::is_held), [true, false, false]);
    coop::coordinate!(&doors[2])?.keep();
    assert_eq!(doors.each_ref().map(Coordinator::is_held), [true, false, true]);
    Ok(())
}

#[coop::test]
fn coordinate_waits_for_a_release_in_the_order_of_asking() {
    let (a, b) = (Coordinator::held(), Coordinator::held());
    let trace = RefCell::new(Vec::new());
    coop::wait_all(|s| {
        for name in ["first", "second", "third"] {
            let (a, b, trace) = (&a, &b, &trace);
            s.spawn(move || {
                let acquired = coop::coordinate!(a, b).unwrap();
                trace.borrow_mut().push((name, acquired.index()));
                acquired.keep();
            });
        }
        coop::sleep(MOMENT).unwrap();
        b.release();
        coop::sleep(MOMENT).unwrap();
        a.release();
        coop::sleep(MOMENT).unwrap();
        a.release();
    });
    assert_eq!(trace.into_inner(), [("first", 1), ("second", 0), ("third", 0)]);
}

#[coop::test]
fn the_timeout_of_coordinate_may_stand_anywhere() -> Result<(), Killed> {
    struct Room<'a> {
        door: &'a Coordinator,
        patience: Option<Duration>,
    }
    let (held, free) = (Coordinator::held(), Coordinator::new());
    let room = Room { door: &held, patience: None };
    let none: Option<Acquired<'_>> = coop::coordinate!(room.door, timeout = MOMENT)?;
    assert!(none.is_none());
    assert!(coop::coordinate!(timeout = room.patience.unwrap_or(MOMENT), room.door, &held)?.is_none());
    let some = coop::coordinate!(&held, timeout = if free.is_held() { MOMENT } else { Duration::MAX }, &free)?;
    assert_eq!(some.map(|acquired| acquired.index()), Some(1));
    Ok(())
}

#[coop::test]
fn a_killed_coordinate_has_acquired_nothing() {
    let door = Coordinator::held();
    coop::wait_all(|s| {
        let waiter = s.spawn(|| assert!(coop::coordinate!(&door).is_err()));
        coop::sleep(MOMENT).unwrap();
        waiter.kill();
        coop::sleep(MOMENT).unwrap();
        door.release();
    });
    assert!(!door.is_held());
}

#[coop::test]
fn join_gives_a_tuple_of_all_values_in_the_order_of_the_text() -> Result<(), Killed> {
    let trace = RefCell::new(Vec::new());
    let slowly = |name: &'static str, duration: u32| {
        coop::sleep(MOMENT * duration).unwrap();
        trace.borrow_mut().push(name);
        name
    };
    let joined = coop::join!(slowly("slow", 3), slowly("quick", 1), slowly("middling", 2))?;
    assert_eq!(joined, ("slow", "quick", "middling"));
    assert_eq!(trace.into_inner(), ["quick", "middling", "slow"], "they ran side by side");
    assert_eq!(coop::join!(1)?, (1,));
    assert_eq!(coop::join!(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12,)?.11, 12);
    Ok(())
}

#[coop::test]
fn an_expression_of_join_borrows_moves_and_returns_for_itself() -> Result<(), Killed> {
    let (mut left, mut right) = (vec![1], vec![2]);
    let text = String::from("moved");
    let (pushed, parsed, text, early) = coop::join!(
        {
            left.push(10);
            left.len()
        },
        {
            right.push("20".parse::<i32>()?);
            "x".parse::<i32>()
        },
        text,
        {
            if left_is_long() {
                return "early";
            }
            "late"
        }
    )?;
    fn left_is_long() -> bool {
        true
    }
    assert_eq!((pushed, parsed.is_err(), &*text, early), (2, true, "moved", "early"));
    assert_eq!((left, right), (vec![1, 10], vec![2, 20]));
    Ok(())
}

#[coop::test]
fn the_panic_of_one_expression_kills_the_others_and_goes_on() {
    let killed = RefCell::new(None);
    let mut task = coop::wait_all(|s| {
        let joining =
            s.spawn(|| coop::join!(panic!("the first"), killed.replace(coop::sleep(Duration::MAX).err())).map(drop));
        let mut joining = joining;
        joining.join()
    });
    assert_eq!(task.as_mut().unwrap_err().to_string(), "the task panicked: the first");
    assert_eq!(killed.into_inner().map(|killed| killed.cause()), Some(coop::Cause::Sibling));
}

#[coop::test]
fn a_task_that_was_killed_before_runs_none_of_them() {
    let mut task = coop::spawn(|| {
        let refused = coop::sleep(Duration::MAX).is_err();
        (refused, coop::join!(panic!("this runs"), ()).is_err())
    });
    coop::yield_now().unwrap();
    task.kill();
    assert_eq!(task.join().unwrap(), (true, true));
}
