//! Looking inside: the tree of tasks, what each waits for, and where.

mod dump;

pub use dump::dump;
pub(crate) use dump::{describe_overflow, tree_of};
