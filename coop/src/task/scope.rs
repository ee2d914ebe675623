//! Scopes: children that borrow from their parent, and are gone when the scope returns.

use super::join::ScopedJoinHandle;
use super::tree::{Kind, Node};
use super::{Task, spawn};
use crate::cooperator::Cooperator;
use crate::error::Cause;
use crate::list::{RawLink, RawList};
use std::any::Any;
use std::cell::Cell;
use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;
use std::panic::{AssertUnwindSafe, Location, catch_unwind, resume_unwind};

/// Something that was started in a scope and must be over before the scope returns: an operation in flight.
#[repr(C)]
pub(crate) struct Pending {
    link: RawLink,
    vtable: &'static PendingVtable,
}

/// What a scope does with it.
pub(crate) struct PendingVtable {
    /// Asks for an early end. Does not wait.
    pub(crate) cancel: unsafe fn(*const Pending),
    /// Waits until it is over, out of reach of kills, and frees it.
    pub(crate) settle: unsafe fn(*const Pending),
}

impl Pending {
    pub(crate) const fn new(vtable: &'static PendingVtable) -> Self {
        Pending { link: RawLink::new(), vtable }
    }

    pub(crate) fn unlink(&self) {
        self.link.unlink();
    }
}

/// A region of a task whose children may borrow everything that outlives it. Made by [`scope`] and [`wait_all`], which do not
/// return before all children have ended; only a reference to it is ever handed out.
///
/// Both lifetimes are invariant, as in `std::thread::Scope`: a child cannot borrow what is made inside the scope's closure:
///
/// ```compile_fail,E0373
/// # coop::run(|| {
/// coop::wait_all(|s| {
///     let inside = String::new();
///     s.spawn(|| println!("{inside}"));
/// });
/// # });
/// ```
///
/// and a handle cannot leave it:
///
/// ```compile_fail
/// # coop::run(|| {
/// let handle = coop::wait_all(|s| s.spawn(|| 1));
/// # });
/// ```
#[repr(C)]
pub struct Scope<'scope, 'env: 'scope> {
    /// First: the tree knows a scope by its node.
    node: Node,
    /// The first panic of a child that nobody joined.
    panic: Cell<Option<Box<dyn Any + Send>>>,
    pending: RawList,
    _scope: PhantomData<&'scope mut &'scope ()>,
    _env: PhantomData<&'env mut &'env ()>,
}

impl<'scope, 'env> Scope<'scope, 'env> {
    fn new() -> Self {
        Scope {
            node: Node::new(Kind::Scope),
            panic: Cell::new(None),
            pending: RawList::new(),
            _scope: PhantomData,
            _env: PhantomData,
        }
    }

    pub(crate) fn node(&self) -> &Node {
        &self.node
    }

