//! Rule 8: a kill never tears a stack away; a completion in the same batch wins; a task that ignores its kill freezes nobody.

use crate::child::{child, descriptors};
use crate::trace::{Defer, Trace};
use coop::net::{UnixListener, UnixStream};
use coop::sync::Mutex;
use coop::{Acquired, Coordinator, JoinError, JoinHandle, Killed, TaskBuilder, op};
use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

const LONG: Duration = Duration::from_secs(3600);

/// Everything that the tasks of the first test may wait for.
struct World {
    conn: (UnixStream, UnixStream),
    listener: UnixListener,
    door: Coordinator,
    mutex: Mutex<()>,
    channel: (coop::chan::Sender<u8>, coop::chan::Receiver<u8>),
    full: (coop::chan::Sender<u8>, coop::chan::Receiver<u8>),
    signal: coop::signal::Signal,
}

type Body = fn(&World) -> Result<(), Killed>;

/// A wait in each way there is. Each would last for ever, and gives `Err` only when it was killed.
fn waits() -> Vec<(&'static str, Body)> {
    fn killed<T>(result: std::io::Result<T>) -> Result<(), Killed> {
        result.map(drop).map_err(|error| Killed::of(&error).unwrap_or_else(|| panic!("{error}")))
    }
    vec![
        ("sleep", |_| coop::sleep(LONG)),
        ("yield", |_| {
            loop {
                coop::yield_now()?;
            }
        }),
        ("recv", |w| killed(w.conn.0.recv(&mut [0; 4]))),
        ("recv_exact", |w| match w.conn.0.recv_exact(&mut [0; 4]) {
            Err(error) => Err(Killed::of(&error).expect("a Partial carries its cause")),
            Ok(()) => unreachable!("nothing was sent"),
        }),
        ("peek", |w| killed(w.conn.0.peek(&mut [0; 4]))),
        ("send_all", |w| match w.conn.0.send_all(&vec![0; 64 << 20]) {
            Err(error) => Err(Killed::of(&error).expect("a Partial carries its cause")),
            Ok(()) => unreachable!("nobody reads"),
        }),
        ("accept", |w| killed(w.listener.accept())),
        ("signal", |w| killed(w.signal.recv())),
        ("acquire", |w| w.door.acquire().map(drop)),
        ("lock", |w| w.mutex.lock().map(drop)),
        ("coordinate", |w| coop::coordinate!(&w.door, timeout = LONG).map(drop)),
        ("receive", |w| match w.channel.1.recv() {
            Err(coop::chan::RecvError::Killed(killed)) => Err(killed),
            other => unreachable!("{other:?}"),
        }),
        ("reserve", |w| match w.full.0.reserve() {
            Err(coop::chan::ReserveError::Killed(killed)) => Err(killed),
            other => unreachable!("{other:?}"),
        }),
        ("select", |w| {
            coop::select! {
                n = op::recv(&w.conn.0, &mut [0; 4]) => unreachable!("{n:?}"),
                accepted = op::accept(&w.listener) => unreachable!("{accepted:?}"),
                _ = op::lock(&w.mutex) => (),
                _ = op::receive(&w.channel.1) => (),
                _ = op::signal(&w.signal) => (),
                _ = op::after(LONG) => (),
            }
        }),
        ("join", |_| match coop::spawn(|| coop::sleep(LONG).is_err()).join() {
            Err(JoinError::Interrupted(killed)) => Err(killed),
            other => unreachable!("{other:?}"),
        }),
        ("join!", |_| match coop::join!(coop::sleep(LONG), coop::sleep(LONG)) {
            Ok((Err(killed), Err(_))) | Err(killed) => Err(killed),
            other => unreachable!("{other:?}"),
        }),
        ("scope", |_| {
            coop::scope(|s| {
                s.spawn(|| coop::sleep(LONG));
                coop::wait_all(|inner| drop(inner.spawn(|| coop::sleep(LONG))));
                coop::sleep(LONG)
            })
        }),
        ("timeout", |_| coop::deadline(LONG, || coop::sleep(LONG)).0),
        ("Handle", |w| {
            coop::wait_all(|s| {
                let mut buffer = [0; 4];
                std::hint::black_box(&mut buffer);
                let accepting = s.start(op::accept(&w.listener));
                killed(accepting.wait())
            })
        }),
        ("shield", |_| coop::shield(Duration::from_millis(2), || coop::sleep(LONG))),
        ("nested run", |_| coop::run(|| coop::sleep(LONG))),
    ]
}

