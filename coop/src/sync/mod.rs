//! Waiting for one another: locks, permits, and things that come to pass.
//!
//! | type | what a task waits for |
//! |---|---|
//! | [`Mutex`] | data, alone |
//! | [`RwLock`] | data, to read together or to write alone |
//! | [`Semaphore`] | one or more of a number of permits |
//! | [`Condvar`] | a change of what a mutex guards |
//! | [`Event`] | something to happen, which can be taken back |
//! | [`Notify`] | a notification, which goes to one task |
//! | [`Latch`] | a number of steps to be done |
//! | [`Barrier`] | as many tasks to arrive |
//! | [`OnceCell`] | a value that some task makes |
//!
//! All are for the tasks of one thread, serve in the order of arrival, and are kill-checked. Every wait but a condvar's is also
//! an operation of [`op`](crate::op); all of those but a barrier's may stand as arms of a `select!`.
//!
//! None of them leaves its thread, and none is shared with another:
//!
//! ```compile_fail
//! let lock = coop::sync::RwLock::new(1);
//! std::thread::scope(|threads| { threads.spawn(|| lock.try_read().is_some()); });
//! ```

mod acquired;
mod awaited;
mod barrier;
mod condvar;
mod event;
mod latch;
mod mutex;
mod notify;
mod once_cell;
mod rwlock;
mod semaphore;

pub use acquired::Acquired;
pub use awaited::Awaited;
pub use barrier::{Barrier, BarrierWaitResult};
pub use condvar::{Condvar, WaitTimeoutResult};
pub use event::Event;
pub use latch::Latch;
pub use mutex::{Mutex, MutexGuard};
pub use notify::Notify;
pub use once_cell::OnceCell;
pub use rwlock::{RwLock, RwLockReadGuard, RwLockWriteGuard};
pub use semaphore::{AcquireError, OwnedSemaphorePermit, Semaphore, SemaphoreClosed, SemaphorePermit, TryAcquireError};

#[doc(hidden)]
pub use acquired::{Coordination, coordinate};

pub(crate) use event::Setting;
pub(crate) use mutex::Lock;
pub(crate) use rwlock::{Read, Write};
pub(crate) use semaphore::Acquire;
