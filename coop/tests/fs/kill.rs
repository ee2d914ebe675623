//! What a kill does to calls on files, before them and in the middle.

use crate::scratch::{Random, Scratch};
use coop::fs::{self, File, OpenOptions};
use coop::io::Partial;
use coop::{Killed, TimedOut, op};
use std::cell::Cell;
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::time::Duration;

const LONG: Duration = Duration::from_secs(3600);

/// Runs `f` in a task that is killed when it waits for something that never comes; gives what it returned.
fn killed_while<T>(f: impl FnOnce() -> T) -> T {
    let (told, begun) = (Cell::new(None), Cell::new(false));
    coop::wait_all(|s| {
        let task = s.spawn(|| {
            begun.set(true);
            told.set(Some(f()));
        });
        while !begun.get() {
            coop::yield_now().unwrap();
        }
        // Long enough for the kernel to have it, however it does that.
        for _ in 0..20 {
            coop::yield_now().unwrap();
        }
        std::thread::sleep(Duration::from_millis(2));
        task.kill();
    });
    told.take().expect("the task has ended")
}

#[coop::test]
fn a_task_that_reads_a_silent_pipe_is_killed_and_takes_nothing_with_it() -> io::Result<()> {
    let scratch = Scratch::new();
    let path = scratch.fifo("fifo");
    let file = OpenOptions::new().read(true).write(true).open(&path)?;
    for _ in 0..20 {
        let mut buf = [0; 16];
        assert!(Killed::is(&killed_while(|| (&file).read(&mut buf)).unwrap_err()));
        assert_eq!((&file).write(b"later")?, 5);
        assert_eq!((&file).read(&mut buf)?, 5, "nothing was lost");
        let vectored = killed_while(|| (&file).read_vectored(&mut [io::IoSliceMut::new(&mut buf)]));
        assert!(Killed::is(&vectored.unwrap_err()));
        let in_flight = killed_while(|| coop::scope(|s| s.start(op::read(&file, &mut buf)).wait().map(drop)));
        assert!(Killed::is(&in_flight.unwrap_err()));
        let timed_out = coop::timeout(LONG, || (&file).read(&mut buf));
        assert_eq!(timed_out.unwrap_err().kind(), io::ErrorKind::TimedOut);
    }
    Ok(())
}

#[coop::test]
fn a_task_that_writes_to_a_full_pipe_is_killed() -> io::Result<()> {
    let scratch = Scratch::new();
    let file = OpenOptions::new().read(true).write(true).open(scratch.fifo("fifo"))?;
    let much = vec![7; 1 << 20];
    // The pipe takes what fits: that is said.
    let first = (&file).write(&much)?;
    assert!(first > 0 && first < much.len());
    assert!(Killed::is(&killed_while(|| (&file).write(&much[..1])).unwrap_err()));
    let mut back = vec![0; first];
    assert_eq!((&file).read(&mut back)?, first);
    // A composite tells how far it came.
    let write_in_part = |_| {
        coop::scope(|s| {
            let writing = s.start(op::write(&file, &much));
            coop::sleep(Duration::from_millis(1))?;
            // Nothing, if it has not even begun.
            writing.cancel().transpose()
        })
    };
    let done = (0..100).find_map(|n| write_in_part(n).transpose()).expect("a part was written")?.n();
    assert!(done > 0 && done < much.len(), "{done}");
    Ok(())
}

#[coop::test]
fn an_opening_that_waits_for_the_other_end_is_given_up() {
    let scratch = Scratch::new();
    let path = scratch.fifo("fifo");
    let error = killed_while(|| File::open(&path)).unwrap_err();
    assert!(Killed::is(&error), "{error}");
    let opening = op::open(OpenOptions::new().write(true), &path);
    assert!(Killed::is(&killed_while(|| coop::scope(|s| s.start(opening).wait())).unwrap_err()));
    let timed_out = coop::deadline(LONG, || File::open(&path));
    assert!(timed_out.0.is_err());
    let timed_out: io::Result<File> = coop::timeout(LONG, || File::open(&path));
    assert_eq!(timed_out.unwrap_err().kind(), io::Error::from(TimedOut).kind());
}

