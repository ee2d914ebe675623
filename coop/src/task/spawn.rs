//! Starting a task, and its first and last frame.
//!
//! ```text
//!   top of the stack ──▶ ┌──────────────────────────┐
//!                        │ colour: 0 … 15 lines     │  so that records do not all fall into the same cache sets
//!                        │ the pool's link          │  free stacks only
//!                        ├──────────────────────────┤
//!                        │ Package                  │
//!                        │   Task                   │  fiber, node, names, counters
//!                        │   payload                │  first the closure, in the end its value or its panic
//!                        ├──────────────────────────┤
//!                        │ frames                   │
//! ```

use super::join::{JoinHandle, ScopedJoinHandle};
use super::registry::{Depth, Description};
use super::scope::Scope;
use super::tree::{Kind, Node};
use super::{Outcome, Task};
use crate::cooperator::{Cooperator, OrphanPanic};
use crate::coordinator::{Coordinated, Coordinator};
use crate::error::{Cause, TaskId};
use crate::fiber::Fiber;
use crate::in_place::write_fields;
use crate::stack::{self, Stack};
use crate::switch::{self, Context};
use crate::sys;
use std::alloc::{Layout, dealloc};
use std::any::Any;
use std::cell::{Cell, UnsafeCell};
use std::io;
use std::mem::ManuallyDrop;
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::ptr;

/// What a single spawn may say differently from the task's description.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    name: Option<&'static str>,
    stack: Option<usize>,
    is_daemon: bool,
}

impl Options {
    /// Nothing different.
    pub const fn new() -> Self {
        Options { name: None, stack: None, is_daemon: false }
    }

    /// The name in dumps and messages.
    pub const fn name(self, name: &'static str) -> Self {
        Options { name: Some(name), ..self }
    }

    /// Usable bytes of stack; four times as much under debug assertions. Rounded up to a power of two, and at least 32 KiB.
    pub const fn stack(self, bytes: usize) -> Self {
        Options { stack: Some(bytes), ..self }
    }

    /// The parent's return kills the task instead of waiting for it.
    pub const fn daemon(self) -> Self {
        Options { is_daemon: true, ..self }
    }
}

#[repr(C)]
union Payload<F, R> {
    closure: ManuallyDrop<F>,
    value: ManuallyDrop<R>,
    panic: ManuallyDrop<Box<dyn Any + Send>>,
}

#[repr(C)]
struct Package<F, R> {
    task: Task,
    payload: UnsafeCell<Payload<F, R>>,
}

/// What must be known of a package's types once they are forgotten.
pub(crate) struct Vtable {
    /// Where the value or the panic's payload is.
    payload: unsafe fn(*const Task) -> *mut (),
    drop_value: unsafe fn(*const Task),
    /// Returns the memory of a record that stands on the heap.
    free_record: unsafe fn(*const Task),
}

/// # Safety
/// `task` is that of a `Package<F, R>`; so for the other two.
unsafe fn payload<F, R>(task: *const Task) -> *mut () {
    // SAFETY: the caller's promise; `repr(C)`, the task first. The union is `repr(C)` too, its variants begin where it does.
    unsafe { (*task.cast::<Package<F, R>>()).payload.get().cast() }
}

unsafe fn drop_value<F, R>(task: *const Task) {
    // SAFETY: as for `payload`; the payload is a value that nobody has taken.
    unsafe { payload::<F, R>(task).cast::<R>().drop_in_place() }
}

unsafe fn free_record<F, R>(task: *const Task) {
    // SAFETY: as for `payload`; the record was allocated with this layout.
    unsafe { dealloc(task.cast_mut().cast(), Layout::new::<Package<F, R>>()) }
}

static CLOSURE: Description = Description::new("task", "", "", 0, None);
static ROOT: Description = Description::new("root", "", "", 0, None);

/// Starts `f` as a child of the running task, and returns a handle to join it by. Not a wait point: the child is queued.
///
/// Dropping the handle leaves the child running; the parent does not end before it. In a task that was killed the child is
/// born killed: its body never runs.
///
/// ```
/// coop::run(|| {
///     let mut answer = coop::spawn(|| 6 * 7);
///     assert_eq!(answer.join().unwrap(), 42);
/// });
/// ```
///
/// # Panics
/// On a thread without a Cooperator.
#[track_caller]
pub fn spawn<F, R>(f: F) -> JoinHandle<R>
where
    F: FnOnce() -> R + 'static,
    R: 'static,
{
    spawn_described(&CLOSURE, Options::new(), f)
}

