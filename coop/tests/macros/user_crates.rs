//! Crates of users, built by cargo in a directory of their own: where coop has another name, in another edition, and with the
//! test runners that there are.
//!
//! All of them are built into one target directory, so that coop is built for the first only.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A crate, in a directory of its own.
struct Crate {
    directory: PathBuf,
}

impl Crate {
    /// Writes a crate: its name, its edition, the line of its manifest that says where coop is, and its only file.
    fn new(name: &str, edition: &str, dependency: &str, file: &str, text: &str) -> Self {
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("user-crates").join(name);
        let coop = Path::new(env!("CARGO_MANIFEST_DIR"));
        let dependency = dependency.replace("PATH", &format!("{coop:?}"));
        let manifest = format!(
            "[package]\nname = \"{name}\"\nedition = \"{edition}\"\n\n[workspace]\n\n[dependencies]\n{dependency}\n"
        );
        fs::create_dir_all(directory.join("src")).unwrap();
        fs::write(directory.join("Cargo.toml"), manifest).unwrap();
        fs::write(directory.join("src").join(file), text).unwrap();
        // The versions that are on this machine already: there may be no network.
        fs::copy(coop.join("../Cargo.lock"), directory.join("Cargo.lock")).unwrap();
        Crate { directory }
    }

    /// A program that is run in it.
    fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command.current_dir(&self.directory).env("CARGO_TARGET_DIR", self.directory.with_file_name("target"));
        command.env("CARGO_NET_OFFLINE", "true").env("CARGO_TERM_COLOR", "never").env("RUST_BACKTRACE", "0");
        // What was said to this test, or by the runner that runs it, is not for the tests in there.
        for (name, _) in std::env::vars_os() {
            let is_for_this = |start: &&str| name.to_string_lossy().starts_with(start);
            if ["NEXTEST", "COOP_", "RUST_TEST_", "RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS"].iter().any(is_for_this) {
                command.env_remove(&name);
            }
        }
        command
    }

    /// Runs cargo with these words.
    fn cargo(&self, words: &str) -> Output {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        self.command(cargo).args(words.split(' ')).output().expect("cargo can be started")
    }

    /// Builds and runs it, and gives what it prints.
    #[track_caller]
    fn run(&self) -> String {
        let output = self.cargo("run --quiet");
        assert!(output.status.success(), "{}", said(&output));
        String::from_utf8(output.stdout).unwrap()
    }
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

// ---- names and editions

const RENAMED: &str = r#"
#![deny(warnings)]
#![forbid(unsafe_code)]

use renamed::list::Link;
use renamed::{chan, op};

#[renamed::task(crate = renamed, stack = "64k")]
fn add(a: u32, b: u32) -> u32 {
    a + b
}

mod inner {
    pub(crate) use renamed as again;

    #[again::task(crate = self::again)]
    pub(crate) fn twice(n: u32) -> u32 {
        n * 2
    }
}

#[derive(renamed::EmbeddedEntry)]
struct Entry {
    #[embedded(crate = renamed)]
    link: Link,
    n: u32,
}

#[renamed::main(crate = renamed)]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (tx, rx) = chan::bounded(1);
    tx.send(add::spawn(1, 2).join()?)?;
    let n = renamed::select! {
        n = op::receive(&rx) => n?,
        _ = op::after(std::time::Duration::MAX) => 0,
    }?;
    let (twice, ()) = renamed::join!(inner::twice::spawn(n).join(), ())?;
    let door = renamed::Coordinator::new();
    let acquired = renamed::coordinate!(&door)?.index();
    let list = std::pin::pin!(renamed::list::EmbeddedList::new());
    let entry = std::pin::pin!(Entry { link: Link::new(), n: twice? });
    list.as_ref().push_back(entry.as_ref());
    println!("{n} {acquired} {:?}", list.front(|entry| entry.n));
    Ok(())
}

#[renamed::test(crate = renamed)]
fn a_test() {
    assert_eq!(add(1, 2), 3);
}
"#;

#[test]
fn coop_under_another_name() {
    let dependency = r#"renamed = { package = "coop", path = PATH }"#;
    let user = Crate::new("renames-coop", "2024", dependency, "main.rs", RENAMED);
    assert_eq!(user.run(), "3 0 Some(6)\n");
    let output = user.cargo("test --quiet");
    assert!(output.status.success() && said(&output).contains("1 passed"), "{}", said(&output));
}

/// What an older edition means differently: `dyn` and `async` words, closures that capture whole variables or parts of them,
/// paths of macros, arrays that iterate by reference, `gen` as a name, temporaries of a block's last expression.
const OLDER: &str = r#"
#![deny(warnings)]

