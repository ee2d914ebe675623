//! `block_on`: a future on a task.

use super::{Stopped, Trace, cause_of, child::child, let_others_run, milliseconds};
use async_channel as channel;
use coop::{Cause, JoinError, Killed, block_on, future, spawn};
use std::cell::{Cell, RefCell};
use std::future::{pending, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::thread;
use std::time::Instant;

#[coop::test]
fn only_the_task_waits_for_its_future() {
    let trace = Trace::default();
    let (tx, rx) = channel::bounded(1);
    let told = trace.clone();
    let mut other = spawn(move || {
        told.say("the other task runs, and sends");
        tx.try_send("a message").unwrap();
    });
    trace.say("waiting");
    let text = block_on(rx.recv()).unwrap().unwrap();
    trace.say(text);
    other.join().unwrap();
    trace.is(&["waiting", "the other task runs, and sends", "a message"]);
}

#[coop::test]
fn a_future_may_borrow_and_need_not_be_send() {
    let local = RefCell::new(vec![1]);
    let shared = Rc::new(Cell::new(1));
    let (tx, rx) = channel::bounded(1);
    let sum = coop::scope(|s| -> Result<i32, Killed> {
        s.spawn(|| {
            local.borrow_mut().push(2);
            shared.set(3);
            tx.try_send(()).unwrap();
        });
        block_on(async {
            rx.recv().await.unwrap();
            local.borrow().iter().sum::<i32>() + shared.get()
        })
    });
    assert_eq!(sum, Ok(6));
}

#[coop::test]
fn a_kill_drops_the_future_on_its_task_and_gives_killed() {
    let trace = Trace::default();
    let told = trace.clone();
    let mut task = coop::TaskBuilder::new().name("waiter").spawn(move || {
        let witness = told.witness("the future");
        let (_tx, rx) = channel::bounded::<()>(1);
        let result = block_on(async move {
            let _witness = witness;
            rx.recv().await
        });
        told.say("the call has returned");
        cause_of(result)
    });
    let_others_run();
    task.kill();
    trace.is(&[]);
    assert!(matches!(task.join().unwrap(), Cause::Explicit(_)));
    trace.is(&["the future is dropped in waiter", "the call has returned"]);
}

#[coop::test]
fn in_a_killed_task_a_future_is_not_polled_but_dropped() {
    let trace = Trace::default();
    let told = trace.clone();
    let (tx, rx) = channel::bounded::<()>(1);
    let mut task = coop::TaskBuilder::new().name("killed").spawn(move || {
        assert!(block_on(rx.recv()).is_err());
        let (witness, polled) = (told.witness("the second"), told.clone());
        let result = block_on(async move {
            let _witness = witness;
            polled.say("polled");
        });
        told.say(format!("refused: {}", result.is_err()));
    });
    let_others_run();
    task.kill();
    task.join().unwrap();
    trace.is(&["the second is dropped in killed", "refused: true"]);
    drop(tx);
}

#[coop::test]
fn a_future_that_is_woken_before_the_kill_is_ready_all_the_same() {
    let (tx, rx) = channel::bounded(1);
    let mut task = spawn(move || block_on(rx.recv()));
    let_others_run();
    tx.try_send("just in time").unwrap();
    task.kill();
    assert_eq!(task.join().unwrap(), Ok(Ok("just in time")));
}

#[coop::test]
fn woken_by_another_thread_before_the_kill_too() {
    let (tx, rx) = channel::bounded(1);
    let mut task = spawn(move || block_on(rx.recv()));
    let_others_run();
    // This thread is blocked: what the other one leaves for it is still there when the kill comes.
    thread::spawn(move || tx.try_send("just in time").unwrap()).join().unwrap();
    task.kill();
    assert_eq!(task.join().unwrap(), Ok(Ok("just in time")));
}

#[coop::test]
fn a_kill_that_finds_the_future_woken_for_nothing_ends_it() {
    let polls = Rc::new(Cell::new(0));
    let (waker, counted) = (Rc::new(RefCell::new(None::<Waker>)), polls.clone());
    let given = waker.clone();
    let mut task = spawn(move || {
        block_on(poll_fn(|context| {
            counted.set(counted.get() + 1);
            given.replace(Some(context.waker().clone()));
            Poll::<()>::Pending
        }))
    });
    let_others_run();
    assert_eq!(polls.get(), 1);
    let waker = waker.take().unwrap();
    thread::spawn(move || waker.wake()).join().unwrap();
    task.kill();
    assert!(task.join().unwrap().is_err());
    assert_eq!(polls.get(), 2, "once more, and not again");
}

#[coop::test]
fn a_future_stopped_by_a_deadline_goes_on_in_the_next_call() {
    let steps = Cell::new(0);
    let mut future = pin!(async {
        for _ in 0..5 {
            future::sleep(milliseconds(10)).await;
            steps.set(steps.get() + 1);
        }
        "done"
    });
    let first = coop::timeout(milliseconds(25), || Ok::<_, Stopped>(block_on(future.as_mut())?));
    assert_eq!((first, steps.get()), (Err(Stopped::TimedOut), 2));
    assert_eq!((block_on(future.as_mut()), steps.get()), (Ok("done"), 5));
}

#[coop::test]
fn a_future_moves_between_tasks_and_is_woken_in_the_last() {
    let (tx, rx) = channel::bounded(1);
    let mut future = Box::pin(async move { rx.recv().await });
    let mut first = spawn(move || {
        let stopped = coop::timeout(milliseconds(1), || Ok::<_, Stopped>(block_on(&mut future)?));
        (stopped.map(drop), future)
    });
    let (stopped, future) = first.join().unwrap();
    assert_eq!(stopped, Err(Stopped::TimedOut));
    let mut second = spawn(move || block_on(future));
    let_others_run();
    assert!(!second.is_finished());
    tx.try_send(1).unwrap();
    assert_eq!(second.join().unwrap(), Ok(Ok(1)));
}

#[coop::test]
fn a_deadline_bounds_a_future_that_always_wakes_itself() {
    let (result, expired) = coop::deadline(milliseconds(3), || {
        block_on(async {
            loop {
                futures::pending!(); // returns Pending once, without a wake
            }
        })
    });
    assert!(cause_of::<()>(result) == Cause::Deadline && expired.is_expired());
}

#[test]
fn a_future_that_wakes_itself_for_ever_meets_its_deadline() {
    // On a real clock: a virtual one stands still while somebody can run.
    coop::run(|| {
        let start = Instant::now();
        let spinning = poll_fn(|context| {
            context.waker().wake_by_ref();
            Poll::<()>::Pending
        });
        let result = coop::timeout(milliseconds(10), || Ok::<_, Stopped>(block_on(spinning)?));
        assert_eq!(result, Err(Stopped::TimedOut));
        assert!(start.elapsed() >= milliseconds(10));
    });
}

#[coop::test]
fn a_future_that_wakes_itself_gives_way_each_time() {
    let trace = Trace::default();
    let told = trace.clone();
    let mut other = spawn(move || {
        for round in 1..=2 {
            told.say(format!("other {round}"));
            coop::yield_now().unwrap();
        }
    });
    let mut polls = 0;
    let result = block_on(poll_fn(|context| {
        polls += 1;
        trace.say(format!("poll {polls}"));
        context.waker().wake_by_ref();
        if polls == 3 { Poll::Ready("ready") } else { Poll::Pending }
    }));
    assert_eq!(result, Ok("ready"));
    other.join().unwrap();
    trace.is(&["poll 1", "other 1", "poll 2", "other 2", "poll 3"]);
}

#[cfg_attr(panic = "abort", ignore = "panics, or starts itself again")]
#[coop::test]
fn a_panic_of_the_future_goes_on_in_its_task() {
    let caught = catch_unwind(AssertUnwindSafe(|| {
        let (mut polls, waker) = (0, RefCell::new(None));
        block_on(poll_fn(|context| {
            polls += 1;
            waker.replace(Some(context.waker().clone()));
            context.waker().wake_by_ref();
            assert!(polls < 3, "the third poll");
            Poll::<()>::Pending
        }))
    }));
    assert_eq!(caught.unwrap_err().downcast_ref::<&str>(), Some(&"the third poll"));
    assert_eq!(block_on(async { 1 }), Ok(1), "the task goes on");
    let mut task = spawn(|| block_on(async { panic!("nobody catches it") }));
    assert!(matches!(task.join(), Err(JoinError::Panicked(_))));
}

#[coop::test]
fn a_poll_may_wait_itself_and_a_wake_meanwhile_is_not_lost() {
    let trace = Trace::default();
    let waker = Rc::new(RefCell::new(None::<Waker>));
    let (given, told) = (waker.clone(), trace.clone());
    let mut task = spawn(move || {
        let mut polls = 0;
        block_on(poll_fn(move |context| {
            polls += 1;
            given.replace(Some(context.waker().clone()));
            told.say(format!("poll {polls} sleeps"));
            coop::sleep(milliseconds(10)).unwrap();
            told.say(format!("poll {polls} ends"));
            if polls == 3 { Poll::Ready(()) } else { Poll::Pending }
        }))
    });
    // On this thread, then on another one, each while the task is parked inside its poll.
    coop::sleep(milliseconds(5)).unwrap();
    trace.say("woken here");
    waker.take().unwrap().wake();
    coop::sleep(milliseconds(10)).unwrap();
    trace.say("woken elsewhere");
    let waker = waker.take().unwrap();
    thread::spawn(move || waker.wake()).join().unwrap();
    assert_eq!(task.join().unwrap(), Ok(()));
    trace.is(&[
        "poll 1 sleeps",
        "woken here",
        "poll 1 ends",
        "poll 2 sleeps",
        "woken elsewhere",
        "poll 2 ends",
        "poll 3 sleeps",
        "poll 3 ends",
    ]);
}

#[coop::test]
fn calls_nest() {
    let (tx, rx) = channel::bounded(1);
    let (outer_tx, outer_rx) = channel::bounded(1);
    let mut task = spawn(move || {
        block_on(async move {
            let inner = block_on(async { rx.recv().await.unwrap() }).unwrap();
            inner + outer_rx.recv().await.unwrap()
        })
    });
    let_others_run();
    // The outer one is woken while the inner one waits.
    outer_tx.try_send(20).unwrap();
    let_others_run();
    assert!(!task.is_finished());
    tx.try_send(1).unwrap();
    assert_eq!(task.join().unwrap(), Ok(21));
}

#[coop::test]
fn a_kill_reaches_the_inner_call_and_then_the_outer() {
    let mut task = spawn(|| {
        let mut inner = None;
        let outer = block_on(async {
            inner = Some(block_on(pending::<()>()).is_err());
            pending::<()>().await
        });
        (inner, outer.is_err())
    });
    let keep = spawn(|| coop::sleep(milliseconds(1000)));
    let_others_run();
    task.kill();
    assert_eq!(task.join().unwrap(), (Some(true), true));
    keep.kill();
}

#[coop::test]
fn a_shield_holds_a_kill_off_from_a_future() {
    let mut task = spawn(|| {
        let saved = coop::shield(milliseconds(1000), || block_on(future::sleep(milliseconds(10))));
        (saved, block_on(future::sleep(milliseconds(10))).is_err())
    });
    let_others_run();
    task.kill();
    assert_eq!(task.join().unwrap(), (Ok(()), true));
}

#[cfg_attr(panic = "abort", ignore = "panics, or starts itself again")]
#[coop::test]
fn while_the_thread_unwinds_nothing_is_polled() {
    struct Calls(Rc<RefCell<Option<Result<(), Killed>>>>);
    impl Drop for Calls {
        fn drop(&mut self) {
            self.0.replace(Some(block_on(async { unreachable!("polled") })));
        }
    }
    let result = Rc::new(RefCell::new(None));
    let calls = Calls(result.clone());
    let mut task = spawn(move || {
        let _calls = calls;
        panic!("on purpose");
    });
    assert!(matches!(task.join(), Err(JoinError::Panicked(_))));
    assert_eq!(cause_of(result.take().unwrap()), Cause::Unwinding);
}

#[cfg_attr(panic = "abort", ignore = "panics, or starts itself again")]
#[test]
fn without_a_cooperator_it_panics_and_names_the_fix() {
    let payload = catch_unwind(|| block_on(async {})).unwrap_err();
    let text = payload.downcast_ref::<String>().unwrap();
    assert!(text.contains("coop::run"), "{text}");
}

#[test]
fn a_future_that_nobody_can_wake_is_a_deadlock() {
    coop::run(|| {
        let result = block_on(pending::<()>());
        assert_eq!(cause_of(result), Cause::Resources);
    });
}

#[test]
fn a_future_whose_waker_somebody_has_is_none() {
    coop::run(|| {
        let (tx, rx) = channel::bounded(1);
        let thread = thread::spawn(move || {
            thread::sleep(milliseconds(20));
            tx.send_blocking("woken").unwrap();
        });
        assert_eq!(block_on(rx.recv()), Ok(Ok("woken")));
        thread.join().unwrap();
    });
}

#[test]
fn a_shutdown_ends_what_is_pending() {
    let (tx, rx) = channel::bounded::<()>(1);
    let causes = Rc::new(RefCell::new(Vec::new()));
    coop::run(|| {
        for _ in 0..3 {
            let (rx, causes) = (rx.clone(), causes.clone());
            spawn(move || {
                let cause = cause_of(block_on(rx.recv()));
                causes.borrow_mut().push(cause);
            });
        }
        let_others_run();
    });
    assert_eq!(*causes.borrow(), [Cause::Shutdown; 3]);
    assert_eq!(tx.receiver_count(), 1, "the futures are gone");
}

#[cfg_attr(panic = "abort", ignore = "panics, or starts itself again")]
#[test]
fn inside_no_switch_a_pending_future_aborts_with_both_names() {
    let child = child!(|| {
        coop::run(|| {
            coop::no_switch(|| {
                assert_eq!(block_on(async { 1 }), Ok(1), "one that is ready does not wait");
                block_on(pending::<()>())
            })
        })
        .unwrap();
    });
    child.died_of(6).said("block_on at").said("no_switch");
}

#[cfg_attr(panic = "abort", ignore = "panics, or starts itself again")]
#[test]
fn without_a_descriptor_for_the_inbox_the_call_says_so() {
    child!(|| {
        coop::run(|| {
            let few = libc::rlimit { rlim_cur: 64, rlim_max: 64 };
            // SAFETY: `few` is readable. This is a process of its own.
            assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &few) }, 0);
            let mut taken = Vec::new();
            while let Ok(file) = std::fs::File::open("/dev/null") {
                taken.push(file);
            }
            let result = block_on(async { unreachable!("polled") });
            assert_eq!(cause_of::<()>(result), Cause::Resources);
            taken.clear();
            assert_eq!(block_on(async { "again" }), Ok("again"));
        });
    })
    .succeeded();
}

/// Calls that never wait spend their budget like any: nobody starves.
#[coop::test]
fn futures_that_are_ready_at_once_leave_the_others_their_turn() {
    let has_run = Rc::new(Cell::new(false));
    let runs = has_run.clone();
    let _other = spawn(move || runs.set(true));
    let rounds = (0..10_000).take_while(|_| block_on(async { has_run.get() }) == Ok(false)).count();
    assert!(rounds < 1_000, "{rounds}");
}
