//! A flow of control on a stack of its own: a saved context, a run state, and what it waits for.

use crate::in_place::write_fields;
use crate::switch::Context;
use std::cell::{Cell, UnsafeCell};
use std::fmt;
use std::mem::offset_of;
use std::panic::Location;

/// Where a fiber is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// It runs, or is in the ready queue.
    Active,
    /// Switched out until something wakes it. `killable`: a kill does, too.
    Parked { killable: bool },
    /// It will never run again.
    Ended,
}

/// What a parked fiber waits for, as the dump prints it.
#[derive(Clone, Copy, Debug)]
pub struct Reason {
    pub(crate) verb: &'static str,
    pub(crate) detail: Detail,
}

/// The object of a wait. With a layout that debuggers can rely on.
#[derive(Clone, Copy, Debug)]
#[repr(u32)]
pub enum Detail {
    None,
    Descriptor(i32),
    Task(u64),
    /// A deadline, in nanoseconds of the Cooperator's clock.
    Time(u64),
    Count(usize),
}

impl Reason {
    pub(crate) const fn new(verb: &'static str) -> Self {
        Reason { verb, detail: Detail::None }
    }

    pub(crate) const fn on(verb: &'static str, detail: Detail) -> Self {
        Reason { verb, detail }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.detail {
            Detail::None => f.write_str(self.verb),
            Detail::Descriptor(fd) => write!(f, "{} on fd {fd}", self.verb),
            Detail::Task(id) => write!(f, "{} task #{id}", self.verb),
            Detail::Time(_) => f.write_str(self.verb),
            Detail::Count(count) => write!(f, "{} of {count}", self.verb),
        }
    }
}

/// The part of a task that scheduling and waiting need. Always the first field of a `Task`, which begins where a cache line does.
///
/// What a switch touches comes first, in one line.
#[repr(C)]
pub(crate) struct Fiber {
    pub(crate) context: UnsafeCell<Context>,
    pub(crate) state: Cell<State>,
    /// Waits of this fiber are refused.
    is_killed: Cell<bool>,
    /// How many waits in a row were refused.
    pub(crate) refusals: Cell<u32>,
    /// The place in the source of the wait.
    pub(crate) place: Cell<&'static Location<'static>>,
    /// When the wait began, on the Cooperator's clock as of its last pass.
    pub(crate) since: Cell<u64>,
    pub(crate) reason: Cell<Reason>,
}

impl Fiber {
    /// For debuggers.
    pub(crate) const IS_KILLED_OFFSET: usize = offset_of!(Fiber, is_killed);

    /// Writes a new fiber.
    ///
    /// # Safety
    /// `this` is aligned and writable.
    #[inline]
    pub(crate) unsafe fn write(this: *mut Fiber, context: Context, place: &'static Location<'static>) {
        // SAFETY: the caller's promise.
        unsafe {
            write_fields!(this => Fiber {
                context: UnsafeCell::new(context),
                state: Cell::new(State::Active),
                is_killed: Cell::new(false),
                refusals: Cell::new(0),
                reason: Cell::new(Reason::new("start")),
                place: Cell::new(place),
                since: Cell::new(0),
            });
        }
    }

    /// Notes what it is about to wait for, where in the source, and since when.
    #[inline(always)]
    pub(crate) fn wait_for(&self, reason: Reason, place: &'static Location<'static>, since: u64) {
        self.reason.set(reason);
        self.place.set(place);
        self.since.set(since);
    }

    /// Whether waits are refused.
    #[inline]
    pub(crate) fn is_killed(&self) -> bool {
        self.is_killed.get()
    }

    /// Has waits refused, or no longer refused.
    pub(crate) fn set_killed(&self, is_killed: bool) {
        self.refusals.set(0);
        self.is_killed.set(is_killed);
    }
}
