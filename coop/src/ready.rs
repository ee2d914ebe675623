//! Where the ready fibers stand: a ring of places, each named by a number that only grows.

use crate::fiber::Fiber;
use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::cell::Cell;

/// The least number of places.
pub(crate) const LEAST: u64 = 64;

/// The fibers with the numbers `head..tail` of a queue, side by side: who looks for one in the middle need not touch the others, as it would
/// in a list that leads through their stacks. The queue's owner keeps the numbers.
pub(crate) struct Places {
    places: Cell<*mut *const Fiber>,
    /// How many there are, a power of two, less one.
    mask: Cell<u64>,
}

impl Places {
    pub(crate) fn new() -> Self {
        let places = Self::allocate(LEAST).unwrap_or_else(|| handle_alloc_error(Self::layout(LEAST)));
        Places { places: Cell::new(places), mask: Cell::new(LEAST - 1) }
    }

    /// How many fibers have places.
    #[inline]
    pub(crate) fn count(&self) -> u64 {
        self.mask.get() + 1
    }

    /// The fiber with this number, or any that was put to the same place before.
    #[inline]
    pub(crate) fn get(&self, number: u64) -> *const Fiber {
        // SAFETY: as in `set`.
        unsafe { *self.place(number) }
    }

    /// Puts a fiber to the place of this number. So far that was the place of the number `count()` before.
    #[inline]
    pub(crate) fn set(&self, number: u64, fiber: *const Fiber) {
        // SAFETY: all places were written when they were made, and are there until this is dropped; nobody holds a reference.
        unsafe { *self.place(number) = fiber };
    }

    #[inline]
    fn place(&self, number: u64) -> *mut *const Fiber {
        self.places.get().wrapping_add((number & self.mask.get()) as usize)
    }

    /// Makes places for `least` fibers at least, of which those with the numbers `head..tail` are there. False if there is no memory:
    /// then all is as it was.
    #[cold]
    #[inline(never)]
    pub(crate) fn resize(&self, least: u64, head: u64, tail: u64) -> bool {
        debug_assert!(tail - head <= least);
        let count = least.next_power_of_two().max(LEAST);
        let Some(places) = Self::allocate(count) else { return false };
        for number in head..tail {
            // SAFETY: the number is within the mask.
            unsafe { *places.add((number & (count - 1)) as usize) = self.get(number) };
        }
        self.free();
        self.places.set(places);
        self.mask.set(count - 1);
        true
    }

    /// Places, all of nobody: null.
    fn allocate(count: u64) -> Option<*mut *const Fiber> {
        // SAFETY: the layout is not of size zero.
        let places = unsafe { alloc_zeroed(Self::layout(count)) }.cast::<*const Fiber>();
        (!places.is_null()).then_some(places)
    }

    fn free(&self) {
        // SAFETY: it was allocated with this layout, and is not used again.
        unsafe { dealloc(self.places.get().cast(), Self::layout(self.count())) };
    }

    fn layout(count: u64) -> Layout {
        Layout::array::<*const Fiber>(count as usize).expect("fewer fibers than bytes of memory")
    }
}

impl Drop for Places {
    fn drop(&mut self) {
        self.free();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ptr;

    #[test]
    fn places_are_used_again_and_who_has_one_keeps_its_number_when_there_are_more() {
        let places = Places::new();
        let fiber = |number: u64| ptr::without_provenance::<Fiber>(64 * (1 + number as usize));
        assert_eq!(places.count(), LEAST);
        // All places but one, over the end of the ring.
        let (head, tail) = (LEAST - 3, 2 * LEAST - 4);
        (head..tail).for_each(|number| places.set(number, fiber(number)));
        assert!(places.resize(LEAST + 1, head, tail));
        assert_eq!(places.count(), 2 * LEAST, "a power of two");
        assert!((head..tail).all(|number| places.get(number) == fiber(number)));
        (tail..head + 2 * LEAST).for_each(|number| places.set(number, fiber(number)));
        assert!((head..head + 2 * LEAST).all(|number| places.get(number) == fiber(number)), "and there is room");
        assert!(places.resize(10 * LEAST, head, head + 2 * LEAST));
        assert_eq!(places.count(), 16 * LEAST);
        assert!((head..head + 2 * LEAST).all(|number| places.get(number) == fiber(number)));
        let head = head + 2 * LEAST - 5;
        assert!(places.resize(5, head, head + 5));
        assert_eq!(places.count(), LEAST, "never fewer");
        assert!((head..head + 5).all(|number| places.get(number) == fiber(number)));
    }
}
