//! The tree of what can be killed: tasks, and the scopes, deadlines and shields on their stacks.
//!
//! ```text
//!   task "root" ──inner──▶ timeout ──inner──▶ scope          the frames of one task, outermost first
//!      │                                        │
//!      children                                 children
//!      ▼                                        ▼
//!   task "log"                               task "a"  task "b" ──inner──▶ shield
//! ```
//!
//! Each node has an *effective* kill: what its parent's is, unless it is a shield; else its own. So the outermost cause wins.
//! It is kept as a pointer to the node that it began at, its *origin*, and propagated at once when anything changes.

use super::Task;
use crate::cooperator::Cooperator;
use crate::error::Cause;
use crate::fiber::Reason;
use crate::in_place::write_fields;
use crate::siblings::{Family, Sibling, Siblings};
use crate::sys;
use crate::timers::Timer;
use std::cell::Cell;
use std::marker::PhantomPinned;
use std::mem::{MaybeUninit, offset_of};
use std::panic::Location;
use std::ptr;

/// What a node stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Task,
    Scope,
    Deadline,
    /// Kills from outside stop here while it is closed.
    Shield,
}

/// A task, scope, deadline or shield.
#[repr(C)]
pub(crate) struct Node {
    /// First: a pointer to it is one to the node. Of tasks only.
    sibling: Sibling,
    pub(crate) kind: Kind,
    /// The owner waits for its last child.
    is_awaiting: Cell<bool>,
    /// A wait was refused, somewhere below, because of this node's own kill.
    is_delivered: Cell<bool>,
    /// A shield that no longer shields.
    is_open: Cell<bool>,
    /// It has had children that it does not wait for: there may be some still.
    has_daemons: Cell<bool>,
    parent: Cell<*const Node>,
    /// Tasks only.
    children: Family,
    effective: Cell<*const Node>,
    /// The next frame inward of the same task.
    inner: Cell<*const Node>,
    own: Cell<Option<Cause>>,
    /// The task on whose stack, or at whose head, the node stands.
    task: Cell<*const Task>,
    /// The chain of nodes still to be visited by a propagation.
    next_visit: Cell<*const Node>,
    _pinned: PhantomPinned,
}

/// What a node of the kind `Shield` is the first field of.
#[repr(C)]
pub(crate) struct Mask {
    pub(crate) node: Node,
    /// Opens it. Started when there is something to hold off.
    pub(crate) timer: Timer,
    pub(crate) ends: u64,
    has_begun: Cell<bool>,
}

impl Mask {
    /// One that `timer` opens, at `ends`.
    pub(crate) fn new(timer: Timer, ends: u64) -> Self {
        Mask { node: Node::new(Kind::Shield), timer, ends, has_begun: Cell::new(false) }
    }
}

impl Node {
    /// For debuggers; so are the next three.
    pub(crate) const SIBLING_OFFSET: usize = offset_of!(Node, sibling);
    pub(crate) const TASK_OFFSET: usize = offset_of!(Node, task);
    pub(crate) const INNER_OFFSET: usize = offset_of!(Node, inner);
    pub(crate) const CHILDREN_OFFSET: usize = offset_of!(Node, children);

    pub(crate) fn new(kind: Kind) -> Self {
        let mut node = MaybeUninit::uninit();
        // SAFETY: `write` writes all of it.
        unsafe {
            Self::write(node.as_mut_ptr(), kind, ptr::null(), ptr::null(), ptr::null());
            node.assume_init()
        }
    }

    /// Writes a task's node, to be [adopted](Node::adopt) by `parent` (the root's is null), whose kill is in effect in it.
    ///
    /// # Safety
    /// `this` is aligned and writable.
    #[inline(always)]
    pub(crate) unsafe fn write_task(this: *mut Node, parent: *const Node, effective: *const Node, task: *const Task) {
        // SAFETY: the caller's promise.
        unsafe { Self::write(this, Kind::Task, parent, task, effective) };
    }

    /// Writes a node, in place.
    ///
    /// # Safety
    /// `this` is aligned and writable.
    #[inline(always)]
    unsafe fn write(this: *mut Node, kind: Kind, parent: *const Node, task: *const Task, effective: *const Node) {
        // SAFETY: the caller's promise.
        unsafe {
            write_fields!(this => Node {
                sibling: Sibling::new(),
                kind: kind,
                is_awaiting: Cell::new(false),
                is_delivered: Cell::new(false),
                is_open: Cell::new(false),
                has_daemons: Cell::new(false),
                parent: Cell::new(parent),
                task: Cell::new(task),
                inner: Cell::new(ptr::null()),
                children: Family::new(),
                own: Cell::new(None),
                effective: Cell::new(effective),
                next_visit: Cell::new(ptr::null()),
                _pinned: PhantomPinned,
            });
        }
    }

    pub(crate) fn own_cause(&self) -> Option<Cause> {
        self.own.get()
    }

