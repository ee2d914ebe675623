//! A lock over data that many tasks may read, or one may write.
//!
//! One queue for both kinds of waiters, so that nobody overtakes: what may go in is always a run of readers at its front, or
//! the one writer there.

use crate::coordinator::Coordinator;
use crate::error::Killed;
use crate::fiber::Reason;
use crate::handle::{Queued, Source};
use std::cell::{Cell, UnsafeCell};
use std::fmt;
use std::mem;
use std::ops::{Deref, DerefMut};

/// What a waiter's entry wants.
const READ: u32 = 0;
const WRITE: u32 = 1;

/// In `holders`: one task writes.
const WRITING: usize = usize::MAX;

/// A lock over data that many tasks may read, or one may write. It is not poisoned by panics.
///
/// First come, first served: readers that come while a writer waits go in after it, so neither kind starves the other. For the
/// same reason a task that reads must not wait for a second read lock: a writer between the two would wait for it for ever, and
/// it for the writer.
///
/// ```
/// use coop::sync::RwLock;
/// coop::run(|| -> Result<(), coop::Killed> {
///     let routes = RwLock::new(vec!["/"]);
///     {
///         let (a, b) = (routes.read()?, routes.read()?);
///         assert_eq!((a.len(), b.len()), (1, 1));
///         assert!(routes.try_write().is_none());
///     }
///     routes.write()?.push("/about");
///     assert_eq!(routes.into_inner(), ["/", "/about"]);
///     Ok(())
/// }).unwrap();
/// ```
pub struct RwLock<T: ?Sized> {
    /// How many read, or `WRITING`.
    holders: Cell<usize>,
    /// Always held: a queue to wait in.
    queue: Coordinator,
    data: UnsafeCell<T>,
}

/// The data of an [`RwLock`], to read. Dropping it lets a writer in, if it was the last.
#[must_use = "dropping the guard unlocks at once"]
pub struct RwLockReadGuard<'a, T: ?Sized> {
    lock: &'a RwLock<T>,
}

/// The data of an [`RwLock`], to write. Dropping it lets in whoever waits longest.
#[must_use = "dropping the guard unlocks at once"]
pub struct RwLockWriteGuard<'a, T: ?Sized> {
    lock: &'a RwLock<T>,
}

impl<T> RwLock<T> {
    /// Unlocked.
    pub const fn new(data: T) -> Self {
        RwLock { holders: Cell::new(0), queue: Coordinator::held(), data: UnsafeCell::new(data) }
    }

    /// The data.
    pub fn into_inner(self) -> T {
        self.data.into_inner()
    }
}

impl<T: ?Sized> RwLock<T> {
    /// Waits until nobody writes, and nobody who came earlier waits to write.
    ///
    /// A wait point if that is not so already; kill-checked.
    ///
    /// # Errors
    /// `Killed`.
    ///
    /// # Panics
    /// On a thread without a Cooperator.
    #[track_caller]
    pub fn read(&self) -> Result<RwLockReadGuard<'_, T>, Killed> {
        Queued::wait_for(&Read { lock: self })
    }

    /// Waits until nobody reads or writes, and nobody who came earlier waits.
    ///
    /// A wait point if that is not so already; kill-checked. A writer that is killed while it waits lets those behind it in.
    ///
    /// # Errors
    /// `Killed`.
    ///
    /// # Panics
    /// On a thread without a Cooperator.
    #[track_caller]
    pub fn write(&self) -> Result<RwLockWriteGuard<'_, T>, Killed> {
        Queued::wait_for(&Write { lock: self })
    }

    /// A read lock, if [`read`](RwLock::read) would not wait. Not a wait point.
    pub fn try_read(&self) -> Option<RwLockReadGuard<'_, T>> {
        self.enter(READ).then(|| RwLockReadGuard { lock: self })
    }

    /// A write lock, if [`write`](RwLock::write) would not wait. Not a wait point.
    pub fn try_write(&self) -> Option<RwLockWriteGuard<'_, T>> {
        self.enter(WRITE).then(|| RwLockWriteGuard { lock: self })
    }

    /// The data, which nobody else can have.
    pub fn get_mut(&mut self) -> &mut T {
        self.data.get_mut()
    }

    /// Whether the lock's state allows one more of this kind.
    fn allows(&self, wants: u32) -> bool {
        if wants == WRITE { self.holders.get() == 0 } else { self.holders.get() != WRITING }
    }

    /// Counts one more of this kind, which the state allows.
    fn admit(&self, wants: u32) {
        self.holders.set(if wants == WRITE { WRITING } else { self.holders.get() + 1 });
    }

    /// Goes in, if that is fair.
    fn enter(&self, wants: u32) -> bool {
        let may = !self.queue.has_waiters() && self.allows(wants);
        if may {
            self.admit(wants);
        }
        may
    }

    /// Lets in from the front of the queue whoever may.
    fn serve(&self) {
        while let Some(wants) = self.queue.first_wants().filter(|wants| self.allows(*wants)) {
            self.admit(wants);
            self.queue.release();
        }
    }

    fn leave(&self, wants: u32) {
        self.holders.set(if wants == WRITE { 0 } else { self.holders.get() - 1 });
        self.serve();
    }
}