#[test]
fn a_task_is_killed_in_every_wait_there_is_and_its_destructors_run() {
    child!(|| {
        coop::run(|| {
            let before = descriptors();
            let world = Rc::new(World {
                conn: UnixStream::pair().unwrap(),
                listener: UnixListener::bind(format!("\0coop-kill-{}", std::process::id())).unwrap(),
                door: Coordinator::held(),
                mutex: Mutex::new(()),
                channel: coop::chan::bounded(1),
                full: coop::chan::bounded(1),
                signal: coop::signal::listen(libc::SIGUSR1).unwrap(),
            });
            world.full.0.try_send(0).unwrap();
            std::mem::forget(world.mutex.try_lock());
            // Killed before it starts, after one look at the world, after two, and when it has waited a while.
            for patience in [0, 1, 2, 50] {
                for (name, wait) in waits() {
                    let (trace, theirs) = (Trace::default(), world.clone());
                    let inner = trace.clone();
                    let mut task = TaskBuilder::new().name(name).spawn(move || {
                        let _first = inner.at_drop("first");
                        let _second = inner.at_drop("second");
                        let result = wait(&theirs);
                        inner.say(if result.is_err() { "killed" } else { "not killed" });
                        // Once killed, always: each further wait is refused.
                        assert!(coop::sleep(LONG).is_err() && wait(&theirs).is_err());
                    });
                    (0..patience).for_each(|_| coop::sleep(Duration::from_nanos(1)).unwrap());
                    task.kill();
                    task.kill();
                    task.join().unwrap_or_else(|error| panic!("{name} after {patience}: {error}"));
                    task.kill();
                    assert_eq!(trace.take(), ["killed", "second", "first"], "{name} after {patience}");
                }
            }
            drop(world);
            let census = coop::__private::census();
            assert_eq!((census.tasks, census.operations, census.has_timers, descriptors()), (1, 0, false, before));
        });
    })
    .succeeded();
}

#[test]
fn what_was_handed_over_before_the_kill_is_the_tasks() {
    let trace = Trace::default();
    coop::run(|| {
        let (door, gate, mutex) = (Coordinator::held(), Coordinator::held(), Mutex::new(0));
        let (tx, rx) = coop::chan::bounded(1);
        coop::wait_all(|s| {
            let guard = mutex.try_lock().unwrap();
            let tasks = [
                s.spawn(|| trace.say(format!("the door: {}", door.acquire().is_ok()))),
                s.spawn(|| trace.say(format!("the gate, first: {}", gate.acquire().map(Acquired::keep).is_ok()))),
                s.spawn(|| {
                    trace.say(format!("the gate, behind others: {}", gate.acquire().map(Acquired::keep).is_ok()))
                }),
                s.spawn(|| trace.say(format!("the gate, last: {}", gate.acquire().is_ok()))),
                s.spawn(|| trace.say(format!("the lock: {}", mutex.lock().is_ok()))),
                s.spawn(|| trace.say(format!("the message: {:?}", rx.recv()))),
            ];
            coop::sleep(Duration::from_millis(1)).unwrap();
            // All in one step of this task: first what they wait for, then the kill.
            door.release();
            gate.release();
            gate.release();
            drop(guard);
            tx.try_send('m').unwrap();
            tasks.iter().for_each(|task| task.kill());
        });
    });
    let gate = ["the gate, first: true", "the gate, behind others: true"];
    let taken = trace.take();
    assert_eq!(taken[..3], [&["the door: true"], &gate[..]].concat());
    assert_eq!(taken[3..], ["the lock: true", "the message: Ok('m')", "the gate, last: false"]);
}

#[test]
fn a_completion_in_the_same_batch_as_the_kill_wins() {
    let trace = Trace::default();
    coop::run(|| {
        let (first, second) = (UnixStream::pair().unwrap(), UnixStream::pair().unwrap());
        let (first, second, trace) = (&first, &second, &trace);
        coop::wait_all(|s| {
            let victim = s.spawn(|| trace.say(format!("received: {:?}", second.0.recv(&mut [0; 8]).ok())));
            s.spawn(move || {
                first.0.recv(&mut [0; 8]).unwrap();
                assert!(!victim.is_finished());
                victim.kill();
                trace.say("killed");
            });
            coop::sleep(Duration::from_millis(1)).unwrap();
            // Both completions are picked up before either task runs.
            first.1.send_all(b"1").unwrap();
            second.1.send_all(b"12345").unwrap();
        });
    });
    assert_eq!(trace.take(), ["killed", "received: Some(5)"]);
}

