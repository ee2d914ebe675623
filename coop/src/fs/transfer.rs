//! Reading and writing.

use super::call::Call;
use super::direct;
use super::file::File;
use crate::io::{Partial, Transfer};
use crate::ring::{AT_POSITION, Sqe};
use crate::sys;
use std::io::{self, IoSlice, IoSliceMut};
use std::marker::PhantomData;
use std::os::fd::RawFd;

/// `struct iovec` pieces a call may name: `UIO_MAXIOV`. Empty ones in front are left out: a call that moves nothing would look like
/// the end of the file.
const MOST_PIECES: usize = 1024;

/// Where in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// At the cursor, which the kernel keeps and moves on.
    Cursor,
    At(u64),
}

impl Place {
    /// The offset for a call of ours that keeps to `pread`'s rules, `done` bytes on; -1 for the cursor.
    fn offset(self, done: usize) -> io::Result<i64> {
        match self {
            Place::Cursor => Ok(-1),
            // Beyond, the kernel would take it for a negative one, or for the cursor.
            Place::At(offset) => match offset.checked_add(done as u64).map(i64::try_from) {
                Some(Ok(offset)) => Ok(offset),
                _ => Err(io::Error::from_raw_os_error(libc::EINVAL)),
            },
        }
    }
}

/// The place of a call, and what becomes of the cursor.
///
/// The ring can be told to use the file's own cursor, and then forgets to move it when a transfer completes later (direct I/O; FUSE
/// with direct_io), or in part (seen on Linux 6.18: a write that meets RLIMIT_FSIZE). So a file that has a cursor is read and written
/// at its place, and the cursor set when the result is there. Only streams are left to the ring's.
struct Spot {
    place: Place,
    /// The cursor before the transfer that is in flight.
    from: Option<u64>,
}

impl Spot {
    /// The offset to submit, `done` bytes on.
    fn submit(&mut self, file: &File, done: usize) -> io::Result<u64> {
        self.from = None;
        match self.place {
            Place::Cursor if file.has_cursor() => {
                let from = file.position()?;
                self.from = Some(from);
                Ok(from)
            }
            place => Ok(place.offset(done)? as u64),
        }
    }

    /// `n` bytes were moved.
    fn advance(&mut self, file: &File, n: usize, is_write: bool) {
        if let Some(from) = self.from.take()
            && n != 0
        {
            file.move_cursor(from + n as u64, is_write);
        }
    }
}

const _: () = assert!(AT_POSITION == -1i64 as u64);

/// How much of the buffer is to be moved.
pub trait Extent {
    const IS_ALL: bool;
    type Waited;
    fn waited(n: usize) -> Self::Waited;
}

/// What the kernel moves in one call, which is said.
#[doc(hidden)]
#[derive(Debug)]
pub struct Part;

impl Extent for Part {
    const IS_ALL: bool = false;
    type Waited = usize;

    fn waited(n: usize) -> usize {
        n
    }
}

/// All of it.
#[doc(hidden)]
#[derive(Debug)]
pub struct All;

impl Extent for All {
    const IS_ALL: bool = true;
    type Waited = ();

    fn waited(_: usize) {}
}

/// `preadv2` of what the page cache has. `None`: it would block, or this is not a file that can tell.
fn read_cached(file: &File, pieces: &[libc::iovec], place: Place, done: usize) -> Option<io::Result<usize>> {
    // A direct read is one of the disk, which nothing but the ring waits for without blocking the thread.
    if file.is_direct() {
        return None;
    }
    let offset = match place.offset(done) {
        Ok(offset) => offset,
        Err(error) => return Some(Err(error)),
    };
    // SAFETY: the pieces are those of buffers that the caller borrows mutably.
    let result = unsafe { libc::preadv2(file.fd(), pieces.as_ptr(), pieces.len() as i32, offset, libc::RWF_NOWAIT) };
    match sys::check_size(result) {
        Err(error) => match error.raw_os_error() {
            Some(libc::EAGAIN | libc::EINTR | libc::EOPNOTSUPP | libc::ENOSYS | libc::EINVAL) => None,
            _ => Some(Err(error)),
        },
        read => Some(read),
    }
}

/// `op::read`, `op::read_at`, `op::read_exact_at`.
#[doc(hidden)]
pub struct Reading<'a, E> {
    file: &'a File,
    buffer: &'a mut [u8],
    spot: Spot,
    done: usize,
    /// The last piece came from the page cache, which may have had only the first part of what the file has.
    was_cached: bool,
    _extent: PhantomData<E>,
}

impl<'a, E> Reading<'a, E> {
    pub(crate) fn new(file: &'a File, buffer: &'a mut [u8], place: Place) -> Self {
        Reading { file, buffer, spot: Spot { place, from: None }, done: 0, was_cached: false, _extent: PhantomData }
    }
}

// SAFETY: the submission names the buffer's memory, borrowed by the call, which moving the reference does not move.
unsafe impl<'a, E: Extent> Call for Reading<'a, E> {
    type Waited = E::Waited;
    type Started = Transfer<&'a mut [u8]>;

