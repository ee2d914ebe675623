//! Operations: inert descriptions of something to wait for, and their life in flight.
//!
//! ```text
//!                 .wait()                                  select!
//!   operation ───────────────▶ flight on the caller's  ◀──────────── operation as an arm
//!   (inert)                    frame, until settled
//!       │ s.start(…)
//!       ▼
//!   Handle ──────────────────▶ flight in a box that the scope knows
//!       │   take by wait(), or as `&mut handle` in select!
//!       │   drop: cancel, wait for the last completion, free
//!       └── forget: the scope does that when it ends
//! ```
//!
//! A *flight* is whatever must stay at its address until nobody outside refers to it: the kernel, a timer wheel, a queue.

mod arm;
mod flight;
mod in_flight;
mod joined;
mod narrow;
mod polled;
mod queued;
mod select;
mod started;

pub use arm::{Arm, CalledOperand, Operand, Operation};
pub use select::{ArmList, Cons, Never, Nil, Out, SelectMode, Selected, all_arms_disabled, select};
pub use started::Handle;

pub(crate) use arm::{Readiness, Sealed};
pub(crate) use flight::Flight;
pub(crate) use in_flight::{Awaited, InFlight, drain, perform};
pub(crate) use narrow::Narrow;
pub(crate) use polled::{Blocking, Pollable, Polled, PolledFlight, call_when_ready, wait_ready};
pub(crate) use queued::{Queued, Source};
