//! Several Cooperators in a process: started together or one by one, reached by name, and shut down together.

use coop::chan::passage;
use coop::sync::Event;
use coop::{Builder, Cause, JoinError, cooperators, op};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

#[test]
fn a_program_of_four_finds_each_of_them_everywhere() {
    let seen = Builder::new().cooperators(4).run(|| {
        let look = || {
            let all = cooperators();
            let names: Vec<_> = all.iter().map(|remote| remote.name().to_owned()).collect();
            (all.index(), all.current().name().to_owned(), names.join(" "), thread::current().id())
        };
        let all = cooperators();
        assert_eq!((all.len(), all.index()), (4, 0));
        let mut tasks: Vec<_> = all.iter().map(|remote| remote.submit(look).map_err(drop).unwrap()).collect();
        tasks.iter_mut().map(|task| task.join().unwrap()).collect::<Vec<_>>()
    });
    let seen = seen.unwrap();
    let names = "cooperator-0 cooperator-1 cooperator-2 cooperator-3";
    for (index, (place, name, all, _)) in seen.iter().enumerate() {
        assert_eq!((*place, name.as_str(), all.as_str()), (index, format!("cooperator-{index}").as_str(), names));
    }
    let threads: std::collections::HashSet<_> = seen.iter().map(|(.., thread)| *thread).collect();
    assert_eq!(threads.len(), 4, "each on its own thread");
}

#[test]
fn alone_it_is_a_group_of_one() {
    let all = coop::run(|| cooperators());
    assert_eq!((all.len(), all.index()), (1, 0));
    assert!(all.get(1).is_none());
    // It has finished: what is submitted comes back.
    assert!(all.current().submit(|| ()).is_err());
}

#[test]
fn when_the_root_returns_the_tasks_of_all_are_killed_and_awaited() {
    let ends = Arc::new(Mutex::new(Vec::new()));
    let (started, ended) = (Arc::new(AtomicUsize::new(0)), ends.clone());
    let value = Builder::new().cooperators(3).run(|| {
        for remote in &cooperators() {
            let (started, ended) = (started.clone(), ended.clone());
            let task = move || {
                started.fetch_add(1, SeqCst);
                let killed = coop::sleep(Duration::MAX).unwrap_err();
                // Cleanup that takes its time is waited for.
                let tidied = coop::shield(Duration::from_secs(5), || coop::sleep(Duration::from_millis(20)).is_ok());
                ended.lock().unwrap().push((cooperators().index(), killed.cause() == Cause::Shutdown, tidied));
            };
            remote.submit(task).map_err(drop).unwrap();
        }
        while started.load(SeqCst) < 3 {
            coop::sleep(Duration::from_millis(1)).unwrap();
        }
        "the root's value"
    });
    assert_eq!(value.unwrap(), "the root's value");
    let mut ends = ends.lock().unwrap().clone();
    ends.sort();
    assert_eq!(ends, [(0, true, true), (1, true, true), (2, true, true)]);
}

#[cfg_attr(panic = "abort", ignore = "panics, or starts itself again")]
#[test]
fn a_root_that_panics_takes_the_others_with_it() {
    let ended = Arc::new(AtomicUsize::new(0));
    let count = ended.clone();
    let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        Builder::new().cooperators(2).run(|| {
            let mut begun = cooperators()
                .get(1)
                .unwrap()
                .submit(move || {
                    // This task is its parent, and ends when it has.
                    coop::spawn(move || {
                        let _ = coop::sleep(Duration::MAX);
                        count.fetch_add(1, SeqCst);
                    });
                })
                .map_err(drop)
                .unwrap();
            let (waited, _) = coop::deadline(Duration::from_millis(50), || begun.join());
            assert!(matches!(waited, Err(JoinError::Interrupted(_))), "it waits for its child");
            panic!("the root fails");
        })
    }));
    assert_eq!(*result.unwrap_err().downcast::<&str>().unwrap(), "the root fails");
    assert_eq!(ended.load(SeqCst), 1, "awaited before the panic went on");
}

