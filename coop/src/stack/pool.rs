//! The pool of one Cooperator: stacks in power-of-two size classes, cut from a few large mappings and used again.

use super::guard::{self, GUARD_SIZE};
use crate::count::Count;
use crate::sys;
use std::cell::{Cell, RefCell};
use std::io;
use std::mem::offset_of;
use std::ptr::{self, NonNull};

const SMALLEST_CLASS: u32 = 15; // 32 KiB
const CLASSES: usize = 24; // up to 2^38 bytes

/// The first slab of a class has this many stacks, each later one twice as many as the one before: a million stacks are 15
/// mappings at most.
const FIRST_SLAB: usize = 64;

/// Usable memory for frames: `[top - size, top)`, with a guard below it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stack {
    top: NonNull<u8>,
    class: u64,
}

impl Stack {
    /// For debuggers; so is the next.
    pub(crate) const TOP_OFFSET: usize = offset_of!(Stack, top);
    pub(crate) const CLASS_OFFSET: usize = offset_of!(Stack, class);

    /// The high end, aligned to a page.
    #[inline]
    pub(crate) fn top(&self) -> *mut u8 {
        self.top.as_ptr()
    }

    /// Bytes from the guard to the top.
    #[inline]
    pub(crate) fn size(&self) -> usize {
        1 << self.class
    }

    /// The address range of the guard and of the usable part, for telling an overflow from another fault.
    pub(crate) fn contains_in_guard(&self, address: usize) -> bool {
        let bottom = self.top().addr() - self.size();
        (bottom - GUARD_SIZE..bottom).contains(&address)
    }
}

struct Slab {
    base: *mut u8,
    len: usize,
}

struct Class {
    /// Tops of stacks whose topmost pages are likely in memory and in cache. Linked through the last word of each.
    warm: Cell<*mut u8>,
    warm_count: Count,
    /// Tops of stacks whose memory was given back.
    cold: RefCell<Vec<*mut u8>>,
    /// The part of the newest slab that was never cut.
    fresh: Cell<*mut u8>,
    fresh_count: Cell<usize>,
    slabs: RefCell<Vec<Slab>>,
}

/// Hands out stacks and takes them back. For one thread.
pub(crate) struct Pool {
    classes: [Class; CLASSES],
    warm_limit: usize,
    /// Some class may have more warm stacks than that.
    has_excess: Cell<bool>,
    taken: Count,
}

impl Pool {
    /// `warm_limit` is how many unused stacks of a class keep their memory when the Cooperator idles.
    pub(crate) fn new(warm_limit: usize) -> Self {
        Pool {
            classes: [const { Class::new() }; CLASSES],
            warm_limit,
            has_excess: Cell::new(false),
            taken: Count::new(0),
        }
    }

    /// A stack of at least `size` usable bytes.
    #[inline]
    pub(crate) fn take(&self, size: usize) -> io::Result<Stack> {
        let rounded = size.max(1 << SMALLEST_CLASS).checked_next_power_of_two();
        let class = rounded.ok_or(io::Error::from_raw_os_error(libc::ENOMEM))?.trailing_zeros();
        let Some(pool) = self.classes.get((class - SMALLEST_CLASS) as usize) else {
            return Err(io::Error::from_raw_os_error(libc::ENOMEM));
        };
        let warm = pool.warm.get();
        let top = if warm.is_null() {
            pool.take_cold(1 << class)?
        } else {
            // SAFETY: a warm stack is free and its last word is the link that `give_back` wrote.
            pool.warm.set(unsafe { warm.cast::<*mut u8>().sub(1).read() });
            pool.warm_count.subtract(1);
            warm
        };
        self.taken.add(1);
        #[cfg(asan)]
        // SAFETY: the stack is free.
        unsafe {
            crate::switch::asan::clear(top.wrapping_sub(1 << class), 1 << class);
        }
        // SAFETY: the top of a mapping is not null.
        Ok(Stack { top: unsafe { NonNull::new_unchecked(top) }, class: u64::from(class) })
    }

