//! Copying a file.

use super::file::File;
use super::options::OpenOptions;
use super::thread::to_the_end;
use crate::io::Partial;
use std::io::{self, Read};
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;
use std::ptr;
use std::sync::Arc;

/// Bytes that the kernel copies in one call, which no kill ends early.
const STRIDE: usize = 8 * 1024 * 1024;

/// Bytes read and written at a time where the kernel does not copy.
const PIECE: usize = 128 * 1024;

/// Copies a file, bytes and permissions; gives how many bytes. A file by the name `to` is emptied first, and keeps its owner.
///
/// The kernel copies (`copy_file_range`, which on some file systems only shares the blocks), on a thread, 8 MiB at a time; where it
/// cannot, the bytes are read and written. Holes are not kept.
///
/// A wait point; kill-checked, between the strides. A kill or an error can leave a file copied in part: once that exists the error is a
/// [`Partial`], which says how many bytes.
///
/// # Errors
/// Those of opening, reading and writing: `NotFound`, `PermissionDenied`, `StorageFull`, …; `InvalidInput` if `from` is no regular file,
/// or both are the same file; [`Killed`](crate::Killed).
///
/// ```
/// use coop::fs;
/// coop::run(|| -> std::io::Result<()> {
///     let path = std::env::temp_dir().join(format!("coop-copy-{}", std::process::id()));
///     let copied = fs::copy("/proc/self/exe", &path)?;
///     assert_eq!(fs::metadata(&path)?.len(), copied);
///     assert_eq!(fs::metadata(&path)?.mode(), fs::metadata("/proc/self/exe")?.mode());
///     fs::remove_file(&path)
/// }).unwrap();
/// ```
#[track_caller]
pub fn copy(from: impl AsRef<Path>, to: impl AsRef<Path>) -> io::Result<u64> {
    let source = File::open(from)?;
    let metadata = source.metadata()?;
    if !metadata.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "only a regular file can be copied"));
    }
    // Not emptied before it is known to be another file.
    let target = OpenOptions::new().write(true).create(true).mode(metadata.mode() & 0o777).open(to)?;
    let before = target.metadata()?;
    if (before.dev(), before.ino()) == (metadata.dev(), metadata.ino()) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "a file cannot be copied over itself"));
    }
    let mut done = 0;
    let copied = (|| {
        if before.is_file() {
            if before.len() != 0 {
                target.set_len(0)?;
            }
            if before.mode() != metadata.mode() {
                target.set_permissions(metadata.permissions())?;
            }
        }
        contents(source, target, &mut done)
    })();
    match copied {
        Ok(()) => Ok(done as u64),
        Err(error) => Err(Partial::error(done, error)),
    }
}

/// Copies everything from the cursor of one to the cursor of the other.
#[track_caller]
fn contents(source: File, target: File, done: &mut usize) -> io::Result<()> {
    let files: Arc<[OwnedFd; 2]> = Arc::new([source.into(), target.into()]);
    loop {
        let both = files.clone();
        let result = to_the_end(move || {
            let [from, to] = both.each_ref().map(AsRawFd::as_raw_fd);
            // SAFETY: without offsets it touches no memory of ours.
            let n = unsafe { libc::copy_file_range(from, ptr::null_mut(), to, ptr::null_mut(), STRIDE, 0) };
            crate::sys::check_size(n)
        });
        match result {
            // Files of the kernel's own say that they are empty, and are not: reading will tell.
            Ok(0) if *done == 0 => break,
            Ok(0) => return Ok(()),
            Ok(n) => *done += n,
            Err(error) => match error.raw_os_error() {
                Some(libc::EINTR) => {}
                // copy_file_range(2): not these file systems, or not this kernel, or forbidden to this process.
                Some(libc::EXDEV | libc::EINVAL | libc::ENOSYS | libc::EOPNOTSUPP | libc::EPERM | libc::EBADF) => break,
                _ => return Err(error),
            },
        }
    }
    let both = files.each_ref().map(|fd| fd.try_clone().map(File::from));
    let [mut from, to] = match both {
        [Ok(from), Ok(to)] => [from, to],
        [Err(error), _] | [_, Err(error)] => return Err(error),
    };
    let mut piece = vec![0; PIECE];
    loop {
        match from.read(&mut piece)? {
            0 => return Ok(()),
            n => match to.append_all(&piece[..n]) {
                Ok(()) => *done += n,
                Err(error) => {
                    *done += Partial::of(&error).map_or(0, |partial| partial.done);
                    return Err(error);
                }
            },
        }
    }
}
