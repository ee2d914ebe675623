//! The ends of the pipes to and from a child. Each is this process's alone, so it may be non-blocking: the child's end is another
//! description.

use crate::handle::{Pollable, Readiness};
use crate::io::Transfer;
use crate::net::{Lending, unless_blocked};
use crate::sys;
use std::cell::Cell;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::process::Stdio;

/// One end of a pipe.
#[derive(Debug)]
struct End {
    fd: OwnedFd,
    /// The last call found nothing left, or no room.
    is_exhausted: Cell<bool>,
}

impl End {
    fn new(fd: OwnedFd) -> io::Result<Self> {
        set_nonblocking(&fd, true)?;
        Ok(End { fd, is_exhausted: Cell::new(false) })
    }

    fn readiness(&self) -> Readiness {
        if self.is_exhausted.get() { Readiness::Doubtful } else { Readiness::Maybe }
    }

    /// Notes how a call has ended.
    fn noted(&self, result: io::Result<usize>) -> Option<io::Result<usize>> {
        let result = unless_blocked(result);
        self.is_exhausted.set(result.is_none());
        result
    }
}

fn set_nonblocking(fd: &OwnedFd, yes: bool) -> io::Result<()> {
    let mut on = libc::c_int::from(yes);
    // SAFETY: FIONBIO reads an integer.
    sys::check(unsafe { libc::ioctl(fd.as_raw_fd(), libc::FIONBIO, &raw mut on) }).map(drop)
}

/// What [`op::read_from`](crate::op::read_from) reads: [`ChildStdout`], [`ChildStderr`].
#[allow(private_bounds)]
pub trait Source: HasEnd {}

/// What [`op::write_to`](crate::op::write_to) writes: [`ChildStdin`].
#[allow(private_bounds)]
pub trait Sink: HasEnd {}

trait HasEnd {
    fn end(&self) -> &End;
}

macro_rules! end {
    ($name:ident, $text:literal, $trait:ident) => {
        #[doc = $text]
        #[derive(Debug)]
        pub struct $name(End);

        impl $name {
            pub(super) fn new(fd: OwnedFd) -> io::Result<Self> {
                End::new(fd).map($name)
            }
        }

        impl HasEnd for $name {
            fn end(&self) -> &End {
                &self.0
            }
        }

        impl $trait for $name {}

        impl AsFd for $name {
            fn as_fd(&self) -> BorrowedFd<'_> {
                self.0.fd.as_fd()
            }
        }

        impl AsRawFd for $name {
            fn as_raw_fd(&self) -> RawFd {
                self.0.fd.as_raw_fd()
            }
        }

        impl From<$name> for OwnedFd {
            /// The pipe's end, in blocking mode, as other code expects it.
            fn from(end: $name) -> OwnedFd {
                let _ = set_nonblocking(&end.0.fd, false);
                end.0.fd
            }
        }

        impl From<$name> for Stdio {
            /// For another child, in a pipeline.
            fn from(end: $name) -> Stdio {
                Stdio::from(OwnedFd::from(end))
            }
        }
    };
}

end!(
    ChildStdin,
    "The end of the pipe to a child's standard input. Writing is a wait point, and kill-checked. Dropping it is the end of the input.",
    Sink
);
end!(
    ChildStdout,
    "The end of the pipe from a child's standard output. Reading is a wait point, and kill-checked; 0 bytes are the end.",
    Source
);
end!(
    ChildStderr,
    "The end of the pipe from a child's standard error. Reading is a wait point, and kill-checked; 0 bytes are the end.",
    Source
);

macro_rules! read {
    ($($name:ty),*) => {$(
        impl Read for $name {
            #[track_caller]
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                crate::handle::Blocking::block(Reading::new(self.end(), buffer))
            }
        }
    )*};
}
read!(ChildStdout, &ChildStdout, ChildStderr, &ChildStderr);

macro_rules! write {
    ($($name:ty),*) => {$(
        impl Write for $name {
            #[track_caller]
            fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
                crate::handle::Blocking::block(Writing::new(self.end(), buffer))
            }

            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
    )*};
}
write!(ChildStdin, &ChildStdin);

/// `op::read_from`.
#[doc(hidden)]
pub struct Reading<'a> {
    end: &'a End,
    buffer: &'a mut [u8],
}

impl<'a> Reading<'a> {
    fn new(end: &'a End, buffer: &'a mut [u8]) -> Self {
        Reading { end, buffer }
    }