/// Settings for one task: name, stack, daemon.
///
/// ```
/// coop::run(|| {
///     let mut task = coop::TaskBuilder::new().name("deep").stack(1 << 20).spawn(|| coop::current().name());
///     assert_eq!(task.join().unwrap(), "deep");
/// });
/// ```
#[derive(Clone, Copy, Debug, Default)]
#[must_use = "a builder does nothing until `spawn`"]
pub struct TaskBuilder {
    options: Options,
}

impl TaskBuilder {
    /// The defaults.
    pub const fn new() -> Self {
        TaskBuilder { options: Options::new() }
    }

    /// The name in dumps and messages.
    pub const fn name(self, name: &'static str) -> Self {
        TaskBuilder { options: self.options.name(name) }
    }

    /// Usable bytes of stack in a release build; four times as much under debug assertions. Rounded up to a power of two, and
    /// at least 32 KiB.
    pub const fn stack(self, bytes: usize) -> Self {
        TaskBuilder { options: self.options.stack(bytes) }
    }

    /// The parent's return kills the task, with cause `Parent`, instead of waiting for it.
    pub const fn daemon(self) -> Self {
        TaskBuilder { options: self.options.daemon() }
    }

    /// As [`spawn`].
    ///
    /// # Panics
    /// On a thread without a Cooperator.
    #[track_caller]
    pub fn spawn<F, R>(self, f: F) -> JoinHandle<R>
    where
        F: FnOnce() -> R + 'static,
        R: 'static,
    {
        spawn_described(&CLOSURE, self.options, f)
    }

    /// As [`Scope::spawn`].
    #[track_caller]
    pub fn spawn_in<'scope, F, R>(self, scope: &'scope Scope<'scope, '_>, f: F) -> ScopedJoinHandle<'scope, R>
    where
        F: FnOnce() -> R + 'scope,
        R: 'scope,
    {
        spawn_in_scope(scope, &CLOSURE, self.options, f)
    }
}

/// Spawns a child of the running task. What `f::spawn` calls.
///
/// # Panics
/// On a thread without a Cooperator.
#[doc(hidden)]
#[track_caller]
pub fn spawn_described<F, R>(description: &'static Description, options: Options, f: F) -> JoinHandle<R>
where
    F: FnOnce() -> R + 'static,
    R: 'static,
{
    let cooperator = Cooperator::required();
    let parent = &Task::running(cooperator).node;
    // SAFETY: closure and value are 'static. The parent's node outlives its children: a task awaits them before it ends.
    JoinHandle::new(unsafe { start(cooperator, parent, description, options, f) })
}

/// Spawns a child of a task on whose thread's loop this is called. The address is good until the task has ended. Gives the closure
/// back when there is no stack to be had: its drop is the user's code, for which the loop is no place.
#[track_caller]
pub(crate) fn spawn_under<F, R>(
    parent: &Task,
    description: &'static Description,
    options: Options,
    f: F,
) -> Result<*const Task, F>
where
    F: FnOnce() -> R + 'static,
    R: 'static,
{
    let cooperator = Cooperator::required();
    if try_stack(cooperator, description, options, Layout::new::<Package<F, R>>()).is_err() {
        return Err(f);
    }
    // SAFETY: as in `spawn_described`.
    let task = unsafe { start(cooperator, &parent.node, description, options, f) };
    drop(JoinHandle::<R>::new(task));
    Ok(task)
}

/// Spawns a child of a scope. What `f::spawn_in` calls.
#[doc(hidden)]
#[track_caller]
pub fn spawn_in_scope<'scope, F, R>(
    scope: &'scope Scope<'scope, '_>,
    description: &'static Description,
    options: Options,
    f: F,
) -> ScopedJoinHandle<'scope, R>
where
    F: FnOnce() -> R + 'scope,
    R: 'scope,
{
    let cooperator = Cooperator::required();
    // SAFETY: the scope's frame is not left before all its children have ended, so what they borrow for 'scope is there.
    ScopedJoinHandle::new(unsafe { start(cooperator, scope.node(), description, options, f) })
}

