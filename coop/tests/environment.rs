//! Rule 11: the kernel may say no, signals may come at any time, and a process may fork. Each test is a process of its own, whose
//! limits are lowered, whose calls are refused, or which is shot at.

#[path = "soundness/child.rs"]
mod child;

use child::{child, descriptors, mappings};
use coop::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use coop::{Builder, Driver, JoinError, StartError, TaskBuilder, op};
use std::cell::Cell;
use std::io::{self, ErrorKind, Read, Write};
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

const MODES: [&str; 2] = ["deferred", "cooperative"];

// Calls that the kernel refuses.

/// Has the kernel refuse a system call of this thread with `errno` from now on: only with the value `when.1` for the argument
/// `when.0`, if that is given.
fn refuse(call: libc::c_long, when: Option<(u32, u32)>, errno: i32) {
    const LOAD: u16 = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
    const JUMP: u16 = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
    const RETURN: u16 = (libc::BPF_RET | libc::BPF_K) as u16;
    let step = |code, jt, jf, k| libc::sock_filter { code, jt, jf, k };
    // Offsets into `struct seccomp_data`: the call's number, and the low half of an argument.
    let (argument, value) = when.map_or((0, call as u32), |(index, value)| (16 + 8 * index, value));
    let mut program = [
        step(LOAD, 0, 0, 0),
        step(JUMP, 0, 3, call as u32),
        step(LOAD, 0, 0, argument),
        step(JUMP, 0, 1, value),
        step(RETURN, 0, 0, libc::SECCOMP_RET_ERRNO | errno as u32),
        step(RETURN, 0, 0, libc::SECCOMP_RET_ALLOW),
    ];
    let filter = libc::sock_fprog { len: program.len() as u16, filter: program.as_mut_ptr() };
    // SAFETY: the filter and its program are valid for the calls.
    unsafe {
        assert_eq!(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
        assert_eq!(libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, 0, &raw const filter), 0);
    }
}

/// Starts a Cooperator on io_uring and nothing else, which must fail.
fn start_error() -> StartError {
    Builder::new().driver(Driver::Uring).run(|| ()).expect_err("it cannot start here")
}

#[test]
fn io_uring_that_a_seccomp_filter_forbids_is_an_error_that_says_so() {
    for errno in [libc::EPERM, libc::ENOSYS] {
        child!([("ERRNO", &errno.to_string()), ("COOP_DRIVER", "uring")], || {
            let errno = std::env::var("ERRNO").unwrap().parse().unwrap();
            refuse(libc::SYS_io_uring_setup, None, errno);
            let error = start_error();
            assert_eq!(error.os_error().raw_os_error(), Some(errno));
            assert!(error.cause().contains("a seccomp filter forbids io_uring_setup"), "{error}");
            assert!(error.cure().contains("seccomp=unconfined"), "{error}");
            let text = error.to_string();
            assert!(text.contains(error.cause()) && text.contains(error.cure()), "{text}");
            let kind = error.os_error().kind();
            assert_eq!(io::Error::from(error).kind(), kind);
            // The ring comes first: nothing else was made.
            let before = (descriptors(), mappings());
            drop(start_error());
            assert_eq!((descriptors(), mappings()), before);
            // What the environment asks for is as firm as what the program does.
            let panicked = std::panic::catch_unwind(|| coop::run(|| ())).unwrap_err();
            assert_eq!(panicked.downcast_ref::<String>(), Some(&text));
        })
        .succeeded();
    }
}

#[test]
fn a_program_that_cannot_start_says_why_and_exits_with_1() {
    child!([("COOP_DRIVER", "uring")], || {
        refuse(libc::SYS_io_uring_setup, None, libc::EPERM);
        coop::__private::main(coop::__private::MainOptions::new(), || unreachable!("there is no Cooperator"));
    })
    .exited_with(1)
    .said("cannot start a Cooperator: Operation not permitted")
    .said("likely cause: a seccomp filter forbids io_uring_setup")
    .said("cure: run the container with a profile that allows io_uring_setup");
}

#[test]
fn a_ring_that_cannot_be_registered_is_used_by_its_descriptor() {
    child!([("COOP_HARDENED", "0")], || {
        refuse(libc::SYS_io_uring_register, None, libc::EPERM);
        coop::run(ping_pong);
    })
    .succeeded();
}