#[test]
fn one_that_was_started_by_hand_runs_what_is_submitted_until_its_shutdown() {
    let mut storage = Builder::new().name("storage").start().unwrap();
    assert_eq!(storage.remote().name(), "storage");
    let mut task = storage
        .remote()
        .submit(|| {
            let mut child = coop::spawn(|| coop::sleep(Duration::from_millis(1)).is_ok());
            (thread::current().name().map(str::to_owned), child.join().unwrap())
        })
        .map_err(drop)
        .unwrap();
    assert_eq!(task.join().unwrap(), (Some("storage".to_owned()), true));

    let mut sleeper = storage.remote().submit(|| coop::sleep(Duration::MAX)).map_err(drop).unwrap();
    storage.shutdown();
    assert!(matches!(sleeper.join().unwrap(), Err(killed) if killed.cause() == Cause::Shutdown));
    storage.join().unwrap();
    assert!(matches!(storage.join(), Err(JoinError::AlreadyJoined)));
    assert!(storage.remote().submit(|| ()).is_err(), "it has finished");
}

#[coop::test(real_time)]
fn a_task_that_waits_for_one_to_end_can_be_killed() {
    let mut other = Builder::new().start().unwrap();
    let (waited, expired) = coop::deadline(Duration::from_millis(5), || other.join());
    assert!(matches!(waited, Err(JoinError::Interrupted(_))) && expired.is_expired());
    other.shutdown();
    other.join().unwrap();
}

#[test]
fn a_reference_that_is_dropped_shuts_its_cooperator_down() {
    let other = Builder::new().start().unwrap();
    let remote = other.remote().clone();
    let mut task = remote.submit(|| coop::sleep(Duration::MAX)).map_err(drop).unwrap();
    drop(other);
    assert!(task.join().unwrap().is_err());
    // Until it has ended it takes tasks, which are born killed.
    while let Ok(mut task) = remote.submit(|| ()) {
        assert!(matches!(task.join(), Ok(()) | Err(JoinError::NeverRan)));
    }
}

#[test]
fn a_hundred_are_started_and_ended() {
    let before = std::fs::read_dir("/proc/self/fd").unwrap().count();
    for _ in 0..25 {
        let sum = Builder::new().ring_entries(64).cooperators(4).run(|| {
            let mut tasks: Vec<_> = cooperators()
                .iter()
                .map(|remote| remote.submit(|| cooperators().index()).map_err(drop).unwrap())
                .collect();
            tasks.iter_mut().map(|task| task.join().unwrap()).sum::<usize>()
        });
        assert_eq!(sum.unwrap(), 6);
    }
    // Other tests run beside this one: an upper bound.
    let after = std::fs::read_dir("/proc/self/fd").unwrap().count();
    assert!(after < before + 60, "{before} descriptors before, {after} after");
}

/// Work goes around a ring of Cooperators, through submits and through passages.
#[test]
fn work_travels_from_one_to_the_next() {
    const CORES: usize = 3;
    let trip = Builder::new().cooperators(CORES).run(|| {
        fn hop(left: usize, mut trip: Vec<usize>) -> Vec<usize> {
            trip.push(cooperators().index());
            if left == 0 {
                return trip;
            }
            let all = cooperators();
            let next = all.get((all.index() + 1) % all.len()).unwrap();
            next.submit(move || hop(left - 1, trip)).map_err(drop).unwrap().join().unwrap()
        }
        hop(10, Vec::new())
    });
    assert_eq!(trip.unwrap(), [0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1]);
}

mod main_attribute {
    #[coop::main(cooperators = 2)]
    fn two() -> usize {
        coop::cooperators().len()
    }

    #[coop::main(cooperators = "per-core")]
    fn per_core() -> usize {
        coop::cooperators().len()
    }

    #[test]
    fn starts_as_many_as_it_says() {
        assert_eq!(two(), 2);
        assert_eq!(per_core(), coop::per_core());
    }
}

/// A panic of a submitted task counts as one, not as a kill; and one of which nobody will hear is an orphan.
#[cfg_attr(panic = "abort", ignore = "panics, or starts itself again")]
#[test]
fn the_panic_of_a_submitted_task_is_counted() {
    #[coop::task]
    fn panics(gate: std::sync::mpsc::Receiver<()>) {
        let _ = gate.recv();
        panic!("on purpose");
    }
    let (open, gate) = std::sync::mpsc::channel();
    drop(open);
    coop::run(|| {
        let mut task = panics::submit(&coop::remote().unwrap(), gate).map_err(drop).unwrap();
        assert!(matches!(task.join(), Err(JoinError::Panicked(_))));
    });
    let counted = || {
        let all = coop::descriptions();
        all.iter().find(|kind| kind.name == "panics").map(|kind| (kind.spawned, kind.panicked, kind.killed, kind.live))
    };
    assert_eq!(counted(), Some((1, 1, 0, 0)));

    let (open, gate) = std::sync::mpsc::channel();
    let killed = Builder::new().on_orphan_panic(coop::OrphanPanic::KillParent).run(|| {
        drop(panics::submit(&coop::remote().unwrap(), gate).map_err(drop).unwrap());
        drop(open);
        coop::sleep(Duration::from_secs(20)).unwrap_err().cause()
    });
    assert_eq!(killed.unwrap(), Cause::Parent);
    assert_eq!(counted(), Some((2, 2, 0, 0)));
}

