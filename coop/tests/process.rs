//! Child processes: started, fed, read, waited for, killed, left alone.

// Not every test binary needs all of it.
#[allow(dead_code)]
#[path = "soundness/child.rs"]
mod child;

use child::{child, descriptors};
use coop::process::{Child, Command, Stdio};
use coop::{Builder, Driver, Killed, op};
use std::cell::Cell;
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::time::{Duration, Instant};

/// Longer than anything takes that works.
const LONG: Duration = Duration::from_secs(20);

fn sh(script: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", script]);
    command
}

/// As many descriptors are open as before, once threads in the background have let go of theirs.
fn assert_soon_open(before: usize) {
    let began = Instant::now();
    while descriptors() != before && began.elapsed() < LONG {
        std::thread::sleep(Duration::from_millis(1));
    }
    assert_eq!(descriptors(), before);
}

/// The state of a process, as in /proc: `Z` is a zombie, `None` is gone.
fn state(id: u32) -> Option<char> {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    stat.rsplit(") ").next()?.chars().next()
}

/// Waits until a process is gone altogether.
fn is_gone(id: u32) -> bool {
    let began = Instant::now();
    while state(id).is_some() && began.elapsed() < LONG {
        std::thread::sleep(Duration::from_millis(2));
    }
    state(id).is_none()
}

#[test]
fn a_status_says_how_a_child_ended() {
    coop::run(|| -> io::Result<()> {
        assert!(Command::new("true").status()?.success());
        assert_eq!(Command::new("false").status()?.code(), Some(1));
        assert_eq!(sh("exit 42").status()?.code(), Some(42));
        assert_eq!(sh("kill -9 $$").status()?.signal(), Some(9));
        Ok(())
    })
    .unwrap();
}

#[test]
fn what_cannot_be_started_is_an_error() {
    coop::run(|| {
        let mut missing = Command::new("/no/such/program");
        assert_eq!(missing.spawn().unwrap_err().kind(), ErrorKind::NotFound);
        assert_eq!(missing.spawn().unwrap_err().kind(), ErrorKind::NotFound, "it can be tried again");
        assert_eq!(Command::new("/proc/version").spawn().unwrap_err().kind(), ErrorKind::PermissionDenied);
        assert_eq!(Command::new("true").current_dir("/no/such/dir").spawn().unwrap_err().kind(), ErrorKind::NotFound);
        assert_eq!(Command::new("a\0b").spawn().unwrap_err().kind(), ErrorKind::InvalidInput);
    });
    assert_eq!(Command::new("true").spawn().unwrap_err().kind(), ErrorKind::Unsupported, "without a Cooperator");
}

#[test]
fn arguments_environment_and_directory_reach_the_child() {
    coop::run(|| -> io::Result<()> {
        let mut command = sh("printf '%s|' \"$1\" \"$2\" \"$A\" \"$B\" \"$HOME\"; pwd");
        command.arg("sh").args(["one", "two words"]).env("A", "a").envs([("B", "b"), ("C", "c")]);
        let output = command.env_remove("HOME").current_dir("/").output()?;
        assert_eq!(String::from_utf8(output.stdout).unwrap(), "one|two words|a|b||/\n");
        // The same command again, otherwise.
        let output = command.env_clear().output()?;
        assert_eq!(String::from_utf8(output.stdout).unwrap(), "one|two words||||/\n");
        assert!(format!("{command:?}").contains("two words"));
        let group = sh("ps -o pgid= -p $$ 2>/dev/null || cut -d' ' -f5 /proc/$$/stat").process_group(0).output()?;
        let group: i32 = String::from_utf8(group.stdout).unwrap().trim().parse().unwrap();
        // SAFETY: getpgrp has no preconditions.
        assert_ne!(group, unsafe { libc::getpgrp() });
        Ok(())
    })
    .unwrap();
}

#[test]
fn cat_gives_back_what_it_is_given_however_much() {
    coop::run(|| -> io::Result<()> {
        let much: Vec<u8> = (0..3_000_000).map(|n| (n / 3) as u8).collect();
        let mut cat = Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let mut back = Vec::new();
        coop::scope(|s| -> io::Result<()> {
            let mut input = cat.stdin.take().unwrap();
            let much = &much;
            s.try_spawn(move || input.write_all(much));
            cat.stdout.take().unwrap().read_to_end(&mut back).map(drop)
        })?;
        assert!(back == much);
        assert!(cat.wait()?.success());
        Ok(())
    })
    .unwrap();
}

