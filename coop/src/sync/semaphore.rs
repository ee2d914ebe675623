//! A number of permits, which tasks take and give back.

use crate::coordinator::Coordinator;
use crate::error::Killed;
use crate::fiber::{Detail, Reason};
use crate::handle::{Queued, Source};
use std::cell::Cell;
use std::error::Error;
use std::fmt;
use std::io;
use std::mem;
use std::rc::Rc;

/// As good as without limit, and far from overflow however it is added up.
const MOST: i64 = i64::MAX / 4;

/// A number of permits, which tasks take and give back: a bound on how many do something at once.
///
/// First come, first served, whatever the size of a request: a small one does not overtake a large one that waits for more
/// permits than there are, so none starves.
///
/// ```
/// use coop::sync::Semaphore;
/// use std::cell::Cell;
/// coop::run(|| {
///     let (two_at_once, inside, most) = (Semaphore::new(2), Cell::new(0), Cell::new(0));
///     coop::wait_all(|s| {
///         for _ in 0..10 {
///             s.spawn(|| -> Result<(), coop::sync::AcquireError> {
///                 let _permit = two_at_once.acquire()?;
///                 inside.set(inside.get() + 1);
///                 most.set(most.get().max(inside.get()));
///                 coop::yield_now()?;
///                 inside.set(inside.get() - 1);
///                 Ok(())
///             });
///         }
///     });
///     assert_eq!((most.get(), two_at_once.available_permits()), (2, 2));
/// });
/// ```
pub struct Semaphore {
    /// Negative only while closed: by what waiters were told to take that are to learn of the close.
    available: Cell<i64>,
    is_closed: Cell<bool>,
    /// Always held: a queue to wait in.
    queue: Coordinator,
}

/// Permits of a [`Semaphore`]. Dropping it gives them back.
#[must_use = "dropping permits gives them back at once"]
pub struct SemaphorePermit<'a> {
    semaphore: &'a Semaphore,
    count: u32,
}

/// Permits of a shared [`Semaphore`], to keep or to give to a task that outlives its maker. Dropping it gives them back.
#[must_use = "dropping permits gives them back at once"]
pub struct OwnedSemaphorePermit {
    semaphore: Rc<Semaphore>,
    count: u32,
}

/// Why an [`acquire`](Semaphore::acquire) gave no permit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AcquireError {
    /// The semaphore was closed.
    Closed,
    /// The task was killed.
    Killed(Killed),
}

/// Why a [`try_acquire`](Semaphore::try_acquire) gave no permit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TryAcquireError {
    /// The semaphore was closed.
    Closed,
    /// There are too few just now, or others wait for theirs.
    NoPermits,
}

/// The semaphore was closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SemaphoreClosed;

impl Semaphore {
    /// With so many permits.
    pub const fn new(permits: usize) -> Self {
        let available = if permits as u64 > MOST as u64 { MOST } else { permits as i64 };
        Semaphore { available: Cell::new(available), is_closed: Cell::new(false), queue: Coordinator::held() }
    }

