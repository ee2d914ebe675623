//! What surrounds a Cooperator: kernels that refuse, limits, signals, forks, stacks that end, shutdowns that get stuck, and
//! servers that come and go.

#[path = "soundness/child.rs"]
mod child;

use child::{child, descriptors, mappings};
use coop::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use coop::{Builder, Killed, Stuck, op};
use std::hint::black_box;
use std::io;
use std::rc::Rc;
use std::time::Duration;

const LONG: Duration = Duration::from_secs(3600);

// ---- stacks

#[inline(never)]
fn recurse(depth: u64) -> u64 {
    let frame = black_box([depth; 64]);
    if depth == u64::MAX { 0 } else { recurse(depth + 1) + frame[black_box(3)] }
}

#[inline(never)]
fn one_large_frame() -> u8 {
    black_box([7u8; 8 << 20])[black_box(12345)]
}

#[test]
fn an_overflow_in_small_frames_names_the_task_its_stack_and_the_cure() {
    #[coop::task(name = "deep one", stack = "64k")]
    fn deep() {
        black_box(recurse(0));
    }
    let size = if cfg!(debug_assertions) { 256 } else { 64 };
    child!(|| coop::run(|| deep::spawn().join().unwrap()))
        .died_of(libc::SIGABRT)
        .said(&format!("task #2 'deep one' has overflowed its stack of {size} KiB"))
        .said("raise it with #[coop::task(stack = \"128k\")]");
}

#[test]
fn an_overflow_by_one_large_frame_is_caught_too() {
    child!(|| coop::run(|| {
        let mut task = coop::TaskBuilder::new().name("wide").spawn(one_large_frame);
        task.join().unwrap();
    }))
    .died_of(libc::SIGABRT)
    .said("'wide' has overflowed its stack of");
}

#[test]
fn an_overflow_on_a_thread_that_rust_did_not_start_is_reported_too() {
    extern "C" fn body(_: *mut libc::c_void) -> *mut libc::c_void {
        coop::run(|| coop::TaskBuilder::new().name("foreign").spawn(|| black_box(recurse(0))).join().unwrap());
        std::ptr::null_mut()
    }
    child!(|| {
        // SAFETY: a thread with default attributes, joined at once.
        unsafe {
            let mut thread = 0;
            libc::pthread_create(&mut thread, std::ptr::null(), body, std::ptr::null_mut());
            libc::pthread_join(thread, std::ptr::null_mut());
        }
    })
    .died_of(libc::SIGABRT)
    .said("'foreign' has overflowed its stack of");
}

#[test]
fn other_faults_are_left_to_those_who_had_them_before() {
    child!(|| coop::run(|| {
        let null = black_box(std::ptr::null_mut::<u8>());
        // SAFETY: none: the fault is what is tested.
        unsafe { null.write_volatile(1) };
    }))
    .died_of(libc::SIGSEGV)
    .did_not_say("overflowed");
}

#[test]
fn a_thread_without_a_cooperator_overflows_as_ever() {
    child!(|| {
        coop::run(|| ());
        black_box(recurse(0));
    })
    .died_of(libc::SIGABRT)
    .said("has overflowed its stack")
    .did_not_say("coop:");
}

// ---- kernels that refuse

/// Has the system call `number` fail with `errno`, for this process from now on; of madvise only the advice `only_advice`.
fn refuse(number: libc::c_long, errno: i32, only_advice: Option<i32>) {
    let op = |code: u32, jt: u8, jf: u8, k: u32| libc::sock_filter { code: code as u16, jt, jf, k };
    let load = libc::BPF_LD | libc::BPF_W | libc::BPF_ABS;
    let equal = libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K;
    let give = libc::BPF_RET | libc::BPF_K;
    // struct seccomp_data: the number at 0, the third argument at 32.
    let mut filter = vec![op(load, 0, 0, 0)];
    match only_advice {
        None => filter.push(op(equal, 0, 1, number as u32)),
        Some(advice) => {
            filter.extend([op(equal, 0, 3, number as u32), op(load, 0, 0, 32), op(equal, 0, 1, advice as u32)]);
        }
    }
    filter.extend([op(give, 0, 0, libc::SECCOMP_RET_ERRNO | errno as u32), op(give, 0, 0, libc::SECCOMP_RET_ALLOW)]);
    let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_mut_ptr() };
    // SAFETY: the program is valid for the call.
    unsafe {
        assert_eq!(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
        assert_eq!(libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program), 0);
    }
}

