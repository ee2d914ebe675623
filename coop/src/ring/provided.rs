//! Buffers that the kernel takes when something has come for them, and not before.
//!
//! ```text
//!   put ──▶ │ 7 │ 2 │ 5 │ ──▶ taken by a receive that has something to put in ──▶ its completion names the buffer ──▶ take
//!           tail           the kernel's head: nobody else sees it
//! ```
//!
//! Who takes a filled buffer puts another in its place: what is kept of the filled ones takes none from anybody else.

use super::{Driver, Simulated, Staged, Uring};
use crate::sys;
use std::cell::{Cell, RefCell};
use std::io;
use std::mem::size_of;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicU16, Ordering};

/// The one group of buffers that a ring of this crate's has.
pub(crate) const GROUP: u16 = 0;

/// So many buffers can be provided: a power of two.
const MOST: u16 = 512;

/// So many are provided at first; whenever they have all been taken at once, twice as many.
const FIRST: u16 = 32;

/// `struct io_uring_buf`. The last field of the first entry is the tail.
#[repr(C)]
pub(super) struct Entry {
    pub(super) address: u64,
    pub(super) len: u32,
    pub(super) id: u16,
    pub(super) tail: AtomicU16,
}

const LENGTH: usize = MOST as usize * size_of::<Entry>();

/// The buffers provided to one ring. Goes after the ring: until then the kernel may write to what it was given.
pub(crate) struct Provided {
    entries: NonNull<Entry>,
    tail: Cell<u16>,
    /// By their numbers: where those are that the kernel has, and how long.
    given: RefCell<Vec<*mut [u8]>>,
    /// Numbers that none has.
    free: RefCell<Vec<u16>>,
    /// So many are to be provided.
    wanted: Cell<u16>,
}

impl Provided {
    /// Registers an empty ring of buffers. Fails where there is none to be had: before Linux 5.19, on a ring that takes no
    /// registrations, without io_uring.
    pub(crate) fn register(driver: &Driver) -> io::Result<Self> {
        let entries = NonNull::new(sys::reserve(LENGTH)?.cast::<Entry>()).expect("a mapping is not at 0");
        let provided = Provided {
            entries,
            tail: Cell::new(0),
            given: RefCell::new(vec![ptr::slice_from_raw_parts_mut(ptr::null_mut(), 0); MOST.into()]),
            free: RefCell::new((0..MOST).rev().collect()),
            wanted: Cell::new(FIRST),
        };
        // SAFETY: the entries stay in place as long as `provided`, which its owner keeps longer than the ring.
        unsafe { Self::attach(driver, entries)? };
        Ok(provided)
    }

    /// # Safety
    /// The entries stay in place for as long as the ring.
    unsafe fn attach(driver: &Driver, entries: NonNull<Entry>) -> io::Result<()> {
        // SAFETY: the caller's promise.
        unsafe {
            match driver {
                Driver::Uring(ring) => ring.register_buffers(entries, MOST),
                Driver::Epoll(_) => Err(io::ErrorKind::Unsupported.into()),
                Driver::Staged(staged) => match &**staged {
                    Staged::Simulated(ring) => {
                        ring.register_buffers(entries, MOST);
                        Ok(())
                    }
                    Staged::Faulty(ring) => Self::attach(ring.below(), entries),
                },
            }
        }
    }

    /// How many the kernel has.
    pub(crate) fn given(&self) -> usize {
        usize::from(MOST) - self.free.borrow().len()
    }

    /// How many are still to be provided.
    pub(crate) fn missing(&self) -> usize {
        usize::from(self.wanted.get()).saturating_sub(self.given())
    }

    /// There were too few of them.
    pub(crate) fn want_more(&self) {
        self.wanted.set((self.wanted.get() * 2).min(MOST));
    }