#[test]
fn output_of_both_pipes_is_collected_though_each_is_more_than_a_pipe_holds() {
    coop::run(|| -> io::Result<()> {
        let script = "head -c 1000000 /dev/zero; head -c 900000 /dev/zero >&2; head -c 800000 /dev/zero; exit 3";
        let output = sh(script).output()?;
        assert_eq!((output.stdout.len(), output.stderr.len()), (1_800_000, 900_000));
        assert_eq!(output.status.code(), Some(3));
        // One pipe alone, and a standard input that is closed before it waits.
        let cat = Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        (&mut cat.stdin.as_ref().unwrap()).write_all(b"in and out")?;
        assert_eq!(cat.wait_with_output()?.stdout, b"in and out");
        let errors = sh("echo oops >&2").stderr(Stdio::piped()).spawn()?.wait_with_output()?;
        assert_eq!((errors.stdout.len(), &errors.stderr[..]), (0, &b"oops\n"[..]));
        // Standard input is empty unless said otherwise; `wait` closes it.
        assert_eq!(Command::new("cat").output()?.stdout, b"");
        assert!(Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::null()).spawn()?.wait()?.success());
        Ok(())
    })
    .unwrap();
}

#[test]
fn children_in_a_pipeline_pass_pipes_on() {
    coop::run(|| -> io::Result<()> {
        let mut echo = Command::new("printf").arg("b\\na\\nc\\n").stdout(Stdio::piped()).spawn()?;
        let sort = Command::new("sort").stdin(echo.stdout.take().unwrap()).stdout(Stdio::piped()).spawn()?;
        assert_eq!(sort.wait_with_output()?.stdout, b"a\nb\nc\n");
        assert!(echo.wait()?.success());
        Ok(())
    })
    .unwrap();
}

#[cfg_attr(panic = "abort", ignore = "a panic ends the process")]
#[test]
fn a_child_that_reads_no_more_breaks_the_pipe_and_not_the_process() {
    child!(|| {
        // SAFETY: as in a program that is not started by Rust's runtime.
        unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
        coop::run(|| -> io::Result<()> {
            let mut child = Command::new("true").stdin(Stdio::piped()).spawn()?;
            op::child_exit(&child).wait_it()?;
            let mut input = child.stdin.take().unwrap();
            assert_eq!(input.write(b"to nobody").unwrap_err().kind(), ErrorKind::BrokenPipe);
            assert_eq!(input.write(b"to nobody").unwrap_err().kind(), ErrorKind::BrokenPipe);
            Ok(())
        })
        .unwrap();
    })
    .succeeded();
}

/// `Operation::wait`, which is a trait's.
trait WaitIt: coop::Operation + Sized {
    fn wait_it(self) -> Self::Waited {
        coop::Operation::wait(self)
    }
}
impl<O: coop::Operation> WaitIt for O {}

#[test]
fn a_child_that_ignores_sigterm_is_given_time_and_then_killed() {
    coop::run(|| -> io::Result<()> {
        let mut child = sh("trap '' TERM; echo ready; while :; do sleep 0.05; done").stdout(Stdio::piped()).spawn()?;
        let mut ready = [0; 6];
        child.stdout.as_mut().unwrap().read_exact(&mut ready)?;
        assert_eq!(child.signal(-1).unwrap_err().kind(), ErrorKind::InvalidInput);
        child.signal(libc::SIGTERM)?;
        let trace = coop::select! {
            status = op::child_exit(&child) => format!("ended: {:?}", status?),
            _ = op::after(Duration::from_millis(100)) => "its time is up".to_owned(),
        }?;
        assert_eq!((trace.as_str(), child.try_wait()?), ("its time is up", None));
        child.kill()?;
        assert_eq!(child.wait()?.signal(), Some(libc::SIGKILL));
        // Over: the status stays, and signals reach nobody.
        assert_eq!(child.wait()?.signal(), Some(libc::SIGKILL));
        assert_eq!(child.try_wait()?.unwrap().signal(), Some(libc::SIGKILL));
        child.kill()?;
        Ok(())
    })
    .unwrap();
}