#[test]
fn a_sandbox_that_forbids_io_uring_is_named_with_the_cure() {
    for errno in [libc::EPERM, libc::ENOSYS] {
        // One closure, two children: the variable says which.
        let variable = errno.to_string();
        child!([("COOP_TEST_ERRNO", variable.as_str())], || {
            let errno = std::env::var("COOP_TEST_ERRNO").unwrap().parse().unwrap();
            refuse(libc::SYS_io_uring_setup, errno, None);
            let error = Builder::new().run(|| ()).unwrap_err();
            assert_eq!(error.os_error().raw_os_error(), Some(errno));
            assert!(error.cause().contains("seccomp") && error.cause().contains("Docker"), "{error}");
            assert!(error.cure().contains("io_uring_setup, io_uring_enter and io_uring_register"), "{error}");
            let text = error.to_string();
            assert!(text.starts_with("cannot start a Cooperator: ") && text.contains("likely cause: "), "{text}");
            let error = io::Error::from(error);
            assert!(error.get_ref().is_some());
        })
        .succeeded();
    }
}

#[test]
fn main_says_why_it_cannot_start_and_exits_with_1() {
    #[coop::main]
    fn entry() {
        unreachable!("there is no ring");
    }
    child!(|| {
        refuse(libc::SYS_io_uring_setup, libc::EPERM, None);
        entry();
    })
    .exited_with(1)
    .said("cannot start a Cooperator")
    .said("cure: run the container with a profile that allows");
}

#[test]
fn a_ring_that_does_not_fit_the_lockable_memory_is_named_with_the_limit() {
    child!(|| {
        // SAFETY: limits and identity of this child only. Root is not bound by the limit.
        unsafe {
            let limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
            assert_eq!(libc::setrlimit(libc::RLIMIT_MEMLOCK, &limit), 0);
            if libc::getuid() == 0 {
                assert_eq!(libc::setgid(65534), 0);
                assert_eq!(libc::setuid(65534), 0);
            }
        }
        let error = Builder::new().run(|| ()).unwrap_err();
        assert_eq!(error.os_error().raw_os_error(), Some(libc::ENOMEM));
        assert!(error.cause().contains("RLIMIT_MEMLOCK, which is 0 KiB"), "{error}");
        assert!(error.cure().contains("ulimit -l"), "{error}");
    })
    .succeeded();
}

#[test]
fn a_process_without_descriptors_is_told_so() {
    child!(|| {
        let mut held = Vec::new();
        while let Ok(file) = std::fs::File::open("/dev/null") {
            held.push(file);
        }
        let error = Builder::new().run(|| ()).unwrap_err();
        assert_eq!(error.os_error().raw_os_error(), Some(libc::EMFILE));
        assert!(error.cure().contains("RLIMIT_NOFILE"), "{error}");
    })
    .succeeded();
}

#[test]
fn stacks_are_guarded_where_the_kernel_does_not_know_the_advice() {
    child!(|| {
        const GUARD_INSTALL: i32 = 102;
        refuse(libc::SYS_madvise, libc::EINVAL, Some(GUARD_INSTALL));
        let before = mappings();
        coop::run(|| {
            let gate = coop::Coordinator::held();
            coop::wait_all(|s| {
                for _ in 0..1_000 {
                    s.spawn(|| gate.acquire().map(drop));
                }
                coop::yield_now().unwrap();
                assert!(mappings() > before + 1_000, "each guard is a mapping of its own");
                gate.release();
            });
            // And they do guard.
            coop::TaskBuilder::new().name("guarded").spawn(|| black_box(recurse(0))).join().unwrap();
        });
    })
    .died_of(libc::SIGABRT)
    .said("'guarded' has overflowed its stack of");
}

// ---- without a Cooperator, and in a forked child

#[test]
fn without_a_cooperator_io_fails_naming_the_fix_and_spawning_panics_with_it() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    for error in [
        listener.accept().unwrap_err(),
        TcpStream::connect(listener.local_addr().unwrap()).unwrap_err(),
        UnixStream::pair().unwrap().0.recv(&mut [0; 4]).unwrap_err(),
        UnixStream::pair().unwrap().0.send(b"x").unwrap_err(),
        coop::signal::ctrl_c().unwrap_err(),
    ] {
        assert_eq!(error.kind(), io::ErrorKind::Unsupported);
        assert!(error.to_string().contains("call this inside `coop::run(|| …)`"), "{error}");
    }
    let panic = std::panic::catch_unwind(|| drop(coop::spawn(|| ()))).unwrap_err();
    assert!(panic.downcast_ref::<&str>().unwrap().contains("#[coop::main]"));
    assert!(!coop::killed() && coop::kill_cause().is_none());
}

