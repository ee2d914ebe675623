//! Stacks: where tasks keep their frames. Made in size classes, guarded always, reused, and watched for overflow.
//!
//! ```text
//!   slab (one mapping)
//!   ┌───────┬───────────────┬───────┬───────────────┬───────┬──────────
//!   │ guard │ stack 0       │ guard │ stack 1       │ guard │ …
//!   │ 64 KiB│ ◀── grows ── ▲│       │              ▲│       │
//!   └───────┴──────────────┴┴───────┴──────────────┴┴───────┴──────────
//!                          └ the task's own record, its closure, then its frames
//! ```

mod guard;
pub(crate) mod overflow;
mod pool;
mod touched;

pub(crate) use pool::{NO_CLASS, Pool, Stack, class_of};

const PAGE: usize = 4096;

/// The usable size of a stack for which nobody said anything: 256 KiB of address space, of which only touched pages cost.
pub(crate) const DEFAULT_SIZE: usize = 256 * 1024;

/// The smallest stack. A panic with a backtrace takes 22 KiB.
pub(crate) const MINIMUM_SIZE: usize = 32 * 1024;

/// What a stack size stands for in this build: unoptimised frames are up to four times as large.
pub(crate) const fn scaled(size: usize) -> usize {
    // Frames that AddressSanitizer watches have margins around what is in them.
    let factor = if cfg!(any(asan, tsan)) { 16 } else { 4 };
    if cfg!(debug_assertions) { size.saturating_mul(factor) } else { size }
}