#[coop::test]
fn a_killed_task_is_refused_by_every_call_and_none_has_an_effect() -> io::Result<()> {
    let scratch = Scratch::new();
    let path = scratch.file("file", "kept");
    let dir = scratch.join("dir");
    let file = OpenOptions::new().read(true).write(true).open(&path)?;
    let read_before = fs::read_dir(scratch.path())?;
    let errors = Cell::new(Vec::new());
    coop::wait_all(|s| {
        let task = s.spawn(|| {
            assert!(coop::sleep(LONG).is_err());
            let mut buf = [0; 4];
            let permissions = std::fs::metadata(&path).unwrap().permissions();
            errors.set(vec![
                File::create(&path).map(drop),
                file.read_at(&mut buf, 0).map(drop),
                file.read_exact_at(&mut buf, 0),
                (&file).read(&mut buf).map(drop),
                file.write_at(b"gone", 0).map(drop),
                file.write_all_at(b"gone", 0),
                (&file).write(b"gone").map(drop),
                file.write_vectored_at(&[io::IoSlice::new(b"gone")], 0).map(drop),
                file.set_len(0),
                file.allocate(0, 1 << 20),
                file.sync_all(),
                file.sync_data(),
                file.metadata().map(drop),
                file.direct_alignment().map(drop),
                file.set_permissions(permissions.clone()),
                file.set_modified(std::time::UNIX_EPOCH),
                fs::read(&path).map(drop),
                fs::write(&path, "gone"),
                fs::copy(&path, &dir).map(drop),
                fs::metadata(&path).map(drop),
                fs::exists(&path).map(drop),
                fs::create_dir(&dir),
                fs::create_dir_all(&dir),
                fs::remove_file(&path),
                fs::remove_dir(scratch.path()),
                fs::remove_dir_all(scratch.path()),
                fs::rename(&path, &dir),
                fs::hard_link(&path, &dir),
                fs::symlink(&path, &dir),
                fs::read_link(&path).map(drop),
                fs::canonicalize(&path).map(drop),
                fs::read_dir(&path).map(drop),
                fs::set_permissions(&path, permissions),
                coop::scope(|s| s.start(op::write_at(&file, b"", 9)).wait().map(drop)),
            ]);
            // Loops that ignore errors end: the kill is told once.
            assert_eq!(fs::walk(scratch.path()).map(|entry| entry.is_err()).collect::<Vec<_>>(), [true]);
        });
        coop::yield_now().unwrap();
        task.kill();
    });
    for (n, result) in errors.take().into_iter().enumerate() {
        match result {
            // A flight that was started before the wait was refused may be done.
            Ok(()) => assert_eq!(n, 33),
            Err(error) => {
                assert!(Killed::is(&error), "call {n}: {error}");
                assert_eq!(Partial::of(&error).map_or(0, |partial| partial.done), 0);
            }
        }
    }
    assert_eq!(std::fs::read(&path)?, b"kept");
    assert_eq!(std::fs::read_dir(scratch.path())?.count(), 1);
    assert_eq!(read_before.count(), 1);
    Ok(())
}

#[coop::test]
fn a_deadline_passes_and_a_walk_goes_on_with_nothing_left_out() -> io::Result<()> {
    let scratch = Scratch::new();
    for n in 0..500 {
        scratch.file(&format!("{}/{}/{n}", n % 5, n % 7), "");
    }
    let all = fs::walk(scratch.path()).count();
    let mut walk = fs::walk(scratch.path());
    let (mut seen, mut kills) = (std::collections::BTreeSet::new(), 0u32);
    loop {
        // Each time it is killed somewhere else: at once, or in the middle.
        let left = Cell::new(kills % 30);
        let (is_over, _) = coop::deadline(Duration::from_millis(5), || {
            for entry in walk.by_ref() {
                match entry {
                    Ok(entry) => assert!(seen.insert(entry.into_path()), "twice"),
                    Err(error) => assert!(Killed::is(&error), "{error}"),
                }
                match left.get() {
                    0 if kills < 200 => drop(coop::sleep(LONG)),
                    n => left.set(n.max(1) - 1),
                }
            }
            !coop::killed()
        });
        if is_over {
            break;
        }
        kills += 1;
    }
    assert!(kills > 20, "{kills}");
    assert_eq!(seen.len(), all);
    Ok(())
}

