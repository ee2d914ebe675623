//! Handles that outlive their Cooperator, and primitives that see several.

use crate::trace::Trace;
use coop::sync::Mutex;
use coop::{Coordinator, JoinError, JoinHandle, TaskBuilder, op};
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

fn spawn_and_keep(trace: &Trace) -> Vec<JoinHandle<crate::trace::AtDrop>> {
    coop::run(|| {
        (0..4)
            .map(|number| {
                let value = trace.at_drop(format!("value {number}"));
                coop::spawn(move || value)
            })
            .collect()
    })
}

#[test]
fn a_join_handle_gives_its_value_after_its_cooperator_has_ended() {
    let trace = Trace::default();
    let mut handles = spawn_and_keep(&trace);
    assert!(handles.iter().all(JoinHandle::is_finished));
    handles[0].kill();
    drop(handles.remove(0));
    assert_eq!(trace.take(), ["value 0"], "without a Cooperator the value is dropped in place");
    coop::run(|| {
        handles[0].kill();
        drop(handles.remove(0));
        assert_eq!(trace.take(), ["value 1"], "in another Cooperator too");
        let value = handles[0].join().unwrap();
        assert!(matches!(handles[0].join(), Err(JoinError::AlreadyJoined)));
        drop(value);
        let joined = coop::select! { joined = &mut handles[1] => joined.unwrap() };
        drop(joined.unwrap());
    });
    assert_eq!(trace.take(), ["value 2", "value 3"]);
    drop(handles);
    assert_eq!(trace.take(), [""; 0], "once each");
}

#[test]
fn tasks_that_panicked_or_never_ran_can_be_joined_in_a_later_cooperator() {
    let (mut panicked, mut refused, unheard) = coop::run(|| {
        let panicked = coop::spawn(|| -> u8 { std::panic::panic_any(17u32) });
        let unheard = coop::spawn(|| -> u8 { std::panic::panic_any(18u32) });
        (panicked, TaskBuilder::new().stack(1 << 50).spawn(|| 1u8), unheard)
    });
    drop(unheard);
    coop::run(|| {
        let Err(JoinError::Panicked(payload)) = panicked.join() else { panic!("it panicked") };
        assert_eq!(payload.downcast_ref(), Some(&17u32));
        assert!(matches!(refused.join(), Err(JoinError::NeverRan)));
    });
    drop((panicked, refused));
}

#[test]
fn a_join_handle_in_a_thread_local_is_dropped_when_its_thread_ends() {
    let (said, heard) = std::sync::mpsc::channel::<&'static str>();
    struct Says(std::sync::mpsc::Sender<&'static str>);
    impl Drop for Says {
        fn drop(&mut self) {
            self.0.send("the value").unwrap();
        }
    }
    thread_local! {
        static KEPT: RefCell<Option<JoinHandle<Says>>> = const { RefCell::new(None) };
    }
    std::thread::spawn(move || {
        coop::run(|| KEPT.replace(Some(coop::spawn(move || Says(said)))));
    })
    .join()
    .unwrap();
    assert_eq!(heard.try_iter().collect::<Vec<_>>(), ["the value"]);
}

#[test]
fn a_thread_local_destructor_may_run_a_cooperator_of_its_own() {
    struct Late(std::sync::mpsc::Sender<String>);
    impl Drop for Late {
        fn drop(&mut self) {
            let outside = coop::killed();
            let inside = coop::run(|| {
                coop::sleep(Duration::from_millis(1)).unwrap();
                coop::spawn(|| 6 * 7).join().unwrap()
            });
            let no_task = std::panic::catch_unwind(coop::current).is_err();
            self.0.send(format!("{outside} {inside} {no_task}")).unwrap();
        }
    }
    thread_local! {
        static LATE: RefCell<Option<Late>> = const { RefCell::new(None) };
    }
    let (said, heard) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        LATE.replace(Some(Late(said)));
        coop::run(|| ());
    })
    .join()
    .unwrap();
    assert_eq!(heard.recv().unwrap(), "false 42 true");
}

#[test]
fn primitives_are_carried_from_one_cooperator_to_the_next() {
    let door = Rc::new(Coordinator::new());
    let mutex = Rc::new(Mutex::new(0));
    let (tx, rx) = coop::chan::bounded(1);
    for round in 0..3 {
        coop::run(|| {
            // Waiters of all of them are killed by the end of this Cooperator.
            let (at_door, at_mutex, receiver) = (door.clone(), mutex.clone(), rx.clone());
            let inside = door.acquire().unwrap();
            let mut locked = mutex.lock().unwrap();
            drop(coop::spawn(move || at_door.acquire().map(drop)));
            drop(coop::spawn(move || at_mutex.lock().map(drop)));
            drop(coop::spawn(move || {
                coop::wait_all(|s| {
                    let waiting = s.start(op::receive(&receiver));
                    assert!(coop::select! { _ = op::after(Duration::MAX) => () }.is_err());
                    drop(waiting);
                });
            }));
            coop::yield_now().unwrap();
            *locked += 1;
            std::mem::forget(inside);
        });
        assert!(door.is_held() && !door.has_waiters(), "round {round}");
        door.release();
        tx.try_send(round).unwrap();
        assert_eq!(rx.try_recv(), Ok(round));
    }
    assert_eq!(*mutex.try_lock().unwrap(), 3);
}

#[test]
fn a_run_inside_a_task_is_a_scope_of_it() {
    let trace = Trace::default();
    let value = coop::run(|| {
        let outer = coop::current().id();
        let value = coop::run(|| {
            assert_eq!(coop::current().id(), outer, "the same task");
            let inner = trace.clone();
            drop(coop::spawn(move || {
                let _ = coop::sleep(Duration::from_millis(1));
                inner.say("a child of the task, which the inner run does not await");
            }));
            coop::Builder::new().run(|| coop::run(|| trace.say("nested twice"))).unwrap();
            5
        });
        trace.say("the inner run has returned");
        coop::sleep(Duration::from_millis(5)).unwrap();
        value
    });
    assert_eq!(value, 5);
    let expected =
        ["nested twice", "the inner run has returned", "a child of the task, which the inner run does not await"];
    assert_eq!(trace.take(), expected);
}

#[test]
fn a_run_inside_a_scope_of_a_killed_task_returns() {
    coop::run(|| {
        let mut task = coop::spawn(|| {
            let _ = coop::sleep(Duration::MAX);
            coop::run(|| coop::sleep(Duration::MAX))
        });
        coop::yield_now().unwrap();
        task.kill();
        assert!(task.join().unwrap().is_err());
    });
}

#[test]
fn a_remote_outlives_its_cooperator_and_gives_the_closure_back() {
    let remote = coop::run(|| coop::remote().unwrap());
    let Err(closure) = remote.submit(|| 5) else { panic!("there is nobody to run it") };
    assert_eq!(closure(), 5);
}

#[test]
fn a_remote_join_handle_outlives_the_cooperator_that_ran_its_task() {
    let mut handle = coop::run(|| {
        let remote = coop::remote().unwrap();
        let handle = remote.submit(|| String::from("far")).map_err(drop).unwrap();
        coop::sleep(Duration::from_millis(5)).unwrap();
        handle
    });
    assert_eq!(coop::run(|| handle.join().unwrap()), "far");
    assert!(matches!(handle.join(), Err(JoinError::AlreadyJoined)));
}
