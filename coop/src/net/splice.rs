//! Moving bytes between descriptors inside the kernel, through a pipe.

use super::Stream;
use super::recv::recv;
use super::send::send_all;
use super::socket::{Socket, begin};
use crate::blocking::error_of;
use crate::fiber::{Detail, Reason};
use crate::handle::{perform, wait_ready};
use crate::io::Partial;
use crate::ring::Sqe;
use crate::sys;
use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::panic::Location;

/// What a call moves at most. Also the pipe's size, as far as the system allows it.
const CHUNK: usize = 256 * 1024;

/// What the kernel says for itself when a signal ends a call: io_uring passes it on from its worker threads.
const ERESTARTSYS: i32 = 512;

/// A pipe that nobody else has: its pages are on their way from one descriptor to the other.
struct Pipe {
    read: OwnedFd,
    write: OwnedFd,
}

impl Pipe {
    fn new() -> io::Result<Pipe> {
        let mut fds = [0; 2];
        // SAFETY: room for two descriptors.
        sys::check(unsafe { libc::pipe2(fds.as_mut_ptr(), libc::O_CLOEXEC) })?;
        // SAFETY: the kernel has just given this process both.
        let [read, write] = fds.map(|fd| unsafe { OwnedFd::from_raw_fd(fd) });
        // SAFETY: a call on a descriptor of ours. A pipe of the usual size does as well.
        unsafe { libc::fcntl(write.as_raw_fd(), libc::F_SETPIPE_SZ, CHUNK as libc::c_int) };
        Ok(Pipe { read, write })
    }
}

/// One splice. `None`: somebody does not know how: the driver, or one of the descriptors. `slow` is the end that may have to be
/// waited for, and for what.
///
/// A wait point; kill-checked: what raced a kill is counted.
fn step(
    from: RawFd,
    offset: Option<u64>,
    to: RawFd,
    len: usize,
    slow: (RawFd, libc::c_short),
    verb: &'static str,
    place: &'static Location<'static>,
) -> io::Result<Option<usize>> {
    loop {
        let cooperator = begin()?;
        let sqe = Sqe::splice(from, offset, to, len);
        // SAFETY: a splice names no memory.
        let result = unsafe { perform(cooperator, sqe, Reason::on(verb, Detail::Descriptor(to)), place)? };
        match usize::try_from(result) {
            Ok(n) => return Ok(Some(n)),
            Err(_) if result == -libc::EINTR || result == -ERESTARTSYS => {}
            // It is non-blocking, and somebody else was faster.
            Err(_) if result == -libc::EAGAIN => wait_ready(cooperator, slow.0, slow.1 as u32, verb, place)?,
            Err(_) if result == -libc::EINVAL => return Ok(None),
            Err(_) => return Err(error_of(result)),
        }
    }
}

/// Has `to` take what is in the pipe.
fn empty(
    pipe: &Pipe,
    mut left: usize,
    to: RawFd,
    done: &mut u64,
    verb: &'static str,
    place: &'static Location<'static>,
) -> io::Result<()> {
    while left > 0 {
        // A socket without room would hold one of the kernel's worker threads until it has.
        wait_ready(begin()?, to, libc::POLLOUT as u32, verb, place)?;
        match step(pipe.read.as_raw_fd(), None, to, left, (to, libc::POLLOUT), verb, place)? {
            Some(0) => return Err(io::ErrorKind::WriteZero.into()),
            Some(n) => {
                left -= n;
                *done += n as u64;
            }
            None => return Err(io::Error::from_raw_os_error(libc::EINVAL)),
        }
    }
    Ok(())
}

/// Sends what comes over `from` on over `to`, until `from` ends; gives the number of bytes. For a proxy: the bytes do not pass
/// through the program's memory where the kernel can do without (splice(2), by way of a pipe). Neither direction is shut down.
///
/// A wait point; kill-checked. There is no operation for it, since it can be half done: run it as a child of a scope.
///
/// ```
/// use coop::net::{self, UnixStream};
/// use std::{io, net::Shutdown};
/// coop::run(|| -> io::Result<()> {
///     let ((client, left), (right, server)) = (UnixStream::pair()?, UnixStream::pair()?);
///     coop::scope(|s| -> io::Result<()> {
///         s.try_spawn(|| {
///             net::splice(&left, &right)?;
///             right.shutdown(Shutdown::Write)
///         });
///         client.send_all(b"through")?;
///         client.shutdown(Shutdown::Write)?;
///         let mut buf = [0; 16];
///         assert_eq!(server.recv(&mut buf)?, 7);
///         assert_eq!(server.recv(&mut buf)?, 0);
///         Ok(())
///     })
/// }).unwrap();
/// ```
///
/// # Errors
/// A [`Partial`] that says how many bytes `to` has taken, with the error of either side, or [`Killed`](crate::Killed). What was
/// taken from `from` and not yet given to `to`, at most 256 KiB, is gone then. Those of pipe2(2); without a Cooperator
/// `Unsupported`.
#[track_caller]
pub fn splice(from: &impl Stream, to: &impl Stream) -> io::Result<u64> {
    let place = Location::caller();
    begin()?;
    let (from, to) = (from.socket(), to.socket());
    let mut done = 0;
    splice_all(from, to, &mut done, place).map_err(|error| Partial::error(done as usize, error))?;
    Ok(done)
}

