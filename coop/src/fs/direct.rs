//! Past the page cache: `O_DIRECT`, and what it asks of memory, offsets and lengths.

use super::file::File;
use super::transfer::Place;
use crate::sys;
use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::error::Error;
use std::fmt;
use std::io;
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;
use std::slice;

/// Used where the kernel does not say: a page is aligned enough for every disk there is.
const FALLBACK: usize = 4096;

/// What direct I/O on a file asks for, in bytes. Both are powers of two.
///
/// ```
/// use coop::fs::File;
/// coop::run(|| -> std::io::Result<()> {
///     let alignment = File::open("/proc/self/exe")?.direct_alignment()?;
///     assert!(alignment.memory.is_power_of_two() && alignment.offset.is_power_of_two());
///     Ok(())
/// }).unwrap();
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DirectAlignment {
    /// Of the buffer's address.
    pub memory: usize,
    /// Of the offset in the file and of the length.
    pub offset: usize,
}

impl DirectAlignment {
    pub(super) fn of(known: Option<(usize, usize)>) -> Self {
        let or_page = |known: usize| if known.is_power_of_two() { known } else { FALLBACK };
        let (memory, offset) = known.unwrap_or((0, 0));
        DirectAlignment { memory: or_page(memory), offset: or_page(offset) }
    }

    /// The first thing about a transfer that it does not allow.
    fn misaligned(
        self,
        offset: Option<u64>,
        pieces: impl IntoIterator<Item = (*const u8, usize)>,
    ) -> Option<Misaligned> {
        if let Some(offset) = offset
            && offset % self.offset as u64 != 0
        {
            return Some(Misaligned { what: Misalignment::Offset(offset), needed: self.offset });
        }
        pieces.into_iter().find_map(|(address, len)| {
            if address.addr() % self.memory != 0 {
                return Some(Misaligned { what: Misalignment::Memory(address.addr()), needed: self.memory });
            }
            (len % self.offset != 0).then_some(Misaligned { what: Misalignment::Length(len), needed: self.offset })
        })
    }
}

/// What of a transfer was not aligned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Misalignment {
    /// The buffer's address.
    Memory(usize),
    /// The offset in the file.
    Offset(u64),
    /// The number of bytes.
    Length(usize),
}

/// A transfer on a file opened with [`OpenOptions::direct`](super::OpenOptions::direct) was not aligned as the file's device
/// needs it, and the kernel has refused it.
///
/// It travels in an [`io::Error`] of the kind `InvalidInput`; [`Misaligned::of`] finds it there. Some file systems take what
/// others refuse.
///
/// ```
/// use coop::fs::{AlignedBuf, Misaligned, OpenOptions};
/// coop::run(|| -> std::io::Result<()> {
///     let path = std::env::temp_dir().join(format!("coop-direct-{}", std::process::id()));
///     coop::fs::write(&path, [7; 10_000])?;
///     // A file system in memory may have no direct I/O at all.
///     if let Ok(file) = OpenOptions::new().read(true).direct(true).open(&path) {
///         let mut buf = AlignedBuf::for_file(&file, 10_000)?;
///         assert_eq!(file.read_at(&mut buf, 0)?, 10_000);
///         if let Err(error) = file.read_at(&mut buf[..100], 1) {
///             assert!(Misaligned::of(&error).unwrap().needed > 1);
///         }
///     }
///     coop::fs::remove_file(&path)
/// }).unwrap();
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Misaligned {
    /// What was not aligned.
    pub what: Misalignment,
    /// The alignment it needs, in bytes.
    pub needed: usize,
}

impl Misaligned {
    /// The `Misaligned` that an `io::Error` carries, if it does.
    pub fn of(error: &io::Error) -> Option<&Misaligned> {
        let inner: &(dyn Error + 'static) = error.get_ref()?;
        inner.downcast_ref().or_else(|| inner.source()?.downcast_ref::<io::Error>().and_then(Misaligned::of))
    }
}

impl fmt::Display for Misaligned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.what {
            Misalignment::Memory(address) => write!(f, "direct I/O with a buffer at {address:#x}")?,
            Misalignment::Offset(offset) => write!(f, "direct I/O at offset {offset}")?,
            Misalignment::Length(len) => write!(f, "direct I/O of {len} bytes")?,
        }
        write!(f, ", which is no multiple of {}: use an `AlignedBuf`, and whole blocks", self.needed)
    }
}

impl Error for Misaligned {}

/// Says of an EINVAL on a direct file that it was the alignment, if it was.
#[cold]
pub(super) fn explain(
    file: &File,
    error: io::Error,
    place: Place,
    done: usize,
    pieces: impl IntoIterator<Item = (*const u8, usize)>,
) -> io::Error {
    if error.raw_os_error() != Some(libc::EINVAL) || !file.is_direct() {
        return error;
    }
    // No wait point: the task may be killed, and this is only to explain. The inode is in memory, since the file is open.
    let Ok(alignment) = alignment_now(file) else { return error };
    let offset = match place {
        Place::At(offset) => Some(offset),
        Place::Cursor => file.position().ok(),
    };
    let rest = pieces.into_iter().map(|(address, len)| (address.wrapping_add(done), len.saturating_sub(done)));
    match alignment.misaligned(offset.map(|offset| offset + done as u64), rest) {
        Some(misaligned) => io::Error::new(io::ErrorKind::InvalidInput, misaligned),
        None => error,
    }
}

/// The alignment, by a statx that does not go out to ask anybody.
fn alignment_now(file: &File) -> io::Result<DirectAlignment> {
    let mask = libc::STATX_DIOALIGN;
    let stat = sys::statx_of_open(file.fd(), mask)?;
    let known = stat.stx_mask & mask != 0;
    Ok(DirectAlignment::of(known.then_some((stat.stx_dio_mem_align as usize, stat.stx_dio_offset_align as usize))))
}

