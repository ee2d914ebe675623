//! coop
#![allow(dead_code, missing_docs)]
extern crate self as coop;
pub mod chan;
mod clock;
mod cooperator;
mod coordinator;
mod error;
mod fiber;
mod handle;
mod inspect;
mod inbox;
pub mod io;
pub mod list;
pub mod net;
pub mod op;
#[doc(hidden)]
#[path = "private.rs"]
pub mod __private;
mod random;
mod ring;
mod runtime;
mod scheduler;
pub mod signal;
mod stack;
mod switch;
pub mod sync;
mod sys;
mod task;
pub mod time;
mod timers;
pub use coordinator::Coordinator;
pub use cooperator::{OrphanPanic, Stuck};
pub use error::{Cause, JoinError, Killed, TaskId, TimedOut};
pub use handle::{Arm, Handle, Operation};
pub use inspect::dump;
pub use runtime::{Builder, Remote, RemoteJoinHandle, StartError, remote, run};
pub use sync::Acquired;
pub use time::sleep;
pub use task::{
    Description, Expired, JoinHandle, Scope, ScopedJoinHandle, Statistics, TaskBuilder, TaskInfo, TryScope, checkpoint,
    current, deadline, descriptions, kill_cause, killed, no_switch, scope, shield, spawn, timeout, wait_all, yield_now,
};

pub use coop_macros::{main, task, test};

/// select
#[macro_export]
macro_rules! select { ($($arms:tt)*) => { $crate::__private::select_impl! { [$crate] $($arms)* } } }
/// coordinate
#[macro_export]
macro_rules! coordinate { ($($operands:tt)*) => { $crate::__private::coordinate_impl! { [$crate] $($operands)* } } }
/// join
#[macro_export]
macro_rules! join { ($($operands:tt)*) => { $crate::__private::join_impl! { [$crate] $($operands)* } } }
