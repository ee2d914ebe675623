//! `pipeline` counts what the tools of the shell count, on any number of Cooperators.

mod common;

use common::Program;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

const PIPELINE: &str = env!("CARGO_BIN_EXE_pipeline");

/// A directory that is gone when this is.
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Self {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("pipeline-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Directory(path)
    }

    fn file(&self, name: &str, text: impl AsRef<[u8]>) -> String {
        let path = self.0.join(name);
        fs::write(&path, text).unwrap();
        path.into_os_string().into_string().unwrap()
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn pipeline(arguments: &[&str]) -> Output {
    Command::new(PIPELINE).args(arguments).stdin(Stdio::null()).output().unwrap()
}

fn printed(arguments: &[&str]) -> String {
    let output = pipeline(arguments);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// What coreutils make of the same files.
fn expected(files: &[&str]) -> String {
    let script = r#"for file; do tr -s '[:space:]' '\n' <"$file"; echo; done | grep -v '^$' | sort | uniq -c |
        sort -k1,1nr -k2 | sed -E 's/^ +//'"#;
    let output = Command::new("sh").env("LC_ALL", "C").args(["-c", script, "sh"]).args(files).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

/// Words of a small generator: some frequent, many rare, of all lengths.
fn text(words: usize, mut seed: u64) -> String {
    let mut text = String::new();
    for n in 0..words {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let random = seed >> 33;
        let word = if random.is_multiple_of(3) { random % 10 } else { random % 5_000 };
        let blank = [" ", "\n", "\t", "  \r\n"][n % 4];
        write!(text, "{word:x}{}{blank}", "y".repeat((random % 7) as usize)).unwrap();
    }
    text
}

#[test]
fn it_counts_what_the_tools_of_the_shell_count() {
    let directory = Directory::new("counts");
    let files = [
        directory.file("a", text(200_000, 1)),
        directory.file("b", text(30_000, 2)),
        directory.file("empty", ""),
        directory.file("no-end", "the last word of a file is not glued to"),
        directory.file("next", "the next"),
        directory.file("blanks", "  \n\n\t "),
    ];
    let files: Vec<&str> = files.iter().map(String::as_str).collect();
    let wanted = expected(&files);
    assert!(wanted.lines().count() > 5_000);
    for cooperators in ["1", "2", "5"] {
        for block in ["7", "4096", "262144"] {
            // Blocks of a few bytes for a few files only: they are slow.
            let (files, wanted) =
                if block == "7" { (&files[2..], expected(&files[2..])) } else { (&files[..], wanted.clone()) };
            let arguments = [&["--cooperators", cooperators, "--block", block], files].concat();
            assert_eq!(printed(&arguments), wanted, "--cooperators {cooperators} --block {block}");
        }
    }
    assert_eq!(
        printed(&[&["--top", "3"], &files[..]].concat()),
        wanted.lines().take(3).map(|line| format!("{line}\n")).collect::<String>()
    );
}

#[test]
fn ctrl_c_ends_the_reading_and_what_was_read_is_printed() {
    let directory = Directory::new("ctrl-c");
    // A file without an end: a pipe that stays open.
    let pipe = directory.0.join("pipe").into_os_string().into_string().unwrap();
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let program = Program::spawn(Command::new(PIPELINE).args(["--cooperators", "2", "--block", "4"]).arg(&pipe));
    // Opening waits until it reads.
    let mut writer = fs::OpenOptions::new().write(true).open(&pipe).unwrap();
    std::io::Write::write_all(&mut writer, b"one two one two one ").unwrap();
    // It waits for more, which never comes.
    program.signal(libc::SIGINT);
    let ended = program.wait();
    drop(writer);
    assert_eq!(ended.status.code(), Some(130), "{}", ended.errors);
    assert!(ended.errors.contains("stopped: this is not all"), "{}", ended.errors);
    // Whenever it was stopped: the words up to there.
    let prefixes: [&[&str]; 6] =
        [&[], &["1 one"], &["1 one", "1 two"], &["2 one", "1 two"], &["2 one", "2 two"], &["3 one", "2 two"]];
    assert!(prefixes.iter().any(|prefix| ended.printed == *prefix), "{:?}", ended.printed);
}

#[test]
fn what_is_wrong_is_said() {
    let directory = Directory::new("wrong");
    let there = directory.file("there", "a a b");
    for (arguments, wanted) in [
        (&["--help"][..], "Usage: pipeline"),
        (&[][..], "required"),
        (&["--cooperators", "0", &there][..], "0 is not in 1..=1024"),
        (&["--block", "0", &there][..], "a block has 1 to 1073741824 bytes"),
        (&["--blok", "1", &there][..], "--block"),
        (&["/nowhere/at/all"][..], "/nowhere/at/all: No such file or directory"),
    ] {
        let output = pipeline(arguments);
        let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        assert!(said.contains(wanted), "{arguments:?}: {said}");
        assert_eq!(output.status.success(), arguments == ["--help"]);
    }
}
