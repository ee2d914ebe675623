//! A hardened ring, asked for everything: each opcode that this crate uses is done, and every other there could be is refused.

use super::submission::*;
use super::{Cqe, Patience, Ring, Sqe, TaskRun, Uring};
use crate::sys;
use std::ffi::CString;
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsRawFd, RawFd};
use std::path::{Path, PathBuf};
use std::ptr;

fn hardened() -> Uring {
    Uring::new_hardened(64, TaskRun::Deferred).expect("this kernel restricts rings")
}

/// Does one operation and gives its completion.
fn complete(ring: &Uring, sqe: Sqe) -> Cqe {
    ring.push(sqe.with_user_data(7));
    let mut completed = None;
    while completed.is_none() {
        ring.enter(Patience::Forever).unwrap();
        ring.reap(|cqe| completed = Some(cqe));
    }
    completed.unwrap()
}

/// What one operation gave, which must not be an error.
#[track_caller]
fn done(ring: &Uring, sqe: Sqe) -> i32 {
    let result = complete(ring, sqe).result;
    assert!(result >= 0, "{sqe:?}: {}", std::io::Error::from_raw_os_error(-result));
    result
}

struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Self {
        let path = std::env::temp_dir().join(format!("coop-hardened-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Scratch(path)
    }

    fn path(&self, name: &str) -> CString {
        CString::new(self.0.join(name).into_os_string().into_encoded_bytes()).unwrap()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn every_opcode_that_is_used_is_done() {
    let (ring, scratch) = (hardened(), Scratch::new());
    let here = libc::AT_FDCWD;
    let mut seen = Vec::new();
    let mut done = |sqe: Sqe| {
        seen.push(sqe.opcode);
        done(&ring, sqe)
    };

    // Files.
    let (file, moved, linked, named) =
        (scratch.path("file"), scratch.path("moved"), scratch.path("l"), scratch.path("s"));
    let fd = done(Sqe::openat(here, file.as_ptr(), libc::O_CREAT | libc::O_RDWR, 0o600).on_a_worker());
    let mut bytes = *b"0123456789abcdef";
    let piece = libc::iovec { iov_base: bytes.as_mut_ptr().cast(), iov_len: 16 };
    assert_eq!(done(Sqe::write(fd, bytes.as_ptr(), 16, 0)), 16);
    assert_eq!(done(Sqe::writev(fd, &piece, 1, 16)), 16);
    assert_eq!(done(Sqe::read(fd, bytes.as_mut_ptr(), 4, 10)), 4);
    assert_eq!(&bytes[..5], b"abcd4");
    assert_eq!(done(Sqe::readv(fd, &piece, 1, 16)), 16);
    done(Sqe::fsync(fd, 0));
    done(Sqe::fallocate(fd, 0, 0, 100));
    done(Sqe::ftruncate(fd, 8));
    // SAFETY: a zeroed statx is valid.
    let mut stat: libc::statx = unsafe { std::mem::zeroed() };
    done(Sqe::statx(here, file.as_ptr(), 0, libc::STATX_SIZE, &mut stat));
    assert_eq!(stat.stx_size, 8);
    done(Sqe::renameat(here, file.as_ptr(), here, moved.as_ptr()));
    done(Sqe::linkat(here, moved.as_ptr(), here, linked.as_ptr()));
    done(Sqe::symlinkat(moved.as_ptr(), here, named.as_ptr()));
    done(Sqe::mkdirat(here, scratch.path("dir").as_ptr(), 0o700));
    done(Sqe::unlinkat(here, linked.as_ptr(), 0));
    assert!(Path::new(named.to_str().unwrap()).exists() && !Path::new(linked.to_str().unwrap()).exists());

    // Sockets and pipes.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let dialler = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let _queued = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let accepted = done(Sqe::accept_multishot(listener.as_raw_fd(), libc::SOCK_CLOEXEC));
    // SAFETY: the ring has just made it, and nobody else has it.
    let accepted = unsafe { <TcpStream as std::os::fd::FromRawFd>::from_raw_fd(accepted) };
    let port = accepted.local_addr().unwrap().port().to_be();
    let address = libc::sockaddr_in {
        sin_family: libc::AF_INET as u16,
        sin_port: port,
        sin_addr: libc::in_addr { s_addr: u32::from_ne_bytes([127, 0, 0, 1]) },
        sin_zero: [0; 8],
    };
    done(Sqe::connect(dialler.as_raw_fd(), ptr::from_ref(&address).cast(), size_of::<libc::sockaddr_in>() as u32));
    let pair = std::os::unix::net::UnixStream::pair().unwrap();
    assert_eq!(done(Sqe::send(pair.0.as_raw_fd(), bytes.as_ptr(), 4, 0)), 4);
    done(Sqe::poll(pair.1.as_raw_fd(), libc::POLLIN as u32));
    assert_eq!(done(Sqe::recv(pair.1.as_raw_fd(), bytes.as_mut_ptr(), 16, 0, POLL_FIRST)), 4);
    let pipe = std::io::pipe().unwrap();
    assert_eq!(done(Sqe::splice(fd, Some(0), pipe.1.as_raw_fd(), 8)), 8);
    // SAFETY: the ring has opened it for this test.
    unsafe { libc::close(fd) };

    // To cancel what there is not is answered so, which a refusal would not be.
    let cancelled = complete(&ring, Sqe::cancel(99)).result;
    assert_eq!(cancelled, -libc::ENOENT);
    seen.push(ASYNC_CANCEL);

    let mut used = USED;
    used.sort_unstable();
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen, used, "everything on the list was tried, and nothing else");
}

#[test]
fn every_opcode_that_is_not_used_is_refused() {
    let (ring, free) = (hardened(), Uring::new(64, TaskRun::Deferred).unwrap());
    let mut refused = 0;
    for opcode in (0..=u8::MAX).filter(|opcode| !USED.contains(opcode)) {
        let mut nonsense = Sqe::cancel(99);
        nonsense.opcode = opcode;
        let result = complete(&ring, nonsense).result;
        if complete(&free, nonsense).result == -libc::EINVAL && result == -libc::EINVAL {
            // No kernel knows more than these; what it does not know it says of every ring.
            assert!(opcode >= 58, "opcode {opcode} is as invalid on a hardened ring as on another");
        } else {
            assert_eq!(result, -libc::EACCES, "opcode {opcode}");
            refused += 1;
        }
    }
    // Linux 6.1 has 49 opcodes, of which FTRUNCATE is none.
    assert!(refused >= 49 - 20, "only {refused} opcodes were refused");
}

#[test]
fn no_flag_but_one_is_taken() {
    let ring = hardened();
    for flag in 0..8u8 {
        let mut sqe = Sqe::recv(-1, ptr::null_mut(), 0, 0, 0);
        sqe.flags = 1 << flag;
        let expected = match flag {
            // IOSQE_ASYNC, with which calls on files are made.
            4 => -libc::EBADF,
            // No kernel knows it.
            7 => -libc::EINVAL,
            _ => -libc::EACCES,
        };
        assert_eq!(complete(&ring, sqe).result, expected, "flag {flag}");
    }
}

#[test]
fn nothing_can_be_registered_and_nothing_lifted() {
    let ring = hardened();
    let fd: RawFd = ring.ring().as_raw_fd();
    let refusals = (0..=40u32).filter(|opcode| {
        // SAFETY: no kernel reads anything of a null argument without entries.
        let result = unsafe { libc::syscall(libc::SYS_io_uring_register, fd, *opcode, ptr::null::<u8>(), 0) };
        assert!(result < 0, "register {opcode}");
        std::io::Error::last_os_error().raw_os_error() == Some(libc::EACCES)
    });
    // Linux 6.1 knows 26; what a kernel does not know is EINVAL.
    assert!(refusals.count() >= 26);
}

#[test]
fn messages_of_other_threads_still_come() {
    let ring = hardened();
    let bell = sys::Bell::new().unwrap();
    bell.connect(ring.duplicate().unwrap(), 77);
    std::thread::scope(|scope| scope.spawn(|| bell.ring()).join().unwrap());
    let mut poll = libc::pollfd { fd: bell.fd(), events: libc::POLLIN, revents: 0 };
    // SAFETY: an array of one.
    if unsafe { libc::poll(&mut poll, 1, 0) } == 0 {
        let mut messages = Vec::new();
        ring.enter(Patience::Forever).unwrap();
        ring.reap(|cqe| messages.push(cqe.user_data));
        assert_eq!(messages, [77]);
    }
}

#[test]
fn the_list_has_every_opcode_there_is_a_name_for() {
    let named = include_str!("submission.rs").lines().filter(|line| {
        let constant = line.strip_prefix("pub(crate) const ").and_then(|rest| rest.split_once(": u8 = "));
        constant.is_some()
    });
    assert_eq!(named.count(), USED.len());
}
