//! The axiom that no library can check, and what helps to keep it: `no_switch`, and in debug builds the look at open frames.

use crate::child::child;
use coop::net::UnixStream;
use coop::{Coordinator, op};
use std::cell::{LazyCell, OnceCell, RefCell};
use std::sync::Once;
use std::time::Duration;

thread_local! {
    static LATE: i32 = {
        coop::yield_now().unwrap();
        7
    };
    static SHARED: RefCell<i32> = const { RefCell::new(0) };
}

#[test]
fn a_wait_inside_no_switch_aborts_and_names_the_task_and_both_places() {
    let child = child!(|| {
        coop::run(|| {
            let mut task = coop::TaskBuilder::new()
                .name("careless")
                .spawn(|| coop::no_switch(|| coop::sleep(Duration::from_millis(1))));
            let _ = task.join();
        });
    });
    let child = child
        .died_of(libc::SIGABRT)
        .said("coop: task 'careless' waits (sleep at ")
        .said("inside its `coop::no_switch` at ");
    let place = format!("thread_state.rs:{}:", line_of("coop::no_switch(|| coop::sleep("));
    let first = child.stderr.lines().find(|line| line.contains("careless")).unwrap();
    assert_eq!(first.matches(&place).count(), 2, "{place} is the place of the region and of the wait: {first}");
}

#[test]
fn a_yield_inside_no_switch_aborts_even_when_no_other_task_is_ready() {
    child!(|| coop::run(|| coop::no_switch(|| coop::yield_now().unwrap())))
        .died_of(libc::SIGABRT)
        .said("waits (to give way) inside its `coop::no_switch`");
}

#[test]
fn calls_that_need_not_wait_never_wait_inside_no_switch() {
    let run = || {
        coop::run(|| {
            let (tx, rx) = coop::chan::bounded(1);
            let (ours, theirs) = UnixStream::pair().unwrap();
            let mutex = coop::sync::Mutex::new(0);
            // Many more than the budget after which such calls give way.
            coop::no_switch(|| {
                for round in 0..1_000u32 {
                    tx.send(round).unwrap();
                    assert_eq!(rx.recv(), Ok(round));
                    *mutex.lock().unwrap() += 1;
                    ours.send_all(&round.to_ne_bytes()).unwrap();
                    let mut bytes = [0; 4];
                    let n = coop::select! { n = op::recv(&theirs, &mut bytes) => n.unwrap() };
                    assert_eq!((n, u32::from_ne_bytes(bytes)), (Ok(4), round));
                }
                drop(coop::spawn(|| ()));
            });
            // Regions nest, and end when they panic.
            let panicked = std::panic::catch_unwind(|| coop::no_switch(|| coop::no_switch(|| panic!("inside"))));
            assert!(panicked.is_err());
            coop::yield_now().unwrap();
        })
    };
    child!(run).succeeded();
}

#[test]
fn the_drop_of_a_handle_inside_no_switch_drains_in_place() {
    let run = || {
        coop::run(|| {
            let (ours, _theirs) = UnixStream::pair().unwrap();
            let mut buffer = [0; 8];
            coop::wait_all(|s| {
                let incoming = s.start(op::recv(&ours, &mut buffer));
                coop::no_switch(|| drop(incoming));
                assert_eq!(coop::__private::census().operations, 0);
            });
        })
    };
    child!(run).succeeded();
}

/// What the look at open frames says, in debug builds.
const OPEN: &str = "with a frame of the thread's open";

