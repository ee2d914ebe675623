//! Operations on locks.

use crate::handle::Queued;
use crate::sync::{self, Awaited};

/// Waits for a mutex, as [`Mutex::lock`](crate::sync::Mutex::lock). As an arm that loses it leaves its place in the queue; to
/// keep it, start it.
///
/// ```
/// use coop::{op, sync::Mutex};
/// use std::time::Duration;
/// coop::run(|| -> Result<(), coop::Killed> {
///     let count = Mutex::new(1);
///     let _held = count.try_lock();
///     let was_free = coop::select! {
///         mut guard = op::lock(&count) => { *guard += 1; true }
///         _ = op::after(Duration::from_millis(1)) => false,
///     }?;
///     assert!(!was_free);
///     Ok(())
/// }).unwrap();
/// ```
#[must_use = "an operation does nothing until it is waited for, started, or an arm of `select!`"]
pub fn lock<T: ?Sized>(mutex: &sync::Mutex<T>) -> Queued<sync::Lock<'_, T>> {
    Queued::new(sync::Lock::new(mutex))
}

/// Waits to read what a lock guards, as [`RwLock::read`](crate::sync::RwLock::read). As an arm that loses it leaves its place in
/// the queue; to keep it, start it.
///
/// ```
/// use coop::{op, sync::RwLock};
/// use std::time::Duration;
/// coop::run(|| -> Result<(), coop::Killed> {
///     let routes = RwLock::new(["/"]);
///     let count = coop::select! {
///         routes = op::read_lock(&routes) => routes.len(),
///         _ = op::after(Duration::from_secs(1)) => 0,
///     }?;
///     assert_eq!(count, 1);
///     Ok(())
/// }).unwrap();
/// ```
#[must_use = "an operation does nothing until it is waited for, started, or an arm of `select!`"]
pub fn read_lock<T: ?Sized>(lock: &sync::RwLock<T>) -> Queued<sync::Read<'_, T>> {
    Queued::new(sync::Read::new(lock))
}

/// Waits to write what a lock guards, as [`RwLock::write`](crate::sync::RwLock::write). As an arm that loses it leaves its place
/// in the queue, and lets those behind it in; to keep it, start it.
///
/// ```
/// use coop::{op, sync::RwLock};
/// use std::time::Duration;
/// coop::run(|| -> Result<(), coop::Killed> {
///     let count = RwLock::new(1);
///     let _reading = count.try_read();
///     let was_free = coop::select! {
///         mut guard = op::write_lock(&count) => { *guard += 1; true }
///         _ = op::after(Duration::from_millis(1)) => false,
///     }?;
///     assert!(!was_free && count.try_read().is_some());
///     Ok(())
/// }).unwrap();
/// ```
#[must_use = "an operation does nothing until it is waited for, started, or an arm of `select!`"]
pub fn write_lock<T: ?Sized>(lock: &sync::RwLock<T>) -> Queued<sync::Write<'_, T>> {
    Queued::new(sync::Write::new(lock))
}

/// Waits for a permit, as [`Semaphore::acquire`](crate::sync::Semaphore::acquire). Gives
/// `Result<SemaphorePermit, SemaphoreClosed>`.
///
/// ```
/// use coop::{op, sync::Semaphore};
/// use std::time::Duration;
/// coop::run(|| -> Result<(), coop::Killed> {
///     let connections = Semaphore::new(1);
///     let _the_only_one = connections.try_acquire();
///     let is_free = coop::select! {
///         permit = op::acquire(&connections) => permit.is_ok(),
///         _ = op::after(Duration::from_millis(1)) => false,
///     }?;
///     assert!(!is_free);
///     Ok(())
/// }).unwrap();
/// ```
#[must_use = "an operation does nothing until it is waited for, started, or an arm of `select!`"]
pub fn acquire(semaphore: &sync::Semaphore) -> Queued<sync::Acquire<'_>> {
    acquire_many(semaphore, 1)
}

/// Waits for `count` permits at once, as [`Semaphore::acquire_many`](crate::sync::Semaphore::acquire_many). Gives
/// `Result<SemaphorePermit, SemaphoreClosed>`. While it waits, those behind it do; an arm that loses lets them go on.
#[must_use = "an operation does nothing until it is waited for, started, or an arm of `select!`"]
pub fn acquire_many(semaphore: &sync::Semaphore, count: u32) -> Queued<sync::Acquire<'_>> {
    Queued::new(sync::Acquire::new(semaphore, count))
}

/// Waits until something has come to pass, as the `wait` method of an [`Event`](crate::sync::Event),
/// [`Notify`](crate::sync::Notify), [`Latch`](crate::sync::Latch), [`OnceCell`](crate::sync::OnceCell) or
/// [`Barrier`](crate::sync::Barrier). A cell's gives `&T`, a barrier's
/// [`BarrierWaitResult`](crate::sync::BarrierWaitResult), the others `()`.
///
/// All may stand as arms but the barrier's: start that one, and use `&mut handle`.
///
/// ```
/// use coop::{op, sync::{Event, Notify}};
/// coop::run(|| -> Result<(), coop::Killed> {
///     let (stop, work) = (Event::new(), Notify::new());
///     work.notify_one();
///     let what = coop::select! {
///         _ = op::wait(&stop) => "stop",
///         _ = op::wait(&work) => "work",
///     }?;
///     assert_eq!(what, "work");
///     Ok(())
/// }).unwrap();
/// ```
#[must_use = "an operation does nothing until it is waited for, started, or an arm of `select!`"]
pub fn wait<W: Awaited>(what: &W) -> W::Wait<'_> {
    what.operation()
}
