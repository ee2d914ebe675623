//! Sleeping, and the operation of a moment in time.

use crate::cooperator::Cooperator;
use crate::coordinator::{Coordinated, Coordinator, Wait};
use crate::error::Killed;
use crate::fiber::{Detail, Reason};
use crate::handle::{Arm, Flight, Operation, Readiness, Sealed};
use crate::task;
use crate::timers;
use std::cell::Cell;
use std::marker::PhantomPinned;
use std::panic::Location;
use std::time::Duration;

/// A started [`op::after`](crate::op::after).
pub type Handle<'scope> = crate::handle::Handle<'scope, After>;

/// Waits for `duration`, in steps of a nanosecond as far as the kernel's timers go.
///
/// A wait point; kill-checked. A duration of zero still gives way.
///
/// ```
/// use std::time::{Duration, Instant};
/// coop::run(|| -> Result<(), coop::Killed> {
///     let start = Instant::now();
///     coop::sleep(Duration::from_millis(5))?;
///     assert!(start.elapsed() >= Duration::from_millis(5));
///     Ok(())
/// }).unwrap();
/// ```
///
/// # Errors
/// `Killed`.
///
/// # Panics
/// On a thread without a Cooperator.
#[track_caller]
pub fn sleep(duration: Duration) -> Result<(), Killed> {
    let cooperator = task::begin()?;
    if duration.is_zero() {
        cooperator.scheduler.give_way();
        return Ok(());
    }
    let deadline = deadline(cooperator, duration);
    let timer = timers::Sleep::new();
    let entry = Coordinated::new();
    let wait = Wait::new(&cooperator.scheduler);
    // SAFETY: all three stay on this frame until `wait`, dropped first, has unlinked the entry; the timer stops when dropped.
    unsafe {
        timer.start(&cooperator.timers, deadline);
        wait.enlist(timer.over(), &entry, 0);
    }
    task::park(cooperator, &wait, Reason::on("sleep", Detail::Time(deadline)), Location::caller()).map(drop)
}

fn deadline(cooperator: &Cooperator, duration: Duration) -> u64 {
    cooperator.clock.now().saturating_add(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX))
}

/// `op::after`.
///
/// Proof of its being an arm: a timer that is stopped has done nothing.
#[doc(hidden)]
pub struct After {
    duration: Duration,
    /// Counted from when the wait begins.
    deadline: Cell<Option<u64>>,
    timer: timers::Sleep,
    entry: Coordinated,
    _pinned: PhantomPinned,
}

impl After {
    pub(crate) fn new(duration: Duration) -> Self {
        After {
            duration,
            deadline: Cell::new(None),
            timer: timers::Sleep::new(),
            entry: Coordinated::new(),
            _pinned: PhantomPinned,
        }
    }

    fn deadline(&self, cooperator: &Cooperator) -> u64 {
        self.deadline.get().unwrap_or_else(|| {
            let deadline = deadline(cooperator, self.duration);
            self.deadline.set(Some(deadline));
            deadline
        })
    }
}

impl Sealed for After {}

// SAFETY: `enlist` starts the timer, which `disengage` stops, and links `entry`, which the wait unlinks.
#[diagnostic::do_not_recommend]
unsafe impl Arm for After {
    type Output = ();
    type Itself = Self;

    fn itself(self) -> Self {
        self
    }

    fn readiness(&self) -> Readiness {
        // Not before the first wait, but for no time at all; later the timer itself tells.
        if self.duration.is_zero() || !self.timer.over().is_held() { Readiness::Maybe } else { Readiness::No }
    }

    fn attempt(&mut self, _: &Cooperator) -> Option<()> {
        Some(())
    }

    unsafe fn enlist(&self, cooperator: &Cooperator, wait: &Wait, index: usize) {
        // SAFETY: the caller keeps the arm in place until it is disengaged.
        unsafe {
            if !self.timer.is_running() {
                self.timer.start(&cooperator.timers, self.deadline(cooperator));
            }
            wait.enlist(self.timer.over(), &self.entry, index);
        }
    }

    fn won(&mut self, _: &Cooperator) -> Option<()> {
        Some(())
    }

    fn disengage(&self, _: &Cooperator) {
        self.timer.stop();
    }

    fn settle(&self, _: &Cooperator, _: &'static Location<'static>) {}
}

impl Operation for After {
    type Output = ();
    type Waited = Result<(), Killed>;
    type Started = ();
    type Joined = Result<(), Killed>;
    type Flight = After;

    #[track_caller]
    fn wait(self) -> Result<(), Killed> {
        sleep(self.duration)
    }

    fn into_flight(self) -> After {
        self
    }

    fn joined(result: Result<(), Killed>) -> Result<(), Killed> {
        result
    }
}

// SAFETY: the timer's address is handed out to the wheel while it runs; it stops when it fires or is aborted.
unsafe impl Flight for After {
    type Output = ();

    unsafe fn launch(&self, cooperator: &Cooperator) {
        // SAFETY: the caller's promise.
        unsafe { self.timer.start(&cooperator.timers, self.deadline(cooperator)) };
    }

    fn news(&self) -> &Coordinator {
        self.timer.over()
    }

    fn is_ready(&self) -> bool {
        self.deadline.get().is_some() && !self.timer.is_running()
    }

    fn land(&mut self, _: &Cooperator) -> Option<()> {
        // Once: after `abort` there is nothing to give, nor a second time.
        (self.is_ready()).then(|| self.deadline.set(None))
    }

    fn abort(&self, _: &Cooperator) {
        if self.timer.is_running() {
            self.timer.stop();
            self.deadline.set(None);
        }
    }

    fn settle(&self, _: &Cooperator, _: &'static Location<'static>) {}

    fn is_over(&self) -> bool {
        !self.timer.is_running()
    }

    fn reason(&self) -> Reason {
        Reason::on("sleep", Detail::Time(self.deadline.get().unwrap_or(0)))
    }
}
