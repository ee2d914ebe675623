//! The macros of [coop](https://docs.rs/coop), which re-exports them: use them from there.
//!
//! | macro | in coop | what it makes |
//! |---|---|---|
//! | [`macro@task`] | `#[coop::task]` | a function that can be spawned |
//! | [`macro@main`] | `#[coop::main]` | a `main` that runs as the root task |
//! | [`macro@test`] | `#[coop::test]` | a test in Cooperators of its own, with virtual time and seeded schedules |
//! | [`select_impl!`] | `coop::select!` | a wait on several operations, of which exactly one takes effect |
//! | [`coordinate_impl!`] | `coop::coordinate!` | a wait on several Coordinators, of which exactly one is acquired |
//! | [`join_impl!`] | `coop::join!` | several expressions run as tasks, and a tuple of their results |
//!
//! The last three are called through `macro_rules!` wrappers in coop, which put `[$crate]` before the user's tokens, so that an
//! expansion finds the crate under whatever name it has. The attributes expect it as `::coop`, unless `crate = path` says otherwise.
//!
//! # How a macro works
//!
//! Each is a directory of three steps. `parse` reads the tokens, and after a mistake goes on with the next option or arm. `check` says
//! everything that is wrong with what was read. `expand` writes the code. All mistakes of one invocation are reported together, on the
//! user's own tokens: one line of what is wrong, one of help. The texts are in `messages`. After a mistake the expansion still has
//! the right shape and keeps the user's expressions, so that other code does not break and an editor goes on completing.
//!
//! Expansions name only `coop::__private` (its items are listed in `names`) and `::core`: whatever the user's code calls `Ok`, `Some` or `std`
//! is no concern of theirs. Variables they introduce are hygienic.

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
/// ```ignore
/// /// Echoes until the peer hangs up.
/// #[coop::task(stack = "64k")]
/// fn session(conn: net::TcpStream) -> io::Result<()> {
///     conn.echo()
/// }
///
/// session(conn)?;                                          // an ordinary call, in the current task
/// let mut task = session::spawn(conn);                     // a child of the current task
/// let task = session::spawn_in(&scope, conn);              // a child of a scope
/// let task = session::submit(&remote, conn)?;              // a task on another thread; needs `Send`
/// let task = session::builder().name("first").stack(128 << 10).daemon().spawn(conn);
/// ```
///
/// # Expansion
///
/// The function stays as it is. Beside it, in the namespace of types, comes a hidden empty enum of the same name and visibility,
/// with these associated functions, each of which takes the function's own arguments and generic parameters:
///
/// * `spawn(args) -> JoinHandle<R>`; what the arguments and the result are made of must be `'static`.
/// * `spawn_in(&scope, args) -> ScopedJoinHandle<R>`; type parameters may borrow what outlives the scope.
/// * `submit(&remote, args) -> Result<RemoteJoinHandle<R>, (args,)>`; arguments and result must be `Send`, and that is asked where
///   it is called, not where the task is written. A Cooperator that has finished gives the arguments back. Each `impl Trait`
///   argument counts as one more type parameter here. There is no `submit` when the function returns an `impl Trait` that does not
///   name `Send` among its bounds.
/// * `builder()`: `name`, `stack` (bytes) and `daemon`, then `spawn`, `spawn_in` or `submit`.
///
/// One `use` imports the function and the enum, under a new name too. A static description (name, file, line, stack) counts what becomes of
/// the task. An argument may be a pattern. A function that returns `!` is spawned as one that returns `Infallible`.
///
/// # Options
///
/// | option | meaning |
/// |---|---|
/// | `name = "…"` | what dumps and reports call it; the function's name by default |
/// | `stack = "64k"` | the stack's size, with `k` or `m`, or as a number of bytes; at least 32k |
/// | `as = other` | the enum's name, when a module or a crate has the function's |
/// | `crate = path` | where coop is, when not at `::coop` |
/// | `allow(blocking)`, `warn(blocking)`, `deny(blocking)` | what becomes of calls of `std` that block the thread, such as `std::thread::sleep`; a warning by default |
///
/// # What is refused
///
/// `async`, `const`, `extern` and `unsafe` functions, methods, variable arguments; arguments that show that they borrow (`&str`, `Ref<'_, T>`), since the task may
/// outlive what it borrows from: own it, or spawn a closure in a scope; `.await` in the body, and `loop {}`, which would never give way.
/// Code in closures, `async` blocks and nested items is left alone.
#[proc_macro_attribute]
pub fn task(options: TokenStream, item: TokenStream) -> TokenStream {
    task::expand(options.into(), item.into()).into()
}

/// Runs the body of `main` as the root task of a Cooperator.
///
/// ```ignore
/// #[coop::main]
/// fn main() -> io::Result<()> {
///     let listener = net::TcpListener::bind("127.0.0.1:7000")?;
///     serve(&listener)
/// }
/// ```
///
/// # Expansion
///
/// The function keeps its signature; its body becomes a closure that the runtime runs, and whose result it returns. When the body
/// returns, what is left of its children is killed and awaited. If the Cooperator cannot start, the program says why and exits with 1.
///
/// # Options
///
/// | option | meaning |
/// |---|---|
/// | `stack = "1m"` | the size of the root task's stack, as for `#[coop::task]` |
/// | `crate = path` | where coop is, when not at `::coop` |
///
/// # What is refused
///
/// `async`, `const`, `extern` and `unsafe` functions, arguments, generic parameters, `.await`.
#[proc_macro_attribute]
pub fn main(options: TokenStream, item: TokenStream) -> TokenStream {
    main::expand(options.into(), item.into()).into()
}

