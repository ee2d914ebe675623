//! The tree of tasks: as it is at a moment, and as text.

use super::backtrace::{Backtraces, Frame};
use crate::cooperator::Cooperator;
use crate::error::Cause;
use crate::fiber::{Detail, State};
use crate::scheduler::Scheduler;
use crate::stack::overflow::Overflow;
use crate::task::{Kind, Node, Task};
use std::fmt;
use std::ptr;
use std::sync::Arc;
use std::time::Duration;

/// The tree of the calling thread's tasks: name, number, state, what each waits for, since when and where, the stack it uses,
/// and the backtrace of each that is parked. Changes nothing and is not a wait point.
///
/// Kinds of tasks whose stacks were found to be too small or needlessly large follow below, with what to write instead: see
/// [`Statistics::stack_advice`](crate::Statistics::stack_advice).
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
    format!("{}{}", Tree::of(Cooperator::required()), Advice)
}

/// The tree below `root`.
pub(crate) fn tree_of(cooperator: &Cooperator, root: &Task) -> String {
    Tree::below(cooperator, root).to_string()
}

/// What the tasks of a Cooperator did at a moment.
pub(crate) struct Tree {
    /// Each before its children, and after its elder siblings.
    pub(crate) tasks: Vec<Snapshot>,
}

/// What a task did at that moment.
pub(crate) struct Snapshot {
    pub(crate) depth: usize,
    pub(crate) id: u64,
    pub(crate) name: &'static str,
    pub(crate) state: State,
    pub(crate) is_running: bool,
    /// What it waits for, if it does.
    pub(crate) wait: Option<Waiting>,
    pub(crate) killed: Option<Cause>,
    /// The scopes, deadlines and shields it is in, from the outermost, each with whether its time is over.
    pub(crate) regions: Vec<(&'static str, bool)>,
    /// Bytes in use, and in all.
    pub(crate) stack: Option<(usize, usize)>,
}

/// A wait.
pub(crate) struct Waiting {
    /// As in `recv on fd 7`.
    pub(crate) reason: String,
    /// How long it still takes at most, where that is known.
    pub(crate) ends_in: Option<Duration>,
    pub(crate) place: &'static std::panic::Location<'static>,
    pub(crate) since: Duration,
    pub(crate) is_killable: bool,
    pub(crate) frames: Arc<[Frame]>,
}

impl Tree {
    /// All of a Cooperator's, which is the calling thread's.
    pub(crate) fn of(cooperator: &Cooperator) -> Self {
        // SAFETY: the root is set before any task runs, and stays until the Cooperator goes.
        Self::below(cooperator, unsafe { &*cooperator.root.get().cast::<Task>() })
    }

    fn below(cooperator: &Cooperator, root: &Task) -> Self {
        let mut backtraces = Backtraces::default();
        let mut tasks = Vec::new();
        walk(cooperator, root, |task, depth| tasks.push(Snapshot::of(cooperator, task, depth, &mut backtraces)));
        Tree { tasks }
    }

    /// One task without its children.
    pub(crate) fn only(cooperator: &Cooperator, task: &Task) -> Self {
        Tree { tasks: vec![Snapshot::of(cooperator, task, 0, &mut Backtraces::default())] }
    }

