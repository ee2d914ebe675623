//! Operations on files and names: plain, left to a worker, and cancelled.

use super::super::Sqe;
use super::super::submission::AT_POSITION;
use super::bench::Bench;
use super::{Outcome, Scenario};
use std::ffi::CString;
use std::fs::{self, File};
use std::io::Write;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

const OP: u64 = 1;
const CANCEL: u64 = 2;

/// A directory with a file of ten bytes, an empty directory and one that is not.
struct Place {
    path: PathBuf,
    file: File,
}

impl Place {
    fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("coop-conformance-{}-{number}", std::process::id()));
        fs::create_dir_all(path.join("full/inner")).unwrap();
        fs::create_dir(path.join("empty")).unwrap();
        File::create(path.join("file")).unwrap().write_all(b"ten bytes.").unwrap();
        let file = File::options().read(true).write(true).open(path.join("file")).unwrap();
        Place { path, file }
    }

    fn name(&self, bench: &mut Bench, name: impl AsRef<Path>) -> *const libc::c_char {
        let name = CString::new(self.path.join(name).as_os_str().as_bytes()).unwrap();
        bench.memory(name.as_bytes_with_nul()).cast_const().cast()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// How it is asked for.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Way {
    Plain,
    OnAWorker,
    /// With its cancel in the same batch.
    Cancelled,
}

const HERE: i32 = libc::AT_FDCWD;

type Make = fn(&Place, &mut Bench) -> Sqe;

/// What is asked for, by name; and what it may say: from, to.
const WHAT: [(&str, Make, i32, i32); 32] = [
    ("read at the start", |p, b| Sqe::read(p.file.as_raw_fd(), b.memory(&[0; 4]), 4, 0), 1, 4),
    ("read across the end", |p, b| Sqe::read(p.file.as_raw_fd(), b.memory(&[0; 8]), 8, 6), 1, 4),
    ("read at the end", |p, b| Sqe::read(p.file.as_raw_fd(), b.memory(&[0; 8]), 8, 10), 0, 0),
    ("read where it stands", |p, b| Sqe::read(p.file.as_raw_fd(), b.memory(&[0; 8]), 8, AT_POSITION), 1, 8),
    ("read of nothing", |p, b| Sqe::read(p.file.as_raw_fd(), b.memory(&[0; 1]), 0, 0), 0, 0),
    ("write", |p, b| Sqe::write(p.file.as_raw_fd(), b.memory(b"abcd"), 4, 2), 1, 4),
    ("write beyond the end", |p, b| Sqe::write(p.file.as_raw_fd(), b.memory(b"abcd"), 4, 100), 1, 4),
    (
        "read without memory",
        |p, _| Sqe::read(p.file.as_raw_fd(), std::ptr::null_mut(), 4, 0),
        -libc::EFAULT,
        -libc::EFAULT,
    ),
    ("fsync", |p, _| Sqe::fsync(p.file.as_raw_fd(), 0), 0, 0),
    ("fdatasync", |p, _| Sqe::fsync(p.file.as_raw_fd(), 1), 0, 0),
    ("fallocate", |p, _| Sqe::fallocate(p.file.as_raw_fd(), 0, 0, 4096), 0, 0),
    ("ftruncate", |p, _| Sqe::ftruncate(p.file.as_raw_fd(), 3), 0, 0),
    ("open", |p, b| Sqe::openat(HERE, p.name(b, "file"), libc::O_RDONLY | libc::O_CLOEXEC, 0), 0, 0),
    (
        "open what is not there",
        |p, b| Sqe::openat(HERE, p.name(b, "none"), libc::O_CLOEXEC, 0),
        -libc::ENOENT,
        -libc::ENOENT,
    ),
    (
        "create what is there",
        |p, b| Sqe::openat(HERE, p.name(b, "file"), libc::O_CREAT | libc::O_EXCL | libc::O_CLOEXEC, 0o600),
        -libc::EEXIST,
        -libc::EEXIST,
    ),
    (
        "write a directory",
        |p, b| Sqe::openat(HERE, p.name(b, "empty"), libc::O_WRONLY | libc::O_CLOEXEC, 0),
        -libc::EISDIR,
        -libc::EISDIR,
    ),
    (
        "open below a file",
        |p, b| Sqe::openat(HERE, p.name(b, "file/x"), libc::O_CLOEXEC, 0),
        -libc::ENOTDIR,
        -libc::ENOTDIR,
    ),
    ("statx", |p, b| Sqe::statx(HERE, p.name(b, "file"), 0, libc::STATX_SIZE, b.memory(&[0; 512]).cast()), 0, 0),
    (
        "statx of nothing",
        |p, b| Sqe::statx(HERE, p.name(b, "none"), 0, libc::STATX_SIZE, b.memory(&[0; 512]).cast()),
        -libc::ENOENT,
        -libc::ENOENT,
    ),
    ("rename", |p, b| Sqe::renameat(HERE, p.name(b, "file"), HERE, p.name(b, "new")), 0, 0),
    (
        "rename what is not there",
        |p, b| Sqe::renameat(HERE, p.name(b, "none"), HERE, p.name(b, "new")),
        -libc::ENOENT,
        -libc::ENOENT,
    ),
    ("unlink", |p, b| Sqe::unlinkat(HERE, p.name(b, "file"), 0), 0, 0),
    ("unlink a directory", |p, b| Sqe::unlinkat(HERE, p.name(b, "empty"), 0), -libc::EISDIR, -libc::EISDIR),
    ("rmdir", |p, b| Sqe::unlinkat(HERE, p.name(b, "empty"), libc::AT_REMOVEDIR), 0, 0),
    (
        "rmdir of a full one",
        |p, b| Sqe::unlinkat(HERE, p.name(b, "full"), libc::AT_REMOVEDIR),
        -libc::ENOTEMPTY,
        -libc::ENOTEMPTY,
    ),
    (
        "rmdir of a file",
        |p, b| Sqe::unlinkat(HERE, p.name(b, "file"), libc::AT_REMOVEDIR),
        -libc::ENOTDIR,
        -libc::ENOTDIR,
    ),
    ("mkdir", |p, b| Sqe::mkdirat(HERE, p.name(b, "new"), 0o700), 0, 0),
    ("mkdir where there is one", |p, b| Sqe::mkdirat(HERE, p.name(b, "empty"), 0o700), -libc::EEXIST, -libc::EEXIST),
    ("symlink", |p, b| Sqe::symlinkat(p.name(b, "file"), HERE, p.name(b, "new")), 0, 0),
    ("link", |p, b| Sqe::linkat(HERE, p.name(b, "file"), HERE, p.name(b, "new")), 0, 0),
    (
        "link to what is there",
        |p, b| Sqe::linkat(HERE, p.name(b, "file"), HERE, p.name(b, "empty")),
        -libc::EEXIST,
        -libc::EEXIST,
    ),
    ("poll of a file", |p, _| Sqe::poll(p.file.as_raw_fd(), (libc::POLLIN | libc::POLLOUT) as u32), 5, 5),
];

