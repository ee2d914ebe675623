//! Locks, permits and the things that come to pass: one file a noun, each a set of stories; `races` holds the arms to their
//! promise of losing nothing.

mod barrier;
mod condvar;
mod event;
mod latch;
mod mutex;
mod notify;
mod once_cell;
mod outside;
mod queues;
mod race;
mod races;
mod rwlock;
mod semaphore;
mod trace;
