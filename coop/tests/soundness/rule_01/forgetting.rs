//! `mem::forget` of everything that can be had: a leak at worst.

use crate::trace::Trace;
use coop::net::{UnixListener, UnixStream};
use coop::sync::Mutex;
use coop::{Coordinator, op};
use std::mem::forget;
use std::time::Duration;

const LONG: Duration = Duration::from_secs(3600);

#[test]
fn forgotten_handles_are_ended_by_their_scope_and_have_had_no_effect() {
    coop::run(|| {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let listener = UnixListener::bind(format!("\0coop-forgetting-{}", std::process::id())).unwrap();
        let (tx, rx) = coop::chan::bounded::<u32>(1);
        let (full, _unread) = coop::chan::bounded(1);
        full.send(0).unwrap();
        let mutex = Mutex::new(0);
        let mut buffer = [0; 8];
        let locked = mutex.lock().unwrap();
        coop::wait_all(|s| {
            forget(s.start(op::recv(&ours, &mut buffer)));
            forget(s.start(op::accept(&listener)));
            forget(s.start(op::after(LONG)));
            forget(s.start(op::lock(&mutex)));
            forget(s.start(op::receive(&rx)));
            forget(s.start(op::reserve(&full)));
            forget(s.spawn(|| String::from("never joined, never dropped")));
        });
        let census = coop::__private::census();
        assert_eq!((census.operations, census.has_timers), (0, false), "the kernel and the wheel know of nothing");
        // The places in the queues are free: what comes now goes to whoever waits now.
        drop(locked);
        assert!(mutex.try_lock().is_some());
        tx.send(5).unwrap();
        assert_eq!(rx.try_recv(), Ok(5));
        theirs.send_all(b"later").unwrap();
        assert_eq!(buffer, [0; 8], "the kernel had given the buffer back");
        assert_eq!(ours.recv(&mut buffer).unwrap(), 5);
    });
}

#[test]
fn what_a_forgotten_handle_had_in_hand_goes_to_the_next() {
    coop::run(|| {
        let mutex = Mutex::new(0);
        let (tx, rx) = coop::chan::bounded(2);
        tx.send('a').unwrap();
        tx.send('b').unwrap();
        coop::wait_all(|s| {
            forget(s.start(op::lock(&mutex)));
            forget(s.start(op::receive(&rx)));
            assert!(mutex.try_lock().is_none(), "the flight has it");
        });
        assert!(mutex.try_lock().is_some());
        assert_eq!((rx.try_recv(), rx.try_recv()), (Ok('a'), Ok('b')), "in their order");
    });
}

#[test]
#[allow(clippy::forget_non_drop)]
fn forgotten_operations_have_never_begun() {
    coop::run(|| {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let mutex = Mutex::new(0);
        let (tx, rx) = coop::chan::bounded::<u32>(1);
        let mut buffer = [0; 4];
        forget(op::recv(&ours, &mut buffer));
        forget(op::send(&ours, b"x"));
        forget(op::send_all(&ours, b"x"));
        forget(op::after(LONG));
        forget(op::lock(&mutex));
        forget(op::receive(&rx));
        forget(op::reserve(&tx));
        assert_eq!(coop::__private::census().operations, 0);
        assert!(mutex.try_lock().is_some() && tx.try_send(1).is_ok());
        drop(ours);
        assert_eq!(theirs.recv(&mut buffer).unwrap(), 0, "nothing was sent");
    });
}

#[test]
fn forgotten_guards_and_handles_leave_the_rest_working() {
    let trace = Trace::default();
    let inner = trace.clone();
    coop::run(move || {
        let trace = inner;
        let mutex = Mutex::new(0);
        forget(mutex.lock().unwrap());
        assert!(mutex.try_lock().is_none());
        let door = Coordinator::new();
        forget(door.acquire().unwrap());
        let (tx, rx) = coop::chan::bounded::<u32>(2);
        forget(tx.reserve().unwrap());
        tx.try_send(1).unwrap();
        assert!(tx.try_send(2).is_err(), "the forgotten permit keeps its place");
        assert_eq!(rx.recv(), Ok(1));
        forget((tx.clone(), rx.clone()));
        let value = trace.at_drop("the value of a forgotten handle: never");
        forget(coop::spawn(move || value));
        forget(coop::spawn(|| panic!("in a task whose handle was forgotten")));
        let body = trace.at_drop("the closure of a forgotten handle");
        forget(coop::spawn(move || drop(body)));
        forget(coop::remote().unwrap());
        forget(coop::signal::listen(libc::SIGUSR2).unwrap());
        let _ = coop::timeout(Duration::from_millis(1), || -> Result<(), coop::TimedOut> {
            coop::wait_all(|s| {
                forget(s.spawn(|| coop::sleep(LONG)));
                forget(s.start(op::after(LONG)));
            });
            Ok(())
        });
        trace.say("the root ends");
    });
    assert_eq!(trace.take(), ["the closure of a forgotten handle", "the root ends"]);
    assert_eq!(coop::run(|| coop::spawn(|| 1).join().unwrap()), 1, "the thread is good for another Cooperator");
}

#[test]
fn a_forgotten_handle_of_a_scope_in_a_task_that_panics_is_ended_first() {
    coop::run(|| {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let mut buffer = [0; 8];
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            coop::wait_all(|s| {
                forget(s.start(op::recv(&ours, &mut buffer)));
                panic!("on purpose");
            });
        }));
        assert!(panicked.is_err());
        assert_eq!(coop::__private::census().operations, 0);
        theirs.send_all(b"later").unwrap();
        assert_eq!(buffer, [0; 8]);
        assert_eq!(ours.recv(&mut buffer).unwrap(), 5);
    });
}