impl<'a, T: ?Sized> RwLockWriteGuard<'a, T> {
    /// Makes it a read lock, without letting a writer in between. Not a wait point.
    ///
    /// ```
    /// use coop::sync::{RwLock, RwLockWriteGuard};
    /// let lock = RwLock::new(1);
    /// let mut guard = lock.try_write().unwrap();
    /// *guard += 1;
    /// let guard = RwLockWriteGuard::downgrade(guard);
    /// assert_eq!((*guard, lock.try_read().map(|other| *other)), (2, Some(2)));
    /// ```
    pub fn downgrade(guard: Self) -> RwLockReadGuard<'a, T> {
        let lock = guard.lock;
        mem::forget(guard);
        lock.holders.set(1);
        lock.serve();
        RwLockReadGuard { lock }
    }
}

/// `op::read_lock`.
#[doc(hidden)]
pub struct Read<'a, T: ?Sized> {
    lock: &'a RwLock<T>,
}

/// `op::write_lock`.
#[doc(hidden)]
pub struct Write<'a, T: ?Sized> {
    lock: &'a RwLock<T>,
}

macro_rules! source {
    ($kind:ident, $guard:ident, $wants:ident, $reason:literal) => {
        impl<'a, T: ?Sized> $kind<'a, T> {
            pub(crate) fn new(lock: &'a RwLock<T>) -> Self {
                $kind { lock }
            }
        }

        impl<'a, T: ?Sized> Source for $kind<'a, T> {
            type Output = $guard<'a, T>;
            type Waited = Result<$guard<'a, T>, Killed>;

            fn queue(&self) -> &Coordinator {
                &self.lock.queue
            }

            fn is_ready(&self) -> bool {
                !self.lock.queue.has_waiters() && self.lock.allows($wants)
            }

            fn try_reserve(&self) -> bool {
                self.lock.enter($wants)
            }

            fn take_reserved(&self) -> Self::Output {
                $guard { lock: self.lock }
            }

            fn pass_on(&self) {
                self.lock.leave($wants);
            }

            fn wants(&self) -> u32 {
                $wants
            }

            fn withdrawn(&self) {
                self.lock.serve();
            }

            fn reason(&self) -> Reason {
                Reason::new($reason)
            }

            fn waited(result: Result<Self::Output, Killed>) -> Self::Waited {
                result
            }
        }

        impl<T: ?Sized> Deref for $guard<'_, T> {
            type Target = T;

            fn deref(&self) -> &T {
                // SAFETY: the guard is counted in `holders`, so nobody else writes: `allows`.
                unsafe { &*self.lock.data.get() }
            }
        }

        impl<T: ?Sized> Drop for $guard<'_, T> {
            fn drop(&mut self) {
                self.lock.leave($wants);
            }
        }

        impl<T: ?Sized + fmt::Debug> fmt::Debug for $guard<'_, T> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                (**self).fmt(f)
            }
        }

        impl<T: ?Sized + fmt::Display> fmt::Display for $guard<'_, T> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                (**self).fmt(f)
            }
        }
    };
}

source!(Read, RwLockReadGuard, READ, "read lock");
source!(Write, RwLockWriteGuard, WRITE, "write lock");

impl<T: ?Sized> DerefMut for RwLockWriteGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: while `holders` is `WRITING` there is this one guard.
        unsafe { &mut *self.lock.data.get() }
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for RwLock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // `try_read` would say no while a writer merely waits.
        if self.holders.get() == WRITING {
            return f.write_str("RwLock(<locked>)");
        }
        self.holders.set(self.holders.get() + 1);
        let guard = RwLockReadGuard { lock: self };
        f.debug_tuple("RwLock").field(&&*guard).finish()
    }
}

impl<T: Default> Default for RwLock<T> {
    fn default() -> Self {
        RwLock::new(T::default())
    }
}

impl<T> From<T> for RwLock<T> {
    fn from(data: T) -> Self {
        RwLock::new(data)
    }
}
