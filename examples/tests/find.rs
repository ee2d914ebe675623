//! The `find` program: its output is that of the system's `find`, in another order.

mod common;

use common::{has_tool, output};
use std::{
    collections::BTreeSet,
    ffi::{CString, OsStr},
    fs,
    io::Read,
    os::unix::ffi::OsStrExt,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

const FIND: &str = env!("CARGO_BIN_EXE_find");

/// A directory that goes with the test.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("coop-find-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir(&path).expect("a directory can be made there");
        Self(path)
    }

    fn file(&self, name: &str, len: usize) {
        let path = self.0.join(name);
        fs::create_dir_all(path.parent().expect("it is below the scratch")).expect("directories can be made");
        fs::write(path, vec![b'x'; len]).expect("a file can be written");
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Files of many kinds, sizes and names.
fn tree(name: &str) -> Scratch {
    let scratch = Scratch::new(name);
    let sizes = [0, 1, 511, 512, 513, 1023, 1024, 1025, 2048, 5000, 1 << 20, (1 << 20) + 1];
    for (n, size) in sizes.into_iter().enumerate() {
        for (depth, dir) in ["", "a/", "a/b/", "a/b/c/", "other/"].into_iter().enumerate() {
            let extension = ["txt", "rs", "txt.orig"][(n + depth) % 3];
            scratch.file(&format!("{dir}file-{n}.{extension}"), size);
        }
    }
    for n in 0..500 {
        scratch.file(&format!("many/{}/{}/{n}", n % 10, n % 7), n);
    }
    scratch.file(".hidden/.dot", 3);
    scratch.file("odd/new\nline", 3);
    scratch.file("odd/ space [bracket]*", 3);
    scratch.file("odd/-dash", 3);
    fs::create_dir(scratch.0.join("empty")).expect("a directory can be made");
    symlink("a", scratch.0.join("link")).expect("a link can be made");
    symlink("nowhere", scratch.0.join("dangling")).expect("a link can be made");
    symlink("..", scratch.0.join("a/up")).expect("a link can be made");
    let fifo = CString::new(scratch.0.join("fifo").as_os_str().as_bytes()).expect("no NUL in it");
    // SAFETY: a string with an end.
    assert_eq!(unsafe { libc::mkfifo(fifo.as_ptr(), 0o600) }, 0);
    drop(std::os::unix::net::UnixListener::bind(scratch.0.join("socket")).expect("a socket can be bound"));
    scratch
}

/// What a command prints, by entries, sorted; and its exit code.
fn found(program: &str, directory: &Path, arguments: &[&str]) -> (Vec<Vec<u8>>, Option<i32>) {
    let mut command = Command::new(program);
    let ended =
        command.current_dir(directory).args(arguments).stderr(Stdio::null()).output().expect("it can be started");
    let end = if arguments.contains(&"-print0") { 0 } else { b'\n' };
    let mut entries: Vec<Vec<u8>> = ended.stdout.split(|byte| *byte == end).map(<[u8]>::to_vec).collect();
    entries.sort();
    (entries, ended.status.code())
}

#[test]
fn it_prints_what_find_prints() {
    if !has_tool("find") {
        return;
    }
    let scratch = tree("same");
    let absolute = scratch.0.to_str().expect("text").to_owned();
    let names = [
        vec![],
        vec!["-name", "*.txt"],
        vec!["-name", "file-?.*", "-type", "f"],
        vec!["-name", "."],
        vec!["-name", "a"],
        vec!["-name", ".*"],
        vec!["-name", "[!f]*", "-name", "*[!0-9]"],
        vec!["-name", "* \\[*\\]\\*"],
        vec!["-name", "-dash"],
    ];
    let types = ["d", "f", "l", "p", "s,l", "f,d"].map(|types| vec!["-type", types]);
    let sizes = ["0", "1", "+2", "-3", "1024c", "1k", "-1M", "512w", "+0", "1G"].map(|size| vec!["-size", size]);
    let both = [vec!["-size", "+1k", "-size", "-2M"], vec!["-size", "1k", "-type", "f", "-name", "*.rs"]];
    let everywhere = names.iter().chain(&types).chain(&sizes).chain(&both);
    let here = everywhere.flat_map(|tests| {
        let depths = [vec![], vec!["-maxdepth", "0"], vec!["-maxdepth", "1"], vec!["-maxdepth", "3"]];
        depths.map(|depth| [&depth, &tests[..], &["-print0"]].concat())
    });
    let paths =
        [vec!["."], vec!["a", "other/"], vec!["link"], vec!["link/"], vec!["a/file-0.txt", "fifo"], vec![&absolute]];
    let elsewhere = paths.iter().flat_map(|paths| {
        let tests = [vec![], vec!["-name", "[al.o]*"], vec!["-type", "f,l"], vec!["-maxdepth", "1", "-size", "-2"]];
        tests.map(|tests| [&paths[..], &tests, &["-print0"]].concat())
    });
    let mut cases = 0;
    for line in here.chain(elsewhere) {
        assert_eq!(found(FIND, &scratch.0, &line), found("find", &scratch.0, &line), "{line:?}");
        cases += 1;
    }
    assert_eq!(cases, (9 + 6 + 10 + 2) * 4 + 6 * 4);
    let lines = ["many", "-type", "f"];
    assert_eq!(found(FIND, &scratch.0, &lines), found("find", &scratch.0, &lines));
    assert_eq!(
        found(FIND, &scratch.0, &["--jobs", "1", "--name", "*.rs"]),
        found("find", &scratch.0, &["-name", "*.rs"])
    );
}

#[test]
fn what_cannot_be_searched_is_said_and_the_rest_is_found() {
    let scratch = tree("failing");
    let there = scratch.0.join("a");
    let missing = scratch.0.join("missing");
    let (code, printed, errors) = output(FIND, &[missing.to_str().unwrap(), there.to_str().unwrap(), "-name", "c"]);
    assert_eq!((code, printed), (Some(1), there.join("b/c").display().to_string()));
    assert_eq!(errors, format!("find: {}: No such file or directory (os error 2)\n", missing.display()));
}

#[test]
fn a_reader_that_has_enough_ends_it() {
    let scratch = tree("enough");
    let mut command = Command::new(FIND);
    let mut child =
        command.arg(&scratch.0).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it can be started");
    drop(child.stdout.take());
    let ended = child.wait_with_output().expect("it ends");
    assert_eq!((ended.status.code(), String::from_utf8_lossy(&ended.stderr).as_ref()), (Some(0), ""));
}

#[test]
fn ctrl_c_stops_it_and_what_was_found_is_printed() {
    let scratch = tree("stopped");
    let entries = Command::new("find").arg(&scratch.0).output().map_or(0, |output| output.stdout.len());
    // Far more than fits what is between the search and somebody who does not read: it cannot be through.
    let times = (64 << 20) / entries.max(1);
    let mut command = Command::new(FIND);
    command.args(std::iter::repeat_n(&scratch.0, times)).arg("-print0").stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("it can be started");
    let mut stdout = child.stdout.take().expect("it is a pipe");
    let mut printed = vec![0; 256 << 10];
    stdout.read_exact(&mut printed).expect("it finds much");
    // SAFETY: kill has no preconditions; the number is that of a child that has not been waited for.
    assert_eq!(unsafe { libc::kill(child.id() as i32, libc::SIGINT) }, 0);
    stdout.read_to_end(&mut printed).expect("it ends");
    let ended = child.wait_with_output().expect("it ends");
    assert_eq!((ended.status.code(), String::from_utf8_lossy(&ended.stderr).as_ref()), (Some(130), ""));
    assert!(printed.len() < entries * times, "{} bytes", printed.len());
    // Whole entries only, each of something that is there.
    let entries: BTreeSet<&[u8]> =
        printed.strip_suffix(b"\0").expect("it ends with an end").split(|byte| *byte == 0).collect();
    for entry in entries {
        assert!(fs::symlink_metadata(OsStr::from_bytes(entry)).is_ok(), "{}", String::from_utf8_lossy(entry));
    }
}

#[test]
fn the_command_line_is_explained_and_its_mistakes_are_named() {
    let (code, printed, _) = output(FIND, &["--help"]);
    assert_eq!(code, Some(0));
    for option in ["--name <PATTERN>", "--type <TYPES>", "--size <[+-]N[UNIT]>", "--maxdepth <LEVELS>", "--jobs <N>"] {
        assert!(printed.contains(option), "{option}: {printed}");
    }
    let (code, printed, errors) = output(FIND, &["-type", "q"]);
    assert_eq!((code, printed), (Some(2), String::new()));
    assert!(errors.contains("'q' is no type"), "{errors}");
}