/// Makes a function a test that runs in a Cooperator of its own, with virtual time and a seeded scheduler.
///
/// ```ignore
/// #[coop::test(schedules = 100)]
/// fn the_first_message_wins() -> io::Result<()> {
///     race()
/// }
///
/// #[coop::test(seed = 7)]                // replays the schedule that failed
/// #[should_panic(expected = "twice")]
/// fn joining_twice_panics() {
///     join_twice();
/// }
/// ```
///
/// # Expansion
///
/// A `#[test]` function that hands its body to the runtime as a closure, once for each schedule. A failure prints the seed. Other attributes
/// (`#[ignore]`, `#[should_panic]`) stay.
///
/// # Options
///
/// | option | meaning |
/// |---|---|
/// | `seed = 7` | the scheduler's seed; a new one each run by default |
/// | `schedules = 100` | how many schedules to try, each with a seed of its own |
/// | `real_time` | sleeps take as long as they say; by default time is virtual, and jumps to the next timer |
/// | `stack = "1m"` | the size of the root task's stack, as for `#[coop::task]` |
/// | `crate = path` | where coop is, when not at `::coop` |
///
/// # What is refused
///
/// What `#[coop::main]` refuses, and a second `#[test]`.
#[proc_macro_attribute]
pub fn test(options: TokenStream, item: TokenStream) -> TokenStream {
    test::expand(options.into(), item.into()).into()
}

/// `coop::select!`: waits for several operations at once, and runs the body of exactly one arm.
///
/// ```ignore
/// let n = coop::select! {
///     n = op::recv(&conn, &mut buf) => n?,
///     got = &mut incoming => take(got?),
///     Some(job) = op::receive(&jobs) if idle => run(job),
///     _ = op::after(Duration::from_secs(30)) => return Ok(()),
///     else => return Ok(()),                    // `jobs` gave `None`
/// }?;                                           // Err(Killed) if this task was killed
/// ```
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
/// There may be 64 operations. `default`, `killed`, `complete` and `biased` are ordinary names elsewhere, and as patterns here.
///
/// # Value
///
/// `Result<T, Killed>`, where `T` is the type of the bodies; with a `killed` arm it is `T`. `return`, `?`, `break` and `continue` in a body mean
/// the function and loops around the `select!`.
///
/// # Expansion
///
/// First the conditions are tested, in order. Then the operations of the arms that are not disabled are made, in order, and handed to one
/// call of the runtime, which waits; what the losers borrowed is free again before a body runs. Then one `match` finds the body; what its
/// pattern does not bind (`_ = op::lock(&mutex)`) is dropped after it. Ready arms take turns, unless `biased;` says to
/// try them in the order they are written in. What a guarded operation borrows must have a name: a temporary in it (`&connect()`) lives only as long
/// as the operation is being made.
///
/// A pattern that may not match (`Some(x)`, `Ok(n)`, a literal, any path but `Killed`) needs an `else`, which runs instead of the body; the operation has
/// taken effect, and nothing waits again. When every arm is disabled, by its condition or since its Handle is spent, and there is no
/// `complete`, the task panics.
///
/// # What is refused
///
/// No arms, more than 64; a missing `=`, `=>` or `,`; two `default`, `killed`, `complete` or `else`; an operation after `default`; a pattern that
/// may not match without `else`, and an `else` that can never run; a `let` in a guard; a place that two arms borrow, one of them mutably; `.await`. And by
/// its type: what is no operation, or none that can lose without effect.
#[proc_macro]
pub fn select_impl(input: TokenStream) -> TokenStream {
    select::expand(input.into()).into()
}

/// `coop::coordinate!`: waits for several Coordinators at once, and acquires exactly one.
///
/// ```ignore
/// let acquired = coop::coordinate!(&readable, &closed)?;
/// if acquired.index() == 1 { return Ok(None) }
///
/// match coop::coordinate!(&readable, timeout = Duration::from_millis(5))? {
///     Some(acquired) => read(acquired),
///     None => give_up(),              // timed out
/// }
/// ```
///
/// # Grammar
///
/// `coordinate!(&a, &b, …, timeout = duration)`: references to Coordinators, and at most one timeout.
///
/// # Value
///
/// `Result<Acquired<'_>, Killed>`; with a timeout `Result<Option<Acquired<'_>>, Killed>`. `Acquired` says which it is by its place among the
/// arguments, and releases it when dropped. When several are free, the first is acquired.
///
/// # Expansion
///
/// One call of the runtime with an array of the references, in a `match` that makes the `Result`.
///
/// # What is refused
///
/// No Coordinators; anything that is no reference to one; two timeouts, one without a value, or a number for one; other options; `.await`.
#[proc_macro]
pub fn coordinate_impl(input: TokenStream) -> TokenStream {
    coordinate::expand(input.into()).into()
}

/// `coop::join!`: runs several expressions at once, each as a child of the current task, and gives their results as a tuple.
///
/// ```ignore
/// let (user, orders) = coop::join!(fetch_user(&db, id), fetch_orders(&db, id))?;
/// ```
///
/// # Grammar
///
/// `join!(expression, expression, …)`: at most 12.
///
/// # Expansion
///
/// One call of the runtime with a tuple of closures. An expression may borrow the variables around it, and `return` and `?` in it end only itself.
///
/// # What is refused
///
/// No expressions, more than 12; `.await`.
#[proc_macro]
pub fn join_impl(input: TokenStream) -> TokenStream {
    join::expand(input.into()).into()
}

/// Makes a struct an entry of an `EmbeddedList`.
#[proc_macro_derive(EmbeddedEntry, attributes(embedded))]
pub fn embedded_entry(item: TokenStream) -> TokenStream {
    entry::expand(item.into()).into()
}
