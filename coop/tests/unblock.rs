//! Calls that block, on threads of their own: what comes of them, and of their results, when nobody is killed and when somebody is.

// Not every test binary needs all of it.
#[allow(dead_code)]
#[path = "soundness/child.rs"]
mod child;

use child::{child, descriptors};
use coop::{Cause, JoinError, Killed, Operation, op, unblock};
use std::cell::RefCell;
use std::collections::HashSet;
use std::io;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Barrier, Condvar, Mutex, mpsc};
use std::thread::{self, ThreadId};
use std::time::{Duration, Instant};

/// Longer than anything takes that works.
const LONG: Duration = Duration::from_secs(20);

/// From now on the system gives this process no thread.
fn refuse_threads() {
    // SAFETY: lowers limits of this process, and gives up root, whom the first does not bind.
    unsafe {
        assert_eq!(libc::setgid(65534), 0);
        assert_eq!(libc::setuid(65534), 0);
        let none = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
        assert_eq!(libc::setrlimit(libc::RLIMIT_NPROC, &none), 0);
    }
}

/// Holds threads up until it is opened.
#[derive(Clone, Default)]
struct Gate(Arc<(Mutex<bool>, Condvar)>);

impl Gate {
    fn pass(&self) {
        let (open, changed) = &*self.0;
        drop(changed.wait_while(open.lock().unwrap(), |open| !*open).unwrap());
    }

    fn open(&self) {
        *self.0.0.lock().unwrap() = true;
        self.0.1.notify_all();
    }
}

/// Says, when it is dropped, that it was, and on which thread.
struct Witness(mpsc::Sender<ThreadId>);

impl Witness {
    fn new() -> (Self, mpsc::Receiver<ThreadId>) {
        let (says, heard) = mpsc::channel();
        (Witness(says), heard)
    }
}

impl Drop for Witness {
    fn drop(&mut self) {
        // At the end of a test nobody listens.
        let _ = self.0.send(thread::current().id());
    }
}

#[test]
fn a_call_runs_on_another_thread_while_other_tasks_run_on_this_one() {
    coop::run(|| {
        let trace = Rc::new(RefCell::new(Vec::new()));
        let gate = Gate::default();
        let (opener, written) = (gate.clone(), trace.clone());
        let mut other = coop::spawn(move || {
            written.borrow_mut().push("the other task runs, and opens the gate");
            opener.open();
        });
        trace.borrow_mut().push("the call begins");
        let here = thread::current().id();
        let there = unblock(move || {
            gate.pass();
            thread::current().id()
        });
        trace.borrow_mut().push("the call has returned");
        other.join().unwrap();
        assert_ne!(there, Ok(here));
        assert_eq!(
            *trace.borrow(),
            ["the call begins", "the other task runs, and opens the gate", "the call has returned"]
        );
    });
}

#[test]
fn calls_of_many_tasks_run_at_the_same_time() {
    coop::run(|| {
        let all_there = Arc::new(Barrier::new(20));
        let mut calls: Vec<_> = (0..20)
            .map(|n| {
                let all_there = all_there.clone();
                coop::spawn(move || {
                    unblock(move || {
                        all_there.wait();
                        n
                    })
                })
            })
            .collect();
        let sum: i32 = calls.iter_mut().map(|call| call.join().unwrap().unwrap()).sum();
        assert_eq!(sum, 190);
    });
}

#[test]
fn a_call_has_no_cooperator() {
    coop::run(|| {
        let error = unblock(|| coop::net::UnixStream::pair().and_then(|(ours, _)| ours.recv(&mut [0])).unwrap_err());
        assert_eq!(error.unwrap().kind(), io::ErrorKind::Unsupported);
    });
}

#[test]
fn a_call_may_run_a_cooperator_of_its_own() {
    coop::run(|| {
        let sum = unblock(|| coop::run(|| coop::spawn(|| unblock(|| 20).unwrap() + 1).join().unwrap() + 1));
        assert_eq!(sum, Ok(22));
    });
}

