//! An open file.

use super::call::{Call, Request, wait};
use super::direct::DirectAlignment;
use super::metadata::{FileType, Metadata, Stat};
use super::options::OpenOptions;
use super::thread::to_the_end;
use super::transfer::{All, Part, Place, Reading, ReadingVectored, Writing, WritingVectored};
use crate::ring::Sqe;
use crate::sys;
use std::fs::{FileTimes, Permissions};
use std::io::{self, IoSlice, IoSliceMut, Read, Seek, SeekFrom, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::path::Path;
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};
use std::time::SystemTime;

/// An open file: `std::fs::File`, whose waits are a task's.
///
/// It has a cursor, kept by the kernel, which `Read`, `Write` and `Seek` use; tasks that share one take turns, since two that
/// read at the same moment may read the same. [`read_at`](File::read_at) and [`write_at`](File::write_at) use no cursor, and any
/// number of them may be in flight together.
///
/// A read of what the page cache has is made at once; everything else is left to the kernel, and the task waits. `Send`: a file
/// may be handed to another thread's Cooperator. Dropping it closes it, which is no wait point; errors of writing that only
/// show later are told by [`sync_all`](File::sync_all).
///
/// **Kill.** A transfer that the kernel has begun with a disk cannot be cancelled: a killed task waits until it is over, and the
/// result is delivered; the next wait is refused. What can last for ever, such as reading from a named pipe or a terminal, is
/// cancelled, and takes nothing with it.
///
/// Files that are no regular files work too. Writing to a pipe without a reader gives `BrokenPipe`; in a program that has set
/// SIGPIPE back to its default (Rust's runtime ignores it) it ends the process. Standard input, of which `std` would have the whole
/// thread wait, is `File::from(std::io::stdin().as_fd().try_clone_to_owned()?)`; its mode, which other processes share, stays as
/// it is.
///
/// ```
/// use coop::fs::File;
/// use std::io::{self, Read, Write};
/// coop::run(|| -> io::Result<()> {
///     let path = std::env::temp_dir().join(format!("coop-file-{}", std::process::id()));
///     let mut file = File::create(&path)?;
///     file.write_all(b"hello, world")?;
///     file.sync_all()?;
///
///     let mut text = String::new();
///     File::open(&path)?.read_to_string(&mut text)?;
///     assert_eq!(text, "hello, world");
///     coop::fs::remove_file(&path)
/// }).unwrap();
/// ```
///
/// Two reads in flight together, each result with its buffer:
///
/// ```
/// use coop::{fs::File, op};
/// use std::io;
/// coop::run(|| -> io::Result<()> {
///     let file = File::open("/proc/self/exe")?;
///     let len = file.metadata()?.len();
///     let (mut head, mut tail) = ([0; 4096], [0; 4096]);
///     let (head, tail) = coop::scope(|s| -> io::Result<_> {
///         let a = s.start(op::read_at(&file, &mut head, 0));
///         let b = s.start(op::read_at(&file, &mut tail, len - 4096));
///         Ok((a.wait()?, b.wait()?))
///     })?;
///     assert_eq!(&head.bytes()[1..4], b"ELF");
///     assert_eq!(tail.n(), 4096);
///     Ok(())
/// }).unwrap();
/// ```
#[derive(Debug)]
pub struct File {
    fd: OwnedFd,
    /// Of open(2): `O_DIRECT` and `O_APPEND` are looked at.
    flags: i32,
    /// Whether it has a cursor that reads and writes move: 0 until somebody asks.
    has_cursor: AtomicU8,
}

const HAS_CURSOR: u8 = 1;
const HAS_NONE: u8 = 2;

impl File {
    pub(super) fn new(fd: OwnedFd, flags: i32) -> Self {
        File { fd, flags, has_cursor: AtomicU8::new(0) }
    }

