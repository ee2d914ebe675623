//! Where io_uring is forbidden the same programs run on epoll and threads: the switch, and what that driver does by itself. The
//! whole of the other tests runs on it with `COOP_DRIVER=epoll`.

// Not every test binary needs all of it.
#[allow(dead_code)]
#[path = "soundness/child.rs"]
mod child;

use child::{child, descriptors};
use coop::fs::{self, File, OpenOptions};
use coop::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use coop::{Builder, Driver, Killed, op, unblock};
use std::cell::{Cell, RefCell};
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::AsRawFd;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// Longer than anything takes that works.
const LONG: Duration = Duration::from_secs(20);

fn on_epoll<R>(f: impl FnOnce() -> R) -> R {
    Builder::new().driver(Driver::Epoll).run(f).expect("epoll is everywhere")
}

/// Has the kernel refuse a system call of this thread, and of threads that it starts, from now on.
fn forbid(call: libc::c_long, errno: i32) {
    const LOAD: u16 = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
    const JUMP: u16 = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
    const RETURN: u16 = (libc::BPF_RET | libc::BPF_K) as u16;
    let step = |code, jt, jf, k| libc::sock_filter { code, jt, jf, k };
    let mut program = [
        step(LOAD, 0, 0, 0),
        step(JUMP, 0, 1, call as u32),
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

/// A place for files, emptied at the end.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("coop-epoll-{}-{}", std::process::id(), COUNT.fetch_add(1, Relaxed));
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path).unwrap();
        Scratch(path)
    }

    fn fifo(&self) -> PathBuf {
        let path = self.0.join("fifo");
        let text = std::ffi::CString::new(path.to_str().unwrap()).unwrap();
        // SAFETY: a text that ends with a zero.
        assert_eq!(unsafe { libc::mkfifo(text.as_ptr(), 0o600) }, 0);
        path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// One of everything that a program does.
fn everything() -> io::Result<()> {
    // An echo over TCP.
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let mut server = coop::spawn(move || -> io::Result<usize> {
        let (conn, _) = listener.accept()?;
        let (mut buf, mut total) = ([0; 4096], 0);
        loop {
            let n = conn.recv(&mut buf)?;
            if n == 0 {
                return Ok(total);
            }
            conn.send_all(&buf[..n])?;
            total += n;
        }
    });
    let client = TcpStream::connect(address)?;
    let (much, mut back) = (vec![7; 1 << 20], vec![0; 1 << 20]);
    coop::scope(|s| -> io::Result<()> {
        s.try_spawn(|| client.send_all(&much));
        client.recv_exact(&mut back)
    })?;
    assert!(back == much);
    drop(client);
    assert_eq!(server.join().unwrap()?, 1 << 20);
    // Timers, in order: if all three were started before the first was over.
    let (order, began) = (RefCell::new(Vec::new()), Cell::new(coop::time::Instant::now()));
    let is_over = |ms| coop::time::Instant::now() >= began.get() + Duration::from_millis(ms);
    loop {
        let late = Cell::new(false);
        coop::wait_all(|s| {
            began.set(coop::time::Instant::now());
            for ms in [30, 10, 20] {
                let (order, began, late) = (&order, &began, &late);
                s.spawn(move || {
                    coop::time::sleep_until(began.get() + Duration::from_millis(ms)).unwrap();
                    order.borrow_mut().push(ms);
                });
                coop::yield_now().unwrap();
                late.set(late.get() || is_over(10));
            }
        });
        let order = order.take();
        if !late.get() {
            assert_eq!(order, [10, 20, 30]);
            break;
        }
    }
    // Kill, and a deadline, around a wait in the kernel.
    let (ours, theirs) = UnixStream::pair()?;
    let mut task = coop::spawn(move || ours.recv(&mut [0; 8]));
    coop::sleep(Duration::from_millis(5))?;
    task.kill();
    assert!(Killed::is(&task.join().unwrap().unwrap_err()));
    let late = coop::timeout(Duration::from_millis(5), || theirs.recv_exact(&mut [0; 8]));
    assert_eq!(late.unwrap_err().kind(), ErrorKind::UnexpectedEof, "the peer is gone");
    let (ours, _theirs) = UnixStream::pair()?;
    let late = coop::timeout(Duration::from_millis(5), || ours.recv(&mut [0; 8]));
    assert_eq!(late.unwrap_err().kind(), ErrorKind::TimedOut);
    // Files.
    let scratch = Scratch::new();
    let path = scratch.0.join("file");
    fs::write(&path, "some text")?;
    assert_eq!(fs::read_to_string(&path)?, "some text");
    let mut file = OpenOptions::new().append(true).open(&path)?;
    file.write_all(b", and more")?;
    file.sync_all()?;
    fs::rename(&path, scratch.0.join("renamed"))?;
    assert_eq!(fs::metadata(scratch.0.join("renamed"))?.len(), 19);
    assert_eq!(File::open(&path).unwrap_err().kind(), ErrorKind::NotFound);
    fs::remove_file(scratch.0.join("renamed"))?;
    // Threads.
    assert_eq!(unblock(|| 6 * 7)?, 42);
    Ok(())
}

#[test]
fn where_a_seccomp_filter_forbids_io_uring_programs_run_on_epoll_and_that_is_said_once() {
    for errno in [libc::EPERM, libc::ENOSYS] {
        let ended = child!([("ERRNO", &errno.to_string()), ("COOP_DRIVER", "")], || {
            forbid(libc::SYS_io_uring_setup, std::env::var("ERRNO").unwrap().parse().unwrap());
            let before = descriptors();
            for _ in 0..3 {
                coop::run(everything).unwrap();
            }
            assert_eq!(descriptors(), before);
        })
        .succeeded()
        .said("epoll is used instead; likely cause: a seccomp filter forbids io_uring_setup")
        .said("to allow it: run the container with a profile that allows io_uring_setup");
        assert_eq!(ended.stderr.matches("coop: ").count(), 1, "{}", ended.stderr);
    }
}

#[test]
fn calls_that_older_kernels_have_not_are_done_without() {
    child!(|| {
        forbid(libc::SYS_epoll_pwait2, libc::ENOSYS);
        let began = Instant::now();
        on_epoll(everything).unwrap();
        on_epoll(|| coop::sleep(Duration::from_micros(1_500))).unwrap();
        assert!(began.elapsed() >= Duration::from_micros(1_500));
    })
    .succeeded();
}

#[test]
fn where_no_memory_may_be_locked_programs_run_on_epoll() {
    child!([("COOP_DRIVER", "")], || {
        // SAFETY: lowers a limit, and gives up root, to whom it does not apply.
        unsafe {
            let none = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
            assert_eq!(libc::setrlimit(libc::RLIMIT_MEMLOCK, &none), 0);
            assert!(libc::geteuid() != 0 || libc::setuid(65_532) == 0);
        }
        coop::run(everything).unwrap();
    })
    .succeeded()
    .said("RLIMIT_MEMLOCK, which is 0 KiB here");
}

#[test]
fn the_environment_chooses_unless_the_program_does() {
    // Which driver runs shows in the descriptors.
    fn links() -> String {
        let all = std::fs::read_dir("/proc/self/fd").unwrap();
        all.filter_map(|entry| std::fs::read_link(entry.unwrap().path()).ok()).map(|to| format!("{to:?} ")).collect()
    }
    for (variable, has_uring, has_epoll) in [("", true, false), ("uring", true, false), ("epoll", false, true)] {
        let wanted = format!("{has_uring} {has_epoll}");
        child!([("COOP_DRIVER", variable), ("WANTED", &wanted)], || {
            let has = || {
                let links = coop::run(links);
                format!("{} {}", links.contains("io_uring"), links.contains("eventpoll"))
            };
            assert_eq!(has(), std::env::var("WANTED").unwrap());
            assert!(on_epoll(links).contains("eventpoll"));
            assert!(Builder::new().driver(Driver::Uring).run(links).unwrap().contains("io_uring"));
        })
        .succeeded();
    }
}

#[test]
fn a_driver_that_does_not_exist_is_an_error() {
    child!([("COOP_DRIVER", "iocp")], || {
        let error = Builder::new().run(|| ()).unwrap_err();
        assert_eq!(error.os_error().kind(), ErrorKind::InvalidInput);
        assert_eq!(error.cause(), "the environment has COOP_DRIVER=iocp");
        assert_eq!(error.cure(), "set COOP_DRIVER to uring or epoll, or unset it");
    })
    .succeeded();
}

#[test]
fn everything_works_when_asked_for() {
    on_epoll(everything).unwrap();
}

#[test]
fn several_tasks_wait_for_one_descriptor_each_for_its_own_event() {
    on_epoll(|| -> io::Result<()> {
        let (ours, theirs) = UnixStream::pair()?;
        let full = vec![1; 1 << 20];
        let trace = RefCell::new(Vec::new());
        coop::scope(|s| -> io::Result<()> {
            s.try_spawn(|| {
                let n = ours.recv(&mut [0; 8])?;
                trace.borrow_mut().push(format!("received {n}"));
                io::Result::Ok(())
            });
            s.try_spawn(|| {
                ours.send_all(&full)?;
                trace.borrow_mut().push("sent all".into());
                Ok(())
            });
            coop::sleep(Duration::from_millis(5))?;
            assert!(trace.borrow().is_empty(), "{trace:?}");
            theirs.send_all(b"abc")?;
            coop::sleep(Duration::from_millis(5))?;
            assert_eq!(*trace.borrow(), ["received 3"], "the sender waits on");
            theirs.recv_exact(&mut vec![0; 1 << 20])?;
            Ok(())
        })?;
        assert_eq!(*trace.borrow(), ["received 3", "sent all"]);
        Ok(())
    })
    .unwrap();
}

#[test]
fn of_two_receivers_one_gets_what_came_and_the_other_waits_on() {
    on_epoll(|| -> io::Result<()> {
        let (ours, theirs) = UnixStream::pair()?;
        coop::scope(|s| -> io::Result<()> {
            let receive = || {
                let mut buf = [0; 1];
                ours.recv_exact(&mut buf).map(|()| buf[0])
            };
            let (mut first, mut second) = (s.spawn(receive), s.spawn(receive));
            coop::sleep(Duration::from_millis(5))?;
            theirs.send_all(b"1")?;
            coop::sleep(Duration::from_millis(5))?;
            theirs.send_all(b"2")?;
            let mut both = [first.join().unwrap()?, second.join().unwrap()?];
            both.sort();
            assert_eq!(both, *b"12");
            Ok(())
        })
    })
    .unwrap();
}

#[test]
fn a_number_that_is_used_again_stands_for_the_new_descriptor() {
    on_epoll(|| -> io::Result<()> {
        let mut numbers = Vec::new();
        for round in 0..50 {
            let (ours, theirs) = UnixStream::pair()?;
            numbers.push(ours.as_raw_fd());
            // A copy in other hands keeps the connection, and what epoll knows of it, alive.
            let copy = ours.as_raw_fd();
            // SAFETY: duplicates a descriptor.
            let copy = unsafe { libc::dup(copy) };
            let late = coop::timeout(Duration::from_millis(1), || ours.recv(&mut [0; 4]));
            assert_eq!(late.unwrap_err().kind(), ErrorKind::TimedOut, "round {round}");
            drop(ours);
            let (new, other) = UnixStream::pair()?;
            coop::scope(|s| -> io::Result<()> {
                s.try_spawn(|| {
                    coop::sleep(Duration::from_millis(1))?;
                    theirs.send_all(b"to nobody")?;
                    other.send_all(b"to us")
                });
                let mut buf = [0; 16];
                let n = new.recv(&mut buf)?;
                assert_eq!(&buf[..n], b"to us", "round {round}");
                Ok(())
            })?;
            // SAFETY: ours, and closed once.
            unsafe { libc::close(copy) };
        }
        numbers.sort();
        numbers.dedup();
        assert!(numbers.len() < 50, "numbers were used again: {numbers:?}");
        Ok(())
    })
    .unwrap();
}

#[test]
fn a_connection_waits_for_room_in_the_backlog_and_can_be_killed() {
    on_epoll(|| -> io::Result<()> {
        let name = format!("\0coop-epoll-{}", std::process::id());
        let address = {
            use std::os::linux::net::SocketAddrExt;
            std::os::unix::net::SocketAddr::from_abstract_name(&name[1..])?
        };
        // A listener with room for one, which nobody accepts from at first.
        let listener = std::os::unix::net::UnixListener::bind_addr(&address)?;
        // SAFETY: changes the backlog of a listener of ours.
        assert_eq!(unsafe { libc::listen(listener.as_raw_fd(), 0) }, 0);
        let first = UnixStream::connect(&name)?;
        let mut killed = coop::spawn({
            let name = name.clone();
            move || UnixStream::connect(&name)
        });
        let mut patient = coop::spawn({
            let name = name.clone();
            move || UnixStream::connect(&name)
        });
        coop::sleep(Duration::from_millis(20))?;
        killed.kill();
        assert!(Killed::is(&killed.join().unwrap().unwrap_err()));
        let (accepted, _) = listener.accept()?;
        let second = patient.join().unwrap()?;
        let (again, _) = listener.accept()?;
        drop((first, second, accepted, again));
        assert_eq!(TcpStream::connect("127.0.0.1:1").unwrap_err().kind(), ErrorKind::ConnectionRefused);
        let path = Scratch::new();
        let missing = path.0.join("socket");
        assert_eq!(UnixStream::connect(missing.to_str().unwrap()).unwrap_err().kind(), ErrorKind::NotFound);
        drop(UnixListener::bind(missing.to_str().unwrap())?);
        Ok(())
    })
    .unwrap();
}

#[test]
fn more_calls_that_hang_than_threads_are_called_off_one_and_all() {
    child!(|| {
        let scratch = Scratch::new();
        let fifo = scratch.fifo();
        let before = descriptors();
        on_epoll(|| {
            // Nobody ever opens the other end.
            let mut tasks: Vec<_> = (0..100)
                .map(|_| {
                    let fifo = fifo.clone();
                    coop::spawn(move || File::open(&fifo))
                })
                .collect();
            coop::sleep(Duration::from_millis(50)).unwrap();
            let began = Instant::now();
            tasks.iter_mut().for_each(|task| task.kill());
            for task in &mut tasks {
                assert!(Killed::is(&task.join().unwrap().unwrap_err()));
            }
            assert!(began.elapsed() < LONG);
            assert_eq!(fs::read_to_string("/proc/sys/kernel/ostype").unwrap(), "Linux\n", "its threads are free again");
        });
        assert_eq!(descriptors(), before);
    })
    .succeeded();
}

#[test]
fn a_fifo_is_read_and_written_as_it_has_bytes_and_room_and_a_kill_loses_none() {
    const BYTES: usize = 3_000_000;
    let scratch = Scratch::new();
    let fifo = scratch.fifo();
    let from_outside = fifo.clone();
    let writer = std::thread::spawn(move || {
        let mut file = std::fs::OpenOptions::new().write(true).open(from_outside).unwrap();
        let bytes: Vec<u8> = (0..BYTES).map(|n| n as u8).collect();
        file.write_all(&bytes).unwrap();
    });
    let kills = on_epoll(|| -> io::Result<usize> {
        let file = File::open(&fifo)?;
        let (mut all, mut kills) = (Vec::with_capacity(BYTES), 0);
        loop {
            let mut buf = [0; 1000];
            let (result, _) = coop::deadline(Duration::from_micros(5), || (&file).read(&mut buf));
            match result {
                Ok(0) => break,
                Ok(n) => all.extend_from_slice(&buf[..n]),
                Err(error) if Killed::is(&error) => kills += 1,
                Err(error) => return Err(error),
            }
        }
        assert!(all.iter().enumerate().all(|(n, byte)| *byte == n as u8), "a byte was lost");
        assert_eq!(all.len(), BYTES);
        Ok(kills)
    });
    println!("{} reads were killed", kills.unwrap());
    writer.join().unwrap();
}

#[test]
fn tasks_that_never_rest_do_not_keep_the_kernels_news_from_others() {
    on_epoll(|| -> io::Result<()> {
        let (ours, theirs) = UnixStream::pair()?;
        let mut busy = coop::spawn(|| while coop::yield_now().is_ok() {});
        let mut waiting = coop::spawn(move || ours.recv(&mut [0; 8]));
        coop::yield_now()?;
        std::thread::spawn(move || theirs).join().unwrap().send_all(b"news")?;
        assert_eq!(waiting.join().unwrap()?, 4);
        busy.kill();
        busy.join().unwrap();
        Ok(())
    })
    .unwrap();
}

#[test]
fn a_thousand_connections_leave_nothing_behind() {
    child!(|| {
        let before = descriptors();
        on_epoll(|| -> io::Result<()> {
            let listener = TcpListener::bind("127.0.0.1:0")?;
            let address = listener.local_addr()?;
            let mut server = coop::spawn(move || -> io::Result<()> {
                for n in 0..1_000 {
                    let (conn, _) = listener.accept()?;
                    let session = coop::spawn(move || -> io::Result<()> {
                        let mut buf = [0; 16];
                        while let n @ 1.. = conn.recv(&mut buf)? {
                            conn.send_all(&buf[..n])?;
                        }
                        Ok(())
                    });
                    // Every tenth is killed, at some moment.
                    if n % 10 == 0 {
                        session.kill();
                    }
                }
                Ok(())
            });
            let mut answered = 0;
            for _ in 0..1_000 {
                let client = TcpStream::connect(address)?;
                let answer = client.send_all(b"hello").and_then(|()| client.recv_exact(&mut [0; 5]));
                answered += usize::from(answer.is_ok());
            }
            server.join().unwrap()?;
            assert!(answered >= 900, "{answered} of 1,000 were answered");
            Ok(())
        })
        .unwrap();
        assert_eq!(descriptors(), before);
    })
    .succeeded();
}

#[test]
fn an_arm_that_loses_has_had_no_effect() {
    on_epoll(|| -> io::Result<()> {
        let (ours, theirs) = UnixStream::pair()?;
        let mut sender = coop::spawn(move || -> io::Result<()> {
            for n in 0..20_000u32 {
                theirs.send_all(&n.to_le_bytes())?;
                if n % 64 == 0 {
                    coop::yield_now()?;
                }
            }
            Ok(())
        });
        let (mut got, mut losses) = (Vec::new(), 0u64);
        loop {
            let mut buf = [0; 64];
            let n = coop::select! {
                n = op::recv(&ours, &mut buf) => n?,
                _ = op::after(Duration::from_micros(losses % 40)) => { losses += 1; continue }
            }?;
            if n == 0 {
                break;
            }
            got.extend_from_slice(&buf[..n]);
        }
        sender.join().unwrap()?;
        let wanted: Vec<u8> = (0..20_000u32).flat_map(u32::to_le_bytes).collect();
        assert!(got == wanted, "{} of {} bytes, {losses} losses", got.len(), wanted.len());
        assert!(losses > 0);
        Ok(())
    })
    .unwrap();
}
