//! What is to be started, and how.

use super::child::{Child, Started};
use super::{Output, Stdio};
use crate::blocking::unblock_io;
use crate::task;
use std::ffi::OsStr;
use std::fmt;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::ExitStatus;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Describes a child process, and starts it: [`std::process::Command`], for tasks.
///
/// ```
/// use coop::process::Command;
/// coop::run(|| -> std::io::Result<()> {
///     let output = Command::new("echo").arg("hello").output()?;
///     assert_eq!(output.stdout, b"hello\n");
///     assert!(output.status.success());
///     Ok(())
/// }).unwrap();
/// ```
///
/// What it does not say is inherited: environment, directory, and, but for [`output`](Self::output), standard input, output and
/// error.
pub struct Command {
    /// Shared with the thread that starts it, which gives it back even when it fails.
    command: Arc<Mutex<std::process::Command>>,
    is_killed_on_drop: bool,
    /// Which of standard input, output and error were chosen.
    chosen: [bool; 3],
}

impl Command {
    /// A command that runs `program`, looked for in `PATH` unless it contains a slash, without arguments.
    pub fn new(program: impl AsRef<OsStr>) -> Self {
        Command {
            command: Arc::new(Mutex::new(std::process::Command::new(program))),
            is_killed_on_drop: false,
            chosen: [false; 3],
        }
    }

    fn std(&self) -> MutexGuard<'_, std::process::Command> {
        self.command.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds an argument.
    pub fn arg(&mut self, arg: impl AsRef<OsStr>) -> &mut Self {
        self.std().arg(arg);
        self
    }

    /// Adds arguments.
    pub fn args<I, S>(&mut self, args: I) -> &mut Self
    where
        I: IntoIterator<Item = S>,
        S: AsRef<OsStr>,
    {
        self.std().args(args);
        self
    }

    /// Sets a variable of the child's environment.
    pub fn env(&mut self, key: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> &mut Self {
        self.std().env(key, value);
        self
    }

    /// Sets variables of the child's environment.
    pub fn envs<I, K, V>(&mut self, variables: I) -> &mut Self
    where
        I: IntoIterator<Item = (K, V)>,
        K: AsRef<OsStr>,
        V: AsRef<OsStr>,
    {
        self.std().envs(variables);
        self
    }

    /// Keeps a variable of this process from the child.
    pub fn env_remove(&mut self, key: impl AsRef<OsStr>) -> &mut Self {
        self.std().env_remove(key);
        self
    }

    /// Keeps every variable of this process from the child, and forgets those that were set here.
    pub fn env_clear(&mut self) -> &mut Self {
        self.std().env_clear();
        self
    }

    /// Sets the child's working directory.
    pub fn current_dir(&mut self, dir: impl AsRef<Path>) -> &mut Self {
        self.std().current_dir(dir);
        self
    }

    /// What the child's standard input is. With [`Stdio::piped`] its other end is [`Child::stdin`].
    pub fn stdin(&mut self, stdio: impl Into<Stdio>) -> &mut Self {
        self.chosen[0] = true;
        self.std().stdin(stdio);
        self
    }

    /// What the child's standard output is. With [`Stdio::piped`] its other end is [`Child::stdout`].
    pub fn stdout(&mut self, stdio: impl Into<Stdio>) -> &mut Self {
        self.chosen[1] = true;
        self.std().stdout(stdio);
        self
    }

    /// What the child's standard error is. With [`Stdio::piped`] its other end is [`Child::stderr`].
    pub fn stderr(&mut self, stdio: impl Into<Stdio>) -> &mut Self {
        self.chosen[2] = true;
        self.std().stderr(stdio);
        self
    }

    /// Puts the child into a process group: into one of its own with 0, so that a ctrl-c at the terminal does not reach it.
    pub fn process_group(&mut self, group: i32) -> &mut Self {
        self.std().process_group(group);
        self
    }

    /// Whether the child is killed (SIGKILL) when its [`Child`] is dropped before it has ended. Not unless said so: then it goes on
    /// by itself.
    pub fn kill_on_drop(&mut self, yes: bool) -> &mut Self {
        self.is_killed_on_drop = yes;
        self
    }

    /// Starts the child.
    ///
    /// A wait point; kill-checked before it begins. A child that is being started when its task is killed is given: the next wait
    /// is refused.
    ///
    /// # Errors
    /// `NotFound` and others of execve(2), those of pipe2(2), fork(2) and pidfd_open(2); [`Killed`](crate::Killed); `Unsupported`
    /// without a Cooperator.
    #[track_caller]
    pub fn spawn(&mut self) -> io::Result<Child> {
        task::begin_io()?;
        let command = self.command.clone();
        let start = move || Started::new(&mut command.lock().unwrap_or_else(PoisonError::into_inner));
        // What has begun is waited for: no child is started after the error.
        let started = task::shield(Duration::MAX, || unblock_io(start))?;
        Child::new(started, self.is_killed_on_drop)
    }

    /// Starts the child, and waits for its end.
    ///
    /// A wait point; kill-checked. When the task is killed meanwhile the child goes on by itself, unless
    /// [`kill_on_drop`](Self::kill_on_drop) was said.
    ///
    /// # Errors
    /// As [`spawn`](Self::spawn) and [`Child::wait`].
    #[track_caller]
    pub fn status(&mut self) -> io::Result<ExitStatus> {
        self.spawn()?.wait()
    }

    /// Starts the child, collects what it writes to standard output and error, and waits for its end. Its standard input is empty
    /// unless said otherwise.
    ///
    /// A wait point; kill-checked: as [`status`](Self::status).
    ///
    /// # Errors
    /// As [`spawn`](Self::spawn) and [`Child::wait_with_output`].
    #[track_caller]
    pub fn output(&mut self) -> io::Result<Output> {
        let chosen = self.chosen;
        let set = |command: &mut std::process::Command, stdio: [fn() -> Stdio; 3]| {
            for (index, make) in stdio.into_iter().enumerate().filter(|(index, _)| !chosen[*index]) {
                match index {
                    0 => command.stdin(make()),
                    1 => command.stdout(make()),
                    _ => command.stderr(make()),
                };
            }
        };
        set(&mut self.std(), [Stdio::null, Stdio::piped, Stdio::piped]);
        let child = self.spawn();
        // The next child may be started otherwise.
        set(&mut self.std(), [Stdio::inherit; 3]);
        child?.wait_with_output()
    }
}

impl fmt::Debug for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.std().fmt(f)
    }
}
