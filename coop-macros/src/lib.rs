//! The macros of [coop](https://docs.rs/coop), which re-exports them: use them from there.
//!
//! | macro | in coop | what it makes |
//! |---|---|---|
//! | [`macro@task`] | `#[coop::task]` | a function that can be spawned |
//! | [`macro@main`] | `#[coop::main]` | a `main` that runs as the root task |
//! | [`macro@test`] | `#[coop::test]` | a test in Cooperators of its own, with virtual time and seeded schedules |
//! | [`macro@EmbeddedEntry`] | `#[derive(coop::EmbeddedEntry)]` | a struct that can be linked into an `EmbeddedList` |
//! | [`select_impl!`] | `coop::select!` | a wait on several operations, of which exactly one takes effect |
//! | [`coordinate_impl!`] | `coop::coordinate!` | a wait on several Coordinators, of which exactly one is acquired |
//! | [`join_impl!`] | `coop::join!` | several expressions run as tasks, and a tuple of their results |
//!
//! The last three are called through `macro_rules!` wrappers in coop, whose pages describe them. The wrappers put `[$crate]`
//! before the user's tokens, so that an expansion finds the crate under whatever name it has. The attributes and the derive
//! expect it as `::coop`, unless `crate = path` says otherwise.
//!
//! # How a macro works
//!
//! Each is a directory of three steps. `parse` reads the tokens, and after a mistake goes on with the next option or arm.
//! `check` says everything that is wrong with what was read. `expand` writes the code. All mistakes of one invocation are
//! reported together, on the user's own tokens: one line of what is wrong, one of help. The texts are in `messages`. After a
//! mistake the expansion still has the right shape and keeps the user's expressions, so that other code does not break and an
//! editor goes on completing.
//!
//! Expansions name only `coop::__private` (its items are listed in `names`) and `::core`: whatever the user's code calls
//! `Ok`, `Some` or `std` is no concern of theirs. Variables they introduce are hygienic.
//!
//! # How they are tested
//!
//! Next to each macro are tests of its messages, and of its expansions against golden files in `tests/snapshots`.
//! `coop/tests/macros` runs every form of their grammars on the real runtime; `ui-tests` shows what the compiler says of each
//! mistake; `benches/compile-time.sh` compares what they cost to compile with tokio's.
#![cfg_attr(canary, doc = "[`there_is_no_such_thing`]")]
// `main` is named after its macro, like the others.
#![allow(special_module_name)]

mod coordinate;
mod diagnostics;
mod entry;
mod function;
mod join;
mod main;
mod messages;
mod names;
mod options;
mod select;
#[cfg(test)]
mod snapshots;
mod spelling;
mod task;
mod test;
mod walk;

use proc_macro::TokenStream;