/// Zeroed memory at an aligned address, for direct I/O. It is a `[u8]` otherwise.
///
/// ```
/// use coop::fs::AlignedBuf;
/// let mut buf = AlignedBuf::new(8192, 512).unwrap();
/// buf[..5].copy_from_slice(b"hello");
/// assert_eq!((buf.len(), buf.as_ptr().addr() % 512), (8192, 0));
/// ```
pub struct AlignedBuf {
    bytes: NonNull<u8>,
    layout: Layout,
}

// SAFETY: it owns its bytes, as a `Vec<u8>` does.
unsafe impl Send for AlignedBuf {}
// SAFETY: as above.
unsafe impl Sync for AlignedBuf {}

impl AlignedBuf {
    /// `len` zeros at a multiple of `alignment`.
    ///
    /// # Errors
    /// `InvalidInput` for an alignment that is no power of two, or a length that no memory could have.
    pub fn new(len: usize, alignment: usize) -> io::Result<AlignedBuf> {
        let layout = Layout::from_size_align(len, alignment).map_err(|_| {
            let what = format!("no buffer of {len} bytes can be aligned to {alignment}");
            io::Error::new(io::ErrorKind::InvalidInput, what)
        })?;
        if len == 0 {
            return Ok(AlignedBuf { bytes: NonNull::without_provenance(alignment.try_into().expect("not 0")), layout });
        }
        // SAFETY: the size is not 0.
        match NonNull::new(unsafe { alloc_zeroed(layout) }) {
            Some(bytes) => Ok(AlignedBuf { bytes, layout }),
            None => handle_alloc_error(layout),
        }
    }

    /// At least `len` zeros, as many and aligned as direct I/O on `file` needs.
    ///
    /// A wait point; kill-checked.
    ///
    /// # Errors
    /// Those of [`File::direct_alignment`] and [`AlignedBuf::new`].
    #[track_caller]
    pub fn for_file(file: &File, len: usize) -> io::Result<AlignedBuf> {
        let alignment = file.direct_alignment()?;
        let whole = len.checked_next_multiple_of(alignment.offset).unwrap_or(usize::MAX);
        AlignedBuf::new(whole, alignment.memory)
    }

    /// What its address is a multiple of.
    pub fn alignment(&self) -> usize {
        self.layout.align()
    }
}

impl Deref for AlignedBuf {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: initialised memory of this length, or none, owned by this.
        unsafe { slice::from_raw_parts(self.bytes.as_ptr(), self.layout.size()) }
    }
}

impl DerefMut for AlignedBuf {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in `deref`, and this is borrowed mutably.
        unsafe { slice::from_raw_parts_mut(self.bytes.as_ptr(), self.layout.size()) }
    }
}

impl AsRef<[u8]> for AlignedBuf {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl AsMut<[u8]> for AlignedBuf {
    fn as_mut(&mut self) -> &mut [u8] {
        self
    }
}

impl fmt::Debug for AlignedBuf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AlignedBuf").field("len", &self.len()).field("alignment", &self.alignment()).finish()
    }
}

impl Drop for AlignedBuf {
    fn drop(&mut self) {
        if self.layout.size() != 0 {
            // SAFETY: allocated by `new` with this layout.
            unsafe { dealloc(self.bytes.as_ptr(), self.layout) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_thing_that_is_not_aligned_is_named() {
        let alignment = DirectAlignment { memory: 512, offset: 4096 };
        let buffer = AlignedBuf::new(8192, 4096).unwrap();
        let at = |from: usize, len: usize| [(buffer[from..].as_ptr(), len)];
        assert_eq!(alignment.misaligned(Some(4096), at(512, 4096)), None);
        assert_eq!(alignment.misaligned(None, at(0, 8192)), None);
        let found = |misaligned: Option<Misaligned>| misaligned.map(|misaligned| (misaligned.what, misaligned.needed));
        assert_eq!(found(alignment.misaligned(Some(512), at(0, 1))), Some((Misalignment::Offset(512), 4096)));
        assert_eq!(found(alignment.misaligned(Some(0), at(0, 100))), Some((Misalignment::Length(100), 4096)));
        let odd = buffer[1..].as_ptr();
        let expected = Some((Misalignment::Memory(odd.addr()), 512));
        assert_eq!(found(alignment.misaligned(Some(0), [(odd, 4096)])), expected);
        let error = alignment.misaligned(Some(512), at(0, 1)).unwrap().to_string();
        assert_eq!(
            error,
            "direct I/O at offset 512, which is no multiple of 4096: use an `AlignedBuf`, and whole blocks"
        );
    }

    #[test]
    fn a_kernel_that_does_not_say_means_a_page() {
        let page = DirectAlignment { memory: 4096, offset: 4096 };
        assert_eq!(DirectAlignment::of(None), page);
        assert_eq!(DirectAlignment::of(Some((0, 0))), page);
        assert_eq!(DirectAlignment::of(Some((512, 512))), DirectAlignment { memory: 512, offset: 512 });
    }

    #[test]
    fn a_buffer_is_zeroed_aligned_and_may_be_empty() {
        for alignment in [1, 512, 4096, 1 << 16] {
            for len in [0, 1, 4096, 10_000] {
                let buffer = AlignedBuf::new(len, alignment).unwrap();
                assert_eq!((buffer.len(), buffer.as_ptr().addr() % alignment), (len, 0));
                assert!(buffer.iter().all(|byte| *byte == 0));
            }
        }
        for (len, alignment) in [(1, 0), (1, 3), (usize::MAX, 512)] {
            assert_eq!(AlignedBuf::new(len, alignment).unwrap_err().kind(), io::ErrorKind::InvalidInput);
        }
    }
}
