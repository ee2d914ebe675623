//! Starting a task, and its first and last frame.
//!
//! ```text
//!   top of the stack ──▶ ┌──────────────────────────┐
//!                        │ colour: 0 … 15 lines     │  so that records do not all fall into the same cache sets
//!                        │ the pool's link          │  free stacks only
//!                        │ Task                     │  fiber, node, names: five lines with the link
//!                        ├──────────────────────────┤
//!                        │ payload                  │  first the closure, in the end its value or its panic
//!                        ├──────────────────────────┤
//!                        │ frames                   │
//! ```

use super::join::{JoinHandle, ScopedJoinHandle};
use super::joiner::Joiner;
use super::registry::{Depth, Description, Row};
use super::scope::Scope;
use super::tree::{Kind, Node};
use super::{Outcome, Task};
use crate::cooperator::{Cooperator, OrphanPanic};
use crate::error::{Cause, TaskId};
use crate::fiber::{Fiber, State};
use crate::in_place::write_fields;
use crate::stack::{self, Stack};
use crate::switch::{self, Context};
use crate::sys;
use std::alloc::{Layout, dealloc};
use std::any::Any;
use std::cell::Cell;
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

/// What must be known of a payload's types once they are forgotten.
pub(crate) struct Vtable {
    drop_value: unsafe fn(*mut ()),
    /// Returns the memory of a record that stands on the heap, given its payload.
    free_record: unsafe fn(*mut ()),
}

/// # Safety
/// `payload` is a value of this type, which nobody has taken.
unsafe fn drop_value<R>(payload: *mut ()) {
    // SAFETY: the caller's promise.
    unsafe { payload.cast::<R>().drop_in_place() }
}

/// # Safety
/// `payload` is that of a record which was allocated by [`record_on_heap`] with this type.
unsafe fn free_record<P>(payload: *mut ()) {
    // SAFETY: the payload comes first in it.
    unsafe { dealloc(payload.cast(), heap_layout(Layout::new::<P>()).0) }
}

/// Memory for a payload and a record above it, and where the record stands in it.
fn heap_layout(payload: Layout) -> (Layout, usize) {
    let (whole, record) = payload.extend(RECORD).expect("of sizes that are there");
    (whole, record)
}

/// A record begins where a cache line does.
const RECORD: Layout = match Layout::from_size_align(size_of::<Task>(), 64) {
    Ok(layout) => layout,
    Err(_) => panic!("of a size that is there"),
};

