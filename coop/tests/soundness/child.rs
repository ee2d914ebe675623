//! Tests that need a process of their own: because it dies, because descriptors are counted, or because its limits are lowered.
//!
//! `child!(|| …)` in a test starts this very binary again with that test alone. The child comes to the same `child!`, runs the
//! closure, and exits with 0; the parent gets what became of it. A child that hangs is killed after a minute, and the test fails.

use std::io::Read;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// The variable that tells a child which test it is.
const PART: &str = "COOP_TEST_PART";

/// Far beyond what any child takes: only a hang comes to it.
const PATIENCE: Duration = Duration::from_secs(60);

/// What became of a child.
pub struct Ended {
    status: ExitStatus,
    pub stderr: String,
}

// Not every test binary needs all of them.
#[allow(dead_code)]
impl Ended {
    /// The child did all it had to do.
    #[track_caller]
    pub fn succeeded(self) -> Self {
        assert!(self.status.success(), "the child ended with {}\n{}", self.status, self.stderr);
        self
    }

    /// The child died of this signal.
    #[track_caller]
    pub fn died_of(self, signal: i32) -> Self {
        assert_eq!(self.status.signal(), Some(signal), "the child ended with {}\n{}", self.status, self.stderr);
        self
    }

    /// The child exited with this code.
    #[track_caller]
    pub fn exited_with(self, code: i32) -> Self {
        assert_eq!(self.status.code(), Some(code), "the child ended with {}\n{}", self.status, self.stderr);
        self
    }

    /// The child wrote this to its standard error.
    #[track_caller]
    pub fn said(self, text: &str) -> Self {
        assert!(self.stderr.contains(text), "the child did not say {text:?} but\n{}", self.stderr);
        self
    }

    /// The child did not write this.
    #[track_caller]
    pub fn did_not_say(self, text: &str) -> Self {
        assert!(!self.stderr.contains(text), "the child said {text:?}:\n{}", self.stderr);
        self
    }
}

/// What `child!` calls. `place` is the path of a function inside the test: `binary::module::test::here`.
pub fn run(place: &str, variables: &[(&str, &str)], body: impl FnOnce()) -> Ended {
    let test = place.trim_end_matches("::here").split_once("::").expect("the path begins with the binary").1;
    if std::env::var(PART).as_deref() == Ok(test) {
        body();
        std::process::exit(0);
    }
    let mut child = Command::new(std::env::current_exe().expect("the test binary has a path"))
        .args([test, "--exact", "--nocapture", "--test-threads=1"])
        .env(PART, test)
        .envs(variables.iter().copied())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("a child can be started");
    let mut pipe = child.stderr.take().expect("it was asked for");
    let reader = thread::spawn(move || {
        let mut bytes = Vec::new();
        pipe.read_to_end(&mut bytes).expect("a pipe can be read");
        String::from_utf8_lossy(&bytes).into_owned()
    });
    let started = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().expect("it is our child") {
            break status;
        }
        if started.elapsed() > PATIENCE {
            child.kill().expect("it is our child");
            child.wait().expect("it is our child");
            panic!("the child of {test} hangs\n{}", reader.join().unwrap());
        }
        thread::sleep(Duration::from_millis(2));
    };
    Ended { status, stderr: reader.join().unwrap() }
}

/// Runs a closure in a child process, which is this test alone, started again. One for each test.
macro_rules! child {
    ($body:expr) => {
        child!([], $body)
    };
    ([$($variable:expr),*], $body:expr) => {{
        fn here() {}
        $crate::child::run(std::any::type_name_of_val(&here), &[$($variable),*], $body)
    }};
}
pub(crate) use child;

/// How many descriptors this process has open. Only a child knows that no other test opens any meanwhile.
pub fn descriptors() -> usize {
    // The directory itself is open while it is counted.
    std::fs::read_dir("/proc/self/fd").expect("/proc is mounted").count() - 1
}

/// How many mappings this process has.
pub fn mappings() -> usize {
    std::fs::read_to_string("/proc/self/maps").expect("/proc is mounted").lines().count()
}
