//! Operations on files. Once begun they can have had an effect when they are cancelled: none of them is an arm of `select!` by
//! value, but `&mut handle` of any is.

use crate::fs::{self, File, OpenOptions, Place, Request};
use std::io::{IoSlice, IoSliceMut};
use std::path::Path;

/// Opens a file, as [`OpenOptions::open`]. Gives `io::Result<File>`. A file that is opened in the moment of a cancel, and that
/// nobody takes, is closed.
///
/// It can have had its effect when it is cancelled, so it is no arm by value: start it, and use `&mut handle`.
///
/// ```
/// use coop::{fs::OpenOptions, op};
/// use std::{io, time::Duration};
/// coop::run(|| -> io::Result<()> {
///     let file = coop::scope(|s| {
///         let mut opening = s.start(op::open(OpenOptions::new().read(true), "/proc/self/exe"));
///         coop::select! {
///             file = &mut opening => file,
///             _ = op::after(Duration::from_secs(5)) => Err(io::ErrorKind::TimedOut.into()),
///         }?
///     })?;
///     assert!(file.metadata()?.is_file());
///     Ok(())
/// }).unwrap();
/// ```
#[must_use = "an operation does nothing until it is waited for or started"]
pub fn open(options: &OpenOptions, path: impl AsRef<Path>) -> Request<fs::Opening<'static>> {
    fs::opening(options, path.as_ref())
}

/// Reads at the cursor, as `read` of a [`File`] does. Gives `io::Result<usize>`; started, it gives the buffer back. One at a time: of
/// two in flight together nobody says which comes first.
///
/// No arm by value: start it, and use `&mut handle`.
///
/// ```
/// use coop::{fs::File, op};
/// use std::io;
/// coop::run(|| -> io::Result<()> {
///     let file = File::open("/proc/self/exe")?;
///     let mut magic = [0; 4];
///     coop::scope(|s| -> io::Result<()> {
///         assert_eq!(s.start(op::read(&file, &mut magic)).wait()?.bytes(), b"\x7fELF");
///         Ok(())
///     })
/// }).unwrap();
/// ```
#[must_use = "an operation does nothing until it is waited for or started"]
pub fn read<'a>(file: &'a File, buffer: &'a mut [u8]) -> fs::ReadAt<'a> {
    Request::new(fs::Reading::new(file, buffer, Place::Cursor))
}

/// Writes some of `buffer` at the cursor, as `write` of a [`File`] does. Gives `io::Result<usize>`; started, it gives the buffer back.
/// One at a time: of two in flight together nobody says which comes first.
///
/// No arm by value: start it, and use `&mut handle`.
#[must_use = "an operation does nothing until it is waited for or started"]
pub fn write<'a>(file: &'a File, buffer: &'a [u8]) -> fs::WriteAt<'a> {
    Request::new(fs::Writing::new(file, buffer, Place::Cursor))
}

/// Reads from `offset` on, as [`File::read_at`]. Gives `io::Result<usize>`; started, it gives the buffer back.
///
/// No arm by value: start it, and use `&mut handle`.
///
/// ```
/// use coop::{fs::File, op};
/// use std::io;
/// coop::run(|| -> io::Result<()> {
///     let file = File::open("/proc/self/exe")?;
///     let mut magic = [0; 4];
///     coop::scope(|s| -> io::Result<()> {
///         let reading = s.start(op::read_at(&file, &mut magic, 0));
///         assert_eq!(reading.wait()?.bytes(), b"\x7fELF");
///         Ok(())
///     })
/// }).unwrap();
/// ```
#[must_use = "an operation does nothing until it is waited for or started"]
pub fn read_at<'a>(file: &'a File, buffer: &'a mut [u8], offset: u64) -> fs::ReadAt<'a> {
    Request::new(fs::Reading::new(file, buffer, Place::At(offset)))
}

/// Reads from `offset` on until `buffer` is full, as [`File::read_exact_at`]. Gives `io::Result<()>`; started, it gives the buffer
/// back. Cancelled in the middle, its Handle gives what was read: [`Transfer::n`](crate::io::Transfer::n) says how much.
///
/// No arm by value: start it, and use `&mut handle`.
///
/// ```
/// use coop::{Operation, fs::File, op};
/// coop::run(|| -> std::io::Result<()> {
///     let file = File::open("/proc/self/exe")?;
///     let mut magic = [0; 4];
///     op::read_exact_at(&file, &mut magic, 0).wait()?;
///     assert_eq!(&magic, b"\x7fELF");
///     Ok(())
/// }).unwrap();
/// ```
#[must_use = "an operation does nothing until it is waited for or started"]
pub fn read_exact_at<'a>(file: &'a File, buffer: &'a mut [u8], offset: u64) -> fs::ReadExactAt<'a> {
    Request::new(fs::Reading::new(file, buffer, Place::At(offset)))
}