/// Spawns a closure without a description of its own into a scope.
#[track_caller]
pub(super) fn spawn_scoped_closure<'scope, F, R>(scope: &'scope Scope<'scope, '_>, f: F) -> ScopedJoinHandle<'scope, R>
where
    F: FnOnce() -> R + 'scope,
    R: 'scope,
{
    spawn_in_scope(scope, &CLOSURE, Options::new(), f)
}

/// Makes the root task of a Cooperator, on whose loop this is called. Gives the closure back when there is no stack to be had.
///
/// # Safety
/// What `f` and its value borrow stays until the root has ended.
pub(crate) unsafe fn spawn_root<F, R>(cooperator: &'static Cooperator, f: F) -> Result<JoinHandle<R>, (io::Error, F)>
where
    F: FnOnce() -> R,
{
    let options = Options::new().stack(cooperator.settings.root_stack);
    if let Err(error) = try_stack(cooperator, &ROOT, options, Layout::new::<Package<F, R>>()) {
        return Err((error, f));
    }
    // SAFETY: the caller's promise; the root has no parent.
    unsafe {
        let task = start(cooperator, ptr::null(), &ROOT, options, f);
        cooperator.root.set(task.cast());
        Ok(JoinHandle::new(task))
    }
}

/// Sees that there is a stack for a task: that which the next [`start`] takes.
fn try_stack(cooperator: &Cooperator, description: &Description, options: Options, package: Layout) -> io::Result<()> {
    let stack = take_stack(cooperator, stack_size(cooperator, description, options, package))?;
    // SAFETY: just taken, and used for nothing.
    unsafe { cooperator.pool.give_back(stack) };
    Ok(())
}

/// A stack for one task more, which has a place in the ready queue, too.
#[inline]
fn take_stack(cooperator: &Cooperator, size: usize) -> io::Result<Stack> {
    if !cooperator.scheduler.make_room(cooperator.counters.live.get() + 1) {
        return Err(io::ErrorKind::OutOfMemory.into());
    }
    cooperator.pool.take(size)
}

/// Puts a new task under `parent` and into the ready queue. Total: where there is no stack to be had, or where the parent
/// could not wait for it, the task never runs, and its closure is dropped here.
///
/// # Safety
/// What `f` and `R` borrow stays until the task has ended, and `parent` (if not null) until it was disowned.
unsafe fn start<F, R>(
    cooperator: &'static Cooperator,
    parent: *const Node,
    description: &'static Description,
    options: Options,
    f: F,
) -> *const Task
where
    F: FnOnce() -> R,
{
    let layout = Layout::new::<Package<F, R>>();
    let size = stack_size(cooperator, description, options, layout);
    // SAFETY: a non-null parent is alive: the caller's promise.
    let in_unwinding_scope =
        unsafe { parent.as_ref() }.is_some_and(|p| p.kind == Kind::Scope) && std::thread::panicking();
    let stack = if in_unwinding_scope { None } else { take_stack(cooperator, size).ok() };
    if let Some(stack) = &stack
        && cooperator.settings.measure_stacks
    {
        // SAFETY: just taken, and used for nothing so far.
        unsafe { stack.forget() };
    }

    let place: *mut Package<F, R> = match &stack {
        Some(stack) => package_place(stack, layout).cast(),
        // SAFETY: a Package is not of size zero.
        None => unsafe { std::alloc::alloc(layout).cast() },
    };
    if place.is_null() {
        std::alloc::handle_alloc_error(layout);
    }
    let vtable = const {
        &Vtable { payload: payload::<F, R>, drop_value: drop_value::<F, R>, free_record: free_record::<F, R> }
    };
    let has_stack = stack.is_some();
    // SAFETY: `place` is aligned, unused memory of the right size: on a free stack or fresh from the allocator. The frames of
    // the task begin below it.
    unsafe {
        let task = &raw mut (*place).task;
        write_record(task, cooperator, first_frame::<F, R>, description, options, stack, vtable, Location::caller());
        (&raw mut (*place).payload).write(UnsafeCell::new(Payload { closure: ManuallyDrop::new(f) }));
        let task = &*task;
        if has_stack {
            task.was_born_killed.set(task.node.adopt(parent, task));
            task.set_origin(task.node.effective());
            cooperator.scheduler.start(&task.fiber);
            cooperator.scheduler.trace(|tracer| tracer.spawned(&task.fiber));
        } else {
            cooperator.counters.live.subtract(1);
            task.outcome.set(Outcome::NeverRan);
            task.fiber.state.set(crate::fiber::State::Ended);
            task.description.count_end(cooperator.counters.row.get(), false, false, Depth::NONE);
            task.ended.release();
            drop(ManuallyDrop::take(&mut (*(*place).payload.get()).closure));
        }
        task
    }
}

/// How much stack a task is given.
#[inline]
fn stack_size(cooperator: &Cooperator, description: &Description, options: Options, package: Layout) -> usize {
    /// How often a closure or its value stands on the stack: in the package, where the body is called with the one and makes
    /// the other, and where an unoptimised build moves them.
    const COPIES: usize = if cfg!(debug_assertions) { 8 } else { 3 };
    let wanted = options.stack.or(description.stack()).unwrap_or(cooperator.settings.stack);
    // Large closures and values stand on the stack, in addition to what was asked for. So does what aligning them skips.
    let extra = if package.size() > 2048 { (package.size() + package.align()).saturating_mul(COPIES) } else { 0 };
    stack::scaled(wanted.max(stack::MINIMUM_SIZE)).saturating_add(extra)
}

/// Writes the record of a new task, in its place, and counts it.
///
/// # Safety
/// `place` is unused memory for a `Task`: if there is a stack, on it, with nothing below. `vtable` and `entry` are those of the
/// package it is in.
#[inline(always)]
#[allow(clippy::too_many_arguments)]
unsafe fn write_record(
    place: *mut Task,
    cooperator: &Cooperator,
    entry: unsafe extern "C" fn(*mut ()) -> !,
    description: &'static Description,
    options: Options,
    stack: Option<Stack>,
    vtable: &'static Vtable,
    spawned_at: &'static Location<'static>,
) {
    let id = TaskId(cooperator.counters.spawned.get() + 1);
    cooperator.counters.spawned.set(id.0);
    cooperator.counters.live.add(1);
    description.count_spawn(cooperator.counters.row.get());
    // SAFETY: the caller's promise. The record's own address goes into it: it does not move.
    unsafe {
        let context = match stack {
            Some(_) => switch::prepare(place.cast::<u8>().map_addr(|a| a & !15), entry, place.cast()),
            None => Context::unset(),
        };
        #[cfg(any(asan, tsan))]
        let context = match &stack {
            Some(stack) => context.on(stack.top().wrapping_sub(stack.size()), stack.size()),
            None => context,
        };
        write_fields!(place => Task {
            frame: Cell::new(&raw const (*place).node),
            origin: Cell::new(ptr::null()),
            id: id,
            cooperator: cooperator.id,
            name: options.name.unwrap_or(description.name()),
            description: description,
            ended: Coordinator::held(),
            joiner: Coordinated::new(),
            outcome: Cell::new(Outcome::None),
            is_daemon: options.is_daemon,
            was_born_killed: Cell::new(false),
            panic_caught: Cell::new(None),
            has_handle: Cell::new(true),
            stack: stack,
            vtable: vtable,
            spawned_at: spawned_at;
            fiber => |fiber| Fiber::write(fiber, context, spawned_at),
            node => |node| Node::write(node, Kind::Task),
        });
    }
}

/// Where the package stands on a stack: first of all.
#[inline]
fn package_place(stack: &Stack, layout: Layout) -> *mut u8 {
    stack.begin().wrapping_sub(layout.size()).map_addr(|address| address & !(layout.align().max(64) - 1))
}

/// The first Rust frame of a task, and the last.
///
/// # Safety
/// `package` is the `Package<F, R>` at the top of this very stack.
unsafe extern "C" fn first_frame<F, R>(package: *mut ()) -> !
where
    F: FnOnce() -> R,
{
    // SAFETY: the caller's promise. The package is shared with handles from here on; only this task touches the payload before
    // the outcome says what it is.
    let package = unsafe { &*package.cast::<Package<F, R>>() };
    let task = &package.task;
    let cooperator = Cooperator::required();
    // The closure is taken inside, and the value written inside: what is moved through `catch_unwind` is copied at each step of
    // an unoptimised build, and may be large.
    let result = catch_unwind(AssertUnwindSafe(|| {
        // SAFETY: `start` wrote the closure, and this is the only place that takes it.
        let closure = unsafe { ManuallyDrop::take(&mut (*package.payload.get()).closure) };
        if task.was_born_killed.get() {
            drop(closure);
            return Outcome::NeverRan;
        }
        let value = ManuallyDrop::new(closure());
        // SAFETY: the closure was taken, the place is free.
        unsafe { (&raw mut (*package.payload.get()).value).write(value) };
        Outcome::Returned
    }));
    // Only from here on is the thread not unwinding: children are awaited now, and the payload waits meanwhile.
    let outcome = match result {
        Ok(outcome) => outcome,
        Err(payload) => {
            // SAFETY: as above.
            unsafe { (*package.payload.get()).panic = ManuallyDrop::new(payload) };
            Outcome::Panicked
        }
    };
    end(cooperator, task, outcome)
}

/// The end of every task: children first, then the value, then the record.
fn end(cooperator: &'static Cooperator, task: &Task, outcome: Outcome) -> ! {
    // Before the kills by which it ends its children: those are its own doing.
    let (was_killed, has_panicked) = match task.panic_caught.get() {
        Some(was_killed) => (was_killed, true),
        None => (task.node.is_killed(), outcome == Outcome::Panicked),
    };
    if outcome == Outcome::Panicked {
        task.node.kill(cooperator, Cause::Parent);
    } else if ptr::eq(cooperator.root.get().cast(), task) {
        task.node.kill(cooperator, Cause::Shutdown);
    }
    end_children(cooperator, task);
    task.outcome.set(outcome);
    if !task.has_handle.get() {
        discard(cooperator, task);
        // What was discarded may have spawned in its `drop`.
        end_children(cooperator, task);
    }

    // No user code runs from here on.
    let depth = task.stack.as_ref().map_or(Depth::NONE, |stack| depth(cooperator, task, stack));
    task.description.count_end(cooperator.counters.row.get(), was_killed, has_panicked, depth);
    cooperator.counters.live.subtract(1);
    task.node.disown(cooperator);
    task.ended.release();
    if !task.has_handle.get() {
        // SAFETY: no handle is left, and nothing runs on this stack between here and the switch away from it.
        unsafe { recycle(cooperator, task) };
    }
    // SAFETY: the frames below hold nothing: `first_frame` has given everything away.
    unsafe { cooperator.scheduler.end() }
}

/// Kills the children that nobody is to wait for, and waits for all.
#[inline]
fn end_children(cooperator: &Cooperator, task: &Task) {
    #[inline(never)]
    fn end_them(cooperator: &Cooperator, task: &Task) {
        // A kill of the task's own has reached them.
        if !task.node.is_killed() {
            task.node.kill_daemons(cooperator);
        }
        task.node.await_children(cooperator, task.spawned_at);
    }
    if task.node.has_children() {
        end_them(cooperator, task);
    }
}

/// How deep the stack of a task that ends has been.
#[inline]
fn depth(cooperator: &Cooperator, task: &Task, stack: &Stack) -> Depth {
    // SAFETY: the context is written by switches, none of which is under way.
    let used = stack.top().addr() - unsafe { (*task.fiber.context.get()).rsp };
    if cooperator.settings.measure_stacks {
        return measured_depth(stack, used);
    }
    Depth { used, size: stack.size(), is_measured: false }
}

#[cold]
#[inline(never)]
fn measured_depth(stack: &Stack, used: usize) -> Depth {
    match stack.depth() {
        Some(used) => Depth { used, size: stack.size(), is_measured: true },
        None => Depth { used, size: stack.size(), is_measured: false },
    }
}

/// Drops the value that nobody will join for, or deals with a panic that nobody will hear of. Runs user code.
#[inline(never)]
pub(super) fn discard(cooperator: &Cooperator, task: &Task) {
    match task.outcome.get() {
        Outcome::Returned => {
            task.outcome.set(Outcome::Taken);
            // SAFETY: the outcome said that the payload is a value, and now says that it was taken.
            let dropped = catch_unwind(AssertUnwindSafe(|| unsafe { (task.vtable.drop_value)(task) }));
            if let Err(payload) = dropped {
                orphan_panic(cooperator, task, payload);
            }
        }
        Outcome::Panicked => {
            // SAFETY: the outcome says that the payload is a panic's.
            let payload = unsafe { take_panic(task) };
            orphan_panic(cooperator, task, payload);
        }
        Outcome::None | Outcome::NeverRan | Outcome::Taken => {}
    }
}

/// The body of the running task has panicked, and the payload was caught for somebody who is no joiner. As after any panic the
/// children are killed, and the panic is counted.
pub(crate) fn caught_panic(cooperator: &Cooperator) {
    let task = Task::running(cooperator);
    task.panic_caught.set(Some(task.node.is_killed()));
    task.node.kill(cooperator, Cause::Parent);
}

fn orphan_panic(cooperator: &Cooperator, task: &Task, payload: Box<dyn Any + Send>) {
    // A task that has ended was disowned, but its parent may be gone only if it is no scope: scoped handles end with theirs.
    if let Some(parent) = task.node.parent()
        && parent.kind == Kind::Scope
    {
        Scope::child_panicked(parent, cooperator, payload);
        return;
    }
    // SAFETY: the root is set before any task runs, and stays until the Cooperator goes.
    let root = unsafe { &*cooperator.root.get().cast::<Task>() };
    // After the root's end it is most likely the kill that the task has not survived.
    if root.node.own_cause() != Some(Cause::Shutdown) {
        cooperator.counters.orphan_panics.add(1);
    }
    match cooperator.settings.on_orphan_panic {
        OrphanPanic::Log => {}
        OrphanPanic::KillParent => {
            // Only while the task is still in the tree is its parent sure to be there.
            if task.fiber.state.get() != crate::fiber::State::Ended
                && let Some(parent) = task.node.parent()
            {
                parent.kill(cooperator, Cause::Parent);
            }
        }
        OrphanPanic::Abort => {
            sys::die(format_args!(
                "coop: task {} '{}' panicked and nobody joined it; aborting as configured",
                task.id, task.name
            ));
        }
    }
    drop_payload(payload);
}

/// Drops the payload of a panic that goes no further. Its own drop may panic, and the drop of what it panics with: neither takes
/// the runtime along.
pub(crate) fn drop_payload(payload: Box<dyn Any + Send>) {
    if let Err(second) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
        std::mem::forget(second);
    }
}

