//! Waiting for the first of several Coordinators.

use super::{Alone, Coordinator};
use crate::fiber::{Fiber, Reason, State};
use crate::list::RawLink;
use crate::scheduler::Scheduler;
use std::cell::Cell;
use std::marker::PhantomPinned;
use std::panic::Location;
use std::ptr;

/// One waiter's entry in one Coordinator's queue.
#[repr(C)]
pub struct Coordinated {
    link: RawLink,
    wait: Cell<*const Wait>,
    /// The next entry of the same wait.
    sibling: Cell<*const Coordinated>,
    index: Cell<u32>,
    /// How much of what the Coordinator guards is waited for. Means something to who releases it, and nothing here.
    pub(super) wants: u32,
    _pinned: PhantomPinned,
}

impl Coordinated {
    pub(crate) const fn new() -> Self {
        Self::wanting(0)
    }

    /// An entry that [`Coordinator::first_wants`] knows.
    pub(crate) const fn wanting(wants: u32) -> Self {
        Coordinated {
            link: RawLink::new(),
            wait: Cell::new(ptr::null()),
            sibling: Cell::new(ptr::null()),
            index: Cell::new(0),
            wants,
            _pinned: PhantomPinned,
        }
    }

    /// Gives the Coordinator in whose queue `first` stands to `first`'s waiter.
    ///
    /// # Safety
    /// `first` is the link of a `Coordinated` that is in a queue, and `fiber` that of its wait.
    #[inline]
    pub(super) unsafe fn hand_over(first: *const RawLink, fiber: *const Fiber) {
        // SAFETY: `Coordinated` is `repr(C)` and starts with its link. A linked entry's wait is alive: entries are unlinked
        // before their wait goes (`Wait`'s drop).
        unsafe {
            let entry = &*first.cast::<Coordinated>();
            (*entry.wait.get()).settle(entry.index.get() as usize, fiber);
        }
    }

    /// Whose wait it is: null for one that relays.
    ///
    /// # Safety
    /// `link` is that of a `Coordinated` that is in a queue.
    #[cold]
    pub(super) unsafe fn fiber_of(link: *const RawLink) -> *const Fiber {
        // SAFETY: as in `hand_over`.
        unsafe { (*(*link.cast::<Coordinated>()).wait.get()).fiber }
    }
}

const PENDING: usize = usize::MAX;

/// How a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Settled {
    /// The Coordinator enlisted under this index is now the waiter's.
    Won(usize),
    /// None is: the fiber was killed.
    Killed,
}

/// A fiber's wait for any of the Coordinators it has enlisted with. Lives on the waiter's stack.
pub struct Wait {
    /// Null for a wait that relays.
    fiber: *const Fiber,
    /// What is released instead of waking a fiber.
    relay: *const Coordinator,
    won: Cell<usize>,
    entries: Cell<*const Coordinated>,
    _pinned: PhantomPinned,
}

impl Wait {
    /// A wait of the running fiber.
    #[inline]
    pub(crate) fn new(scheduler: &Scheduler) -> Self {
        Wait {
            fiber: scheduler.running(),
            relay: ptr::null(),
            won: Cell::new(PENDING),
            entries: Cell::new(ptr::null()),
            _pinned: PhantomPinned,
        }
    }

    /// A wait of nobody in particular: when it is settled, `coordinator` is released.
    ///
    /// # Safety
    /// `coordinator` stays where it is for as long as the wait is enlisted anywhere.
    pub(crate) unsafe fn relaying(coordinator: *const Coordinator) -> Self {
        Wait {
            fiber: ptr::null(),
            relay: coordinator,
            won: Cell::new(PENDING),
            entries: Cell::new(ptr::null()),
            _pinned: PhantomPinned,
        }
    }

    /// Whether the wait has been decided.
    pub(crate) fn is_settled(&self) -> bool {
        self.won.get() != PENDING
    }

    /// Queues up for `coordinator`, which is held.
    ///
    /// # Safety
    /// `entry` is in no queue. It, `coordinator` and this wait stay where they are until the wait is settled or dropped.
    #[inline]
    pub(crate) unsafe fn enlist(&self, coordinator: &Coordinator, entry: &Coordinated, index: usize) {
        entry.wait.set(self);
        entry.index.set(index as u32);
        entry.sibling.set(self.entries.replace(entry));
        // SAFETY: the caller's promise.
        unsafe { coordinator.append(entry, self.fiber) };
    }