    pub(super) fn fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }

    pub(super) fn is_direct(&self) -> bool {
        self.flags & libc::O_DIRECT != 0
    }

    /// Whether it is a file or a disk, and no stream.
    #[inline]
    pub(super) fn has_cursor(&self) -> bool {
        match self.has_cursor.load(Relaxed) {
            0 => self.find_cursor(),
            known => known == HAS_CURSOR,
        }
    }

    #[cold]
    fn find_cursor(&self) -> bool {
        // Known since it was opened: nobody is asked. That it cannot be said is not known to happen.
        let found = sys::statx_of_open(self.fd(), libc::STATX_TYPE).is_ok_and(|stat| {
            let kind = FileType::of_mode(stat.stx_mode.into());
            kind.is_file() || kind.is_block_device()
        });
        self.has_cursor.store(if found { HAS_CURSOR } else { HAS_NONE }, Relaxed);
        found
    }

    /// Where the cursor is.
    pub(super) fn position(&self) -> io::Result<u64> {
        (&*self).stream_position()
    }

    /// Puts the cursor behind a transfer that was made at its place. What was appended went to the end, wherever that was.
    pub(super) fn move_cursor(&self, to: u64, is_write: bool) {
        let to = if is_write && self.flags & libc::O_APPEND != 0 { SeekFrom::End(0) } else { SeekFrom::Start(to) };
        // It was moved before, so it can be.
        let _ = (&*self).seek(to);
    }

    pub(super) fn move_back(&self, by: usize) {
        let _ = (&*self).seek(SeekFrom::Current(-(by as i64)));
    }

    /// Opens a file for reading.
    ///
    /// A wait point; kill-checked. See [`OpenOptions::open`].
    ///
    /// # Errors
    /// As [`OpenOptions::open`].
    #[track_caller]
    pub fn open(path: impl AsRef<Path>) -> io::Result<File> {
        OpenOptions::new().read(true).open(path)
    }

    /// Opens a file for writing; makes it if there is none, empties it if there is.
    ///
    /// A wait point; kill-checked. See [`OpenOptions::open`].
    ///
    /// # Errors
    /// As [`OpenOptions::open`].
    #[track_caller]
    pub fn create(path: impl AsRef<Path>) -> io::Result<File> {
        OpenOptions::new().write(true).create(true).truncate(true).open(path)
    }

    /// Makes a file, for reading and writing; fails if there is one.
    ///
    /// A wait point; kill-checked. See [`OpenOptions::open`].
    ///
    /// # Errors
    /// As [`OpenOptions::open`]; `AlreadyExists`.
    #[track_caller]
    pub fn create_new(path: impl AsRef<Path>) -> io::Result<File> {
        OpenOptions::new().read(true).write(true).create_new(true).open(path)
    }

    /// Says how the file is to be opened.
    pub fn options() -> OpenOptions {
        OpenOptions::new()
    }

    /// Reads from `offset` on: at least a byte, or 0 at the end of the file (or for an empty buffer). The cursor stays.
    ///
    /// A wait point; kill-checked: bytes that raced a kill are delivered.
    ///
    /// # Errors
    /// Those of pread(2): EBADF for a file not opened for reading, `IsADirectory`, EINVAL for an offset beyond all files, `NotSeekable`
    /// for a pipe; with direct I/O, [`Misaligned`](super::Misaligned). [`Killed`](crate::Killed). Without a Cooperator
    /// `Unsupported`.
    #[inline]
    #[track_caller]
    pub fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        wait(Reading::<Part>::new(self, buffer, Place::At(offset)))
    }

    /// Reads from `offset` on until `buffer` is full. The cursor stays.
    ///
    /// A wait point; kill-checked. A kill or an error can leave the buffer filled in part: the error is then a
    /// [`Partial`](crate::io::Partial), which says how far.
    ///
    /// # Errors
    /// As [`read_at`](Self::read_at), and `UnexpectedEof` when the file ends first.
    ///
    /// ```
    /// use coop::{fs::File, io::Partial};
    /// coop::run(|| -> std::io::Result<()> {
    ///     let path = std::env::temp_dir().join(format!("coop-exact-{}", std::process::id()));
    ///     coop::fs::write(&path, "abc")?;
    ///     let error = File::open(&path)?.read_exact_at(&mut [0; 5], 1).unwrap_err();
    ///     assert_eq!(error.kind(), std::io::ErrorKind::UnexpectedEof);
    ///     assert_eq!(Partial::of(&error).unwrap().done, 2);
    ///     coop::fs::remove_file(&path)
    /// }).unwrap();
    /// ```
    #[track_caller]
    pub fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        wait(Reading::<All>::new(self, buffer, Place::At(offset)))
    }

    /// Writes at `offset`: at least a byte, unless `buffer` is empty. The cursor stays. (Linux writes to the end of a file opened
    /// with `append`, whatever the offset.)
    ///
    /// A wait point; kill-checked: bytes that raced a kill are counted.
    ///
    /// # Errors
    /// Those of pwrite(2): EBADF for a file not opened for writing, `StorageFull`, `FileTooLarge`, EINVAL for an offset beyond all
    /// files; with direct I/O, [`Misaligned`](super::Misaligned). [`Killed`](crate::Killed). Without a Cooperator `Unsupported`.
    #[inline]
    #[track_caller]
    pub fn write_at(&self, buffer: &[u8], offset: u64) -> io::Result<usize> {
        wait(Writing::<Part>::new(self, buffer, Place::At(offset)))
    }

    /// Writes all of `buffer` at `offset`. The cursor stays.
    ///
    /// A wait point; kill-checked. A kill or an error can leave it written in part: the error is then a
    /// [`Partial`](crate::io::Partial), which says how far.
    ///
    /// # Errors
    /// As [`write_at`](Self::write_at).
    #[track_caller]
    pub fn write_all_at(&self, buffer: &[u8], offset: u64) -> io::Result<()> {
        wait(Writing::<All>::new(self, buffer, Place::At(offset)))
    }

    /// Writes all of `buffer` at the cursor. As `write_all` of [`std::io::Write`], but an error says how far it came.
    #[track_caller]
    pub(super) fn append_all(&self, buffer: &[u8]) -> io::Result<()> {
        wait(Writing::<All>::new(self, buffer, Place::Cursor))
    }

    /// Reads from `offset` on into several buffers, one after the other; at most 1024 of them. The cursor stays.
    ///
    /// A wait point; kill-checked: bytes that raced a kill are delivered.
    ///
    /// # Errors
    /// As [`read_at`](Self::read_at).
    #[track_caller]
    pub fn read_vectored_at(&self, buffers: &mut [IoSliceMut<'_>], offset: u64) -> io::Result<usize> {
        wait(ReadingVectored::new(self, buffers, Place::At(offset)))
    }

    /// Writes several buffers at `offset`, one after the other; at most 1024 of them. The cursor stays.
    ///
    /// A wait point; kill-checked: bytes that raced a kill are counted.
    ///
    /// # Errors
    /// As [`write_at`](Self::write_at).
    ///
    /// ```
    /// use coop::fs::File;
    /// use std::io::{IoSlice, IoSliceMut};
    /// coop::run(|| -> std::io::Result<()> {
    ///     let path = std::env::temp_dir().join(format!("coop-vectored-{}", std::process::id()));
    ///     let file = File::create_new(&path)?;
    ///     assert_eq!(file.write_vectored_at(&[IoSlice::new(b"hel"), IoSlice::new(b"lo")], 0)?, 5);
    ///     let (mut head, mut rest) = ([0; 1], [0; 4]);
    ///     file.read_vectored_at(&mut [IoSliceMut::new(&mut head), IoSliceMut::new(&mut rest)], 0)?;
    ///     assert_eq!((&head, &rest), (b"h", b"ello"));
    ///     coop::fs::remove_file(&path)
    /// }).unwrap();
    /// ```
    #[track_caller]
    pub fn write_vectored_at(&self, buffers: &[IoSlice<'_>], offset: u64) -> io::Result<usize> {
        wait(WritingVectored::new(self, buffers, Place::At(offset)))
    }

    /// Has the device keep everything that was written, bytes and metadata.
    ///
    /// A wait point; kill-checked, though the kernel ends it only when it is done.
    ///
    /// # Errors
    /// Those of fsync(2): also what went wrong with earlier writes, once. EINVAL for what cannot be synced, such as a pipe.
    #[track_caller]
    pub fn sync_all(&self) -> io::Result<()> {
        wait(Changing::sync_all(self))
    }

    /// As [`sync_all`](Self::sync_all), without metadata that reading the bytes does not need, such as times.
    ///
    /// A wait point; kill-checked, though the kernel ends it only when it is done.
    ///
    /// # Errors
    /// As [`sync_all`](Self::sync_all).
    #[track_caller]
    pub fn sync_data(&self) -> io::Result<()> {
        wait(Changing::sync_data(self))
    }

    /// Cuts the file off at `len` bytes, or lengthens it to that with zeros. The cursor stays.
    ///
    /// A wait point; kill-checked: once begun, it is done.
    ///
    /// # Errors
    /// Those of ftruncate(2): EINVAL for a file not opened for writing or a length beyond all files; `FileTooLarge`.
    #[track_caller]
    pub fn set_len(&self, len: u64) -> io::Result<()> {
        match wait(Changing { file: self, change: Change::SetLen(len) }) {
            // A kernel before 6.9, whose ring does not know the call; or it is EINVAL indeed, which this tells again.
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) && len <= i64::MAX as u64 => {
                let file = self.std_clone()?;
                to_the_end(move || file.set_len(len))
            }
            result => result,
        }
    }

    /// Has the file system set space aside for `len` bytes from `offset` on, so that writing there cannot fail for want of it. A
    /// file that is shorter grows, with zeros.
    ///
    /// A wait point; kill-checked: once begun, it is done.
    ///
    /// # Errors
    /// Those of fallocate(2): `StorageFull`, EBADF for a file not opened for writing, EINVAL for no bytes at all, `Unsupported`
    /// (EOPNOTSUPP) by the file system.
    ///
    /// ```
    /// use coop::fs::File;
    /// coop::run(|| -> std::io::Result<()> {
    ///     let path = std::env::temp_dir().join(format!("coop-allocate-{}", std::process::id()));
    ///     let file = File::create(&path)?;
    ///     file.allocate(0, 10_000)?;
    ///     assert_eq!(file.metadata()?.len(), 10_000);
    ///     coop::fs::remove_file(&path)
    /// }).unwrap();
    /// ```
    #[track_caller]
    pub fn allocate(&self, offset: u64, len: u64) -> io::Result<()> {
        wait(Changing::allocate(self, offset, len))
    }

    /// What is known of the file.
    ///
    /// A wait point; kill-checked.
    ///
    /// # Errors
    /// Those of statx(2).
    #[track_caller]
    pub fn metadata(&self) -> io::Result<Metadata> {
        wait(Stat::of_fd(self.fd.as_fd()))
    }

    /// What direct I/O on the file must be aligned to. Where the kernel does not say (before Linux 6.1, or for a file system that
    /// does not tell), a page, which is enough for every disk.
    ///
    /// A wait point; kill-checked.
    ///
    /// # Errors
    /// Those of statx(2).
    #[track_caller]
    pub fn direct_alignment(&self) -> io::Result<DirectAlignment> {
        Ok(DirectAlignment::of(self.metadata()?.direct_alignment()))
    }

    /// Says who may do what with the file.
    ///
    /// A wait point; kill-checked: once begun, it is done.
    ///
    /// # Errors
    /// Those of fchmod(2).
    #[track_caller]
    pub fn set_permissions(&self, permissions: Permissions) -> io::Result<()> {
        let file = self.std_clone()?;
        to_the_end(move || file.set_permissions(permissions))
    }

    /// Sets the times of the file.
    ///
    /// A wait point; kill-checked: once begun, it is done.
    ///
    /// # Errors
    /// Those of futimens(2).
    #[track_caller]
    pub fn set_times(&self, times: FileTimes) -> io::Result<()> {
        let file = self.std_clone()?;
        to_the_end(move || file.set_times(times))
    }

    /// Sets the time of the file's last change.
    ///
    /// A wait point; kill-checked: once begun, it is done.
    ///
    /// # Errors
    /// Those of futimens(2).
    #[track_caller]
    pub fn set_modified(&self, time: SystemTime) -> io::Result<()> {
        self.set_times(FileTimes::new().set_modified(time))
    }

    /// Another descriptor of the same open file: the cursor is one. Not a wait point.
    ///
    /// # Errors
    /// Those of fcntl(2), such as EMFILE.
    pub fn try_clone(&self) -> io::Result<File> {
        Ok(File::new(self.fd.try_clone()?, self.flags))
    }

    /// For a thread that works on the file: a descriptor that stays the file's whatever becomes of this one.
    fn std_clone(&self) -> io::Result<std::fs::File> {
        Ok(self.fd.try_clone()?.into())
    }
}