    fn verb(&self) -> &'static str {
        "read"
    }

    fn fd(&self) -> Option<RawFd> {
        Some(self.file.fd())
    }

    fn sqe(&mut self) -> io::Result<Sqe> {
        self.was_cached = false;
        let offset = self.spot.submit(self.file, self.done)?;
        let rest = &mut self.buffer[self.done..];
        Ok(Sqe::read(self.file.fd(), rest.as_mut_ptr(), rest.len(), offset))
    }

    fn attempt(&mut self) -> Option<io::Result<usize>> {
        self.was_cached = true;
        let rest = &mut self.buffer[self.done..];
        let piece = libc::iovec { iov_base: rest.as_mut_ptr().cast(), iov_len: rest.len() };
        read_cached(self.file, &[piece], self.spot.place, self.done)
    }

    fn advance(&mut self, n: usize) -> Option<io::Result<usize>> {
        self.done += n;
        self.spot.advance(self.file, n, false);
        // A file is expected to give what it has. Where the cache's part ends, the next attempt finds the end or the disk's part.
        let goes_on = E::IS_ALL || (self.was_cached && n != 0 && self.file.has_cursor());
        match goes_on && self.done < self.buffer.len() {
            true if n == 0 => Some(Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the file ended"))),
            true => None,
            false => Some(Ok(self.done)),
        }
    }

    fn failed(&self, error: io::Error) -> io::Result<usize> {
        let whole = [(self.buffer.as_ptr(), self.buffer.len())];
        let error = direct::explain(self.file, error, self.spot.place, self.done, whole);
        match E::IS_ALL {
            true => Err(Partial::error(self.done, error)),
            // What came before is delivered; the error will be there at the next call.
            false if self.done != 0 => Ok(self.done),
            false => Err(error),
        }
    }

    fn done_in_part(&self) -> Option<usize> {
        (self.done != 0).then_some(self.done)
    }

    fn waited(self, n: usize) -> io::Result<E::Waited> {
        Ok(E::waited(n))
    }

    fn started(self, n: usize) -> io::Result<Transfer<&'a mut [u8]>> {
        Ok(Transfer::new(n, self.buffer))
    }
}

/// `op::write`, `op::write_at`, `op::write_all_at`.
#[doc(hidden)]
pub struct Writing<'a, E> {
    file: &'a File,
    buffer: &'a [u8],
    spot: Spot,
    done: usize,
    _extent: PhantomData<E>,
}

impl<'a, E> Writing<'a, E> {
    pub(crate) fn new(file: &'a File, buffer: &'a [u8], place: Place) -> Self {
        Writing { file, buffer, spot: Spot { place, from: None }, done: 0, _extent: PhantomData }
    }
}

// SAFETY: the submission names the buffer's memory, borrowed by the call, which moving the reference does not move.
unsafe impl<'a, E: Extent> Call for Writing<'a, E> {
    type Waited = E::Waited;
    type Started = Transfer<&'a [u8]>;

    fn verb(&self) -> &'static str {
        "write"
    }

    fn fd(&self) -> Option<RawFd> {
        Some(self.file.fd())
    }

    fn sqe(&mut self) -> io::Result<Sqe> {
        let offset = self.spot.submit(self.file, self.done)?;
        let rest = &self.buffer[self.done..];
        Ok(Sqe::write(self.file.fd(), rest.as_ptr(), rest.len(), offset))
    }

    fn events(&self) -> libc::c_short {
        libc::POLLOUT
    }

    fn advance(&mut self, n: usize) -> Option<io::Result<usize>> {
        self.done += n;
        self.spot.advance(self.file, n, true);
        match E::IS_ALL && self.done < self.buffer.len() {
            true if n == 0 => Some(Err(io::Error::new(io::ErrorKind::WriteZero, "the file takes no more"))),
            true => None,
            false => Some(Ok(self.done)),
        }
    }

    fn failed(&self, error: io::Error) -> io::Result<usize> {
        let whole = [(self.buffer.as_ptr(), self.buffer.len())];
        let error = direct::explain(self.file, error, self.spot.place, self.done, whole);
        match E::IS_ALL {
            true => Err(Partial::error(self.done, error)),
            // What came before is delivered; the error will be there at the next call.
            false if self.done != 0 => Ok(self.done),
            false => Err(error),
        }
    }

    fn done_in_part(&self) -> Option<usize> {
        (self.done != 0).then_some(self.done)
    }

    fn waited(self, n: usize) -> io::Result<E::Waited> {
        Ok(E::waited(n))
    }

    fn started(self, n: usize) -> io::Result<Transfer<&'a [u8]>> {
        Ok(Transfer::new(n, self.buffer))
    }
}

/// Reading into several buffers.
#[doc(hidden)]
pub struct ReadingVectored<'a, 'b> {
    file: &'a File,
    buffers: &'a mut [IoSliceMut<'b>],
    spot: Spot,
}

