//! Tasks: their tree, how they start and end, how they are killed and joined.

mod deadline;
mod join;
mod joiner;
mod kill;
mod registry;
mod scope;
mod shield;
mod spawn;
mod together;
mod tree;
mod wait;

pub use deadline::{Expired, deadline, timeout};
pub use join::{JoinHandle, ScopedJoinHandle};
pub use kill::{checkpoint, kill_cause, killed, no_switch, yield_now};
pub(crate) use registry::Row;
pub use registry::{Description, StackAdvice, Statistics, descriptions};
pub use scope::{Scope, TryScope, scope, wait_all};
pub use shield::shield;
pub use spawn::{Options, TaskBuilder, spawn};

pub(crate) use join::Joining;
use joiner::Joiner;
pub(crate) use kill::{is_refused, refuse, refuse_unless};
pub(crate) use scope::{Pending, PendingVtable};
pub use spawn::{spawn_described, spawn_in_scope};
pub use together::{Join, join};

pub(crate) use spawn::{caught_panic, drop_payload, spawn_root, spawn_under};
pub(crate) use tree::{Kind, Node};
pub(crate) use wait::{acquire, begin, begin_io, delivered, park, queue};

use crate::cooperator::Cooperator;
use crate::error::{Killed, TaskId};
use crate::fiber::Fiber;
use crate::stack::Stack;
use crate::sys;
use std::cell::Cell;
use std::mem::offset_of;
use std::panic::Location;

/// How a task's body ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Not yet.
    None,
    Returned,
    Panicked,
    /// Born killed.
    NeverRan,
    /// The value or the payload was given to a joiner.
    Taken,
}

/// A task's record. It stands at the top of the task's own stack, above its closure and later its result, and its frames: nothing
/// of it is allocated.
///
/// What a task touches that is woken, returns and ends comes first, in three cache lines.
#[repr(C)]
pub(crate) struct Task {
    /// First: a pointer to the fiber is a pointer to the task.
    pub(crate) fiber: Fiber,
    pub(crate) outcome: Cell<Outcome>,
    pub(crate) is_daemon: bool,
    pub(crate) was_born_killed: bool,
    /// Its panic was caught for somebody who is no joiner; and whether it had been killed by then.
    panic_caught: Cell<Option<bool>>,
    /// A JoinHandle exists: the record and its stack stay when the task ends.
    pub(crate) has_handle: Cell<bool>,
    /// Told when the task has ended.
    pub(crate) joiner: Joiner,
    /// `None`: the record is on the heap, there was no stack to be had.
    pub(crate) stack: Option<Stack>,
    pub(crate) description: &'static Description,
    pub(crate) node: Node,
    /// The innermost region the task is in: its own node, or a scope, deadline or shield on its stack.
    pub(crate) frame: Cell<*const Node>,
    /// Whose kill has the fiber's waits refused: a node of this task or of an ancestor; null while none does.
    pub(crate) origin: Cell<*const Node>,
    pub(crate) id: TaskId,
    /// `Cooperator::id`.
    pub(crate) cooperator: u64,
    pub(crate) name: &'static str,
    /// First the closure, in the end its value or its panic: what `outcome` says.
    payload: *mut (),
    vtable: &'static spawn::Vtable,
    pub(crate) spawned_at: &'static Location<'static>,
}

impl Task {
    /// The task of a fiber.
    ///
    /// # Safety
    /// Every fiber is the first field of a `Task`; this one must not have been recycled.
    #[inline]
    pub(crate) unsafe fn of<'a>(fiber: *const Fiber) -> &'a Task {
        // SAFETY: `repr(C)`, the fiber first.
        unsafe { &*fiber.cast::<Task>() }
    }

    /// Has the memory of a task fetched, given its node, or null: what a kill touches of it.
    #[inline]
    fn prefetch(node: *const Node) {
        let task = node.wrapping_byte_sub(offset_of!(Task, node)).cast::<u8>();
        for line in 0..5 {
            sys::prefetch(task.wrapping_add(64 * line));
        }
    }

    /// The running task.
    #[inline]
    pub(crate) fn running(cooperator: &Cooperator) -> &'static Task {
        debug_assert!(!cooperator.scheduler.running().is_null());
        // SAFETY: it runs, so it has not been recycled; callers use the reference only while they run.
        unsafe { Task::of(cooperator.scheduler.running()) }
    }

    /// Whether a backtrace can be taken and named on what is left of the stack: it took 14 KiB when that was measured. Of the
    /// running task only.
    pub(crate) fn has_room_for_backtrace(&self) -> bool {
        let here = 0u8;
        let left = |stack: &Stack| (&raw const here).addr().saturating_sub(stack.top().addr() - stack.size());
        self.stack.as_ref().is_some_and(|stack| left(stack) >= 24 * 1024)
    }

    /// Has waits refused, or no longer refused, according to `origin`.
    #[inline]
    pub(crate) fn set_origin(&self, origin: *const Node) {
        if self.origin.replace(origin) != origin {
            self.follow_origin(origin);
        }
    }

    fn follow_origin(&self, origin: *const Node) {
        self.fiber.set_killed(!origin.is_null());
    }

    /// Why its waits are refused, if they are: the effective kill of the innermost region it is in.
    pub(crate) fn killed(&self) -> Option<Killed> {
        // SAFETY: an origin is the task's own or an ancestor's node: ancestors outlive their descendants.
        let cause = unsafe { self.origin.get().as_ref() }.and_then(|origin| origin.own_cause());
        cause.map(|cause| Killed { cause, task: self.id })
    }
}

/// A task as seen from inside or outside: what it is, not a handle to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TaskInfo {
    id: TaskId,
    name: &'static str,
}

impl TaskInfo {
    /// Its number.
    pub fn id(&self) -> TaskId {
        self.id
    }

    /// The name it was given, or that of its function.
    pub fn name(&self) -> &'static str {
        self.name
    }
}

/// The task that calls this. Not a wait point.
///
/// # Panics
/// On a thread without a Cooperator.
///
/// ```
/// coop::run(|| {
///     assert_eq!(coop::current().name(), "root");
/// });
/// ```
#[track_caller]
pub fn current() -> TaskInfo {
    let task = Task::running(Cooperator::required());
    TaskInfo { id: task.id, name: task.name }
}