    /// Waits for a permit. First come, first served.
    ///
    /// A wait point if there is none; kill-checked.
    ///
    /// # Errors
    /// [`AcquireError`].
    ///
    /// # Panics
    /// On a thread without a Cooperator.
    #[track_caller]
    pub fn acquire(&self) -> Result<SemaphorePermit<'_>, AcquireError> {
        self.acquire_many(1)
    }

    /// Waits for `count` permits, all at once. It waits for more than there are in all until somebody
    /// [adds](Semaphore::add_permits) them, and everybody behind it waits as long.
    ///
    /// A wait point if there are too few; kill-checked. A request that is killed while it waits lets those behind it go on.
    ///
    /// ```
    /// use coop::sync::{AcquireError, Semaphore};
    /// coop::run(|| -> Result<(), AcquireError> {
    ///     let memory = Semaphore::new(1024);
    ///     let large = memory.acquire_many(1000)?;
    ///     assert_eq!(memory.available_permits(), 24);
    ///     assert!(memory.try_acquire_many(100).is_err());
    ///     drop(large);
    ///     assert!(memory.try_acquire_many(100).is_ok());
    ///     Ok(())
    /// }).unwrap();
    /// ```
    ///
    /// # Errors
    /// [`AcquireError`].
    ///
    /// # Panics
    /// On a thread without a Cooperator.
    #[track_caller]
    pub fn acquire_many(&self, count: u32) -> Result<SemaphorePermit<'_>, AcquireError> {
        Queued::wait_for(&Acquire { semaphore: self, count })
    }

    /// As [`acquire`](Semaphore::acquire), for a permit that outlives the borrow: to spawn a task with it.
    ///
    /// ```
    /// use coop::sync::Semaphore;
    /// use std::rc::Rc;
    /// coop::run(|| {
    ///     let sessions = Rc::new(Semaphore::new(1));
    ///     let permit = sessions.acquire_owned().unwrap();
    ///     let mut session = coop::spawn(move || drop(permit));
    ///     assert!(sessions.try_acquire().is_err());
    ///     session.join().unwrap();
    ///     assert!(sessions.try_acquire().is_ok());
    /// });
    /// ```
    ///
    /// # Errors
    /// [`AcquireError`].
    ///
    /// # Panics
    /// On a thread without a Cooperator.
    #[track_caller]
    pub fn acquire_owned(self: &Rc<Self>) -> Result<OwnedSemaphorePermit, AcquireError> {
        self.acquire_many_owned(1)
    }

    /// As [`acquire_many`](Semaphore::acquire_many), for permits that outlive the borrow.
    ///
    /// # Errors
    /// [`AcquireError`].
    ///
    /// # Panics
    /// On a thread without a Cooperator.
    #[track_caller]
    pub fn acquire_many_owned(self: &Rc<Self>, count: u32) -> Result<OwnedSemaphorePermit, AcquireError> {
        self.acquire_many(count)?.forget();
        Ok(OwnedSemaphorePermit { semaphore: self.clone(), count })
    }

    /// A permit, if [`acquire`](Semaphore::acquire) would not wait. Not a wait point.
    ///
    /// # Errors
    /// [`TryAcquireError`].
    pub fn try_acquire(&self) -> Result<SemaphorePermit<'_>, TryAcquireError> {
        self.try_acquire_many(1)
    }

    /// `count` permits, if [`acquire_many`](Semaphore::acquire_many) would not wait. Not a wait point.
    ///
    /// # Errors
    /// [`TryAcquireError`].
    pub fn try_acquire_many(&self, count: u32) -> Result<SemaphorePermit<'_>, TryAcquireError> {
        let source = Acquire { semaphore: self, count };
        match source.try_reserve() {
            true => source.take_reserved().map_err(|SemaphoreClosed| TryAcquireError::Closed),
            false => Err(TryAcquireError::NoPermits),
        }
    }

    /// Adds permits, for those who wait or who come later. Not a wait point. More than 2⁶⁰ are as good as no limit: what is
    /// added beyond is not counted.
    pub fn add_permits(&self, count: usize) {
        let count = i64::try_from(count).unwrap_or(MOST).min(MOST);
        self.available.set((self.available.get() + count).min(MOST));
        self.serve();
    }

    /// Takes up to `count` of the permits that are free away for good, and says how many. Not a wait point.
    pub fn forget_permits(&self, count: usize) -> usize {
        let taken = self.available_permits().min(count);
        self.available.set(self.available.get() - taken as i64);
        taken
    }

    /// How many permits are free just now. Those who wait may need more than that. Not a wait point.
    pub fn available_permits(&self) -> usize {
        usize::try_from(self.available.get()).unwrap_or(0)
    }

    /// Closes the semaphore: nobody is given a permit any more, not even a task that has been woken with one and has not yet
    /// run. Who waits, or comes later, is told. Permits that are out stay good. Not a wait point.
    pub fn close(&self) {
        self.is_closed.set(true);
        self.serve();
    }

    /// Whether it was [closed](Semaphore::close). Not a wait point.
    pub fn is_closed(&self) -> bool {
        self.is_closed.get()
    }

    fn allows(&self, count: u32) -> bool {
        self.is_closed.get() || self.available.get() >= i64::from(count)
    }

    fn take(&self, count: u32) {
        self.available.set(self.available.get() - i64::from(count));
    }

    fn give_back(&self, count: u32) {
        self.available.set((self.available.get() + i64::from(count)).min(MOST));
        self.serve();
    }

    /// Sets permits aside for the waiters, first come, first served, as far as they go.
    fn serve(&self) {
        while let Some(count) = self.queue.first_wants().filter(|count| self.allows(*count)) {
            self.take(count);
            self.queue.release();
        }
    }
}

