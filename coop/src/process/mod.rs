//! Child processes: like `std::process`, with tasks that wait instead of threads.
//!
//! ```
//! use coop::process::{Command, Stdio};
//! use std::io::{Read, Write};
//! coop::run(|| -> std::io::Result<()> {
//!     let mut sort = Command::new("sort").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
//!     sort.stdin.take().unwrap().write_all(b"b\na\n")?;     // dropped here: the end of its input
//!     let mut sorted = String::new();
//!     sort.stdout.as_mut().unwrap().read_to_string(&mut sorted)?;
//!     assert_eq!(sorted, "a\nb\n");
//!     assert!(sort.wait()?.success());
//!     Ok(())
//! }).unwrap();
//! ```
//!
//! A child is started by a thread of [`unblock`](crate::unblock), since that takes until it has executed its program: some
//! hundred microseconds to milliseconds, in which no task of this thread could run. Its end is waited for by a pidfd, so many
//! children cost no thread, and a number that is used again is never signalled. What a [`Child`] leaves when it is dropped is
//! collected in the background: there are no zombies.

mod child;
mod command;
mod pipe;
mod reaper;

pub use child::Child;
pub use command::Command;
pub use pipe::{ChildStderr, ChildStdin, ChildStdout};
pub use std::process::{ExitStatus, Output, Stdio};

pub(crate) use child::Exiting;
#[doc(hidden)]
pub use pipe::{Reading, Sink, Source, Writing};