/// How many guards are mappings of their own.
fn protected() -> usize {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    maps.lines().filter(|line| line.contains("---p 00000000 00:00 0")).count()
}

#[test]
fn guards_that_the_kernel_does_not_put_up_together_are_put_up_one_by_one() {
    // As older kernels, and sandboxes, refuse process_madvise for the process itself.
    for errno in [libc::EBADF, libc::EINVAL, libc::ENOSYS, libc::EPERM] {
        child!([("ERRNO", &errno.to_string())], || {
            refuse(libc::SYS_process_madvise, None, std::env::var("ERRNO").unwrap().parse().unwrap());
            let before = protected();
            coop::run(|| {
                let mut tasks: Vec<_> =
                    (0..1_000).map(|n| coop::spawn(move || coop::yield_now().map(|()| n))).collect();
                coop::yield_now().unwrap();
                assert!(protected() < before + 100, "{} guards are mappings", protected() - before);
                for (n, task) in tasks.iter_mut().enumerate() {
                    assert_eq!(task.join().unwrap(), Ok(n));
                }
            });
        })
        .succeeded();
    }
}

#[test]
fn guards_that_the_kernel_does_not_know_are_replaced_by_protected_pages() {
    // As older kernels, and sandboxes, refuse MADV_GUARD_INSTALL.
    for errno in [libc::EINVAL, libc::ENOSYS, libc::EPERM] {
        child!([("ERRNO", &errno.to_string())], || {
            refuse(libc::SYS_madvise, Some((2, 102)), std::env::var("ERRNO").unwrap().parse().unwrap());
            let before = protected();
            for round in 0..3 {
                coop::run(|| {
                    let mut tasks: Vec<_> =
                        (0..1_000).map(|n| coop::spawn(move || coop::yield_now().map(|()| n))).collect();
                    coop::yield_now().unwrap();
                    assert!(protected() >= before + 1_000, "{} guards in round {round}", protected() - before);
                    for (n, task) in tasks.iter_mut().enumerate() {
                        assert_eq!(task.join().unwrap(), Ok(n));
                    }
                });
            }
        })
        .succeeded();
    }
}

#[inline(never)]
#[allow(unconditional_recursion)]
fn recurse(depth: u64) -> u64 {
    let frame = std::hint::black_box([depth; 8]);
    recurse(depth + 1) + frame[0]
}

#[test]
fn an_overflow_into_a_protected_page_is_reported_like_any_other() {
    child!(|| {
        refuse(libc::SYS_madvise, Some((2, 102)), libc::EINVAL);
        coop::run(|| TaskBuilder::new().name("deep").spawn(|| recurse(0)).join().unwrap());
    })
    .died_of(libc::SIGABRT)
    .said("coop: task #2 'deep' has overflowed its stack of ");
}

#[test]
fn each_of_many_stacks_has_its_guard_also_where_they_cannot_be_put_up_together() {
    // Zero: they can.
    for errno in [0, libc::EINVAL, libc::ENOSYS, libc::EPERM, libc::EBADF] {
        child!([("ERRNO", &errno.to_string())], || {
            let errno = std::env::var("ERRNO").unwrap().parse().unwrap();
            if errno != 0 {
                refuse(libc::SYS_process_madvise, None, errno);
            }
            coop::run(|| {
                let _waiting: Vec<_> = (0..40).map(|_| coop::spawn(coop::yield_now)).collect();
                TaskBuilder::new().name("deep").spawn(|| recurse(0)).join().unwrap()
            });
        })
        .died_of(libc::SIGABRT)
        .said("coop: task #42 'deep' has overflowed its stack of ");
    }
}