#[test]
fn what_is_written_in_the_moment_of_a_kill_is_what_is_said() {
    let scratch = Scratch::new();
    let random = Random::new(4);
    let much = vec![7; 300_000];
    let (mut stopped, mut told) = (0, 0);
    coop::run(|| {
        for round in 0..300 {
            let path = scratch.join("file");
            let file = File::create(&path).unwrap();
            let done = Cell::new(None);
            coop::wait_all(|s| {
                let task = s.spawn(|| {
                    done.set(Some(match file.write_all_at(&much, 0) {
                        Ok(()) => much.len(),
                        Err(error) => {
                            assert!(Killed::is(&error), "{error}");
                            Partial::of(&error).expect("it says how far").done
                        }
                    }));
                });
                match random.below(4) {
                    0 => coop::yield_now().unwrap(),
                    _ => coop::sleep(Duration::from_micros(random.below(300))).unwrap(),
                }
                task.kill();
            });
            let len = std::fs::metadata(&path).unwrap().len();
            match done.take() {
                Some(done) => {
                    assert_eq!(done as u64, len, "round {round}");
                    told += 1;
                }
                None => unreachable!("a task that was spawned before the kill runs"),
            }
            stopped += usize::from(len == 0);
        }
    });
    assert!(told == 300 && stopped < 300, "{stopped} of {told}");
}

#[test]
fn a_reading_in_flight_raced_by_timers_and_cancels_loses_no_byte() {
    const ALL: usize = if cfg!(debug_assertions) { 2_000 } else { 20_000 };
    let scratch = Scratch::new();
    let path = scratch.fifo("fifo");
    let random = Random::new(7);
    // One thread writes numbers, at moments of its own.
    let mut pipe = std::fs::OpenOptions::new().read(true).write(true).open(&path).unwrap();
    let writer = std::thread::spawn(move || {
        for n in 0..ALL as u32 {
            pipe.write_all(&n.to_ne_bytes()).unwrap();
            for _ in 0..n % 300 {
                std::hint::spin_loop();
            }
        }
        pipe
    });
    let (mut received, mut lost_races, mut raced) = (Vec::new(), 0, 0);
    coop::run(|| {
        let file = OpenOptions::new().read(true).write(true).open(&path).unwrap();
        while received.len() < 4 * ALL {
            let mut buf = [0; 32];
            let moment = Duration::from_nanos(random.below(30_000));
            let got = match random.below(3) {
                // Another arm wins, and the Handle is cancelled: what came in that moment comes back.
                0 => coop::wait_all(|s| {
                    let mut reading = s.start(op::read(&file, &mut buf));
                    coop::select! {
                        got = &mut reading => Some(got.unwrap().bytes().to_vec()),
                        _ = op::after(moment) => {
                            lost_races += 1;
                            reading.cancel().map(|got| got.unwrap().bytes().to_vec()).inspect(|_| raced += 1)
                        }
                    }
                    .unwrap()
                }),
                // A deadline kills the wait for the Handle.
                1 => {
                    let (got, _) = coop::deadline(moment, || {
                        coop::wait_all(|s| s.start(op::read(&file, &mut buf)).wait().map(|got| got.bytes().to_vec()))
                    });
                    got.map_err(|error| assert!(Killed::is(&error), "{error}")).ok()
                }
                // Or the call itself.
                _ => {
                    let (got, _) = coop::deadline(moment, || (&file).read(&mut buf));
                    got.map(|n| buf[..n].to_vec()).map_err(|error| assert!(Killed::is(&error), "{error}")).ok()
                }
            };
            received.extend(got.unwrap_or_default());
        }
    });
    drop(writer.join().unwrap());
    let numbers: Vec<u32> = received.chunks(4).map(|four| u32::from_ne_bytes(four.try_into().unwrap())).collect();
    assert_eq!(numbers, (0..ALL as u32).collect::<Vec<_>>());
    println!("{lost_races} races lost by the Handle, {raced} of them with a result that raced the cancel");
    assert!(lost_races > 0);
}

