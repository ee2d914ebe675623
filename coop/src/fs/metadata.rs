//! What is known of a file besides its bytes.

use super::call::{Call, Request};
use super::path::{Base, Name, address, name};
use crate::ring::Sqe;
use std::borrow::Cow;
use std::fmt;
use std::fs::Permissions;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// What kind of file something is.
///
/// ```
/// use coop::fs;
/// coop::run(|| -> std::io::Result<()> {
///     assert!(fs::metadata("/dev/null")?.file_type().is_char_device());
///     assert!(fs::metadata("/")?.file_type().is_dir());
///     Ok(())
/// }).unwrap();
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct FileType {
    /// `S_IFMT` of the mode.
    kind: u32,
}

impl FileType {
    pub(super) fn of_mode(mode: u32) -> Self {
        FileType { kind: mode & libc::S_IFMT }
    }

    /// Of the `d_type` of a directory's entry. `None` where the file system does not say.
    pub(super) fn of_entry(d_type: u8) -> Option<Self> {
        // DT_* are S_IF* shifted down.
        (d_type != libc::DT_UNKNOWN).then(|| FileType { kind: u32::from(d_type) << 12 })
    }

    /// A directory.
    pub fn is_dir(&self) -> bool {
        self.kind == libc::S_IFDIR
    }

    /// A regular file.
    pub fn is_file(&self) -> bool {
        self.kind == libc::S_IFREG
    }

    /// A symbolic link; only where links were not followed.
    pub fn is_symlink(&self) -> bool {
        self.kind == libc::S_IFLNK
    }

    /// A named pipe.
    pub fn is_fifo(&self) -> bool {
        self.kind == libc::S_IFIFO
    }

    /// A Unix socket.
    pub fn is_socket(&self) -> bool {
        self.kind == libc::S_IFSOCK
    }

    /// A device of blocks, such as a disk.
    pub fn is_block_device(&self) -> bool {
        self.kind == libc::S_IFBLK
    }

    /// A device of characters, such as a terminal.
    pub fn is_char_device(&self) -> bool {
        self.kind == libc::S_IFCHR
    }
}

impl fmt::Debug for FileType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            libc::S_IFDIR => "FileType(dir)",
            libc::S_IFREG => "FileType(file)",
            libc::S_IFLNK => "FileType(symlink)",
            libc::S_IFIFO => "FileType(fifo)",
            libc::S_IFSOCK => "FileType(socket)",
            libc::S_IFBLK => "FileType(block device)",
            libc::S_IFCHR => "FileType(char device)",
            _ => "FileType(unknown)",
        })
    }
}

/// What is known of a file besides its bytes. The names are those of `std::fs::Metadata`, which only std can make.
///
/// ```
/// use coop::fs;
/// coop::run(|| -> std::io::Result<()> {
///     let metadata = fs::metadata("/proc/self/exe")?;
///     assert!(metadata.is_file() && metadata.len() > 0);
///     assert!(metadata.modified()? < std::time::SystemTime::now());
///     Ok(())
/// }).unwrap();
/// ```
#[derive(Clone)]
pub struct Metadata {
    /// Boxed: 256 bytes, of stacks that may be small.
    stat: Box<libc::statx>,
}

impl Metadata {
    /// What kind of file it is.
    pub fn file_type(&self) -> FileType {
        FileType::of_mode(self.mode())
    }

    /// Whether it is a directory.
    pub fn is_dir(&self) -> bool {
        self.file_type().is_dir()
    }

    /// Whether it is a regular file.
    pub fn is_file(&self) -> bool {
        self.file_type().is_file()
    }

    /// Whether it is a symbolic link: only of [`symlink_metadata`](super::symlink_metadata) and
    /// [`DirEntry::metadata`](super::DirEntry::metadata).
    pub fn is_symlink(&self) -> bool {
        self.file_type().is_symlink()
    }

    /// Its length in bytes; of a symbolic link that of its text.
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> u64 {
        self.stat.stx_size
    }

    /// Who may do what with it.
    pub fn permissions(&self) -> Permissions {
        Permissions::from_mode(self.mode())
    }

    /// When its bytes were last changed.
    ///
    /// # Errors
    /// `Unsupported` where the file system keeps no such time.
    pub fn modified(&self) -> io::Result<SystemTime> {
        self.time(libc::STATX_MTIME, self.stat.stx_mtime)
    }

    /// When it was last read, as far as the file system keeps count.
    ///
    /// # Errors
    /// As [`modified`](Self::modified).
    pub fn accessed(&self) -> io::Result<SystemTime> {
        self.time(libc::STATX_ATIME, self.stat.stx_atime)
    }

    /// When it was made.
    ///
    /// # Errors
    /// As [`modified`](Self::modified).
    pub fn created(&self) -> io::Result<SystemTime> {
        self.time(libc::STATX_BTIME, self.stat.stx_btime)
    }

