//! Sockets in processes of their own: nothing leaks, and nothing is lost.
//!
//! Each test starts this program again for itself alone, so that descriptors can be counted.

#[path = "../net/common.rs"]
mod common;
mod leaks;
mod lossless;
mod race;

use std::process::Command;

/// Runs a test in a process of its own, where descriptors can be counted.
fn alone(name: &str, test: impl FnOnce()) {
    in_a_process(name, "default", test);
}

/// Runs a test in a process of its own, with the ring in this mode.
fn in_a_process(name: &str, mode: &str, test: impl FnOnce()) {
    const MARK: &str = "COOP_NET_ALONE";
    if std::env::var(MARK).is_ok_and(|it| it == mode) {
        return test();
    }
    if std::env::var(MARK).is_ok() {
        return;
    }
    let mut again = Command::new(std::env::current_exe().expect("Linux knows"));
    again.args(["--exact", name, "--nocapture", "--test-threads", "1"]).env(MARK, mode);
    if mode != "default" {
        again.env("COOP_TASKRUN", mode);
    }
    let output = again.output().expect("this program can be started again");
    let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    assert!(output.status.success(), "{name}, task run {mode}: {}\n{said}", output.status);
    assert!(said.contains("1 passed"), "{name} is no test's name:\n{said}");
}

/// How many descriptors this process has.
fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").expect("Linux has it").count()
}

/// Runs `f` once, so that what is made once is there, and then again: no descriptor is left.
#[track_caller]
fn leaks_nothing(mut f: impl FnMut()) {
    f();
    let before = descriptors();
    f();
    assert_eq!(descriptors(), before, "descriptors are left");
}
