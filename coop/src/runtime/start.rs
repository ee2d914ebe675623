//! What a Cooperator starts on, and why it could not start, in words that name the cure.

use crate::ring::{self, Epoll, Faults, Faulty, NotHardened, TaskRun, Uring};
use crate::sys;
use std::env;
use std::error::Error;
use std::fmt;
use std::fs;
use std::io;
use std::sync::Once;
use std::time::Duration;

/// By what a Cooperator reaches the kernel.
///
/// Unless [`Builder::driver`](crate::Builder::driver) or the environment says otherwise (`COOP_DRIVER=uring` or
/// `COOP_DRIVER=epoll`), it is io_uring, and epoll where the kernel refuses that: then one line on standard error says what was
/// refused, and how to allow it.
///
/// ```
/// use coop::{Builder, Driver};
/// let answer = Builder::new().driver(Driver::Epoll).run(|| coop::unblock(|| 42)).unwrap();
/// assert_eq!(answer, Ok(42));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Driver {
    /// io_uring, of Linux 6.1 or newer. Where it is refused the Cooperator does not start.
    Uring,
    /// epoll, with calls on files made by threads. Everything works as on io_uring, with more system calls. A call that a thread has
    /// begun for a task that is killed is interrupted by SIGURG, which does nothing else (unless the program has a handler for
    /// it, which is left alone); what no signal interrupts, as a transfer from a disk, is waited for.
    Epoll,
}

/// What the environment asks for.
const VARIABLE: &str = "COOP_DRIVER";

/// Whether it asks for a hardened ring.
const HARDENED: &str = "COOP_HARDENED";

/// A Cooperator could not be started: the kernel would not give it what its [`Driver`] needs, there was no memory for the root's stack, or no
/// thread to run it.
///
/// Its text names the likely cause, as found in the process's surroundings, and the cure. It converts into an
/// [`io::Error`] of the same kind.
#[derive(Debug)]
pub struct StartError {
    error: io::Error,
    cause: String,
    cure: String,
    is_not_hardened: bool,
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

    /// Whether there would have been a ring, but not a [hardened](crate::Builder::hardened) one.
    pub fn is_not_hardened(&self) -> bool {
        self.is_not_hardened
    }

    pub(super) fn stack(error: io::Error) -> Self {
        StartError {
            error,
            is_not_hardened: false,
            cause: "there is no address space for the root task's stack".into(),
            cure: "raise RLIMIT_AS (ulimit -v), or ask for a smaller one with `Builder::root_stack`".into(),
        }
    }

    pub(super) fn thread(error: io::Error) -> Self {
        StartError {
            error,
            is_not_hardened: false,
            cause: "the process may have no more threads or file descriptors".into(),
            cure: "raise RLIMIT_NPROC or the cgroup's pids.max, or RLIMIT_NOFILE; or start fewer Cooperators".into(),
        }
    }

    fn variable(name: &str, value: &std::ffi::OsStr, wanted: &str) -> Self {
        StartError {
            error: io::Error::new(io::ErrorKind::InvalidInput, format!("{name} cannot be understood")),
            cause: format!("the environment has {name}={}", value.display()),
            cure: format!("set {name} to {wanted}, or unset it"),
            is_not_hardened: false,
        }
    }

    /// Whether the kernel will not have io_uring, as against having no descriptor left for anything.
    fn is_refusal(&self) -> bool {
        !self.is_not_hardened
            && matches!(self.error.raw_os_error(), Some(libc::EPERM | libc::ENOSYS | libc::EINVAL | libc::ENOMEM))
    }

