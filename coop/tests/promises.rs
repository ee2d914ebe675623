//! PROMISES.md held against the code: every test and every mutant that it names exists, every mutant fits the code and is named, and
//! the promises are numbered.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// One section of the page.
#[derive(Debug, Default, PartialEq)]
struct Promise {
    number: usize,
    name: String,
    /// What stands in backticks behind each of the three.
    tests: Vec<String>,
    chance: String,
    mutants: Vec<String>,
}

/// The promises of a page: sections `### 1. Name`, up to the next heading.
fn promises(page: &str) -> Vec<Promise> {
    let mut promises: Vec<Promise> = Vec::new();
    let mut is_inside = false;
    let mut field = None;
    for line in page.lines() {
        if line.starts_with('#') {
            is_inside = false;
            if let Some((number, name)) = line.strip_prefix("### ").and_then(|heading| heading.split_once(". "))
                && let Ok(number) = number.parse()
            {
                is_inside = true;
                field = None;
                promises.push(Promise { number, name: name.to_owned(), ..Promise::default() });
            }
            continue;
        }
        let Some(promise) = promises.last_mut().filter(|_| is_inside) else { continue };
        let mut text = line.trim();
        if let Some(item) = line.strip_prefix("* ")
            && let Some((name, rest)) = item.split_once(':')
        {
            field = Some(name.to_owned());
            text = rest.trim();
        } else if text.is_empty() {
            field = None;
        }
        let quoted = || text.split('`').skip(1).step_by(2).map(str::to_owned);
        match field.as_deref() {
            Some("Tests") => promise.tests.extend(quoted()),
            Some("Mutants") => promise.mutants.extend(quoted()),
            Some("Chance") => promise.chance = format!("{} {text}", promise.chance).trim().to_owned(),
            _ => {}
        }
    }
    promises
}

/// Whether a source file has a test of this name: a function behind an attribute `#[test]`, `#[coop::test]` or one with options.
fn has_test(source: &str, name: &str) -> bool {
    let wanted = format!("fn {name}(");
    source.match_indices(&wanted).any(|(at, _)| {
        let before = source[..at].trim_end_matches("pub ").trim_end();
        let attributes =
            before.lines().rev().take_while(|line| line.starts_with("#[") || line.trim_start().starts_with("#["));
        attributes.into_iter().any(|line| {
            let line = line.trim_start();
            line.starts_with("#[test]") || line.starts_with("#[coop::test")
        })
    })
}

/// Why a patch does not fit the tree: the file it names, and the lines that its first hunk that does not fit wants there.
fn misfit(patch: &str, read: impl Fn(&str) -> String) -> Option<String> {
    let mut source = String::new();
    let mut wanted: Option<String> = None;
    let fits = |wanted: &mut Option<String>, source: &str| {
        wanted.take().filter(|text| text.is_empty() || !source.contains(text.as_str()))
    };
    for line in patch.lines() {
        if let Some(path) = line.strip_prefix("--- a/") {
            if let Some(text) = fits(&mut wanted, &source) {
                return Some(text);
            }
            source = read(path);
        } else if line.starts_with("@@") {
            if let Some(text) = fits(&mut wanted, &source) {
                return Some(text);
            }
            wanted = Some(String::new());
        } else if let Some(text) = &mut wanted
            && let Some(kept) = line.strip_prefix([' ', '-'])
        {
            *text += kept;
            text.push('\n');
        }
    }
    fits(&mut wanted, &source).or_else(|| source.is_empty().then(|| "a hunk".to_owned()))
}

/// What a mutant says is to be given to `cargo test`.
fn target(mutant: &str) -> String {
    let patch = read(format!("coop/tests/soundness/mutants/{mutant}.patch"));
    patch.lines().find_map(|line| line.strip_prefix("Test: ")).unwrap_or_default().to_owned()
}

/// Whether `cargo test` with these arguments runs the test, as far as its file tells.
fn is_in_target(test: &str, arguments: &str) -> bool {
    let words: Vec<&str> = arguments.split(' ').collect();
    match words.iter().position(|word| *word == "--test").and_then(|at| words.get(at + 1)) {
        Some(name) => {
            test.starts_with(&format!("coop/tests/{name}.rs::")) || test.starts_with(&format!("coop/tests/{name}/"))
        }
        // What is tried where it stands is in a file of the fuzz tests.
        None => test.starts_with("coop/src/") || test.starts_with("coop/tests/fuzz/"),
    }
}

/// The mutants there are.
fn mutants() -> BTreeSet<String> {
    let directory = root().join("coop/tests/soundness/mutants");
    let files = fs::read_dir(&directory).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    files.map(|name| name.strip_suffix(".patch").expect("there are patches only").to_owned()).collect()
}

