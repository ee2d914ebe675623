//! Tests that are run by other tests, in a process of their own. Each is marked `#[ignore]`, so that nobody else runs it.

use std::process::{Command, Stdio};

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