// With the pool's link, five lines.
const _: () = assert!(size_of::<Task>() + size_of::<usize>() <= 5 * 64 || cfg!(any(asan, tsan)));

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
    if try_stack(cooperator, description, options, Layout::new::<Payload<F, R>>()).is_err() {
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
    if let Err(error) = try_stack(cooperator, &ROOT, options, Layout::new::<Payload<F, R>>()) {
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
fn try_stack(cooperator: &Cooperator, description: &Description, options: Options, payload: Layout) -> io::Result<()> {
    let stack = find_stack(cooperator, description, options.stack, payload)?;
    // SAFETY: just taken, and used for nothing.
    unsafe { cooperator.pool.give_back(stack) };
    Ok(())
}

/// A stack for one task more, which has a place in the ready queue, too.
#[inline(never)]
fn find_stack(
    cooperator: &Cooperator,
    description: &Description,
    size: Option<usize>,
    payload: Layout,
) -> io::Result<Stack> {
    if !cooperator.make_room(cooperator.counters.live.get() + 1) {
        return Err(io::ErrorKind::OutOfMemory.into());
    }
    let wanted = size.or(description.stack()).unwrap_or(cooperator.settings.stack);
    let stack = cooperator.pool.take(stack_size(wanted, payload))?;
    if cooperator.settings.measure_stacks {
        // SAFETY: just taken, and used for nothing so far.
        unsafe { stack.forget() };
    }
    Ok(stack)
}

/// What a new task is to be.
#[derive(Clone, Copy)]
struct Birth {
    parent: *const Node,
    description: &'static Description,
    options: Options,
    vtable: &'static Vtable,
    spawned_at: &'static Location<'static>,
}

/// Puts a new task under `parent` and into the ready queue. Total: where there is no stack to be had, or where the parent
/// could not wait for it, the task never runs, and its closure is dropped here.
///
/// Here is what is done for a task like most, when there is a stack of the usual size to be used again: in a few instructions, without
/// a call.
///
/// # Safety
/// What `f` and `R` borrow stays until the task has ended, and `parent` (if not null) until it was disowned.
#[inline]
#[track_caller]
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
    let vtable = const { &Vtable { drop_value: drop_value::<R>, free_record: free_record::<Payload<F, R>> } };
    let spawned_at = Location::caller();
    // Made twice, and not on the frame of the short way.
    let birth = || Birth { parent, description, options, vtable, spawned_at };
    if options.stack.or(description.stack()).is_none()
        && size_of::<Payload<F, R>>() <= LARGE
        && cooperator.counters.live.get() < cooperator.scheduler.room()
        && description.is_counted_in(cooperator.counters.row.get())
        // SAFETY: a non-null parent is alive: the caller's promise.
        && !unsafe { is_unwinding_scope(parent) }
        && !cooperator.scheduler.is_traced()
        // SAFETY: the class is what `class_of` gave.
        && let Some(stack) = unsafe { cooperator.pool.take_warm(cooperator.stack_class) }
    {
        // SAFETY: the caller's promise. The stack was just taken, and nothing is on it.
        return unsafe {
            description.count_own_spawn(cooperator.counters.row.get());
            start_on(cooperator, stack, birth(), f)
        };
    }
    // SAFETY: the caller's promise.
    unsafe { start_otherwise(cooperator, birth(), f) }
}

/// Any other start.
///
/// # Safety
/// As [`start`].
#[inline(never)]
unsafe fn start_otherwise<F, R>(cooperator: &'static Cooperator, birth: Birth, f: F) -> *const Task
where
    F: FnOnce() -> R,
{
    let layout = Layout::new::<Payload<F, R>>();
    // SAFETY: the row is this Cooperator's.
    unsafe { birth.description.count_spawn(cooperator.counters.row.get()) };
    // SAFETY: a non-null parent is alive: the caller's promise.
    let stack = match unsafe { is_unwinding_scope(birth.parent) } {
        false => find_stack(cooperator, birth.description, birth.options.stack, layout).ok(),
        true => None,
    };
    if let Some(stack) = stack {
        // SAFETY: as in `start`.
        let task = unsafe { &*start_on(cooperator, stack, birth, f) };
        cooperator.scheduler.trace(|tracer| tracer.spawned(&task.fiber));
        return task;
    }
    let record = record_on_heap(layout);
    let payload = record.payload.cast::<Payload<F, R>>();
    // SAFETY: unused memory of the right sizes.
    unsafe {
        payload.write(Payload { closure: ManuallyDrop::new(f) });
        write_record(cooperator, record, Context::unset(), None, Birth { parent: ptr::null(), ..birth });
        never_run(cooperator, &*record.task);
        drop(ManuallyDrop::take(&mut (*payload).closure));
    }
    record.task
}

/// Whether `parent` is a scope whose frame is being left by a panic: it could not wait for a child.
///
/// # Safety
/// A parent that is not null is alive.
#[inline]
unsafe fn is_unwinding_scope(parent: *const Node) -> bool {
    // SAFETY: the caller's promise.
    unsafe { parent.as_ref() }.is_some_and(|parent| parent.kind == Kind::Scope) && std::thread::panicking()
}

/// Makes a task on a stack that is free, and puts it into the ready queue. It was counted with its kind.
///
/// # Safety
/// As [`start`]. The stack is nobody else's, and large enough.
#[inline(always)]
unsafe fn start_on<F, R>(cooperator: &'static Cooperator, stack: Stack, birth: Birth, f: F) -> *const Task
where
    F: FnOnce() -> R,
{
    let record = record_on_stack(&stack, Layout::new::<Payload<F, R>>());
    // SAFETY: aligned, unused memory of the right sizes, on a free stack. The frames of the task begin below it. The record's own
    // address goes into it: it does not move.
    unsafe {
        record.payload.cast::<Payload<F, R>>().write(Payload { closure: ManuallyDrop::new(f) });
        let frames = record.payload.cast::<u8>().map_addr(|address| address & !15);
        let context = switch::prepare(frames, first_frame::<F, R>, record.task.cast());
        #[cfg(any(asan, tsan))]
        let context = context.on(stack.top().wrapping_sub(stack.size()), stack.size());
        write_record(cooperator, record, context, Some(stack), birth);
        let task = &*record.task;
        task.node.adopt(cooperator, birth.parent, birth.options.is_daemon);
        if task.was_born_killed {
            task.set_origin(task.node.effective());
        }
        cooperator.scheduler.start(&task.fiber);
    }
    record.task
}

/// Ends a task before it has begun.
#[cold]
#[inline(never)]
fn never_run(cooperator: &Cooperator, task: &Task) {
    cooperator.counters.live.subtract(1);
    task.outcome.set(Outcome::NeverRan);
    task.fiber.state.set(State::Ended);
    // SAFETY: the row is this Cooperator's.
    unsafe { task.description.count_end(cooperator.counters.row.get(), false, false, Depth::NONE) };
}

/// A closure or a value larger than that stands on the stack in addition to what was asked for.
const LARGE: usize = 2048;

/// How much stack a task is given that wants so much.
fn stack_size(wanted: usize, payload: Layout) -> usize {
    /// How often a closure or its value stands on the stack: below the record, where the body is called with the one and makes
    /// the other, and where an unoptimised build moves them.
    const COPIES: usize = if cfg!(debug_assertions) { 8 } else { 3 };
    // With what aligning them skips.
    let extra = if payload.size() > LARGE { (payload.size() + payload.align()).saturating_mul(COPIES) } else { 0 };
    stack::scaled(wanted.max(stack::MINIMUM_SIZE)).saturating_add(extra)
}

/// Where a record stands, and its payload.
#[derive(Clone, Copy)]
struct Record {
    task: *mut Task,
    payload: *mut (),
}

/// First of all on its stack, the payload below, where the first frames touch the same lines.
#[inline]
fn record_on_stack(stack: &Stack, payload: Layout) -> Record {
    let down = |from: *mut u8, layout: Layout| {
        from.wrapping_sub(layout.size()).map_addr(|address| address & !(layout.align() - 1))
    };
    let task = down(stack.begin(), RECORD);
    Record { task: task.cast(), payload: down(task, payload).cast() }
}

/// In memory of its own.
#[cold]
fn record_on_heap(payload: Layout) -> Record {
    let (layout, offset) = heap_layout(payload);
    // SAFETY: not of size zero.
    let place = unsafe { std::alloc::alloc(layout) };
    if place.is_null() {
        std::alloc::handle_alloc_error(layout);
    }
    Record { task: place.wrapping_add(offset).cast(), payload: place.cast() }
}

/// Writes the record of a new task, in its place, and counts it, but for its kind.
///
/// # Safety
/// It is unused memory. The vtable is that of the payload's types. The parent is null, or alive.
#[inline(always)]
unsafe fn write_record(cooperator: &Cooperator, record: Record, context: Context, stack: Option<Stack>, birth: Birth) {
    let Record { task: place, payload } = record;
    let Birth { parent, description, options, vtable, spawned_at } = birth;
    let id = TaskId(cooperator.counters.spawned.get() + 1);
    cooperator.counters.spawned.set(id.0);
    cooperator.counters.live.add(1);
    // SAFETY: the caller's promise.
    unsafe {
        let effective = parent.as_ref().map_or(ptr::null(), Node::effective);
        write_fields!(place => Task {
            frame: Cell::new(&raw const (*place).node),
            origin: Cell::new(ptr::null()),
            id: id,
            cooperator: cooperator.id,
            name: options.name.unwrap_or(description.name()),
            description: description,
            joiner: Joiner::nobody(),
            outcome: Cell::new(Outcome::None),
            is_daemon: options.is_daemon,
            was_born_killed: !effective.is_null(),
            panic_caught: Cell::new(None),
            has_handle: Cell::new(true),
            stack: stack,
            payload: payload,
            vtable: vtable,
            spawned_at: spawned_at;
            fiber => |fiber| Fiber::write(fiber, context, spawned_at),
            node => |node| Node::write_task(node, parent, effective, place),
        });
    }
}

/// The first Rust frame of a task, and the last.
///
/// # Safety
/// `task` is the one at the top of this very stack, its payload a `Payload<F, R>`.
unsafe extern "C" fn first_frame<F, R>(task: *mut ()) -> !
where
    F: FnOnce() -> R,
{
    // SAFETY: the caller's promise. The record is shared with handles from here on; only this task touches the payload before
    // the outcome says what it is.
    let task = unsafe { &*task.cast::<Task>() };
    let payload = task.payload.cast::<Payload<F, R>>();
    let cooperator = Cooperator::required();
    // The closure is taken inside, and the value written inside: what is moved through `catch_unwind` is copied at each step of
    // an unoptimised build, and may be large.
    let result = catch_unwind(AssertUnwindSafe(|| {
        // SAFETY: `start` wrote the closure, and this is the only place that takes it.
        let closure = unsafe { ManuallyDrop::take(&mut (*payload).closure) };
        if task.was_born_killed {
            drop(closure);
            return Outcome::NeverRan;
        }
        let value = ManuallyDrop::new(closure());
        // SAFETY: the closure was taken, the place is free.
        unsafe { (&raw mut (*payload).value).write(value) };
        Outcome::Returned
    }));
    // Only from here on is the thread not unwinding: children are awaited now, and the payload waits meanwhile.
    let outcome = match result {
        Ok(outcome) => outcome,
        Err(panic) => {
            // SAFETY: as above.
            unsafe { (*payload).panic = ManuallyDrop::new(panic) };
            Outcome::Panicked
        }
    };
    end(cooperator, task, outcome)
}

/// The end of every task: children first, then the value, then the record.
///
/// Here is that of a task which has returned a value to somebody who has the handle, and has left no children behind: in a few
/// instructions, without a call.
fn end(cooperator: &'static Cooperator, task: &Task, outcome: Outcome) -> ! {
    let row = cooperator.counters.row.get();
    if let Some(stack) = &task.stack
        && outcome == Outcome::Returned
        && task.panic_caught.get().is_none()
        && !task.node.is_killed()
        && !task.node.has_children()
        && task.has_handle.get()
        && !cooperator.settings.measure_stacks
        // Not the root.
        && let Some(parent) = task.node.parent()
        && !Row::is_shared(row)
    {
        task.outcome.set(outcome);
        // SAFETY: the row is this Cooperator's, and nobody else's.
        unsafe { task.description.count_return(row, depth(task, stack), || stack.size()) };
        leave(cooperator, task, Some(parent), true)
    }
    end_otherwise(cooperator, task, outcome)
}

/// Any other end of a task.
#[inline(never)]
fn end_otherwise(cooperator: &'static Cooperator, task: &Task, outcome: Outcome) -> ! {
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
    let depth = task.stack.as_ref().map_or(Depth::NONE, |stack| {
        let measured = if cooperator.settings.measure_stacks { stack.depth() } else { None };
        let used = measured.unwrap_or_else(|| depth(task, stack));
        Depth { used, size: stack.size(), is_measured: measured.is_some() }
    });
    // SAFETY: the row is this Cooperator's.
    unsafe { task.description.count_end(cooperator.counters.row.get(), was_killed, has_panicked, depth) };
    leave(cooperator, task, task.node.parent(), task.has_handle.get())
}

/// The last that a task does, given its parent, if it is not the root, and whether a handle to it exists.
#[inline(always)]
fn leave(cooperator: &Cooperator, task: &Task, parent: Option<&Node>, has_handle: bool) -> ! {
    cooperator.counters.live.subtract(1);
    if let Some(parent) = parent {
        task.node.disown(cooperator, parent);
    }
    let joiner = task.joiner.wake();
    if !has_handle {
        // SAFETY: no handle is left, and nothing runs on this stack between here and the switch away from it.
        unsafe { recycle(cooperator, task) };
    }
    // SAFETY: the frames below hold nothing: `first_frame` has given everything away. A joiner clears the place before it ends.
    unsafe { cooperator.scheduler.end(&task.fiber, joiner) }
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

/// How deep the stack of a task was at its last wait.
#[inline]
fn depth(task: &Task, stack: &Stack) -> usize {
    // SAFETY: the context is written by switches, none of which is under way.
    stack.top().addr() - unsafe { (*task.fiber.context.get()).rsp }
}

/// Drops the value that nobody will join for, or deals with a panic that nobody will hear of. Runs user code.
#[inline(never)]
pub(super) fn discard(cooperator: &Cooperator, task: &Task) {
    match task.outcome.get() {
        Outcome::Returned => {
            task.outcome.set(Outcome::Taken);
            // SAFETY: the outcome said that the payload is a value, and now says that it was taken.
            let dropped = catch_unwind(AssertUnwindSafe(|| unsafe { (task.vtable.drop_value)(task.payload) }));
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
            if task.fiber.state.get() != State::Ended
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
    unsafe { task.payload.cast::<Box<dyn Any + Send>>().read() }
}

/// Takes the value of a task that returned.
///
/// # Safety
/// The outcome is `Returned`, and `R` is the task's type of value.
#[inline]
pub(super) unsafe fn take_value<R>(task: &Task) -> R {
    task.outcome.set(Outcome::Taken);
    // SAFETY: the caller's promise.
    unsafe { task.payload.cast::<R>().read() }
}

/// Gives a task's record and stack back.
///
/// # Safety
/// The task has ended, or is about to switch away for good; no handle to it is left; its payload was taken or dropped.
#[inline]
pub(super) unsafe fn recycle(cooperator: &Cooperator, task: &Task) {
    #[cold]
    #[inline(never)]
    unsafe fn free(task: &Task) {
        // SAFETY: a record without a stack came from the allocator with this layout.
        unsafe { (task.vtable.free_record)(task.payload) }
    }
    match &task.stack {
        // SAFETY: the caller's promise.
        Some(stack) => unsafe {
            #[cfg(asan)]
            switch::asan::over(task.fiber.context.get());
            cooperator.pool.give_back(*stack);
        },
        // SAFETY: the caller's promise.
        None => unsafe { free(task) },
    }
}