impl SemaphorePermit<'_> {
    /// How many permits it holds.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// Does not give them back: the semaphore has so many fewer from now on.
    pub fn forget(self) {
        mem::forget(self);
    }

    /// Takes `count` of them out, if it holds so many.
    ///
    /// ```
    /// use coop::sync::Semaphore;
    /// let semaphore = Semaphore::new(3);
    /// let mut all = semaphore.try_acquire_many(3).unwrap();
    /// let one = all.split(1).unwrap();
    /// drop(all);
    /// assert_eq!((one.count(), semaphore.available_permits()), (1, 2));
    /// ```
    pub fn split(&mut self, count: u32) -> Option<Self> {
        self.count = self.count.checked_sub(count)?;
        Some(SemaphorePermit { semaphore: self.semaphore, count })
    }
}

impl OwnedSemaphorePermit {
    /// How many permits it holds.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// Does not give them back: the semaphore has so many fewer from now on.
    pub fn forget(mut self) {
        self.count = 0;
    }
}

impl Drop for SemaphorePermit<'_> {
    fn drop(&mut self) {
        self.semaphore.give_back(self.count);
    }
}

impl Drop for OwnedSemaphorePermit {
    fn drop(&mut self) {
        self.semaphore.give_back(self.count);
    }
}

/// `op::acquire`, `op::acquire_many`.
#[doc(hidden)]
pub struct Acquire<'a> {
    semaphore: &'a Semaphore,
    count: u32,
}

impl<'a> Acquire<'a> {
    pub(crate) fn new(semaphore: &'a Semaphore, count: u32) -> Self {
        Acquire { semaphore, count }
    }
}

impl<'a> Source for Acquire<'a> {
    type Output = Result<SemaphorePermit<'a>, SemaphoreClosed>;
    type Waited = Result<SemaphorePermit<'a>, AcquireError>;

    fn queue(&self) -> &Coordinator {
        &self.semaphore.queue
    }

    fn is_ready(&self) -> bool {
        !self.semaphore.queue.has_waiters() && self.semaphore.allows(self.count)
    }

    fn try_reserve(&self) -> bool {
        let is_ready = self.is_ready();
        if is_ready {
            self.semaphore.take(self.count);
        }
        is_ready
    }

    fn take_reserved(&self) -> Self::Output {
        // When closed its drop restores what was taken on paper.
        let permit = SemaphorePermit { semaphore: self.semaphore, count: self.count };
        if self.semaphore.is_closed.get() { Err(SemaphoreClosed) } else { Ok(permit) }
    }

    fn pass_on(&self) {
        self.semaphore.give_back(self.count);
    }

    fn wants(&self) -> u32 {
        self.count
    }

    fn withdrawn(&self) {
        self.semaphore.serve();
    }

    fn reason(&self) -> Reason {
        if self.count == 1 {
            Reason::new("acquire a permit")
        } else {
            Reason::on("acquire permits: all", Detail::Count(self.count as usize))
        }
    }

    fn waited(result: Result<Self::Output, Killed>) -> Self::Waited {
        result.map_err(AcquireError::Killed)?.map_err(|SemaphoreClosed| AcquireError::Closed)
    }
}

const CLOSED: &str = "the semaphore is closed";

impl fmt::Display for SemaphoreClosed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(CLOSED)
    }
}

impl fmt::Display for AcquireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AcquireError::Closed => f.write_str(CLOSED),
            AcquireError::Killed(killed) => killed.fmt(f),
        }
    }
}

impl fmt::Display for TryAcquireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TryAcquireError::Closed => CLOSED,
            TryAcquireError::NoPermits => "the semaphore has too few permits just now",
        })
    }
}

impl Error for SemaphoreClosed {}
impl Error for AcquireError {}
impl Error for TryAcquireError {}

impl From<Killed> for AcquireError {
    fn from(killed: Killed) -> Self {
        AcquireError::Killed(killed)
    }
}

impl From<SemaphoreClosed> for AcquireError {
    fn from(_: SemaphoreClosed) -> Self {
        AcquireError::Closed
    }
}

impl From<SemaphoreClosed> for io::Error {
    fn from(closed: SemaphoreClosed) -> Self {
        io::Error::new(io::ErrorKind::BrokenPipe, closed)
    }
}

impl From<AcquireError> for io::Error {
    fn from(error: AcquireError) -> Self {
        match error {
            AcquireError::Closed => SemaphoreClosed.into(),
            AcquireError::Killed(killed) => killed.into(),
        }
    }
}

impl fmt::Debug for Semaphore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Semaphore")
            .field("available_permits", &self.available_permits())
            .field("is_closed", &self.is_closed.get())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for SemaphorePermit<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SemaphorePermit").field("count", &self.count).finish_non_exhaustive()
    }
}

impl fmt::Debug for OwnedSemaphorePermit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OwnedSemaphorePermit").field("count", &self.count).finish_non_exhaustive()
    }
}
