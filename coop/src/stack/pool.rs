//! The pool of one Cooperator: stacks in power-of-two size classes, cut from a few large mappings and used again.

use super::PAGE;
use super::guard::{self, GUARD_SIZE};
use crate::count::Count;
use crate::sys;
use std::cell::{Cell, RefCell};
use std::io;
use std::mem::offset_of;
use std::ptr::{self, NonNull};

const SMALLEST_CLASS: u32 = 15; // 32 KiB
const CLASSES: usize = 24; // up to 2^38 bytes

/// The index of a class that never has a stack.
pub(crate) const NO_CLASS: usize = CLASSES;

/// The first slab of a class has this many stacks, each later one twice as many as the one before: a million stacks are 15
/// mappings at most.
const FIRST_SLAB: usize = 64;

/// In so many ways stacks differ in how far below the top their use begins. Tops lie at page boundaries, so without it the records
/// of all tasks would compete for the same cache sets. From one stack to the next it is a line more, so that almost all begins are
/// the same distance apart: a processor that sees some of them touched in a row fetches the next ones, and with them their
/// translations, which are most of what a stack costs that was not used for long. With 100,000 tasks that wake in the order in
/// which they were spawned it is the half of a wake-up.
const COLOURS: usize = 16;

const LINE: usize = 64;

/// How long, in nanoseconds, stacks above the warm limit keep their memory that are not needed: a second. To give a stack's memory
/// back and to be given new costs three times what a task does. Who needs it again soon, as a service does whose load comes in bursts,
/// should not pay for that each time.
const DECAY: u64 = 1_000_000_000;

/// The index of the class of stacks of at least `size` bytes; [`NO_CLASS`] if that is beyond them all.
pub(crate) const fn class_of(size: usize) -> usize {
    let least = if size < 1 << SMALLEST_CLASS { 1 << SMALLEST_CLASS } else { size };
    match least.checked_next_power_of_two() {
        Some(size) if size.trailing_zeros() < SMALLEST_CLASS + NO_CLASS as u32 => {
            (size.trailing_zeros() - SMALLEST_CLASS) as usize
        }
        _ => NO_CLASS,
    }
}

/// Usable memory for frames: `[top - size, top)`, with a guard below it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stack {
    /// The top less its colour.
    begin: NonNull<u8>,
    class: u64,
}

impl Stack {
    /// For debuggers; so is the next.
    pub(crate) const BEGIN_OFFSET: usize = offset_of!(Stack, begin);
    pub(crate) const CLASS_OFFSET: usize = offset_of!(Stack, class);

    /// The high end, aligned to a page.
    #[inline]
    pub(crate) fn top(&self) -> *mut u8 {
        top_above(self.begin.as_ptr())
    }

