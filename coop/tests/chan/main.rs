//! Channels: one file a kind, each a set of stories; `any` for what holds for all; `races` holds the arms to their promise of
//! losing nothing.

mod any;
mod bounded;
mod broadcast;
mod oneshot;
#[path = "../sync/race.rs"]
mod race;
mod races;
mod rendezvous;
#[path = "../sync/trace.rs"]
mod trace;
mod unbounded;
mod watch;
