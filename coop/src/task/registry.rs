//! Static descriptions of tasks: one for each `#[coop::task]`, with counters.
//!
//! Spawning counts, and must not take a locked instruction for it. So a description has a row of counters for each Cooperator that
//! is alive, on a cache line of its own: its owner adds to it with a load and a store, and whoever reads sums the rows up. A row
//! outlives its Cooperator, and goes with all its counts to a later one. The last row is for all Cooperators beyond the 63rd, which
//! do pay for a locked addition.

use crate::count::Count;
use crate::stack;
use std::alloc::{Layout, alloc_zeroed, handle_alloc_error};
use std::fmt;
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Rows of counters that each kind of task has.
const ROWS: usize = 64;

/// The row that any number of Cooperators share.
const SHARED: usize = ROWS - 1;

/// One bit for each row that a Cooperator has to itself.
static TAKEN: Mutex<u64> = Mutex::new(0);

/// The right to count in a row: one Cooperator's, until it is dropped.
#[derive(Debug)]
pub(crate) struct Row(usize);

impl Row {
    /// A row of one's own if there is any left.
    pub(crate) fn take() -> Self {
        // The lock also hands over what was counted in it: a plain load finds what the last owner stored.
        let mut taken = taken();
        let free = (!*taken).trailing_zeros() as usize;
        if free >= SHARED {
            return Row(SHARED);
        }
        *taken |= 1 << free;
        Row(free)
    }

    /// For [`Description::count_spawn`] and [`Description::count_end`].
    pub(crate) fn index(&self) -> usize {
        self.0
    }

    /// Whether the row with this index may be several Cooperators'.
    #[inline]
    pub(crate) fn is_shared(index: usize) -> bool {
        index == SHARED
    }
}

impl Drop for Row {
    fn drop(&mut self) {
        if self.0 != SHARED {
            *taken() &= !(1 << self.0);
        }
    }
}

fn taken() -> MutexGuard<'static, u64> {
    TAKEN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What became of the tasks of one kind on one Cooperator. All zero in the beginning.
#[repr(align(64))]
#[derive(Default)]
struct Counters {
    spawned: Count,
    ended: Count,
    killed: Count,
    panicked: Count,
    /// The deepest stack of any, and the size of that stack.
    deepest: Count,
    size: Count,
    /// How many of the ended have had the whole depth of their stacks measured.
    measured: Count,
}

/// How deep a task's stack has been, as far as is known.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Depth {
    pub(crate) used: usize,
    pub(crate) size: usize,
    /// Nothing has gone deeper: what was touched was looked at, and not only where the stack pointer last stood.
    pub(crate) is_measured: bool,
}

impl Depth {
    /// Of a task that never had a stack.
    pub(crate) const NONE: Depth = Depth { used: 0, size: 0, is_measured: false };
}

/// What is known of a kind of task at compile time, and counters of what became of its tasks.
pub struct Description {
    name: &'static str,
    module: &'static str,
    file: &'static str,
    line: u32,
    stack: Option<usize>,
    /// The counters; null until the first is spawned. Never freed.
    rows: AtomicPtr<[Counters; ROWS]>,
    /// The next in the list of descriptions that were used.
    next: AtomicPtr<Description>,
}

static FIRST: AtomicPtr<Description> = AtomicPtr::new(ptr::null_mut());

impl Description {
    /// `stack` in bytes of a release build; `None` is the Cooperator's default.
    pub const fn new(
        name: &'static str,
        module: &'static str,
        file: &'static str,
        line: u32,
        stack: Option<usize>,
    ) -> Self {
        Description {
            name,
            module,
            file,
            line,
            stack,
            rows: AtomicPtr::new(ptr::null_mut()),
            next: AtomicPtr::new(ptr::null_mut()),
        }
    }

    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    /// Where the function stands; without a file for closures and roots.
    pub(crate) fn place(&self) -> (&'static str, u32) {
        (self.file, self.line)
    }

    pub(crate) fn stack(&self) -> Option<usize> {
        self.stack
    }