    /// Calls `f` for each task of the calling thread's Cooperator. `f` must not start or end any.
    pub(crate) fn visit(cooperator: &Cooperator, mut f: impl FnMut(&Task)) {
        // SAFETY: as in `of`.
        walk(cooperator, unsafe { &*cooperator.root.get().cast::<Task>() }, |task, _| f(task));
    }
}

/// Depth-first without recursion: a tree may be deeper than the stack this runs on.
fn walk(cooperator: &Cooperator, root: &Task, mut f: impl FnMut(&Task, usize)) {
    let mut stack: Vec<(&Task, usize)> = vec![(root, 0)];
    while let Some((task, depth)) = stack.pop() {
        f(task, depth);
        let first = stack.len();
        let mut node = Some(&task.node);
        while let Some(frame) = node {
            frame.for_each_child(&cooperator.siblings, |child| {
                // SAFETY: a task in the tree stays while this runs: nothing ends meanwhile.
                stack.push((unsafe { &*std::ptr::from_ref(child) }, depth + 1));
            });
            node = frame.inner();
        }
        stack[first..].reverse();
    }
}

impl Snapshot {
    fn of(cooperator: &Cooperator, task: &Task, depth: usize, backtraces: &mut Backtraces) -> Self {
        let state = task.fiber.state.get();
        let is_running = ptr::eq(cooperator.scheduler.running(), &task.fiber);
        let wait = match state {
            State::Parked { killable } => {
                let reason = task.fiber.reason.get();
                let now = cooperator.clock.now();
                let until = |deadline: u64| Duration::from_nanos(deadline.saturating_sub(now));
                Some(Waiting {
                    reason: reason.to_string(),
                    ends_in: if let Detail::Time(deadline) = reason.detail { Some(until(deadline)) } else { None },
                    place: task.fiber.place.get(),
                    since: Duration::from_nanos(now.saturating_sub(task.fiber.since.get())),
                    is_killable: killable,
                    frames: backtraces.of(task),
                })
            }
            State::Active | State::Ended => None,
        };
        let stack = task.stack.as_ref().map(|stack| {
            // SAFETY: the context is only written by the task's own switches, none of which is under way.
            let pointer = unsafe { (*task.fiber.context.get()).rsp };
            let pointer = if is_running { approximate_stack_pointer() } else { pointer };
            (stack.top().addr().saturating_sub(pointer), stack.size())
        });
        Snapshot {
            depth,
            id: task.id.0,
            name: task.name,
            state,
            is_running,
            wait,
            killed: task.killed().map(|killed| killed.cause()),
            regions: regions(&task.node),
            stack,
        }
    }
}

fn approximate_stack_pointer() -> usize {
    let here = 0u8;
    (&raw const here).addr()
}

/// The frames of a task: scopes, deadlines, shields.
fn regions(node: &Node) -> Vec<(&'static str, bool)> {
    let mut all = Vec::new();
    let mut next = node.inner();
    while let Some(frame) = next {
        let kind = match frame.kind {
            Kind::Scope => "scope",
            Kind::Deadline => "timeout",
            Kind::Shield => "shield",
            Kind::Task => "task",
        };
        all.push((kind, frame.own_cause() == Some(Cause::Deadline)));
        next = frame.inner();
    }
    all
}

impl fmt::Display for Tree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.tasks.iter().try_for_each(|task| task.fmt(f))
    }
}

impl fmt::Display for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let indent = "  ".repeat(self.depth);
        write!(f, "{indent}{} #{}: ", self.name, self.id)?;
        match (&self.wait, self.state) {
            (Some(wait), _) => {
                f.write_str(&wait.reason)?;
                if let Some(time) = wait.ends_in {
                    write!(f, " for another {time:?}")?;
                }
                write!(f, " at {}, since {:?}", wait.place, wait.since)?;
                if !wait.is_killable {
                    f.write_str(", not killable")?;
                }
            }
            (None, State::Active) if self.is_running => f.write_str("running")?,
            (None, State::Active) => f.write_str("ready")?,
            (None, _) => f.write_str("ended")?,
        }
        if let Some(cause) = self.killed {
            write!(f, ", killed: {cause}")?;
        }
        for (kind, is_expired) in &self.regions {
            write!(f, ", in {kind}{}", if *is_expired { " (expired)" } else { "" })?;
        }
        if let Some((used, size)) = self.stack {
            write!(f, ", stack {} of {} KiB", used.div_ceil(1024), size / 1024)?;
        }
        f.write_str("\n")?;
        for frame in self.wait.iter().flat_map(|wait| wait.frames.iter()) {
            writeln!(f, "{indent}    | {}", frame.function)?;
            if let Some(place) = &frame.place {
                writeln!(f, "{indent}    | at {place}")?;
            }
        }
        Ok(())
    }
}

/// As text: what to write for the stacks of those kinds of tasks for which there is something to say.
pub(crate) struct Advice;

impl fmt::Display for Advice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for kind in crate::task::descriptions() {
            let Some(advice) = kind.stack_advice() else { continue };
            let (deepest, size) = (kind.deepest_stack.div_ceil(1024), kind.stack_size / 1024);
            write!(f, "stacks of {}: at most {deepest} of {size} KiB were in use; {advice}", kind.name)?;
            match kind.file {
                "" => writeln!(f)?,
                file => writeln!(f, " ({file}:{})", kind.line)?,
            }
        }
        Ok(())
    }
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