    /// Where the kill in effect here began; null if none is.
    pub(crate) fn effective(&self) -> *const Node {
        self.effective.get()
    }

    /// Whether waits in this node are refused.
    pub(crate) fn is_killed(&self) -> bool {
        !self.effective.get().is_null()
    }

    /// Whether a kill that began outside this node is in effect in it.
    pub(crate) fn is_killed_from_outside(&self) -> bool {
        self.is_killed() && !ptr::eq(self.effective.get(), self)
    }

    /// Notes that a wait was refused because of this node's kill.
    pub(crate) fn set_delivered(&self) {
        self.is_delivered.set(true);
    }

    pub(crate) fn is_delivered(&self) -> bool {
        self.is_delivered.get()
    }

    /// The task it belongs to.
    pub(crate) fn task(&self) -> &Task {
        // SAFETY: set when the node is linked; a task outlives its frames.
        unsafe { &*self.task.get() }
    }

    /// The node around it; `None` for the root's.
    pub(crate) fn parent(&self) -> Option<&Node> {
        // SAFETY: a parent outlives its children and inner frames.
        unsafe { self.parent.get().as_ref() }
    }

    /// Whether `node` is right around it.
    #[inline]
    pub(crate) fn is_child_of(&self, node: &Node) -> bool {
        ptr::eq(self.parent.get(), node)
    }

    /// The next frame inward.
    pub(crate) fn inner(&self) -> Option<&Node> {
        // SAFETY: a frame that goes away removes itself here first (`Node::leave`).
        unsafe { self.inner.get().as_ref() }
    }

    pub(crate) fn has_children(&self) -> bool {
        !self.children.is_empty()
    }

    /// Calls `f` for each child task, in the order they were spawned. `f` must not start or end any.
    pub(crate) fn for_each_child(&self, siblings: &Siblings, mut f: impl FnMut(&Task)) {
        let mut children = siblings.of(&self.children).peekable();
        while let Some(child) = children.next() {
            Task::prefetch(children.peek().map_or(ptr::null(), |next| next.cast()));
            // SAFETY: who is in `children` is the node of a live task, `repr(C)` with its links' number first.
            f(unsafe { &*child.cast::<Node>() }.task());
        }
    }

    /// Gives memory back that was needed when many more tasks lived, after the scheduler has.
    pub(crate) fn trim(cooperator: &Cooperator) {
        // SAFETY: as in `for_each_child`. A task that has not ended has the parent it was adopted by.
        let family_of = |child: *const Sibling| unsafe { &(*(*child.cast::<Node>()).parent.get()).children };
        // SAFETY: just seen to.
        unsafe { cooperator.siblings.shrink(cooperator.scheduler.room(), family_of) };
    }

    /// Links a new task's node under `parent`, with which it was written.
    ///
    /// # Safety
    /// Neither node moves or goes away while linked. There is [room](Cooperator::make_room) for the task.
    #[inline]
    pub(crate) unsafe fn adopt(&self, cooperator: &Cooperator, parent: *const Node, is_daemon: bool) {
        // SAFETY: the caller's promise. The root has no parent.
        if let Some(parent) = unsafe { parent.as_ref() } {
            debug_assert!(cooperator.counters.live.get() <= cooperator.siblings.room());
            // SAFETY: the node is new, so it is in no family; the rest is the caller's promise.
            unsafe { cooperator.siblings.enter(&parent.children, ptr::from_ref(self).cast()) };
            if is_daemon {
                parent.has_daemons.set(true);
            }
        }
    }

    /// Takes an ended task's node out of the tree, where `parent` has it, and wakes whoever waits for the last child.
    #[inline(always)]
    pub(crate) fn disown(&self, cooperator: &Cooperator, parent: &Node) {
        debug_assert!(self.is_child_of(parent));
        // SAFETY: its parent has adopted it.
        unsafe { cooperator.siblings.leave(&parent.children, &self.sibling) };
        if parent.is_awaiting.get() && !parent.has_children() {
            cooperator.scheduler.unpark(&parent.task().fiber);
        }
        if parent.kind != Kind::Scope {
            // A handle may outlive the parent task, and looks here. (No scoped handle outlives its scope.)
            self.parent.set(ptr::null());
        }
    }

    /// Kills the children that are not to be waited for. Where there were none, this looks at no child: a million that are parked
    /// are a million misses.
    pub(crate) fn kill_daemons(&self, cooperator: &Cooperator) {
        if !self.has_daemons.get() {
            return;
        }
        self.for_each_child(&cooperator.siblings, |child| {
            if child.is_daemon {
                child.node.kill(cooperator, Cause::Parent);
            }
        });
    }

    /// Waits, out of reach of kills, until there are no children.
    #[inline]
    pub(crate) fn await_children(&self, cooperator: &Cooperator, place: &'static Location<'static>) {
        if self.has_children() {
            self.park_for_children(cooperator, place);
        }
    }

