//! `Builder::hardened` and `COOP_HARDENED`: what they change, and what a kernel that will not do it makes of them. That each opcode
//! is let through or refused is shown beside the ring itself, in `coop/src/ring/hardened_tests.rs`.

#[path = "soundness/child.rs"]
#[allow(dead_code)]
mod child;

use child::child;
use coop::net::{TcpListener, TcpStream, UnixStream};
use coop::{Builder, Driver, fs, op};
use std::io;
use std::time::Duration;

/// Has the kernel refuse a system call of this thread with `errno` from now on.
fn refuse(call: libc::c_long, errno: i32) {
    const LOAD: u16 = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
    const JUMP: u16 = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
    const RETURN: u16 = (libc::BPF_RET | libc::BPF_K) as u16;
    let mut program = [
        libc::sock_filter { code: LOAD, jt: 0, jf: 0, k: 0 },
        libc::sock_filter { code: JUMP, jt: 0, jf: 1, k: call as u32 },
        libc::sock_filter { code: RETURN, jt: 0, jf: 0, k: libc::SECCOMP_RET_ERRNO | errno as u32 },
        libc::sock_filter { code: RETURN, jt: 0, jf: 0, k: libc::SECCOMP_RET_ALLOW },
    ];
    let filter = libc::sock_fprog { len: program.len() as u16, filter: program.as_mut_ptr() };
    // SAFETY: the filter and its program are valid for the calls.
    unsafe {
        assert_eq!(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
        assert_eq!(libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, 0, &raw const filter), 0);
    }
}

/// Sockets, files, a timer, a kill, another thread: one of each kind of thing that goes through the ring.
fn a_day_in_the_life(directory: &std::path::Path) -> io::Result<Vec<u8>> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let mut server = coop::spawn(move || -> io::Result<()> {
        let (conn, _) = listener.accept()?;
        let mut buf = [0; 5];
        let mut got = 0;
        while got < 5 {
            got += conn.recv(&mut buf[got..])?;
        }
        conn.send_all(&buf)
    });
    let conn = TcpStream::connect(address)?;
    conn.send_all(b"hello")?;
    let mut buf = [0; 5];
    let n = coop::select! {
        n = op::recv(&conn, &mut buf) => n?,
        _ = op::after(Duration::from_secs(3600)) => 0,
    }
    .map_err(io::Error::other)?;
    assert!(n > 0);
    server.join().expect("it has not panicked")?;

    let path = directory.join("file");
    fs::write(&path, b"from the ring")?;
    fs::rename(&path, directory.join("moved"))?;
    let text = fs::read(directory.join("moved"))?;
    fs::remove_file(directory.join("moved"))?;

    let (near, _far) = UnixStream::pair()?;
    let mut blocked = coop::spawn(move || near.recv(&mut [0; 1]).is_err());
    coop::yield_now().map_err(io::Error::other)?;
    blocked.kill();
    assert!(blocked.join().expect("it returned"), "the kill has reached it");
    assert_eq!(coop::unblock(|| 6 * 7).map_err(io::Error::other)?, 42);
    coop::sleep(Duration::from_millis(1)).map_err(io::Error::other)?;
    Ok(text)
}

#[test]
fn a_hardened_cooperator_does_all_that_another_does() {
    let directory = std::env::temp_dir().join(format!("coop-hardened-day-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    for hardened in [true, false] {
        let text = Builder::new().hardened(hardened).run(|| a_day_in_the_life(&directory)).unwrap().unwrap();
        assert_eq!(text, b"from the ring");
    }
    let several = Builder::new().hardened(true).cooperators(2).run(|| {
        let other = coop::cooperators().get(1).unwrap().clone();
        let mut task = other.submit(|| 6 * 7).map_err(drop).unwrap();
        task.join().unwrap()
    });
    assert_eq!(several.unwrap(), 42, "each has a hardened ring, and they wake each other");
    std::fs::remove_dir_all(&directory).unwrap();
}

#[test]
fn a_kernel_that_will_not_restrict_rings_is_an_error_that_says_so() {
    child!([("COOP_DRIVER", "")], || {
        refuse(libc::SYS_io_uring_register, libc::EPERM);
        // Without hardening nothing needs that call.
        Builder::new().hardened(false).driver(Driver::Uring).run(|| coop::yield_now().unwrap()).unwrap();
        for builder in [Builder::new(), Builder::new().driver(Driver::Uring)] {
            let error = builder.hardened(true).run(|| ()).expect_err("epoll must not step in");
            assert!(error.is_not_hardened());
            assert_eq!(error.os_error().raw_os_error(), Some(libc::EPERM));
            assert!(error.cause().contains("a seccomp filter forbids io_uring_register"), "{error}");
            assert!(error.cure().contains("start without `Builder::hardened`"), "{error}");
        }
        // There is nothing to restrict on epoll.
        Builder::new().hardened(true).driver(Driver::Epoll).run(|| coop::yield_now().unwrap()).unwrap();
    })
    .succeeded()
    .did_not_say("epoll is used instead");
}

#[test]
fn where_io_uring_itself_is_refused_a_hardened_cooperator_runs_on_epoll() {
    child!([("COOP_DRIVER", ""), ("COOP_HARDENED", "1")], || {
        refuse(libc::SYS_io_uring_setup, libc::EPERM);
        let error = Builder::new().driver(Driver::Uring).run(|| ()).expect_err("there is no ring");
        assert!(!error.is_not_hardened(), "it is not the hardening that was refused");
        Builder::new().run(|| coop::yield_now().unwrap()).unwrap();
    })
    .succeeded()
    .said("epoll is used instead");
}

#[test]
fn the_environment_asks_for_it_and_the_program_decides() {
    // Whether a ring is hardened shows in what happens without io_uring_register.
    for (value, hardened) in [("1", true), ("0", false), ("", false)] {
        child!([("COOP_DRIVER", "uring"), ("COOP_HARDENED", value), ("EXPECTED", &hardened.to_string())], || {
            let hardened = std::env::var("EXPECTED").unwrap() == "true";
            refuse(libc::SYS_io_uring_register, libc::EACCES);
            let refused = Builder::new().run(|| ()).is_err_and(|error| error.is_not_hardened());
            assert_eq!(refused, hardened);
            Builder::new().hardened(false).run(|| ()).unwrap();
            assert!(Builder::new().hardened(true).run(|| ()).unwrap_err().is_not_hardened());
        })
        .succeeded();
    }
}

#[test]
fn what_the_environment_cannot_mean_is_an_error() {
    child!([("COOP_DRIVER", "uring"), ("COOP_HARDENED", "please")], || {
        let error = Builder::new().run(|| ()).unwrap_err();
        assert_eq!(error.cause(), "the environment has COOP_HARDENED=please");
        assert_eq!(error.cure(), "set COOP_HARDENED to 1 or 0, or unset it");
        assert_eq!(error.os_error().kind(), io::ErrorKind::InvalidInput);
        Builder::new().hardened(true).run(|| ()).unwrap();
    })
    .succeeded();
}