/// Reading waits as [`read_at`](File::read_at) does, at the cursor.
impl Read for &File {
    #[inline]
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        wait(Reading::<Part>::new(self, buffer, Place::Cursor))
    }

    fn read_vectored(&mut self, buffers: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        wait(ReadingVectored::new(self, buffers, Place::Cursor))
    }
}

/// Writing waits as [`write_at`](File::write_at) does, at the cursor. Nothing is buffered here, so flushing does nothing:
/// [`sync_all`](File::sync_all) has the device keep it.
impl Write for &File {
    #[inline]
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        wait(Writing::<Part>::new(self, buffer, Place::Cursor))
    }

    fn write_vectored(&mut self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        wait(WritingVectored::new(self, buffers, Place::Cursor))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Moving the cursor is no wait point.
impl Seek for &File {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let (whence, offset) = match to {
            // Beyond i64 it is negative, and the kernel refuses it.
            SeekFrom::Start(offset) => (libc::SEEK_SET, offset as i64),
            SeekFrom::End(offset) => (libc::SEEK_END, offset),
            SeekFrom::Current(offset) => (libc::SEEK_CUR, offset),
        };
        // SAFETY: lseek touches no memory.
        let position = unsafe { libc::lseek64(self.fd(), offset, whence) };
        u64::try_from(position).map_err(|_| io::Error::last_os_error())
    }
}