#[test]
fn more_tasks_than_protected_pages_allow_are_refused_and_leave_mappings_to_the_rest_of_the_process() {
    child!(|| {
        refuse(libc::SYS_madvise, Some((2, 102)), libc::EINVAL);
        let limit: usize = std::fs::read_to_string("/proc/sys/vm/max_map_count").unwrap().trim().parse().unwrap();
        if limit > 200_000 {
            return;
        }
        for _ in 0..2 {
            let run = || {
                let mut tasks: Vec<_> = (0..limit / 2 + 1_000).map(|n| coop::spawn(move || n)).collect();
                // The allocator, and a thread, still get mappings.
                let block = vec![1u8; 64 << 20];
                assert_eq!(std::thread::spawn(move || block[5]).join().unwrap(), 1);
                let (mut ran, mut refused) = (0, 0);
                for (n, task) in tasks.iter_mut().enumerate() {
                    match task.join() {
                        Ok(value) => ran += usize::from(value == n),
                        Err(JoinError::NeverRan) => refused += 1,
                        Err(error) => panic!("{error}"),
                    }
                }
                assert!(
                    ran > limit / 4 && refused > 0 && ran + refused == tasks.len(),
                    "{ran} ran, {refused} were refused"
                );
            };
            Builder::new().stack(1).run(run).unwrap();
        }
    })
    .succeeded();
}

// Limits.

fn limit(resource: libc::__rlimit_resource_t, value: u64) {
    let limit = libc::rlimit { rlim_cur: value, rlim_max: value };
    // SAFETY: the limit is valid.
    assert_eq!(unsafe { libc::setrlimit(resource, &limit) }, 0);
}

/// Lays down root's privileges, to which the limit of locked memory does not apply. It counts for all processes of a user.
fn become_somebody(user: u32) {
    // SAFETY: no other thread of the child needs its privileges.
    unsafe { assert!(libc::geteuid() != 0 || libc::setuid(user) == 0) };
}

/// Sets the soft limit of descriptors to what is open now, and returns the old one.
fn no_more_descriptors() -> libc::rlimit {
    let mut before = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the limits are valid.
    unsafe {
        assert_eq!(libc::getrlimit(libc::RLIMIT_NOFILE, &mut before), 0);
        let now = libc::rlimit { rlim_cur: 0, ..before };
        assert_eq!(libc::setrlimit(libc::RLIMIT_NOFILE, &now), 0);
    }
    before
}

fn set_descriptors(limit: &libc::rlimit) {
    // SAFETY: the limit is valid.
    assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, limit) }, 0);
}

#[test]
fn a_ring_for_which_no_memory_may_be_locked_is_an_error_that_names_the_limit() {
    for (kib, starts) in [("0", false), ("16", false), ("8192", true)] {
        child!([("KIB", kib), ("STARTS", if starts { "yes" } else { "no" })], || {
            limit(libc::RLIMIT_MEMLOCK, std::env::var("KIB").unwrap().parse::<u64>().unwrap() * 1024);
            become_somebody(65_534);
            if std::env::var("STARTS").unwrap() == "yes" {
                coop::run(ping_pong);
                return;
            }
            let error = start_error();
            assert_eq!(error.os_error().raw_os_error(), Some(libc::ENOMEM));
            let kib = std::env::var("KIB").unwrap();
            assert!(error.cause().contains(&format!("RLIMIT_MEMLOCK, which is {kib} KiB here")), "{error}");
            assert!(error.cure().contains("ulimit -l") && error.cure().contains("Builder::ring_entries"), "{error}");
        })
        .succeeded();
    }
}

#[test]
fn a_ring_is_made_smaller_where_little_memory_may_be_locked() {
    child!(|| {
        limit(libc::RLIMIT_MEMLOCK, 256 * 1024);
        become_somebody(65_533);
        // It would take 9 MiB.
        Builder::new().driver(Driver::Uring).ring_entries(32_768).run(ping_pong).unwrap();
    })
    .succeeded();
}

#[test]
fn a_process_without_descriptors_gets_an_error_that_says_so() {
    child!(|| {
        let before = no_more_descriptors();
        let error = start_error();
        assert_eq!(error.os_error().raw_os_error(), Some(libc::EMFILE));
        assert!(error.cause().contains("no file descriptor left"), "{error}");
        assert!(error.cure().contains("RLIMIT_NOFILE (ulimit -n)"), "{error}");
        let error = Builder::new().driver(Driver::Epoll).run(|| ()).expect_err("epoll is a descriptor too");
        assert_eq!(error.os_error().raw_os_error(), Some(libc::EMFILE));
        // Want of descriptors is no refusal of io_uring.
        let error = Builder::new().run(|| ()).expect_err("neither can start");
        assert_eq!(error.os_error().raw_os_error(), Some(libc::EMFILE));
        set_descriptors(&before);
        coop::run(ping_pong);
    })
    .succeeded();
}

