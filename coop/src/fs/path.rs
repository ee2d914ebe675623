//! Calls on names: what renames, links, makes and removes.

use super::call::{Call, Request, wait};
use crate::ring::Sqe;
use std::borrow::Cow;
use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// A path as the kernel takes it. An operation is made without looking at its arguments: what is wrong with them is kept until it
/// is waited for.
pub(super) type Name = io::Result<Cow<'static, CStr>>;

pub(super) fn name(path: &Path) -> Name {
    match CString::new(path.as_os_str().as_bytes()) {
        Ok(name) => Ok(Cow::Owned(name)),
        Err(_) => Err(io::Error::new(io::ErrorKind::InvalidInput, "a file name with a NUL byte in it")),
    }
}

/// The name's address. An error is taken: it is told once.
pub(super) fn address(name: &mut Name) -> io::Result<*const libc::c_char> {
    match name {
        // Of an owned name that is on the heap, and stays when the owner moves.
        Ok(name) => Ok(name.as_ptr()),
        Err(error) => Err(std::mem::replace(error, io::ErrorKind::InvalidInput.into())),
    }
}

/// Where a name begins that does not begin at `/`.
#[derive(Clone, Copy)]
pub(super) enum Base<'a> {
    WorkingDirectory,
    Directory(BorrowedFd<'a>),
}

impl Base<'_> {
    pub(super) fn fd(self) -> RawFd {
        match self {
            Base::WorkingDirectory => libc::AT_FDCWD,
            Base::Directory(fd) => fd.as_raw_fd(),
        }
    }
}

/// What is done to a name, or to two.
#[derive(Clone, Copy)]
enum Deed {
    CreateDir,
    RemoveFile,
    RemoveDir,
    Rename,
    HardLink,
    /// The first is what the second then says.
    Symlink,
}

/// A call on one name or two.
#[doc(hidden)]
pub struct Naming<'a> {
    deed: Deed,
    base: Base<'a>,
    names: [Name; 2],
}

// SAFETY: the submission names only the strings, which are owned and on the heap, or static.
unsafe impl Call for Naming<'_> {
    type Waited = ();
    type Started = ();

    fn verb(&self) -> &'static str {
        match self.deed {
            Deed::CreateDir => "create_dir",
            Deed::RemoveFile => "remove_file",
            Deed::RemoveDir => "remove_dir",
            Deed::Rename => "rename",
            Deed::HardLink => "hard_link",
            Deed::Symlink => "symlink",
        }
    }

    fn sqe(&mut self) -> io::Result<Sqe> {
        let [first, second] = &mut self.names;
        let (first, second, base) = (address(first)?, address(second)?, self.base.fd());
        Ok(match self.deed {
            Deed::CreateDir => Sqe::mkdirat(base, first, 0o777),
            Deed::RemoveFile => Sqe::unlinkat(base, first, 0),
            Deed::RemoveDir => Sqe::unlinkat(base, first, libc::AT_REMOVEDIR),
            Deed::Rename => Sqe::renameat(base, first, base, second),
            Deed::HardLink => Sqe::linkat(base, first, base, second),
            Deed::Symlink => Sqe::symlinkat(first, base, second),
        })
    }

    fn waited(self, _: usize) -> io::Result<()> {
        Ok(())
    }

    fn started(self, _: usize) -> io::Result<()> {
        Ok(())
    }
}

fn one(deed: Deed, path: &Path) -> Request<Naming<'static>> {
    Request::new(Naming { deed, base: Base::WorkingDirectory, names: [name(path), Ok(Cow::Borrowed(c""))] })
}

fn two(deed: Deed, first: &Path, second: &Path) -> Request<Naming<'static>> {
    Request::new(Naming { deed, base: Base::WorkingDirectory, names: [name(first), name(second)] })
}

pub(crate) fn creating_dir(path: &Path) -> Request<Naming<'static>> {
    one(Deed::CreateDir, path)
}

pub(crate) fn removing_file(path: &Path) -> Request<Naming<'static>> {
    one(Deed::RemoveFile, path)
}

pub(crate) fn removing_dir(path: &Path) -> Request<Naming<'static>> {
    one(Deed::RemoveDir, path)
}

pub(crate) fn renaming(from: &Path, to: &Path) -> Request<Naming<'static>> {
    two(Deed::Rename, from, to)
}

pub(crate) fn hard_linking(original: &Path, link: &Path) -> Request<Naming<'static>> {
    two(Deed::HardLink, original, link)
}

pub(crate) fn symlinking(original: &Path, link: &Path) -> Request<Naming<'static>> {
    two(Deed::Symlink, original, link)
}

/// Removes what has this name in a directory.
#[track_caller]
pub(super) fn remove_in(dir: BorrowedFd<'_>, name: &CStr, is_dir: bool) -> io::Result<()> {
    let deed = if is_dir { Deed::RemoveDir } else { Deed::RemoveFile };
    let names = [Ok(Cow::Owned(name.to_owned())), Ok(Cow::Borrowed(c""))];
    wait(Naming { deed, base: Base::Directory(dir), names })
}
