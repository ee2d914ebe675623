//! Tasks: spawning, joining, killing, scopes, deadlines, shields.

use coop::{Cause, JoinError, Killed, TimedOut};
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

/// A trace that tasks write to and the test reads.
#[derive(Clone, Default)]
struct Trace(Rc<RefCell<Vec<String>>>);

impl Trace {
    fn say(&self, text: impl Into<String>) {
        self.0.borrow_mut().push(text.into());
    }

    fn take(&self) -> Vec<String> {
        self.0.take()
    }
}

#[derive(Debug, PartialEq)]
enum Failure {
    Killed(Cause),
    TimedOut,
    Other(&'static str),
}

impl From<Killed> for Failure {
    fn from(killed: Killed) -> Self {
        Failure::Killed(killed.cause())
    }
}

impl From<TimedOut> for Failure {
    fn from(_: TimedOut) -> Self {
        Failure::TimedOut
    }
}

#[test]
fn tasks_take_turns_in_the_order_they_became_ready() {
    let trace = Trace::default();
    coop::run(|| {
        coop::wait_all(|s| {
            for name in ["a", "b", "c"] {
                let trace = trace.clone();
                s.spawn(move || {
                    for round in 0..3 {
                        trace.say(format!("{name}{round}"));
                        coop::yield_now().unwrap();
                    }
                });
            }
        });
    });
    assert_eq!(trace.take(), ["a0", "b0", "c0", "a1", "b1", "c1", "a2", "b2", "c2"]);
}

#[cfg_attr(panic = "abort", ignore = "panics, or starts itself again")]
#[test]
fn a_join_gives_what_the_task_returned_or_panicked_with() {
    coop::run(|| {
        let mut value = coop::spawn(|| String::from("value"));
        assert_eq!(value.join().unwrap(), "value");
        assert!(matches!(value.join(), Err(JoinError::AlreadyJoined)));
        let mut panics = coop::spawn(|| -> u8 { std::panic::panic_any(17u32) });
        match panics.join() {
            Err(JoinError::Panicked(payload)) => assert_eq!(payload.downcast_ref(), Some(&17u32)),
            other => panic!("{other:?}"),
        }
    });
}

#[test]
fn a_killed_parent_kills_its_tree_and_waits_for_it() {
    let trace = Trace::default();
    coop::run(|| {
        let inner = trace.clone();
        let mut parent = coop::spawn(move || {
            let child_trace = inner.clone();
            drop(coop::spawn(move || {
                let result = coop::Coordinator::held().acquire().map(drop);
                child_trace.say(format!("child {:?}", result.unwrap_err().cause()));
                child_trace.say(format!("child again {}", coop::checkpoint().is_err()));
            }));
            let result = coop::Coordinator::held().acquire().map(drop);
            inner.say(format!("parent {}", result.is_err()));
            7
        });
        coop::yield_now().unwrap();
        coop::yield_now().unwrap();
        parent.kill();
        trace.say("killed");
        assert_eq!(parent.join().unwrap(), 7);
        trace.say("joined");
    });
    let trace = trace.take();
    assert_eq!(trace[0..2], ["killed", "parent true"]);
    assert!(trace[2].starts_with("child Explicit("), "{trace:?}");
    assert_eq!(trace[3..], ["child again true", "joined"]);
}

#[test]
fn a_child_of_something_dead_is_born_killed_and_its_arguments_are_dropped() {
    struct Noisy(Trace);
    impl Drop for Noisy {
        fn drop(&mut self) {
            self.0.say(format!("dropped by {}", coop::current().name()));
        }
    }
    let trace = Trace::default();
    coop::run(|| {
        let outer = trace.clone();
        let mut parent = coop::spawn(move || {
            let _ = coop::Coordinator::held().acquire().map(drop);
            let noisy = Noisy(outer.clone());
            let mut child = coop::TaskBuilder::new().name("child").spawn(move || noisy.0.say("never"));
            outer.say(format!("{:?}", coop::shield(Duration::from_secs(1), || child.join())));
        });
        coop::yield_now().unwrap();
        parent.kill();
        parent.join().unwrap();
    });
    assert_eq!(trace.take(), ["dropped by child", "Err(NeverRan)"]);
}

#[test]
fn children_borrow_from_their_scope() {
    coop::run(|| {
        let mut numbers = [1, 2, 3];
        let total = Cell::new(0);
        coop::wait_all(|s| {
            for number in &mut numbers {
                s.spawn(|| {
                    *number *= 10;
                    coop::yield_now().unwrap();
                    total.set(total.get() + *number);
                });
            }
        });
        assert_eq!((numbers, total.get()), ([10, 20, 30], 60));
    });
}

#[test]
fn the_first_error_of_a_scope_kills_the_others_and_is_returned() {
    let trace = Trace::default();
    coop::run(|| {
        let result: Result<(), Failure> = coop::scope(|s| {
            s.spawn(|| {
                let killed = coop::Coordinator::held().acquire().map(drop).unwrap_err();
                trace.say(format!("sleeper {:?}", killed.cause()));
            });
            s.try_spawn(|| -> Result<(), Failure> {
                coop::yield_now()?;
                trace.say("fails");
                Err(Failure::Other("first"))
            });
            coop::Coordinator::held().acquire().map(drop)?;
            Ok(())
        });
        assert_eq!(result, Err(Failure::Other("first")));
        coop::checkpoint().unwrap();
    });
    assert_eq!(trace.take(), ["fails", "sleeper Sibling"]);
}

#[test]
fn the_error_of_a_scopes_body_kills_the_children() {
    let trace = Trace::default();
    coop::run(|| {
        let result: Result<(), Failure> = coop::scope(|s| {
            s.spawn(|| {
                let killed = coop::Coordinator::held().acquire().map(drop).unwrap_err();
                trace.say(format!("sleeper {:?}", killed.cause()));
            });
            coop::yield_now()?;
            Err(Failure::Other("the body's"))
        });
        assert_eq!(result, Err(Failure::Other("the body's")));
        coop::checkpoint().unwrap();
    });
    assert_eq!(trace.take(), ["sleeper Sibling"]);
}

#[cfg_attr(panic = "abort", ignore = "panics, or starts itself again")]
#[test]
fn a_panic_in_a_scope_waits_for_the_children_before_it_goes_on() {
    let trace = Trace::default();
    let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        coop::run(|| {
            coop::wait_all(|s| {
                s.spawn(|| {
                    let _ = coop::Coordinator::held().acquire().map(drop);
                    trace.say(format!("child ended, panicking: {}", std::thread::panicking()));
                });
                coop::yield_now().unwrap();
                panic!("body");
            })
        })
    }));
    assert_eq!(caught.unwrap_err().downcast_ref(), Some(&"body"));
    assert_eq!(trace.take(), ["child ended, panicking: false"]);
}