    /// Starts a child that may borrow what outlives the scope. Not a wait point.
    ///
    /// A panic of the child that nobody joins kills the others and goes on from the scope.
    ///
    /// ```
    /// coop::run(|| {
    ///     let words = ["a", "bb", "ccc"];
    ///     let lengths = coop::wait_all(|s| {
    ///         let mut tasks = words.map(|word| s.spawn(move || word.len()));
    ///         tasks.each_mut().map(|task| task.join().unwrap())
    ///     });
    ///     assert_eq!(lengths, [1, 2, 3]);
    /// });
    /// ```
    #[track_caller]
    pub fn spawn<F, R>(&'scope self, f: F) -> ScopedJoinHandle<'scope, R>
    where
        F: FnOnce() -> R + 'scope,
        R: 'scope,
    {
        spawn::spawn_scoped_closure(self, f)
    }

    /// Kills the scope's children, and the rest of its body: their waits return `Err(Killed)`. Not a wait point.
    ///
    /// ```
    /// use std::time::Duration;
    /// coop::run(|| {
    ///     let first = coop::wait_all(|s| {
    ///         let mut slow = s.spawn(|| coop::sleep(Duration::from_secs(3600)));
    ///         let mut quick = s.spawn(|| coop::sleep(Duration::from_millis(1)));
    ///         let first = coop::select! { _ = &mut slow => "slow", _ = &mut quick => "quick" };
    ///         s.kill();
    ///         first
    ///     });
    ///     assert_eq!(first, Ok("quick"));
    /// });
    /// ```
    #[track_caller]
    pub fn kill(&self) {
        self.kill_for(Cause::Explicit(Location::caller()));
    }

    fn kill_for(&self, cause: Cause) {
        if let Some(cooperator) = Cooperator::current() {
            self.node.kill(cooperator, cause);
        }
    }

    /// Links something in flight, to be settled before the scope returns.
    ///
    /// # Safety
    /// `pending` stays at its address until it is unlinked or was settled through its vtable.
    pub(crate) unsafe fn register(&self, pending: &Pending) {
        // SAFETY: the caller's promise for the entry; the scope itself is only ever borrowed out.
        unsafe { self.pending.push_back(&pending.link) };
    }

    /// Keeps the first panic of a child and kills the rest.
    pub(super) fn child_panicked(node: &Node, cooperator: &Cooperator, payload: Box<dyn Any + Send>) {
        debug_assert_eq!(node.kind, Kind::Scope);
        // SAFETY: a node of this kind is the first field of a scope; its lifetimes do not matter for `panic`.
        let scope = unsafe { &*std::ptr::from_ref(node).cast::<Scope<'_, '_>>() };
        match scope.panic.take() {
            Some(first) => {
                scope.panic.set(Some(first));
                spawn::drop_payload(payload);
            }
            None => scope.panic.set(Some(payload)),
        }
        node.kill(cooperator, Cause::Sibling);
    }

    fn cancel_pending(&self) {
        let mut link = self.pending.front();
        while !link.is_null() {
            // SAFETY: what is linked here is a live `Pending`, which starts with its link; cancelling unlinks nothing.
            unsafe {
                let pending = link.cast::<Pending>();
                ((*pending).vtable.cancel)(pending);
                link = self.pending.after(link);
            }
        }
    }

    /// Waits for every child and everything in flight.
    fn settle(&self, cooperator: &Cooperator, place: &'static Location<'static>) {
        self.node.kill_daemons(cooperator);
        self.node.await_children(cooperator, place);
        // What is still registered was forgotten by its owner: nobody wants its result.
        self.cancel_pending();
        loop {
            let link = self.pending.pop_front();
            if link.is_null() {
                break;
            }
            // What frees it drops what it owns, which may be the user's, and panic: the others are in flight still, and the frame
            // is not left before them.
            let settled = catch_unwind(AssertUnwindSafe(|| {
                let pending = link.cast::<Pending>();
                // SAFETY: as in `cancel_pending`; it was unlinked just now, and is settled exactly once.
                unsafe { ((*pending).vtable.settle)(pending) };
            }));
            if let Err(payload) = settled {
                Self::child_panicked(&self.node, cooperator, payload);
            }
        }
    }

    /// Runs `body` as a frame of the running task. The frame is left only when nothing of the scope is left: outside of any
    /// unwinding, since `body` is caught here.
    fn run<T>(&self, place: &'static Location<'static>, body: impl FnOnce() -> T, fails: impl FnOnce(&T) -> bool) -> T {
        let cooperator = Cooperator::required();
        // SAFETY: the scope is on the frame of our caller, which this function's caller does not leave before us, and never
        // by unwinding before `leave`: `body` is caught.
        unsafe { self.node.enter(Task::running(cooperator)) };
        let result = match catch_unwind(AssertUnwindSafe(body)) {
            Ok(value) => {
                if fails(&value) {
                    self.node.kill(cooperator, Cause::Sibling);
                }
                Ok(value)
            }
            Err(panic) => {
                self.node.kill(cooperator, Cause::Parent);
                // The first goes on. If a child's came before, the body's may only follow from the kill that was its consequence.
                let (first, later) = match self.panic.take() {
                    Some(first) => (first, Some(panic)),
                    None => (panic, None),
                };
                self.panic.set(Some(first));
                Err(later)
            }
        };
        if std::thread::panicking() {
            // A scope in a destructor that runs because of a panic. It has no children (`spawn` gives such a scope none); what
            // it has in flight is drained in place.
            self.cancel_pending();
        }
        self.settle(cooperator, place);
        self.node.leave();
        match (result, self.panic.take()) {
            (Ok(value), None) => value,
            // The value is dropped before the panic goes on, outside of the unwinding.
            (Ok(value), Some(panic)) => {
                drop(value);
                resume_unwind(panic)
            }
            (Err(later), Some(first)) => {
                // A later one goes no further: it is dropped before the unwinding goes on.
                if let Some(payload) = later {
                    spawn::drop_payload(payload);
                }
                resume_unwind(first)
            }
            (Err(_), None) => unreachable!("a scope whose body has panicked keeps a panic"),
        }
    }
}

impl fmt::Debug for Scope<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scope").field("has_children", &self.node.has_children()).finish_non_exhaustive()
    }
}

/// A [`Scope`] that fails with an `E`: what the closure of [`scope`] is given. It is a `Scope` with one method more.
pub struct TryScope<'scope, 'env: 'scope, E> {
    scope: Scope<'scope, 'env>,
    error: Cell<Option<E>>,
}

