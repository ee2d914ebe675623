//! Files and directories: what `std::fs` has, with waits that are a task's.
//!
//! ```
//! use coop::fs;
//! use std::io;
//! coop::run(|| -> io::Result<()> {
//!     let dir = std::env::temp_dir().join(format!("coop-fs-{}", std::process::id()));
//!     fs::create_dir_all(dir.join("a/b"))?;
//!     fs::write(dir.join("a/b/greeting"), "hello")?;
//!     assert_eq!(fs::read_to_string(dir.join("a/b/greeting"))?, "hello");
//!
//!     let mut found = Vec::new();
//!     for entry in fs::walk(&dir) {
//!         let entry = entry?;
//!         if entry.file_type().is_file() {
//!             found.push(entry.into_path());
//!         }
//!     }
//!     assert_eq!(found, [dir.join("a/b/greeting")]);
//!     fs::remove_dir_all(&dir)
//! }).unwrap();
//! ```
//!
//! Most calls are io_uring's own; those it does not have are made on a thread, and fail where none is to be had. What the kernel has begun to do to a disk it does not
//! cancel: a killed task waits for its end, and gets the result; the next wait is refused. [`op`](crate::op) makes the operations,
//! to put several in flight together. None of them is an arm of `select!` by value, since cancelled they can have had an effect;
//! `&mut handle` of any is. What has no operation of its own is put in flight by [`op::unblock`](crate::op::unblock).
//!
//! Without a Cooperator every call here fails with `Unsupported`.

// A call is described to the ring by a submission, of which users see nothing.
#![allow(private_interfaces)]

mod call;
mod copy;
mod direct;
mod directory;
mod file;
mod metadata;
mod options;
mod path;
mod remove;
mod thread;
mod transfer;
mod walk;
mod whole;

pub use copy::copy;
pub use direct::{AlignedBuf, DirectAlignment, Misaligned, Misalignment};
pub use directory::{DirEntry, ReadDir, read_dir};
pub use file::File;
pub use metadata::{FileType, Metadata};
pub use options::OpenOptions;
pub use remove::remove_dir_all;
pub use walk::{Walk, WalkEntry, walk};
pub use whole::{read, read_to_string, write};

pub(crate) use call::Request;
pub(crate) use file::{Changing, ReadAt, ReadExactAt, WriteAllAt, WriteAt};
pub(crate) use metadata::{Stat, stat_following, stat_link};
pub(crate) use options::{Opening, opening};
pub(crate) use path::{Naming, creating_dir, hard_linking, removing_dir, removing_file, renaming, symlinking};
pub(crate) use transfer::{Place, Reading, ReadingVectored, Writing, WritingVectored};

use crate::handle::Operation;
use std::fs::Permissions;
use std::io;
use std::path::{Path, PathBuf};
use thread::{looking, to_the_end};

/// What is known of a file; of what a symbolic link leads to, if it is one.
///
/// A wait point; kill-checked.
///
/// # Errors
/// Those of statx(2): `NotFound`, `PermissionDenied` for a directory on the way, `InvalidInput` for a path with a NUL in it.
/// [`Killed`](crate::Killed).
///
/// ```
/// use coop::fs;
/// coop::run(|| {
///     assert!(fs::metadata("/").unwrap().is_dir());
///     assert_eq!(fs::metadata("/no such file").unwrap_err().kind(), std::io::ErrorKind::NotFound);
/// });
/// ```
#[track_caller]
pub fn metadata(path: impl AsRef<Path>) -> io::Result<Metadata> {
    stat_following(path.as_ref()).wait()
}

/// As [`metadata`], of the link itself if it is one.
///
/// A wait point; kill-checked.
///
/// # Errors
/// As [`metadata`].
#[track_caller]
pub fn symlink_metadata(path: impl AsRef<Path>) -> io::Result<Metadata> {
    stat_link(path.as_ref()).wait()
}