#[test]
fn a_task_that_swallows_its_kill_freezes_nobody_and_is_reported_once() {
    let child = child!(|| {
        coop::run(|| {
            let others = Rc::new(Cell::new(0));
            let count = others.clone();
            let mut stubborn = TaskBuilder::new().name("stubborn").spawn(move || {
                // As a library does that retries whatever fails.
                while others.get() < 30_000 {
                    let _ = coop::sleep(LONG);
                }
            });
            let mut other = coop::spawn(move || {
                while count.get() < 30_000 {
                    count.set(count.get() + 1);
                    coop::yield_now().unwrap();
                }
            });
            coop::yield_now().unwrap();
            stubborn.kill();
            // Timers and I/O go on, too.
            let (ours, theirs) = UnixStream::pair().unwrap();
            theirs.send_all(b"x").unwrap();
            coop::sleep(Duration::from_micros(10)).unwrap();
            ours.recv(&mut [0]).unwrap();
            other.join().unwrap();
            stubborn.join().unwrap();
        });
    })
    .succeeded();
    let reports: Vec<&str> = child.stderr.lines().filter(|line| line.starts_with("coop: ")).collect();
    assert_eq!(reports.len(), 1, "{reports:#?}");
    assert!(reports[0].starts_with("coop: task #2 'stubborn' was killed (by request at "), "{reports:#?}");
    assert!(child.stderr.contains("rule_08_kill"), "with its backtrace:\n{}", child.stderr);
}

#[test]
fn a_swallowed_kill_is_reported_without_a_backtrace_where_the_stack_has_no_room_for_one() {
    fn swallow_below(top: usize, used: usize) {
        let frame = std::hint::black_box([0u8; 512]);
        match top - (&raw const frame).addr() < used {
            true => swallow_below(top, used),
            false => (0..20_000).for_each(|_| assert!(coop::sleep(LONG).is_err())),
        }
        std::hint::black_box(frame);
    }
    child!(|| {
        coop::run(|| {
            let stack = if cfg!(debug_assertions) { 128 } else { 32 };
            let body = move || swallow_below((&raw const stack).addr(), (stack - 10) * 1024);
            let mut task = TaskBuilder::new().stack(1).spawn(body);
            task.kill();
            task.join().unwrap();
        });
    })
    .succeeded()
    .said("something ignores the error\n(too little of its stack is left for a backtrace)");
}

#[test]
fn ten_thousand_tasks_that_receive_are_killed_and_joined_and_their_descriptors_closed() {
    child!(|| {
        coop::run(|| {
            let before = descriptors();
            // A hundred connections, a hundred descriptors of each: more would need more than the usual limit.
            let limit = libc::rlimit { rlim_cur: 12_000, rlim_max: 12_000 };
            // SAFETY: the limit is valid.
            assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &limit) }, 0, "the hard limit is below 12,000");
            let pairs: Vec<_> = (0..100).map(|_| std::os::unix::net::UnixStream::pair().unwrap()).collect();
            let closed = Rc::new(Cell::new(0));
            let mut tasks: Vec<JoinHandle<bool>> = (0..10_000)
                .map(|number| {
                    let (conn, closed) = (UnixStream::from(pairs[number % 100].0.try_clone().unwrap()), closed.clone());
                    coop::spawn(move || {
                        let _counts = Defer::new(|| closed.set(closed.get() + 1));
                        conn.recv(&mut [0; 64]).is_err_and(|error| Killed::is(&error))
                    })
                })
                .collect();
            while coop::__private::census().operations != 10_000 {
                coop::yield_now().unwrap();
            }
            tasks.iter().for_each(JoinHandle::kill);
            assert!(tasks.iter_mut().all(|task| task.join().unwrap()));
            drop((tasks, pairs));
            let census = coop::__private::census();
            assert_eq!((closed.get(), descriptors()), (10_000, before));
            assert_eq!((census.tasks, census.stacks, census.operations, census.strays), (1, 1, 0, 0));
        });
    })
    .succeeded();
}

#[test]
fn a_kill_reaches_every_depth_of_a_tall_and_a_wide_tree() {
    coop::run(|| {
        let ended = Rc::new(Cell::new(0));
        fn tower(height: usize, ended: Rc<Cell<usize>>) {
            if height > 0 {
                let above = ended.clone();
                let mut child = coop::spawn(move || tower(height - 1, above));
                assert!(matches!(child.join(), Err(JoinError::Interrupted(_))));
            } else {
                assert!(coop::sleep(LONG).is_err());
            }
            ended.set(ended.get() + 1);
        }
        let (tall, wide) = (ended.clone(), ended.clone());
        let mut task = coop::spawn(move || {
            drop(coop::spawn(move || tower(999, tall)));
            for _ in 0..1_000 {
                let ended = wide.clone();
                drop(coop::spawn(move || {
                    coop::wait_all(|s| {
                        drop(s.spawn(|| coop::timeout(LONG, || -> std::io::Result<()> { Ok(coop::sleep(LONG)?) })))
                    });
                    ended.set(ended.get() + 1);
                }));
            }
        });
        while coop::__private::census().tasks != 2 + 1_000 + 2 * 1_000 {
            coop::yield_now().unwrap();
        }
        task.kill();
        task.join().unwrap();
        assert_eq!(ended.get(), 2_000);
        assert_eq!(coop::__private::census().tasks, 1);
    });
}