    /// The counters in a row.
    ///
    /// # Safety
    /// `rows` is this description's, and not null; `row` is the index of a [`Row`].
    #[inline]
    unsafe fn row(rows: *mut [Counters; ROWS], row: usize) -> &'static Counters {
        debug_assert!(row < ROWS);
        // SAFETY: the caller's promise; what `list` has made is never freed.
        unsafe { &*rows.cast::<Counters>().add(row) }
    }

    /// Whether there are counters, and those in this row are one Cooperator's.
    #[inline]
    pub(crate) fn is_counted_in(&self, row: usize) -> bool {
        !self.rows.load(Ordering::Acquire).is_null() && !Row::is_shared(row)
    }

    /// Counts in a row of which [`is_counted_in`](Description::is_counted_in) said so.
    ///
    /// # Safety
    /// As [`Description::count_spawn`].
    #[inline]
    pub(crate) unsafe fn count_own_spawn(&self, row: usize) {
        // SAFETY: the caller's promise.
        unsafe { Self::row(self.rows.load(Ordering::Acquire), row).spawned.add(1) };
    }

    /// Counts in a row.
    ///
    /// # Safety
    /// `row` is the index of a [`Row`].
    #[inline]
    pub(crate) unsafe fn count_spawn(&'static self, row: usize) {
        let rows = match self.rows.load(Ordering::Acquire) {
            null if null.is_null() => self.list(),
            rows => rows,
        };
        // SAFETY: the caller's promise.
        let counters = unsafe { Self::row(rows, row) };
        match row {
            SHARED => counters.spawned.add_shared(1),
            _ => counters.spawned.add(1),
        }
    }

    /// The end of a task that was not killed, and has returned.
    ///
    /// # Safety
    /// As [`Description::count_end`], in a row that is not shared.
    #[inline(always)]
    pub(crate) unsafe fn count_return(&self, row: usize, used: usize, size: impl FnOnce() -> usize) {
        // SAFETY: the caller's promise; counting the spawn has made the rows.
        let counters = unsafe { Self::row(self.rows.load(Ordering::Acquire), row) };
        counters.ended.add(1);
        if used as u64 > counters.deepest.get() {
            counters.deepest.set(used as u64);
            counters.size.set(size() as u64);
        }
    }

    /// Any end.
    ///
    /// # Safety
    /// As [`Description::count_spawn`], which came before it.
    #[cold]
    pub(crate) unsafe fn count_end(&self, row: usize, killed: bool, panicked: bool, depth: Depth) {
        // SAFETY: as there.
        let counters = unsafe { Self::row(self.rows.load(Ordering::Acquire), row) };
        if row == SHARED {
            return counters.end_shared(killed, panicked, depth);
        }
        counters.ended.add(1);
        counters.killed.add(u64::from(killed));
        counters.panicked.add(u64::from(panicked));
        counters.measured.add(u64::from(depth.is_measured));
        if depth.used as u64 > counters.deepest.get() {
            counters.deepest.set(depth.used as u64);
            counters.size.set(depth.size as u64);
        }
    }

    /// Makes the counters, and puts the description into the list of those that were used.
    #[cold]
    fn list(&'static self) -> *mut [Counters; ROWS] {
        const LAYOUT: Layout = Layout::new::<[Counters; ROWS]>();
        // SAFETY: not of size zero; counters are all zero in the beginning.
        let rows: *mut [Counters; ROWS] = unsafe { alloc_zeroed(LAYOUT).cast() };
        if rows.is_null() {
            handle_alloc_error(LAYOUT);
        }
        if let Err(theirs) = self.rows.compare_exchange(ptr::null_mut(), rows, Ordering::AcqRel, Ordering::Acquire) {
            // SAFETY: made above, and shown to nobody.
            unsafe { std::alloc::dealloc(rows.cast(), LAYOUT) };
            return theirs;
        }
        let this = ptr::from_ref(self).cast_mut();
        let mut first = FIRST.load(Ordering::Relaxed);
        loop {
            self.next.store(first, Ordering::Relaxed);
            match FIRST.compare_exchange_weak(first, this, Ordering::Release, Ordering::Relaxed) {
                Ok(_) => return rows,
                Err(now) => first = now,
            }
        }
    }

    fn statistics(&self) -> Statistics {
        let mut sum = Statistics {
            name: self.name,
            module: self.module,
            file: self.file,
            line: self.line,
            live: 0,
            spawned: 0,
            killed: 0,
            panicked: 0,
            deepest_stack: 0,
            stack_size: stack::scaled(self.stack.unwrap_or(stack::DEFAULT_SIZE).max(stack::MINIMUM_SIZE)),
            is_measured: false,
        };
        let (mut ended, mut measured) = (0, 0);
        // SAFETY: as in `count_spawn`.
        for row in unsafe { self.rows.load(Ordering::Acquire).as_ref() }.into_iter().flatten() {
            // Ends first: what is spawned between the two is then live, and nothing ends before it was spawned.
            ended += row.ended.get();
            measured += row.measured.get();
            sum.killed += row.killed.get();
            sum.panicked += row.panicked.get();
            sum.spawned += row.spawned.get();
            let deepest = row.deepest.get() as usize;
            if deepest > sum.deepest_stack {
                sum.deepest_stack = deepest;
                sum.stack_size = row.size.get() as usize;
            }
        }
        sum.live = sum.spawned.saturating_sub(ended);
        sum.is_measured = ended != 0 && measured == ended;
        sum
    }
}