    /// Decides the wait for `index`, unlinks every entry, and makes the fiber ready, which is the wait's.
    #[inline]
    fn settle(&self, index: usize, fiber: *const Fiber) {
        self.won.set(index);
        self.withdraw();
        if fiber.is_null() {
            // SAFETY: the contract of `relaying`.
            unsafe { (*self.relay).release() };
            return;
        }
        // SAFETY: somebody waits, so the waiting fiber has not ended. It is of this thread, as a Coordinator is.
        unsafe { Scheduler::unpark_here(fiber) };
    }

    /// Unlinks every entry.
    #[inline]
    pub(crate) fn withdraw(&self) {
        let mut next = self.entries.replace(ptr::null());
        // SAFETY: enlisted entries stay in place until they are unlinked here (`enlist`'s contract).
        while let Some(entry) = unsafe { next.as_ref() } {
            entry.link.unlink();
            next = entry.sibling.get();
        }
    }

    #[cold]
    fn give_up(&self) {
        self.withdraw();
    }

    /// Whether the wait has been decided, and for which index; if so, it may be used again.
    #[inline]
    pub(crate) fn take_won(&self) -> Option<usize> {
        let won = self.won.replace(PENDING);
        (won != PENDING).then_some(won)
    }

    /// Parks the running fiber until one of the Coordinators is its own, or, if `killable`, it is killed. A Coordinator that
    /// was handed over in the same moment wins over the kill.
    #[inline(always)]
    pub(crate) fn park(
        &self,
        scheduler: &Scheduler,
        killable: bool,
        reason: Reason,
        place: &'static Location<'static>,
    ) -> Settled {
        // SAFETY: the fiber is the one that runs.
        let fiber = unsafe { &*self.fiber };
        debug_assert_eq!(fiber.state.get(), State::Active);
        fiber.wait_for(reason, place, scheduler.pass_time.get());
        loop {
            if let Some(won) = self.take_won() {
                return Settled::Won(won);
            }
            if killable && fiber.is_killed() {
                self.give_up();
                return Settled::Killed;
            }
            scheduler.park(killable);
        }
    }
}

impl Coordinator {
    /// Waits in the queue of this Coordinator, which is held, until it is handed over, or, if `killable`, the running fiber is killed:
    /// [`Wait::new`], [`enlist`](Wait::enlist) and [`park`](Wait::park) for one Coordinator, in fewer steps. That no kill is there yet
    /// was checked by the caller.
    #[inline(always)]
    pub(crate) fn wait(
        &self,
        scheduler: &Scheduler,
        killable: bool,
        wants: u32,
        reason: Reason,
        place: &'static Location<'static>,
    ) -> Settled {
        // SAFETY: the fiber is the one that runs.
        let fiber = unsafe { &*scheduler.running() };
        debug_assert_eq!(fiber.state.get(), State::Active);
        debug_assert!(!(killable && fiber.is_killed()));
        fiber.wait_for(reason, place, scheduler.pass_time.get());
        if self.has_waiters() {
            return self.wait_in_line(scheduler, killable, wants, fiber);
        }
        let alone = Alone { has_won: Cell::new(false), wants };
        self.first.fiber.set(fiber);
        self.first.alone.set(&alone);
        loop {
            scheduler.park(killable);
            if alone.has_won.get() {
                return Settled::Won(0);
            }
            if killable && fiber.is_killed() {
                // Nobody else waits here.
                self.first.alone.set(ptr::null());
                return Settled::Killed;
            }
        }
    }

    /// The same behind others; `fiber` is the one that runs, and has noted what it waits for. (By [`Wait::park`], of which this is a part, a
    /// message through a channel with room takes 4 % more: the compiler then keeps more for it.)
    #[inline(always)]
    fn wait_in_line(&self, scheduler: &Scheduler, killable: bool, wants: u32, fiber: &Fiber) -> Settled {
        let wait = Wait::new(scheduler);
        let entry = Coordinated::wanting(wants);
        // SAFETY: both stay on this frame until the wait is settled, which unlinks the entry, or given up, which does too. No panic
        // comes in between. Who waits borrows the Coordinator.
        unsafe { wait.enlist(self, &entry, 0) };
        loop {
            scheduler.park(killable);
            if wait.is_settled() {
                return Settled::Won(0);
            }
            if killable && fiber.is_killed() {
                wait.give_up();
                return Settled::Killed;
            }
        }
    }
}

impl Drop for Wait {
    #[inline]
    fn drop(&mut self) {
        self.withdraw();
    }
}