    fn time(&self, known: u32, time: libc::statx_timestamp) -> io::Result<SystemTime> {
        if self.stat.stx_mask & known == 0 {
            return Err(io::Error::new(io::ErrorKind::Unsupported, "the file system keeps no such time"));
        }
        let whole = Duration::from_secs(time.tv_sec.unsigned_abs());
        let since = if time.tv_sec < 0 { UNIX_EPOCH.checked_sub(whole) } else { UNIX_EPOCH.checked_add(whole) };
        since
            .and_then(|time_| time_.checked_add(Duration::from_nanos(time.tv_nsec.into())))
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "a time beyond all bounds"))
    }

    /// The device it is on.
    pub fn dev(&self) -> u64 {
        libc::makedev(self.stat.stx_dev_major, self.stat.stx_dev_minor)
    }

    /// The device it is, if it is one.
    pub fn rdev(&self) -> u64 {
        libc::makedev(self.stat.stx_rdev_major, self.stat.stx_rdev_minor)
    }

    /// Its number on its device.
    pub fn ino(&self) -> u64 {
        self.stat.stx_ino
    }

    /// Its kind and permissions, as in stat(2).
    pub fn mode(&self) -> u32 {
        self.stat.stx_mode.into()
    }

    /// How many names it has.
    pub fn nlink(&self) -> u64 {
        self.stat.stx_nlink.into()
    }

    /// Whose it is.
    pub fn uid(&self) -> u32 {
        self.stat.stx_uid
    }

    /// Which group's it is.
    pub fn gid(&self) -> u32 {
        self.stat.stx_gid
    }

    /// The bytes of a good piece for reading and writing.
    pub fn blksize(&self) -> u64 {
        self.stat.stx_blksize.into()
    }

    /// What it takes on its device, in units of 512 bytes.
    pub fn blocks(&self) -> u64 {
        self.stat.stx_blocks
    }

    /// The alignment that direct I/O needs: of memory, and of offsets and lengths. `None` if the kernel does not say, zeros if it
    /// says that there is none.
    pub(super) fn direct_alignment(&self) -> Option<(usize, usize)> {
        let known = self.stat.stx_mask & libc::STATX_DIOALIGN != 0;
        known.then_some((self.stat.stx_dio_mem_align as usize, self.stat.stx_dio_offset_align as usize))
    }
}

impl fmt::Debug for Metadata {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metadata")
            .field("file_type", &self.file_type())
            .field("len", &self.len())
            .field("mode", &format_args!("{:o}", self.mode() & 0o7777))
            .field("modified", &self.modified().ok())
            .finish_non_exhaustive()
    }
}

/// `op::metadata` and its kin.
#[doc(hidden)]
pub struct Stat<'a> {
    base: Base<'a>,
    name: Name,
    flags: i32,
    fd: Option<RawFd>,
    result: Box<MaybeUninit<libc::statx>>,
}

impl<'a> Stat<'a> {
    fn new(base: Base<'a>, name: Name, flags: i32) -> Self {
        Stat { base, name, flags, fd: None, result: Box::new(MaybeUninit::zeroed()) }
    }

    pub(super) fn of_fd(fd: BorrowedFd<'a>) -> Self {
        let stat = Self::new(Base::Directory(fd), Ok(Cow::Borrowed(c"")), libc::AT_EMPTY_PATH);
        Stat { fd: Some(fd.as_raw_fd()), ..stat }
    }

    /// Of what has this name in a directory. A link is not followed.
    pub(super) fn in_dir(dir: BorrowedFd<'a>, name: Name) -> Self {
        Self::new(Base::Directory(dir), name, libc::AT_SYMLINK_NOFOLLOW)
    }
}

// SAFETY: the submission names the string, owned and on the heap or static, and the box's content.
unsafe impl Call for Stat<'_> {
    type Waited = Metadata;
    type Started = Metadata;

    fn verb(&self) -> &'static str {
        "metadata"
    }

    fn fd(&self) -> Option<RawFd> {
        self.fd
    }

    fn sqe(&mut self) -> io::Result<Sqe> {
        let mask = libc::STATX_BASIC_STATS | libc::STATX_BTIME | libc::STATX_DIOALIGN;
        let name = address(&mut self.name)?;
        Ok(Sqe::statx(self.base.fd(), name, self.flags, mask, self.result.as_mut_ptr()))
    }

    fn waited(self, _: usize) -> io::Result<Metadata> {
        // SAFETY: zeroed, which is a value of it, and filled in by the kernel.
        Ok(Metadata { stat: unsafe { self.result.assume_init() } })
    }

    fn started(self, result: usize) -> io::Result<Metadata> {
        self.waited(result)
    }
}

pub(crate) fn stat_following(path: &Path) -> Request<Stat<'static>> {
    Request::new(Stat::new(Base::WorkingDirectory, name(path), 0))
}

pub(crate) fn stat_link(path: &Path) -> Request<Stat<'static>> {
    Request::new(Stat::new(Base::WorkingDirectory, name(path), libc::AT_SYMLINK_NOFOLLOW))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_of_entries_are_kinds_of_modes() {
        for (d_type, mode) in [
            (libc::DT_DIR, libc::S_IFDIR),
            (libc::DT_REG, libc::S_IFREG),
            (libc::DT_LNK, libc::S_IFLNK),
            (libc::DT_FIFO, libc::S_IFIFO),
            (libc::DT_SOCK, libc::S_IFSOCK),
            (libc::DT_BLK, libc::S_IFBLK),
            (libc::DT_CHR, libc::S_IFCHR),
        ] {
            assert_eq!(FileType::of_entry(d_type), Some(FileType::of_mode(mode | 0o644)));
        }
        assert_eq!(FileType::of_entry(libc::DT_UNKNOWN), None);
    }
}