#[cfg_attr(panic = "abort", ignore = "panics, or starts itself again")]
#[test]
fn an_unjoined_childs_panic_goes_on_from_the_scope_and_a_joined_ones_does_not() {
    coop::run(|| {
        let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            coop::wait_all(|s| {
                drop(s.spawn(|| panic!("unjoined")));
            })
        }));
        assert_eq!(caught.unwrap_err().downcast_ref(), Some(&"unjoined"));
        coop::wait_all(|s| {
            let mut child = s.spawn(|| panic!("joined"));
            assert!(matches!(child.join(), Err(JoinError::Panicked(_))));
        });
    });
}

#[test]
fn a_timeout_says_timed_out_only_for_its_own_deadline() {
    let forever = || -> Result<(), Failure> { Ok(coop::Coordinator::held().acquire().map(drop)?) };
    coop::Builder::new()
        .virtual_time()
        .run(|| {
            let ms = Duration::from_millis;
            assert_eq!(coop::timeout(ms(10), forever), Err(Failure::TimedOut));
            assert_eq!(coop::timeout(ms(10), || Ok::<_, Failure>(5)), Ok(5));
            let other = coop::timeout(ms(10), || Err::<(), _>(Failure::Other("own")));
            assert_eq!(other, Err(Failure::Other("own")), "no deadline was met");
            let outer = coop::timeout(ms(10), || coop::timeout(ms(1000), forever));
            assert_eq!(outer, Err(Failure::TimedOut));
            let inner = coop::timeout(ms(1000), || {
                assert_eq!(coop::timeout(ms(10), forever), Err(Failure::TimedOut));
                coop::checkpoint()?;
                Ok::<_, Failure>("outer goes on")
            });
            assert_eq!(inner, Ok("outer goes on"));
            assert_eq!(coop::timeout(Duration::ZERO, forever), Err(Failure::TimedOut), "refuses at once");
            let (refused, _) = coop::deadline(Duration::ZERO, || coop::checkpoint().is_err());
            assert!(refused, "without a look at the clock");
            let swallowed = coop::timeout(ms(10), || {
                assert!(forever().is_err() && forever().is_err(), "it is met again");
                Ok::<_, Failure>("late")
            });
            assert_eq!(swallowed, Ok("late"));
            coop::checkpoint().unwrap();
            let mut killed = coop::spawn(move || coop::timeout(ms(1000), forever));
            coop::yield_now().unwrap();
            killed.kill();
            assert!(matches!(killed.join(), Ok(Err(Failure::Killed(Cause::Explicit(_))))));
        })
        .unwrap();
}

