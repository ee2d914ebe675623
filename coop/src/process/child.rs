//! A child that was started.

use super::pipe::{ChildStderr, ChildStdin, ChildStdout};
use super::{Output, reaper};
use crate::error::Killed;
use crate::handle::{Blocking, Pollable, PolledFlight, Readiness, call_when_ready};
use crate::sys;
use crate::task;
use std::cell::{Cell, RefCell};
use std::fmt;
use std::io::{self, Read};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::process::ExitStatus;

/// A child that has just been started, on its way to the task.
pub(super) struct Started {
    /// `None` once given on.
    child: Option<(std::process::Child, OwnedFd)>,
}

impl Started {
    /// Starts the child. Blocks.
    pub(super) fn new(command: &mut std::process::Command) -> io::Result<Self> {
        let mut child = command.spawn()?;
        // The child is not reaped yet, so the number is its.
        // SAFETY: pidfd_open has no preconditions. The descriptor is close-on-exec.
        let pidfd = sys::owned(unsafe { libc::syscall(libc::SYS_pidfd_open, child.id(), 0) } as libc::c_int);
        match pidfd {
            Ok(pidfd) => Ok(Started { child: Some((child, pidfd)) }),
            Err(error) => {
                // Without it nothing could be said about the child.
                let _ = child.kill();
                let _ = child.wait();
                Err(error)
            }
        }
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        if let Some((child, pidfd)) = self.child.take() {
            reaper::leave(child, pidfd);
        }
    }
}

/// A child process: made by [`Command::spawn`](super::Command::spawn).
///
/// Its end is waited for by [`wait`](Self::wait), or by [`op::child_exit`](crate::op::child_exit): in a `select!`, or by several tasks,
/// each of which gets the status.
///
/// ```
/// use coop::{op, process::Command};
/// use std::time::Duration;
/// coop::run(|| -> std::io::Result<()> {
///     let mut child = Command::new("sleep").arg("3600").spawn()?;
///     let status = coop::select! {
///         status = op::child_exit(&child) => status?,
///         _ = op::after(Duration::from_millis(10)) => { child.kill()?; child.wait()? }
///     }?;
///     assert!(!status.success());
///     Ok(())
/// }).unwrap();
/// ```
///
/// Dropped before it has ended the child goes on by itself, unless
/// [`Command::kill_on_drop`](super::Command::kill_on_drop) was said; in either case a thread in the background collects its
/// status, so that no zombie is left. Dropping is not a wait point.
pub struct Child {
    /// The end of the pipe to its standard input, if that was asked for. Dropping it is the end of the input.
    pub stdin: Option<ChildStdin>,
    /// The end of the pipe from its standard output, if that was asked for.
    pub stdout: Option<ChildStdout>,
    /// The end of the pipe from its standard error, if that was asked for.
    pub stderr: Option<ChildStderr>,
    /// `None` once given on.
    process: RefCell<Option<(std::process::Child, OwnedFd)>>,
    pidfd: RawFd,
    id: u32,
    status: Cell<Option<ExitStatus>>,
    is_killed_on_drop: bool,
    /// The process whose child it is: not that of a copy of this in a fork.
    parent: u32,
}

impl Child {
    pub(super) fn new(mut started: Started, is_killed_on_drop: bool) -> io::Result<Self> {
        let Some((process, pidfd)) = &mut started.child else {
            return Err(io::ErrorKind::NotFound.into());
        };
        let stdin = process.stdin.take().map(|pipe| ChildStdin::new(pipe.into())).transpose();
        let stdout = process.stdout.take().map(|pipe| ChildStdout::new(pipe.into())).transpose();
        let stderr = process.stderr.take().map(|pipe| ChildStderr::new(pipe.into())).transpose();
        let (number, id) = (pidfd.as_raw_fd(), process.id());
        Ok(Child {
            stdin: stdin?,
            stdout: stdout?,
            stderr: stderr?,
            process: RefCell::new(started.child.take()),
            pidfd: number,
            id,
            status: Cell::new(None),
            is_killed_on_drop,
            parent: std::process::id(),
        })
    }

    /// Its process number. Once it has ended and its status was taken, the number may be another's.
    pub fn id(&self) -> u32 {
        self.id
    }

    /// Closes its standard input, if that is a pipe whose end is still in [`stdin`](Self::stdin), so that a child that reads to the
    /// end does not wait for it; then waits until it has ended. [`op::child_exit`](crate::op::child_exit) only waits.
    ///
    /// A wait point; kill-checked: a status that raced a kill is kept for the next call.
    ///
    /// # Errors
    /// [`Killed`]; `Unsupported` without a Cooperator; `ECHILD` when somebody else in this process has collected the status, for
    /// example by ignoring SIGCHLD.
    #[track_caller]
    pub fn wait(&mut self) -> io::Result<ExitStatus> {
        drop(self.stdin.take());
        Exiting::new(self).block()
    }

