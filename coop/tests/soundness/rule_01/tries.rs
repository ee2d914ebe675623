//! What is tried in vain must change nothing.

use coop::net::UnixStream;
use coop::sync::Mutex;
use coop::{Coordinator, JoinError, JoinHandle, op};
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

#[test]
fn trying_a_locked_mutex_leaves_it_locked() {
    let mutex = Mutex::new(1);
    let guard = mutex.try_lock().unwrap();
    assert!(mutex.try_lock().is_none());
    assert!(mutex.try_lock().is_none(), "the first try did not unlock it");
    assert_eq!(format!("{mutex:?}"), "Mutex(<locked>)");
    assert_eq!(format!("{mutex:?}"), "Mutex(<locked>)", "nor did looking at it");
    drop(guard);
    assert!(mutex.try_lock().is_some());
}

#[test]
fn trying_a_held_coordinator_leaves_it_held() {
    let door = Coordinator::new();
    let inside = door.try_acquire().unwrap();
    assert!(door.try_acquire().is_none());
    assert!(door.is_held(), "the try did not release it");
    drop(inside);
    assert!(!door.is_held());
}

#[test]
fn two_arms_that_were_ready_and_robbed_wait_again() {
    coop::run(|| {
        let (ours, theirs) = (UnixStream::pair().unwrap(), UnixStream::pair().unwrap());
        let (mut mine, mut yours) = ([0; 4], [0; 4]);
        coop::wait_all(|s| {
            let mut chooser = s.spawn(|| {
                coop::select! {
                    n = op::recv(&ours.0, &mut mine) => n.unwrap(),
                    n = op::recv(&theirs.0, &mut yours) => n.unwrap(),
                }
            });
            coop::yield_now().unwrap();
            // Both polls complete, in one batch; but before the chooser runs, what they announced is gone.
            ours.1.send_all(b"1").unwrap();
            theirs.1.send_all(b"2").unwrap();
            assert_eq!((ours.0.recv(&mut [0; 4]).unwrap(), theirs.0.recv(&mut [0; 4]).unwrap()), (1, 1));
            coop::sleep(Duration::from_millis(1)).unwrap();
            assert!(!chooser.is_finished(), "it waits for what was not stolen");
            theirs.1.send_all(b"345").unwrap();
            assert_eq!(chooser.join().unwrap(), Ok(3));
        });
        assert_eq!(&yours[..3], b"345");
    });
}

#[test]
fn joining_oneself_or_an_ancestor_is_an_error_at_once_also_as_an_arm() {
    coop::run(|| {
        let own = Rc::new(RefCell::new(None::<JoinHandle<()>>));
        let slot = own.clone();
        let (answers, answered) = coop::chan::bounded(4);
        let task = coop::spawn(move || {
            let mut me = slot.take().unwrap();
            let of_join = me.join();
            let of_arm = coop::select! {
                joined = &mut me => joined,
                _ = op::after(Duration::from_secs(3600)) => Ok(()),
            };
            let mut child = coop::spawn(move || {
                let of_child = coop::select! { joined = &mut me => joined };
                (of_child.unwrap(), me.join())
            });
            let (of_childs_arm, of_childs_join) = child.join().unwrap();
            for answer in [of_join, of_arm.unwrap(), of_childs_arm, of_childs_join] {
                answers.send(matches!(answer, Err(JoinError::Deadlock))).unwrap();
            }
        });
        own.replace(Some(task));
        let answers: Vec<bool> = std::iter::from_fn(|| answered.recv().ok()).collect();
        assert_eq!(answers, [true; 4]);
    });
}
