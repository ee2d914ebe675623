//! Why a Cooperator could not start, in words that name the cure.

use crate::ring::{TaskRun, Uring};
use std::error::Error;
use std::fmt;
use std::fs;
use std::io;

/// A Cooperator could not be started: the kernel would not give it a ring, or there was no memory for the root's stack.
///
/// Its text names the likely cause, as found in the process's surroundings, and the cure. It converts into an
/// [`io::Error`] of the same kind.
#[derive(Debug)]
pub struct StartError {
    error: io::Error,
    cause: String,
    cure: String,
}

impl StartError {
    /// What the kernel said.
    pub fn os_error(&self) -> &io::Error {
        &self.error
    }

    /// What most likely made it say so.
    pub fn cause(&self) -> &str {
        &self.cause
    }

    /// What to do.
    pub fn cure(&self) -> &str {
        &self.cure
    }

    pub(super) fn stack(error: io::Error) -> Self {
        StartError {
            error,
            cause: "there is no address space for the root task's stack".into(),
            cure: "raise RLIMIT_AS (ulimit -v), or ask for a smaller one with `Builder::root_stack`".into(),
        }
    }

    fn ring(error: io::Error) -> Self {
        let (cause, cure) = match error.raw_os_error() {
            Some(libc::EPERM) => forbidden(),
            Some(libc::ENOSYS) if is_filtered() => filtered(),
            Some(libc::ENOSYS) => (
                format!("Linux {} was built without io_uring", kernel()),
                "run a kernel with CONFIG_IO_URING".into(),
            ),
            Some(libc::EINVAL) => (
                format!("Linux {} is too old: coop needs DEFER_TASKRUN, which came with 6.1", kernel()),
                "run Linux 6.1 or newer".into(),
            ),
            Some(libc::ENOMEM) => (
                format!("the ring's memory counts against RLIMIT_MEMLOCK, which is {} here and shared by the user's processes", memlock()),
                "raise it (ulimit -l, LimitMEMLOCK= in systemd, --ulimit memlock= in Docker), or ask for fewer entries with `Builder::ring_entries`".into(),
            ),
            Some(libc::EMFILE | libc::ENFILE) => (
                "the process or the system has no file descriptor left".into(),
                "raise RLIMIT_NOFILE (ulimit -n), or look for a leak in /proc/self/fd".into(),
            ),
            _ => (format!("unknown, on Linux {}", kernel()), "see io_uring_setup(2) for this error".into()),
        };
        StartError { error, cause, cure }
    }
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot start a Cooperator: {}\n  likely cause: {}\n  cure: {}", self.error, self.cause, self.cure)
    }
}

impl Error for StartError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.error)
    }
}

impl From<StartError> for io::Error {
    fn from(error: StartError) -> Self {
        io::Error::new(error.error.kind(), error)
    }
}

/// A ring of the running kernel.
pub(super) fn ring(entries: u32, task_run: TaskRun) -> Result<Uring, StartError> {
    Uring::new(entries, task_run).map_err(StartError::ring)
}

fn forbidden() -> (String, String) {
    match read("/proc/sys/kernel/io_uring_disabled").trim() {
        "2" => (
            "the sysctl kernel.io_uring_disabled is 2: nobody may use io_uring".into(),
            "sysctl kernel.io_uring_disabled=0".into(),
        ),
        "1" => (
            "the sysctl kernel.io_uring_disabled is 1, and this process has neither CAP_SYS_ADMIN nor the group of kernel.io_uring_group".into(),
            "sysctl kernel.io_uring_disabled=0, or add the user to that group".into(),
        ),
        _ => filtered(),
    }
}

fn filtered() -> (String, String) {
    (
        "a seccomp filter forbids io_uring_setup, as the default profiles of Docker and containerd do".into(),
        "run the container with a profile that allows io_uring_setup, io_uring_enter and io_uring_register (or --security-opt seccomp=unconfined)".into(),
    )
}

/// Whether a seccomp filter is in force for this thread.
fn is_filtered() -> bool {
    read("/proc/thread-self/status")
        .lines()
        .any(|line| line.strip_prefix("Seccomp:").is_some_and(|mode| mode.trim() == "2"))
}

fn kernel() -> String {
    read("/proc/sys/kernel/osrelease").trim().to_owned()
}

fn memlock() -> String {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is a valid place for the result.
    match unsafe { libc::getrlimit(libc::RLIMIT_MEMLOCK, &mut limit) } {
        0 => format!("{} KiB", limit.rlim_cur / 1024),
        _ => "unknown".into(),
    }
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}