#[cfg_attr(panic = "abort", ignore = "a panic ends the process")]
#[test]
fn a_panic_goes_on_in_the_task_that_waits() {
    coop::run(|| {
        let mut task = coop::spawn(|| unblock(|| -> u8 { panic!("no such luck") }));
        let Err(JoinError::Panicked(payload)) = task.join() else { panic!("it did not panic") };
        assert_eq!(payload.downcast_ref::<&str>(), Some(&"no such luck"));
        let mut task = coop::spawn(|| coop::wait_all(|s| s.start(op::unblock(|| -> u8 { panic!("nor here") })).wait()));
        let Err(JoinError::Panicked(payload)) = task.join() else { panic!("it did not panic") };
        assert_eq!(payload.downcast_ref::<&str>(), Some(&"nor here"));
    });
}

#[test]
fn a_task_that_is_killed_while_its_call_runs_goes_on_and_the_thread_drops_the_result() {
    coop::run(|| {
        let (gate, begun) = (Gate::default(), Gate::default());
        let (witness, dropped) = Witness::new();
        let (passed, begins) = (gate.clone(), begun.clone());
        let mut task = coop::spawn(move || {
            unblock(move || {
                begins.open();
                passed.pass();
                witness
            })
            .map(drop)
        });
        coop::yield_now().unwrap();
        begun.pass();
        task.kill();
        let killed = task.join().unwrap().unwrap_err();
        assert!(matches!(killed.cause(), Cause::Explicit(_)), "{killed}");
        assert!(dropped.try_recv().is_err(), "the call runs on");
        gate.open();
        assert_ne!(dropped.recv_timeout(LONG).unwrap(), thread::current().id(), "dropped where it was made");
    });
}

#[cfg_attr(panic = "abort", ignore = "a panic ends the process")]
#[test]
fn what_a_result_that_nobody_wants_does_when_it_is_dropped_harms_no_thread() {
    struct Bomb(Gate);
    impl Drop for Bomb {
        fn drop(&mut self) {
            self.0.open();
            panic!("dropped");
        }
    }
    coop::run(|| {
        let (gate, dropped) = (Gate::default(), Gate::default());
        let (passed, bomb) = (gate.clone(), Bomb(dropped.clone()));
        let before = coop::deadline(Duration::from_millis(1), || {
            unblock(move || {
                passed.pass();
                bomb
            })
            .map(std::mem::forget)
        });
        assert!(before.0.is_err());
        gate.open();
        dropped.pass();
        // Its thread, the only one that is idle or soon will be, still serves.
        assert_eq!(unblock(|| 7), Ok(7));
    });
}

#[test]
fn a_deadline_ends_the_wait() {
    coop::run(|| {
        let gate = Gate::default();
        let passed = gate.clone();
        let result =
            coop::timeout(Duration::from_millis(20), || unblock(move || passed.pass()).map_err(io::Error::from));
        assert_eq!(result.unwrap_err().kind(), io::ErrorKind::TimedOut);
        gate.open();
    });
}

#[test]
fn a_task_that_is_already_killed_drops_its_call_unused() {
    coop::run(|| {
        let (witness, dropped) = Witness::new();
        let mut task = coop::spawn(|| {
            while coop::checkpoint().is_ok() {
                let _ = coop::yield_now();
            }
            unblock(move || -> () { panic!("{:?} was used", witness.0) })
        });
        coop::yield_now().unwrap();
        task.kill();
        assert!(task.join().unwrap().is_err());
        assert_eq!(dropped.try_recv(), Ok(thread::current().id()));
    });
}

