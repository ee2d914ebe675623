//! Waiting for one another: what locks look like to their users.

mod acquired;
mod mutex;

pub use acquired::Acquired;
pub use mutex::{Mutex, MutexGuard};

#[doc(hidden)]
pub use acquired::{Coordination, coordinate};

pub(crate) use mutex::Lock;
