//! What is in a directory.

use super::call::wait;
use super::metadata::{FileType, Metadata, Stat};
use super::path::name;
use super::thread::looking;
use crate::error::Killed;
use crate::sys;
use std::borrow::Cow;
use std::collections::VecDeque;
use std::ffi::{CStr, CString, OsStr, OsString};
use std::fmt;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Bytes of entries that the kernel is asked for at a time: some hundred names.
const BATCH: usize = 32 * 1024;

/// The entries of a directory, in no order, without `.` and `..`.
///
/// They come in batches of some hundreds, read on a thread: `next` is a wait point, kill-checked, when it needs another batch. A
/// batch that raced a kill is kept. A killed iteration gives the kill once, and then, as long as the task stays killed, ends, so that
/// a loop that ignores errors ends too; where it was a deadline's kill, it can be gone on with, and nothing is left out.
///
/// ```
/// use coop::fs;
/// coop::run(|| -> std::io::Result<()> {
///     let mut names = Vec::new();
///     for entry in fs::read_dir("/proc/self")? {
///         names.push(entry?.file_name().to_owned());
///     }
///     assert!(names.iter().any(|name| name == "status"));
///     Ok(())
/// }).unwrap();
/// ```
pub struct ReadDir {
    shared: Arc<Shared>,
    /// What was read and not yet given.
    batch: VecDeque<Raw>,
    /// What went wrong after those.
    failure: Option<io::Error>,
    is_over: bool,
    was_killed: bool,
}

/// What the threads that read the directory share with the task.
struct Shared {
    fd: OwnedFd,
    path: PathBuf,
    read: Mutex<Batch>,
}

/// What was read. A thread whose task was killed meanwhile leaves it here all the same: the directory's own cursor has moved on.
#[derive(Default)]
struct Batch {
    entries: VecDeque<Raw>,
    /// The kernel has said that there is no more.
    is_last: bool,
}

/// An entry as the kernel gives it.
pub(super) struct Raw {
    pub(super) name: CString,
    ino: u64,
    d_type: u8,
}

impl Raw {
    /// What kind of file it is, where the directory says so.
    pub(super) fn kind(&self) -> Option<FileType> {
        FileType::of_entry(self.d_type)
    }
}

/// Reads a directory. The path may be a symbolic link to one.
///
/// A wait point; kill-checked. Made on a thread.
///
/// # Errors
/// Those of open(2): `NotFound`, `NotADirectory`, `PermissionDenied`, …; [`Killed`]. Errors of reading are items.
#[track_caller]
pub fn read_dir(path: impl AsRef<Path>) -> io::Result<ReadDir> {
    open_and_read(path.as_ref(), 0)
}

/// As [`read_dir`], with more flags. Opening and the first batch are one call on one thread.
#[track_caller]
pub(super) fn open_and_read(path: &Path, more_flags: libc::c_int) -> io::Result<ReadDir> {
    let path = path.to_owned();
    let name = name(&path)?.into_owned();
    let shared = looking(move || {
        let flags = libc::O_RDONLY | libc::O_DIRECTORY | libc::O_CLOEXEC | more_flags;
        // SAFETY: the name is a string with an end.
        let fd = sys::owned(retry(|| unsafe { libc::open64(name.as_ptr(), flags) }))?;
        let shared = Shared { fd, path, read: Mutex::default() };
        shared.fill()?;
        Ok(shared)
    })?;
    Ok(ReadDir::new(shared))
}

