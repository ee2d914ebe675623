//! The watchdog: each stall is seen once, with what the task did, and nothing else is.

use super::child;
use coop::Builder;
use coop::inspect::{Stall, metrics};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

const LIMIT: Duration = Duration::from_millis(40);

/// Runs `f` watched, and gives the stalls that the hook was told. `f` is given what waits, blocking the thread in slices by calling
/// what it is given, until there were so many stalls, and then for a while.
fn stalls_of(f: impl FnOnce(&'static (dyn Fn(usize, fn()) + Sync))) -> Vec<Stall> {
    let (tx, rx) = mpsc::channel();
    let count: &'static AtomicUsize = Box::leak(Box::default());
    let until = Box::leak(Box::new(move |wanted: usize, slice: fn()| {
        let began = Instant::now();
        while count.load(Ordering::SeqCst) < wanted {
            assert!(began.elapsed() < Duration::from_secs(30), "no stall was seen");
            slice();
        }
        let seen = Instant::now();
        while seen.elapsed() < LIMIT * 3 {
            slice();
        }
    }));
    let hook = move |stall: &Stall| {
        tx.send(stall.clone()).unwrap();
        count.fetch_add(1, Ordering::SeqCst);
    };
    Builder::new().watchdog(LIMIT).on_stall(hook).run(|| f(until)).unwrap();
    rx.iter().collect()
}

type Until = &'static (dyn Fn(usize, fn()) + Sync);

#[inline(never)]
fn computes() {
    let end = Instant::now() + Duration::from_millis(5);
    let mut sum = 0u64;
    while Instant::now() < end {
        sum = sum.wrapping_add(std::hint::black_box(vec![1u8; 64]).len() as u64);
    }
    std::hint::black_box(sum);
}

fn blocks() {
    std::thread::sleep(Duration::from_millis(5));
}

#[test]
fn a_task_that_computes_and_one_that_blocks_are_reported_once_each() {
    #[coop::task(name = "cruncher")]
    fn crunch(until: Until) {
        until(1, computes);
    }
    #[coop::task]
    fn blocker(until: Until) {
        until(2, blocks);
    }
    let stalls = stalls_of(|until| {
        crunch::spawn(until).join().unwrap();
        blocker::spawn(until).join().unwrap();
        coop::spawn(move || until(3, computes)).join().unwrap();
    });
    assert_eq!(stalls.len(), 3, "{stalls:#?}");
    let functions = ["crunch", "blocker", "a_task_that_computes"];
    for ((stall, name), function) in stalls.iter().zip(["cruncher", "blocker", "task"]).zip(functions) {
        assert_eq!(stall.name, name);
        assert!(stall.place.starts_with("coop/tests/inspect/watchdog.rs:"), "{stall:?}");
        assert!(stall.duration >= LIMIT && stall.stack_used < stall.stack_size, "{stall:?}");
        let backtrace = stall.backtrace.as_deref().unwrap();
        // Outside the closure in which it spends its time, whose type may name it.
        let (inner, outer) = (backtrace.find("{closure"), backtrace.rfind(function));
        assert!(inner.is_some() && inner < outer, "innermost first: {backtrace}");
        assert!(!backtrace.contains("interrupt::"), "nothing of the watchdog's: {backtrace}");
    }
    let report = stalls[0].to_string();
    assert!(report.starts_with("coop: stall: task #2 'cruncher' (coop/tests/inspect/watchdog.rs:"), "{report}");
}

#[test]
fn whatever_the_task_is_in_the_midst_of_it_is_walked_to_its_end() {
    let (tx, rx) = mpsc::channel();
    let builder =
        Builder::new().watchdog(Duration::from_millis(2)).on_stall(move |stall| tx.send(stall.clone()).unwrap());
    // Allocating, formatting, hashing, sorting: in whatever instruction of all that it is interrupted.
    let work = || {
        let end = Instant::now() + Duration::from_millis(5);
        let mut words = Vec::new();
        while Instant::now() < end {
            words.push(format!("{:?} {:x}", Instant::now(), words.len()));
            let set: std::collections::HashSet<&String> = words.iter().rev().take(20).collect();
            words.truncate(200 + set.len());
            words.sort();
        }
    };
    builder
        .run(|| {
            for _ in 0..150 {
                coop::spawn(work).join().unwrap();
            }
        })
        .unwrap();
    let stalls: Vec<Stall> = rx.iter().collect();
    assert!(stalls.len() >= 10, "{}", stalls.len());
    let backtraces = || stalls.iter().map(|stall| stall.backtrace.as_deref().unwrap());
    let is_whole = |text: &str| text.contains("tests/inspect/watchdog.rs") || text.contains("whatever_the_task_is");
    // Here and there an instruction has no unwind rules, as between the parts of a stub of the linker's.
    let cut: Vec<&str> = backtraces().filter(|text| !is_whole(text)).collect();
    assert!(cut.len() <= 1 + stalls.len() / 20, "of {} these do not end in the task's body: {cut:#?}", stalls.len());
    assert!(backtraces().all(|text| !text.is_empty()));
}

#[test]
fn those_who_wait_give_way_or_idle_are_not_reported() {
    let stalls = stalls_of(|_| {
        // Idle, in the kernel.
        coop::sleep(LIMIT * 5).unwrap();
        // Busy, but giving way.
        let end = Instant::now() + LIMIT * 5;
        let mut other = coop::spawn(move || {
            while Instant::now() < end {
                coop::yield_now().unwrap()
            }
        });
        while Instant::now() < end {
            coop::yield_now().unwrap();
        }
        other.join().unwrap();
        // Waiting for a descriptor.
        let (near, far) = coop::net::UnixStream::pair().unwrap();
        let mut reader = coop::spawn(move || near.recv(&mut [0; 1]));
        coop::sleep(LIMIT * 3).unwrap();
        far.send_all(b"x").unwrap();
        reader.join().unwrap().unwrap();
    });
    assert!(stalls.is_empty(), "{stalls:#?}");
}

#[test]
fn a_thread_that_takes_no_signals_is_reported_without_a_backtrace() {
    let said = child::run(child::test(module_path!(), "it_has_blocked_all_signals"));
    assert!(said.contains("coop: stall: a task of Cooperator 'deaf' has run for"), "{said}");
    assert!(said.contains("takes no signals"), "{said}");
}

#[test]
#[ignore = "run by another test"]
fn it_has_blocked_all_signals() {
    Builder::new()
        .name("deaf")
        .watchdog(LIMIT)
        .run(|| {
            // SAFETY: a filled set is valid; only this thread's mask is changed.
            unsafe {
                let mut all: libc::sigset_t = std::mem::zeroed();
                libc::sigfillset(&mut all);
                libc::pthread_sigmask(libc::SIG_SETMASK, &all, std::ptr::null_mut());
            }
            let began = Instant::now();
            while metrics().cooperators[0].stalls == 0 {
                assert!(began.elapsed() < Duration::from_secs(20));
                // Who looks without a pause keeps the watchdog, on a busy machine, from the lock that it looks at.
                blocks();
            }
        })
        .unwrap();
}

#[test]
fn the_environment_switches_it_on() {
    let mut command = child::test(module_path!(), "it_stalls");
    command.env("COOP_WATCHDOG", "20ms");
    let said = child::run(command);
    assert_eq!(said.matches("coop: stall: task #1 'root' has run for").count(), 1, "{said}");
}

#[test]
#[ignore = "run by another test"]
fn it_stalls() {
    coop::run(|| {
        let began = Instant::now();
        while metrics().cooperators[0].stalls == 0 {
            assert!(began.elapsed() < Duration::from_secs(30));
            blocks();
        }
        (0..20).for_each(|_| blocks());
    });
}

#[test]
fn a_hook_that_panics_harms_nobody() {
    Builder::new()
        .name("its hook panics")
        .watchdog(LIMIT)
        .on_stall(|_| panic!("in the hook"))
        .run(|| {
            for wanted in 1..=2 {
                let began = Instant::now();
                let stalls = || {
                    let all = metrics().cooperators;
                    all.into_iter().find(|cooperator| cooperator.name == "its hook panics").unwrap().stalls
                };
                while stalls() < wanted {
                    assert!(began.elapsed() < Duration::from_secs(30));
                    computes();
                }
                coop::yield_now().unwrap();
                // A root that is alone does not give way by yielding; it does by this.
                coop::sleep(Duration::from_millis(1)).unwrap();
            }
        })
        .unwrap();
}

#[test]
fn waits_that_take_too_long_are_reported_once_each() {
    let said = child::run_in_steps(child::test(module_path!(), "one_waits_for_long"), &["'patient' has waited for"]);
    assert_eq!(said.matches("'patient' has waited for").count(), 1, "{said}");
    assert!(said.contains("patient #2: recv on fd"), "{said}");
    assert!(!said.contains("'root' has waited"), "a sleep says itself how long it takes: {said}");
}

#[test]
#[ignore = "run by another test"]
fn one_waits_for_long() {
    Builder::new()
        .report_waits_longer_than(Duration::from_millis(100))
        .run(|| {
            let (near, far) = coop::net::UnixStream::pair().unwrap();
            let mut patient = coop::TaskBuilder::new().name("patient").spawn(move || near.recv(&mut [0; 1]));
            // Long enough for a second report, if there was one.
            coop::sleep(Duration::from_millis(500)).unwrap();
            child::step();
            drop(far);
            patient.join().unwrap().unwrap();
        })
        .unwrap();
}
