//! A value that is made once, by whoever first asks; the others wait for it.

use crate::coordinator::Coordinator;
use crate::error::Killed;
use crate::fiber::Reason;
use crate::handle::{Queued, Source};
use std::cell::{Cell, UnsafeCell};
use std::fmt;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Empty,
    /// Somebody makes the value, or has been woken to.
    Making,
    /// There is one. It stays until the cell is borrowed mutably.
    Full,
}

/// A value that is made once, by the first task that asks for it; the others wait.
///
/// What makes it may wait. If that fails, panics or is killed, the task that has waited longest makes it instead.
///
/// ```
/// use coop::sync::OnceCell;
/// use std::{cell::Cell, time::Duration};
/// coop::run(|| -> Result<(), coop::Killed> {
///     let (config, loads) = (OnceCell::new(), Cell::new(0));
///     let load = || -> Result<String, coop::Killed> {
///         loads.set(loads.get() + 1);
///         coop::sleep(Duration::from_millis(1))?;
///         Ok("loaded".into())
///     };
///     coop::wait_all(|s| {
///         for _ in 0..3 {
///             s.spawn(|| assert_eq!(config.get_or_try_init(load).unwrap(), "loaded"));
///         }
///     });
///     assert_eq!((loads.get(), config.get().map(String::as_str)), (1, Some("loaded")));
///     Ok(())
/// }).unwrap();
/// ```
pub struct OnceCell<T> {
    stage: Cell<Stage>,
    value: UnsafeCell<Option<T>>,
    /// Always held: those who would make the value.
    makers: Coordinator,
    /// Always held: those who wait until somebody has.
    waiters: Coordinator,
}

impl<T> OnceCell<T> {
    /// Empty.
    pub const fn new() -> Self {
        OnceCell {
            stage: Cell::new(Stage::Empty),
            value: UnsafeCell::new(None),
            makers: Coordinator::held(),
            waiters: Coordinator::held(),
        }
    }

    /// The value, if it has been made. Not a wait point.
    pub fn get(&self) -> Option<&T> {
        if self.stage.get() != Stage::Full {
            return None;
        }
        // SAFETY: a full cell is written to only through `&mut self`.
        unsafe { &*self.value.get() }.as_ref()
    }

    /// The value, which nobody else can have.
    pub fn get_mut(&mut self) -> Option<&mut T> {
        self.value.get_mut().as_mut()
    }

    /// Puts the value in. Not a wait point.
    ///
    /// # Errors
    /// The value, if there is one already or a task is making it.
    pub fn set(&self, value: T) -> Result<(), T> {
        if self.stage.get() != Stage::Empty {
            return Err(value);
        }
        self.fill(value);
        Ok(())
    }

    /// The value; made by `make`, unless there is one, or another task makes it.
    ///
    /// A wait point if another task makes it; kill-checked. A kill does not interrupt `make`, but the waits in it.
    ///
    /// # Errors
    /// `Killed`, when the task was killed before the value was there or it was its turn to make it.
    ///
    /// # Panics
    /// As `make` does; and on a thread without a Cooperator. A `make` that waits for its own cell waits for ever.
    #[track_caller]
    pub fn get_or_init(&self, make: impl FnOnce() -> T) -> Result<&T, Killed> {
        self.get_or_try_init(|| Ok(make()))
    }