#[test]
fn a_refused_wait_that_has_its_result_nevertheless_was_told_of_no_deadline() {
    coop::run(|| -> std::io::Result<()> {
        let (ours, theirs) = coop::net::UnixStream::pair()?;
        theirs.send_all(b"there")?;
        let mut buf = [0; 8];
        // No time is left: the wait is refused, but what it is for comes when it gives way, or before its cancel.
        let (received, expired) = coop::deadline(Duration::ZERO, || {
            coop::wait_all(|s| s.start(coop::op::recv(&ours, &mut buf)).wait().map(|transfer| transfer.n()))
        });
        match received {
            Ok(n) => assert_eq!((n, expired.is_expired()), (5, false)),
            Err(error) => assert!(coop::Killed::is(&error) && expired.is_expired(), "{error}"),
        }
        Ok(())
    })
    .unwrap();
}

#[test]
fn a_scope_in_a_timeout_dies_with_it_and_a_spawned_task_does_not() {
    let trace = Trace::default();
    coop::Builder::new()
        .virtual_time()
        .run(|| {
            let outside = trace.clone();
            let result = coop::timeout(Duration::from_millis(10), || {
                drop(coop::spawn(move || {
                    coop::timeout(Duration::from_millis(50), || {
                        coop::Coordinator::held().acquire().map(drop)?;
                        Ok::<_, Failure>(())
                    })
                    .unwrap_err();
                    outside.say("the spawned task lived on");
                }));
                coop::scope(|s| -> Result<(), Failure> {
                    s.spawn(|| {
                        let killed = coop::Coordinator::held().acquire().map(drop).unwrap_err();
                        trace.say(format!("scoped {:?}", killed.cause()));
                    });
                    Ok(coop::Coordinator::held().acquire().map(drop)?)
                })
            });
            assert_eq!(result, Err(Failure::TimedOut));
        })
        .unwrap();
    // The root's return killed it before its 50 ms were over.
    assert_eq!(trace.take(), ["scoped Deadline", "the spawned task lived on"]);
}

#[test]
fn daemons_die_when_their_parent_returns_and_others_are_awaited() {
    let trace = Trace::default();
    coop::run(|| {
        let outer = trace.clone();
        let mut parent = coop::spawn(move || {
            let (daemon, other) = (outer.clone(), outer.clone());
            drop(coop::TaskBuilder::new().daemon().spawn(move || {
                let killed = coop::Coordinator::held().acquire().map(drop).unwrap_err();
                daemon.say(format!("daemon {:?}", killed.cause()));
            }));
            drop(coop::spawn(move || {
                for _ in 0..5 {
                    coop::yield_now().unwrap();
                }
                other.say("other done");
            }));
            coop::yield_now().unwrap();
            outer.say("returns");
        });
        parent.join().unwrap();
        trace.say("joined");
    });
    assert_eq!(trace.take(), ["returns", "daemon Parent", "other done", "joined"]);
}

#[test]
fn joining_oneself_or_an_ancestor_is_an_error_at_once() {
    coop::run(|| {
        let own: Rc<RefCell<Option<coop::JoinHandle<()>>>> = Rc::default();
        let shared = own.clone();
        let task = coop::spawn(move || {
            let mut child = coop::spawn(move || {
                assert!(matches!(shared.borrow_mut().as_mut().unwrap().join(), Err(JoinError::Deadlock)));
            });
            child.join().unwrap();
        });
        *own.borrow_mut() = Some(task);
        let mut task = own;
        while !task.borrow().as_ref().unwrap().is_finished() {
            coop::yield_now().unwrap();
        }
        Rc::get_mut(&mut task).unwrap().get_mut().as_mut().unwrap().join().unwrap();
    });
}