    /// Takes a stack back.
    ///
    /// # Safety
    /// It came from `take` of this pool. Nothing on it is needed any more, but for frames that the running flow is about to
    /// leave for good without anyone calling `take` or `trim` meanwhile.
    #[inline]
    pub(crate) unsafe fn give_back(&self, stack: Stack) {
        #[cfg(tsan)]
        crate::switch::tsan::given_back(stack.top());
        let pool = &self.classes[stack.class as usize - SMALLEST_CLASS as usize];
        // SAFETY: the caller's promise: the stack's memory is ours again; the last word holds no live frame.
        unsafe { stack.top().cast::<*mut u8>().sub(1).write(pool.warm.get()) };
        pool.warm.set(stack.top());
        pool.warm_count.add(1);
        if pool.warm_count.get() > self.warm_limit as u64 {
            self.has_excess.set(true);
        }
        self.taken.subtract(1);
    }

    /// Gives the memory of unused stacks above the warm limit back to the kernel, at most `most` of them. True if any is left
    /// to give.
    #[inline]
    pub(crate) fn trim(&self, most: usize) -> bool {
        self.has_excess.get() && self.trim_excess(most)
    }

    #[cold]
    fn trim_excess(&self, most: usize) -> bool {
        let mut budget = most;
        for (index, pool) in self.classes.iter().enumerate() {
            while pool.warm_count.get() > self.warm_limit as u64 {
                if budget == 0 {
                    return true;
                }
                budget -= 1;
                let top = pool.warm.get();
                let size = 1usize << (index as u32 + SMALLEST_CLASS);
                // SAFETY: a warm stack is free, and its last word is the link. Guards survive MADV_DONTNEED.
                unsafe {
                    pool.warm.set(top.cast::<*mut u8>().sub(1).read());
                    sys::discard(top.sub(size), size);
                }
                pool.warm_count.subtract(1);
                pool.cold.borrow_mut().push(top);
            }
        }
        self.has_excess.set(false);
        false
    }

    /// How many stacks are taken.
    pub(crate) fn taken(&self) -> usize {
        self.taken.get() as usize
    }

    /// How many unused stacks have their memory.
    pub(crate) fn warm(&self) -> u64 {
        self.classes.iter().map(|class| class.warm_count.get()).sum()
    }

    /// How many mappings the pool has made.
    #[cfg(test)]
    pub(crate) fn mappings(&self) -> usize {
        self.classes.iter().map(|class| class.slabs.borrow().len()).sum()
    }
}

impl Class {
    const fn new() -> Self {
        Class {
            warm: Cell::new(ptr::null_mut()),
            warm_count: Count::new(0),
            cold: RefCell::new(Vec::new()),
            fresh: Cell::new(ptr::null_mut()),
            fresh_count: Cell::new(0),
            slabs: RefCell::new(Vec::new()),
        }
    }

    #[cold]
    fn take_cold(&self, size: usize) -> io::Result<*mut u8> {
        if let Some(top) = self.cold.borrow_mut().pop() {
            return Ok(top);
        }
        if self.fresh_count.get() == 0 {
            self.grow(size)?;
        }
        let base = self.fresh.get();
        // SAFETY: `base` is the start of an uncut slot within the newest slab.
        let top = unsafe {
            guard::install(base)?;
            base.add(GUARD_SIZE + size)
        };
        self.fresh.set(top);
        self.fresh_count.set(self.fresh_count.get() - 1);
        Ok(top)
    }