/// Takes the payload of a task that panicked.
///
/// # Safety
/// The outcome is `Panicked`.
pub(super) unsafe fn take_panic(task: &Task) -> Box<dyn Any + Send> {
    task.outcome.set(Outcome::Taken);
    // SAFETY: the caller's promise; all variants of the union begin where it does.
    unsafe { (task.vtable.payload)(task).cast::<Box<dyn Any + Send>>().read() }
}

/// Takes the value of a task that returned.
///
/// # Safety
/// The outcome is `Returned`, and `R` is the task's type of value.
#[inline]
pub(super) unsafe fn take_value<R>(task: &Task) -> R {
    task.outcome.set(Outcome::Taken);
    // SAFETY: the caller's promise.
    unsafe { (task.vtable.payload)(task).cast::<R>().read() }
}

/// Gives a task's record and stack back.
///
/// # Safety
/// The task has ended, or is about to switch away for good; no handle to it is left; its payload was taken or dropped.
#[inline]
pub(super) unsafe fn recycle(cooperator: &Cooperator, task: &Task) {
    match &task.stack {
        // SAFETY: the caller's promise.
        Some(stack) => unsafe {
            #[cfg(asan)]
            switch::asan::over(task.fiber.context.get());
            cooperator.pool.give_back(*stack);
        },
        // SAFETY: a record without a stack came from the allocator with this layout.
        None => unsafe { (task.vtable.free_record)(task) },
    }
}