impl Counters {
    #[cold]
    fn end_shared(&self, killed: bool, panicked: bool, depth: Depth) {
        self.ended.add_shared(1);
        self.killed.add_shared(u64::from(killed));
        self.panicked.add_shared(u64::from(panicked));
        self.measured.add_shared(u64::from(depth.is_measured));
        if depth.used as u64 > self.deepest.get() {
            // Of two at once the size may be the other's: tasks of one kind have stacks of one size, as good as always.
            self.deepest.raise_shared(depth.used as u64);
            self.size.set(depth.size as u64);
        }
    }
}

impl fmt::Debug for Description {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.statistics().fmt(f)
    }
}

/// A reading of the counters of one kind of task, over all Cooperators of the process.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Statistics {
    /// The function's name, or the one given by `name = `.
    pub name: &'static str,
    /// The module path.
    pub module: &'static str,
    /// The source file; empty for closures, and for roots.
    pub file: &'static str,
    /// The line in it.
    pub line: u32,
    /// Tasks spawned and not ended.
    pub live: u64,
    /// Tasks ever spawned.
    pub spawned: u64,
    /// Tasks that had been killed when their body ended.
    pub killed: u64,
    /// Tasks that ended by a panic.
    pub panicked: u64,
    /// The deepest stack of a task that has ended, in bytes: with [`Builder::measure_stacks`](crate::Builder::measure_stacks) the
    /// deepest that it ever was, without it what was in use at the task's last wait, which may be much less.
    pub deepest_stack: usize,
    /// The size of that stack in this build, in bytes; until a task has ended, of the stack that the kind asks for.
    pub stack_size: usize,
    /// Whether every task that has ended was measured, so that none has ever gone deeper.
    pub is_measured: bool,
}

/// What to write for the stack of a kind of task: see [`Statistics::stack_advice`]. In bytes, as in `#[coop::task(stack = "64k")]`:
/// figures of a release build.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StackAdvice {
    /// More than three quarters have been in use.
    Raise {
        /// Twice what was used.
        to: usize,
    },
    /// Never more than a quarter was in use.
    Lower {
        /// At least twice what was used.
        to: usize,
    },
}

impl fmt::Display for StackAdvice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StackAdvice::Raise { to } => write!(f, "raise it: stack = \"{}k\"", to / 1024),
            StackAdvice::Lower { to } => write!(f, "could be: stack = \"{}k\"", to / 1024),
        }
    }
}

impl Statistics {
    /// What to write for the stack of such tasks, if something else than was written.
    ///
    /// To lower it is advised only for functions, and only where every task [was measured](Self::is_measured): what is in use at the last wait says nothing
    /// of what was called between two waits.
    ///
    /// ```
    /// use coop::Builder;
    /// use std::hint::black_box;
    ///
    /// #[coop::task(stack = "1m")]
    /// fn shallow() -> u8 {
    ///     let page = black_box([1u8; 4096]);
    ///     page[17]
    /// }
    ///
    /// Builder::new().measure_stacks(true).run(|| shallow::spawn().join().unwrap()).unwrap();
    /// let shallow = coop::descriptions().into_iter().find(|kind| kind.name == "shallow").unwrap();
    /// assert!(shallow.is_measured && shallow.deepest_stack >= 4096);
    /// assert_eq!(shallow.stack_advice().unwrap().to_string(), "could be: stack = \"32k\"");
    /// ```
    pub fn stack_advice(&self) -> Option<StackAdvice> {
        let written = self.stack_size / stack::scaled(1);
        let to = (self.deepest_stack.saturating_mul(2) / stack::scaled(1)).max(stack::MINIMUM_SIZE).next_power_of_two();
        if self.deepest_stack > self.stack_size / 4 * 3 {
            return Some(StackAdvice::Raise { to: to.max(written * 2) });
        }
        let is_lavish =
            !self.file.is_empty() && self.is_measured && self.deepest_stack <= self.stack_size / 4 && to < written;
        is_lavish.then_some(StackAdvice::Lower { to })
    }
}