    fn grow(&self, size: usize) -> io::Result<()> {
        let mut slabs = self.slabs.borrow_mut();
        // Large classes start smaller: the first slab is at most 1 GiB of address space.
        let first = FIRST_SLAB.min((1 << 30) / size).max(1);
        let mut count = first << slabs.len().min(32);
        loop {
            match sys::reserve(count * (size + GUARD_SIZE)) {
                Ok(base) => {
                    slabs.push(Slab { base, len: count * (size + GUARD_SIZE) });
                    self.fresh.set(base);
                    self.fresh_count.set(count);
                    return Ok(());
                }
                // Under RLIMIT_AS, without overcommit, or (EAGAIN) where all memory is locked, a smaller slab may still be had.
                Err(error) if matches!(error.raw_os_error(), Some(libc::ENOMEM | libc::EAGAIN)) && count > 1 => {
                    count /= 2
                }
                Err(error) => return Err(error),
            }
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        if self.taken.get() != 0 {
            // A task that never ended, or a JoinHandle that outlived the Cooperator, still points into some stack: all of
            // them stay mapped for good.
            return;
        }
        for (index, class) in self.classes.iter().enumerate() {
            let mut slots = 0;
            for slab in class.slabs.take() {
                slots += slab.len / ((1 << (index as u32 + SMALLEST_CLASS)) + GUARD_SIZE);
                // SAFETY: no stack is taken, so nothing refers to the slab.
                unsafe { sys::release(slab.base, slab.len) };
            }
            guard::removed(slots - class.fresh_count.get());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mappings() -> usize {
        std::fs::read_to_string("/proc/self/maps").unwrap().lines().count()
    }

    #[test]
    fn a_stack_is_writable_to_its_bottom_and_is_used_again() {
        let pool = Pool::new(8);
        let stack = pool.take(40_000).unwrap();
        assert_eq!(stack.size(), 65536, "rounded up to its class");
        // SAFETY: the stack is this test's alone.
        unsafe {
            stack.top().sub(1).write(1);
            stack.top().sub(stack.size()).write(2);
            pool.give_back(stack);
        }
        assert_eq!(pool.take(65536).unwrap().top(), stack.top());
        // SAFETY: as above.
        unsafe { pool.give_back(stack) };
    }

    #[test]
    fn trimming_gives_memory_back_and_keeps_the_stack() {
        let pool = Pool::new(1);
        let stacks: Vec<Stack> = (0..3).map(|_| pool.take(32768).unwrap()).collect();
        for stack in &stacks {
            // SAFETY: the stacks are this test's alone.
            unsafe {
                stack.top().sub(16).write(9);
                pool.give_back(*stack);
            }
        }
        assert!(pool.trim(1) && !pool.trim(5), "two of three are above the limit of one");
        let again: Vec<Stack> = (0..3).map(|_| pool.take(32768).unwrap()).collect();
        // SAFETY: as above.
        let bytes: Vec<u8> = again.iter().map(|stack| unsafe { stack.top().sub(16).read() }).collect();
        assert_eq!(bytes.iter().filter(|byte| **byte == 0).count(), 2, "two came back zeroed: {bytes:?}");
        // SAFETY: as above.
        again.into_iter().for_each(|stack| unsafe { pool.give_back(stack) });
    }

    #[test]
    fn ten_thousand_guarded_stacks_are_a_handful_of_mappings() {
        let pool = Pool::new(0);
        let before = mappings();
        let stacks: Vec<Stack> = (0..10_000).map(|_| pool.take(65536).unwrap()).collect();
        // Other tests of the process make some meanwhile.
        assert!(mappings() <= before + 100, "{before} mappings became {}", mappings());
        assert!(pool.mappings() <= 8);
        // SAFETY: the stacks are this test's alone.
        stacks.into_iter().for_each(|stack| unsafe { pool.give_back(stack) });
    }

    #[test]
    fn a_kernel_without_guard_advice_gets_protected_pages() {
        guard::refuse_advice(true);
        let pool = Pool::new(0);
        let stack = pool.take(32768).unwrap();
        let guard = format!("{:x}-", stack.top().addr() - stack.size() - GUARD_SIZE);
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        let line = maps.lines().find(|line| line.starts_with(&guard)).unwrap_or_else(|| panic!("{guard} in\n{maps}"));
        assert!(line.contains("---p"), "{line}");
        guard::refuse_advice(false);
        // SAFETY: the stack is this test's alone.
        unsafe { pool.give_back(stack) };
    }

    #[test]
    fn a_size_beyond_every_class_is_an_error() {
        assert_eq!(Pool::new(0).take(1 << 40).unwrap_err().raw_os_error(), Some(libc::ENOMEM));
    }
}