    /// Its status, if it has ended. Not a wait point.
    ///
    /// # Errors
    /// `ECHILD`, as [`wait`](Self::wait).
    pub fn try_wait(&self) -> io::Result<Option<ExitStatus>> {
        if self.status.get().is_none()
            && let Some((process, _)) = &mut *self.process.borrow_mut()
        {
            self.status.set(process.try_wait()?);
        }
        Ok(self.status.get())
    }

    /// Sends it a signal. Nothing happens to one that has ended. Not a wait point.
    ///
    /// ```
    /// use coop::process::Command;
    /// use std::os::unix::process::ExitStatusExt;
    /// coop::run(|| -> std::io::Result<()> {
    ///     let mut child = Command::new("sleep").arg("3600").spawn()?;
    ///     child.signal(15)?;
    ///     assert_eq!(child.wait()?.signal(), Some(15));
    ///     Ok(())
    /// }).unwrap();
    /// ```
    ///
    /// # Errors
    /// Those of pidfd_send_signal(2): `InvalidInput` for a number that is no signal's, `PermissionDenied` when the child has become
    /// another user's.
    pub fn signal(&self, number: i32) -> io::Result<()> {
        send_signal(self.pidfd, number)
    }

    /// Kills it (SIGKILL). It has ended when [`wait`](Self::wait) says so. Nothing happens to one that has ended. Not a wait point.
    ///
    /// # Errors
    /// As [`signal`](Self::signal).
    pub fn kill(&self) -> io::Result<()> {
        self.signal(libc::SIGKILL)
    }

    /// Closes its standard input, collects what it writes to standard output and error, both at the same time so that neither pipe
    /// stays full, and waits for its end.
    ///
    /// A wait point; kill-checked. When the task is killed, or reading fails, the child is dropped.
    ///
    /// # Errors
    /// As [`wait`](Self::wait), and those of reading.
    #[track_caller]
    pub fn wait_with_output(mut self) -> io::Result<Output> {
        drop(self.stdin.take());
        let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
        match (self.stdout.take(), self.stderr.take()) {
            (Some(mut out), Some(mut err)) => task::scope(|s| -> io::Result<()> {
                let (stdout, stderr) = (&mut stdout, &mut stderr);
                s.try_spawn(move || err.read_to_end(stderr).map(drop));
                out.read_to_end(stdout).map(drop)
            })?,
            (Some(mut out), None) => drop(out.read_to_end(&mut stdout)?),
            (None, Some(mut err)) => drop(err.read_to_end(&mut stderr)?),
            (None, None) => {}
        }
        Ok(Output { status: self.wait()?, stdout, stderr })
    }
}

fn send_signal(pidfd: RawFd, number: i32) -> io::Result<()> {
    // SAFETY: pidfd_send_signal has no preconditions; without a description the signal is as kill(2)'s.
    let result = unsafe { libc::syscall(libc::SYS_pidfd_send_signal, pidfd, number, std::ptr::null::<()>(), 0) };
    match sys::check(result as libc::c_int) {
        Err(error) if error.raw_os_error() == Some(libc::ESRCH) => Ok(()),
        result => result.map(drop),
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if let Some((process, pidfd)) = self.process.get_mut().take()
            && self.status.get().is_none()
            && self.parent == std::process::id()
        {
            if self.is_killed_on_drop {
                let _ = send_signal(pidfd.as_raw_fd(), libc::SIGKILL);
            }
            reaper::leave(process, pidfd);
        }
    }
}

impl fmt::Debug for Child {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Child").field("id", &self.id).field("status", &self.status.get()).finish_non_exhaustive()
    }
}

/// `op::child_exit`.
#[doc(hidden)]
pub struct Exiting<'a> {
    child: &'a Child,
}

impl<'a> Exiting<'a> {
    pub(crate) fn new(child: &'a Child) -> Self {
        Exiting { child }
    }
}

/// As an arm: to poll a pidfd does nothing to the child. The winner collects the status, without blocking; it stays with the
/// `Child`, where everybody who waits finds it, also one who has lost this time.
impl Pollable for Exiting<'_> {
    type Output = ExitStatus;

    fn fd(&self) -> RawFd {
        self.child.pidfd
    }

    fn events(&self) -> u32 {
        libc::POLLIN as u32
    }

    fn verb(&self) -> &'static str {
        "wait for process"
    }

    fn readiness(&self) -> Readiness {
        // Until then the poll finds out.
        if self.child.status.get().is_some() { Readiness::Maybe } else { Readiness::Doubtful }
    }

    fn attempt(&mut self) -> Option<io::Result<ExitStatus>> {
        self.child.try_wait().transpose()
    }
}

impl<'a> Blocking for Exiting<'a> {
    type Started = io::Result<ExitStatus>;
    type Flight = PolledFlight<Exiting<'a>>;

    #[track_caller]
    fn block(mut self) -> io::Result<ExitStatus> {
        call_when_ready(task::begin_io()?, &mut self)
    }

    fn into_flight(self) -> Self::Flight {
        PolledFlight::new(self)
    }

    fn joined(result: Result<Self::Started, Killed>) -> Self::Started {
        result?
    }
}
