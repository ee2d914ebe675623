//! Plain, blocking-looking functions as tasks: each on a stack of its own, thousands to a thread, on io_uring. No
//! `async`, no `.await`, no buffers to give away, no `Pin` in everyday code.
//!
//! ```no_run
//! use coop::{net, op};
//! use std::{io, time::Duration};
//!
//! /// Echoes until the peer hangs up or is silent for 30 s.
//! #[coop::task(stack = "64k")]
//! fn session(conn: net::TcpStream) -> io::Result<()> {
//!     let mut buf = [0; 4096];
//!     loop {
//!         let n = coop::select! {
//!             n = op::recv(&conn, &mut buf) => n?,
//!             _ = op::after(Duration::from_secs(30)) => return Ok(()),
//!         }?;                                   // Err(Killed) if this task was killed
//!         if n == 0 { return Ok(()); }
//!         conn.send_all(&buf[..n])?;            // methods block; op::send_all would make the operation
//!     }
//! }
//!
//! #[coop::main]
//! fn main() -> io::Result<()> {
//!     let listener = net::TcpListener::bind("127.0.0.1:7000")?;
//!     let ctrl_c = coop::signal::ctrl_c()?;
//!     loop {
//!         coop::select! {
//!             accepted = op::accept(&listener) => { session::spawn(accepted?.0); }
//!             _ = op::signal(&ctrl_c) => return Ok(()),     // the root returns: sessions are killed, then awaited
//!         }?;
//!     }
//! }
//! ```
//!
//! What that program rests on:
//!
//! * **A task is a function.** [`#[coop::task]`](macro@task) leaves `session(conn)` an ordinary call and adds
//!   `session::spawn(conn)`. Tasks form a tree: a task ends after its children, and a kill takes everything below it.
//!   [`scope`] and [`wait_all`] run children that borrow from their parent.
//! * **Waiting is a call.** `conn.recv(&mut buf)` switches to another task until the kernel has filled `buf`. The
//!   frame that lent the buffer cannot be left before the kernel has given it back, so it need not be owned by
//!   anybody. `TcpStream` is [`std::io::Read`] and [`std::io::Write`]: crates that are generic over those run
//!   unchanged.
//! * **[`select!`] loses nothing.** An arm that does not win has had no effect; what cannot promise that does not
//!   compile as an arm.
//! * **Kill reaches through other people's code.** Once a task is killed, every wait in it returns
//!   [`Err(Killed)`](Killed), whoever wrote the code between. [`timeout`], [`deadline`] and [`shield`] bound a region
//!   so, or hold kills off for a while.
//! * **You can look inside.** [`dump`] prints the tree: what each task waits for, since when, where, and its backtrace. So does gdb, of
//!   a live process or a core: `source coop/gdb/coop.py`, then `coop tasks`, `coop bt 5`, `help coop`. Programs with debug information
//!   carry that script; gdb loads it from those it trusts (`add-auto-load-safe-path target`).
//!
//! # Modules
//!
//! | module | what is in it |
//! |---|---|
//! | the crate itself | starting and ending: [`run`], [`Builder`], [`Driver`], [`macro@main`], [`macro@test`], [`exit`]; other threads: [`cooperators()`], [`Remote`], [`unblock`], [`compute`]; tasks: [`macro@task`], [`spawn`], [`scope`], [`wait_all`], [`join!`], [`JoinHandle`]; kill: [`Killed`], [`timeout`], [`deadline`], [`shield`], [`checkpoint`], [`yield_now`]; waiting: [`select!`], [`coordinate!`], [`Coordinator`], [`Handle`], [`block_on`]; looking: [`dump`], [`descriptions`] |
//! | [`op`] | every operation, as something to wait for, to start, or to select on |
//! | [`fs`] | files and directories |
//! | [`net`] | TCP, UDP and Unix sockets; names; descriptors passed, bytes spliced |
//! | [`io`] | what reads and writes have in common |
//! | [`time`] | sleeping, intervals, moments of the Cooperator's clock |
//! | [`signal`] | ctrl-c and other signals |
//! | [`process`] | child processes: started, fed, read, waited for |
//! | [`sync`] | waiting for one another: locks, permits, conditions, events, latches, barriers |
//! | [`chan`] | channels between tasks: bounded or not, rendezvous, oneshot, watch, broadcast; and between threads: passage |
//! | [`future`] | futures run by tasks, and tasks as futures |
//! | [`list`] | [`EmbeddedList`](list::EmbeddedList), the intrusive list that coop itself is built with |
//!
//! # The one thing that is up to you
//!
//! No safe program causes undefined behaviour, `mem::forget` and panics included, given one axiom that no library of
//! stackful tasks can check for you:
//!
//! > **No thread-local reference, thread-local initialiser or FFI callback frame stays open across a wait.**
//!
//! The tasks of a thread share its thread-locals. While one task waits inside `LOCAL.with(|value| …)`, another may
//! enter the same `with`; while one waits inside a thread-local's initialiser, another finds it half made; and while
//! one waits inside a callback that a C library has called, another may call that library, on whose idea of "the
//! thread's stack" it then tramples. Std and crates such as `scoped_tls` were written for threads that do not do
//! that. So: take a copy out of a thread-local, close it, then wait.
//!
//! Two things help to find where it was broken:
//!
//! * [`no_switch`] runs a closure in which a wait aborts the process, and prints the names and places of both. In release
//!   builds too: wrap it around what must not be left open.
//! * Debug builds sample waits, the first at each place of the source, the second, the fourth and so on. They walk the
//!   task's stack, and report on standard error, once for each place, a frame of `LocalKey::with`, of an initialiser of
//!   `thread_local!`, `OnceCell`, `OnceLock`, `LazyCell`, `LazyLock` or `Once`, or of `ScopedKey::set`, with the line
//!   that opened it. What C code keeps open they cannot see.
//!
//! # Limits
//!
//! * **Kill bounds waits, nothing else.** It does not end a loop that computes (call [`checkpoint`] in it), a call
//!   that blocks the thread, or a disk transfer that the kernel will not cancel. Code that swallows the error meets
//!   it again at its next wait; after 10,000 in a row the task is reported, once, with its backtrace.
//! * **What blocks the thread blocks all its tasks**: `std::thread::sleep`, `std::fs`, `std::net`, a
//!   `std::sync::Mutex` that another task holds across a wait (for ever, that one). `#[coop::task]` warns of the calls it can
//!   see; [`unblock`] makes such a call on another thread.
//! * **Scheduling is cooperative.** A task that never waits starves the other tasks of its thread. Tasks never move
//!   to another thread: to use more cores, run a Cooperator on each ([`Builder::cooperators`]), and reach it by its [`Remote`] or by a
//!   [`passage`](chan::passage()).
//! * **Stacks have a fixed size**: 256 KiB of address space unless said otherwise, four times that in debug builds;
//!   only touched pages cost memory. Running over the end is caught by a guard, reported with the task's name and the
//!   cure, and aborts the process.
//! * **[`std::process::exit`] in a task** would run C's exit handlers on the task's small stack: use [`exit`].
//! * **After `fork`** coop's calls fail in the child: it may only `exec` or `_exit`.
//! * **Linux on x86_64 so far.** io_uring of Linux 6.1 or newer is used where the kernel lets us; where it does not, as under
//!   Docker's default seccomp profile, epoll and threads do the same, and a line on standard error says what was refused and
//!   how to allow it. [`Driver`] says how to choose; what cannot start at all says why in a [`StartError`].

