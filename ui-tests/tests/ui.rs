//! Misuse does not compile, and the message names the fix.
//!
//! One case is one rule: `DIRECTORY/RULE.rs`, at most 15 lines, with the whole of what the compiler says in
//! `RULE.stderr`. What must compile, however it is written, is in `pass/`. After a change of a message run
//!
//! ```text
//! TRYBUILD=overwrite cargo test -p ui-tests
//! ```
//!
//! and read each difference as its user would: one message, on the user's own token, with a help that can be typed as
//! it stands.

use std::fs;
use std::path::{Path, PathBuf};

const DIRECTORIES: [&str; 6] = ["task", "select", "coordinate", "scope", "handle", "entry"];

fn cases(directory: &str) -> Vec<PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join(directory);
    let paths = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let mut paths: Vec<PathBuf> = paths.filter(|path| path.extension().is_some_and(|e| e == "rs")).collect();
    paths.sort();
    paths
}

#[test]
fn misuse_does_not_compile_and_the_message_names_the_fix() {
    let trials = trybuild::TestCases::new();
    // What compiles is to be reported here: see `.ci/run --canaries`.
    if std::env::var_os("COOP_CANARY").is_some() {
        return trials.compile_fail("pass/echo.rs");
    }
    for directory in DIRECTORIES {
        trials.compile_fail(format!("{directory}/*.rs"));
    }
    trials.pass("pass/*.rs");
}

#[test]
fn a_case_is_one_rule_in_fifteen_lines_with_its_message_beside_it() {
    let mut wrong = Vec::new();
    for case in DIRECTORIES.iter().flat_map(|directory| cases(directory)) {
        let text = fs::read_to_string(&case).unwrap();
        let name = case.strip_prefix(env!("CARGO_MANIFEST_DIR")).unwrap().display();
        let first = text.lines().next().unwrap_or("");
        if !first.starts_with("// ") {
            wrong.push(format!("{name} does not begin with its rule, as a comment"));
        }
        if text.lines().count() > 15 {
            wrong.push(format!("{name} has {} lines", text.lines().count()));
        }
        if !case.with_extension("stderr").is_file() {
            wrong.push(format!("{name} has no .stderr"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