#[test]
fn a_wait_can_be_killed_or_end_by_a_deadline_and_the_status_is_not_lost() {
    coop::run(|| -> io::Result<()> {
        let mut child = Command::new("sleep").arg("3600").spawn()?;
        let late = coop::timeout(Duration::from_millis(10), || child.wait());
        assert_eq!(late.unwrap_err().kind(), ErrorKind::TimedOut);
        let mut task = coop::spawn(move || {
            let error = child.wait().unwrap_err();
            (child, error)
        });
        coop::sleep(Duration::from_millis(10))?;
        task.kill();
        let (mut child, error) = task.join().unwrap();
        assert!(Killed::is(&error));
        child.kill()?;
        assert_eq!(child.wait()?.signal(), Some(9));
        // Reading and writing, too.
        let mut cat = Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let late = coop::timeout(Duration::from_millis(5), || cat.stdout.as_ref().unwrap().read(&mut [0; 8]));
        assert_eq!(late.unwrap_err().kind(), ErrorKind::TimedOut);
        let late = coop::timeout(Duration::from_millis(50), || {
            let mut input = cat.stdin.as_ref().unwrap();
            loop {
                input.write_all(&[0; 65536])?;
            }
        });
        let late: io::Result<()> = late;
        assert_eq!(late.unwrap_err().kind(), ErrorKind::TimedOut);
        cat.kill()?;
        cat.wait().map(drop)
    })
    .unwrap();
}

#[cfg_attr(panic = "abort", ignore = "a panic ends the process")]
#[test]
fn a_task_that_is_killed_while_it_starts_a_child_has_started_it_or_not() {
    child!(|| {
        coop::run(|| {
            assert!(Command::new("true").status().unwrap().success());
            let before = descriptors();
            let (mut given, mut refused) = (0, 0);
            for round in 0..60 {
                let mut task = coop::spawn(move || Command::new("sleep").arg("3600").kill_on_drop(true).spawn());
                for _ in 0..round % 3 {
                    coop::yield_now().unwrap();
                }
                task.kill();
                match task.join().unwrap() {
                    Ok(child) => {
                        let id = child.id();
                        drop(child);
                        assert!(is_gone(id));
                        given += 1;
                    }
                    Err(error) => {
                        assert!(Killed::is(&error), "{error}");
                        refused += 1;
                    }
                }
            }
            assert!(given > 0 && refused > 0, "{given} given, {refused} refused");
            assert_soon_open(before);
        });
    })
    .succeeded();
}

#[test]
fn a_child_that_is_dropped_goes_on_and_leaves_no_zombie() {
    coop::run(|| -> io::Result<()> {
        let child = sh("read line; exit 0").stdin(Stdio::piped()).spawn();
        let mut child = child?;
        let (id, input) = (child.id(), child.stdin.take());
        drop(child);
        assert!(matches!(state(id), Some('S' | 'R' | 'D')), "{:?}", state(id));
        drop(input);
        assert!(is_gone(id), "{:?}", state(id));
        // One that has ended already, and one that is killed.
        let ended = Command::new("true").spawn()?;
        let id = ended.id();
        while state(id) != Some('Z') {
            coop::sleep(Duration::from_millis(1))?;
        }
        drop(ended);
        assert!(is_gone(id));
        let killed = Command::new("sleep").arg("3600").kill_on_drop(true).spawn()?;
        let id = killed.id();
        drop(killed);
        assert!(is_gone(id));
        Ok(())
    })
    .unwrap();
}

#[cfg_attr(panic = "abort", ignore = "a panic ends the process")]
#[test]
fn a_copy_in_a_fork_neither_kills_nor_collects_the_child() {
    child!(|| {
        coop::run(|| -> io::Result<()> {
            let child = Command::new("sleep").arg("3600").kill_on_drop(true).spawn()?;
            // SAFETY: the copy drops the child, and exits.
            match unsafe { libc::fork() } {
                0 => {
                    drop(child);
                    // SAFETY: ends the copy at once.
                    unsafe { libc::_exit(0) }
                }
                copy => {
                    let mut status = -1;
                    // SAFETY: a valid place for the status.
                    unsafe { assert_eq!(libc::waitpid(copy, &mut status, 0), copy) };
                    assert_eq!(status, 0);
                }
            }
            coop::sleep(Duration::from_millis(10))?;
            assert_eq!(child.try_wait()?, None, "it lives");
            Ok(())
        })
        .unwrap();
    })
    .succeeded();
}

