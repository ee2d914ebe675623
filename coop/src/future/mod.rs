//! Futures, both ways: run by tasks, and made of what blocks a task.
//!
//! Coop's own functions need no futures. Libraries that are written with them run on coop all the same:
//!
//! | from | to | by |
//! |---|---|---|
//! | a future | a call that blocks the task | [`block_on`] |
//! | a future | a task | [`Executor`], and from other threads [`Remote::spawn_future`](crate::Remote::spawn_future) |
//! | a call that blocks, `\|\| conn.recv_exact(…)` | a future | [`in_task`] |
//! | a stream, a pipe | its non-blocking form | [`Async`], with the features `futures-io` and `hyper` also as their traits |
//! | a duration | a future | [`sleep`](sleep()), with the feature `hyper` also as its `Timer` |
//!
//! An arm of [`select!`](crate::select) is made of a future by spawning it: `let mut task = s.spawn(|| block_on(future))`, and
//! then `&mut task`. The future goes on when another arm wins.
//!
//! ```
//! use coop::{block_on, op};
//! use std::time::Duration;
//! coop::run(|| -> Result<(), coop::Killed> {
//!     let (tx, rx) = async_channel::bounded(1);
//!     let mut ticks = 0;
//!     coop::scope(|s| -> Result<(), coop::Killed> {
//!         let mut message = s.spawn(|| block_on(rx.recv()));
//!         let text = loop {
//!             coop::select! {
//!                 text = &mut message => break text.unwrap()?.unwrap(),
//!                 _ = op::after(Duration::from_millis(1)) => {
//!                     ticks += 1;
//!                     if ticks == 3 { tx.try_send("third time").unwrap(); }
//!                 }
//!             }?;
//!         };
//!         assert_eq!(text, "third time");
//!         Ok(())
//!     })
//! }).unwrap();
//! ```

mod block_on;
mod executor;
#[cfg(feature = "futures-io")]
mod futures_io;
#[cfg(feature = "hyper")]
mod hyper;
mod outside;
mod sleep;
mod stream;
mod task;
mod waker;

pub use block_on::block_on;
pub use executor::Executor;
#[cfg(feature = "hyper")]
pub use hyper::Timer;
pub use sleep::{Sleep, sleep};
pub use stream::Async;
pub use task::{TaskFuture, in_task};