/// Writes some of `buffer` at `offset`, as [`File::write_at`]. Gives `io::Result<usize>`; started, it gives the buffer back.
///
/// No arm by value: start it, and use `&mut handle`.
///
/// ```
/// use coop::{fs::File, op};
/// use std::io;
/// coop::run(|| -> io::Result<()> {
///     let path = std::env::temp_dir().join(format!("coop-op-write-{}", std::process::id()));
///     let file = File::create(&path)?;
///     coop::scope(|s| -> io::Result<()> {
///         let hello = s.start(op::write_at(&file, b"hello ", 0));
///         let world = s.start(op::write_at(&file, b"world", 6));
///         assert_eq!((hello.wait()?.n(), world.wait()?.n()), (6, 5));
///         Ok(())
///     })?;
///     assert_eq!(coop::fs::read_to_string(&path)?, "hello world");
///     coop::fs::remove_file(&path)
/// }).unwrap();
/// ```
#[must_use = "an operation does nothing until it is waited for or started"]
pub fn write_at<'a>(file: &'a File, buffer: &'a [u8], offset: u64) -> fs::WriteAt<'a> {
    Request::new(fs::Writing::new(file, buffer, Place::At(offset)))
}

/// Writes all of `buffer` at `offset`, as [`File::write_all_at`]. Gives `io::Result<()>`; started, it gives the buffer back.
/// Cancelled in the middle, its Handle gives what was written: [`Transfer::n`](crate::io::Transfer::n) says how much.
///
/// No arm by value: start it, and use `&mut handle`.
///
/// ```
/// use coop::{Operation, fs::File, op};
/// coop::run(|| -> std::io::Result<()> {
///     let path = std::env::temp_dir().join(format!("coop-op-write-all-{}", std::process::id()));
///     op::write_all_at(&File::create(&path)?, b"hello", 0).wait()?;
///     assert_eq!(coop::fs::read(&path)?, b"hello");
///     coop::fs::remove_file(&path)
/// }).unwrap();
/// ```
#[must_use = "an operation does nothing until it is waited for or started"]
pub fn write_all_at<'a>(file: &'a File, buffer: &'a [u8], offset: u64) -> fs::WriteAllAt<'a> {
    Request::new(fs::Writing::new(file, buffer, Place::At(offset)))
}

/// Reads from `offset` on into several buffers, as [`File::read_vectored_at`]. Gives `io::Result<usize>`.
///
/// No arm by value: start it, and use `&mut handle`.
///
/// ```
/// use coop::{Operation, fs::File, op};
/// use std::io::IoSliceMut;
/// coop::run(|| -> std::io::Result<()> {
///     let file = File::open("/proc/self/exe")?;
///     let (mut magic, mut class) = ([0; 4], [0; 1]);
///     op::read_vectored_at(&file, &mut [IoSliceMut::new(&mut magic), IoSliceMut::new(&mut class)], 0).wait()?;
///     assert_eq!((&magic, class), (b"\x7fELF", [2]));
///     Ok(())
/// }).unwrap();
/// ```
#[must_use = "an operation does nothing until it is waited for or started"]
pub fn read_vectored_at<'a, 'b>(
    file: &'a File,
    buffers: &'a mut [IoSliceMut<'b>],
    offset: u64,
) -> Request<fs::ReadingVectored<'a, 'b>> {
    Request::new(fs::ReadingVectored::new(file, buffers, Place::At(offset)))
}

/// Writes several buffers at `offset`, as [`File::write_vectored_at`]. Gives `io::Result<usize>`.
///
/// No arm by value: start it, and use `&mut handle`.
#[must_use = "an operation does nothing until it is waited for or started"]
pub fn write_vectored_at<'a, 'b>(
    file: &'a File,
    buffers: &'a [IoSlice<'b>],
    offset: u64,
) -> Request<fs::WritingVectored<'a, 'b>> {
    Request::new(fs::WritingVectored::new(file, buffers, Place::At(offset)))
}

/// Has the device keep everything that was written, as [`File::sync_all`]. Gives `io::Result<()>`.
///
/// No arm by value: start it, and use `&mut handle`.
///
/// ```
/// use coop::{fs::File, op};
/// use std::io;
/// coop::run(|| -> io::Result<()> {
///     let path = std::env::temp_dir().join(format!("coop-op-sync-{}", std::process::id()));
///     let file = File::create(&path)?;
///     file.write_all_at(b"kept", 0)?;
///     coop::scope(|s| s.start(op::sync_all(&file)).wait())?;
///     coop::fs::remove_file(&path)
/// }).unwrap();
/// ```
#[must_use = "an operation does nothing until it is waited for or started"]
pub fn sync_all(file: &File) -> Request<fs::Changing<'_>> {
    Request::new(fs::Changing::sync_all(file))
}

/// As [`sync_all`], without metadata that reading the bytes does not need: [`File::sync_data`]. Gives `io::Result<()>`.
///
/// No arm by value: start it, and use `&mut handle`.
#[must_use = "an operation does nothing until it is waited for or started"]
pub fn sync_data(file: &File) -> Request<fs::Changing<'_>> {
    Request::new(fs::Changing::sync_data(file))
}