#[test]
fn a_cooperator_without_descriptors_gives_errors_and_goes_on() {
    child!(|| {
        coop::run(|| {
            let remote = coop::remote().unwrap();
            let listener = UnixListener::bind(format!("\0coop-descriptors-{}", std::process::id())).unwrap();
            let path = listener.local_path().unwrap().unwrap();
            let client = UnixStream::connect(&path).unwrap();
            let before = no_more_descriptors();
            let is_emfile = |error: io::Error| error.raw_os_error() == Some(libc::EMFILE);
            assert!(listener.accept().is_err_and(is_emfile));
            assert!(UnixStream::pair().is_err_and(is_emfile) && UnixStream::connect(&path).is_err_and(is_emfile));
            assert!(TcpListener::bind("127.0.0.1:0").is_err_and(is_emfile));
            assert!(coop::signal::ctrl_c().is_err_and(is_emfile));
            // What needs no descriptor works; a join that would like one does without.
            assert_eq!(coop::spawn(|| 5).join().unwrap(), 5);
            coop::sleep(Duration::from_millis(1)).unwrap();
            let slow = || coop::sleep(Duration::from_millis(10)).map(|()| 6).unwrap();
            assert_eq!(remote.submit(slow).map_err(drop).unwrap().join().unwrap(), 6);
            set_descriptors(&before);
            let accepted = listener.accept().unwrap().0;
            client.send_all(b"kept").unwrap();
            assert_eq!(accepted.recv(&mut [0; 8]).unwrap(), 4, "the connection had stayed in the queue");
        });
    })
    .succeeded();
}

#[test]
fn a_process_without_address_space_runs_as_many_tasks_as_fit() {
    child!(|| {
        coop::run(|| {
            let status = std::fs::read_to_string("/proc/self/status").unwrap();
            let line = status.lines().find_map(|line| line.strip_prefix("VmSize:")).unwrap();
            let kib: u64 = line.trim().trim_end_matches(" kB").parse().unwrap();
            limit(libc::RLIMIT_AS, (kib + 600 * 1024) * 1024);
            // Far more than fits; some address space is left for the allocator by asking for large ones only, and some kept back
            // for a small one: what the large ones leave over is a matter of chance.
            let kept_back = vec![0_u8; 16 << 20];
            let mut tasks: Vec<_> = (0..400).map(|n| TaskBuilder::new().stack(8 << 20).spawn(move || n)).collect();
            let (mut ran, mut refused) = (0, 0);
            for (n, task) in tasks.iter_mut().enumerate() {
                match task.join() {
                    Ok(value) => ran += usize::from(value == n),
                    Err(JoinError::NeverRan) => refused += 1,
                    Err(error) => panic!("{error}"),
                }
            }
            assert!(ran > 0 && refused > 0 && ran + refused == 400, "{ran} ran, {refused} were refused");
            drop(kept_back);
            assert_eq!(coop::spawn(|| 5).join().unwrap(), 5, "small ones still fit");
        });
    })
    .succeeded();
}

// Signals.

/// Tasks that talk to one another, in every way, some thousand times. All of it arrives.
fn ping_pong() {
    let rounds = 50u32;
    coop::wait_all(|s| {
        for _ in 0..16 {
            s.spawn(move || {
                let (ours, theirs) = UnixStream::pair().unwrap();
                coop::wait_all(|inner| {
                    inner.spawn(|| {
                        for round in 0..rounds {
                            ours.send_all(&round.to_ne_bytes()).unwrap();
                            let mut answer = [0; 4];
                            ours.recv_exact(&mut answer).unwrap();
                            assert_eq!(u32::from_ne_bytes(answer), round);
                        }
                    });
                    for round in 0..rounds {
                        let mut question = [0; 4];
                        theirs.recv_exact(&mut question).unwrap();
                        assert_eq!(u32::from_ne_bytes(question), round);
                        theirs.send_all(&question).unwrap();
                    }
                });
            });
        }
    });
}

static ALARMS: AtomicU64 = AtomicU64::new(0);