// Programs with debug information carry gdb's commands with them: `coop tasks`, `coop bt ID`.
#![debugger_visualizer(gdb_script_file = "../gdb/coop.py")]

// `#[coop::task]` writes `::coop`; this lets the crate's own tests and examples use it.
extern crate self as coop;

mod blocking;
mod buffers;
mod clock;
mod cooperator;
mod coordinator;
mod count;
mod debugger;
mod error;
mod fiber;
mod handle;
mod in_place;
mod inbox;
mod random;
mod ready;
mod ring;
mod runtime;
mod scheduler;
mod siblings;
mod stack;
mod switch;
mod sys;
mod task;
mod timers;
mod workers;

pub mod chan;
pub mod fs;
pub mod future;
pub mod inspect;
pub mod io;
pub mod list;
pub mod net;
pub mod op;
pub mod process;
pub mod signal;
pub mod sim;
pub mod sync;
pub mod time;

#[doc(hidden)]
#[path = "bench_support.rs"]
pub mod __bench;
#[doc(hidden)]
#[path = "private.rs"]
pub mod __private;

// Starting.
pub use coop_macros::{main, test};
pub use cooperator::{OrphanPanic, Stuck};
pub use runtime::{
    Builder, CooperatorThread, Cooperators, Driver, Remote, RemoteJoinHandle, StartError, cooperators, exit, per_core,
    remote, run,
};

