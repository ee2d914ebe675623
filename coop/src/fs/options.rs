//! How a file is opened.

use super::call::{Call, Request};
use super::file::File;
use super::path::{Base, Name, address, name};
use crate::ring::Sqe;
use std::io;
use std::os::fd::{BorrowedFd, FromRawFd, OwnedFd};
use std::path::Path;

/// How a file is opened: what `std::fs::OpenOptions` is, with direct I/O.
///
/// ```
/// use coop::fs::OpenOptions;
/// use std::io::{self, Read, Seek, Write};
/// coop::run(|| -> io::Result<()> {
///     let path = std::env::temp_dir().join(format!("coop-options-{}", std::process::id()));
///     let mut file = OpenOptions::new().read(true).write(true).create(true).mode(0o600).open(&path)?;
///     file.write_all(b"hello")?;
///     file.rewind()?;
///     let mut text = String::new();
///     file.read_to_string(&mut text)?;
///     assert_eq!(text, "hello");
///     coop::fs::remove_file(&path)
/// }).unwrap();
/// ```
#[derive(Clone, Debug)]
pub struct OpenOptions {
    read: bool,
    write: bool,
    append: bool,
    truncate: bool,
    create: bool,
    create_new: bool,
    direct: bool,
    mode: u32,
    custom_flags: i32,
}

impl Default for OpenOptions {
    fn default() -> Self {
        Self::new()
    }
}

impl OpenOptions {
    /// Nothing is set: say at least what the file is opened for.
    pub fn new() -> Self {
        OpenOptions {
            read: false,
            write: false,
            append: false,
            truncate: false,
            create: false,
            create_new: false,
            direct: false,
            mode: 0o666,
            custom_flags: 0,
        }
    }

    /// For reading.
    pub fn read(&mut self, read: bool) -> &mut Self {
        self.read = read;
        self
    }

    /// For writing. What is there is overwritten in place, unless `truncate` is set.
    pub fn write(&mut self, write: bool) -> &mut Self {
        self.write = write;
        self
    }

    /// For writing at the end, wherever that is at the time. Implies `write`.
    pub fn append(&mut self, append: bool) -> &mut Self {
        self.append = append;
        self
    }

    /// Empties what is there. Needs `write`.
    pub fn truncate(&mut self, truncate: bool) -> &mut Self {
        self.truncate = truncate;
        self
    }

    /// Makes the file if there is none. Needs `write` or `append`.
    pub fn create(&mut self, create: bool) -> &mut Self {
        self.create = create;
        self
    }

    /// Makes the file, and fails if there is one, or a link by that name. Needs `write` or `append`; `create` and `truncate`
    /// then do not matter.
    pub fn create_new(&mut self, create_new: bool) -> &mut Self {
        self.create_new = create_new;
        self
    }

    /// Past the page cache (`O_DIRECT`): memory, offsets and lengths of reads and writes must then be aligned, see
    /// [`AlignedBuf`](super::AlignedBuf). A file system that has no such way refuses the opening with EINVAL.
    pub fn direct(&mut self, direct: bool) -> &mut Self {
        self.direct = direct;
        self
    }

    /// The permissions of a file that is made, less the process's umask. 0o666 unless set.
    pub fn mode(&mut self, mode: u32) -> &mut Self {
        self.mode = mode;
        self
    }

    /// More flags of open(2), such as `O_NOFOLLOW`. The access mode is not taken from here.
    ///
    /// With `O_NONBLOCK` a named pipe is opened without waiting for its other end, and the ring may open a file whose name is in
    /// memory at once, without one of its workers: that is several times as fast. Reading and writing wait all the same.
    pub fn custom_flags(&mut self, flags: i32) -> &mut Self {
        self.custom_flags = flags;
        self
    }

    /// Opens the file. The descriptor is closed on exec.
    ///
    /// A wait point; kill-checked. An opening that raced a kill is given; one that waits for the other end of a named pipe is
    /// given up.
    ///
    /// # Errors
    /// Those of open(2): `NotFound`, `PermissionDenied`, `AlreadyExists`, …; `InvalidInput` for options that contradict each
    /// other or a path with a NUL in it; and [`Killed`](crate::Killed). Without a Cooperator `Unsupported`.
    #[track_caller]
    pub fn open(&self, path: impl AsRef<Path>) -> io::Result<File> {
        super::call::wait(Opening::new(Base::WorkingDirectory, self, name(path.as_ref())))
    }