#[test]
fn a_storm_of_signals_that_interrupt_every_call_loses_nothing() {
    extern "C" fn count(_: libc::c_int) {
        ALARMS.fetch_add(1, Ordering::Relaxed);
    }
    for mode in MODES {
        child!([("COOP_TASKRUN", mode)], || {
            coop::run(|| {
                // Without SA_RESTART, a thousand times a second.
                // SAFETY: the handler only counts.
                unsafe {
                    let mut action: libc::sigaction = std::mem::zeroed();
                    action.sa_sigaction = count as *const () as usize;
                    assert_eq!(libc::sigaction(libc::SIGALRM, &action, std::ptr::null_mut()), 0);
                    // At this thread: what is sent to the process would go to the one that waits for the test's end.
                    let mut event: libc::sigevent = std::mem::zeroed();
                    event.sigev_notify = libc::SIGEV_THREAD_ID;
                    event.sigev_signo = libc::SIGALRM;
                    event.sigev_notify_thread_id = libc::gettid();
                    let mut timer: libc::timer_t = std::mem::zeroed();
                    assert_eq!(libc::timer_create(libc::CLOCK_MONOTONIC, &mut event, &mut timer), 0);
                    let every = libc::timespec { tv_sec: 0, tv_nsec: 1_000_000 };
                    let spec = libc::itimerspec { it_interval: every, it_value: every };
                    assert_eq!(libc::timer_settime(timer, 0, &spec, std::ptr::null_mut()), 0);
                }
                let listener = TcpListener::bind("127.0.0.1:0").unwrap();
                let address = listener.local_addr().unwrap();
                let (over, served, slept, rounds) = (Cell::new(false), Cell::new(0), Cell::new(0), Cell::new(0));
                coop::wait_all(|s| {
                    // 64 tasks in pairs, each byte answered by the next.
                    for _ in 0..32 {
                        let (ours, theirs) = UnixStream::pair().unwrap();
                        let (over, rounds) = (&over, &rounds);
                        s.spawn(move || {
                            let mut byte = [0];
                            while theirs.recv(&mut byte).unwrap() == 1 {
                                theirs.send_all(&[byte[0].wrapping_add(1)]).unwrap();
                            }
                        });
                        s.spawn(move || {
                            for byte in (0..=255).cycle() {
                                ours.send_all(&[byte]).unwrap();
                                let mut answer = [0];
                                assert_eq!((ours.recv(&mut answer).unwrap(), answer[0]), (1, byte.wrapping_add(1)));
                                rounds.set(rounds.get() + 1);
                                if over.get() {
                                    return;
                                }
                                // So that the loop comes to sleep in the kernel.
                                coop::sleep(Duration::from_micros(300)).unwrap();
                            }
                        });
                    }
                    s.spawn(|| {
                        while !over.get() {
                            coop::sleep(Duration::from_micros(100)).unwrap();
                            slept.set(slept.get() + 1);
                        }
                    });
                    s.spawn(|| {
                        while !over.get() {
                            let client = TcpStream::connect(address).unwrap();
                            let server = listener.accept().unwrap().0;
                            client.send_all(&[7; 1000]).unwrap();
                            server.recv_exact(&mut [0; 1000]).unwrap();
                            served.set(served.get() + 1);
                        }
                    });
                    let start = Instant::now();
                    // A machine that is busy delivers fewer of them.
                    while start.elapsed() < Duration::from_secs(1) || ALARMS.load(Ordering::Relaxed) <= 300 {
                        coop::sleep(Duration::from_millis(5)).unwrap();
                    }
                    over.set(true);
                });
                // With nothing to submit it is the sleep itself that a signal ends, with an error.
                let start = Instant::now();
                coop::sleep(Duration::from_millis(100)).unwrap();
                assert!(start.elapsed() >= Duration::from_millis(100));
                let alarms = ALARMS.load(Ordering::Relaxed);
                assert!(alarms > 300, "the storm blew: {alarms} signals");
                assert!(
                    rounds.get() > 320 && slept.get() > 100 && served.get() > 10,
                    "{rounds:?} {slept:?} {served:?}"
                );
                let census = coop::__private::census();
                assert_eq!((census.operations, census.strays, census.tasks), (0, 0, 1));
            });
        })
        .succeeded();
    }
}

