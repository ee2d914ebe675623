//! Operations on the clock.

use crate::time;
use std::time::Duration;

/// Is over `duration` after the wait began, or, started, after the start. Gives `()`.
///
/// As an arm it counts anew in each `select!`. For a limit on many rounds start it once, and use `&mut handle`:
///
/// ```
/// use coop::op;
/// use std::time::Duration;
/// coop::run(|| -> Result<(), coop::Killed> {
///     coop::wait_all(|s| {
///         let mut limit = s.start(op::after(Duration::from_millis(20)));
///         let mut rounds = 0;
///         loop {
///             coop::select! {
///                 _ = op::after(Duration::from_millis(1)) => rounds += 1,
///                 _ = &mut limit => break,
///             }?;
///         }
///         assert!(rounds <= 20);
///         Ok(())
///     })
/// }).unwrap();
/// ```
#[must_use = "an operation does nothing until it is waited for, started, or an arm of `select!`"]
pub fn after(duration: Duration) -> time::After {
    time::After::new(duration)
}
