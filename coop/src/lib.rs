//! coop
#![allow(dead_code, missing_docs)]
extern crate self as coop;
mod clock;
mod coordinator;
mod error;
mod fiber;
pub mod list;
mod random;
mod ring;
mod scheduler;
mod stack;
mod switch;
mod sys;
mod timers;
pub use coordinator::Coordinator;
pub use error::*;
