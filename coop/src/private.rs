//! What the macros and this crate's own tests name, and nothing else. Not part of the API: it may change in any release.

pub use crate::coordinator::Coordinator;
pub use crate::error::Killed;
pub use crate::handle::{
    ArmList, CalledOperand, Cons, Never, Nil, Operand, Out, SelectMode, Selected, all_arms_disabled, select,
};
pub use crate::inspect::census::{Census, census, tasks};
pub use crate::list::EmbeddedEntry;
pub use crate::ring::{Fault, Faults, Moment};
pub use crate::runtime::{MainOptions, Remote, RemoteJoinHandle, SpareStacks, TestOptions, main, submit, test};
pub use crate::sync::{Acquired, Coordination, coordinate};
pub use crate::task::{
    Description, Join, JoinHandle, Options, Scope, ScopedJoinHandle, join, spawn_described as spawn,
    spawn_in_scope as spawn_in,
};
pub use coop_macros::{coordinate_impl, join_impl, select_impl};