#[test]
fn in_a_forked_child_coop_fails_and_the_parent_goes_on() {
    child!(|| coop::run(|| {
        let (ours, theirs) = UnixStream::pair().unwrap();
        coop::wait_all(|s| {
            let mut other = s.spawn(|| {
                let mut buf = [0; 5];
                ours.recv_exact(&mut buf).map(|()| buf)
            });
            coop::yield_now().unwrap();
            // SAFETY: the child makes system calls only, and ends by `_exit`.
            let pid = unsafe { libc::fork() };
            if pid == 0 {
                let refused = theirs.recv(&mut [0; 1]).unwrap_err().kind() == io::ErrorKind::Unsupported;
                let panicked = std::panic::catch_unwind(|| drop(coop::spawn(|| ()))).is_err();
                // SAFETY: ends the child at once.
                unsafe { libc::_exit(if refused && panicked { 42 } else { 1 }) };
            }
            let mut status = 0;
            // SAFETY: waits for the child just made.
            assert_eq!(unsafe { libc::waitpid(pid, &mut status, 0) }, pid);
            assert_eq!(libc::WEXITSTATUS(status), 42, "status {status:#x}");
            theirs.send_all(b"hello").unwrap();
            assert_eq!(&other.join().unwrap().unwrap(), b"hello");
        });
    }))
    .succeeded();
}

#[test]
fn commands_are_started_from_tasks_by_spawn_and_by_fork() {
    use std::os::unix::process::CommandExt;
    coop::run(|| {
        let output = std::process::Command::new("echo").arg("by spawn").output().unwrap();
        assert_eq!(output.stdout, b"by spawn\n");
        let mut command = std::process::Command::new("echo");
        // SAFETY: the closure does nothing. Its being there makes `std` fork instead of spawning.
        unsafe { command.arg("by fork").pre_exec(|| Ok(())) };
        assert_eq!(command.output().unwrap().stdout, b"by fork\n");
    });
}

// ---- signals

#[test]
fn a_storm_of_signals_loses_nothing() {
    extern "C" fn ignore(_: i32) {}
    child!(|| {
        // SAFETY: a handler that does nothing, and a timer of this child.
        unsafe {
            libc::signal(libc::SIGALRM, ignore as *const () as usize);
            let every = libc::timeval { tv_sec: 0, tv_usec: 300 };
            let timer = libc::itimerval { it_interval: every, it_value: every };
            assert_eq!(libc::setitimer(libc::ITIMER_REAL, &timer, std::ptr::null_mut()), 0);
        }
        coop::run(|| {
            coop::wait_all(|s| {
                for _ in 0..32 {
                    let (a, b) = UnixStream::pair().unwrap();
                    s.spawn(move || {
                        for round in 0..200u32 {
                            a.send_all(&round.to_ne_bytes()).unwrap();
                            let mut answer = [0; 4];
                            a.recv_exact(&mut answer).unwrap();
                            assert_eq!(u32::from_ne_bytes(answer), round + 1);
                        }
                    });
                    s.spawn(move || {
                        for _ in 0..200 {
                            let mut number = [0; 4];
                            b.recv_exact(&mut number).unwrap();
                            coop::sleep(Duration::from_micros(50)).unwrap();
                            b.send_all(&(u32::from_ne_bytes(number) + 1).to_ne_bytes()).unwrap();
                        }
                    });
                }
            });
        });
    })
    .succeeded();
}

#[test]
fn a_peer_that_is_gone_is_an_error_and_no_signal() {
    child!(|| {
        // SAFETY: as in a program whose runtime does not ignore SIGPIPE.
        unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
        coop::run(|| {
            let (ours, theirs) = UnixStream::pair().unwrap();
            drop(theirs);
            assert_eq!(ours.send(b"x").unwrap_err().kind(), io::ErrorKind::BrokenPipe);
            let failed = coop::scope(|s| s.start(op::send_all(&ours, b"x")).wait().map(drop)).unwrap_err();
            assert_eq!(failed.kind(), io::ErrorKind::BrokenPipe);
        });
    })
    .succeeded();
}

// ---- ends

#[test]
fn a_shutdown_that_gets_stuck_is_reported_with_the_tree_and_aborts_if_asked() {
    child!(|| {
        let builder = Builder::new().grace(Duration::from_millis(50)).on_stuck(Stuck::Abort);
        let _ = builder.run(|| {
            drop(coop::TaskBuilder::new().name("stubborn").spawn(|| loop {
                // It ignores its kill for ever.
                let _ = coop::sleep(LONG);
            }));
        });
    })
    .died_of(libc::SIGABRT)
    .said("after the root ended, these tasks have not")
    .said("stubborn #2");
}