#[coop::test]
fn a_terminal_and_a_shared_pipe_are_read_as_they_are_and_a_task_that_waits_for_them_is_killed() -> io::Result<()> {
    let (mut ours, mut theirs) = (0, 0);
    let none = std::ptr::null_mut();
    // SAFETY: the two numbers are written; name, settings and size are left out. They are nobody else's.
    let (mut keyboard, terminal) = unsafe {
        assert_eq!(libc::openpty(&mut ours, &mut theirs, none, none.cast(), none.cast()), 0);
        (std::fs::File::from_raw_fd(ours), std::fs::File::from_raw_fd(theirs))
    };
    let (pipe, mut far_end) = std::io::pipe()?;
    let type_on_it: &mut dyn FnMut(&[u8]) = &mut |bytes| keyboard.write_all(bytes).unwrap();
    let write_to_it: &mut dyn FnMut(&[u8]) = &mut |bytes| far_end.write_all(bytes).unwrap();
    for (shared, send) in [(OwnedFd::from(terminal), type_on_it), (OwnedFd::from(pipe), write_to_it)] {
        let flags = || {
            // SAFETY: asks for the flags of an open file.
            unsafe { libc::fcntl(shared.as_raw_fd(), libc::F_GETFL) }
        };
        let before = flags();
        let file = File::from(shared.try_clone()?);
        let mut buf = [0; 32];
        for _ in 0..5 {
            assert!(Killed::is(&killed_while(|| (&file).read(&mut buf)).unwrap_err()));
            assert!(Killed::is(
                &killed_while(|| coop::scope(|s| s.start(op::read(&file, &mut buf)).wait().map(drop))).unwrap_err()
            ));
            // Others run while one waits.
            let n = coop::scope(|s| -> io::Result<usize> {
                let mut reading = s.spawn(|| (&file).read(&mut buf));
                coop::sleep(Duration::from_millis(1))?;
                send(b"a line\n");
                reading.join()?
            })?;
            assert_eq!(&buf[..n], b"a line\n");
        }
        assert_eq!((flags(), before & libc::O_NONBLOCK), (before, 0));
    }
    Ok(())
}

/// With `COOP_TASKRUN=cooperative` the part is there before the cancel.
#[test]
fn a_cancel_tells_of_the_part_that_came_before_it_and_begins_no_other() {
    coop::run(|| -> io::Result<()> {
        let (reader, mut writer) = io::pipe()?;
        let file = File::from(OwnedFd::from(reader));
        for _ in 0..20 {
            let mut buf = [0; 8];
            let got = coop::scope(|s| -> io::Result<usize> {
                let mut reading = s.start(op::read_exact_at(&file, &mut buf, 0));
                for _ in 0..3 {
                    coop::select! { got = &mut reading => panic!("{got:?}"), default => {} }?;
                }
                writer.write_all(b"abc")?;
                Ok(reading.cancel().transpose()?.map_or(0, |got| got.n()))
            })?;
            let left = if got == 3 { 0 } else { (&file).read(&mut buf)? };
            assert_eq!(got + left, 3);
        }
        Ok(())
    })
    .unwrap();
}

#[cfg_attr(panic = "abort", ignore = "panics, or starts itself again")]
#[coop::test]
fn what_a_destructor_reads_while_a_panic_unwinds_through_it_ends_with_the_refusal() -> io::Result<()> {
    struct Reads(fs::ReadDir, fs::Walk);
    impl Drop for Reads {
        fn drop(&mut self) {
            // A batch has come with the opening; what needs no wait is given.
            assert!(self.0.by_ref().filter_map(Result::ok).count() <= 1);
            assert_eq!(self.1.by_ref().filter_map(Result::ok).count(), 0);
        }
    }
    let scratch = Scratch::new();
    scratch.file("file", "x");
    let reads = Reads(fs::read_dir(scratch.path())?, fs::walk(scratch.path()));
    let mut task = coop::spawn(move || {
        let _reads = reads;
        panic!("on purpose");
    });
    let joined: Result<(), coop::JoinError> = task.join();
    assert!(matches!(joined, Err(coop::JoinError::Panicked(payload)) if payload.is::<&str>()));
    assert!(!coop::killed());
    Ok(())
}
