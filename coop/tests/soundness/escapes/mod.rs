//! Rules 1, 2, 4 and 13, as far as the compiler keeps them: what is borrowed, what belongs to a thread, and what only this crate
//! makes stays where it belongs.
//!
//! `refused.rs` is compiled once. Each of its functions must be refused, at the marked line, for the marked reason; no other line
//! may be. `accepted.rs` must compile: it also shows that the compiler was called in the right way.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Calls the compiler as cargo does for a test of this crate, but for no code.
fn compile(source: &str, library: &Path) -> String {
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/soundness/escapes").join(source);
    let directory = library.parent().expect("the library lies somewhere");
    let output = Command::new(std::env::var_os("RUSTC").unwrap_or("rustc".into()))
        .args([
            "--edition=2024",
            "--emit=metadata",
            "--error-format=short",
            "--cap-lints=allow",
            "--crate-name=escapes",
            "-L",
        ])
        .arg(format!("dependency={}", directory.display()))
        .args(["--extern", &format!("coop={}", library.display()), "--out-dir"])
        .arg(env!("CARGO_TARGET_TMPDIR"))
        .arg(here)
        .output()
        .expect("there is a compiler");
    String::from_utf8(output.stderr).expect("the compiler speaks UTF-8")
}

/// The libraries that may be the one this test was linked with, the newest first.
fn libraries() -> Vec<PathBuf> {
    let test = std::env::current_exe().expect("the test binary has a path");
    let mut found: Vec<PathBuf> = std::fs::read_dir(test.parent().expect("it lies somewhere"))
        .expect("the directory is there")
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("libcoop-")))
        .filter(|path| path.extension().is_some_and(|extension| extension == "rlib"))
        .collect();
    found.sort_by_key(|path| {
        std::cmp::Reverse(path.metadata().and_then(|data| data.modified()).expect("a file has a time"))
    });
    found
}

/// What the compiler refused: `line code`. Errors of lifetimes alone, and those of macros, have no code: `line plain`.
fn refusals(messages: &str) -> BTreeSet<String> {
    let is_error = |line: &&str| line.contains(": error");
    messages
        .lines()
        .filter(is_error)
        .filter_map(|line| {
            let (place, message) = line.split_once(": error")?;
            let line = place.rsplit(':').nth(1)?;
            let code = message.strip_prefix('[').and_then(|rest| rest.split(']').next());
            Some(format!("{line} {}", code.unwrap_or("plain")))
        })
        .collect()
}

fn expected(source: &str) -> BTreeSet<String> {
    let marked = source.lines().enumerate().filter_map(|(index, line)| Some((index + 1, line.split_once("//~ ")?.1)));
    marked.flat_map(|(line, codes)| codes.split(' ').map(move |code| format!("{line} {code}"))).collect()
}

#[test]
fn everything_stays_where_it_belongs() {
    let libraries = libraries();
    let accepted = |library: &&PathBuf| refusals(&compile("accepted.rs", library)).is_empty();
    let Some(library) = libraries.iter().find(accepted) else {
        panic!(
            "what should compile does not:\n{}",
            compile("accepted.rs", libraries.first().expect("the library was built"))
        );
    };
    let messages = compile("refused.rs", library);
    let (expected, refused) = (expected(include_str!("refused.rs")), refusals(&messages));
    let missed: Vec<&String> = expected.difference(&refused).collect();
    let unexpected: Vec<&String> = refused.difference(&expected).collect();
    assert!(missed.is_empty() && unexpected.is_empty(), "compiled: {missed:?}, otherwise: {unexpected:?}\n{messages}");
}
