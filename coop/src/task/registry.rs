//! Static descriptions of tasks: one for each `#[coop::task]`, with counters.

use std::fmt;
use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicU64, AtomicUsize, Ordering::Relaxed};

/// What is known of a kind of task at compile time, and counters of what became of its tasks.
pub struct Description {
    name: &'static str,
    module: &'static str,
    file: &'static str,
    line: u32,
    stack: Option<usize>,
    live: AtomicU64,
    spawned: AtomicU64,
    killed: AtomicU64,
    panicked: AtomicU64,
    deepest: AtomicUsize,
    /// The next in the list of descriptions that were used; itself while it is in none.
    next: AtomicPtr<Description>,
    is_listed: AtomicUsize,
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
            live: AtomicU64::new(0),
            spawned: AtomicU64::new(0),
            killed: AtomicU64::new(0),
            panicked: AtomicU64::new(0),
            deepest: AtomicUsize::new(0),
            next: AtomicPtr::new(ptr::null_mut()),
            is_listed: AtomicUsize::new(0),
        }
    }

    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    pub(crate) fn stack(&self) -> Option<usize> {
        self.stack
    }

    #[inline]
    pub(crate) fn count_spawn(&'static self) {
        // Load and store instead of an atomic addition: a count lost to another thread's Cooperator is a price worth paying
        // for a spawn without a locked instruction.
        bump(&self.spawned, 1);
        bump(&self.live, 1);
        if self.is_listed.load(Relaxed) == 0 {
            self.list();
        }
    }

    #[inline]
    pub(crate) fn count_end(&self, killed: bool, panicked: bool, depth: usize) {
        bump(&self.live, u64::MAX);
        if killed {
            bump(&self.killed, 1);
        }
        if panicked {
            bump(&self.panicked, 1);
        }
        if depth > self.deepest.load(Relaxed) {
            self.deepest.store(depth, Relaxed);
        }
    }

    #[cold]
    fn list(&'static self) {
        if self.is_listed.swap(1, Relaxed) == 0 {
            let this = ptr::from_ref(self).cast_mut();
            let mut first = FIRST.load(Relaxed);
            loop {
                self.next.store(first, Relaxed);
                match FIRST.compare_exchange_weak(first, this, std::sync::atomic::Ordering::Release, Relaxed) {
                    Ok(_) => break,
                    Err(now) => first = now,
                }
            }
        }
    }

    fn statistics(&self) -> Statistics {
        Statistics {
            name: self.name,
            module: self.module,
            file: self.file,
            line: self.line,
            live: self.live.load(Relaxed),
            spawned: self.spawned.load(Relaxed),
            killed: self.killed.load(Relaxed),
            panicked: self.panicked.load(Relaxed),
            deepest_stack: self.deepest.load(Relaxed),
        }
    }
}

#[inline]
fn bump(counter: &AtomicU64, by: u64) {
    counter.store(counter.load(Relaxed).wrapping_add(by), Relaxed);
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
    /// The source file.
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
    /// The deepest stack seen at a task's last wait, in bytes.
    pub deepest_stack: usize,
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
    let mut next = FIRST.load(std::sync::atomic::Ordering::Acquire).cast_const();
    // SAFETY: only `&'static Description`s are ever listed.
    while let Some(description) = unsafe { next.as_ref() } {
        all.push(description.statistics());
        next = description.next.load(Relaxed);
    }
    all
}