// Tasks.
pub use coop_macros::task;
pub use error::{JoinError, TaskId};
pub use task::{
    JoinHandle, Scope, ScopedJoinHandle, TaskBuilder, TaskInfo, TryScope, current, scope, spawn, wait_all, yield_now,
};

// Kill.
pub use error::{Cause, Killed, TimedOut};
pub use task::{Expired, checkpoint, deadline, kill_cause, killed, no_switch, shield, timeout};

// Waiting.
pub use blocking::{compute, unblock};
pub use coordinator::Coordinator;
pub use future::block_on;
pub use handle::{Arm, Handle, Operation};
pub use sync::Acquired;
pub use time::sleep;

// Lists.
pub use list::EmbeddedEntry;

// Looking inside.
pub use inspect::dump;
pub use task::{Description, StackAdvice, Statistics, descriptions};

/// The program in the README compiles, too.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;

/// Waits for several operations at once, and runs the body of exactly one arm. The others have had no effect.
///
/// ```
/// use coop::{chan, net::UnixStream, op};
/// use std::{io, time::Duration};
///
/// fn next(conn: &UnixStream, commands: &chan::Receiver<&'static str>) -> io::Result<String> {
///     let mut buf = [0; 64];
///     let text = coop::select! {
///         n = op::recv(conn, &mut buf) => {
///             let n = n?;                                 // `?` leaves the function, as anywhere
///             format!("{n} bytes")
///         }
///         command = op::receive(commands) => format!("command {}", command?),
///         _ = op::after(Duration::from_secs(30)) => "silence".to_owned(),
///     }?;                                                 // Err(Killed) if the task was killed
///     Ok(text)
/// }
///
/// # coop::run(|| -> io::Result<()> {
/// let (ours, theirs) = UnixStream::pair()?;
/// let (tx, rx) = chan::bounded(1);
/// tx.try_send("stop").unwrap();
/// assert_eq!(next(&ours, &rx)?, "command stop");
/// theirs.send_all(b"hello")?;
/// assert_eq!(next(&ours, &rx)?, "5 bytes");
/// # Ok(())
/// # }).unwrap();
/// ```
///
/// A wait point (but for a `select!` with a `default` arm); kill-checked.
///
/// # Grammar
///
/// ```text
/// select! { [biased;] arm, arm, … }             no comma is needed after a body in braces
///
/// pattern = operation => body                   an operation of `coop::op`, or `&mut handle`
/// pattern = operation if condition => body      also with a comma: `operation, if condition`
/// pattern = operation else { … } => body        what to do when the pattern does not match
/// else => body                                  the same, for every arm without an `else` of its own
/// default => body                               when no arm is ready; does not wait. After all other arms
/// killed(cause) => body                         when the task is killed
/// complete => body                              when every arm is disabled
/// ```
///
/// Up to 64 operations. `biased`, `default`, `killed` and `complete` are words only where they stand as above;
/// elsewhere they are ordinary names.
///
/// # Value
///
/// `Result<T, Killed>`, where `T` is the type of the bodies; with a `killed` arm, `T`. A body is code of the function
/// around it: `return`, `?`, `break` and `continue` mean that function and its loops.
///
/// # Which arm
///
/// An arm that is ready when the `select!` begins, else the first that becomes ready. Among several that are ready
/// they take turns, so that none starves; with `biased;` first, the earliest in the text wins:
///
/// ```
/// # use coop::{chan, op};
/// # coop::run(|| -> Result<(), coop::Killed> {
/// let (urgent, urgent_jobs) = chan::bounded(2);
/// let (plain, plain_jobs) = chan::bounded(2);
/// plain.try_send("sweep").unwrap();
/// urgent.try_send("fire").unwrap();
/// let job = coop::select! {
///     biased;
///     job = op::receive(&urgent_jobs) => job,
///     job = op::receive(&plain_jobs) => job,
/// }?;
/// assert_eq!(job, Ok("fire"));
/// assert_eq!(plain_jobs.len(), 1, "the arm that lost has taken nothing");
/// # Ok(())
/// # }).unwrap();
/// ```
///
/// # Handles
///
/// `&mut handle` of a [`Handle`](crate::Handle), a [`JoinHandle`](crate::JoinHandle) or a
/// [`ScopedJoinHandle`](crate::ScopedJoinHandle) waits for its result. It stays in flight when another arm wins; once
/// its result was taken its arm is disabled.
///
/// ```
/// # use coop::op;
/// # use std::time::Duration;
/// # coop::run(|| -> Result<(), coop::Killed> {
/// let mut work = coop::spawn(|| coop::sleep(Duration::from_millis(5)).map(|()| "done"));
/// let mut ticks = 0;
/// let result = loop {
///     coop::select! {
///         result = &mut work => break result,
///         _ = op::after(Duration::from_millis(1)) => ticks += 1,
///     }?;
/// };
/// assert_eq!(result.unwrap()?, "done");
/// # let _: i32 = ticks;
/// # Ok(())
/// # }).unwrap();
/// ```
///
/// # Guards
///
/// `if condition` disables an arm. The conditions are tested first, all of them, in order; the operation of a
/// disabled arm is not even evaluated.
///
/// ```
/// # use coop::{chan, op};
/// # use std::time::Duration;
/// # coop::run(|| -> Result<(), coop::Killed> {
/// let (tx, rx) = chan::bounded(1);
/// let outbox = Vec::from(["first"]);
/// coop::select! {
///     permit = op::reserve(&tx) if !outbox.is_empty() => permit.unwrap().send(outbox[0]),
///     _ = op::after(Duration::from_secs(1)) => {}
/// }?;
/// assert_eq!(rx.try_recv(), Ok("first"));
/// # Ok(())
/// # }).unwrap();
/// ```
///
/// When every arm is disabled nothing could ever end the wait. `complete` says what to do then; without it the task
/// panics.
///
/// ```
/// # use coop::op;
/// # use std::time::Duration;
/// # coop::run(|| -> Result<(), coop::Killed> {
/// let (left, right) = (false, false);
/// let answer = coop::select! {
///     _ = op::after(Duration::from_secs(1)) if left => "left",
///     _ = op::after(Duration::from_secs(2)) if right => "right",
///     complete => "neither",
/// }?;
/// assert_eq!(answer, "neither");
/// # Ok(())
/// # }).unwrap();
/// ```
///
/// # Patterns that may not match
///
/// A pattern such as `Ok(n)` or `Some(x)` needs an `else`: one for the arm, or one for all. It runs instead of the
/// body: the operation has taken effect, and nothing waits again.
///
/// ```
/// # use coop::{chan, op};
/// # coop::run(|| -> Result<(), coop::Killed> {
/// let (tx, rx) = chan::bounded::<u32>(1);
/// let (tx2, rx2) = chan::bounded::<u32>(1);
/// drop(tx);
/// let n = coop::select! {
///     biased;
///     Ok(n) = op::receive(&rx) else { 0 } => n,
///     Ok(n) = op::receive(&rx2) => n,
///     else => panic!("the second channel is open"),
/// }?;
/// assert_eq!(n, 0, "the first channel is closed: `Err(Closed)`");
/// # drop(tx2);
/// # Ok(())
/// # }).unwrap();
/// ```
///
/// # Without waiting
///
/// With a `default` arm a `select!` is no wait point: when no arm is ready, that is its body. It does look at
/// completions that have come.
///
/// ```
/// # use coop::{chan, op};
/// # coop::run(|| -> Result<(), coop::Killed> {
/// let (_tx, rx) = chan::bounded::<u32>(1);
/// let next = coop::select! {
///     message = op::receive(&rx) => message.ok(),
///     default => None,
/// }?;
/// assert_eq!(next, None);
/// # Ok(())
/// # }).unwrap();
/// ```
///
/// # When the task is killed
///
/// Without more the value is `Err(Killed)`, and `?` carries it out. A `killed` arm says it here, and the value is
/// then the bodies' own:
///
/// ```
/// # use coop::op;
/// # use std::time::Duration;
/// # coop::run(|| {
/// let mut task = coop::spawn(|| {
///     coop::select! {
///         _ = op::after(Duration::from_secs(3600)) => "an hour has passed".to_owned(),
///         killed(killed) => format!("{}", matches!(killed.cause(), coop::Cause::Explicit(_))),
///     }
/// });
/// task.kill();
/// assert_eq!(task.join().unwrap(), "true");
/// # });
/// ```
///
/// # Expansion
///
/// A block of two parts. First one call of the runtime with every operation that is not disabled: it tries those that
/// may be ready, else waits for the first, makes its call, withdraws the others, and returns only when nothing
/// outside refers to them any more. So what the losers borrowed is free again before a body runs. Then one `match` on
/// what came of it, with the bodies as its arms, in no closure and no loop. What an arm's pattern does not bind (`_ =
/// op::lock(&mutex)`) is dropped after its body. What a guarded operation borrows must have a name: a temporary in it
/// lives only as long as the operation is being made.
///
/// # What does not compile
///
/// | mistake | say instead |
/// |---|---|
/// | no arm, or more than 64 | for many: tasks that send to one channel |
/// | a missing `=`, `=>`, body or `,` | `pattern = operation => body` |
/// | a finished call for an arm, `conn.recv(&mut buf)?` | its operation, `op::recv(&conn, &mut buf)` |
/// | a Handle by value | `&mut handle`, which can be used again if the arm loses |
/// | an operation that can be half done, `op::send_all(…)` | start it, `let mut h = s.start(op::send_all(…))`, and wait for `&mut h` |
/// | a pattern that may not match, without `else` | `else { … }` after the operation, or `else => …` |
/// | an `else` that can never run | nothing; for the case that all arms are disabled, `complete => …` |
/// | two `default`, `killed`, `complete` or `else` | one of them |
/// | an arm after `default` | `default` last |
/// | `let` in a guard | `matches!(…)`, and unwrap in the operation |
/// | one buffer lent to two arms | a buffer each |
/// | bodies of different types | one type |
/// | `.await` | the operation itself |
///
/// All mistakes of syntax in one `select!` are reported together.
///
/// # Panics
///
/// When every arm is disabled and there is neither a `complete` nor a `default` arm; and on a thread without a
/// Cooperator.
#[macro_export]
macro_rules! select {
    ($($arms:tt)*) => { $crate::__private::select_impl! { [$crate] $($arms)* } };
}