/// The last Remote leaves a job and goes, in any moment of the loop's pass: the Cooperator is not deadlocked.
#[test]
fn the_last_word_of_the_last_remote_is_heard() {
    use coop::sync::Event;
    use std::cell::RefCell;
    use std::rc::Rc;
    use std::time::Instant;
    thread_local!(static SAID: RefCell<Rc<Event>> = RefCell::default());
    let slot: Mutex<Option<coop::Remote>> = Mutex::default();
    let is_over = std::sync::atomic::AtomicBool::new(false);
    thread::scope(|threads| {
        threads.spawn(|| {
            let mut pause = 0;
            while !is_over.load(SeqCst) {
                let Some(remote) = slot.lock().unwrap().take() else { continue };
                pause = (pause + 37) % 400;
                (0..pause).for_each(|_| std::hint::spin_loop());
                drop(remote.submit(|| SAID.with_borrow(|said| said.set())).map_err(drop).unwrap());
            }
        });
        let begin = Instant::now();
        let mut result = Ok(());
        while result.is_ok() && begin.elapsed() < Duration::from_secs(2) {
            result = coop::run(|| {
                (0..100).try_for_each(|_| {
                    let said = Rc::new(Event::new());
                    SAID.set(said.clone());
                    *slot.lock().unwrap() = Some(coop::remote().unwrap());
                    said.wait()
                })
            });
        }
        is_over.store(true, SeqCst);
        assert_eq!(result, Ok(()));
    });
}

/// A Cooperator that only waits for its shutdown has no deadline to which a virtual clock could go.
#[test]
fn time_does_not_run_away_from_a_thread_without_work() {
    let thread = Builder::new().virtual_time().start().unwrap();
    thread::sleep(Duration::from_millis(50));
    let hour = Duration::from_secs(3600);
    let sleep = move || {
        let begin = coop::time::Instant::now();
        coop::sleep(hour).map(|()| begin.elapsed())
    };
    let mut task = thread.remote().submit(sleep).map_err(drop).unwrap();
    assert_eq!(task.join().unwrap(), Ok(hour));
}

/// A handle to a task elsewhere is waited for among other things, and kills.
#[test]
fn a_task_elsewhere_is_an_arm_and_is_killed_from_here() {
    let other = Builder::new().start().unwrap();
    let remote = other.remote().clone();
    coop::run(|| -> Result<(), coop::Killed> {
        let (tell, told) = passage(8);
        let tell_too = tell.clone();
        let task = move || {
            let child = coop::spawn(move || tell_too.try_send(("child", coop::sleep(Duration::MAX))));
            let ended = coop::sleep(Duration::MAX);
            drop(child);
            tell.try_send(("task", ended)).unwrap();
            ended
        };
        let mut sleeper = remote.submit(task).map_err(drop).unwrap();
        let mut quick = remote.submit(|| 7).map_err(drop).unwrap();
        // Pending, then won; a handle whose value is taken disables its arm.
        let first = coop::select! {
            _ = &mut sleeper => None,
            seven = &mut quick => Some(seven.unwrap()),
        }?;
        assert_eq!(first, Some(7));
        assert!(quick.is_finished() && !sleeper.is_finished());
        assert!(matches!(quick.join(), Err(JoinError::AlreadyJoined)));
        let second = coop::select! {
            _ = &mut quick => "quick",
            _ = &mut sleeper => "sleeper",
            _ = op::after(Duration::from_millis(2)) => "time",
        }?;
        assert_eq!(second, "time");
        sleeper.kill();
        let line = line!() - 1;
        let ended = coop::select! {
            _ = &mut quick => None,
            ended = &mut sleeper => Some(ended.unwrap()),
        }?;
        let killed = ended.unwrap().unwrap_err();
        let by = |killed: &coop::Killed| match killed.cause() {
            Cause::Explicit(place) => (place.file(), place.line()),
            cause => panic!("{cause}"),
        };
        assert_eq!(by(&killed), (file!(), line));
        let mut ends: Vec<_> = (0..2).map(|_| told.recv().unwrap()).map(|(who, end)| (who, end.is_err())).collect();
        ends.sort();
        assert_eq!(ends, [("child", true), ("task", true)], "the kill reaches the children");
        // What has ended, or is gone, is not killed.
        sleeper.kill();
        quick.kill();
        Ok(())
    })
    .unwrap();
    let mut late = remote.submit(|| ()).map_err(drop).unwrap();
    late.join().unwrap();
    drop(other);
    late.kill();
}

