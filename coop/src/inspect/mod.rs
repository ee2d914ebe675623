//! Looking inside: the tree of tasks, what each waits for, and where.

mod census;
mod dump;

pub use census::{Census, census, tasks};
pub use dump::dump;
pub(crate) use dump::{describe_overflow, tree_of};
