//! Looking inside: what the tasks do, what they have cost, and who holds up the others. Nothing here changes anything.
//!
//! | to see | use |
//! |---|---|
//! | the tree of tasks, what each waits for, since when and where, with backtraces | [`dump`](crate::dump); on SIGQUIT: [`Builder::dump_on_sigquit`](crate::Builder::dump_on_sigquit), or `COOP_DUMP=sigquit` in the environment |
//! | counters of Cooperators, rings and kinds of tasks | [`metrics`], also in the text format of Prometheus |
//! | whether stacks are large enough, or too large | [`Builder::measure_stacks`](crate::Builder::measure_stacks), [`Statistics::stack_advice`](crate::Statistics::stack_advice) |
//! | a task that computes or blocks for too long, with its backtrace | [`Builder::watchdog`](crate::Builder::watchdog), or `COOP_WATCHDOG=100ms` in the environment |
//! | a task that waits for too long | [`Builder::report_waits_longer_than`](crate::Builder::report_waits_longer_than) |
//! | what ran when, for Perfetto and Chrome | [`Timeline`] |
//! | all of it in a browser | [`serve`] |
//!
//! That no task can run and nothing can wake one, a deadlock, is reported with the tree without being asked for.

mod answer;
mod backtrace;
pub(crate) mod census;
mod chrome;
mod dump;
mod interrupt;
mod metrics;
#[cfg(debug_assertions)]
mod open_frames;
mod page;
mod picture;
mod prometheus;
mod roll;
mod serve;
mod text;
mod timeline;
mod watch;

pub use dump::dump;
pub use metrics::{CooperatorMetrics, Metrics, RingMetrics, metrics};
pub use serve::{StatusPage, serve};
pub use timeline::{AlreadyRecording, Timeline, Trace};
pub use watch::Stall;

pub(crate) use answer::answer;
pub(crate) use dump::{describe_overflow, tree_of};
#[cfg(debug_assertions)]
pub(crate) use open_frames::look;
pub(crate) use roll::enroll;
pub(crate) use watch::{StallHook, Watch};
