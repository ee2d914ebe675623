//! Nonsense from outside, by the thousand: what the environment says, and completions that nobody has asked for, sent to the ring
//! of a Cooperator at work. The parsers that are no part of the API are tried where they stand: addresses in `net::resolve`, the
//! completions' way to their operations in `ring::slots`, the macros' sizes in `coop-macros`, the examples' protocols in
//! `examples/tests/fuzz`. All replay a corpus, in directories beside this, and then mutate it: see `generate.rs`.

#[path = "../soundness/child.rs"]
#[allow(dead_code)]
mod child;
mod environment;
mod forged;
mod generate;