impl<'a, 'b> ReadingVectored<'a, 'b> {
    pub(crate) fn new(file: &'a File, buffers: &'a mut [IoSliceMut<'b>], place: Place) -> Self {
        ReadingVectored { file, buffers, spot: Spot { place, from: None } }
    }

    fn pieces(&self) -> &[libc::iovec] {
        let buffers = &self.buffers[self.buffers.iter().take_while(|buffer| buffer.is_empty()).count()..];
        let count = buffers.len().min(MOST_PIECES);
        // SAFETY: `IoSliceMut` is documented to be ABI compatible with `struct iovec`.
        unsafe { std::slice::from_raw_parts(buffers.as_ptr().cast(), count) }
    }
}

// SAFETY: the submission names the pieces and their memory, both borrowed by the call.
unsafe impl Call for ReadingVectored<'_, '_> {
    type Waited = usize;
    type Started = usize;

    fn verb(&self) -> &'static str {
        "read"
    }

    fn fd(&self) -> Option<RawFd> {
        Some(self.file.fd())
    }

    fn sqe(&mut self) -> io::Result<Sqe> {
        let offset = self.spot.submit(self.file, 0)?;
        let pieces = self.pieces();
        Ok(Sqe::readv(self.file.fd(), pieces.as_ptr(), pieces.len() as u32, offset))
    }

    fn attempt(&mut self) -> Option<io::Result<usize>> {
        let pieces = self.pieces();
        let read = read_cached(self.file, pieces, self.spot.place, 0)?;
        match read {
            // The end of the file, or of what the cache has of it: the ring will tell. It is read again.
            Ok(n) if n != 0 && n < pieces.iter().map(|piece| piece.iov_len).sum() && self.file.has_cursor() => {
                if self.spot.place == Place::Cursor {
                    self.file.move_back(n);
                }
                None
            }
            read => Some(read),
        }
    }

    fn advance(&mut self, n: usize) -> Option<io::Result<usize>> {
        self.spot.advance(self.file, n, false);
        Some(Ok(n))
    }

    fn failed(&self, error: io::Error) -> io::Result<usize> {
        let pieces = self.buffers.iter().map(|piece| (piece.as_ptr(), piece.len()));
        Err(direct::explain(self.file, error, self.spot.place, 0, pieces))
    }

    fn waited(self, n: usize) -> io::Result<usize> {
        Ok(n)
    }

    fn started(self, n: usize) -> io::Result<usize> {
        Ok(n)
    }
}

/// Writing from several buffers.
#[doc(hidden)]
pub struct WritingVectored<'a, 'b> {
    file: &'a File,
    buffers: &'a [IoSlice<'b>],
    spot: Spot,
}

impl<'a, 'b> WritingVectored<'a, 'b> {
    pub(crate) fn new(file: &'a File, buffers: &'a [IoSlice<'b>], place: Place) -> Self {
        WritingVectored { file, buffers, spot: Spot { place, from: None } }
    }
}

// SAFETY: the submission names the pieces and their memory, both borrowed by the call. `IoSlice` is documented to be ABI
// compatible with `struct iovec`.
unsafe impl Call for WritingVectored<'_, '_> {
    type Waited = usize;
    type Started = usize;

    fn verb(&self) -> &'static str {
        "write"
    }

    fn fd(&self) -> Option<RawFd> {
        Some(self.file.fd())
    }

    fn sqe(&mut self) -> io::Result<Sqe> {
        let offset = self.spot.submit(self.file, 0)?;
        let buffers = &self.buffers[self.buffers.iter().take_while(|buffer| buffer.is_empty()).count()..];
        let count = buffers.len().min(MOST_PIECES);
        Ok(Sqe::writev(self.file.fd(), buffers.as_ptr().cast(), count as u32, offset))
    }

    fn advance(&mut self, n: usize) -> Option<io::Result<usize>> {
        self.spot.advance(self.file, n, true);
        Some(Ok(n))
    }

    fn events(&self) -> libc::c_short {
        libc::POLLOUT
    }

    fn failed(&self, error: io::Error) -> io::Result<usize> {
        let pieces = self.buffers.iter().map(|piece| (piece.as_ptr(), piece.len()));
        Err(direct::explain(self.file, error, self.spot.place, 0, pieces))
    }

    fn waited(self, n: usize) -> io::Result<usize> {
        Ok(n)
    }

    fn started(self, n: usize) -> io::Result<usize> {
        Ok(n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offset_is_never_taken_for_the_cursor() {
        assert_eq!(Place::Cursor.offset(7).unwrap(), -1);
        assert_eq!(Place::At(1 << 40).offset(7).unwrap(), (1 << 40) + 7);
        for (offset, done) in [(u64::MAX, 0), (1 << 63, 0), (i64::MAX as u64, 1), (u64::MAX, 1)] {
            assert_eq!(Place::At(offset).offset(done).unwrap_err().raw_os_error(), Some(libc::EINVAL));
        }
    }
}
