//! The soundness rules of the design, one module each: tests that fail when a rule is broken. MUTANTS.md says for each test which
//! change of the runtime makes it fail.

mod child;
mod rule_01_safe_code;
