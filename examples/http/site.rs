//! The directory that is served.
//!
//! Names are looked up by `openat2` with `RESOLVE_BENEATH`: the kernel itself sees that no way leads out of the
//! directory, through symbolic links neither, whoever changes what meanwhile. With `RESOLVE_CACHED` it does so only if
//! nothing has to be read from a disk, so that this thread is never blocked; else a thread of the pool makes the call.

use std::{
    io,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    sync::Arc,
};

use coop::fs;
use rustix::{
    fs::{FileType, Mode, OFlags, ResolveFlags},
    io::Errno,
};

use crate::{
    facts::Version,
    status::{Refusal, Status},
};

/// A directory that is open: it stays the same if it is renamed.
pub struct Site {
    directory: Arc<OwnedFd>,
}

/// What a name stands for.
pub enum Found {
    File(Opened),
    Directory(OwnedFd),
}

/// A file that is open, and what it was like then.
pub struct Opened {
    fd: OwnedFd,
    pub version: Version,
}

impl Site {
    /// Opens the directory. Before anything is served, so it may block.
    ///
    /// # Errors
    /// Those of open(2) and openat2(2).
    pub fn open(path: &Path) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let directory = Arc::new(rustix::fs::open(path, flags, Mode::empty())?);
        // Here rather than at each request: a sandbox may know no openat2.
        beneath(&directory, b".", ResolveFlags::empty())?;
        Ok(Self { directory })
    }

    /// Looks a name up. A wait point if it is not in the kernel's cache; kill-checked then.
    ///
    /// # Errors
    /// Those of openat2(2); a refusal for what is neither a file nor a directory.
    pub fn find(&self, path: &[u8]) -> Result<Found, Refusal> {
        let fd = match beneath(&self.directory, path, ResolveFlags::CACHED) {
            Err(Errno::AGAIN) => self.find_on_disk(path)?,
            result => result.map_err(io::Error::from)?,
        };
        let stat = rustix::fs::fstat(&fd).map_err(io::Error::from)?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => Ok(Found::File(Opened { fd, version: Version::of(&stat) })),
            FileType::Directory => Ok(Found::Directory(fd)),
            _ => Err(Refusal::new(Status::Forbidden, "This is no file.")),
        }
    }

    /// A file in a directory that was found, if there is one by this name.
    pub fn find_in(&self, path: &[u8], name: &str) -> Result<Option<Opened>, Refusal> {
        match self.find(&[path, b"/", name.as_bytes()].concat()) {
            Ok(Found::File(file)) => Ok(Some(file)),
            Ok(Found::Directory(_)) => Ok(None),
            Err(refusal) if refusal.status == Status::NotFound => Ok(None),
            Err(refusal) => Err(refusal),
        }
    }

    fn find_on_disk(&self, path: &[u8]) -> io::Result<OwnedFd> {
        let (directory, path) = (self.directory.clone(), path.to_vec());
        let found = coop::unblock(move || {
            // Something was renamed just when the way led up, and the kernel could not tell where to.
            let mut results = (0..10).map(|_| beneath(&directory, &path, ResolveFlags::empty()));
            results.find(|result| *result.as_ref().err().unwrap_or(&Errno::NOENT) != Errno::AGAIN)
        })?;
        Ok(found.unwrap_or(Err(Errno::NOENT))?)
    }
}

impl Opened {
    /// To read from.
    pub fn into_file(self) -> io::Result<fs::File> {
        // Reads of the ring heed O_NONBLOCK where open(2) says it has no effect: they would fail instead of waiting for
        // the disk.
        rustix::fs::fcntl_setfl(&self.fd, OFlags::empty())?;
        Ok(self.fd.into())
    }
}

/// Where to read the entries of a directory that is open.
pub fn entries_of(directory: &OwnedFd) -> PathBuf {
    use std::os::fd::AsRawFd;
    format!("/proc/self/fd/{}", directory.as_raw_fd()).into()
}

/// Opens what there is by this name. Not for ever: a pipe would wait for its writer.
fn beneath(directory: &OwnedFd, path: &[u8], more: ResolveFlags) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS | more;
    rustix::fs::openat2(directory, path, flags, Mode::empty(), resolve)
}
