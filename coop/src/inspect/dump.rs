//! The tree of tasks as text.

use crate::cooperator::Cooperator;
use crate::error::Cause;
use crate::fiber::{Detail, State};
use crate::scheduler::Scheduler;
use crate::stack::overflow::Overflow;
use crate::switch;
use crate::task::{Kind, Node, Task};
use std::backtrace::Backtrace;
use std::fmt::Write;
use std::time::Duration;

/// The tree of the calling thread's tasks: name, number, state, what each waits for, since when and where, the stack it uses,
/// and the backtrace of each that is parked. Changes nothing and is not a wait point.
///
/// ```
/// #[coop::task]
/// fn sleeper() -> Result<(), coop::Killed> {
///     coop::sleep(std::time::Duration::from_secs(3600))
/// }
///
/// coop::run(|| {
///     let task = sleeper::spawn();
///     coop::yield_now().unwrap();
///     let dump = coop::dump();
///     assert!(dump.contains("sleeper #2: sleep"), "{dump}");
///     task.kill();
/// });
/// ```
///
/// # Panics
/// On a thread without a Cooperator.
#[track_caller]
pub fn dump() -> String {
    let cooperator = Cooperator::required();
    // SAFETY: the root is set before any task runs, and stays until the Cooperator goes.
    tree_of(cooperator, unsafe { &*cooperator.root.get().cast::<Task>() })
}

/// The tree below `root`.
pub(crate) fn tree_of(cooperator: &Cooperator, root: &Task) -> String {
    let mut text = String::new();
    // Depth-first without recursion: a tree may be deeper than the stack this runs on.
    let mut stack: Vec<(&Task, usize)> = vec![(root, 0)];
    while let Some((task, depth)) = stack.pop() {
        line(&mut text, cooperator, task, depth);
        let first = stack.len();
        let mut node = Some(&task.node);
        while let Some(frame) = node {
            // SAFETY: a task in the tree stays while this runs: nothing ends meanwhile.
            frame.for_each_child(|child| stack.push((unsafe { &*std::ptr::from_ref(child) }, depth + 1)));
            node = frame.inner();
        }
        stack[first..].reverse();
    }
    text
}

fn line(text: &mut String, cooperator: &Cooperator, task: &Task, depth: usize) {
    let indent = "  ".repeat(depth);
    let _ = write!(text, "{indent}{} {}: ", task.name, task.id);
    let state = task.fiber.state.get();
    match state {
        State::Running => text.push_str("running"),
        State::Ready => text.push_str("ready"),
        State::Ended => text.push_str("ended"),
        State::Parked { killable } => {
            let reason = task.fiber.reason.get();
            let now = cooperator.clock.now();
            let since = Duration::from_nanos(now.saturating_sub(task.fiber.since.get()));
            let _ = write!(text, "{reason}");
            if let Detail::Time(deadline) = reason.detail {
                let _ = write!(text, " for another {:?}", Duration::from_nanos(deadline.saturating_sub(now)));
            }
            let _ = write!(text, " at {}, since {since:?}", task.fiber.place.get());
            if !killable {
                text.push_str(", not killable");
            }
        }
    }
    if let Some(killed) = task.fiber.killed() {
        let _ = write!(text, ", killed: {}", killed.cause());
    }
    regions(text, &task.node);
    if let Some(stack) = &task.stack {
        // SAFETY: the context is only written by the task's own switches, none of which is under way.
        let pointer = unsafe { (*task.fiber.context.get()).rsp };
        let used = if state == State::Running { approximate_stack_pointer() } else { pointer };
        let used = stack.top().addr().saturating_sub(used);
        let _ = write!(text, ", stack {} of {} KiB", used.div_ceil(1024), stack.size() / 1024);
    }
    text.push('\n');
    if let State::Parked { .. } = state {
        backtrace(text, task, &indent);
    }
}

fn approximate_stack_pointer() -> usize {
    let here = 0u8;
    (&raw const here).addr()
}

/// The frames of a task: scopes, deadlines, shields.
fn regions(text: &mut String, node: &Node) {
    let mut next = node.inner();
    while let Some(frame) = next {
        text.push_str(match frame.kind {
            Kind::Scope => ", in scope",
            Kind::Deadline => ", in timeout",
            Kind::Shield => ", in shield",
            Kind::Task => "",
        });
        if let Some(Cause::Deadline) = frame.own_cause() {
            text.push_str(" (expired)");
        }
        next = frame.inner();
    }
}

/// The frames of the user's code, outermost last. Those of the runtime and of std are left out wherever they stand: a scope has
/// both between two frames of the user's.
fn backtrace(text: &mut String, task: &Task, indent: &str) {
    let mut trace = String::new();
    // SAFETY: the task is parked, so its context was written by a switch; it does not run while this does.
    unsafe { switch::with_backtrace_of(task.fiber.context.get(), || trace = Backtrace::force_capture().to_string()) };
    let mut lines = trace.lines().peekable();
    while let Some(line) = lines.next() {
        // A frame is a line "  N: name", followed by its place, "        at file:line:column", where that is known.
        let name = line.split_once(": ").map_or(line, |(_, name)| name).trim_start();
        let place = lines.next_if(|line| line.trim_start().starts_with("at ")).map(str::trim_start);
        if is_of_runtime(name, place.unwrap_or_default()) {
            continue;
        }
        for line in [Some(name), place].into_iter().flatten() {
            let _ = writeln!(text, "{indent}    | {line}");
        }
    }
}

/// Whether a frame is one of this crate's or of std's. An optimised build with little debug information names functions without
/// their paths; then their files tell.
fn is_of_runtime(name: &str, place: &str) -> bool {
    let source = file!().strip_suffix("inspect/dump.rs").unwrap_or(file!());
    let std = ["std::", "core::", "alloc::", "<core::", "<alloc::", "<std::", "__rust"];
    name.starts_with("coop::")
        || name.starts_with("<coop::")
        || std.iter().any(|std| name.starts_with(std))
        || place.contains(source)
        || place.contains("/rustc/")
}

/// Whose guard `address` is in. Called in a signal handler, on the thread that faulted.
pub(crate) fn describe_overflow(address: usize) -> Option<Overflow> {
    // SAFETY: the pointers are those of the thread the handler runs on; a running fiber's record is at the top of its stack,
    // away from the guard.
    unsafe {
        let fiber = Scheduler::current().as_ref()?.running();
        if fiber.is_null() {
            return None;
        }
        let task = Task::of(fiber);
        let stack = task.stack.as_ref()?;
        let overflow = Overflow { task: task.id.0, name: task.name, size: stack.size() };
        stack.contains_in_guard(address).then_some(overflow)
    }
}
