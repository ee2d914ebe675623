//! The soundness rules of the design, one module each: tests that fail when a rule is broken. MUTANTS.md says for each rule which
//! change of the runtime makes which test fail.

mod child;
mod random;
mod trace;

mod escapes;
mod rule_01;
mod rule_02_buffers;
mod rule_03_completions;
mod rule_04_threads;
mod rule_05_unwinding;
mod rule_06_panics;
mod rule_07_stacks;
mod rule_08_kill;
mod rule_09_descriptors;
mod rule_10_shutdown;
mod rule_12_no_cooperator;
mod rule_13_frames;