#[cfg_attr(panic = "abort", ignore = "a panic ends the process")]
#[test]
fn more_calls_than_threads_queue_and_one_that_is_killed_in_the_queue_never_runs() {
    child!(|| coop::run(|| {
        const THREADS: usize = 512;
        let gate = Gate::default();
        let begun = Arc::new(AtomicUsize::new(0));
        let mut busy: Vec<_> = (0..THREADS)
            .map(|_| {
                let (gate, begun) = (gate.clone(), begun.clone());
                coop::spawn(move || {
                    unblock(move || {
                        begun.fetch_add(1, SeqCst);
                        gate.pass();
                    })
                })
            })
            .collect();
        while begun.load(SeqCst) < THREADS {
            coop::sleep(Duration::from_millis(1)).unwrap();
        }
        let (witness, dropped) = Witness::new();
        let mut killed = coop::spawn(move || unblock(move || panic!("{:?} was used", witness.0)));
        let order = Arc::new(Mutex::new(Vec::new()));
        let mut queued: Vec<_> = (0..3)
            .map(|n| {
                let order = order.clone();
                coop::spawn(move || unblock(move || order.lock().unwrap().push(n)))
            })
            .collect();
        coop::sleep(Duration::from_millis(20)).unwrap();
        assert_eq!((begun.load(SeqCst), order.lock().unwrap().len()), (THREADS, 0), "no thread is free");
        killed.kill();
        assert!(killed.join().unwrap().is_err());
        assert_eq!(dropped.try_recv(), Ok(thread::current().id()), "on the task's side");
        gate.open();
        for task in busy.iter_mut().chain(&mut queued) {
            assert_eq!(task.join().unwrap(), Ok(()));
        }
        order.lock().unwrap().sort();
        assert_eq!(*order.lock().unwrap(), [0, 1, 2]);
    }))
    .succeeded();
}

#[cfg_attr(panic = "abort", ignore = "a panic ends the process")]
#[cfg_attr(asan, ignore = "LeakSanitizer needs a process of its own")]
#[test]
fn where_no_thread_can_be_had_the_call_fails_and_says_why() {
    child!(|| {
        refuse_threads();
        coop::run(|| {
            let (witness, dropped) = Witness::new();
            let killed = unblock(move || panic!("{:?} was used", witness.0)).unwrap_err();
            assert_eq!(killed.cause(), Cause::Resources);
            assert!(dropped.try_recv().is_ok());
            let started = coop::wait_all(|s| s.start(op::unblock(|| ())).wait());
            assert_eq!(started.unwrap_err().cause(), Cause::Resources);
            // It was the call that failed, not the task that was killed.
            assert_eq!(coop::checkpoint(), Ok(()));
        });
    })
    .succeeded();
}

#[test]
fn a_handle_keeps_the_call_in_flight_while_other_arms_win() {
    coop::run(|| {
        let gate = Gate::default();
        let passed = gate.clone();
        let (mut ticks, mut opener) = (0, Some(gate));
        let result = coop::wait_all(|s| -> Result<i32, Killed> {
            let mut call = s.start(op::unblock(move || {
                passed.pass();
                42
            }));
            loop {
                coop::select! {
                    result = &mut call => break result,
                    _ = op::after(Duration::from_millis(1)) => ticks += 1,
                }?;
                if ticks == 5 {
                    opener.take().unwrap().open();
                }
            }
        });
        assert_eq!(result, Ok(42));
        assert!(ticks >= 5);
    });
}

#[test]
fn an_operation_does_nothing_until_it_is_waited_for() {
    coop::run(|| {
        let (witness, dropped) = Witness::new();
        drop(op::unblock(move || panic!("{:?} was used", witness.0)));
        assert!(dropped.try_recv().is_ok());
        assert_eq!(op::unblock(|| 3).wait(), Ok(3));
    });
}

#[test]
fn a_handle_that_is_dropped_cancelled_or_forgotten_leaves_nothing_behind() {
    coop::run(|| {
        let gate = Gate::default();
        let (witness, dropped) = Witness::new();
        let slow = |witness: Witness| {
            let gate = gate.clone();
            op::unblock(move || {
                gate.pass();
                witness
            })
        };
        coop::wait_all(|s| {
            drop(s.start(slow(Witness(witness.0.clone()))));
            assert!(s.start(slow(Witness(witness.0.clone()))).cancel().is_none());
            std::mem::forget(s.start(slow(Witness(witness.0.clone()))));
        });
        gate.open();
        for _ in 0..3 {
            dropped.recv_timeout(LONG).unwrap();
        }
        // A result that is there is given back.
        coop::wait_all(|s| {
            let done = s.start(op::unblock(|| 5));
            coop::sleep(Duration::from_millis(30)).unwrap();
            assert_eq!(done.cancel(), Some(Ok(5)));
        });
    });
}