/// A signal may interrupt a call on a thread.
fn retry(mut call: impl FnMut() -> libc::c_int) -> libc::c_int {
    loop {
        let result = call();
        if result >= 0 || io::Error::last_os_error().kind() != io::ErrorKind::Interrupted {
            return result;
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Batch> {
        self.read.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads a batch, unless one is there. On a thread.
    fn fill(&self) -> io::Result<()> {
        let mut batch = self.lock();
        if !batch.entries.is_empty() || batch.is_last {
            return Ok(());
        }
        let mut buffer = vec![0u8; BATCH];
        let (fd, to) = (self.fd.as_raw_fd(), buffer.as_mut_ptr());
        loop {
            // SAFETY: the buffer is writable for its length.
            let n = unsafe { libc::syscall(libc::SYS_getdents64, fd, to, BATCH) };
            match sys::check_size(n as libc::ssize_t) {
                Ok(n) => {
                    batch.is_last = n == 0;
                    batch.entries.extend(Entries { bytes: &buffer[..n] });
                    // A batch of nothing but `.` and `..` is not the end.
                    if batch.is_last || !batch.entries.is_empty() {
                        return Ok(());
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // A directory that was removed while it is read has no more entries.
                Err(error) if error.raw_os_error() == Some(libc::ENOENT) => {
                    batch.is_last = true;
                    return Ok(());
                }
                Err(error) => return Err(error),
            }
        }
    }
}

/// Reads `struct linux_dirent64`, one after the other.
struct Entries<'a> {
    bytes: &'a [u8],
}

impl Iterator for Entries<'_> {
    type Item = Raw;

    fn next(&mut self) -> Option<Raw> {
        loop {
            // d_ino: 8 bytes, d_off: 8, d_reclen: 2, d_type: 1, then the name.
            let ino = u64::from_ne_bytes(self.bytes.get(..8)?.try_into().ok()?);
            let len = u16::from_ne_bytes(self.bytes.get(16..18)?.try_into().ok()?) as usize;
            let (entry, rest) = self.bytes.split_at_checked(len)?;
            self.bytes = rest;
            let name = CStr::from_bytes_until_nul(entry.get(19..)?).ok()?;
            if name != c"." && name != c".." {
                return Some(Raw { name: name.to_owned(), ino, d_type: entry[18] });
            }
        }
    }
}

impl ReadDir {
    fn new(shared: Shared) -> Self {
        let shared = Arc::new(shared);
        ReadDir { shared, batch: VecDeque::new(), failure: None, is_over: false, was_killed: false }
    }

    /// Of a directory that is open. `path` is what its entries' paths begin with.
    pub(super) fn of(fd: OwnedFd, path: PathBuf) -> Self {
        Self::new(Shared { fd, path, read: Mutex::default() })
    }

    /// What its entries' paths begin with.
    pub(super) fn path(&self) -> &Path {
        &self.shared.path
    }

    /// Reads one more batch.
    #[track_caller]
    fn fetch(&mut self) -> io::Result<()> {
        // Without waiting, if there is one: whoever holds the lock is a thread that reads.
        let take = |shared: &Shared| match shared.read.try_lock() {
            Ok(mut batch) if !batch.entries.is_empty() || batch.is_last => {
                Some((std::mem::take(&mut batch.entries), batch.is_last))
            }
            _ => None,
        };
        loop {
            if let Some((entries, is_last)) = take(&self.shared) {
                self.is_over = is_last;
                self.batch.extend(entries);
                return Ok(());
            }
            let shared = self.shared.clone();
            looking(move || shared.fill())?;
        }
    }

    #[track_caller]
    pub(super) fn next_raw(&mut self) -> Option<io::Result<Raw>> {
        loop {
            if let Some(raw) = self.batch.pop_front() {
                return Some(Ok(raw));
            }
            if let Some(error) = self.failure.take() {
                return Some(Err(error));
            }
            if self.is_over {
                return None;
            }
            if let Err(error) = self.fetch() {
                // A kill passes; what is wrong with the directory is told once.
                self.is_over = !Killed::is(&error);
                return Some(Err(error));
            }
        }
    }

    /// Reads all that is left into memory: the directory need not be open any more. Only a kill is an error; then it can be done again.
    #[track_caller]
    pub(super) fn read_rest(&mut self) -> io::Result<()> {
        while !self.is_over {
            match self.fetch() {
                Err(error) if Killed::is(&error) => return Err(error),
                Err(error) => {
                    self.failure = Some(error);
                    self.is_over = true;
                }
                Ok(()) => {}
            }
        }
        Ok(())
    }

    /// Gives back what was taken last.
    pub(super) fn put_back(&mut self, raw: Raw) {
        self.batch.push_front(raw);
    }

    /// What [`ReadDir::read_rest`] has read.
    pub(super) fn into_rest(self) -> (PathBuf, VecDeque<Raw>, Option<io::Error>) {
        (self.shared.path.clone(), self.batch, self.failure)
    }
}

impl Iterator for ReadDir {
    type Item = io::Result<DirEntry>;

    #[track_caller]
    fn next(&mut self) -> Option<io::Result<DirEntry>> {
        if self.was_killed && crate::task::is_refused() {
            return None;
        }
        let raw = self.next_raw()?;
        self.was_killed = raw.as_ref().is_err_and(Killed::is);
        Some(raw.map(|raw| DirEntry { dir: self.shared.clone(), raw }))
    }
}

/// The directory itself.
impl AsFd for ReadDir {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.shared.fd.as_fd()
    }
}

impl fmt::Debug for ReadDir {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ReadDir").field(&self.shared.path).finish()
    }
}

/// An entry of a directory. It keeps the directory open.
pub struct DirEntry {
    dir: Arc<Shared>,
    raw: Raw,
}

impl DirEntry {
    /// The directory's path with the entry's name.
    pub fn path(&self) -> PathBuf {
        self.dir.path.join(self.file_name())
    }

    /// Its name.
    pub fn file_name(&self) -> &OsStr {
        OsStr::from_bytes(self.raw.name.to_bytes())
    }

    /// Its name, taken out.
    pub fn into_file_name(self) -> OsString {
        self.file_name().to_owned()
    }

    /// What kind of file it is; a link is not followed. Most file systems have said so already: then this is no wait point.
    ///
    /// Otherwise a wait point; kill-checked.
    ///
    /// # Errors
    /// As [`metadata`](Self::metadata).
    #[track_caller]
    pub fn file_type(&self) -> io::Result<FileType> {
        match self.raw.kind() {
            Some(kind) => Ok(kind),
            None => Ok(self.metadata()?.file_type()),
        }
    }

    /// What is known of it; a link is not followed. Asked of the directory that was read, whatever has become of its path.
    ///
    /// A wait point; kill-checked.
    ///
    /// # Errors
    /// Those of statx(2): `NotFound` when it was removed meanwhile; [`Killed`].
    #[track_caller]
    pub fn metadata(&self) -> io::Result<Metadata> {
        wait(Stat::in_dir(self.dir.fd.as_fd(), Ok(Cow::Owned(self.raw.name.clone()))))
    }

    /// Its number on its device, as the directory has it.
    pub fn ino(&self) -> u64 {
        self.raw.ino
    }

    pub(super) fn kernel_name(&self) -> &CStr {
        &self.raw.name
    }

    /// The directory it is in.
    pub(super) fn dir(&self) -> BorrowedFd<'_> {
        self.dir.fd.as_fd()
    }
}

impl fmt::Debug for DirEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("DirEntry").field(&self.path()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_read_and_what_is_cut_off_ends_them() {
        let entry = |ino: u64, name: &str| {
            let len = (19 + name.len() + 1).next_multiple_of(8);
            let mut bytes = Vec::new();
            bytes.extend(ino.to_ne_bytes());
            bytes.extend(0u64.to_ne_bytes());
            bytes.extend((len as u16).to_ne_bytes());
            bytes.push(libc::DT_REG);
            bytes.extend(name.as_bytes());
            bytes.resize(len, 0);
            bytes
        };
        let bytes = [entry(1, "."), entry(2, "one"), entry(3, ".."), entry(4, "another.one")].concat();
        let read = |bytes: &[u8]| Entries { bytes }.map(|raw| (raw.ino, raw.name)).collect::<Vec<_>>();
        let (one, another) = ((2, c"one".to_owned()), (4, c"another.one".to_owned()));
        assert_eq!(read(&bytes), [one.clone(), another]);
        assert_eq!(read(&bytes[..bytes.len() - 1]), [one]);
        for len in 0..bytes.len() {
            read(&bytes[..len]);
        }
    }
}