    /// Where its use begins, to grow down from there: the word between that and the next line is the pool's.
    #[inline]
    pub(crate) fn begin(&self) -> *mut u8 {
        self.begin.as_ptr().wrapping_sub(size_of::<*mut u8>())
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

/// The top of the stack that begins there.
#[inline]
fn top_above(begin: *mut u8) -> *mut u8 {
    begin.map_addr(|begin| begin.next_multiple_of(PAGE))
}

struct Slab {
    base: *mut u8,
    len: usize,
}

struct Class {
    /// Begins of stacks whose topmost pages are likely in memory and in cache. Linked through the last word of each.
    warm: Cell<*mut u8>,
    warm_count: Count,
    /// The least that there were since the period began, but for the surplus: so many were not needed in it.
    least: Cell<u64>,
    /// How many are to give their memory back: they were not needed in the period before.
    surplus: Cell<u64>,
    /// Begins of stacks whose memory was given back.
    cold: RefCell<Vec<*mut u8>>,
    cold_count: Count,
    /// The part of the newest slab that was never cut.
    fresh: Cell<*mut u8>,
    fresh_count: Cell<usize>,
    /// How many stacks of it have their guards.
    guarded: Cell<usize>,
    /// How many stacks were ever cut: those that are taken, and the warm and the cold.
    cut: Count,
    slabs: RefCell<Vec<Slab>>,
}

/// Hands out stacks and takes them back. For one thread.
pub(crate) struct Pool {
    classes: [Class; CLASSES + 1],
    warm_limit: u64,
    decay: u64,
    /// Some class may have more warm stacks than that.
    has_excess: Cell<bool>,
    /// When the period ends by whose end it will be known how many of them were not needed; `None`: it has not begun.
    period_ends: Cell<Option<u64>>,
}

impl Pool {
    /// `warm_limit` is how many unused stacks of a class keep their memory for good. With a limit of zero no memory is kept for
    /// longer than until the next [`trim`](Pool::trim).
    pub(crate) fn new(warm_limit: usize) -> Self {
        Pool {
            classes: [const { Class::new() }; CLASSES + 1],
            warm_limit: warm_limit as u64,
            decay: if warm_limit == 0 { 0 } else { DECAY },
            has_excess: Cell::new(false),
            period_ends: Cell::new(None),
        }
    }

    /// A stack of at least `size` usable bytes.
    pub(crate) fn take(&self, size: usize) -> io::Result<Stack> {
        let index = class_of(size);
        // SAFETY: just given.
        if let Some(stack) = unsafe { self.take_warm(index) } {
            return Ok(stack);
        }
        if index == NO_CLASS {
            return Err(io::Error::from_raw_os_error(libc::ENOMEM));
        }
        let begin = self.classes[index].take_cold(1 << (index as u32 + SMALLEST_CLASS))?;
        Ok(Self::taken_from(index, begin))
    }

    /// A stack of that [class](class_of), if there is one that is likely in memory and in cache.
    ///
    /// # Safety
    /// `index` is what [`class_of`] gave.
    #[inline]
    pub(crate) unsafe fn take_warm(&self, index: usize) -> Option<Stack> {
        debug_assert!(index <= NO_CLASS);
        // SAFETY: `class_of` gives no more than that.
        let class = unsafe { self.classes.get_unchecked(index) };
        let begin = class.warm.get();
        if begin.is_null() {
            return None;
        }
        // SAFETY: a warm stack is free and its last word is the link that `give_back` wrote.
        class.warm.set(unsafe { begin.cast::<*mut u8>().sub(1).read() });
        class.warm_count.subtract(1);
        Some(Self::taken_from(index, begin))
    }

    #[inline]
    fn taken_from(index: usize, begin: *mut u8) -> Stack {
        // SAFETY: near the end of a mapping, which is not null.
        let begin = unsafe { NonNull::new_unchecked(begin) };
        let stack = Stack { begin, class: index as u64 + u64::from(SMALLEST_CLASS) };
        #[cfg(asan)]
        // SAFETY: the stack is free.
        unsafe {
            crate::switch::asan::clear(stack.top().wrapping_sub(stack.size()), stack.size());
        }
        stack
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
        debug_assert!((stack.class as usize) < SMALLEST_CLASS as usize + CLASSES);
        // SAFETY: no other class than one of these has had a stack.
        let pool = unsafe { self.classes.get_unchecked(stack.class as usize - SMALLEST_CLASS as usize) };
        // SAFETY: the caller's promise: the stack's memory is ours again; the last word holds no live frame.
        unsafe { stack.begin.as_ptr().cast::<*mut u8>().sub(1).write(pool.warm.get()) };
        pool.warm.set(stack.begin.as_ptr());
        pool.warm_count.add(1);
        if pool.warm_count.get() > self.warm_limit {
            self.has_excess.set(true);
        }
    }

    /// Notes how many stacks are unused now. For each pass of the loop.
    #[inline]
    pub(crate) fn watch(&self) {
        if self.has_excess.get() {
            self.note_least();
        }
    }

    #[cold]
    fn note_least(&self) {
        for class in &self.classes {
            // What is surplus is not among them, and not what was needed since.
            let warm = class.warm_count.get();
            class.surplus.set(class.surplus.get().min(warm.saturating_sub(self.warm_limit)));
            class.least.set(class.least.get().min(warm - class.surplus.get()));
        }
    }

    /// Gives the memory of unused stacks above the warm limit back to the kernel, at most `most` of them: of those that were not needed
    /// for a whole period, as far as [`watch`](Pool::watch) has seen. Given the time, tells when to come back for more, if there is
    /// more: at once, if that is not in the future. For a Cooperator that idles.
    #[inline]
    pub(crate) fn trim(&self, now: u64, most: usize) -> Option<u64> {
        if self.has_excess.get() { self.trim_excess(now, most) } else { None }
    }

    #[cold]
    fn trim_excess(&self, now: u64, most: usize) -> Option<u64> {
        self.note_least();
        let mut budget = most;
        loop {
            for (index, class) in self.classes.iter().enumerate() {
                class.discard_surplus(1 << (index as u32 + SMALLEST_CLASS), self.warm_limit, &mut budget);
            }
            if budget == 0 {
                return Some(now);
            }
            if self.classes.iter().all(|class| class.warm_count.get() <= self.warm_limit) {
                self.has_excess.set(false);
                self.period_ends.set(None);
                return None;
            }
            // One that ends later than any that begins now is of another clock: of a Cooperator that had the pool before.
            match self.period_ends.get().filter(|ends| *ends <= now.saturating_add(self.decay)) {
                None => {}
                Some(ends) if now < ends => return Some(ends),
                // What was not needed in it is surplus.
                Some(_) => self.classes.iter().for_each(|class| {
                    class.surplus.set(class.least.get().saturating_sub(self.warm_limit));
                }),
            }
            self.period_ends.set(Some(now.saturating_add(self.decay)));
            self.classes.iter().for_each(|class| class.least.set(class.warm_count.get() - class.surplus.get()));
        }
    }

    /// How many stacks are taken.
    pub(crate) fn taken(&self) -> usize {
        // On another thread they change meanwhile.
        let taken = |class: &Class| class.cut.get().saturating_sub(class.warm_count.get() + class.cold_count.get());
        self.classes.iter().map(taken).sum::<u64>() as usize
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
            least: Cell::new(0),
            surplus: Cell::new(0),
            cold: RefCell::new(Vec::new()),
            cold_count: Count::new(0),
            fresh: Cell::new(ptr::null_mut()),
            fresh_count: Cell::new(0),
            guarded: Cell::new(0),
            cut: Count::new(0),
            slabs: RefCell::new(Vec::new()),
        }
    }

    /// Gives the memory of what was found to be surplus back, but for what was needed since.
    fn discard_surplus(&self, size: usize, warm_limit: u64, budget: &mut usize) {
        let excess = self.warm_count.get().saturating_sub(warm_limit);
        let surplus = self.surplus.get().min(excess);
        let count = surplus.min(*budget as u64);
        for _ in 0..count {
            let begin = self.warm.get();
            // SAFETY: a warm stack is free, and its last word is the link. Guards survive MADV_DONTNEED.
            unsafe {
                self.warm.set(begin.cast::<*mut u8>().sub(1).read());
                sys::discard(top_above(begin).sub(size), size);
            }
            self.cold.borrow_mut().push(begin);
        }
        self.warm_count.subtract(count);
        self.cold_count.add(count);
        self.surplus.set(surplus - count);
        *budget -= count as usize;
    }

    #[cold]
    fn take_cold(&self, size: usize) -> io::Result<*mut u8> {
        if let Some(begin) = self.cold.borrow_mut().pop() {
            self.cold_count.subtract(1);
            return Ok(begin);
        }
        if self.fresh_count.get() == 0 {
            self.grow(size)?;
        }
        let base = self.fresh.get();
        if self.guarded.get() == 0 {
            // As many as there have been so far: who needs few does not wait for many.
            let count = (self.cut.get() as usize).clamp(1, self.fresh_count.get());
            // SAFETY: `base` is the start of an uncut slot within the newest slab, and so many follow one another.
            self.guarded.set(unsafe { guard::install_some(base, GUARD_SIZE + size, count)? });
        }
        // SAFETY: within the slab.
        let top = unsafe { base.add(GUARD_SIZE + size) };
        self.fresh.set(top);
        self.guarded.set(self.guarded.get() - 1);
        self.cut.add(1);
        let left = self.fresh_count.get() - 1;
        self.fresh_count.set(left);
        // SAFETY: within the topmost page of the slot.
        Ok(unsafe { top.sub(left % COLOURS * LINE) })
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
        if self.taken() != 0 {
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

    fn take(pool: &Pool, count: usize) -> Vec<Stack> {
        (0..count).map(|_| pool.take(32768).unwrap()).collect()
    }

    fn give(pool: &Pool, stacks: impl IntoIterator<Item = Stack>) {
        // SAFETY: the stacks are those of the calling test alone.
        stacks.into_iter().for_each(|stack| unsafe { pool.give_back(stack) });
    }

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
    fn stacks_of_a_slab_begin_at_different_lines_of_their_topmost_pages() {
        let pool = Pool::new(8);
        let stacks: Vec<Stack> = (0..COLOURS).map(|_| pool.take(32768).unwrap()).collect();
        let mut lines: Vec<usize> =
            stacks.iter().map(|stack| (stack.top().addr() - stack.begin().addr()).div_ceil(LINE)).collect();
        assert!(lines.windows(2).all(|two| two[0] == two[1] + 1 || two[0] == 1), "{lines:?}");
        assert!(stacks.iter().all(|stack| stack.top().addr().is_multiple_of(PAGE)));
        lines.sort_unstable();
        assert_eq!(lines, (1..=COLOURS).collect::<Vec<_>>(), "one is for the pool's link");
        // SAFETY: the stacks are this test's alone.
        stacks.into_iter().for_each(|stack| unsafe { pool.give_back(stack) });
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
        assert_eq!(
            pool.trim(5, 9),
            Some(5 + DECAY),
            "two of three are above the limit of one, but may be needed again"
        );
        let end = 5 + DECAY;
        assert_eq!((pool.trim(end - 1, 9), pool.trim(end, 1), pool.warm()), (Some(end), Some(end), 2));
        assert_eq!((pool.trim(end, 9), pool.warm()), (None, 1));
        let again: Vec<Stack> = (0..3).map(|_| pool.take(32768).unwrap()).collect();
        // SAFETY: as above.
        let bytes: Vec<u8> = again.iter().map(|stack| unsafe { stack.top().sub(16).read() }).collect();
        assert_eq!(bytes.iter().filter(|byte| **byte == 0).count(), 2, "two came back zeroed: {bytes:?}");
        // SAFETY: as above.
        again.into_iter().for_each(|stack| unsafe { pool.give_back(stack) });
    }

    #[test]
    fn what_was_needed_in_a_period_keeps_its_memory_for_another() {
        let pool = Pool::new(2);
        let (take, give) = (|count| take(&pool, count), |stacks| give(&pool, stacks));
        give(take(100));
        let mut ends = pool.trim(7, 64).expect("98 are above the limit");
        // Bursts of 70: of 100 never more than 30 are not needed.
        for _ in 0..3 {
            let burst = take(70);
            pool.watch();
            give(burst);
            pool.watch();
            assert_eq!(pool.trim(ends - 1, 64), Some(ends));
            let now = ends;
            ends = pool.trim(now, 64).expect("there are still some");
            assert_eq!((pool.warm(), ends), (72, now + DECAY), "28 were given back, the first time");
        }
        // Now nothing.
        assert_eq!((pool.trim(ends, 64), pool.warm()), (Some(ends), 8), "so many at a time");
        assert_eq!((pool.trim(ends, 64), pool.warm()), (None, 2));
        assert_eq!(pool.trim(2 * ends, 64), None);
        // What was surplus is needed after all.
        give(take(50));
        let ends = pool.trim(ends, 64).unwrap();
        assert_eq!((pool.trim(ends, 10), pool.warm()), (Some(ends), 40));
        let burst = take(39);
        assert_eq!((pool.trim(ends, 10), pool.warm()), (None, 1));
        give(burst);
        assert_eq!(pool.trim(ends, 10), Some(ends + DECAY), "and counts as such");
    }

    #[test]
    fn surplus_that_is_left_when_its_period_is_over_is_not_counted_twice() {
        let pool = Pool::new(1);
        let (take, give) = (|count| take(&pool, count), |stacks| give(&pool, stacks));
        give(take(200));
        let ends = pool.trim(0, 64).unwrap();
        let burst = take(100);
        pool.watch();
        give(burst);
        // Of 99 that were not needed, 64. Then nothing idles for a period, in which 35 are needed: all others are surplus now.
        assert_eq!((pool.trim(ends, 64), pool.warm()), (Some(ends), 136));
        let burst = take(35);
        pool.watch();
        assert_eq!((pool.trim(ends + DECAY, 64), pool.warm()), (Some(ends + DECAY), 37));
        give(burst);
        assert_eq!((pool.trim(ends + DECAY, 64), pool.warm()), (Some(ends + 2 * DECAY), 36), "but not those 35");
    }

    #[test]
    fn a_later_clock_that_begins_anew_has_periods_of_its_own() {
        let pool = Pool::new(1);
        let (take, give) = (|count| take(&pool, count), |stacks| give(&pool, stacks));
        give(take(5));
        assert_eq!(pool.trim(1000 * DECAY, 64), Some(1001 * DECAY));
        assert_eq!(pool.trim(3, 64), Some(3 + DECAY));
        assert_eq!((pool.trim(3 + DECAY, 64), pool.warm()), (None, 1));
    }

    /// What a random history of takes and returns must not come to, whatever the limit.
    #[test]
    fn a_random_history_gives_back_what_was_not_needed_and_nothing_else() {
        for seed in 0..100 {
            let random = crate::random::Random::new(seed);
            let limit = random.below(8) * random.below(20);
            let pool = Pool::new(limit);
            let (mut out, mut now) = (Vec::new(), 0);
            for _ in 0..300 {
                match random.below(8) {
                    0 | 1 => out.extend(take(&pool, random.below(100))),
                    2..=4 => give(&pool, out.drain(random.below(out.len() + 1)..)),
                    5 => pool.watch(),
                    6 => now += random.next() >> (32 + random.below(20)),
                    _ => {
                        let (before, most) = (pool.warm(), 1 + random.below(80));
                        let next = pool.trim(now, most);
                        let given = before - pool.warm();
                        assert!(given <= most as u64, "seed {seed}: {given} of {most}");
                        assert!(given == 0 || pool.warm() >= limit as u64, "seed {seed}: {} of {limit}", pool.warm());
                        match next {
                            None => assert!(pool.warm() <= limit as u64, "seed {seed}"),
                            Some(at) if at <= now => {
                                assert_eq!(given, most as u64, "seed {seed}: at once, for nothing")
                            }
                            Some(at) => assert!(at <= now + DECAY && pool.warm() > limit as u64, "seed {seed}"),
                        }
                    }
                }
            }
            // Left alone, it comes to rest within two periods.
            give(&pool, out);
            let began = now;
            while let Some(at) = pool.trim(now, 64) {
                now = at.max(now);
            }
            assert!(now <= began + 2 * DECAY && pool.warm() <= limit as u64, "seed {seed}");
        }
    }

    #[test]
    fn without_a_limit_nothing_is_kept() {
        let pool = Pool::new(0);
        // SAFETY: the stack is this test's alone.
        unsafe { pool.give_back(pool.take(32768).unwrap()) };
        assert_eq!((pool.trim(1, 9), pool.warm()), (None, 0));
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
    fn each_stack_has_its_guard_whether_it_was_put_up_alone_or_with_others() {
        let pool = Pool::new(0);
        let stacks: Vec<Stack> = (0..100).map(|_| pool.take(32768).unwrap()).collect();
        // What the kernel copies to a guard does not arrive; the pipe says so instead of dying.
        let mut pipe = [0; 2];
        // SAFETY: a place for two descriptors, which are this test's.
        assert_eq!(unsafe { libc::pipe(pipe.as_mut_ptr()) }, 0);
        let arrives = |place: *mut u8| {
            // SAFETY: one byte, to memory that is the pool's, or to where there is none.
            unsafe {
                assert_eq!(libc::write(pipe[1], [0u8].as_ptr().cast(), 1), 1);
                let result = libc::read(pipe[0], place.cast(), 1);
                if result < 0 {
                    assert_eq!(std::io::Error::last_os_error().raw_os_error(), Some(libc::EFAULT));
                    let mut byte = 0u8;
                    assert_eq!(libc::read(pipe[0], (&raw mut byte).cast(), 1), 1);
                }
                result == 1
            }
        };
        for (index, stack) in stacks.iter().enumerate() {
            let bottom = stack.top().wrapping_sub(stack.size());
            assert!(arrives(bottom), "stack {index}");
            for page in 1..=GUARD_SIZE / PAGE {
                assert!(!arrives(bottom.wrapping_sub(page * PAGE)), "stack {index}, page {page} of the guard");
            }
        }
        // SAFETY: the stacks and the descriptors are this test's alone.
        unsafe {
            stacks.into_iter().for_each(|stack| pool.give_back(stack));
            pipe.iter().for_each(|descriptor| assert_eq!(libc::close(*descriptor), 0));
        }
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
