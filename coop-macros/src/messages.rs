//! Every message, in one place: one line of what is wrong, and a help with what to write instead.
//!
//! Messages speak of the user's program, never of tokens or expansions. The help holds code that can be typed as it stands.

use std::fmt::{self, Display};

/// What is wrong, and what to write instead.
#[derive(Debug, Clone)]
pub struct Message {
    what: String,
    help: String,
}

impl Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\nhelp: {}", self.what, self.help)
    }
}

fn message(what: impl Into<String>, help: impl Into<String>) -> Message {
    Message { what: what.into(), help: help.into() }
}

/// The attribute a message speaks of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attr {
    Task,
    Main,
    Test,
    Embedded,
}

impl Display for Attr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Attr::Task => "`#[coop::task]`",
            Attr::Main => "`#[coop::main]`",
            Attr::Test => "`#[coop::test]`",
            Attr::Embedded => "`#[embedded]`",
        })
    }
}

// ---- syntax

pub const SIGNATURE_HELP: &str = "write an ordinary function: `fn name(argument: Type) -> Type { … }`";
pub const ARM_HELP: &str = "an arm is `pattern = operation => body`";
pub const JOIN_HELP: &str = "write expressions, separated by commas: `coop::join!(first(), second())`";

/// A mistake found by the parser, in the parser's words, with ours for the help.
pub fn syntax(error: &syn::Error, help: &str) -> Message {
    message(error.to_string(), help)
}

// ---- the function under an attribute

pub fn not_a_function(attr: Attr, kind: &str) -> Message {
    message(
        format!("{attr} stands on a function, not on {kind}"),
        "move it to the function: `fn name(argument: Type) { … }`",
    )
}

pub fn async_function(attr: Attr) -> Message {
    message(
        format!("{attr} on an `async fn`: coop runs ordinary functions"),
        "remove `async`, and every `.await` in the body: coop's calls wait by themselves",
    )
}

pub fn const_function(attr: Attr) -> Message {
    message(format!("{attr} on a `const fn`: it could not wait for anything"), "remove `const`")
}

pub fn extern_function(attr: Attr) -> Message {
    message(
        format!("{attr} on an `extern` function"),
        "remove `extern`, and call the task from an `extern` function of its own",
    )
}

pub fn unsafe_function(attr: Attr) -> Message {
    message(
        format!("{attr} on an `unsafe fn`: spawning it would be a safe call"),
        "remove `unsafe`, and write `unsafe { … }` inside with the reason why it is sound",
    )
}

pub fn variadic_function(attr: Attr) -> Message {
    message(format!("{attr} on a function with variable arguments"), "name each argument, or take a slice or `Vec`")
}

pub fn no_body(attr: Attr) -> Message {
    message(
        format!("{attr} on a function without a body, as in a trait"),
        "put it on a free function, or spawn the method with `coop::spawn(move || value.method())`",
    )
}

pub fn method(name: &str) -> Message {
    message(
        "`#[coop::task]` on a method: a task is a free function",
        format!("remove the attribute, and spawn it with `coop::spawn(move || value.{name}(…))`"),
    )
}

pub fn associated_function(name: &str) -> Message {
    message(
        "`#[coop::task]` on an associated function: a task is a free function",
        format!("remove the attribute, and spawn it with `coop::spawn(move || Type::{name}(…))`"),
    )
}

pub fn borrowed_argument(argument: &str, function: &str) -> Message {
    message(
        format!("the task `{function}` borrows its argument {argument}, which it may outlive"),
        format!("own it (`String`, `Vec<T>`, `Rc<T>`), or borrow in a scope: `scope.spawn(|| {function}(…))`"),
    )
}

pub fn conditional_argument(attr: Attr) -> Message {
    message(
        format!("{attr} on a function with a `#[cfg]` argument"),
        "write two functions, each under its own `#[cfg]`",
    )
}

pub fn takes_no_arguments(attr: Attr) -> Message {
    let help = match attr {
        Attr::Main => "read them in the body: `std::env::args()`",
        _ => "make the values in the body",
    };
    message(format!("the function under {attr} takes no arguments"), help)
}

pub fn takes_no_generics(attr: Attr) -> Message {
    message(format!("the function under {attr} has no generic parameters"), "name the types in the body")
}

pub fn test_twice() -> Message {
    message("`#[coop::test]` already makes the function a test", "remove `#[test]`")
}

// ---- what must not stand in a body