impl Read for File {
    #[inline]
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        (&*self).read(buffer)
    }

    fn read_vectored(&mut self, buffers: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        (&*self).read_vectored(buffers)
    }
}

impl Write for File {
    #[inline]
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        (&*self).write(buffer)
    }

    fn write_vectored(&mut self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        (&*self).write_vectored(buffers)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Seek for File {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        (&*self).seek(to)
    }
}

impl AsFd for File {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl AsRawFd for File {
    fn as_raw_fd(&self) -> RawFd {
        self.fd()
    }
}

/// Takes over any descriptor. It stays in whatever blocking mode it is in: no call here depends on it.
impl From<OwnedFd> for File {
    fn from(fd: OwnedFd) -> Self {
        // SAFETY: asks for the flags of an open file; an error means none that matter.
        let flags = unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_GETFL) };
        File::new(fd, flags.max(0))
    }
}

impl From<std::fs::File> for File {
    fn from(file: std::fs::File) -> Self {
        OwnedFd::from(file).into()
    }
}

impl From<File> for OwnedFd {
    fn from(file: File) -> OwnedFd {
        file.fd
    }
}

impl From<File> for std::fs::File {
    fn from(file: File) -> std::fs::File {
        file.fd.into()
    }
}

/// What is done to an open file besides reading and writing.
#[derive(Clone, Copy)]
enum Change {
    SyncAll,
    SyncData,
    SetLen(u64),
    Allocate { offset: u64, len: u64 },
}