/// Whether there is something by this name; links are followed.
///
/// A wait point; kill-checked.
///
/// # Errors
/// As [`metadata`], but `NotFound`: when it cannot be said.
#[track_caller]
pub fn exists(path: impl AsRef<Path>) -> io::Result<bool> {
    match metadata(path) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Makes a directory, with the permissions 0o777 less the process's umask.
///
/// A wait point; kill-checked: a kill that comes too late finds it made, and that is said.
///
/// # Errors
/// Those of mkdir(2): `AlreadyExists`, `NotFound` without the parent, `PermissionDenied`, …; [`Killed`](crate::Killed).
#[track_caller]
pub fn create_dir(path: impl AsRef<Path>) -> io::Result<()> {
    creating_dir(path.as_ref()).wait()
}

/// Makes a directory and those on the way to it. One that is there is no error.
///
/// A wait point; kill-checked. A kill or an error can leave some of them made.
///
/// # Errors
/// As [`create_dir`]; `AlreadyExists` or `NotADirectory` where something else has one of the names.
#[track_caller]
pub fn create_dir_all(path: impl AsRef<Path>) -> io::Result<()> {
    let path = path.as_ref();
    let mut missing = Vec::new();
    // Up to the first that can be made, or is there; then down again.
    for dir in path.ancestors().filter(|dir| !dir.as_os_str().is_empty()) {
        match create_dir(dir) {
            Ok(()) => break,
            Err(error) if error.kind() == io::ErrorKind::NotFound => missing.push(dir),
            Err(error) => match crate::Killed::is(&error) || !metadata(dir)?.is_dir() {
                true => return Err(error),
                false => break,
            },
        }
    }
    for dir in missing.into_iter().rev() {
        match create_dir(dir) {
            Ok(()) => {}
            // Somebody else was making it too.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && metadata(dir)?.is_dir() => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Removes a file, or a symbolic link.
///
/// A wait point; kill-checked: a kill that comes too late finds it removed, and that is said.
///
/// # Errors
/// Those of unlink(2): `NotFound`, `IsADirectory`, `PermissionDenied`, …; [`Killed`](crate::Killed).
#[track_caller]
pub fn remove_file(path: impl AsRef<Path>) -> io::Result<()> {
    removing_file(path.as_ref()).wait()
}

/// Removes an empty directory.
///
/// A wait point; kill-checked: a kill that comes too late finds it removed, and that is said.
///
/// # Errors
/// Those of rmdir(2): `NotFound`, `DirectoryNotEmpty`, `NotADirectory`, …; [`Killed`](crate::Killed).
#[track_caller]
pub fn remove_dir(path: impl AsRef<Path>) -> io::Result<()> {
    removing_dir(path.as_ref()).wait()
}

/// Gives a file another name, on the same file system. What had that name is replaced, in one step.
///
/// A wait point; kill-checked: a kill that comes too late finds it renamed, and that is said.
///
/// # Errors
/// Those of rename(2): `NotFound`, `CrossesDevices`, `DirectoryNotEmpty`, …; [`Killed`](crate::Killed).
///
/// ```
/// use coop::fs;
/// coop::run(|| -> std::io::Result<()> {
///     let path = std::env::temp_dir().join(format!("coop-rename-{}", std::process::id()));
///     let draft = path.with_extension("draft");
///     fs::write(&draft, "all of it")?;                     // others see nothing, or the whole
///     fs::rename(&draft, &path)?;
///     assert_eq!(fs::read_to_string(&path)?, "all of it");
///     fs::remove_file(&path)
/// }).unwrap();
/// ```
#[track_caller]
pub fn rename(from: impl AsRef<Path>, to: impl AsRef<Path>) -> io::Result<()> {
    renaming(from.as_ref(), to.as_ref()).wait()
}

/// Gives a file one more name, on the same file system. A symbolic link is not followed.
///
/// A wait point; kill-checked: a kill that comes too late finds it linked, and that is said.
///
/// # Errors
/// Those of link(2): `AlreadyExists`, `NotFound`, `CrossesDevices`, …; [`Killed`](crate::Killed).
#[track_caller]
pub fn hard_link(original: impl AsRef<Path>, link: impl AsRef<Path>) -> io::Result<()> {
    hard_linking(original.as_ref(), link.as_ref()).wait()
}

/// Makes a symbolic link that leads to `original`, which need not exist.
///
/// A wait point; kill-checked: a kill that comes too late finds it made, and that is said.
///
/// # Errors
/// Those of symlink(2): `AlreadyExists`, `NotFound`, …; [`Killed`](crate::Killed).
///
/// ```
/// use coop::fs;
/// coop::run(|| -> std::io::Result<()> {
///     let link = std::env::temp_dir().join(format!("coop-symlink-{}", std::process::id()));
///     fs::symlink("/dev/null", &link)?;
///     assert!(fs::symlink_metadata(&link)?.is_symlink());
///     assert_eq!(fs::read_link(&link)?, std::path::Path::new("/dev/null"));
///     fs::remove_file(&link)
/// }).unwrap();
/// ```
#[track_caller]
pub fn symlink(original: impl AsRef<Path>, link: impl AsRef<Path>) -> io::Result<()> {
    symlinking(original.as_ref(), link.as_ref()).wait()
}

/// Where a symbolic link leads.
///
/// A wait point; kill-checked. Made on a thread.
///
/// # Errors
/// Those of readlink(2): `NotFound`, `InvalidInput` for what is no link, …; [`Killed`](crate::Killed).
#[track_caller]
pub fn read_link(path: impl AsRef<Path>) -> io::Result<PathBuf> {
    let path = path.as_ref().to_owned();
    looking(move || std::fs::read_link(path))
}

/// The absolute path without symbolic links, `.` and `..`.
///
/// A wait point; kill-checked. Made on a thread.
///
/// # Errors
/// Those of realpath(3): `NotFound`, …; [`Killed`](crate::Killed).
///
/// ```
/// use coop::fs;
/// coop::run(|| assert_eq!(fs::canonicalize("/proc/../.").unwrap(), std::path::Path::new("/")));
/// ```
#[track_caller]
pub fn canonicalize(path: impl AsRef<Path>) -> io::Result<PathBuf> {
    let path = path.as_ref().to_owned();
    looking(move || std::fs::canonicalize(path))
}

/// Says who may do what with a file; links are followed.
///
/// A wait point; kill-checked: once begun, it is done. Made on a thread.
///
/// # Errors
/// Those of chmod(2): `NotFound`, `PermissionDenied`, …; [`Killed`](crate::Killed).
///
/// ```
/// use coop::fs;
/// use std::os::unix::fs::PermissionsExt;
/// coop::run(|| -> std::io::Result<()> {
///     let path = std::env::temp_dir().join(format!("coop-permissions-{}", std::process::id()));
///     fs::write(&path, "")?;
///     fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
///     assert_eq!(fs::metadata(&path)?.mode() & 0o777, 0o600);
///     fs::remove_file(&path)
/// }).unwrap();
/// ```
#[track_caller]
pub fn set_permissions(path: impl AsRef<Path>, permissions: Permissions) -> io::Result<()> {
    let path = path.as_ref().to_owned();
    to_the_end(move || std::fs::set_permissions(path, permissions))
}
