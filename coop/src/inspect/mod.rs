//! Looking inside: the tree of tasks, what each waits for, and where.

mod census;
mod dump;
#[cfg(debug_assertions)]
mod open_frames;

pub use census::{Census, census, tasks};
pub use dump::dump;
pub(crate) use dump::{describe_overflow, tree_of};
#[cfg(debug_assertions)]
pub(crate) use open_frames::look;