    /// The flags of open(2), by the rules of std.
    fn flags(&self) -> io::Result<i32> {
        let access = match (self.read, self.write, self.append) {
            (true, false, false) => libc::O_RDONLY,
            (false, true, false) => libc::O_WRONLY,
            (true, true, false) => libc::O_RDWR,
            (false, _, true) => libc::O_WRONLY | libc::O_APPEND,
            (true, _, true) => libc::O_RDWR | libc::O_APPEND,
            (false, false, false) => return Err(contradiction("neither for reading nor for writing")),
        };
        let is_new = self.create || self.create_new;
        if self.append && self.truncate && !self.create_new {
            return Err(contradiction("for appending, and truncated"));
        }
        if !self.write && !self.append && (self.truncate || is_new) {
            return Err(contradiction("created or truncated, but not for writing"));
        }
        let creation = match (self.create, self.truncate, self.create_new) {
            (_, _, true) => libc::O_CREAT | libc::O_EXCL,
            (true, true, false) => libc::O_CREAT | libc::O_TRUNC,
            (true, false, false) => libc::O_CREAT,
            (false, true, false) => libc::O_TRUNC,
            (false, false, false) => 0,
        };
        let direct = if self.direct { libc::O_DIRECT } else { 0 };
        Ok(access | creation | direct | libc::O_CLOEXEC | (self.custom_flags & !libc::O_ACCMODE))
    }
}

fn contradiction(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, format!("a file opened {what}"))
}

/// `op::open`.
#[doc(hidden)]
pub struct Opening<'a> {
    base: Base<'a>,
    name: Name,
    mode: u32,
    flags: io::Result<i32>,
}

impl<'a> Opening<'a> {
    fn new(base: Base<'a>, options: &OpenOptions, name: Name) -> Self {
        Opening { base, name, mode: options.mode, flags: options.flags() }
    }

    /// A directory. A link by that name is not followed.
    pub(super) fn directory(name: Name) -> Self {
        let flags = libc::O_RDONLY | libc::O_DIRECTORY | libc::O_NOFOLLOW | libc::O_CLOEXEC;
        Opening { base: Base::WorkingDirectory, name, mode: 0, flags: Ok(flags) }
    }

    /// One in another.
    pub(super) fn directory_in(dir: BorrowedFd<'a>, name: Name) -> Self {
        Opening { base: Base::Directory(dir), ..Self::directory(name) }
    }
}

// SAFETY: the submission names the string, which is owned and on the heap.
unsafe impl Call for Opening<'_> {
    type Waited = File;
    type Started = File;

    fn verb(&self) -> &'static str {
        "open"
    }

    fn sqe(&mut self) -> io::Result<Sqe> {
        let flags = match &mut self.flags {
            Ok(flags) => *flags,
            Err(error) => return Err(std::mem::replace(error, io::ErrorKind::InvalidInput.into())),
        };
        let sqe = Sqe::openat(self.base.fd(), address(&mut self.name)?, flags, self.mode);
        // The ring first tries with O_NONBLOCK, which a named pipe takes for a wish not to wait for its other end. A worker opens it
        // as open(2) would. What must be a directory is no pipe.
        Ok(if flags & (libc::O_DIRECTORY | libc::O_PATH | libc::O_NONBLOCK) != 0 { sqe } else { sqe.on_a_worker() })
    }

    fn waited(self, fd: usize) -> io::Result<File> {
        Ok(File::new(made(fd), self.flags.unwrap_or(0)))
    }

    fn started(self, fd: usize) -> io::Result<File> {
        self.waited(fd)
    }

    fn dispose(fd: usize) {
        drop(made(fd));
    }
}

/// The descriptor of a completion, which nobody else has.
fn made(fd: usize) -> OwnedFd {
    // SAFETY: the kernel has just given this process the descriptor, and a result is taken once.
    unsafe { OwnedFd::from_raw_fd(fd as i32) }
}

pub(crate) fn opening(options: &OpenOptions, path: &Path) -> Request<Opening<'static>> {
    Request::new(Opening::new(Base::WorkingDirectory, options, name(path)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_mean_what_they_mean_to_std() {
        let path = std::env::temp_dir().join(format!("coop-options-test-{}", std::process::id()));
        for bits in 0u32..64 {
            let [read, write, append, truncate, create, create_new] = std::array::from_fn(|bit| bits & 1 << bit != 0);
            let mut ours = OpenOptions::new();
            ours.read(read).write(write).append(append).truncate(truncate).create(create).create_new(create_new);
            let mut theirs = std::fs::OpenOptions::new();
            theirs.read(read).write(write).append(append).truncate(truncate).create(create).create_new(create_new);
            if !create_new {
                std::fs::write(&path, "x").unwrap();
            }
            match (ours.flags(), theirs.open(&path)) {
                (Ok(flags), Ok(file)) => {
                    use std::os::fd::AsRawFd;
                    // SAFETY: asks for the flags of an open file.
                    let real = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_GETFL) };
                    let kept = libc::O_ACCMODE | libc::O_APPEND;
                    assert_eq!(flags & kept, real & kept, "{ours:?}");
                    assert_eq!(flags & libc::O_TRUNC != 0, truncate && !create_new, "{ours:?}");
                }
                (Err(ours), Err(theirs)) => assert_eq!(ours.kind(), theirs.kind()),
                (flags, file) => panic!("{ours:?}: {flags:?}, std: {file:?}"),
            }
            let _ = std::fs::remove_file(&path);
        }
    }
}