/// Makes a function a task: it can be spawned, and still be called.
///
/// ```
/// use coop::net::UnixStream;
/// use std::io;
///
/// /// Echoes until the peer hangs up; gives how much that was.
/// #[coop::task(stack = "64k")]
/// fn session(conn: UnixStream) -> io::Result<usize> {
///     let (mut buf, mut total) = ([0; 4096], 0);
///     loop {
///         let n = conn.recv(&mut buf)?;
///         if n == 0 {
///             return Ok(total);
///         }
///         conn.send_all(&buf[..n])?;
///         total += n;
///     }
/// }
///
/// # fn main() -> io::Result<()> { coop::run(|| {
/// let (ours, theirs) = UnixStream::pair()?;
/// let mut task = session::spawn(theirs);
/// ours.send_all(b"hello")?;
/// ours.shutdown(std::net::Shutdown::Write)?;
/// assert_eq!(task.join()??, 5);
/// # Ok(()) }) }
/// ```
///
/// # Grammar
///
/// ```text
/// #[coop::task]
/// #[coop::task(option, …)]            name = "…" · stack = "…" · as = name · crate = path · LEVEL(blocking)
/// visibility fn name<generics>(pattern: Type, …) -> Type where … { … }
/// ```
///
/// Any free function: with generic parameters of every kind, `where` clauses, `impl Trait` for arguments and result, patterns
/// for arguments; in a module or in the body of another function; spawning itself. `cfg` attributes, and the lints that it
/// allows, hold for everything that is generated beside it.
///
/// # The ways to start it
///
/// ```
/// use std::fmt::Display;
///
/// #[coop::task]
/// fn greet(name: impl Display) -> String {
///     format!("{} greets {name}", coop::current().name())
/// }
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> { coop::run(|| {
/// // Called, it is an ordinary function of the task that calls it.
/// assert_eq!(greet("Ann"), "root greets Ann");
///
/// // Spawned, it is a child of the current task.
/// assert_eq!(greet::spawn("Ann").join()?, "greet greets Ann");
///
/// // Spawned in a scope, an argument whose type is a parameter may borrow what outlives the scope.
/// let name = String::from("Ann");
/// coop::wait_all(|s| {
///     assert_eq!(greet::spawn_in(s, &name).join().unwrap(), "greet greets Ann");
/// });
///
/// // Submitted, from whatever thread, it runs on the thread of the Cooperator that the `Remote` leads to. If that has
/// // finished, the arguments come back.
/// let remote = coop::remote()?;
/// match greet::submit(&remote, "Ann") {
///     Ok(mut task) => assert_eq!(task.join()?, "greet greets Ann"),
///     Err((name,)) => println!("nobody is left to greet {name}"),
/// }
///
/// // By a builder, each of these, with a name, a stack or as a daemon of its own.
/// let mut task = greet::builder().name("host").stack(128 << 10).daemon().spawn("Ann");
/// assert_eq!(task.join()?, "host greets Ann");
/// # Ok(()) }) }
/// ```
///
/// # Expansion
///
/// The function stays as it is. Beside it, in the namespace of types, comes a hidden empty enum of the same name and
/// visibility, with these associated functions, each of which takes the function's own arguments and generic parameters:
///
/// * `spawn(args) -> JoinHandle<R>`; what the arguments and the result are made of must be `'static`.
/// * `spawn_in(&scope, args) -> ScopedJoinHandle<R>`; type parameters may borrow what outlives the scope.
/// * `submit(&remote, args) -> Result<RemoteJoinHandle<R>, (args,)>`; arguments and result must be `Send`, and that is asked
///   where it is called, not where the task is written. Each `impl Trait` argument counts as one more type parameter here.
///   There is no `submit` when the function returns an `impl Trait` that does not name `Send` among its bounds.
/// * `builder()`: `name`, `stack` (bytes) and `daemon`, then `spawn`, `spawn_in` or `submit`.
///
/// None of them is a wait point: the child is queued. One `use` imports the function and the enum, under a new name too. The
/// task runs a call of the function, and the function alone takes patterns apart. One that returns `!` is spawned as one that
/// returns `Infallible`.
///
/// A static description (name, file, line, stack) counts what becomes of its tasks; `coop::descriptions()` reads it:
///
/// ```
/// #[coop::task]
/// fn fail() {
///     panic!("as it must");
/// }
///
/// coop::run(|| assert!(fail::spawn().join().is_err()));
/// let counted = coop::descriptions().into_iter().find(|task| task.name == "fail").unwrap();
/// assert_eq!((counted.spawned, counted.live, counted.panicked, counted.killed), (1, 0, 1, 0));
/// ```
///
/// # Options
///
/// | option | meaning |
/// |---|---|
/// | `name = "…"` | what dumps, reports and `current().name()` call it; the function's name by default |
/// | `stack = "64k"` | the stack's size in a release build, with `k` or `m`, or as a number of bytes; at least 32k; under debug assertions it is four times that. The Cooperator's default, 256k, unless given |
/// | `as = other` | the enum's name, where a module or a crate has the function's |
/// | `crate = path` | where coop is, when not at `::coop` |
/// | `allow(blocking)`, `warn(blocking)`, `deny(blocking)` | what becomes of calls of `std` that block the thread, such as `std::thread::sleep`; a warning by default |
///
/// ```
/// # use std::time::Duration;
/// use coop as runtime;
///
/// mod echo {
///     pub const GREETING: &str = "hello";
/// }
///
/// #[coop::task(as = echo_task, name = "echo", stack = "128k")]
/// fn echo(text: String) -> String {
///     format!("{}, {text}", echo::GREETING)
/// }
///
/// #[runtime::task(crate = runtime, allow(blocking))]
/// fn measure() {
///     std::thread::sleep(Duration::from_millis(1));       // stops every task of the thread, on purpose
/// }
///
/// # fn main() -> Result<(), runtime::JoinError> { runtime::run(|| {
/// assert_eq!(echo_task::spawn("you".to_owned()).join()?, "hello, you");
/// measure::spawn().join()?;
/// # Ok(()) }) }
/// ```
///
/// # What does not compile
///
/// | mistake | say instead |
/// |---|---|
/// | an `async fn`, and `.await` in the body | an ordinary function: coop's calls wait by themselves |
/// | a `const fn`, an `extern` or `unsafe` function, variable arguments | an ordinary function that calls it |
/// | a method or an associated function | `coop::spawn(move \|\| value.method())` |
/// | a function in a trait; what is no function | |
/// | an argument that shows that it borrows, `&str` or `Ref<'_, T>`: the task may outlive what it borrows from | own it, or spawn a closure in a scope, `s.spawn(\|\| f(&text))` |
/// | an argument under a `cfg` | two functions |
/// | `loop {}`, which would never give way | `loop { coop::sleep(Duration::MAX)?; }` |
/// | an option that is unknown, given twice, or has a value of the wrong type | the message names the nearest |
/// | a stack below 32k | |
/// | `submit` with what is not `Send` | |
///
/// Code in closures, `async` blocks and nested items is left alone, and what a hidden lifetime borrows (`Ref<T>`) is found by
/// the borrow checker. So is what a parameter borrows, where the task is spawned:
///
/// ```compile_fail,E0597
/// #[coop::task]
/// fn show<T: std::fmt::Display>(value: T) -> String {
///     value.to_string()
/// }
///
/// coop::run(|| {
///     let text = String::from("gone before the task has ended");
///     show::spawn(&text);
/// });
/// ```
#[proc_macro_attribute]
pub fn task(options: TokenStream, item: TokenStream) -> TokenStream {
    task::expand(options.into(), item.into()).into()
}

/// Runs the body of `main` as the root task of a Cooperator.
///
/// ```
/// use std::{io, time::Duration};
///
/// #[coop::main]
/// fn main() -> io::Result<()> {
///     coop::spawn(|| coop::sleep(Duration::MAX));     // killed when `main` returns
///     coop::sleep(Duration::from_millis(1))?;
///     println!("{} is task {}", coop::current().name(), coop::current().id());
///     Ok(())
/// }
/// ```
///
/// # Grammar
///
/// ```text
/// #[coop::main]
/// #[coop::main(option, …)]            cooperators = N · cooperators = "per-core" · stack = "…" · crate = path
/// fn main() -> Type { … }
/// ```
///
/// The result is what `main` may return: `()`, a `Result`, an `ExitCode`. The function may have any name.
///
/// # Expansion
///
/// The function keeps its signature; its body becomes a closure that the runtime runs, and whose result it returns. When the
/// body returns, what is left of its children is killed and awaited. A panic goes on when that is done. If the Cooperator
/// cannot start, the program says why, and what to do, and exits with 1.
///
/// For other settings of the Cooperator, use `coop::Builder` in an ordinary `main`.
///
/// # Options
///
/// | option | meaning |
/// |---|---|
/// | `cooperators = 4`, `cooperators = "per-core"` | how many Cooperators the program has, each on a thread of its own: one, unless given. The body runs on the first; `coop::cooperators()` leads to all of them. When it returns, the tasks of all are killed and awaited |
/// | `stack = "4m"` | the size of the root task's stack, as for `#[coop::task]`; 2m unless given |
/// | `crate = path` | where coop is, when not at `::coop` |
///
/// ```
/// use coop as runtime;
///
/// #[runtime::main(stack = "4m", crate = runtime)]
/// fn main() {
///     let large = [0_u8; 1 << 20];
///     assert_eq!(std::hint::black_box(large).len(), 1 << 20);
/// }
/// ```
///
/// ```
/// #[coop::main(cooperators = 2)]
/// fn main() -> Result<(), coop::JoinError> {
///     let tasks = coop::cooperators().iter().filter_map(|remote| remote.submit(|| std::thread::current().id()).ok()).collect::<Vec<_>>();
///     let threads = tasks.into_iter().map(|mut task| task.join()).collect::<Result<Vec<_>, _>>()?;
///     assert_ne!(threads[0], threads[1]);
///     Ok(())
/// }
/// ```
///
/// # What does not compile
///
/// | mistake | say instead |
/// |---|---|
/// | an `async fn`, and `.await` in the body | an ordinary function: coop's calls wait by themselves |
/// | a `const fn`, an `extern` or `unsafe` function | an ordinary function |
/// | arguments | `std::env::args()` in the body |
/// | generic parameters | |
/// | an option that is unknown, given twice, or has a value of the wrong type; a stack below 32k | the message names the nearest |
#[proc_macro_attribute]
pub fn main(options: TokenStream, item: TokenStream) -> TokenStream {
    main::expand(options.into(), item.into()).into()
}

/// Makes a function a test that runs in a Cooperator of its own, with virtual time and, if asked for, under many schedules.
///
/// ```test_harness
/// use coop::chan;
/// use std::time::Duration;
///
/// #[coop::test]
/// fn patience_costs_nothing() -> Result<(), coop::Killed> {
///     coop::sleep(Duration::from_secs(24 * 3600))
/// }
///
/// #[coop::test(schedules = 50)]
/// fn both_messages_arrive_whoever_is_first() {
///     let (tx, rx) = chan::bounded(2);
///     coop::wait_all(|s| {
///         s.spawn(|| tx.send("a"));
///         s.spawn(|| tx.send("b"));
///     });
///     let mut both = [rx.recv().unwrap(), rx.recv().unwrap()];
///     both.sort();
///     assert_eq!(both, ["a", "b"]);
/// }
/// ```
///
/// # Grammar
///
/// ```text
/// #[coop::test]
/// #[coop::test(option, …)]            seed = number · schedules = number · real_time · stack = "…" · crate = path
/// fn name() -> Type { … }
/// ```
///
/// The result is what a test may return: `()`, a `Result`, an `ExitCode`. `#[should_panic]` and `#[ignore]` stand beside it as
/// beside `#[test]`, and it runs under whatever runs tests.
///
/// # Time
///
/// is virtual: it stands still while a task can run, or something may still come through the kernel, and then jumps to the
/// next timer. A test that sleeps for a day is over at once, and what times out first does so on every machine. With
/// `real_time` it is the clock's.
///
/// # Schedules
///
/// Ready tasks run in the order in which they became ready, always the same. With a `seed`, chance decides which of them is
/// next, which ready arm of a `select!` wins, and when the runtime looks at what has come; the same seed decides the same way.
/// With `schedules` a test runs so many times, each with the next seed. The first failure prints the command that replays it:
///
/// ```text
/// schedule 17 of 100 has failed. To see it again:
///     COOP_SEED=1764930211034 cargo test -p mine tests::the_first_message_wins -- --exact
/// ```
///
/// (under nextest, its command). With `COOP_SEED` in the environment a test runs once, with that seed, whatever its options
/// say. What comes from outside (the kernel, another thread, a real clock) comes when it comes, whatever the seed.
///
/// # When it fails
///
/// * The body panics, or returns an `Err` or an `ExitCode` that is no success.
/// * A deadlock: no task can run and nothing can wake one. The panic says `deadlock`, with the tree of tasks: what each waits
///   for, and where.
/// * A child has panicked, before the body has returned, and neither a join nor a scope has heard of it.
///
/// ```test_harness
/// #[coop::test]
/// #[should_panic(expected = "deadlock: no task can run")]
/// fn whom_nobody_wakes() {
///     let door = coop::Coordinator::held();
///     let _ = coop::coordinate!(&door);
/// }
/// ```
///
/// # Expansion
///
/// A `#[test]` function that hands its body to the runtime as a closure, which is called once for each schedule.
///
/// # Options
///
/// | option | meaning |
/// |---|---|
/// | `seed = 7` | chance decides, by this seed |
/// | `schedules = 100` | how many schedules to try, each with a seed of its own: from `seed` on, or where no run has begun before |
/// | `real_time` | sleeps take as long as they say |
/// | `stack = "4m"` | the size of the root task's stack, as for `#[coop::task]`; 2m unless given |
/// | `crate = path` | where coop is, when not at `::coop` |
///
/// ```test_harness
/// use coop as runtime;
/// use std::time::{Duration, Instant};
///
/// #[runtime::test(seed = 7, schedules = 3, stack = "4m", crate = runtime)]
/// fn a_race_that_is_always_the_same() -> Result<(), runtime::Killed> {
///     runtime::yield_now()
/// }
///
/// #[runtime::test(real_time, crate = runtime)]
/// fn as_long_as_it_says() {
///     let began = Instant::now();
///     runtime::sleep(Duration::from_millis(2)).unwrap();
///     assert!(began.elapsed() >= Duration::from_millis(2));
/// }
/// ```
///
/// # What does not compile
///
/// What does not under [`macro@main`]; a second `#[test]`; and `schedules = 0`.
#[proc_macro_attribute]
pub fn test(options: TokenStream, item: TokenStream) -> TokenStream {
    test::expand(options.into(), item.into()).into()
}

/// Makes a struct an entry of `coop::list::EmbeddedList`: it has its place in the list among its fields, so that linking it
/// allocates nothing.
///
/// ```
/// use coop::list::{EmbeddedList, Link};
/// use std::pin::pin;
///
/// #[derive(coop::EmbeddedEntry)]
/// struct Waiter {
///     #[embedded]
///     link: Link,
///     name: &'static str,
/// }
///
/// let queue = pin!(EmbeddedList::new());
/// let queue = queue.as_ref();
/// let ann = pin!(Waiter { link: Link::new(), name: "Ann" });
/// queue.push_back(ann.as_ref());
/// {
///     let bob = pin!(Waiter { link: Link::new(), name: "Bob" });
///     queue.push_front(bob.as_ref());
///     assert_eq!(queue.front(|waiter| waiter.name), Some("Bob"));
/// } // Bob has left the queue
/// assert_eq!(queue.pop_front(|waiter| waiter.name), Some("Ann"));
/// assert!(!ann.link.is_linked());
/// ```
///
/// # Grammar
///
/// ```text
/// #[derive(coop::EmbeddedEntry)]
/// struct Name<generics> where … {
///     #[embedded] field: coop::list::Link,                  exactly one field, of this type, under whatever name
///     …
/// }
/// ```
///
/// The struct may be one of named or of unnamed fields, and generic in every way. For a value that is not a struct of your
/// own, or that wants a destructor of its own, there is the ready-made `coop::list::Entry`.
///
/// # Expansion
///
/// Three impls:
///
/// * `coop::list::EmbeddedEntry`, which says where in the struct the link is.
/// * `Drop`, which takes the entry out of its list *before any of its fields is dropped*, so that nobody finds it there half
///   gone; and which aborts the process if one of the list's closures is looking at it.
/// * `Unpin` under a condition that never holds: a linked entry stays where it is.
///
/// # Options
///
/// | option | meaning |
/// |---|---|
/// | `#[embedded(crate = path)]` | where coop is, when not at `::coop` |
///
/// ```
/// use coop as runtime;
///
/// #[derive(runtime::EmbeddedEntry)]
/// struct Waiter<T>(T, #[embedded(crate = runtime)] runtime::list::Link);
/// # let _ = Waiter(1, runtime::list::Link::new());
/// ```
///
/// # What does not compile
///
/// | mistake | say instead |
/// |---|---|
/// | an enum or a union | a struct around it, or `coop::list::Entry::new(value)` |
/// | no field that is marked, or two | `#[embedded]` on one |
/// | a marked field that is no `Link`, or a `Box` of one | the `Link` itself |
/// | a packed struct | one that is not packed |
/// | a `Drop` of the struct's own, which could move the link out | give what needs it to a field, which has a `Drop` |
/// | an `Unpin` of the struct's own | |
///
/// ```compile_fail,E0119
/// # use coop::list::Link;
/// #[derive(coop::EmbeddedEntry)]
/// struct Waiter {
///     #[embedded]
///     link: Link,
/// }
///
/// impl Drop for Waiter {
///     fn drop(&mut self) {
///         std::mem::forget(std::mem::take(&mut self.link));        // its neighbours would point to nowhere
///     }
/// }
/// ```
///
/// ```compile_fail,E0119
/// # use coop::list::Link;
/// #[derive(coop::EmbeddedEntry)]
/// struct Waiter {
///     #[embedded]
///     link: Link,
/// }
///
/// impl Unpin for Waiter {}
/// ```
///
/// ```compile_fail,E0277
/// # use coop::list::Link;
/// #[derive(coop::EmbeddedEntry)]
/// struct Waiter {
///     #[embedded]
///     link: Box<Link>,                                             // not in the struct, but elsewhere
/// }
/// ```
///
/// ```compile_fail
/// # use coop::list::Link;
/// #[derive(coop::EmbeddedEntry)]
/// #[repr(packed)]
/// struct Waiter {
///     tag: u8,
///     #[embedded]
///     link: Link,
/// }
/// ```
#[proc_macro_derive(EmbeddedEntry, attributes(embedded))]
pub fn embedded_entry(item: TokenStream) -> TokenStream {
    entry::expand(item.into()).into()
}

/// What `coop::select!` calls, with `[$crate]` before the user's tokens. Its page there has the grammar.
///
/// ```
/// # coop::run(|| {
/// let two = coop::select! { _ = coop::op::after(std::time::Duration::ZERO) => 1 + 1 };
/// assert_eq!(two, Ok(2));
/// # });
/// ```
///
/// # Expansion
///
/// First the conditions are tested, in order. Then the operations of the arms that are not disabled are made, in order, and
/// handed to one call of the runtime, which waits; what the losers borrowed is free again before a body runs. Then one `match`
/// finds the body; what its pattern does not bind (`_ = op::lock(&mutex)`) is dropped after it.
///
/// # What does not compile
///
/// Besides what the syntax forbids: no arms, more than 64; two `default`, `killed`, `complete` or `else`; an operation after
/// `default`; a pattern that may not match (`Some(x)`, `Ok(n)`, a literal, any path but `Killed`) without `else`, and an `else`
/// that can never run; a `let` in a guard; a place that two arms borrow, one of them mutably; `.await`. And by its type: what
/// is no operation, or none that can lose without effect.
#[proc_macro]
pub fn select_impl(input: TokenStream) -> TokenStream {
    select::expand(input.into()).into()
}

/// What `coop::coordinate!` calls, with `[$crate]` before the user's tokens. Its page there has the grammar.
///
/// ```
/// # coop::run(|| {
/// let (a, b) = (coop::Coordinator::held(), coop::Coordinator::new());
/// assert_eq!(coop::coordinate!(&a, &b).unwrap().index(), 1);
/// # });
/// ```
///
/// # Expansion
///
/// One call of the runtime with an array of the references, in a `match` that makes the `Result`.
///
/// # What does not compile
///
/// No Coordinators; anything that is no reference to one; two timeouts, one without a value, or a number for one; other
/// options; `.await`.
#[proc_macro]
pub fn coordinate_impl(input: TokenStream) -> TokenStream {
    coordinate::expand(input.into()).into()
}

/// What `coop::join!` calls, with `[$crate]` before the user's tokens. Its page there has the grammar.
///
/// ```
/// # coop::run(|| {
/// assert_eq!(coop::join!(1 + 1, "two").unwrap(), (2, "two"));
/// # });
/// ```
///
/// # Expansion
///
/// One call of the runtime with a tuple of closures. An expression may borrow the variables around it, and `return` and `?` in
/// it end only itself.
///
/// # What does not compile
///
/// No expressions, more than 12; `.await`.
#[proc_macro]
pub fn join_impl(input: TokenStream) -> TokenStream {
    join::expand(input.into()).into()
}