/// Waits for several [`Coordinator`]s at once, and acquires exactly one.
///
/// ```
/// use coop::Coordinator;
/// coop::run(|| -> Result<(), coop::Killed> {
///     let (readable, closed) = (Coordinator::held(), Coordinator::held());
///     coop::wait_all(|s| {
///         let mut reader = s.spawn(|| coop::coordinate!(&readable, &closed).map(|acquired| acquired.index()));
///         closed.release();
///         assert_eq!(reader.join().unwrap(), Ok(1), "the second of the two");
///     });
///     Ok(())
/// }).unwrap();
/// ```
///
/// What Handles, channels and locks are built with; most programs need only those. A wait point if none of them is
/// free; kill-checked.
///
/// # Grammar
///
/// ```text
/// coordinate!(&a, &b, …)                        at least one reference to a Coordinator
/// coordinate!(&a, &b, …, timeout = duration)    at most one timeout; it may stand anywhere
/// ```
///
/// # Value
///
/// `Result<Acquired<'_>, Killed>`. [`Acquired`] says by [`index`](Acquired::index) which of the arguments it is, and
/// releases it when dropped, or keeps it held with [`keep`](Acquired::keep). When several are free, the first in
/// argument order is acquired; who waits is served first come, first served, at each of them.
///
/// With a timeout it is `Result<Option<Acquired<'_>>, Killed>`, where `None` says that the time was up:
///
/// ```
/// # use coop::Coordinator;
/// # use std::time::Duration;
/// # coop::run(|| -> Result<(), coop::Killed> {
/// let never = Coordinator::held();
/// let acquired = coop::coordinate!(&never, timeout = Duration::from_millis(2))?;
/// assert!(acquired.is_none());
/// # Ok(())
/// # }).unwrap();
/// ```
///
/// # Expansion
///
/// One call of the runtime with an array of the references, and a `match` that makes the `Result`. The waiter's
/// entries live in that call's frame: nothing is allocated.
///
/// # What does not compile
///
/// | mistake | say instead |
/// |---|---|
/// | nothing to wait for | `coordinate!(&a, &b)` |
/// | what is no reference to a Coordinator | `&coordinator` |
/// | `timeout` twice, without a value, or a number | `timeout = Duration::from_secs(5)` |
/// | another option | `timeout` is the only one |
/// | `.await` | coop's blocking call |
///
/// # Panics
///
/// On a thread without a Cooperator.
#[macro_export]
macro_rules! coordinate {
    ($($operands:tt)*) => { $crate::__private::coordinate_impl! { [$crate] $($operands)* } };
}