fn splice_all(from: &Socket, to: &Socket, done: &mut u64, place: &'static Location<'static>) -> io::Result<()> {
    let pipe = Pipe::new()?;
    let news = libc::POLLIN | libc::POLLRDHUP;
    loop {
        // As long as nothing comes, none of the kernel's worker threads is held.
        wait_ready(begin()?, from.fd(), news as u32, "splice", place)?;
        match step(from.fd(), None, pipe.write.as_raw_fd(), CHUNK, (from.fd(), news), "splice", place)? {
            Some(0) => return Ok(()),
            Some(n) => empty(&pipe, n, to.fd(), done, "splice", place)?,
            None => return copy_all(from, to, done),
        }
    }
}

/// Does the same by hand.
fn copy_all(from: &Socket, to: &Socket, done: &mut u64) -> io::Result<()> {
    let mut buffer = vec![0; CHUNK];
    loop {
        let n = recv(from, &mut buffer)?;
        if n == 0 {
            return Ok(());
        }
        send_on(to, &buffer[..n], done)?;
    }
}

fn send_on(to: &Socket, bytes: &[u8], done: &mut u64) -> io::Result<()> {
    match send_all(to, bytes) {
        Ok(()) => {
            *done += bytes.len() as u64;
            Ok(())
        }
        Err(error) => {
            *done += Partial::of(&error).map_or(0, |partial| partial.done as u64);
            Err(error)
        }
    }
}

/// Sends `len` bytes of a file, from `offset` on, over a stream; gives the number of bytes, which is less only where the file
/// ends. The file's own position is neither used nor changed. The bytes do not pass through the program's memory where the
/// kernel can do without (splice(2), by way of a pipe).
///
/// A wait point; kill-checked. There is no operation for it, since it can be half done: run it as a child of a scope.
///
/// ```
/// use coop::net::{self, UnixStream};
/// coop::run(|| -> std::io::Result<()> {
///     let (ours, theirs) = UnixStream::pair()?;
///     let file = std::fs::File::open(std::env::current_exe()?)?;
///     assert_eq!(net::sendfile(&ours, &file, 1, 3)?, 3);
///     let mut buf = [0; 3];
///     theirs.recv_exact(&mut buf)?;
///     assert_eq!(&buf, b"ELF");
///     Ok(())
/// }).unwrap();
/// ```
///
/// # Errors
/// A [`Partial`] that says how many bytes the stream has taken, with the error of either side, or [`Killed`](crate::Killed).
/// Those of pipe2(2); `InvalidInput` for an offset that no file has (2^63 or more); without a Cooperator `Unsupported`.
#[track_caller]
pub fn sendfile(to: &impl Stream, file: &impl AsFd, offset: u64, len: u64) -> io::Result<u64> {
    let place = Location::caller();
    begin()?;
    // No file is longer.
    let Some(most) = (i64::MAX as u64).checked_sub(offset) else {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "no file has so large an offset"));
    };
    let (file, len, mut done) = (file.as_fd().as_raw_fd(), len.min(most), 0);
    send_part(to.socket(), file, offset, len, &mut done, place)
        .map_err(|error| Partial::error(done as usize, error))?;
    Ok(done)
}

fn send_part(
    to: &Socket,
    file: RawFd,
    offset: u64,
    len: u64,
    done: &mut u64,
    place: &'static Location<'static>,
) -> io::Result<()> {
    let pipe = Pipe::new()?;
    while *done < len {
        let some = CHUNK.min(usize::try_from(len - *done).unwrap_or(CHUNK));
        let slow = (file, libc::POLLIN);
        match step(file, Some(offset + *done), pipe.write.as_raw_fd(), some, slow, "sendfile", place)? {
            Some(0) => break,
            Some(n) => empty(&pipe, n, to.fd(), done, "sendfile", place)?,
            None => return send_part_by_hand(to, file, offset, len, done, place),
        }
    }
    Ok(())
}

/// Does the same by hand: reads a piece, and sends it.
fn send_part_by_hand(
    to: &Socket,
    file: RawFd,
    offset: u64,
    len: u64,
    done: &mut u64,
    place: &'static Location<'static>,
) -> io::Result<()> {
    let mut buffer = vec![0; CHUNK];
    while *done < len {
        let cooperator = begin()?;
        let some = CHUNK.min(usize::try_from(len - *done).unwrap_or(CHUNK));
        let sqe = Sqe::read(file, buffer.as_mut_ptr(), some, offset + *done);
        // SAFETY: the buffer is this frame's, which `perform` does not let go of before the last completion.
        let result = unsafe { perform(cooperator, sqe, Reason::on("sendfile", Detail::Descriptor(file)), place)? };
        match usize::try_from(result) {
            Ok(0) => break,
            Ok(n) => send_on(to, &buffer[..n], done)?,
            Err(_) if result == -libc::EINTR => {}
            Err(_) => return Err(error_of(result)),
        }
    }
    Ok(())
}
