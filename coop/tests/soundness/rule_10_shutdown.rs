//! Rule 10: shutdown drains: the tree is killed, what is in flight reaped, and only then are rings and stacks freed.

use crate::child::{child, descriptors, mappings};
use crate::random::Random;
use crate::trace::Trace;
use coop::net::{UnixListener, UnixStream};
use coop::{Builder, Cause, Killed, Stuck, TaskBuilder, op};
use std::io;
use std::rc::Rc;
use std::time::Duration;

const LONG: Duration = Duration::from_secs(3600);

#[test]
fn the_roots_return_kills_what_is_left_and_awaits_it() {
    let trace = Trace::default();
    let value = coop::run(|| {
        let inner = trace.clone();
        drop(coop::spawn(move || {
            let killed = coop::sleep(LONG).unwrap_err();
            assert_eq!(killed.cause(), Cause::Shutdown);
            coop::shield(LONG, || coop::sleep(Duration::from_millis(1))).unwrap();
            let child = inner.clone();
            drop(coop::spawn(move || child.say("never: it is born killed")));
            inner.say("cleaned up");
        }));
        coop::yield_now().unwrap();
        trace.say("the root returns");
        5
    });
    trace.say("run has returned");
    assert_eq!(
        (value, trace.take()),
        (5, ["the root returns", "cleaned up", "run has returned"].map(String::from).to_vec())
    );
}

#[test]
fn daemons_are_killed_by_the_return_of_their_parent_and_by_the_end_of_their_scope() {
    let trace = Trace::default();
    coop::run(|| {
        let daemon = |trace: Trace| move || trace.say(format!("daemon: {}", coop::sleep(LONG).unwrap_err().cause()));
        let inner = trace.clone();
        let mut parent = coop::spawn(move || {
            drop(TaskBuilder::new().daemon().spawn(daemon(inner.clone())));
            coop::yield_now().unwrap();
            inner.say("the parent returns");
        });
        parent.join().unwrap();
        coop::wait_all(|s| {
            TaskBuilder::new().daemon().spawn_in(s, daemon(trace.clone()));
            s.spawn(|| trace.say(format!("a child of the scope: {:?}", coop::sleep(Duration::from_millis(1)))));
            coop::yield_now().unwrap();
            trace.say("the scope's body returns");
        });
        trace.say("the scope has ended");
    });
    let expected = [
        "the parent returns",
        "daemon: its parent ended",
        "the scope's body returns",
        "daemon: its parent ended",
        "a child of the scope: Ok(())",
        "the scope has ended",
    ];
    assert_eq!(trace.take(), expected);
}

#[test]
fn tasks_that_outstay_the_grace_are_named_and_awaited_nevertheless() {
    let run = || {
        Builder::new().grace(Duration::from_millis(10)).run(|| {
            let body = || coop::shield(LONG, || coop::sleep(Duration::from_millis(60))).unwrap();
            drop(TaskBuilder::new().name("lingering").spawn(body));
            coop::yield_now().unwrap();
        })
    };
    child!(|| run().unwrap())
        .succeeded()
        .said("coop: 10ms after the root ended, these tasks have not:\nroot #1")
        .said("lingering #2: sleep");
}

#[test]
fn tasks_that_outstay_the_grace_abort_the_process_if_so_configured() {
    let run = || {
        Builder::new().grace(Duration::from_millis(10)).on_stuck(Stuck::Abort).run(|| {
            drop(TaskBuilder::new().name("lingering").spawn(|| coop::shield(LONG, || coop::sleep(LONG))));
            coop::yield_now().unwrap();
        })
    };
    child!(|| run().unwrap()).died_of(libc::SIGABRT).said("these tasks have not:").said("lingering #2: sleep");
}