fn run(bench: &mut Bench, make: Make, is_open: bool, way: Way) -> Outcome {
    let place = Place::new();
    let sqe = make(&place, bench);
    bench.push(OP, if way == Way::OnAWorker { sqe.on_a_worker() } else { sqe });
    if way == Way::Cancelled {
        bench.cancel(CANCEL, OP);
        bench.wait_for(&[CANCEL]);
    }
    bench.wait_for(&[OP]);
    let mut result = bench.result(OP);
    if is_open && result >= 0 {
        // Whichever number it is.
        // SAFETY: the kernel has just given this process the descriptor.
        drop(unsafe { OwnedFd::from_raw_fd(result) });
        result = 0;
    }
    match way {
        Way::Cancelled => vec![("cancel", bench.result(CANCEL)), ("op", result)],
        _ => vec![("op", result)],
    }
}

pub(super) fn scenarios() -> Vec<Scenario> {
    let mut all = Vec::new();
    for (name, make, least, most) in WHAT {
        for way in [Way::Plain, Way::OnAWorker, Way::Cancelled] {
            all.push(Scenario::new(
                "files",
                format!("{name}, {way:?}"),
                move |bench| run(bench, make, name.starts_with("open"), way),
                move |outcome| {
                    let is_natural = |result: i32| (least..=most).contains(&result);
                    let is_stopped = |result: i32| result == -libc::ECANCELED || result == -libc::EINTR;
                    match *outcome.as_slice() {
                        [("op", result)] => is_natural(result),
                        [("cancel", cancel), ("op", result)] => match -cancel {
                            0 => is_stopped(result),
                            libc::ENOENT => is_natural(result),
                            libc::EALREADY => is_natural(result) || is_stopped(result),
                            _ => false,
                        },
                        _ => false,
                    }
                },
            ));
        }
    }
    all
}
