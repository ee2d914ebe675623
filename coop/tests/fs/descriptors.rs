//! No descriptor is left open, whatever becomes of the task that wanted it.

use crate::scratch::{Random, Scratch, alone, descriptors};
use coop::fs::{self, File, OpenOptions};
use coop::op;
use std::cell::Cell;
use std::os::unix::fs::OpenOptionsExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

const LONG: Duration = Duration::from_secs(3600);

fn spin(micros: u64) {
    let until = Instant::now() + Duration::from_micros(micros);
    while Instant::now() < until {
        std::hint::spin_loop();
    }
}

/// Waits until the threads have ended their calls: a task that was killed does not wait for those that only look.
fn settled(expected: usize) -> usize {
    for _ in 0..1000 {
        if descriptors() == expected {
            break;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    descriptors()
}

#[test]
fn every_call_closes_what_it_opened() {
    alone("descriptors::every_call_closes_what_it_opened", || {
        let scratch = Scratch::new();
        let path = scratch.file("tree/file", "x");
        coop::run(|| {
            // Once, for what stays: the threads' own.
            let all = || {
                drop(File::open(&path).unwrap().try_clone().unwrap());
                fs::write(&path, "x").unwrap();
                fs::copy(&path, scratch.join("copy")).unwrap();
                assert!(fs::copy(&path, "/dev/full").is_err());
                assert!(fs::copy(&path, scratch.path()).is_err());
                File::create(&path).unwrap().set_permissions(std::fs::metadata(&path).unwrap().permissions()).unwrap();
                assert_eq!(fs::walk(scratch.path()).count(), 4);
                drop(fs::read_dir(scratch.path()).unwrap().next());
                std::fs::create_dir_all(scratch.join("gone".to_owned() + &"/d".repeat(40))).unwrap();
                fs::remove_dir_all(scratch.join("gone")).unwrap();
                assert!(OpenOptions::new().read(true).open(scratch.join("missing")).is_err());
                coop::wait_all(|s| drop(s.start(op::open(OpenOptions::new().read(true), &path))));
            };
            all();
            let before = descriptors();
            for _ in 0..20 {
                all();
            }
            assert_eq!(descriptors(), before);
        });
    });
}

#[test]
fn an_opening_that_raced_a_kill_is_given_or_closed() {
    alone("descriptors::an_opening_that_raced_a_kill_is_given_or_closed", || {
        let random = Random::new(5);
        let scratch = Scratch::new();
        let fifo = scratch.fifo("fifo");
        let (mut given, mut killed) = (0, 0);
        coop::run(|| {
            let opening = || op::open(OpenOptions::new().read(true), &fifo);
            fs::metadata(&fifo).unwrap();
            let before = descriptors();
            for round in 0..1000 {
                // The other end is opened by another thread, about when the kill comes.
                let is_over = Arc::new(AtomicBool::new(false));
                let other = std::thread::spawn({
                    let (fifo, delay, is_over) = (fifo.clone(), random.below(300), is_over.clone());
                    move || {
                        spin(delay);
                        let mut options = std::fs::OpenOptions::new();
                        // Fails when nobody reads.
                        let options = options.write(true).custom_flags(libc::O_NONBLOCK);
                        while options.open(&fifo).is_err() && !is_over.load(Relaxed) {}
                    }
                });
                let result = Cell::new(None);
                coop::wait_all(|s| {
                    let task = s.spawn(|| {
                        result.set(match round % 4 {
                            0 => File::open(&fifo).ok(),
                            1 => coop::scope(|s| s.start(opening()).wait()).ok(),
                            2 => coop::wait_all(|s| {
                                let opening = s.start(opening());
                                let _ = coop::sleep(LONG);
                                opening.cancel()?.ok()
                            }),
                            // Dropped: nobody will take it.
                            _ => coop::wait_all(|s| {
                                let _opening = s.start(opening());
                                let _ = coop::sleep(LONG);
                                None
                            }),
                        });
                    });
                    coop::sleep(Duration::from_micros(random.below(300))).unwrap();
                    task.kill();
                });
                is_over.store(true, Relaxed);
                match result.take() {
                    // It is open: asking for its flags says so.
                    Some(file) => {
                        given += 1;
                        drop(file.try_clone().unwrap());
                    }
                    None => killed += 1,
                }
                other.join().unwrap();
                assert_eq!(descriptors(), before, "round {round}");
            }
        });
        println!("{given} given, {killed} killed");
        assert!(given > 10 && killed > 10, "{given} given, {killed} killed");
    });
}

#[test]
fn readers_of_directories_that_are_killed_leave_nothing_open() {
    alone("descriptors::readers_of_directories_that_are_killed_leave_nothing_open", || {
        let random = Random::new(6);
        let scratch = Scratch::new();
        for n in 0..300 {
            scratch.file(&format!("{}/{}/{n}", n % 9, n % 5), "x");
        }
        coop::run(|| {
            assert!(fs::walk(scratch.path()).count() > 300);
            let before = descriptors();
            for _ in 0..300 {
                coop::wait_all(|s| {
                    let task = s.spawn(|| fs::walk(scratch.path()).take_while(|entry| entry.is_ok()).count());
                    coop::sleep(Duration::from_micros(random.below(1500))).unwrap();
                    task.kill();
                });
            }
            assert_eq!(settled(before), before);
        });
    });
}