#[test]
fn every_test_and_every_mutant_that_is_named_exists() {
    let promises = promises(&read("PROMISES.md"));
    assert!(promises.len() >= 25, "only {} promises were read", promises.len());
    let there = mutants();
    let mut wrong = Vec::new();
    for (promise, number) in promises.iter().zip(1..) {
        let mut complain = |what: String| wrong.push(format!("promise {} ({}): {what}", promise.number, promise.name));
        if promise.number != number {
            complain(format!("is the {number}th"));
        }
        if promise.tests.is_empty() || promise.mutants.is_empty() || promise.chance.is_empty() {
            complain("has no tests, no mutants or no chance".to_owned());
        }
        for test in &promise.tests {
            match test.split_once("::") {
                Some((path, name)) if root().join(path).is_file() => {
                    if !has_test(&read(path), name.rsplit("::").next().unwrap()) {
                        complain(format!("{path} has no test {name}"));
                    }
                }
                _ => complain(format!("there is no {test}")),
            }
        }
        for mutant in &promise.mutants {
            if !there.contains(mutant) {
                complain(format!("there is no mutant {mutant}"));
            } else if !promise.tests.iter().any(|test| is_in_target(test, &target(mutant))) {
                complain(format!("its tests are not those that catch {mutant}: {}", target(mutant)));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_mutant_fits_the_code_and_breaks_a_promise() {
    let promises = promises(&read("PROMISES.md"));
    let named: BTreeSet<String> = promises.iter().flat_map(|promise| promise.mutants.iter().cloned()).collect();
    let there = mutants();
    assert!(there.len() >= 25, "only {} mutants", there.len());
    let unnamed: Vec<_> = there.difference(&named).collect();
    assert!(unnamed.is_empty(), "mutants that break no promise: {unnamed:?}");
    let mut wrong = Vec::new();
    for name in there {
        let patch = read(format!("coop/tests/soundness/mutants/{name}.patch"));
        for field in ["Wrong: ", "Test: ", "Caught by: "] {
            if !patch.lines().take_while(|line| !line.starts_with("---")).any(|line| line.starts_with(field)) {
                wrong.push(format!("{name} has no {field}"));
            }
        }
        if let Some(text) = misfit(&patch, |path| read(path)) {
            wrong.push(format!("{name} fits no more; there is no\n{text}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The number of opcodes that a hardened ring takes is said in two places that no compiler reads.
#[test]
fn the_pages_say_how_many_opcodes_are_used() {
    let source = read("coop/src/ring/submission.rs");
    let (_, list) = source.split_once("pub(crate) const USED: [u8; ").expect("the list is there");
    let count = list.split(']').next().unwrap();
    assert!(read("SECURITY.md").contains(&format!("* {count} opcodes: ")), "SECURITY.md");
    assert!(
        read("coop/src/runtime/builder.rs").contains(&format!("{count} of the kernel's opcodes")),
        "Builder::hardened"
    );
}

#[test]
fn the_reader_sees_what_is_missing() {
    let page = "# Page\n\n### 1. First\n\nText with `code`.\n\n* Tests: `a.rs::one`,\n  `b.rs::two`\n* Chance: 5 seeds of\n  many\n* Mutants: `m`\n\n## Other\n\n* Tests: `c.rs::three`\n";
    let first = Promise {
        number: 1,
        name: "First".into(),
        tests: vec!["a.rs::one".into(), "b.rs::two".into()],
        chance: "5 seeds of many".into(),
        mutants: vec!["m".into()],
    };
    assert_eq!(promises(page), [first]);
    let source = "#[test]\nfn one() {}\n\n#[coop::test(seed = 1)]\n#[ignore]\nfn two() {}\n\nfn three() {}\n";
    assert!(
        has_test(source, "one") && has_test(source, "two") && !has_test(source, "three") && !has_test(source, "on")
    );
    let arguments = "-p coop --test tasks a_killed";
    assert!(is_in_target("coop/tests/tasks.rs::a", arguments) && !is_in_target("coop/tests/task/s.rs::a", arguments));
    assert!(is_in_target("coop/src/list.rs::a", "-p coop --lib list") && !is_in_target("coop/tests/a.rs::a", "--lib"));
    let patch = "Wrong: x\n\n--- a/f\n+++ b/f\n@@ -1,2 +1,2 @@\n one\n-two\n+three\n";
    assert_eq!(misfit(patch, |_| "zero\none\ntwo\n".into()), None);
    assert_eq!(misfit(patch, |_| "one\nthree\n".into()), Some("one\ntwo\n".into()));
    assert!(misfit("Wrong: x\n", |_| String::new()).is_some(), "a patch without a hunk");
}