use coop::{chan, net, op};
use std::{cell::RefCell, io, time::Duration};

#[coop::task(stack = "64k")]
fn session(conn: net::UnixStream, gen: u32) -> io::Result<u32> {
    let mut buf = [0; 16];
    let mut total = gen;
    loop {
        let n = coop::select! {
            n = op::recv(&conn, &mut buf) => n?,
            _ = op::after(Duration::from_secs(30)) => return Ok(1000),
        }?;
        if n == 0 {
            return Ok(total);
        }
        total += n as u32;
    }
}

fn first<'a, T: Clone>(gen: &'a RefCell<Option<chan::Receiver<T>>>) -> Option<T> {
    coop::select! {
        biased;
        Ok(value) = op::receive(gen.borrow().as_ref()?) => Some(value),
        else => None,
        default => None,
        killed(_) => None,
    }
}

#[coop::main]
fn main() -> io::Result<()> {
    let (ours, theirs) = net::UnixStream::pair()?;
    let mut task = session::spawn(ours, 7);
    theirs.send_all(b"hello")?;
    drop(theirs);
    let (tx, rx) = chan::bounded(1);
    let rx = RefCell::new(Some(rx));
    tx.try_send("first").unwrap();
    let (joined, sum) = coop::join!(task.join(), [1, 2].iter().sum::<u32>())?;
    println!("{} {sum} {:?} {:?}", joined??, first(&rx), first(&rx));
    Ok(())
}
"#;

#[test]
fn users_of_older_editions() {
    for edition in ["2018", "2021"] {
        let user = Crate::new(&format!("edition-{edition}"), edition, "coop = { path = PATH }", "main.rs", OLDER);
        assert_eq!(user.run(), "12 3 Some(\"first\") None\n", "edition {edition}");
    }
}

// ---- test runners

const TESTS: &str = r#"
#[cfg(test)]
mod inner {
    #[coop::test]
    fn passes() {
        coop::sleep(std::time::Duration::from_secs(3600)).unwrap();
    }

    #[coop::test(schedules = 200)]
    fn relies_on_the_order() {
        let order = std::cell::RefCell::new(Vec::new());
        coop::wait_all(|s| {
            for task in 0..5 {
                let order = &order;
                s.spawn(move || order.borrow_mut().push(task));
            }
        });
        assert!(order.borrow()[0] == 0, "the order was {:?}", order.borrow());
    }

    /// Its name begins with that of the other.
    #[coop::test]
    #[should_panic(expected = "deadlock")]
    fn relies_on_the_order_of_nothing() {
        let _ = coop::coordinate!(&coop::Coordinator::held());
    }

    #[coop::test]
    #[ignore]
    fn is_ignored() {
        panic!("nobody has asked for it");
    }
}
"#;

fn tested(name: &str) -> Crate {
    Crate::new(name, "2024", "coop = { path = PATH }", "lib.rs", TESTS)
}

/// Runs the command that a failed test has printed, in a shell, as a user would.
#[track_caller]
fn assert_replays(user: &Crate, failed: &str) {
    let after = |text: &str, mark: &str| {
        let (_, rest) = text.split_once(mark).unwrap_or_else(|| panic!("{mark:?} is not in\n{text}"));
        rest.lines().next().unwrap().to_owned()
    };
    let command = format!("COOP_SEED={}", after(failed, "COOP_SEED="));
    let again = said(&user.command("sh").args(["-c", &command]).output().unwrap());
    assert_eq!(after(&again, "the order was "), after(failed, "the order was "), "{command}\n{again}");
    assert!(again.contains("1 failed") && !again.contains("1 passed"), "it runs no other test: {command}\n{again}");
}

#[test]
fn cargo_test_runs_them_and_the_printed_command_replays_the_failure() {
    let user = tested("tested-by-cargo");
    let output = user.cargo("test");
    let failed = said(&output);
    assert!(failed.contains("2 passed; 1 failed; 1 ignored"), "{failed}");
    assert_replays(&user, &failed);
}

#[test]
fn nextest_runs_them_and_the_printed_command_replays_the_failure() {
    let user = tested("tested-by-nextest");
    if !user.cargo("nextest --version").status.success() {
        eprintln!("not tested: there is no cargo-nextest here");
        return;
    }
    let output = user.cargo("nextest run --no-fail-fast");
    let failed = said(&output);
    assert!(failed.contains("3 tests run: 2 passed, 1 failed, 1 skipped"), "{failed}");
    assert!(
        failed.contains("cargo nextest run -p tested-by-nextest -E 'test(=inner::relies_on_the_order)'"),
        "{failed}"
    );
    assert_replays(&user, &failed);
}