#[test]
fn an_output_that_is_killed_kills_the_child_if_that_was_said() {
    coop::run(|| -> io::Result<()> {
        let began = Instant::now();
        let late = coop::timeout(Duration::from_millis(50), || sh("exec sleep 3600").kill_on_drop(true).output());
        assert_eq!(late.unwrap_err().kind(), ErrorKind::TimedOut);
        assert!(began.elapsed() < LONG);
        Ok(())
    })
    .unwrap();
}

#[cfg_attr(panic = "abort", ignore = "a panic ends the process")]
#[cfg_attr(tsan, ignore = "ThreadSanitizer opens descriptors of its own")]
#[test]
fn two_hundred_children_at_once_each_with_its_own_output() {
    child!(|| {
        let before = descriptors();
        coop::run(|| {
            let mut tasks: Vec<_> =
                (0..200).map(|n| coop::spawn(move || sh(&format!("echo {n}; exit {}", n % 7)).output())).collect();
            for (n, task) in tasks.iter_mut().enumerate() {
                let output = task.join().unwrap().unwrap();
                assert_eq!(String::from_utf8(output.stdout).unwrap(), format!("{n}\n"));
                assert_eq!(output.status.code(), Some(n as i32 % 7));
            }
        });
        assert_soon_open(before);
        // SAFETY: asks for any child there may be.
        let left = unsafe { libc::waitpid(-1, std::ptr::null_mut(), libc::WNOHANG) };
        assert_eq!(left, -1, "no child is left");
    })
    .succeeded();
}

#[test]
fn several_tasks_wait_for_one_child() {
    coop::run(|| -> io::Result<()> {
        let child = sh("sleep 0.02; exit 5").spawn()?;
        coop::scope(|s| -> io::Result<()> {
            let mut waiting: Vec<_> = (0..5).map(|_| s.spawn(|| op::child_exit(&child).wait_it())).collect();
            let mut handle = s.start(op::child_exit(&child));
            for task in &mut waiting {
                assert_eq!(task.join().unwrap()?.code(), Some(5));
            }
            let status = coop::select! { status = &mut handle => status }?;
            assert_eq!(status?.code(), Some(5));
            assert_eq!(s.start(op::child_exit(&child)).wait()?.code(), Some(5));
            Ok(())
        })
    })
    .unwrap();
}

/// Races the end of children against a timer and against a kill: each status arrives once, and no arm that lost had an effect.
fn race_exits(children: usize) {
    let (mut won, mut lost, mut killed) = (0, 0, 0);
    for n in 0..children {
        let child = sh(&format!("exit {}", n % 100)).spawn().unwrap();
        let moment = Duration::from_micros((n * 37 % 2_000) as u64);
        if n % 2 == 0 {
            let first = coop::select! {
                status = op::child_exit(&child) => Some(status.unwrap()),
                _ = op::after(moment) => None,
            }
            .unwrap();
            match first {
                Some(status) => {
                    assert_eq!(status.code(), Some(n as i32 % 100));
                    won += 1;
                }
                None => lost += 1,
            }
        } else {
            let (result, _) = coop::deadline(moment, || coop::select! { status = op::child_exit(&child) => status });
            match result {
                Ok(status) => {
                    assert_eq!(status.unwrap().code(), Some(n as i32 % 100));
                    won += 1;
                }
                Err(_) => killed += 1,
            }
        }
        let mut child: Child = child;
        assert_eq!(child.wait().unwrap().code(), Some(n as i32 % 100), "the status is still there");
    }
    println!("{won} won, {lost} lost to a timer, {killed} were killed");
    assert!(won > 0 && lost > 0 && killed > 0, "{won} won, {lost} lost, {killed} killed");
}

#[test]
fn an_end_that_races_a_timer_or_a_kill_is_not_lost() {
    coop::run(|| race_exits(1_000));
    Builder::new().driver(Driver::Epoll).run(|| race_exits(1_000)).unwrap();
}