/// Tasks that are killed from another thread at any moment of their lives: none is missed, none is hit twice, none after its end.
#[test]
fn kills_from_elsewhere_race_the_ends_of_tasks() {
    let other = Builder::new().start().unwrap();
    let mut seen = [0; 2];
    for round in 0..2000u64 {
        let task = move || match round % 3 {
            0 => coop::sleep(Duration::MAX).is_err(),
            1 => coop::yield_now().is_err(),
            _ => coop::sleep(Duration::from_micros(round % 50)).is_err(),
        };
        let mut handle = other.remote().submit(task).map_err(drop).unwrap();
        if round % 7 == 0 {
            std::thread::yield_now();
        }
        handle.kill();
        let was_killed = handle.join().unwrap();
        assert!(was_killed || round % 3 != 0, "one that sleeps for ever ends by its kill");
        seen[usize::from(was_killed)] += 1;
    }
    assert!(seen[1] >= 667, "{seen:?}");
}

/// Runs `f` on a thread of its own. A Cooperator that sleeps for ever must not keep the test from failing.
fn bounded<T: Send + 'static>(f: impl FnOnce() -> T + Send + 'static) -> T {
    let (said, heard) = std::sync::mpsc::channel();
    thread::spawn(move || said.send(f()));
    heard.recv_timeout(Duration::from_secs(20)).expect("it sleeps for ever")
}

#[test]
fn when_the_last_remote_goes_elsewhere_a_cooperator_that_sleeps_finds_itself_deadlocked() {
    let waited = bounded(|| {
        coop::run(|| {
            let remotes = [coop::remote().unwrap(), coop::remote().unwrap()];
            for (turn, remote) in remotes.into_iter().enumerate() {
                thread::spawn(move || {
                    thread::sleep(Duration::from_millis(10 * turn as u64));
                    drop(remote);
                });
            }
            Event::new().wait()
        })
    });
    assert_eq!(waited.unwrap_err().cause(), Cause::Resources);
}

#[test]
fn who_may_still_kill_a_task_keeps_its_cooperator_from_being_deadlocked() {
    thread_local! {
        static ENDED: Rc<Event> = Rc::new(Event::new());
    }
    let (waited, killed) = bounded(|| {
        let (said, heard) = std::sync::mpsc::channel();
        let waited = coop::run(move || {
            let remote = coop::remote().unwrap();
            thread::spawn(move || {
                let wait = || {
                    let waited = Event::new().wait();
                    ENDED.with(Rc::clone).set();
                    waited
                };
                let mut task = remote.submit(wait).map_err(drop).unwrap();
                drop(remote);
                thread::sleep(Duration::from_millis(20));
                task.kill();
                said.send(task.join().unwrap()).unwrap();
            });
            ENDED.with(Rc::clone).wait()
        });
        (waited, heard.recv().unwrap())
    });
    assert_eq!(waited, Ok(()));
    assert!(matches!(killed.unwrap_err().cause(), Cause::Explicit(_)));
    // Of one whose value was taken, nothing can come any more.
    let waited = bounded(|| {
        coop::run(|| {
            let remote = coop::remote().unwrap();
            thread::spawn(move || {
                let mut task = remote.submit(|| 7).map_err(drop).unwrap();
                assert_eq!(task.join().unwrap(), 7);
                drop(remote);
                std::mem::forget(task);
            });
            Event::new().wait()
        })
    });
    assert_eq!(waited.unwrap_err().cause(), Cause::Resources);
}