    /// The ring is there, but will not be restricted. What was to be hardened must not go on otherwise.
    fn restrictions(error: io::Error) -> Self {
        StartError {
            cause: match error.raw_os_error() {
                Some(libc::EPERM | libc::EACCES | libc::ENOSYS) if is_filtered() => {
                    "a seccomp filter forbids io_uring_register, which restricts the ring of a hardened Cooperator"
                        .into()
                }
                _ => format!("Linux {} does not restrict rings (IORING_REGISTER_RESTRICTIONS)", kernel()),
            },
            cure: format!("allow io_uring_register, or start without `Builder::hardened` and {HARDENED}, or on epoll"),
            error,
            is_not_hardened: true,
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
            _ => (
                format!("unknown, on Linux {}", kernel()),
                "see io_uring_setup(2) or epoll_create(2) for this error".into(),
            ),
        };
        StartError { error, cause, cure, is_not_hardened: false }
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

/// The driver that was chosen, or else the best that the running kernel allows.
pub(super) fn driver(
    choice: Option<Driver>,
    hardened: Option<bool>,
    entries: u32,
    task_run: TaskRun,
) -> Result<ring::Driver, StartError> {
    let hardened = hardened.map_or_else(hardened_from_environment, Ok)?;
    let uring = || {
        let ring = match hardened {
            false => Uring::new(entries, task_run).map_err(StartError::ring),
            true => Uring::new_hardened(entries, task_run).map_err(|error| match error {
                NotHardened::NoRing(error) => StartError::ring(error),
                NotHardened::NoRestrictions(error) => StartError::restrictions(error),
            }),
        };
        Ok(ring::Driver::Uring(Box::new(ring?)))
    };
    let epoll = || match Epoll::new() {
        Ok(ring) => Ok(ring::Driver::Epoll(Box::new(ring))),
        Err(error) => Err(StartError::ring(error)),
    };
    match choice.map_or_else(from_environment, |driver| Ok(Some(driver)))? {
        Some(Driver::Uring) => uring(),
        Some(Driver::Epoll) => epoll(),
        None => uring().or_else(|error| {
            if !error.is_refusal() {
                return Err(error);
            }
            let driver = epoll()?;
            static SAID: Once = Once::new();
            SAID.call_once(|| {
                let StartError { error, cause, cure, .. } = &error;
                sys::say(format_args!(
                    "coop: io_uring is refused ({error}), epoll is used instead; likely cause: {cause}; to allow it: {cure}"
                ));
            });
            Ok(driver)
        }),
    }
}

/// The same with faults, unless hardened.
pub(super) fn faulty_driver(
    faults: Faults,
    choice: Option<Driver>,
    entries: u32,
    task_run: TaskRun,
) -> Result<ring::Driver, StartError> {
    let choice = choice.map_or_else(from_environment, |driver| Ok(Some(driver)))?;
    let ring = Faulty::new(faults, choice == Some(Driver::Epoll), entries, task_run);
    ring.map(ring::Driver::from).map_err(StartError::ring)
}

fn from_environment() -> Result<Option<Driver>, StartError> {
    let Some(value) = env::var_os(VARIABLE) else { return Ok(None) };
    match value.to_str() {
        Some("") => Ok(None),
        Some("uring") => Ok(Some(Driver::Uring)),
        Some("epoll") => Ok(Some(Driver::Epoll)),
        _ => Err(StartError {
            is_not_hardened: false,
            error: io::Error::new(io::ErrorKind::InvalidInput, "no such driver"),
            cause: format!("the environment has {VARIABLE}={}", value.display()),
            cure: format!("set {VARIABLE} to uring or epoll, or unset it"),
        }),
    }
}

fn hardened_from_environment() -> Result<bool, StartError> {
    let Some(value) = env::var_os(HARDENED) else { return Ok(false) };
    match value.to_str() {
        Some("" | "0") => Ok(false),
        Some("1") => Ok(true),
        _ => Err(StartError {
            is_not_hardened: false,
            error: io::Error::new(io::ErrorKind::InvalidInput, "neither hardened nor not"),
            cause: format!("the environment has {HARDENED}={}", value.display()),
            cure: format!("set {HARDENED} to 1 or 0, or unset it"),
        }),
    }
}

/// Whether a variable has the one word that it may have.
pub(super) fn word_from_environment(variable: &str, word: &str) -> Result<bool, StartError> {
    match env::var_os(variable) {
        None => Ok(false),
        Some(value) if value.is_empty() => Ok(false),
        Some(value) if value == word => Ok(true),
        Some(value) => Err(StartError::variable(variable, &value, word)),
    }
}

/// A time such as `100ms` or `2s`; a number alone is in milliseconds.
pub(super) fn duration_from_environment(variable: &str) -> Result<Option<Duration>, StartError> {
    let Some(value) = env::var_os(variable).filter(|value| !value.is_empty()) else { return Ok(None) };
    let duration = value.to_str().and_then(|text| {
        let text = text.trim();
        let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
        let number = number.parse().ok()?;
        match unit.trim() {
            "" | "ms" => Some(Duration::from_millis(number)),
            "s" => Some(Duration::from_secs(number)),
            "us" => Some(Duration::from_micros(number)),
            _ => None,
        }
    });
    match duration {
        Some(duration) => Ok(Some(duration)),
        None => Err(StartError::variable(variable, &value, "a time such as 100ms or 2s")),
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_refusal_of_a_ring_has_its_cause_and_its_cure() {
        for (errno, cause, cure) in [
            (libc::ENOSYS, "was built without io_uring", "CONFIG_IO_URING"),
            (libc::EINVAL, "is too old: coop needs DEFER_TASKRUN", "Linux 6.1 or newer"),
            (libc::ENOMEM, "counts against RLIMIT_MEMLOCK", "ulimit -l"),
            (libc::EMFILE, "no file descriptor left", "ulimit -n"),
            (libc::ENFILE, "no file descriptor left", "ulimit -n"),
            (libc::EIO, "unknown, on Linux", "io_uring_setup(2)"),
        ] {
            let error = StartError::ring(io::Error::from_raw_os_error(errno));
            assert!(error.cause.contains(cause) && error.cure.contains(cure), "{error}");
            assert_eq!(error.error.raw_os_error(), Some(errno));
        }
    }
}
