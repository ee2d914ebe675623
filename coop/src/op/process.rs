//! Operations on child processes.

use crate::handle::Polled;
use crate::process::{Child, Exiting, Reading, Sink, Source, Writing};

/// Waits until a child has ended, as [`Child::wait`]. Gives `io::Result<ExitStatus>`.
///
/// ```
/// use coop::{op, process::Command};
/// use std::time::Duration;
/// coop::run(|| -> std::io::Result<()> {
///     let child = Command::new("true").spawn()?;
///     let is_done = coop::select! {
///         status = op::child_exit(&child) => status?.success(),
///         _ = op::after(Duration::from_secs(30)) => false,
///     }?;
///     assert!(is_done);
///     Ok(())
/// }).unwrap();
/// ```
#[must_use = "an operation does nothing until it is waited for, started, or an arm of `select!`"]
pub fn child_exit(child: &Child) -> Polled<Exiting<'_>> {
    Polled::new(Exiting::new(child))
}

/// Reads what a child has written, as [`Read`](std::io::Read) of [`ChildStdout`](crate::process::ChildStdout). Gives
/// `io::Result<usize>`, 0 at the end; started, it gives the buffer back.
///
/// ```
/// use coop::{op, process::{Command, Stdio}};
/// use std::time::Duration;
/// coop::run(|| -> std::io::Result<()> {
///     let mut child = Command::new("echo").arg("hi").stdout(Stdio::piped()).spawn()?;
///     let out = child.stdout.take().unwrap();
///     let mut buf = [0; 16];
///     let n = coop::select! {
///         n = op::read_from(&out, &mut buf) => n?,
///         _ = op::after(Duration::from_secs(30)) => 0,
///     }?;
///     assert_eq!(&buf[..n], b"hi\n");
///     child.wait().map(drop)
/// }).unwrap();
/// ```
#[must_use = "an operation does nothing until it is waited for, started, or an arm of `select!`"]
pub fn read_from<'a>(source: &'a impl Source, buffer: &'a mut [u8]) -> Polled<Reading<'a>> {
    Polled::new(Reading::from(source, buffer))
}

/// Writes some of `buffer` to a child, as [`Write`](std::io::Write) of [`ChildStdin`](crate::process::ChildStdin). Gives
/// `io::Result<usize>`.
///
/// ```
/// use coop::{op, process::{Command, Stdio}};
/// use std::time::Duration;
/// coop::run(|| -> std::io::Result<()> {
///     let mut child = Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::null()).spawn()?;
///     let input = child.stdin.take().unwrap();
///     let n = coop::select! {
///         n = op::write_to(&input, b"hello") => n?,
///         _ = op::after(Duration::from_secs(30)) => 0,
///     }?;
///     assert_eq!(n, 5);
///     drop(input);
///     child.wait().map(drop)
/// }).unwrap();
/// ```
#[must_use = "an operation does nothing until it is waited for, started, or an arm of `select!`"]
pub fn write_to<'a>(sink: &'a impl Sink, buffer: &'a [u8]) -> Polled<Writing<'a>> {
    Polled::new(Writing::to(sink, buffer))
}