#[test]
fn bytes_that_race_a_timer_are_not_lost() {
    coop::run(|| -> io::Result<()> {
        let mut child = sh("i=0; while [ $i -lt 3000 ]; do echo $i; i=$((i+1)); done; sleep 0.05")
            .stdout(Stdio::piped())
            .spawn()?;
        let out = child.stdout.take().unwrap();
        let (mut all, losses) = (Vec::new(), Cell::new(0));
        loop {
            let mut buf = [0; 100];
            let n = coop::select! {
                n = op::read_from(&out, &mut buf) => n?,
                _ = op::after(Duration::from_micros(20)) => { losses.set(losses.get() + 1); continue }
            }?;
            if n == 0 {
                break;
            }
            all.extend_from_slice(&buf[..n]);
        }
        let wanted: String = (0..3000).map(|n| format!("{n}\n")).collect();
        assert!(all == wanted.as_bytes(), "{} of {} bytes", all.len(), wanted.len());
        assert!(losses.get() > 0);
        // Into a child, through a Handle that gives the buffer back.
        let mut cat = Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let (input, out) = (cat.stdin.take().unwrap(), cat.stdout.take().unwrap());
        let (mut buf, mut got) = ([0; 4], Vec::new());
        coop::scope(|s| -> io::Result<()> {
            let mut reading = s.start(op::read_from(&out, &mut buf));
            assert_eq!(s.start(op::write_to(&input, b"handles")).wait()?.n(), 7);
            while got.len() < 7 {
                let read = reading.wait()?;
                got.extend_from_slice(read.bytes());
                reading = s.start(op::read_from(&out, read.into_buf()));
            }
            assert!(reading.cancel().is_none());
            Ok(())
        })?;
        assert_eq!(got, b"handles");
        drop(input);
        cat.wait().map(drop)
    })
    .unwrap();
}

#[test]
fn starting_a_child_does_not_hold_other_tasks_up_nor_the_root_that_returns() {
    coop::run(|| {
        let mut starter = coop::spawn(|| Command::new("true").status());
        let mut others = 0;
        while !starter.is_finished() {
            coop::yield_now().unwrap();
            others += 1;
        }
        assert!(others > 1, "the others ran {others} times");
        assert!(starter.join().unwrap().unwrap().success());
        // Whoever waits when the root returns is killed; the child is collected in the background.
        coop::spawn(|| Command::new("sleep").arg("3600").kill_on_drop(true).status());
        coop::sleep(Duration::from_millis(20)).unwrap();
    });
}

#[test]
fn a_wait_for_a_child_is_no_deadlock() {
    coop::run(|| assert!(Command::new("sleep").arg("0.03").status().unwrap().success()));
}

#[cfg_attr(panic = "abort", ignore = "a panic ends the process")]
#[test]
fn a_child_that_is_dropped_when_no_descriptor_is_left_is_collected_all_the_same() {
    child!(|| {
        coop::run(|| -> io::Result<()> {
            let mut child = sh("read line").stdin(Stdio::piped()).spawn()?;
            let (id, input) = (child.id(), child.stdin.take());
            let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
            // SAFETY: a place for the limits of this process, which are then lowered.
            unsafe {
                assert_eq!(libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit), 0);
                limit.rlim_cur = 100.min(limit.rlim_max);
                assert_eq!(libc::setrlimit(libc::RLIMIT_NOFILE, &limit), 0);
            }
            let held: Vec<_> = std::iter::from_fn(|| std::fs::File::open("/dev/null").ok()).collect();
            drop(child);
            drop(held);
            // Another, of which the thread is to hear.
            let other = Command::new("sleep").arg("3600").kill_on_drop(true).spawn()?;
            let others = other.id();
            drop(other);
            assert!(is_gone(others));
            drop(input);
            assert!(is_gone(id), "{:?}", state(id));
            Ok(())
        })
        .unwrap();
    })
    .succeeded();
}

#[test]
fn what_moves_nothing_to_or_from_a_child_is_done_at_once() {
    coop::run(|| -> io::Result<()> {
        let mut child = sh("read line").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let (mut input, mut output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        // The child writes nothing, and reads only a line.
        let waited = coop::timeout(Duration::from_millis(5), || output.read(&mut [0; 1]));
        assert_eq!(waited.unwrap_err().kind(), ErrorKind::TimedOut);
        assert_eq!(output.read(&mut [])?, 0);
        let full = coop::timeout(Duration::from_millis(5), || input.write_all(&[b'x'; 1 << 20]));
        assert_eq!(full.unwrap_err().kind(), ErrorKind::TimedOut);
        assert_eq!(input.write(&[])?, 0);
        let mut none = [0; 0];
        coop::scope(|s| -> io::Result<()> {
            assert_eq!(s.start(op::read_from(&output, &mut none)).wait()?.n(), 0);
            assert_eq!(s.start(op::write_to(&input, &[])).wait()?.n(), 0);
            Ok(())
        })
    })
    .unwrap();
}
