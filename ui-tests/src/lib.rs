//! What must not compile, and what is said then: see `tests/ui.rs`.