/// The statistics of every kind of task that was ever spawned, the latest kind first. Not a wait point.
///
/// ```
/// #[coop::task]
/// fn greet() {}
///
/// coop::run(|| greet::spawn().join().unwrap());
/// let greetings = coop::descriptions().into_iter().find(|d| d.name == "greet").unwrap();
/// assert_eq!((greetings.spawned, greetings.live), (1, 0));
/// ```
pub fn descriptions() -> Vec<Statistics> {
    let mut all = Vec::new();
    let mut next = FIRST.load(Ordering::Acquire).cast_const();
    // SAFETY: only `&'static Description`s are ever listed.
    while let Some(description) = unsafe { next.as_ref() } {
        all.push(description.statistics());
        next = description.next.load(Ordering::Relaxed);
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn depth(used: usize, is_measured: bool) -> Depth {
        Depth { used, size: stack::scaled(64 * 1024), is_measured }
    }

    #[test]
    fn counts_of_many_threads_are_exact_in_rows_of_ones_own_and_in_the_shared_one() {
        static KIND: Description = Description::new("exact", "", "", 0, None);
        let rows: Vec<Row> = (0..3).map(|_| Row::take()).chain([Row(SHARED)]).collect();
        let count = |row: usize| {
            for n in 0..20_000u32 {
                // SAFETY: the index of one of `rows`, of which none but the shared one is given to two threads.
                unsafe {
                    KIND.count_spawn(row);
                    match n % 4 {
                        0 => {}
                        3 if !Row::is_shared(row) => KIND.count_return(row, 999, || unreachable!("it was deeper")),
                        kind => KIND.count_end(row, kind == 1, kind == 2, depth(1000 + row, true)),
                    }
                }
            }
        };
        let indices = rows.iter().map(Row::index).chain([SHARED]);
        std::thread::scope(|scope| {
            for row in indices {
                scope.spawn(move || count(row));
            }
        });
        let counted = KIND.statistics();
        assert_eq!(
            (counted.spawned, counted.live, counted.killed, counted.panicked),
            (100_000, 25_000, 25_000, 25_000)
        );
        assert_eq!(counted.deepest_stack, 1000 + SHARED);
        assert!(!counted.is_measured, "not all were");
    }

    #[test]
    fn a_row_is_one_owners_at_a_time_and_those_too_many_share() {
        let rows: Vec<Row> = (0..2 * ROWS).map(|_| Row::take()).collect();
        let mut own: Vec<usize> = rows.iter().map(Row::index).filter(|row| !Row::is_shared(*row)).collect();
        let count = own.len();
        own.sort_unstable();
        own.dedup();
        assert_eq!(own.len(), count, "no row twice");
        assert!(count < ROWS && rows.iter().any(|row| row.0 == SHARED));
    }

    #[test]
    fn advice_is_in_figures_of_a_release_build_and_lowers_only_what_was_measured() {
        static KIND: Description = Description::new("advised", "", "a.rs", 1, Some(64 * 1024));
        // SAFETY: the index of the shared row.
        unsafe {
            KIND.count_spawn(SHARED);
            KIND.count_end(SHARED, false, false, depth(stack::scaled(5 * 1024), false));
        }
        assert_eq!(KIND.statistics().stack_advice(), None, "it was deeper, for all that is known");
        let measured = Statistics { is_measured: true, ..KIND.statistics() };
        assert_eq!(measured.stack_advice(), Some(StackAdvice::Lower { to: 32 * 1024 }));
        let deep = Statistics { deepest_stack: stack::scaled(50 * 1024), ..measured };
        assert_eq!(deep.stack_advice(), Some(StackAdvice::Raise { to: 128 * 1024 }));
        let well = Statistics { deepest_stack: stack::scaled(30 * 1024), ..deep };
        assert_eq!(well.stack_advice(), None);
        let small = Statistics { deepest_stack: 100, stack_size: stack::scaled(32 * 1024), ..well };
        assert_eq!(small.stack_advice(), None, "there is no smaller one");
    }
}