    /// As [`get_or_init`](OnceCell::get_or_init), when making it can fail: the error goes to the caller, and the task that has
    /// waited longest tries with its own `make`.
    ///
    /// # Errors
    /// Those of `make`; and `Killed`, made into one of them.
    ///
    /// # Panics
    /// As [`get_or_init`](OnceCell::get_or_init).
    #[track_caller]
    pub fn get_or_try_init<E: From<Killed>>(&self, make: impl FnOnce() -> Result<T, E>) -> Result<&T, E> {
        /// Somebody else's turn, however ours has ended.
        struct Turn<'a, T>(&'a OnceCell<T>);
        impl<T> Drop for Turn<'_, T> {
            fn drop(&mut self) {
                self.0.next_maker();
            }
        }

        if let Some(value) = self.get() {
            return Ok(value);
        }
        if let Some(value) = Queued::wait_for(&Making { cell: self })? {
            return Ok(value);
        }
        let turn = Turn(self);
        let value = make()?;
        std::mem::forget(turn);
        Ok(self.fill(value))
    }

    /// Waits until there is a value, without making it.
    ///
    /// A wait point if there is none; kill-checked.
    ///
    /// # Errors
    /// `Killed`.
    ///
    /// # Panics
    /// On a thread without a Cooperator.
    #[track_caller]
    pub fn wait(&self) -> Result<&T, Killed> {
        Queued::wait_for(&Filling { cell: self })
    }

    /// The value, out of the cell, which is then empty.
    pub fn take(&mut self) -> Option<T> {
        self.stage.set(Stage::Empty);
        self.value.get_mut().take()
    }

    /// The value.
    pub fn into_inner(self) -> Option<T> {
        self.value.into_inner()
    }

    /// Puts the value into a cell that has none, and tells everybody.
    fn fill(&self, value: T) -> &T {
        debug_assert_ne!(self.stage.get(), Stage::Full);
        // SAFETY: only a full cell has lent its value out, and this one is not full: whoever fills it found it empty just now, or
        // had the one turn. `None` has no destructor that could look at the cell.
        let value = unsafe { &*(*self.value.get()).insert(value) };
        self.stage.set(Stage::Full);
        for queue in [&self.makers, &self.waiters] {
            while queue.has_waiters() {
                queue.release();
            }
        }
        value
    }

    /// The turn that has ended has made nothing.
    fn next_maker(&self) {
        if self.makers.has_waiters() {
            self.makers.release();
        } else {
            self.stage.set(Stage::Empty);
        }
    }
}

/// Waits for the value (`Some`), or for the turn to make it (`None`), which whoever takes it must end.
struct Making<'a, T> {
    cell: &'a OnceCell<T>,
}

impl<'a, T> Source for Making<'a, T> {
    type Output = Option<&'a T>;
    type Waited = Result<Option<&'a T>, Killed>;

    fn queue(&self) -> &Coordinator {
        &self.cell.makers
    }

    fn is_ready(&self) -> bool {
        self.cell.stage.get() != Stage::Making
    }

    fn try_reserve(&self) -> bool {
        match self.cell.stage.get() {
            Stage::Empty => {
                self.cell.stage.set(Stage::Making);
                true
            }
            Stage::Making => false,
            Stage::Full => true,
        }
    }

    /// Without a value it is this one's turn: it was released by whoever had the turn before.
    fn take_reserved(&self) -> Self::Output {
        self.cell.get()
    }

    fn pass_on(&self) {
        if self.cell.get().is_none() {
            self.cell.next_maker();
        }
    }

    fn reason(&self) -> Reason {
        Reason::new("wait for a value that another task makes")
    }

    fn waited(result: Result<Self::Output, Killed>) -> Self::Waited {
        result
    }
}

/// `op::wait` of a [`OnceCell`].
#[doc(hidden)]
pub struct Filling<'a, T> {
    cell: &'a OnceCell<T>,
}

impl<'a, T> Filling<'a, T> {
    pub(crate) fn new(cell: &'a OnceCell<T>) -> Self {
        Filling { cell }
    }
}

impl<'a, T> Source for Filling<'a, T> {
    type Output = &'a T;
    type Waited = Result<&'a T, Killed>;

    fn queue(&self) -> &Coordinator {
        &self.cell.waiters
    }

    fn is_ready(&self) -> bool {
        self.cell.stage.get() == Stage::Full
    }

    fn try_reserve(&self) -> bool {
        self.is_ready()
    }

    fn take_reserved(&self) -> &'a T {
        self.cell.get().expect("only `fill` releases, and a cell that is lent stays full")
    }

    fn pass_on(&self) {}

    fn reason(&self) -> Reason {
        Reason::new("wait for a value")
    }

    fn waited(result: Result<&'a T, Killed>) -> Self::Waited {
        result
    }
}

impl<T> Default for OnceCell<T> {
    fn default() -> Self {
        OnceCell::new()
    }
}

impl<T> From<T> for OnceCell<T> {
    fn from(value: T) -> Self {
        let cell = OnceCell::new();
        cell.fill(value);
        cell
    }
}

impl<T: Clone> Clone for OnceCell<T> {
    fn clone(&self) -> Self {
        self.get().map_or_else(OnceCell::new, |value| OnceCell::from(value.clone()))
    }
}

impl<T: fmt::Debug> fmt::Debug for OnceCell<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.get() {
            Some(value) => f.debug_tuple("OnceCell").field(value).finish(),
            None => f.write_str("OnceCell(<empty>)"),
        }
    }
}