/// A server with sessions, clients that talk to it, and timers: something of everything.
fn serve(name: &str, random: &Random) -> io::Result<()> {
    let listener = Rc::new(UnixListener::bind(name)?);
    let (tx, rx) = coop::chan::bounded(4);
    let acceptors = listener.clone();
    drop(coop::spawn(move || -> io::Result<()> {
        loop {
            let (conn, _) = acceptors.accept()?;
            let tx = tx.clone();
            drop(coop::spawn(move || -> io::Result<()> {
                let mut buffer = [0; 64];
                loop {
                    let n = coop::select! {
                        n = op::recv(&conn, &mut buffer) => n?,
                        _ = op::after(LONG) => return Ok(()),
                    }?;
                    if n == 0 {
                        return Ok(());
                    }
                    coop::scope(|s| -> io::Result<()> {
                        let mut sending = s.start(op::send_all(&conn, &buffer[..n]));
                        coop::select! { sent = &mut sending => sent.map(drop), _ = op::after(LONG) => Ok(()) }?
                    })?;
                    tx.send(n).map_err(io::Error::from)?;
                }
            }));
        }
    }));
    drop(coop::spawn(move || while rx.recv().is_ok() {}));
    for _ in 0..4 {
        let (name, pause) = (name.to_owned(), Duration::from_nanos(random.below(50_000)));
        drop(coop::spawn(move || -> io::Result<()> {
            let conn = UnixStream::connect(&name)?;
            loop {
                conn.send_all(&[7; 100])?;
                conn.recv_exact(&mut [0; 100])?;
                coop::sleep(pause)?;
            }
        }));
    }
    (0..random.below(60)).try_for_each(|_| coop::yield_now())?;
    coop::sleep(Duration::from_nanos(random.below(400_000)))?;
    Ok(())
}

#[test]
fn a_server_killed_in_mid_traffic_and_restarted_a_thousand_times_leaks_nothing() {
    child!(|| {
        let name = format!("\0coop-restarts-{}", std::process::id());
        coop::run(|| {
            let mut in_traffic = 0;
            let mut settled = (0, 0);
            for seed in 0..1_000 {
                let name = name.clone();
                let mut server = coop::spawn(move || {
                    serve(&name, &Random::new(seed)).unwrap();
                    coop::sleep(LONG).unwrap_err().cause()
                });
                coop::sleep(Duration::from_nanos(Random::new(seed + 7_000).below(600_000))).unwrap();
                in_traffic += usize::from(coop::__private::census().operations > 4);
                server.kill();
                let end = server.join();
                assert!(end.is_ok() || matches!(end, Err(coop::JoinError::Panicked(_))), "seed {seed}: {end:?}");
                drop(server);
                let census = coop::__private::census();
                let left = (census.tasks, census.stacks, census.operations, census.strays, census.has_timers);
                assert_eq!(left, (1, 1, 0, 0, false), "seed {seed}");
                match seed {
                    50 => settled = (descriptors(), mappings()),
                    51.. => assert_eq!((descriptors(), mappings()), settled, "seed {seed}"),
                    _ => {}
                }
            }
            assert!(in_traffic > 200, "it was killed in mid-traffic: {in_traffic} times");
        });
    })
    .succeeded();
}

#[test]
fn whole_cooperators_that_end_in_mid_traffic_leave_nothing_behind() {
    child!(|| {
        let name = format!("\0coop-cooperators-{}", std::process::id());
        let mut settled = (0, 0);
        for seed in 0..150 {
            coop::run(|| serve(&name, &Random::new(seed))).unwrap();
            match seed {
                10 => settled = (descriptors(), mappings()),
                11.. => assert_eq!((descriptors(), mappings()), settled, "seed {seed}"),
                _ => {}
            }
        }
    })
    .succeeded();
}

#[test]
fn nothing_is_in_flight_when_a_cooperator_goes() {
    let mut spare = coop::__private::SpareStacks::default();
    for seed in 0..50 {
        let name = format!("\0coop-census-{}", std::process::id());
        let run = || {
            // Has the ring watch an inbox until the end.
            let _remote = coop::remote()?;
            serve(&name, &Random::new(seed))
        };
        let (result, census) = Builder::new().run_counted(&mut spare, run).unwrap();
        result.unwrap().unwrap();
        assert_eq!(
            (census.tasks, census.stacks, census.operations, census.has_timers),
            (0, 0, 0, false),
            "seed {seed}"
        );
    }
}

#[test]
fn a_deadlock_is_reported_and_ends_the_root_with_a_kill() {
    let stuck = || coop::run(|| coop::Coordinator::held().acquire().map(drop));
    child!(|| assert!(stuck().is_err_and(|killed: Killed| killed.cause() == Cause::Resources)))
        .succeeded()
        .said("coop: deadlock: no task can run, and nothing can wake one\nroot #1: acquire");
}
