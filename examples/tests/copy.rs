//! The `copy` program: what it makes is, by `diff -r` and by a closer look, what was there.

mod common;

use common::{Noise, PATIENCE, Program, has_tool, output};
use std::{
    ffi::CString,
    fs::{self, File, Permissions},
    io::Read,
    os::{
        fd::{FromRawFd, OwnedFd},
        unix::{
            ffi::OsStrExt,
            fs::{MetadataExt, PermissionsExt, symlink},
        },
    },
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant, SystemTime},
};

const COPY: &str = env!("CARGO_BIN_EXE_copy");

/// A directory that goes with the test.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("coop-copy-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir(&path).expect("a directory can be made there");
        Self(path)
    }

    fn path(&self, name: &str) -> String {
        self.0.join(name).to_str().expect("text").to_owned()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A tree with files of many sizes, permissions and times, and links.
fn tree(scratch: &Scratch) -> String {
    let root = scratch.0.join("tree");
    let mut noise = Noise::new(1);
    for n in 0..120 {
        let dir = root.join(format!("{}/{}", n % 4, n % 9));
        fs::create_dir_all(&dir).expect("directories can be made");
        let path = dir.join(format!("file {n}"));
        fs::write(&path, noise.bytes(n * n * 37)).expect("a file can be written");
        fs::set_permissions(&path, Permissions::from_mode([0o644, 0o600, 0o755, 0o444][n % 4])).expect("it is ours");
        let then = SystemTime::UNIX_EPOCH + Duration::new(1_000_000_000 + n as u64, 1000 * n as u32);
        File::open(&path).and_then(|file| file.set_modified(then)).expect("it is ours");
    }
    fs::create_dir(root.join("empty")).expect("a directory can be made");
    symlink("0/0", root.join("link")).expect("a link can be made");
    symlink("nowhere", root.join("dangling")).expect("a link can be made");
    symlink("..", root.join("1/up")).expect("a link can be made");
    fs::set_permissions(root.join("2"), Permissions::from_mode(0o555)).expect("it is ours");
    let then = SystemTime::UNIX_EPOCH + Duration::from_secs(500_000_000);
    File::open(root.join("3")).and_then(|dir| dir.set_modified(then)).expect("it is ours");
    root.to_str().expect("text").to_owned()
}

/// Holds everything that is to be kept of one tree against another.
fn assert_same(from: &Path, to: &Path) {
    let (ours, theirs) =
        (fs::symlink_metadata(from).expect("it is there"), fs::symlink_metadata(to).expect("it was copied"));
    let of = |metadata: &fs::Metadata| (metadata.mode(), metadata.mtime(), metadata.mtime_nsec());
    assert_eq!(of(&ours), of(&theirs), "{}", from.display());
    if ours.is_symlink() {
        assert_eq!(fs::read_link(from).expect("a link"), fs::read_link(to).expect("a link"));
    } else if ours.is_dir() {
        let names = |path| {
            let entries = fs::read_dir(path).expect("it can be read");
            let mut names: Vec<_> = entries.map(|entry| entry.expect("it can be read").file_name()).collect();
            names.sort();
            names
        };
        assert_eq!(names(from), names(to));
        names(from).iter().for_each(|name| assert_same(&from.join(name), &to.join(name)));
    } else {
        assert!(fs::read(from).expect("it can be read") == fs::read(to).expect("it can be read"), "{}", from.display());
    }
}

fn diff(from: &str, to: &str) {
    if has_tool("diff") {
        let (code, printed, _) = output("diff", &["-r", "--no-dereference", from, to]);
        assert_eq!((code, printed), (Some(0), String::new()));
    }
}

#[test]
fn a_tree_is_copied_with_permissions_times_and_links() {
    let scratch = Scratch::new("tree");
    let (from, to) = (tree(&scratch), scratch.path("copied"));
    assert_eq!(output(COPY, &[&from, &to]), (Some(0), String::new(), String::new()));
    diff(&from, &to);
    assert_same(Path::new(&from), Path::new(&to));
    // Again over itself, by one task; into what is there already, in which other files stay.
    fs::write(scratch.0.join("copied/0/0/other"), "stays").expect("a file can be written");
    fs::write(scratch.0.join("copied/0/0/file 0"), "goes").expect("a file can be written");
    assert_eq!(output(COPY, &[&from, &to, "--jobs", "1"]), (Some(0), String::new(), String::new()));
    assert_eq!(fs::read(scratch.0.join("copied/0/0/other")).expect("it stays"), b"stays");
    fs::remove_file(scratch.0.join("copied/0/0/other")).expect("it is ours");
    let then = fs::metadata(scratch.0.join("tree/0/0")).and_then(|metadata| metadata.modified()).expect("it is there");
    File::open(scratch.0.join("copied/0/0")).and_then(|dir| dir.set_modified(then)).expect("it is ours");
    assert_same(Path::new(&from), Path::new(&to));
}

#[test]
fn a_file_a_link_and_what_is_neither() {
    let scratch = Scratch::new("single");
    fs::write(scratch.0.join("file"), "hello").expect("a file can be written");
    symlink("file", scratch.0.join("link")).expect("a link can be made");
    for name in ["file", "link"] {
        let to = scratch.path(&format!("copied {name}"));
        assert_eq!(output(COPY, &[&scratch.path(name), &to]), (Some(0), String::new(), String::new()));
        assert_same(&scratch.0.join(name), Path::new(&to));
    }
    let fifo = CString::new(scratch.0.join("fifo").as_os_str().as_bytes()).expect("no NUL in it");
    // SAFETY: a string with an end.
    assert_eq!(unsafe { libc::mkfifo(fifo.as_ptr(), 0o600) }, 0);
    let (code, _, errors) = output(COPY, &[&scratch.path("fifo"), &scratch.path("copied")]);
    assert_eq!((code, fs::exists(scratch.0.join("copied")).expect("it can be said")), (Some(1), false));
    assert!(errors.contains("neither file, directory nor link"), "{errors}");
}

#[test]
fn what_would_never_end_or_is_not_there_is_refused() {
    let scratch = Scratch::new("refused");
    let from = tree(&scratch);
    for to in ["tree", "tree/inside", "tree/0/../inside", "tree/link/inside", "tree/not/there/yet"] {
        let (code, _, errors) = output(COPY, &[&from, &scratch.path(to)]);
        assert_eq!(code, Some(1), "{to}");
        assert!(errors.contains("would be copied into itself"), "{to}: {errors}");
    }
    assert!(!scratch.0.join("tree/inside").exists());
    let (code, _, errors) = output(COPY, &[&scratch.path("missing"), &scratch.path("copied")]);
    assert_eq!(code, Some(1));
    assert!(errors.contains("missing: No such file or directory"), "{errors}");
    // Beside it, with a name that begins like its own, is not inside.
    assert_eq!(output(COPY, &[&from, &scratch.path("tree-2")]).0, Some(0));
    // A file where a directory must go: that much is left out, the rest is copied.
    fs::create_dir(scratch.0.join("blocked")).expect("a directory can be made");
    fs::write(scratch.0.join("blocked/0"), "in the way").expect("a file can be written");
    let (code, _, errors) = output(COPY, &[&from, &scratch.path("blocked")]);
    assert_eq!((code, errors.lines().count()), (Some(1), 1), "{errors}");
    assert!(errors.contains("/0: File exists"), "{errors}");
    assert_same(&scratch.0.join("tree/1"), &scratch.0.join("blocked/1"));
}

#[test]
fn ctrl_c_stops_it_and_removes_what_is_half_written() {
    let scratch = Scratch::new("stopped");
    fs::create_dir(scratch.0.join("big")).expect("a directory can be made");
    for n in 0..8 {
        // Holes, which are copied as zeros: much to write, nothing to make.
        let file = File::create(scratch.0.join(format!("big/{n}"))).expect("a file can be made");
        file.set_len(2 << 30).expect("holes cost nothing");
    }
    let to = scratch.0.join("copied");
    let program = Program::spawn(Command::new(COPY).args([scratch.0.join("big"), to.clone()]).args(["--jobs", "2"]));
    // As soon as something is half written.
    let start = Instant::now();
    let is_begun = || {
        let entries = fs::read_dir(&to).into_iter().flatten().flatten();
        entries.filter_map(|entry| entry.metadata().ok()).any(|metadata| metadata.len() > 1 << 20)
    };
    while !is_begun() {
        assert!(start.elapsed() < PATIENCE, "nothing is copied");
        thread::sleep(Duration::from_millis(1));
    }
    program.signal(libc::SIGINT);
    let ended = program.wait();
    assert_eq!(ended.status.code(), Some(130), "{}", ended.errors);
    assert!(ended.errors.starts_with("copy: stopped after "), "{}", ended.errors);
    for entry in fs::read_dir(&to).expect("the directory was made") {
        let entry = entry.expect("it can be read");
        assert!(!entry.file_name().to_string_lossy().starts_with(".copy-"), "{entry:?} is left");
        assert_eq!(entry.metadata().expect("it is there").len(), 2 << 30, "{entry:?} is half");
    }
}

/// A terminal: what a program writes to the second can be read from the first.
fn terminal() -> (File, OwnedFd) {
    let (mut ours, mut theirs) = (0, 0);
    let none = std::ptr::null_mut();
    // SAFETY: the two numbers are written; name, settings and size are left out.
    let result = unsafe { libc::openpty(&mut ours, &mut theirs, none, none.cast(), none.cast()) };
    assert_eq!(result, 0, "a terminal can be made");
    // SAFETY: made just now, and nobody else's.
    unsafe { (File::from_raw_fd(ours), OwnedFd::from_raw_fd(theirs)) }
}

#[test]
fn a_terminal_is_shown_how_far_it_is() {
    let scratch = Scratch::new("progress");
    let from = tree(&scratch);
    let (mut ours, theirs) = terminal();
    let mut command = Command::new(COPY);
    command.args([&from, &scratch.path("copied")]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(theirs);
    let mut child = command.spawn().expect("it can be started");
    // The command keeps the other end open, too.
    drop(command);
    let mut shown = Vec::new();
    let mut buf = [0; 4096];
    // A terminal whose other end is closed says EIO.
    while let Ok(n @ 1..) = ours.read(&mut buf) {
        shown.extend_from_slice(&buf[..n]);
    }
    assert!(child.wait().expect("it ends").success());
    let shown = String::from_utf8_lossy(&shown);
    let last = shown.trim_end().rsplit('\r').next().unwrap_or_default();
    assert!(last.starts_with("[##############################] 123 of 123 files, "), "{shown:?}");
    // To a file or a pipe nothing, unless it is asked for.
    let (code, _, errors) = output(COPY, &[&from, &scratch.path("again"), "--progress", "always"]);
    assert!(code == Some(0) && errors.contains("] 123 of 123 files, "), "{errors:?}");
}

#[test]
fn the_command_line_is_explained_and_its_mistakes_are_named() {
    let (code, printed, _) = output(COPY, &["--help"]);
    assert_eq!(code, Some(0));
    for option in ["<SOURCE>", "<TARGET>", "--jobs <N>", "--progress <WHEN>"] {
        assert!(printed.contains(option), "{option}: {printed}");
    }
    let (code, printed, errors) = output(COPY, &["a", "b", "--jobs", "many"]);
    assert_eq!((code, printed), (Some(2), String::new()));
    assert!(errors.contains("invalid value 'many' for '--jobs <N>': not a number from 1 to 1024"), "{errors}");
}