#[test]
#[cfg(debug_assertions)]
fn frames_that_are_open_across_a_wait_are_reported_once_with_both_places() {
    let child = child!(|| {
        coop::run(|| {
            let mut task = coop::TaskBuilder::new().name("careless").spawn(|| {
                for _ in 0..100 {
                    SHARED.with(|shared| {
                        *shared.borrow_mut() += 1;
                        coop::sleep(Duration::from_nanos(1)).unwrap();
                    });
                }
                LATE.with(|late| assert_eq!(*late, 7));
                Once::new().call_once(|| coop::yield_now().unwrap());
                LazyCell::force(&LazyCell::new(|| coop::yield_now().unwrap()));
                OnceCell::new().get_or_init(|| coop::yield_now().unwrap());
            });
            task.join().unwrap();
        });
    })
    .succeeded();
    let reports: Vec<&str> = child.stderr.lines().filter(|line| line.contains(OPEN)).collect();
    let expected = [
        ("(sleep)", "LocalKey<", "coop::sleep(Duration::from_nanos(1))", "SHARED.with(|shared| {"),
        ("(yield)", "::get_or_init", "coop::yield_now().unwrap();", "LATE.with(|late|"),
        ("(yield)", "Once::call", "Once::new().call_once(|| coop", "Once::new().call_once(|| coop"),
        ("(yield)", "LazyCell<", "LazyCell::force(&LazyCell", "LazyCell::force(&LazyCell"),
        ("(yield)", "OnceCell<", "OnceCell::new().get_or_init", "OnceCell::new().get_or_init"),
    ];
    assert_eq!(reports.len(), expected.len(), "{reports:#?}");
    for (report, (wait, frame, waited_at, opened_at)) in reports.iter().zip(expected) {
        assert!(report.starts_with("coop: task #2 'careless' waits "), "{report}");
        assert!(report.contains(wait) && report.contains(frame), "{wait} {frame}: {report}");
        let (waited, opened) = report.split_once(OPEN).unwrap();
        assert!(waited.contains(&format!("thread_state.rs:{}:", line_of(waited_at))), "{waited_at}: {report}");
        assert!(opened.contains(&format!("thread_state.rs:{}:", line_of(opened_at))), "{opened_at}: {report}");
    }
}

/// The line of this file on which `text` first stands.
fn line_of(text: &str) -> usize {
    1 + include_str!("thread_state.rs").lines().position(|line| line.contains(text)).expect("it stands somewhere")
}

#[test]
fn a_program_that_keeps_nothing_open_is_never_accused() {
    child!(|| {
        for _ in 0..20 {
            coop::run(|| {
                let (ours, theirs) = UnixStream::pair().unwrap();
                let (tx, rx) = coop::chan::bounded(1);
                let door = Coordinator::new();
                coop::wait_all(|s| {
                    for _ in 0..4 {
                        s.spawn(|| {
                            let _inside = door.acquire().unwrap();
                            SHARED.with(|shared| *shared.borrow_mut() += 1);
                            coop::sleep(Duration::from_micros(10)).unwrap();
                        });
                    }
                    s.spawn(|| (0..64).for_each(|n| tx.send(n).unwrap()));
                    s.spawn(|| (0..64).for_each(|n| assert_eq!(rx.recv(), Ok(n))));
                    s.spawn(|| theirs.recv_exact(&mut [0; 64]).unwrap());
                    for _ in 0..64 {
                        ours.send_all(b"x").unwrap();
                        coop::yield_now().unwrap();
                    }
                    let expired = coop::deadline(Duration::from_micros(50), || coop::sleep(Duration::MAX)).1;
                    assert!(expired.is_expired());
                });
            });
        }
    })
    .succeeded()
    .did_not_say(OPEN);
}

#[test]
#[cfg(debug_assertions)]
fn the_look_at_open_frames_is_left_out_where_the_stack_has_no_room_for_it() {
    /// Goes down until `used` bytes lie between here and `top`, and waits there.
    fn wait_below(top: usize, used: usize) {
        let frame = std::hint::black_box([0u8; 512]);
        match top - (&raw const frame).addr() < used {
            true => wait_below(top, used),
            false => coop::yield_now().unwrap(),
        }
        std::hint::black_box(frame);
    }
    child!(|| {
        coop::run(|| {
            // The smallest stack has 128 KiB in a debug build. The first wait at a place is always looked at.
            for used in [118, 112, 96, 80, 64, 48, 32, 0] {
                let body = move || wait_below((&raw const used).addr(), used * 1024);
                coop::TaskBuilder::new().stack(1).spawn(body).join().unwrap();
            }
        });
    })
    .succeeded();
}
