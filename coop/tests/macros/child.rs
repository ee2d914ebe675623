//! Tests that are run by other tests, in a process of their own: because they are to fail, to abort or to be traced.
//!
//! Each is marked `#[ignore]`, so that nobody else runs it.

use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Output, Stdio};

/// The ignored test of this name in the module `module`, as a command: `child::test(module_path!(), "aborts")`.
pub fn test(module: &str, name: &str) -> Command {
    // Test names carry no crate.
    let (_, module) = module.split_once("::").expect("it is a module's path");
    let mut command = Command::new(std::env::current_exe().expect("the test binary has a path"));
    command.args([&format!("{module}::{name}"), "--exact", "--ignored", "--nocapture", "--test-threads=1"]);
    command.env_remove("COOP_SEED").env("RUST_BACKTRACE", "0").stdin(Stdio::null());
    command
}

/// How a child ended, and all that it said.
pub struct Ended {
    output: Output,
}

/// Runs a child to its end.
pub fn run(mut command: Command) -> Ended {
    Ended { output: command.output().expect("a child can be started") }
}

impl Ended {
    /// What it wrote to its standard output and error.
    pub fn said(&self) -> String {
        let Output { stdout, stderr, .. } = &self.output;
        format!("{}{}", String::from_utf8_lossy(stdout), String::from_utf8_lossy(stderr))
    }

    /// One test ran, and passed.
    #[track_caller]
    pub fn passed(self) -> Self {
        assert!(self.output.status.success() && self.said().contains("1 passed"), "{}", self.said());
        self
    }

    /// One test ran, and failed.
    #[track_caller]
    pub fn failed(self) -> Self {
        assert!(self.output.status.code() == Some(101) && self.said().contains("1 failed"), "{}", self.said());
        self
    }

    /// The process aborted.
    #[track_caller]
    pub fn aborted(self) -> Self {
        assert_eq!(self.output.status.signal(), Some(libc::SIGABRT), "{}", self.said());
        self
    }

    /// It said this.
    #[track_caller]
    pub fn saying(self, text: &str) -> Self {
        assert!(self.said().contains(text), "{text:?} is not in\n{}", self.said());
        self
    }

    /// It did not say this.
    #[track_caller]
    pub fn without(self, text: &str) -> Self {
        assert!(!self.said().contains(text), "{text:?} is in\n{}", self.said());
        self
    }

    /// The text after `mark` up to the end of its line.
    #[track_caller]
    pub fn after(&self, mark: &str) -> String {
        let said = self.said();
        let (_, rest) = said.split_once(mark).unwrap_or_else(|| panic!("{mark:?} is not in\n{said}"));
        rest.lines().next().unwrap_or_default().to_owned()
    }
}