#[cfg_attr(panic = "abort", ignore = "a panic ends the process")]
#[test]
fn the_root_returns_though_a_call_never_does() {
    child!(|| {
        coop::run(|| {
            let mut tasks: Vec<_> =
                (0..3).map(|_| coop::spawn(|| unblock(|| thread::sleep(Duration::from_secs(3600))))).collect();
            coop::sleep(Duration::from_millis(5)).unwrap();
            tasks.truncate(1);
        });
        coop::run(|| assert_eq!(unblock(|| 1), Ok(1), "a later Cooperator is served"));
    })
    .succeeded();
}

#[cfg_attr(panic = "abort", ignore = "a panic ends the process")]
#[test]
fn a_call_that_is_out_is_no_deadlock_and_one_that_was_given_up_hides_none() {
    child!(|| {
        coop::run(|| {
            assert_eq!(unblock(|| thread::sleep(Duration::from_millis(30))), Ok(()));
            let mut stuck = coop::spawn(|| unblock(|| thread::sleep(Duration::from_secs(3600))));
            coop::sleep(Duration::from_millis(5)).unwrap();
            stuck.kill();
            assert!(stuck.join().unwrap().is_err());
            let never = coop::Coordinator::held();
            assert_eq!(never.acquire().unwrap_err().cause(), Cause::Resources);
        });
    })
    .succeeded()
    .said("coop: deadlock: no task can run");
}

#[cfg_attr(panic = "abort", ignore = "a panic ends the process")]
#[coop::test(schedules = 20)]
fn virtual_time_stands_still_for_a_short_call() -> Result<(), Killed> {
    // Where the machine has no time for that thread for long, it does not.
    let stands_still = |_| coop::deadline(Duration::from_micros(1), || unblock(|| 1)).0 == Ok(1);
    assert!((0..100).any(stands_still), "real time passes on the thread, none here");
    // One that takes long does not hold the clock for ever.
    let gate = Gate::default();
    let passed = gate.clone();
    let (result, _) = coop::deadline(Duration::from_secs(3600), || unblock(move || passed.pass()));
    assert!(result.is_err());
    gate.open();
    Ok(())
}

#[test]
fn of_many_calls_that_race_a_kill_each_result_is_delivered_or_dropped_once() {
    const ROUNDS: usize = 3_000;
    static ALIVE: AtomicUsize = AtomicUsize::new(0);
    struct Counted;
    impl Counted {
        fn new() -> Self {
            ALIVE.fetch_add(1, SeqCst);
            Counted
        }
    }
    impl Drop for Counted {
        fn drop(&mut self) {
            ALIVE.fetch_sub(1, SeqCst);
        }
    }
    coop::run(|| {
        let (mut delivered, mut killed, mut ran) = (0, 0, 0);
        for round in 0..ROUNDS {
            let argument = Counted::new();
            let has_run = Arc::new(AtomicUsize::new(0));
            let runs = has_run.clone();
            let mut task = coop::spawn(move || {
                unblock(move || {
                    runs.fetch_add(1, SeqCst);
                    (argument, Counted::new())
                })
            });
            coop::yield_now().unwrap();
            for _ in 0..(round * 7) % 5_000 {
                std::hint::spin_loop();
            }
            task.kill();
            match task.join().unwrap() {
                Ok(_) => delivered += 1,
                Err(_) => killed += 1,
            }
            ran += has_run.load(SeqCst);
        }
        println!("{delivered} delivered, {killed} killed, of which {} ran", ran - delivered);
        assert!(ran >= delivered, "what was delivered has run, once");
        assert_eq!(delivered + killed, ROUNDS);
        assert!(delivered > 0 && killed > 0, "{delivered} delivered, {killed} killed");
    });
    // The threads drop theirs soon.
    for _ in 0..2_000 {
        if ALIVE.load(SeqCst) == 0 {
            return;
        }
        thread::sleep(Duration::from_millis(5));
    }
    panic!("{} values were lost", ALIVE.load(SeqCst));
}

