//! Removing a tree.

use super::call::wait;
use super::directory::{DirEntry, ReadDir};
use super::metadata::stat_link;
use super::options::Opening;
use super::path::{name, remove_in};
use super::{remove_dir, remove_file};
use crate::handle::Operation;
use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

/// Removes a directory with everything in it. Symbolic links are removed, not followed, also when somebody puts one in the place of a
/// directory meanwhile. What others have removed already is no error.
///
/// A wait point; kill-checked: a kill or an error leaves what is not yet removed. A descriptor for each level is open at a time.
///
/// # Errors
/// Those of opening, reading and removing; `NotFound` if there is nothing by that name, `NotADirectory` if it is a file. (A link by
/// that name is removed.) [`Killed`](crate::Killed).
///
/// ```
/// use coop::fs;
/// coop::run(|| -> std::io::Result<()> {
///     let dir = std::env::temp_dir().join(format!("coop-remove-{}", std::process::id()));
///     fs::create_dir_all(dir.join("a/b/c"))?;
///     fs::write(dir.join("a/file"), "x")?;
///     fs::remove_dir_all(&dir)?;
///     assert!(!fs::exists(&dir)?);
///     Ok(())
/// }).unwrap();
/// ```
#[track_caller]
pub fn remove_dir_all(path: impl AsRef<Path>) -> io::Result<()> {
    /// A directory on the way down, and the name by which the one above has it.
    struct Level {
        dir: ReadDir,
        name: CString,
    }

    let path = path.as_ref();
    if stat_link(path).wait()?.is_symlink() {
        return remove_file(path);
    }
    let root: OwnedFd = wait(Opening::directory(name(path)))?.into();
    let mut levels = vec![Level { dir: ReadDir::of(root, PathBuf::new()), name: CString::default() }];
    while let Some(level) = levels.last_mut() {
        let Some(entry) = level.dir.next().transpose()? else {
            let Some(Level { dir, name }) = levels.pop() else { break };
            // Its descriptor is not needed to remove it.
            drop(dir);
            let removed = match levels.last() {
                Some(above) => remove_in(above.dir.as_fd(), &name, true),
                None => remove_dir(path),
            };
            ignore_missing(removed)?;
            continue;
        };
        if entry.file_type()?.is_dir() {
            match open(&entry) {
                Ok(dir) => {
                    levels.push(Level { dir: ReadDir::of(dir, PathBuf::new()), name: entry.kernel_name().to_owned() })
                }
                // Not a directory any more: a link, or a file.
                Err(error) if matches!(error.raw_os_error(), Some(libc::ELOOP | libc::ENOTDIR)) => {
                    remove(entry.dir(), &entry)?;
                }
                Err(error) => ignore_missing(Err(error))?,
            }
        } else {
            remove(entry.dir(), &entry)?;
        }
    }
    Ok(())
}

#[track_caller]
fn open(entry: &DirEntry) -> io::Result<OwnedFd> {
    Ok(wait(Opening::directory_in(entry.dir(), Ok(entry.kernel_name().to_owned().into())))?.into())
}

#[track_caller]
fn remove(dir: BorrowedFd<'_>, entry: &DirEntry) -> io::Result<()> {
    ignore_missing(remove_in(dir, entry.kernel_name(), false))
}

fn ignore_missing(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}