    /// Gives the kernel a buffer. Only while some are missing.
    pub(crate) fn put(&self, buffer: Box<[u8]>) {
        let Some(id) = self.free.borrow_mut().pop() else { return };
        let (len, buffer) = (buffer.len() as u32, Box::into_raw(buffer));
        self.given.borrow_mut()[usize::from(id)] = buffer;
        let tail = self.tail.get();
        let address = buffer.cast::<u8>().expose_provenance() as u64;
        // SAFETY: inside the mapping, since the place is below MOST; the kernel looks at entries before the tail only, of which
        // there are at most as many as numbers, so that none is overwritten.
        unsafe {
            let entry = self.entries.add(usize::from(tail & (MOST - 1))).as_ptr();
            (&raw mut (*entry).address).write(address);
            (&raw mut (*entry).len).write(len);
            (&raw mut (*entry).id).write(id);
        }
        self.tail.set(tail.wrapping_add(1));
        // What stands before the tail is written before it.
        // SAFETY: the first entry's; an atomic, since the kernel reads it.
        unsafe { (*self.entries.as_ptr()).tail.store(self.tail.get(), Ordering::Release) };
    }

    /// Takes the buffer that a completion with these flags names: the kernel has filled it, and given it up.
    pub(crate) fn take(&self, flags: u32) -> Option<Box<[u8]>> {
        let id = buffer_of(flags).filter(|id| *id < MOST)?;
        let none = ptr::slice_from_raw_parts_mut(ptr::null_mut(), 0);
        let buffer = std::mem::replace(&mut self.given.borrow_mut()[usize::from(id)], none);
        if buffer.is_null() {
            return None;
        }
        self.free.borrow_mut().push(id);
        // SAFETY: it was a box; the kernel has had it, and says that it has no more.
        Some(unsafe { Box::from_raw(buffer) })
    }
}

impl Drop for Provided {
    fn drop(&mut self) {
        for buffer in self.given.get_mut().drain(..).filter(|buffer| !buffer.is_null()) {
            // SAFETY: a box that the kernel was given; nothing is in flight any more that could write to it.
            drop(unsafe { Box::from_raw(buffer) });
        }
        // SAFETY: made by `reserve`. (If another descriptor keeps the ring open, the kernel holds on to the pages themselves.)
        unsafe { sys::release(self.entries.as_ptr().cast(), LENGTH) };
    }
}

/// The number of the buffer that a completion has filled (`IORING_CQE_F_BUFFER`).
fn buffer_of(flags: u32) -> Option<u16> {
    (flags & 1 != 0).then_some((flags >> 16) as u16)
}

/// What a simulated kernel sees of the buffers.
pub(super) struct Selection {
    entries: NonNull<Entry>,
    mask: u16,
    head: Cell<u16>,
}

impl Selection {
    /// # Safety
    /// There are so many entries, and they stay in place until this goes.
    pub(super) unsafe fn new(entries: NonNull<Entry>, count: u16) -> Self {
        Selection { entries, mask: count - 1, head: Cell::new(0) }
    }

    /// The next buffer: its number, where it is, and how long.
    pub(super) fn next(&self) -> Option<(u16, u64, u32)> {
        let head = self.head.get();
        // SAFETY: `new`'s promise; what stands before the tail was written before it.
        unsafe {
            if (*self.entries.as_ptr()).tail.load(Ordering::Acquire) == head {
                return None;
            }
            let entry = self.entries.add(usize::from(head & self.mask)).as_ptr();
            Some(((*entry).id, (*entry).address, (*entry).len))
        }
    }

    /// It was used.
    pub(super) fn consume(&self) {
        self.head.set(self.head.get().wrapping_add(1));
    }
}

impl Uring {
    /// # Safety
    /// The entries stay in place until nothing is in flight any more for good.
    unsafe fn register_buffers(&self, entries: NonNull<Entry>, count: u16) -> io::Result<()> {
        let address = entries.as_ptr().expose_provenance() as u64;
        // SAFETY: the caller's promise.
        unsafe { self.submitter().register_buf_ring_with_flags(address, count, GROUP, 0) }
    }
}

impl Simulated {
    /// # Safety
    /// As `Uring`'s.
    unsafe fn register_buffers(&self, entries: NonNull<Entry>, count: u16) {
        // SAFETY: the caller's promise.
        self.select_from(unsafe { Selection::new(entries, count) });
    }
}