    pub(crate) fn from(source: &'a impl Source, buffer: &'a mut [u8]) -> Self {
        Self::new(source.end(), buffer)
    }
}

/// As an arm: a read of a non-blocking pipe has taken what it gives, or nothing.
impl Pollable for Reading<'_> {
    type Output = usize;

    fn fd(&self) -> RawFd {
        self.end.fd.as_raw_fd()
    }

    fn events(&self) -> u32 {
        libc::POLLIN as u32
    }

    fn verb(&self) -> &'static str {
        "read from process"
    }

    fn readiness(&self) -> Readiness {
        if self.is_nothing() { Readiness::Maybe } else { self.end.readiness() }
    }

    fn is_nothing(&self) -> bool {
        self.buffer.is_empty()
    }

    fn attempt(&mut self) -> Option<io::Result<usize>> {
        if self.is_nothing() {
            return Some(Ok(0));
        }
        // SAFETY: the buffer is writable, and borrowed.
        let n = unsafe { libc::read(self.fd(), self.buffer.as_mut_ptr().cast(), self.buffer.len()) };
        self.end.noted(sys::check_size(n))
    }
}

impl<'a> Lending for Reading<'a> {
    type Back = Transfer<&'a mut [u8]>;

    fn give_back(&mut self, n: usize) -> Self::Back {
        Transfer::new(n, std::mem::take(&mut self.buffer))
    }
}

/// `op::write_to`.
#[doc(hidden)]
pub struct Writing<'a> {
    end: &'a End,
    buffer: &'a [u8],
}

impl<'a> Writing<'a> {
    fn new(end: &'a End, buffer: &'a [u8]) -> Self {
        Writing { end, buffer }
    }

    pub(crate) fn to(sink: &'a impl Sink, buffer: &'a [u8]) -> Self {
        Self::new(sink.end(), buffer)
    }
}

/// As an arm: a write to a non-blocking pipe has put in what it says, or nothing.
impl Pollable for Writing<'_> {
    type Output = usize;

    fn fd(&self) -> RawFd {
        self.end.fd.as_raw_fd()
    }

    fn events(&self) -> u32 {
        libc::POLLOUT as u32
    }

    fn verb(&self) -> &'static str {
        "write to process"
    }

    fn readiness(&self) -> Readiness {
        if self.is_nothing() { Readiness::Maybe } else { self.end.readiness() }
    }

    fn is_nothing(&self) -> bool {
        self.buffer.is_empty()
    }

    fn attempt(&mut self) -> Option<io::Result<usize>> {
        if self.is_nothing() {
            return Some(Ok(0));
        }
        let write = || {
            // SAFETY: the buffer is readable, and borrowed.
            sys::check_size(unsafe { libc::write(self.fd(), self.buffer.as_ptr().cast(), self.buffer.len()) })
        };
        self.end.noted(without_sigpipe(write))
    }
}

impl<'a> Lending for Writing<'a> {
    type Back = Transfer<&'a [u8]>;

    fn give_back(&mut self, n: usize) -> Self::Back {
        Transfer::new(n, self.buffer)
    }
}

/// Makes a write of which nobody dies: a program that is not started by Rust's runtime has SIGPIPE's default.
fn without_sigpipe(write: impl FnOnce() -> io::Result<usize>) -> io::Result<usize> {
    // SAFETY: zeroed sets and actions are valid; only this thread's mask is changed, and put back as it was. A SIGPIPE by a write
    // is for the thread that writes; one that was pending before stays so.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        libc::sigaction(libc::SIGPIPE, std::ptr::null(), &mut action);
        if action.sa_sigaction != libc::SIG_DFL {
            return write();
        }
        let (mut pipe, mut before, mut pending): (libc::sigset_t, libc::sigset_t, libc::sigset_t) = std::mem::zeroed();
        libc::sigemptyset(&mut pipe);
        libc::sigaddset(&mut pipe, libc::SIGPIPE);
        libc::pthread_sigmask(libc::SIG_BLOCK, &pipe, &mut before);
        libc::sigpending(&mut pending);
        let was_pending = libc::sigismember(&pending, libc::SIGPIPE) == 1;
        let result = write();
        if !was_pending && matches!(&result, Err(error) if error.kind() == io::ErrorKind::BrokenPipe) {
            let now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
            libc::sigtimedwait(&pipe, std::ptr::null_mut(), &now);
        }
        libc::pthread_sigmask(libc::SIG_SETMASK, &before, std::ptr::null_mut());
        result
    }
}
