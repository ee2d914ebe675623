//! Whole files at once.

use super::file::File;
use std::io;
use std::io::Read;
use std::path::Path;

/// The least room a read is given once the length is not what the metadata has said.
const ROOM: usize = 4096;

/// All bytes of a file.
///
/// A wait point; kill-checked.
///
/// # Errors
/// Those of opening and reading: `NotFound`, `PermissionDenied`, `IsADirectory`, …; [`Killed`](crate::Killed).
///
/// ```
/// use coop::fs;
/// coop::run(|| assert!(fs::read("/proc/self/status").unwrap().starts_with(b"Name:")));
/// ```
#[track_caller]
pub fn read(path: impl AsRef<Path>) -> io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    let len = usize::try_from(file.metadata()?.len()).unwrap_or(usize::MAX);
    let mut bytes = Vec::new();
    // What files of the kernel say of their length is 0: the end is where a read finds nothing. One byte more saves the look
    // for room at the end of an honest one.
    bytes.try_reserve_exact(len.saturating_add(1)).map_err(|_| io::ErrorKind::OutOfMemory)?;
    bytes.resize(len.saturating_add(1), 0);
    let mut filled = 0;
    loop {
        if filled == bytes.len() {
            bytes.resize((bytes.len() * 2).max(ROOM), 0);
        }
        match file.read(&mut bytes[filled..])? {
            0 => break,
            n => filled += n,
        }
    }
    bytes.truncate(filled);
    Ok(bytes)
}

/// All of a file, as text.
///
/// A wait point; kill-checked.
///
/// # Errors
/// As [`read`], and `InvalidData` for what is not UTF-8.
#[track_caller]
pub fn read_to_string(path: impl AsRef<Path>) -> io::Result<String> {
    String::from_utf8(read(path)?).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

/// Writes a file: makes it if there is none, empties it if there is, and writes `contents`.
///
/// A wait point; kill-checked. A kill or an error can leave the file empty or written in part: the error is then a
/// [`Partial`](crate::io::Partial), which says how far. To have all or nothing, write another file and [`rename`](super::rename) it.
///
/// # Errors
/// Those of opening and writing: `PermissionDenied`, `IsADirectory`, `StorageFull`, …; [`Killed`](crate::Killed).
///
/// ```
/// use coop::fs;
/// coop::run(|| -> std::io::Result<()> {
///     let path = std::env::temp_dir().join(format!("coop-write-{}", std::process::id()));
///     fs::write(&path, "hello")?;
///     assert_eq!(fs::read(&path)?, b"hello");
///     fs::remove_file(&path)
/// }).unwrap();
/// ```
#[track_caller]
pub fn write(path: impl AsRef<Path>, contents: impl AsRef<[u8]>) -> io::Result<()> {
    File::create(path)?.append_all(contents.as_ref())
}