impl<'scope, 'env, E> Deref for TryScope<'scope, 'env, E> {
    type Target = Scope<'scope, 'env>;

    fn deref(&self) -> &Scope<'scope, 'env> {
        &self.scope
    }
}

impl<'scope, E> TryScope<'scope, '_, E> {
    /// Starts a child whose `Err` fails the scope: the others are killed, with cause `Sibling`, and the scope returns the error.
    /// Not a wait point. The handle gives `None` for a child that failed.
    ///
    /// ```
    /// coop::run(|| {
    ///     let result: Result<(), &str> = coop::scope(|s| {
    ///         s.try_spawn(|| Err::<(), _>("no"));
    ///         s.spawn(|| coop::sleep(std::time::Duration::from_secs(3600)));
    ///         Ok(())
    ///     });
    ///     assert_eq!(result, Err("no"), "and the sleeper was killed");
    /// });
    /// ```
    #[track_caller]
    pub fn try_spawn<F, T>(&'scope self, f: F) -> ScopedJoinHandle<'scope, Option<T>>
    where
        F: FnOnce() -> Result<T, E> + 'scope,
        T: 'scope,
        E: 'scope,
    {
        spawn::spawn_scoped_closure(&self.scope, move || match f() {
            Ok(value) => Some(value),
            Err(error) => {
                self.fail(error);
                None
            }
        })
    }

    /// Keeps the first error, drops later ones.
    fn fail(&self, error: E) {
        match self.error.take() {
            Some(first) => self.error.set(Some(first)),
            None => self.error.set(Some(error)),
        }
        self.scope.kill_for(Cause::Sibling);
    }
}

impl<E> fmt::Debug for TryScope<'_, '_, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.scope.fmt(f)
    }
}

/// Runs `f` with a scope, and returns when all children of the scope have ended.
///
/// When `f` returns `Err` or panics, when a child started by [`TryScope::try_spawn`] returns `Err`, or when a child panics and
/// nobody joins it, the other children are killed and awaited; then the first error or panic goes on. When the task is killed
/// the children are killed with it, as everything below it.
///
/// A wait point at its end, out of reach of kills: children that were killed end soon.
///
/// ```
/// use std::io;
/// coop::run(|| -> io::Result<()> {
///     let mut halves = [String::new(), String::new()];
///     let [left, right] = &mut halves;
///     coop::scope(|s| -> io::Result<()> {
///         s.spawn(|| left.push_str("to be"));
///         s.spawn(|| right.push_str(" or not"));
///         Ok(())
///     })?;
///     assert_eq!(halves.concat(), "to be or not");
///     Ok(())
/// }).unwrap();
/// ```
///
/// # Errors
/// The first error of the closure or of a child started by `try_spawn`.
///
/// # Panics
/// With the panic of the closure or of a child that nobody joined; and on a thread without a Cooperator.
#[track_caller]
pub fn scope<'env, F, T, E>(f: F) -> Result<T, E>
where
    F: for<'scope> FnOnce(&'scope TryScope<'scope, 'env, E>) -> Result<T, E>,
{
    let scope = TryScope { scope: Scope::new(), error: Cell::new(None) };
    // The body's error counts as a child's does. If it is the first, children that then fail of being killed do not replace it.
    let body = || f(&scope).map_err(|error| scope.fail(error));
    let result = scope.scope.run(Location::caller(), body, Result::is_err);
    match (result, scope.error.take()) {
        (_, Some(error)) => Err(error),
        (Ok(value), None) => Ok(value),
        (Err(()), None) => unreachable!("`fail` keeps the first error"),
    }
}

/// Runs `f` with a scope, and returns when all children of the scope have ended: the plain form of [`scope`], without an error
/// rule. A panic still kills the others and goes on.
///
/// A wait point at its end, out of reach of kills.
///
/// ```
/// coop::run(|| {
///     let mut squares = [1, 2, 3];
///     coop::wait_all(|s| {
///         for n in &mut squares {
///             s.spawn(|| *n *= *n);
///         }
///     });
///     assert_eq!(squares, [1, 4, 9]);
/// });
/// ```
///
/// # Panics
/// With the panic of the closure or of a child that nobody joined; and on a thread without a Cooperator.
#[track_caller]
pub fn wait_all<'env, F, T>(f: F) -> T
where
    F: for<'scope> FnOnce(&'scope Scope<'scope, 'env>) -> T,
{
    let scope = Scope::new();
    scope.run(Location::caller(), || f(&scope), |_| false)
}