/// `op::sync_all`, `op::sync_data`, `op::allocate`.
#[doc(hidden)]
pub struct Changing<'a> {
    file: &'a File,
    change: Change,
}

impl<'a> Changing<'a> {
    pub(crate) fn sync_all(file: &'a File) -> Self {
        Changing { file, change: Change::SyncAll }
    }

    pub(crate) fn sync_data(file: &'a File) -> Self {
        Changing { file, change: Change::SyncData }
    }

    pub(crate) fn allocate(file: &'a File, offset: u64, len: u64) -> Self {
        Changing { file, change: Change::Allocate { offset, len } }
    }
}

// SAFETY: the submissions name no memory.
unsafe impl Call for Changing<'_> {
    type Waited = ();
    type Started = ();

    fn verb(&self) -> &'static str {
        match self.change {
            Change::SyncAll => "sync_all",
            Change::SyncData => "sync_data",
            Change::SetLen(_) => "set_len",
            Change::Allocate { .. } => "allocate",
        }
    }

    fn fd(&self) -> Option<RawFd> {
        Some(self.file.fd())
    }

    fn sqe(&mut self) -> io::Result<Sqe> {
        /// `IORING_FSYNC_DATASYNC`.
        const DATA: u32 = 1;
        let fd = self.file.fd();
        Ok(match self.change {
            Change::SyncAll => Sqe::fsync(fd, 0),
            Change::SyncData => Sqe::fsync(fd, DATA),
            Change::SetLen(len) => Sqe::ftruncate(fd, len),
            Change::Allocate { offset, len } => Sqe::fallocate(fd, 0, offset, len),
        })
    }

    fn waited(self, _: usize) -> io::Result<()> {
        Ok(())
    }

    fn started(self, _: usize) -> io::Result<()> {
        Ok(())
    }
}

pub(crate) type ReadAt<'a> = Request<Reading<'a, Part>>;
pub(crate) type ReadExactAt<'a> = Request<Reading<'a, All>>;
pub(crate) type WriteAt<'a> = Request<Writing<'a, Part>>;
pub(crate) type WriteAllAt<'a> = Request<Writing<'a, All>>;