#[cfg_attr(panic = "abort", ignore = "a panic ends the process")]
#[cfg_attr(tsan, ignore = "ThreadSanitizer opens some of its own")]
#[test]
fn a_thousand_calls_leave_no_descriptor() {
    child!(|| {
        let before = descriptors();
        coop::run(|| {
            assert_eq!(unblock(|| 1), Ok(1));
            let during = descriptors();
            let mut threads = HashSet::new();
            for _ in 0..1_000 {
                threads.insert(unblock(|| thread::current().id()).unwrap());
            }
            assert_eq!(descriptors(), during);
            assert!(threads.len() < 10, "threads are used again: {}", threads.len());
        });
        // The thread that has brought the last result may be about to let go of the inbox.
        let began = Instant::now();
        while descriptors() != before && began.elapsed() < LONG {
            thread::yield_now();
        }
        assert_eq!(descriptors(), before);
    })
    .succeeded();
}

#[cfg_attr(panic = "abort", ignore = "a panic ends the process")]
#[test]
fn in_a_forked_child_a_call_fails_and_a_new_cooperator_has_threads_of_its_own() {
    child!(|| {
        coop::run(|| {
            assert_eq!(unblock(|| 1), Ok(1));
            // SAFETY: the child calls nothing but what is tested, and exits.
            match unsafe { libc::fork() } {
                0 => {
                    let failed = unblock(|| 2).is_err_and(|killed| killed.cause() == Cause::Resources);
                    let served = coop::run(|| unblock(|| 3)) == Ok(3);
                    // SAFETY: ends the child at once.
                    unsafe { libc::_exit(if failed && served { 0 } else { 1 }) }
                }
                child => {
                    let mut status = 0;
                    // SAFETY: a valid place for the status.
                    unsafe { assert_eq!(libc::waitpid(child, &mut status, 0), child) };
                    assert_eq!(status, 0, "the child was served");
                }
            }
        });
    })
    .succeeded();
}

#[test]
#[should_panic(expected = "this thread runs no Cooperator")]
fn without_a_cooperator_it_panics_and_names_the_fix() {
    let _ = unblock(|| ());
}

/// A panic that has gone on in a `select!` will not come again: the Handle is spent, and disables its arm.
#[cfg_attr(panic = "abort", ignore = "a panic ends the process")]
#[coop::test]
fn a_panic_spends_the_handle() {
    coop::wait_all(|s| {
        let mut call = s.start(op::unblock(|| -> u8 { panic!("on purpose") }));
        let select = || coop::select! { _ = &mut call => (), };
        assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(select)).is_err());
        assert!(call.is_spent());
    });
}

#[cfg_attr(panic = "abort", ignore = "a panic ends the process")]
#[cfg_attr(asan, ignore = "LeakSanitizer needs a process of its own")]
#[test]
fn calls_on_files_and_names_say_that_there_is_no_thread_for_them_and_are_not_taken_for_killed() {
    child!(|| {
        refuse_threads();
        coop::run(|| {
            let has_no_thread = |error: io::Error| {
                assert!(error.to_string().contains("no thread") && !Killed::is(&error), "{error}");
            };
            let has_no_thread_if_it_failed = |result: io::Result<()>| result.map_or_else(has_no_thread, drop);
            has_no_thread(coop::fs::canonicalize("/proc").unwrap_err());
            has_no_thread(coop::fs::read_dir("/proc").unwrap_err());
            has_no_thread(coop::net::lookup_host("localhost:80").err().unwrap());
            has_no_thread(coop::process::Command::new("true").spawn().unwrap_err());
            // What the kernel would do on a thread of its own fails too, and says why; what is in memory is read all the same.
            has_no_thread_if_it_failed(coop::fs::metadata("/proc").map(drop));
            has_no_thread_if_it_failed(coop::fs::File::open("/proc/self/exe").map(drop));
            // A walk that is told so does not try again for ever.
            for item in coop::fs::walk("/proc") {
                has_no_thread_if_it_failed(item.map(drop));
            }
            // A kill is one all the same.
            let error = coop::timeout(Duration::ZERO, || coop::fs::canonicalize("/proc")).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        });
    })
    .succeeded();
}
