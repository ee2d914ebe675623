//! Operations on locks.

use crate::handle::Queued;
use crate::sync;

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