/// Runs several expressions at once, each as a child of the current task, and gives their values as a tuple.
///
/// ```
/// use std::time::Duration;
/// fn slowly(text: &str) -> Result<usize, coop::Killed> {
///     coop::sleep(Duration::from_millis(1))?;
///     Ok(text.len())
/// }
///
/// coop::run(|| -> Result<(), coop::Killed> {
///     let name = String::from("coop");
///     let (short, long) = coop::join!(slowly(&name), slowly("cooperator"))?;
///     assert_eq!((short?, long?), (4, 10));
///     Ok(())
/// }).unwrap();
/// ```
///
/// A wait point; kill-checked when it begins. After that it returns when all children have ended: a kill of the task
/// kills them too, so they end soon, and what they returned is still given.
///
/// # Grammar
///
/// `join!(expression, expression, …)`: one to twelve. Each may borrow the variables around it. `return` and `?` in an
/// expression end that expression, not the function around it.
///
/// # Value
///
/// `Result<(A, B, …), Killed>`. It is `Err` only when the task was killed before it began, so that no expression has
/// run. The values themselves are given as they are: a `Result` among them is not looked into. For "the first error
/// kills the others", use [`scope`] with [`try_spawn`](TryScope::try_spawn).
///
/// # Expansion
///
/// One call of the runtime with a tuple of closures, one for each expression, which it spawns in a scope like
/// [`wait_all`]'s.
///
/// # What does not compile
///
/// No expression, more than twelve, `.await`; and what the borrow checker has against two closures that run at once,
/// such as one variable borrowed mutably by both.
///
/// # Panics
///
/// With the first panic among the expressions, when the others have been killed and have ended; and on a thread
/// without a Cooperator.
#[macro_export]
macro_rules! join {
    ($($operands:tt)*) => { $crate::__private::join_impl! { [$crate] $($operands)* } };
}