#[test]
fn a_deep_tree_is_killed_without_recursion() {
    fn nest(depth: u32) {
        if depth > 0 {
            drop(coop::TaskBuilder::new().stack(32768).spawn(move || nest(depth - 1)));
        }
        let _ = coop::Coordinator::held().acquire().map(drop);
    }
    coop::run(|| {
        let mut top = coop::spawn(|| nest(20_000));
        for _ in 0..20_010 {
            coop::yield_now().unwrap();
        }
        top.kill();
        top.join().unwrap();
    });
}

#[test]
fn a_handle_may_outlive_its_cooperator() {
    thread_local! {
        static KEPT: RefCell<Option<coop::JoinHandle<Rc<Cell<u32>>>>> = const { RefCell::new(None) };
    }
    let value = Rc::new(Cell::new(5));
    let inner = value.clone();
    coop::run(|| {
        let task = coop::spawn(move || inner);
        KEPT.set(Some(task));
    });
    assert_eq!(Rc::strong_count(&value), 2);
    coop::run(|| drop(KEPT.take()));
    assert_eq!(Rc::strong_count(&value), 1);
}

#[test]
fn a_retry_loop_that_swallows_its_kill_does_not_freeze_the_thread() {
    coop::run(|| {
        let stop = Rc::new(Cell::new(false));
        let inner = stop.clone();
        let mut stubborn = coop::spawn(move || {
            let mut refused = 0;
            while !inner.get() {
                if coop::checkpoint().is_err() {
                    refused += 1;
                }
            }
            refused
        });
        stubborn.kill();
        for _ in 0..100 {
            coop::yield_now().unwrap();
        }
        stop.set(true);
        assert!(stubborn.join().unwrap() >= 100);
    });
}

#[test]
fn run_inside_a_task_is_a_scope() {
    let trace = Trace::default();
    coop::run(|| {
        coop::run(|| {
            let inner = trace.clone();
            drop(coop::spawn(move || inner.say("child")));
            assert_eq!(coop::current().name(), "root");
        });
        trace.say("after");
    });
    assert_eq!(trace.take(), ["after", "child"], "a child spawned without the scope belongs to the task");
}

#[test]
fn a_deadlock_is_reported_and_the_tasks_are_killed() {
    coop::run(|| {
        let killed = coop::Coordinator::held().acquire().map(drop).unwrap_err();
        assert_eq!(killed.cause(), Cause::Resources);
    });
}

/// The links between siblings move when many tasks have come, and again when they have gone.
#[test]
fn siblings_keep_their_order_while_crowds_come_and_go() {
    const FAMILIES: u64 = 6;
    const ROUNDS: u64 = 12;
    const CROWD: u64 = 1_500;
    let millis = Duration::from_millis;
    for seed in 0..if cfg!(debug_assertions) { 4u64 } else { 20 } {
        println!("seed {seed}");
        let state = Cell::new(seed * 2 + 1);
        let below = |bound: u64| {
            state.set(state.get().wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407));
            (state.get() >> 33) % bound
        };
        let (killed, done) = (RefCell::new(vec![Vec::new(); FAMILIES as usize]), Cell::new(0));
        // Some end of themselves, in any order, and the others when the scope around them is killed, in their order; of those each
        // second has a child, which then ends first.
        let family = |number: usize| {
            let mut stay = Vec::new();
            coop::wait_all(|s| {
                for child in 0..ROUNDS * 6 {
                    let (killed, done) = (&killed, &done);
                    if below(2) == 0 {
                        let long = millis(below(400));
                        s.spawn(move || coop::sleep(long).map(|()| done.set(done.get() + 1)));
                    } else {
                        stay.push(child);
                        s.spawn(move || {
                            let wait = || assert!(coop::sleep(millis(1 << 40)).is_err(), "it is killed");
                            if child % 2 == 0 {
                                coop::wait_all(|s| drop(s.spawn(wait)));
                            } else {
                                wait();
                            }
                            killed.borrow_mut()[number].push(child);
                        });
                    }
                    if child % 6 == 5 {
                        coop::sleep(millis(below(100))).unwrap();
                    }
                }
                coop::sleep(millis(500)).unwrap();
                s.kill();
            });
            let mut order = killed.borrow()[number].clone();
            // Who waited for a child has run once more.
            order.sort_by_key(|child| child % 2 == 0);
            stay.sort_by_key(|child| child % 2 == 0);
            assert_eq!(order, stay, "seed {seed}, family {number}");
        };
        let crowds = || {
            for _ in 0..ROUNDS / 2 {
                coop::wait_all(|s| (0..CROWD).for_each(|_| drop(s.spawn(|| coop::sleep(millis(below(20)))))));
                coop::sleep(millis(below(100))).unwrap();
            }
        };
        let run = || {
            coop::wait_all(|s| {
                (0..FAMILIES as usize).for_each(|number| drop(s.spawn(move || family(number))));
                s.spawn(crowds);
            });
        };
        coop::Builder::new().virtual_time().stack(32 * 1024).run(run).unwrap();
        let all = done.get() as usize + killed.borrow().iter().map(Vec::len).sum::<usize>();
        assert_eq!(all as u64, FAMILIES * ROUNDS * 6, "seed {seed}");
    }
}

