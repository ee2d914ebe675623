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
///         assert!(rounds <= 21);
///         Ok(())
///     })
/// }).unwrap();
/// ```
#[must_use = "an operation does nothing until it is waited for, started, or an arm of `select!`"]
pub fn after(duration: Duration) -> time::After {
    time::After::new(duration)
}

/// Is over at `moment`, as [`time::sleep_until`](crate::time::sleep_until); at once, if that has passed. Gives `()`. As an arm in a
/// loop it is one limit for all rounds:
///
/// ```
/// use coop::{chan, op, time::Instant};
/// use std::time::Duration;
/// coop::run(|| -> Result<(), coop::Killed> {
///     let (_tx, rx) = chan::bounded::<u32>(1);
///     let limit = Instant::now() + Duration::from_millis(2);
///     let mut sum = 0;
///     loop {
///         coop::select! {
///             Ok(n) = op::receive(&rx) => sum += n,
///             _ = op::at(limit) => break,
///             else => break,
///         }?;
///     }
///     assert_eq!(sum, 0);
///     Ok(())
/// }).unwrap();
/// ```
#[must_use = "an operation does nothing until it is waited for, started, or an arm of `select!`"]
pub fn at(moment: time::Instant) -> time::At {
    time::At::new(moment)
}

/// Waits for the next tick of an interval, as [`Interval::tick`](time::Interval::tick). Gives the [`Instant`](time::Instant) it was
/// planned for. A tick that is due and not chosen stays due.
///
/// ```
/// use coop::{chan, op, time};
/// use std::time::Duration;
/// coop::run(|| -> Result<(), coop::Killed> {
///     let (tx, rx) = chan::bounded(1);
///     let mut beat = time::interval(Duration::from_millis(1));
///     coop::spawn(move || coop::sleep(Duration::from_millis(5)).map(|()| tx.send("done")));
///     let mut beats = 0;
///     loop {
///         coop::select! {
///             _ = op::tick(&mut beat) => beats += 1,
///             message = op::receive(&rx) => { assert_eq!(message, Ok("done")); break }
///         }?;
///     }
///     assert!(beats >= 1);
///     Ok(())
/// }).unwrap();
/// ```
#[must_use = "an operation does nothing until it is waited for, started, or an arm of `select!`"]
pub fn tick(interval: &mut time::Interval) -> time::Tick<'_> {
    time::Tick::new(interval)
}
