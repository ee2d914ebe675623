//! The macros against the real runtime: everything that their grammars allow, and what it does.
//!
//! What must *not* compile is tested in `ui-tests`, what the macros write in `coop-macros`.

mod child;
mod control_flow;
mod coordinate_and_join;
mod entry;
mod grammar;
mod hygiene;
mod names;
mod statistics;
mod system_calls;
mod task;
mod test_attribute;
mod user_crates;
mod zero_cost;
