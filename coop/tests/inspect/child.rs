//! Tests that are run by other tests, in a process of their own. Each is marked `#[ignore]`, so that nobody else runs it.

use coop::Operation;
use std::io::{Read, Write};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// The ignored test of this name in the module `module`, as a command: `child::test(module_path!(), "prints")`.
pub fn test(module: &str, name: &str) -> Command {
    // Test names carry no crate.
    let (_, module) = module.split_once("::").expect("it is a module's path");
    let mut command = Command::new(std::env::current_exe().expect("the test binary has a path"));
    command.args([&format!("{module}::{name}"), "--exact", "--ignored", "--nocapture", "--test-threads=1"]);
    for variable in ["COOP_SEED", "COOP_WATCHDOG", "COOP_DUMP", "COOP_STACKS"] {
        command.env_remove(variable);
    }
    command.stdin(Stdio::null());
    command
}

/// Runs a child to its end, which is a success; gives what it said on standard error.
#[track_caller]
pub fn run(mut command: Command) -> String {
    let output = command.output().expect("a child can be started");
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{}\n{said}\n{error}", output.status);
    error
}

/// Like [`run`], of a child that goes on by a [`step`] whenever it has said the next of `texts`.
#[track_caller]
pub fn run_in_steps(mut command: Command, texts: &[&str]) -> String {
    let mut child = command.stdin(Stdio::piped()).stderr(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let (mut steps, mut errors) = (child.stdin.take().unwrap(), child.stderr.take().unwrap());
    let (tx, rx) = mpsc::channel();
    std::thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(n @ 1..) = errors.read(&mut buffer) {
            let _ = tx.send(buffer[..n].to_vec());
        }
    });
    let (mut said, until) = (Vec::new(), Instant::now() + Duration::from_secs(60));
    let lossy = |said: &[u8]| String::from_utf8_lossy(said).into_owned();
    for text in texts {
        while !lossy(&said).contains(text) {
            let Ok(more) = rx.recv_timeout(until.saturating_duration_since(Instant::now())) else {
                let _ = child.kill();
                panic!("it has not said {text:?}, but: {}", lossy(&said));
            };
            said.extend(more);
        }
        let _ = steps.write_all(b"\n");
    }
    drop(steps);
    let output = child.wait_with_output().unwrap();
    said.extend(rx.iter().flatten());
    let stdout = lossy(&output.stdout);
    assert!(output.status.success() && stdout.contains("1 passed"), "{}\n{stdout}\n{}", output.status, lossy(&said));
    lossy(&said)
}

/// In a child that is run in steps: whether the next may be made. Never waits.
pub fn may_step() -> bool {
    let mut poll = libc::pollfd { fd: 0, events: libc::POLLIN, revents: 0 };
    // SAFETY: one entry, which is ours; the byte too.
    unsafe { libc::poll(&raw mut poll, 1, 0) == 1 && libc::read(0, [0_u8; 1].as_mut_ptr().cast(), 1) >= 0 }
}

/// In a child that is run in steps: waits for the next, and lets other tasks go on.
pub fn step() {
    coop::op::readable(&std::io::stdin()).wait().unwrap();
    assert!(may_step());
}