#[cfg_attr(panic = "abort", ignore = "panics, or starts itself again")]
#[test]
fn exit_ends_the_process_from_a_task_on_the_threads_own_stack() {
    const CHILD: &str = "COOP_TEST_EXIT";
    if std::env::var_os(CHILD).is_some() {
        extern "C" fn at_exit() {
            // No Cooperator is left: this fails instead of waiting on a task's stack.
            assert!(!coop::killed());
            println!("exit handlers ran");
        }
        // SAFETY: the handler has no preconditions.
        unsafe { libc::atexit(at_exit) };
        coop::run(|| {
            drop(coop::spawn(|| -> () { coop::exit(7) }));
            let _ = coop::sleep(Duration::from_secs(60));
            println!("never printed");
        });
    }
    let name = "exit_ends_the_process_from_a_task_on_the_threads_own_stack";
    let output = std::process::Command::new(std::env::current_exe().unwrap())
        .args([name, "--exact", "--nocapture"])
        .env(CHILD, "1")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(7), "{text}");
    assert!(text.contains("exit handlers ran") && !text.contains("never printed"), "{text}");
}

#[test]
fn the_few_that_are_left_of_many_are_where_they_were_in_the_tree() {
    const CHILDREN: u32 = 3000;
    let trace = Trace::default();
    let is_left = |child: u32| child.is_multiple_of(700) || child == CHILDREN - 1;
    let ended = Cell::new(0);
    let left: Vec<u32> = (0..CHILDREN).filter(|child| is_left(*child)).collect();
    coop::run(|| {
        let (trace, ended) = (&trace, &ended);
        let family = |name: char| {
            coop::wait_all(|s| {
                for child in 0..CHILDREN {
                    s.spawn(move || {
                        let waited = coop::sleep(Duration::from_secs(if is_left(child) { 3600 } else { 0 }));
                        ended.set(ended.get() + 1);
                        if waited.is_err() {
                            trace.say(format!("{name}{child}"));
                        }
                    });
                }
            });
        };
        coop::wait_all(|s| {
            let parents = ['a', 'b', 'c'].map(|name| s.spawn(move || family(name)));
            // All others end, and the Cooperator idles: what it needed for so many goes back.
            while ended.get() != 3 * (CHILDREN - left.len() as u32) {
                coop::sleep(Duration::from_millis(1)).unwrap();
            }
            coop::sleep(Duration::from_millis(1)).unwrap();
            // As many come again, and end, among them.
            coop::wait_all(|s| (0..CHILDREN).for_each(|_| drop(s.spawn(coop::yield_now))));
            coop::sleep(Duration::from_millis(1)).unwrap();
            for parent in [&parents[1], &parents[0], &parents[2]] {
                parent.kill();
                coop::sleep(Duration::from_millis(1)).unwrap();
            }
        });
    });
    let of = |name: char| left.iter().map(move |child| format!("{name}{child}"));
    assert_eq!(trace.take(), of('b').chain(of('a')).chain(of('c')).collect::<Vec<_>>());
}
