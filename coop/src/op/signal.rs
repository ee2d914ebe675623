//! Operations on signals.

use crate::handle::Polled;
use crate::signal::{self, Signal};

/// Waits for a signal, as [`Signal::recv`]. Gives `io::Result<()>`.
///
/// ```
/// use coop::op;
/// use std::time::Duration;
/// coop::run(|| -> std::io::Result<()> {
///     let terminate = coop::signal::terminate()?;
///     let asked = coop::select! {
///         _ = op::signal(&terminate) => true,
///         _ = op::after(Duration::from_millis(1)) => false,
///     }?;
///     assert!(!asked);
///     Ok(())
/// }).unwrap();
/// ```
#[must_use = "an operation does nothing until it is waited for, started, or an arm of `select!`"]
pub fn signal(signal: &Signal) -> signal::SignalOperation<'_> {
    Polled::new(signal::Receiving::new(signal))
}