pub fn await_in_task() -> Message {
    message(
        "`.await` in a task: coop runs ordinary functions, not futures",
        "call coop's blocking function instead: it waits by itself, and other tasks run meanwhile",
    )
}

pub fn bare_loop() -> Message {
    message(
        "`loop {}` never waits: every other task of this thread stops for ever",
        "to wait until killed: `loop { coop::sleep(Duration::MAX)?; }`; to give way: `loop { coop::yield_now()?; }`",
    )
}

pub fn blocking_call(path: &str, instead: &str) -> Message {
    message(
        format!("`{path}` blocks the thread, and with it every task of it"),
        format!("use {instead}, or say `#[coop::task(allow(blocking))]`"),
    )
}

// ---- options

pub fn unknown_option(attr: Attr, name: &str, near: Option<&str>, known: &[&str]) -> Message {
    let help = match near {
        Some(near) => format!("did you mean `{near}`?"),
        None if known.is_empty() => "remove it".to_owned(),
        None => format!("the options are {}", list(known)),
    };
    message(format!("{attr} has no option `{name}`"), help)
}

pub fn malformed_option(attr: Attr) -> Message {
    message(
        format!("this is no option of {attr}"),
        "options are `name = value`, `name` or `name(value)`, separated by commas",
    )
}

pub fn repeated_option(name: &str) -> Message {
    message(format!("`{name}` is given twice"), "keep one of them")
}

pub fn ill_typed_option(name: &str, example: &str) -> Message {
    message(format!("`{name}` does not take this value"), format!("write `{example}`"))
}

pub fn stack_too_small(bytes: u64, minimum: u64) -> Message {
    message(
        format!(
            "a stack of {bytes} bytes is below the minimum of {}k: a panic alone needs most of that",
            minimum / 1024
        ),
        format!("write `stack = \"{}k\"` or more, or leave it out for the default of 256k", minimum / 1024),
    )
}

pub fn empty_name() -> Message {
    message("a task's name is empty", "leave `name` out: the function's name is the default")
}

pub fn unknown_lint(name: &str, near: Option<&str>) -> Message {
    let help = if near.is_some() { "did you mean `blocking`?" } else { "the only lint is `blocking`" };
    message(format!("there is no lint `{name}`"), help)
}

pub fn lint_levels(name: &str) -> Message {
    message(format!("two levels are given for the lint `{name}`"), "keep one of `allow`, `warn`, `deny`")
}

// ---- select!

pub fn select_without_arms() -> Message {
    message("`select!` has nothing to wait for", "give it an arm: `pattern = operation => body`")
}

pub fn missing_operation() -> Message {
    message(
        "an arm names what it waits for and what comes of it; one of them is missing here",
        "write `pattern = operation => body`; to ignore what comes of it: `_ = operation => body`",
    )
}

pub fn missing_equals() -> Message {
    message("`=` is missing between the pattern and its operation", ARM_HELP)
}

pub fn guard_before_operation() -> Message {
    message("the guard stands before the operation", "write `pattern = operation if condition => body`")
}

pub fn missing_arrow() -> Message {
    message("`=>` is missing between the operation and its body", ARM_HELP)
}

pub fn missing_keyword_arrow(keyword: &str) -> Message {
    message(format!("`=>` is missing after `{keyword}`"), format!("write `{keyword} => body`"))
}

pub fn missing_body() -> Message {
    message("this arm has no body", "write `=> ()` when there is nothing to do")
}

pub fn missing_comma() -> Message {
    message("`,` is missing between two arms", "put a comma after the body, or braces around it")
}

pub fn killed_without_pattern() -> Message {
    message("`killed` does not say what to call the cause", "write `killed(cause) => body`, or `killed(_) => body`")
}

pub fn refutable_killed() -> Message {
    message(
        "the pattern of `killed` does not match every cause",
        "bind the cause: `killed(cause) => body`, and match on it there",
    )
}

pub fn late_biased() -> Message {
    message("`biased;` does not come first", "move it before the first arm")
}

pub fn attribute_on_arm() -> Message {
    message("an arm takes no attributes", "use a guard, `if cfg!(…)`, or write two `select!` under `#[cfg]`")
}

pub fn repeated_clause(keyword: &str) -> Message {
    message(format!("`select!` has two `{keyword}` arms"), "keep one of them")
}

pub fn arm_after_default() -> Message {
    message("an arm after `default`", "move `default` to the end: it is tried when no arm is ready")
}

