//! `coop::dump()`: how long it takes, and that nobody notices.

use coop::__private::census;
use coop::{Builder, JoinHandle};
use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};

#[coop::task]
fn parked(place: u64) -> Result<(), coop::Killed> {
    // Ten depths of stack, so that the backtraces differ.
    fn deeper(levels: u64) -> Result<(), coop::Killed> {
        match levels {
            0 => coop::sleep(Duration::from_secs(3600)),
            more => std::hint::black_box(deeper(more - 1)),
        }
    }
    deeper(place % 10)
}

#[test]
fn ten_thousand_parked_tasks_are_dumped_in_less_than_two_seconds() {
    coop::run(|| {
        let tasks: Vec<JoinHandle<_>> = (0..10_000).map(parked::spawn).collect();
        coop::sleep(Duration::from_millis(1)).unwrap();
        let began = Instant::now();
        let dump = coop::dump();
        let took = began.elapsed();
        assert_eq!(dump.matches("parked #").count(), 10_000);
        assert_eq!(dump.matches("sleep for another").count(), 10_000);
        assert!(dump.contains("tests/inspect/dump.rs:15"), "with places:\n{}", &dump[..2000]);
        assert!(took < Duration::from_secs(2), "it took {took:?}");
        eprintln!("10,000 tasks in {took:?}");
        tasks.iter().for_each(JoinHandle::kill);
    });
}

/// What happens in a seeded run in which tasks send, wait, are killed, and end; with or without somebody who looks.
fn history(seed: u64, looks: bool) -> (Vec<String>, String) {
    let log = Rc::new(RefCell::new(Vec::new()));
    let noted = log.clone();
    let census = Builder::new()
        .seed(seed)
        .virtual_time()
        .run(move || {
            let look = || {
                if looks {
                    assert!(coop::dump().starts_with("root #1"));
                    let _ = coop::inspect::metrics();
                }
            };
            let (tx, rx) = coop::chan::bounded(2);
            let tasks: Vec<_> = (0..8u64)
                .map(|n| {
                    let (tx, log) = (tx.clone(), noted.clone());
                    coop::spawn(move || -> Result<(), coop::Killed> {
                        for round in 0..4u64 {
                            coop::sleep(Duration::from_micros((n * 7 + round * 3) % 11))?;
                            if tx.send((n, round)).is_err() {
                                return Ok(());
                            }
                            log.borrow_mut().push(format!("{n} sent {round}"));
                            coop::yield_now()?;
                        }
                        Ok(())
                    })
                })
                .collect();
            drop(tx);
            while let Ok((n, round)) = rx.recv() {
                noted.borrow_mut().push(format!("{n} {round} at {}", census().now));
                look();
                if round == 2 && n % 3 == 0 {
                    tasks[n as usize].kill();
                }
            }
            look();
            format!("{:?}", census())
        })
        .unwrap();
    (log.take(), census)
}

#[test]
fn a_run_that_is_looked_at_is_the_same_run() {
    for seed in 0..40 {
        assert_eq!(history(seed, false), history(seed, true), "seed {seed}");
    }
}

#[test]
fn it_names_what_every_task_waits_for_and_the_regions_it_is_in() {
    coop::run(|| {
        let (near, _far) = coop::net::UnixStream::pair().unwrap();
        let mut task = coop::TaskBuilder::new().name("reader").spawn(move || {
            coop::timeout(Duration::from_secs(60), || {
                let mut buf = [0; 8];
                near.recv(&mut buf)
            })
        });
        coop::yield_now().unwrap();
        coop::yield_now().unwrap();
        let dump = coop::dump();
        let line = dump.lines().find(|line| line.contains("reader")).unwrap();
        assert!(line.starts_with("  reader #2: recv on fd "), "{line}");
        for part in [" at coop/tests/inspect/dump.rs:", ", since ", ", in timeout", ", stack "] {
            assert!(line.contains(part), "{part:?} in {line}");
        }
        task.kill();
        task.join().unwrap().unwrap_err();
    });
}
