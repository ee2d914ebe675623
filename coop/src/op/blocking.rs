//! Operations of calls that block.

use crate::blocking::Unblock;

/// Runs `f` on another thread, as [`unblock`](crate::unblock). Gives `Result<T, Killed>`. Once it runs it has its effects, so it
/// is no arm by value: start it, and use `&mut handle`.
///
/// ```
/// use coop::op;
/// use std::time::Duration;
/// coop::run(|| -> Result<(), coop::Killed> {
///     coop::wait_all(|s| {
///         let mut answer = s.start(op::unblock(|| std::fs::read_to_string("/proc/sys/kernel/ostype")));
///         let text = coop::select! {
///             text = &mut answer => text?,
///             _ = op::after(Duration::from_secs(30)) => panic!("a slow disk"),
///         }?;
///         assert_eq!(text.unwrap(), "Linux\n");
///         Ok(())
///     })
/// }).unwrap();
/// ```
#[must_use = "an operation does nothing until it is waited for, started, or an arm of `select!`"]
pub fn unblock<F, T>(f: F) -> Unblock<F>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    Unblock::new(f)
}

/// Runs `f`, which computes, on one of as many threads as there are cores, as [`compute`](crate::compute). Gives
/// `Result<T, Killed>`. No arm by value, as [`unblock`] is none.
///
/// ```
/// use coop::op;
/// coop::run(|| -> Result<(), coop::Killed> {
///     let squares = coop::wait_all(|s| {
///         let parts = [1..1_000u64, 1_000..2_000].map(|part| s.start(op::compute(|| part.map(|n| n * n).sum::<u64>())));
///         parts.into_iter().map(|part| part.wait()).sum::<Result<u64, _>>()
///     })?;
///     assert_eq!(squares, (1..2_000).map(|n: u64| n * n).sum());
///     Ok(())
/// }).unwrap();
/// ```
#[must_use = "an operation does nothing until it is waited for, started, or an arm of `select!`"]
pub fn compute<F, T>(f: F) -> Unblock<F>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    Unblock::computing(f)
}
