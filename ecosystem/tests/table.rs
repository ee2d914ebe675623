//! `ECOSYSTEM.md` says what there is: every test, under its name, of the crate in the version that is used.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The tests of a directory, as `file::name`.
fn tests_in(directory: &Path) -> BTreeSet<String> {
    let files = fs::read_dir(directory).expect("it is there").map(|entry| entry.expect("it can be listed").path());
    let mut tests = BTreeSet::new();
    for file in files.filter(|file| file.extension().is_some_and(|extension| extension == "rs")) {
        let noun = file.file_stem().and_then(|stem| stem.to_str()).expect("a noun").to_owned();
        let text = fs::read_to_string(&file).expect("UTF-8");
        let mut lines = text.lines();
        while lines.any(|line| line.trim() == "#[test]") {
            let name = lines.next().and_then(|line| line.trim().strip_prefix("fn ")?.split_once('('));
            tests.insert(format!("{noun}::{}", name.expect("a test is a function").0));
        }
    }
    tests
}

/// A line of the table: crate, version, tests.
fn lines(page: &str) -> Vec<(&str, &str, Vec<&str>)> {
    let table =
        page.lines().skip_while(|line| !line.starts_with("|---|")).skip(1).take_while(|line| line.starts_with('|'));
    table
        .map(|line| match line.trim_matches('|').split(" | ").map(str::trim).collect::<Vec<_>>()[..] {
            [name, version, _, _, tests] => {
                (name, version, tests.split(", ").map(|test| test.trim_matches('`')).collect())
            }
            _ => panic!("not a line of five cells: {line}"),
        })
        .collect()
}

#[test]
fn it_has_every_test_and_no_other() {
    let page = fs::read_to_string(root().join("ECOSYSTEM.md")).expect("the page is there");
    let said: BTreeSet<_> = lines(&page).into_iter().flat_map(|(.., tests)| tests).map(str::to_owned).collect();
    let mut ours = tests_in(&root().join("ecosystem/tests"));
    ours.retain(|test| !test.starts_with("table::"));
    let missing: Vec<_> = ours.difference(&said).collect();
    assert!(missing.is_empty(), "not on the page: {missing:?}");
    let examples = tests_in(&root().join("examples/tests"));
    let invented: Vec<_> = said.iter().filter(|test| !ours.contains(*test) && !examples.contains(*test)).collect();
    assert!(invented.is_empty(), "not there: {invented:?}");
}

#[test]
fn it_has_every_crate_in_the_version_that_is_used() {
    let page = fs::read_to_string(root().join("ECOSYSTEM.md")).expect("the page is there");
    let lock = fs::read_to_string(root().join("Cargo.lock")).expect("it is a part of the tree");
    let used: Vec<_> = lock
        .split("[[package]]")
        .filter_map(|package| {
            let field =
                |name: &str| package.lines().find_map(|line| line.strip_prefix(name)?.trim().strip_prefix("= "));
            Some((field("name")?.trim_matches('"'), field("version")?.trim_matches('"')))
        })
        .collect();
    let lines = lines(&page);
    for (name, version, _) in &lines {
        let found = used
            .iter()
            .any(|(crate_name, used)| crate_name == name && format!("{used}.").starts_with(&format!("{version}.")));
        assert!(found, "{name} {version} is not what is used");
    }
    assert!(lines.is_sorted(), "in alphabetical order");
    // What the tests are made with is no crate that runs over coop.
    let help = ["coop", "libc", "rcgen", "serde", "tokio-util"];
    let manifest = fs::read_to_string(root().join("ecosystem/Cargo.toml")).expect("it is there");
    let dependencies = manifest.lines().skip_while(|line| *line != "[dev-dependencies]").skip(1);
    for line in dependencies.take_while(|line| !line.starts_with('[')).filter(|line| !line.is_empty()) {
        let name = line.split([' ', '.']).next().expect("a name");
        assert!(help.contains(&name) || lines.iter().any(|line| line.0 == name), "{name} is not on the page");
    }
}