/// Has the file system set space aside, as [`File::allocate`]. Gives `io::Result<()>`.
///
/// No arm by value: start it, and use `&mut handle`.
#[must_use = "an operation does nothing until it is waited for or started"]
pub fn allocate(file: &File, offset: u64, len: u64) -> Request<fs::Changing<'_>> {
    Request::new(fs::Changing::allocate(file, offset, len))
}

/// What is known of a file, as [`fs::metadata`](crate::fs::metadata). Gives `io::Result<Metadata>`.
///
/// No arm by value: start it, and use `&mut handle`.
///
/// ```
/// use coop::op;
/// use std::io;
/// coop::run(|| -> io::Result<()> {
///     coop::scope(|s| -> io::Result<()> {
///         let (root, null) = (s.start(op::metadata("/")), s.start(op::metadata("/dev/null")));
///         assert!(root.wait()?.is_dir() && null.wait()?.file_type().is_char_device());
///         Ok(())
///     })
/// }).unwrap();
/// ```
#[must_use = "an operation does nothing until it is waited for or started"]
pub fn metadata(path: impl AsRef<Path>) -> Request<fs::Stat<'static>> {
    fs::stat_following(path.as_ref())
}

/// As [`metadata`], of the link itself if it is one: [`fs::symlink_metadata`](crate::fs::symlink_metadata).
///
/// No arm by value: start it, and use `&mut handle`.
#[must_use = "an operation does nothing until it is waited for or started"]
pub fn symlink_metadata(path: impl AsRef<Path>) -> Request<fs::Stat<'static>> {
    fs::stat_link(path.as_ref())
}

/// Makes a directory, as [`fs::create_dir`](crate::fs::create_dir). Gives `io::Result<()>`.
///
/// No arm by value: start it, and use `&mut handle`.
#[must_use = "an operation does nothing until it is waited for or started"]
pub fn create_dir(path: impl AsRef<Path>) -> Request<fs::Naming<'static>> {
    fs::creating_dir(path.as_ref())
}

/// Removes a file, as [`fs::remove_file`](crate::fs::remove_file). Gives `io::Result<()>`.
///
/// No arm by value: start it, and use `&mut handle`.
///
/// ```
/// use coop::{fs, op};
/// use std::io;
/// coop::run(|| -> io::Result<()> {
///     let dir = std::env::temp_dir().join(format!("coop-op-remove-{}", std::process::id()));
///     fs::create_dir(&dir)?;
///     let paths: Vec<_> = (0..10).map(|n| dir.join(n.to_string())).collect();
///     for path in &paths {
///         fs::write(path, "")?;
///     }
///     coop::scope(|s| {
///         let all: Vec<_> = paths.iter().map(|path| s.start(op::remove_file(path))).collect();
///         all.into_iter().try_for_each(|removing| removing.wait())         // all are in flight together
///     })?;
///     fs::remove_dir(&dir)
/// }).unwrap();
/// ```
#[must_use = "an operation does nothing until it is waited for or started"]
pub fn remove_file(path: impl AsRef<Path>) -> Request<fs::Naming<'static>> {
    fs::removing_file(path.as_ref())
}

/// Removes an empty directory, as [`fs::remove_dir`](crate::fs::remove_dir). Gives `io::Result<()>`.
///
/// No arm by value: start it, and use `&mut handle`.
#[must_use = "an operation does nothing until it is waited for or started"]
pub fn remove_dir(path: impl AsRef<Path>) -> Request<fs::Naming<'static>> {
    fs::removing_dir(path.as_ref())
}

/// Gives a file another name, as [`fs::rename`](crate::fs::rename). Gives `io::Result<()>`.
///
/// No arm by value: start it, and use `&mut handle`.
#[must_use = "an operation does nothing until it is waited for or started"]
pub fn rename(from: impl AsRef<Path>, to: impl AsRef<Path>) -> Request<fs::Naming<'static>> {
    fs::renaming(from.as_ref(), to.as_ref())
}

/// Gives a file one more name, as [`fs::hard_link`](crate::fs::hard_link). Gives `io::Result<()>`.
///
/// No arm by value: start it, and use `&mut handle`.
#[must_use = "an operation does nothing until it is waited for or started"]
pub fn hard_link(original: impl AsRef<Path>, link: impl AsRef<Path>) -> Request<fs::Naming<'static>> {
    fs::hard_linking(original.as_ref(), link.as_ref())
}

/// Makes a symbolic link, as [`fs::symlink`](crate::fs::symlink). Gives `io::Result<()>`.
///
/// No arm by value: start it, and use `&mut handle`.
#[must_use = "an operation does nothing until it is waited for or started"]
pub fn symlink(original: impl AsRef<Path>, link: impl AsRef<Path>) -> Request<fs::Naming<'static>> {
    fs::symlinking(original.as_ref(), link.as_ref())
}