    fn park_for_children(&self, cooperator: &Cooperator, place: &'static Location<'static>) {
        let fiber = &self.task().fiber;
        fiber.reason.set(Reason::new("children"));
        fiber.place.set(place);
        fiber.since.set(cooperator.scheduler.pass_time.get());
        self.is_awaiting.set(true);
        while self.has_children() {
            cooperator.scheduler.park(false);
        }
        self.is_awaiting.set(false);
    }

    /// Makes this node the innermost frame of the running task.
    ///
    /// # Safety
    /// The node stays where it is until [`Node::leave`], which the same task calls, frames in reverse order.
    pub(crate) unsafe fn enter(&self, task: &Task) {
        let outer = task.frame.replace(self);
        self.task.set(task);
        self.parent.set(outer);
        // SAFETY: the task's frames are alive.
        unsafe { (*outer).inner.set(self) };
        self.watch_mask();
        self.effective.set(self.computed());
        task.set_origin(self.effective.get());
    }

    /// Takes the innermost frame off. A frame that is not the innermost aborts: someone let go of a frame out of order.
    pub(crate) fn leave(&self) {
        let task = self.task();
        if !ptr::eq(task.frame.get(), self) {
            sys::die(format_args!(
                "coop: task {} '{}' left a scope, deadline or shield out of order",
                task.id, task.name
            ));
        }
        let outer = self.parent.get();
        task.frame.set(outer);
        // SAFETY: the outer frame, or the task's own node, outlives the inner one.
        unsafe {
            (*outer).inner.set(ptr::null());
            task.set_origin((*outer).effective.get());
        }
    }

    /// Kills the node: all waits below, now and later, are refused. The first cause stays. Wakes, but switches nowhere.
    pub(crate) fn kill(&self, cooperator: &Cooperator, cause: Cause) {
        if self.own.get().is_none() {
            self.own.set(Some(cause));
            cooperator.scheduler.trace(|tracer| tracer.killed(&self.task().fiber, cause));
            self.propagate(cooperator);
        }
    }

    /// Ends the mask of a shield.
    pub(crate) fn open(&self, cooperator: &Cooperator) {
        self.is_open.set(true);
        self.propagate(cooperator);
    }

    #[inline]
    fn computed(&self) -> *const Node {
        let outside = match self.parent() {
            Some(parent) if !self.is_mask() => parent.effective.get(),
            _ => ptr::null(),
        };
        match outside.is_null() && self.own.get().is_some() {
            true => self,
            false => outside,
        }
    }

    fn is_mask(&self) -> bool {
        self.kind == Kind::Shield && !self.is_open.get()
    }

    /// Starts a closed shield's grace when a kill is there to be held off; opens it if the grace is over.
    fn watch_mask(&self) {
        if self.is_mask() && self.parent().is_some_and(Node::is_killed) {
            self.hold_off();
        }
    }

    #[cold]
    fn hold_off(&self) {
        // SAFETY: this node is a shield's: the first field of a `Mask`, whose timer is stopped before it goes.
        unsafe {
            let mask = &*ptr::from_ref(self).cast::<Mask>();
            if let Some(cooperator) = Cooperator::current()
                && !mask.has_begun.replace(true)
            {
                // A kill that comes when the grace is over, though no timer has said so, is not held off at all.
                match mask.ends {
                    ends if ends <= cooperator.clock.now() => self.is_open.set(true),
                    ends => cooperator.timers.start(&mask.timer, ends),
                }
            }
        }
    }

    /// Brings the effective kills of this node and all below it up to date: parents first, siblings in order.
    fn propagate(&self, cooperator: &Cooperator) {
        if !self.follow(cooperator) {
            return;
        }
        let mut last: *const Node = self;
        let mut next: *const Node = self;
        self.next_visit.set(ptr::null());
        // Each is seen to when it is found, and not visited again if it leads no further: the memory of a task that has long been
        // parked is far away.
        let mut found = |node: &Node| {
            if node.follow(cooperator) && (node.has_children() || node.inner().is_some()) {
                node.next_visit.set(ptr::null());
                // SAFETY: all nodes of the tree stay where they are: this switches nowhere and ends nothing.
                unsafe { (*last).next_visit.set(node) };
                last = node;
            }
        };
        // SAFETY: as in `found`.
        while let Some(node) = unsafe { next.as_ref() } {
            node.inner().map(&mut found);
            node.for_each_child(&cooperator.siblings, |child| found(&child.node));
            next = node.next_visit.get();
        }
    }

    /// Brings the effective kill of this node up to date with its parent's. Whether it has changed.
    #[inline]
    fn follow(&self, cooperator: &Cooperator) -> bool {
        self.watch_mask();
        let effective = self.computed();
        if self.effective.replace(effective) == effective {
            return false;
        }
        let task = self.task();
        if ptr::eq(task.frame.get(), self) {
            task.set_origin(effective);
            if !effective.is_null() {
                cooperator.scheduler.interrupt(&task.fiber);
            }
        }
        true
    }
}
