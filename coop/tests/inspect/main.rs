//! The inside view: what it shows is so, and looking changes nothing.
//!
//! Counters and signals are the process's, and tests run side by side: what counts a whole process, or signals it, is a child's work.

mod child;
mod dump;
mod metrics;
mod page;
mod sigquit;
mod stacks;
mod timeline;
mod watchdog;
