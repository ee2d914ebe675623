//! A lock over data, for the tasks of one thread.

use crate::coordinator::Coordinator;
use crate::error::Killed;
use crate::fiber::Reason;
use crate::handle::{Queued, Source};
use std::cell::UnsafeCell;
use std::fmt;
use std::ops::{Deref, DerefMut};

/// A lock over data that is kept across waits. First come, first served; it is not poisoned by panics.
///
/// Tasks of one thread need no lock between two waits; this is for invariants that span one. `std::sync::Mutex` would block
/// the thread, and with it the task that is to release it.
///
/// ```
/// use coop::sync::Mutex;
/// coop::run(|| {
///     let account = Mutex::new(100);
///     coop::wait_all(|s| {
///         for _ in 0..10 {
///             s.spawn(|| -> Result<(), coop::Killed> {
///                 let mut balance = account.lock()?;
///                 let before = *balance;
///                 coop::yield_now()?;
///                 *balance = before - 10;
///                 Ok(())
///             });
///         }
///     });
///     assert_eq!(account.into_inner(), 0);
/// });
/// ```
pub struct Mutex<T: ?Sized> {
    lock: Coordinator,
    data: UnsafeCell<T>,
}

/// The data of a locked [`Mutex`]; dropping it hands the lock to whoever waits longest.
#[must_use = "dropping the guard unlocks the mutex at once"]
pub struct MutexGuard<'a, T: ?Sized> {
    pub(super) mutex: &'a Mutex<T>,
}

impl<T> Mutex<T> {
    /// Unlocked.
    pub const fn new(data: T) -> Self {
        Mutex { lock: Coordinator::new(), data: UnsafeCell::new(data) }
    }

    /// The data.
    pub fn into_inner(self) -> T {
        self.data.into_inner()
    }
}

impl<T: ?Sized> Mutex<T> {
    /// Waits for the lock.
    ///
    /// A wait point if it is locked; kill-checked.
    ///
    /// # Errors
    /// `Killed`.
    ///
    /// # Panics
    /// On a thread without a Cooperator.
    #[track_caller]
    pub fn lock(&self) -> Result<MutexGuard<'_, T>, Killed> {
        Queued::wait_for(&Lock { mutex: self })
    }

    /// Takes the lock if it is free. Not a wait point.
    pub fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        // Not `then_some`: that would make a guard in any case, and its drop would unlock.
        self.lock.take().then(|| MutexGuard { mutex: self })
    }

    /// The data, which nobody else can have.
    pub fn get_mut(&mut self) -> &mut T {
        self.data.get_mut()
    }
}

/// `op::lock`.
#[doc(hidden)]
pub struct Lock<'a, T: ?Sized> {
    pub(super) mutex: &'a Mutex<T>,
}

impl<'a, T: ?Sized> Lock<'a, T> {
    pub(crate) fn new(mutex: &'a Mutex<T>) -> Self {
        Lock { mutex }
    }
}

impl<'a, T: ?Sized> Source for Lock<'a, T> {
    type Output = MutexGuard<'a, T>;
    type Waited = Result<MutexGuard<'a, T>, Killed>;

    fn queue(&self) -> &Coordinator {
        &self.mutex.lock
    }

    fn is_ready(&self) -> bool {
        !self.mutex.lock.is_held()
    }

    fn try_reserve(&self) -> bool {
        self.mutex.lock.take()
    }

    fn take_reserved(&self) -> Self::Output {
        MutexGuard { mutex: self.mutex }
    }

    fn pass_on(&self) {
        self.mutex.lock.release();
    }

    fn reason(&self) -> Reason {
        Reason::new("lock")
    }

    fn waited(result: Result<Self::Output, Killed>) -> Self::Waited {
        result
    }
}

impl<T: ?Sized> Deref for MutexGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: the guard has the lock, and there is one guard at a time.
        unsafe { &*self.mutex.data.get() }
    }
}

impl<T: ?Sized> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as in `deref`.
        unsafe { &mut *self.mutex.data.get() }
    }
}

impl<T: ?Sized> Drop for MutexGuard<'_, T> {
    fn drop(&mut self) {
        self.mutex.lock.release();
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for Mutex<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.try_lock() {
            Some(guard) => f.debug_tuple("Mutex").field(&&*guard).finish(),
            None => f.write_str("Mutex(<locked>)"),
        }
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for MutexGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: ?Sized + fmt::Display> fmt::Display for MutexGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: Default> Default for Mutex<T> {
    fn default() -> Self {
        Mutex::new(T::default())
    }
}

impl<T> From<T> for Mutex<T> {
    fn from(data: T) -> Self {
        Mutex::new(data)
    }
}