#[test]
fn sending_to_nobody_is_an_error_and_never_a_signal() {
    for mode in MODES {
        child!([("COOP_TASKRUN", mode)], || {
            // As in a library loaded into a program that is not Rust's.
            // SAFETY: sets the default action.
            unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
            coop::run(|| {
                let is_gone =
                    |error: io::Error| matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset);
                let closed = || UnixStream::pair().unwrap().0;
                assert!(closed().send(b"x").is_err_and(is_gone));
                assert!(closed().send_all(b"x").is_err_and(is_gone));
                assert!((&closed()).write_all(b"x").is_err_and(is_gone));
                assert!(coop::select! { sent = op::send(&closed(), b"x") => sent.is_err_and(is_gone) }.unwrap());
                let conn = closed();
                coop::wait_all(|s| {
                    assert!(s.start(op::send(&conn, b"x")).wait().is_err_and(is_gone));
                    assert!(s.start(op::send_all(&conn, b"x")).wait().is_err_and(is_gone));
                });
                // Also when the peer goes while the send waits for room.
                let (ours, theirs) = UnixStream::pair().unwrap();
                let mut sender = coop::spawn(move || ours.send_all(&vec![0; 16 << 20]));
                coop::sleep(Duration::from_millis(2)).unwrap();
                drop(theirs);
                assert!(sender.join().unwrap().is_err_and(is_gone));
                let listener = TcpListener::bind("127.0.0.1:0").unwrap();
                let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
                drop(listener.accept().unwrap());
                let failed = (0..1000).find_map(|_| {
                    coop::sleep(Duration::from_micros(50)).unwrap();
                    client.send(b"x").err()
                });
                assert!(failed.is_some_and(is_gone));
            });
        })
        .succeeded();
    }
}

#[test]
fn a_signals_handler_never_writes_to_what_has_taken_its_descriptors_place() {
    child!(|| {
        // One thread is shot at; the other listens, stops, and opens something else with the same number.
        let (over, shots) = (&AtomicU64::new(0), &AtomicU64::new(0));
        // SAFETY: ignoring a signal, for the moments in which nobody listens.
        unsafe { libc::signal(libc::SIGUSR1, libc::SIG_IGN) };
        std::thread::scope(|threads| {
            threads.spawn(move || {
                while over.load(Ordering::Relaxed) == 0 {
                    // SAFETY: this very thread handles it.
                    unsafe { libc::raise(libc::SIGUSR1) };
                    shots.fetch_add(1, Ordering::Relaxed);
                }
            });
            coop::run(|| {
                for _ in 0..20_000 {
                    let signal = coop::signal::listen(libc::SIGUSR1).unwrap();
                    drop(signal);
                    let (mut reader, writer) = io::pipe().unwrap();
                    let mut innocent = [
                        std::os::unix::net::UnixStream::pair().unwrap(),
                        std::os::unix::net::UnixStream::pair().unwrap(),
                    ];
                    drop(writer);
                    assert_eq!(reader.read(&mut [0; 8]).unwrap(), 0);
                    for (one, other) in &mut innocent {
                        one.set_nonblocking(true).unwrap();
                        other.set_nonblocking(true).unwrap();
                        assert!(
                            one.read(&mut [0; 8]).is_err() && other.read(&mut [0; 8]).is_err(),
                            "somebody wrote to it"
                        );
                    }
                }
            });
            over.store(1, Ordering::Relaxed);
        });
        assert!(shots.load(Ordering::Relaxed) > 1_000);
    })
    .succeeded();
}