#[test]
fn a_shutdown_waits_for_those_who_tidy_up() {
    let tidied = Rc::new(std::cell::Cell::new(false));
    let inner = tidied.clone();
    coop::run(move || {
        drop(coop::spawn(move || {
            assert_eq!(coop::sleep(LONG).unwrap_err().cause(), coop::Cause::Shutdown);
            coop::shield(Duration::from_secs(5), || coop::sleep(Duration::from_millis(5))).unwrap();
            inner.set(true);
        }));
        coop::yield_now().unwrap();
    });
    assert!(tidied.get());
}

#[test]
fn ten_thousand_tasks_blocked_in_recv_are_killed_at_the_root_and_leave_nothing() {
    const TASKS: usize = 10_000;
    /// A listener's queue holds this many connections that nobody accepts: one descriptor each, not two.
    const QUEUE: usize = 2_500;
    child!(|| {
        // SAFETY: raises a limit of this child, as far as it may.
        unsafe {
            let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
            assert_eq!(libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit), 0);
            limit.rlim_cur = limit.rlim_max;
            assert_eq!(libc::setrlimit(libc::RLIMIT_NOFILE, &limit), 0);
            assert!(limit.rlim_cur > TASKS as u64 + 100, "RLIMIT_NOFILE allows only {}", limit.rlim_cur);
        }
        let name = |queue: usize| format!("\0coop-test-{}-{queue}", std::process::id());
        let _listeners: Vec<_> = (0..TASKS / QUEUE).map(|queue| UnixListener::bind(name(queue)).unwrap()).collect();
        let before = descriptors();
        let killed = Rc::new(std::cell::Cell::new(0));
        let count = killed.clone();
        Builder::new()
            .stack(32 * 1024)
            .run(move || {
                for task in 0..TASKS {
                    let count = count.clone();
                    drop(coop::spawn(move || {
                        let stream = UnixStream::connect(name(task / QUEUE)).unwrap();
                        let error = stream.recv(&mut [0; 16]).unwrap_err();
                        assert!(Killed::is(&error), "{error}");
                        count.set(count.get() + 1);
                    }));
                }
                while descriptors() < before + TASKS {
                    coop::sleep(Duration::from_millis(1)).unwrap();
                }
                coop::yield_now().unwrap();
                // The root returns: all are killed, and awaited.
            })
            .unwrap();
        assert_eq!((killed.get(), descriptors()), (TASKS, before));
    })
    .succeeded();
}

#[test]
fn a_server_killed_in_mid_traffic_a_thousand_times_leaks_nothing() {
    /// A server and eight clients; the server's scope is killed while they talk.
    fn serve_and_kill(round: u32) -> io::Result<()> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        coop::wait_all(|s| {
            let mut server = s.spawn(move || {
                coop::scope(|s| -> io::Result<()> {
                    loop {
                        let (conn, _) = listener.accept()?;
                        s.spawn(move || -> io::Result<()> {
                            let mut buf = [0; 64];
                            loop {
                                match conn.recv(&mut buf)? {
                                    0 => return Ok(()),
                                    n => conn.send_all(&buf[..n])?,
                                }
                            }
                        });
                    }
                })
            });
            for client in 0..8 {
                s.spawn(move || -> io::Result<()> {
                    let conn = TcpStream::connect(address)?;
                    let mut buf = [0; 16];
                    for _ in 0..1_000 {
                        conn.send_all(&[client; 16])?;
                        if conn.recv(&mut buf)? == 0 {
                            break;
                        }
                        assert_eq!(buf[0], client);
                    }
                    Ok(())
                });
            }
            for _ in 0..20 + round % 50 {
                coop::yield_now().unwrap();
            }
            server.kill();
            assert!(Killed::is(&server.join().unwrap().unwrap_err()));
        });
        Ok(())
    }
    fn counts() -> (usize, usize, usize, usize, usize, u64) {
        let census = coop::__private::census();
        (descriptors(), mappings(), census.tasks, census.stacks, census.operations, census.strays)
    }
    child!(|| coop::run(|| {
        // The first rounds fill pools and tables.
        (0..100).for_each(|round| serve_and_kill(round).unwrap());
        let before = counts();
        (0..900).for_each(|round| serve_and_kill(round).unwrap());
        assert_eq!(counts(), before);
    }))
    .succeeded();
}
