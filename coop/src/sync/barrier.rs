//! A place where a number of tasks wait for one another.

use crate::coordinator::Coordinator;
use crate::error::Killed;
use crate::fiber::Reason;
use crate::handle::{Operation, Queued, Sealed, Source};
use std::cell::Cell;
use std::fmt;

/// A place where a number of tasks wait for one another; then all go on, and it can be used again.
///
/// A task that is killed while it waits has not arrived: the others go on waiting until somebody comes in its stead.
///
/// ```
/// use coop::sync::Barrier;
/// use std::cell::Cell;
/// coop::run(|| {
///     let (barrier, parsed, leaders) = (Barrier::new(3), Cell::new(0), Cell::new(0));
///     coop::wait_all(|s| {
///         for _ in 0..3 {
///             s.spawn(|| -> Result<(), coop::Killed> {
///                 parsed.set(parsed.get() + 1);
///                 let arrived = barrier.wait()?;
///                 assert_eq!(parsed.get(), 3, "nobody goes on before all are there");
///                 leaders.set(leaders.get() + i32::from(arrived.is_leader()));
///                 Ok(())
///             });
///         }
///     });
///     assert_eq!(leaders.get(), 1);
/// });
/// ```
pub struct Barrier {
    size: usize,
    /// How many wait.
    arrived: Cell<usize>,
    /// Always held: a queue to wait in.
    queue: Coordinator,
}

/// What the tasks that have met at a [`Barrier`] are given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BarrierWaitResult {
    is_leader: bool,
}

impl BarrierWaitResult {
    /// Whether this task came last. Of those who met exactly one did.
    pub fn is_leader(&self) -> bool {
        self.is_leader
    }
}

impl Barrier {
    /// For `size` tasks; zero is as good as one.
    pub const fn new(size: usize) -> Self {
        Barrier { size, arrived: Cell::new(0), queue: Coordinator::held() }
    }

    /// Waits until as many tasks have arrived as the barrier is for.
    ///
    /// A wait point for all but the last; kill-checked: a killed wait takes the arrival back. The last may give way to the
    /// others, as any call does that succeeds many times without waiting.
    ///
    /// # Errors
    /// `Killed`.
    ///
    /// # Panics
    /// On a thread without a Cooperator.
    #[track_caller]
    pub fn wait(&self) -> Result<BarrierWaitResult, Killed> {
        Queued::wait_for(&Meeting::new(self))
    }

    /// How many tasks wait at it. Not a wait point.
    pub fn waiting(&self) -> usize {
        self.arrived.get()
    }
}

/// One task's arrival.
#[doc(hidden)]
pub struct Meeting<'a> {
    barrier: &'a Barrier,
    is_leader: Cell<bool>,
}

impl<'a> Meeting<'a> {
    fn new(barrier: &'a Barrier) -> Self {
        Meeting { barrier, is_leader: Cell::new(false) }
    }
}

impl Source for Meeting<'_> {
    type Output = BarrierWaitResult;
    type Waited = Result<BarrierWaitResult, Killed>;

    fn queue(&self) -> &Coordinator {
        &self.barrier.queue
    }

    fn is_ready(&self) -> bool {
        self.barrier.arrived.get() + 1 >= self.barrier.size
    }

    /// The last lets the others go; any other is counted before it waits.
    fn try_reserve(&self) -> bool {
        let barrier = self.barrier;
        if !self.is_ready() {
            barrier.arrived.set(barrier.arrived.get() + 1);
            return false;
        }
        barrier.arrived.set(0);
        while barrier.queue.has_waiters() {
            barrier.queue.release();
        }
        self.is_leader.set(true);
        true
    }

    fn take_reserved(&self) -> Self::Output {
        BarrierWaitResult { is_leader: self.is_leader.get() }
    }

    /// They have met: that somebody does not want to know of it changes nothing for the others.
    fn pass_on(&self) {}

    fn withdrawn(&self) {
        self.barrier.arrived.set(self.barrier.arrived.get() - 1);
    }

    fn reason(&self) -> Reason {
        Reason::new("wait at a barrier")
    }

    fn waited(result: Result<Self::Output, Killed>) -> Self::Waited {
        result
    }
}

/// `op::wait` of a [`Barrier`]. No arm by value: the others see who has arrived, so that to arrive and to leave again for another
/// arm's sake is an effect. Started, it stays.
#[doc(hidden)]
pub struct Arrival<'a> {
    meeting: Queued<Meeting<'a>>,
}

impl<'a> Arrival<'a> {
    pub(crate) fn new(barrier: &'a Barrier) -> Self {
        Arrival { meeting: Queued::new(Meeting::new(barrier)) }
    }
}

impl Sealed for Arrival<'_> {}

impl<'a> Operation for Arrival<'a> {
    type Output = BarrierWaitResult;
    type Waited = Result<BarrierWaitResult, Killed>;
    type Started = BarrierWaitResult;
    type Joined = Result<BarrierWaitResult, Killed>;
    type Flight = <Queued<Meeting<'a>> as Operation>::Flight;

    #[track_caller]
    fn wait(self) -> Self::Waited {
        self.meeting.wait()
    }

    fn into_flight(self) -> Self::Flight {
        self.meeting.into_flight()
    }

    fn joined(result: Result<BarrierWaitResult, Killed>) -> Self::Joined {
        result
    }
}

impl fmt::Debug for Barrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Barrier")
            .field("size", &self.size)
            .field("waiting", &self.arrived.get())
            .finish_non_exhaustive()
    }
}