#[test]
fn connections_of_std_work_in_whatever_mode_they_are() {
    coop::run(|| {
        for is_nonblocking in [false, true] {
            let (ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
            ours.set_nonblocking(is_nonblocking).unwrap();
            theirs.set_nonblocking(is_nonblocking).unwrap();
            let (ours, theirs) = (UnixStream::from(ours), UnixStream::from(theirs));
            let bytes: Vec<u8> = (0..1 << 20).map(|index: usize| (index / 5) as u8).collect();
            let mut received = vec![0; bytes.len()];
            coop::wait_all(|s| {
                s.spawn(|| ours.send_all(&bytes).unwrap());
                coop::sleep(Duration::from_millis(1)).unwrap();
                theirs.recv_exact(&mut received).unwrap();
                s.spawn(|| {
                    coop::sleep(Duration::from_millis(2)).unwrap();
                    ours.send_all(b"later").unwrap();
                });
                let mut buffer = [0; 8];
                assert_eq!(theirs.recv(&mut buffer).unwrap(), 5, "it waits, in either mode");
                coop::wait_all(|inner| {
                    let incoming = inner.start(op::recv(&theirs, &mut buffer));
                    ours.send_all(b"again").unwrap();
                    assert_eq!(incoming.wait().unwrap().bytes(), b"again");
                });
            });
            assert!(received == bytes, "nonblocking: {is_nonblocking}");
        }
    });
}

// Forks.

/// Forks; runs `in_child` in the child, which exits with what that returns; gives the child's status.
fn fork(in_child: impl FnOnce() -> i32) -> i32 {
    // SAFETY: the child does only what the test is about, and leaves by `_exit`.
    unsafe {
        let pid = libc::fork();
        if pid == 0 {
            let code = std::panic::catch_unwind(std::panic::AssertUnwindSafe(in_child)).unwrap_or(99);
            libc::_exit(code);
        }
        let mut status = 0;
        assert_eq!(libc::waitpid(pid, &mut status, 0), pid);
        status
    }
}

fn exit_code(status: i32) -> Option<i32> {
    libc::WIFEXITED(status).then(|| libc::WEXITSTATUS(status))
}

const FORKED: &str =
    "this process was forked by a task, and tasks go on in the parent only: call `exec` or `_exit` here";

#[test]
fn in_a_forked_child_io_fails_with_an_error_and_the_parent_is_unharmed() {
    child!(|| {
        coop::run(|| {
            let (ours, theirs) = UnixStream::pair().unwrap();
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let busy = Rc::new(Cell::new(true));
            let others = busy.clone();
            let mut other = coop::spawn(move || {
                while others.get() {
                    ping_pong();
                }
            });
            let mut buffer = [0; 8];
            coop::wait_all(|s| {
                let incoming = s.start(op::recv(&ours, &mut buffer));
                coop::sleep(Duration::from_millis(2)).unwrap();
                for _ in 0..20 {
                    let status = fork(|| {
                        let refused = |result: io::Result<usize>| {
                            let error = result.unwrap_err();
                            assert_eq!((error.kind(), error.to_string().as_str()), (ErrorKind::Unsupported, FORKED));
                        };
                        refused(ours.recv(&mut [0; 1]));
                        refused(theirs.send(b"from the child"));
                        refused(listener.accept().map(|_| 0));
                        refused(TcpStream::connect(listener.local_addr().unwrap()).map(|_| 0));
                        refused(coop::signal::ctrl_c().map(|_| 0));
                        let spawned = std::panic::catch_unwind(|| drop(coop::spawn(|| ()))).unwrap_err();
                        assert_eq!(spawned.downcast_ref::<String>().map(String::as_str), Some(FORKED));
                        assert!(!coop::killed());
                        7
                    });
                    assert_eq!(exit_code(status), Some(7));
                    coop::sleep(Duration::from_micros(100)).unwrap();
                }
                theirs.send_all(b"parent").unwrap();
                assert_eq!(incoming.wait().unwrap().bytes(), b"parent", "what was in flight stayed the parent's");
            });
            busy.set(false);
            other.join().unwrap();
            let census = coop::__private::census();
            assert_eq!((census.operations, census.strays), (0, 0));
        });
    })
    .succeeded();
}

#[test]
fn a_forked_child_is_given_back_what_it_submits_to_a_cooperator_of_its_parents() {
    child!(|| {
        coop::run(|| {
            let remote = coop::remote().unwrap();
            let status = fork(|| {
                let from_parent = remote.submit(|| "for the parent").map(drop).unwrap_err();
                assert_eq!(from_parent(), "for the parent");
                // One that it starts itself takes it.
                coop::run(|| coop::remote().unwrap().submit(|| 7).map_err(drop).unwrap().join().unwrap())
            });
            assert_eq!(exit_code(status), Some(7));
            assert_eq!(remote.submit(|| 8).map_err(drop).unwrap().join().unwrap(), 8);
        });
    })
    .succeeded();
}

#[test]
fn a_forked_child_that_leaves_scopes_and_handles_behind_touches_nothing_of_the_parents() {
    child!(|| {
        coop::run(|| {
            let (ours, theirs) = UnixStream::pair().unwrap();
            for _ in 0..10 {
                let (mut left, mut right) = ([0; 8], [0; 8]);
                let mut status = None;
                coop::wait_all(|s| {
                    let dropped = s.start(op::recv(&ours, &mut left));
                    std::mem::forget(s.start(op::recv(&ours, &mut right)));
                    coop::sleep(Duration::from_micros(200)).unwrap();
                    // SAFETY: the child leaves by `_exit`.
                    let pid = unsafe { libc::fork() };
                    if pid == 0 {
                        drop(dropped);
                        return;
                    }
                    let mut code = 0;
                    // SAFETY: waits for the child just made.
                    assert_eq!(unsafe { libc::waitpid(pid, &mut code, 0) }, pid);
                    status = Some(code);
                    assert_eq!(coop::__private::census().operations, 2);
                    drop(dropped);
                });
                match status {
                    // SAFETY: the child has left its scope, and leaves.
                    None => unsafe { libc::_exit(8) },
                    Some(status) => assert_eq!(exit_code(status), Some(8)),
                }
            }
            theirs.send_all(b"parent").unwrap();
            assert_eq!(ours.recv(&mut [0; 8]).unwrap(), 6);
            assert_eq!(coop::__private::census().strays, 0);
        });
    })
    .succeeded();
}

#[test]
fn a_forked_child_that_would_switch_aborts_and_says_why() {
    child!(|| {
        let status = coop::run(|| {
            // SAFETY: the child goes on as a task, which is what must not be.
            let pid = unsafe { libc::fork() };
            if pid == 0 {
                return 0;
            }
            let mut status = 0;
            // SAFETY: waits for the child just made.
            assert_eq!(unsafe { libc::waitpid(pid, &mut status, 0) }, pid);
            coop::run(ping_pong);
            status
        });
        assert!(libc::WIFSIGNALED(status) && libc::WTERMSIG(status) == libc::SIGABRT, "{status:#x}");
    })
    .succeeded()
    .said("in a forked child, whose tasks go on in the parent only: `exec` or `_exit`");
}

#[test]
fn commands_can_be_run_from_tasks() {
    child!(|| {
        coop::run(|| {
            let busy = Rc::new(Cell::new(true));
            let others = busy.clone();
            let mut other = coop::spawn(move || {
                while others.get() {
                    ping_pong();
                }
            });
            for round in 0..20 {
                let mut command = std::process::Command::new("/bin/sh");
                command.args(["-c", &format!("echo {round}; exit {round}")]);
                if round % 2 == 0 {
                    // Has std fork instead of calling posix_spawn.
                    // SAFETY: does nothing.
                    unsafe { std::os::unix::process::CommandExt::pre_exec(&mut command, || Ok(())) };
                }
                let output = command.output().unwrap();
                assert_eq!((output.status.code(), output.stdout), (Some(round), format!("{round}\n").into_bytes()));
                coop::sleep(Duration::from_micros(100)).unwrap();
            }
            busy.set(false);
            other.join().unwrap();
            assert_eq!(coop::__private::census().strays, 0);
        });
    })
    .succeeded();
}

#[test]
fn a_process_that_forks_before_it_starts_a_cooperator_may_start_one_in_the_child() {
    child!(|| {
        coop::run(ping_pong);
        let status = fork(|| {
            coop::run(ping_pong);
            5
        });
        assert_eq!(exit_code(status), Some(5));
        coop::run(ping_pong);
    })
    .succeeded();
}

/// What a child of a fork lets go of was waited for by tasks of the parent: there is nobody to wake.
#[test]
fn a_forked_child_may_drop_what_tasks_of_the_parent_wait_for() {
    child!(|| {
        coop::run(|| {
            let mutex = coop::sync::Mutex::new(());
            let mut guard = Some(mutex.lock().unwrap());
            coop::wait_all(|s| {
                let mut waits = s.spawn(|| mutex.lock().map(drop));
                coop::yield_now().unwrap();
                let status = fork(|| {
                    drop(guard.take());
                    7
                });
                assert_eq!(exit_code(status), Some(7));
                drop(guard.take());
                assert!(waits.join().unwrap().is_ok());
            });
        });
    })
    .succeeded();
}