pub fn refutable_without_else() -> Message {
    message(
        "this pattern may not match, and there is no `else`",
        "say what happens then: `pattern = operation else { … } => body`, or add an arm `else => body`",
    )
}

pub fn else_without_refutable() -> Message {
    message(
        "this `else` can never run: every pattern always matches",
        "remove it; for the case that every arm is disabled, write `complete => body`",
    )
}

pub fn own_else_on_irrefutable() -> Message {
    message("this `else` can never run: the pattern always matches", "remove it")
}

pub fn too_many_arms(limit: usize) -> Message {
    message(format!("`select!` takes at most {limit} arms"), "spawn tasks that send to one channel, and select on that")
}

pub fn let_in_guard() -> Message {
    message(
        "a guard is a condition, and binds nothing",
        "test with `matches!(…)` or `is_some()`, and unwrap in the operation",
    )
}

pub fn await_in_select() -> Message {
    message(
        "`.await` in `select!`: coop waits on operations, not on futures",
        "give the operation itself: `n = op::recv(&conn, &mut buf) => …`",
    )
}

pub fn shared_buffer(place: &str) -> Message {
    message(
        format!("`{place}` is lent to two arms at once"),
        "give each arm a buffer of its own, or put one operation in two `select!`s",
    )
}

// ---- coordinate!

pub fn coordinate_nothing() -> Message {
    message("`coordinate!` has nothing to wait for", "give it Coordinators: `coordinate!(&a, &b)`")
}

pub fn timeout_twice() -> Message {
    message("`timeout` is given twice", "keep one of them")
}

pub fn timeout_without_value() -> Message {
    message("`timeout` has no value", "write `timeout = Duration::from_secs(5)`")
}

pub fn timeout_not_a_duration(literal: &str) -> Message {
    message(
        format!("`timeout` is a `Duration`, not {literal}"),
        "say the unit: `timeout = Duration::from_secs(5)` or `Duration::from_millis(5)`",
    )
}

pub fn not_a_coordinator() -> Message {
    message("this is not a reference to a Coordinator", "write `coordinate!(&a, &b)`")
}

pub fn unknown_coordinate_option(name: &str) -> Message {
    message(format!("`coordinate!` has no option `{name}`"), "the only option is `timeout = duration`")
}

pub fn await_in_operand(macro_name: &str) -> Message {
    message(
        format!("`.await` in `{macro_name}!`: coop runs ordinary functions, not futures"),
        "call coop's blocking function instead: it waits by itself",
    )
}

// ---- join!

pub fn join_nothing() -> Message {
    message("`join!` has nothing to run", "give it expressions: `let (a, b) = coop::join!(first(), second())?;`")
}

pub fn too_many_operands(limit: usize) -> Message {
    message(
        format!("`join!` takes at most {limit} expressions"),
        "spawn them in a scope: `coop::scope(|s| { … s.spawn(|| …); … })`",
    )
}

// ---- #[derive(EmbeddedEntry)]

pub fn entry_not_a_struct(kind: &str) -> Message {
    message(
        format!("`#[derive(EmbeddedEntry)]` stands on a struct, not on {kind}"),
        "put it into a struct, beside the link; or into the ready-made one: `coop::list::Entry::new(value)`",
    )
}

pub fn packed_entry() -> Message {
    message("the link of a packed struct cannot be referred to", "remove `packed` from `#[repr(…)]`")
}

pub fn no_field_marked(has_link: bool) -> Message {
    let help = if has_link {
        "mark this one: write `#[embedded]` before it"
    } else {
        "give the struct a field `#[embedded] link: coop::list::Link`"
    };
    message("no field is marked as the link", help)
}

pub fn two_fields_marked() -> Message {
    message(
        "two fields are marked `#[embedded]`: an entry has one link, and is in one list at a time",
        "keep one of them; for a second list, put a `coop::list::Entry` into it that refers to this struct",
    )
}

pub fn field_marked_twice() -> Message {
    message("`#[embedded]` is given twice", "keep one of them")
}

pub fn embedded_is_a_word() -> Message {
    message("`#[embedded]` takes no value", "write `#[embedded]`, or `#[embedded(crate = path::to::coop)]`")
}

/// `a`, `b` and `c`.
fn list(names: &[&str]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    match quoted.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, rest)) => format!("{} and {last}", rest.join(", ")),
        None => String::new(),
    }
}
