//! Timers in user space: the kernel sees one deadline, the nearest.
//!
//! A hierarchical wheel over the bits of the deadline in nanoseconds: eleven levels of 64 slots, six bits each. A timer
//! stands at the level of the highest bit in which its deadline differs from the wheel's time, so each level spans what one
//! slot of the level above does. Linking and unlinking cost O(1) and allocate nothing: entries live with whoever waits.
//!
//! ```text
//!   level 0   64 slots of 1 ns          exact: one slot, one deadline
//!   level 1   64 slots of 64 ns         when the wheel's time enters a slot, its timers move to lower levels
//!   …
//!   level 10  16 slots of 2^60 ns
//! ```
//!
//! A running timer costs its owner 48 bytes, and the wheel nothing beyond its 11 KiB. Deadlines are exact, and so is their order;
//! it is wake-ups that are few: see [`Timers::next_wake`].
//!
//! (Varghese and Lauck, "Hashed and Hierarchical Timing Wheels", SOSP 1987, scheme 6, with a bitmap a level.)

use crate::coordinator::Coordinator;
use crate::count::Count;
use crate::list::{RawLink, RawList};
use std::cell::Cell;
use std::marker::PhantomPinned;

const LEVELS: usize = 11;
const SLOTS: usize = 64;

/// A deadline and what to do then. Unlinks itself when dropped.
#[repr(C)]
pub(crate) struct Timer {
    link: RawLink,
    deadline: Cell<u64>,
    /// Called on the loop's stack, the timer already unlinked; must not switch or run user code.
    fire: unsafe fn(*const Timer),
    /// The wheel, while linked.
    wheel: Cell<*const Timers>,
    slot: Cell<(u8, u8)>,
    _pinned: PhantomPinned,
}

impl Timer {
    /// # Safety
    /// `fire` is sound to call with this timer's address whenever it is linked.
    pub(crate) const unsafe fn new(fire: unsafe fn(*const Timer)) -> Self {
        Timer {
            link: RawLink::new(),
            deadline: Cell::new(0),
            fire,
            wheel: Cell::new(std::ptr::null()),
            slot: Cell::new((0, 0)),
            _pinned: PhantomPinned,
        }
    }

    /// Stops it. O(1).
    #[inline]
    pub(crate) fn stop(&self) {
        if self.link.is_linked() {
            // SAFETY: a linked timer's wheel is alive: `start`'s contract.
            let wheel = unsafe { &*self.wheel.get() };
            self.link.unlink();
            wheel.removed(self.slot.get());
        }
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        self.stop();
    }
}

/// A timer that, when it fires, releases a Coordinator: what sleeping waits for.
#[repr(C)]
pub(crate) struct Sleep {
    /// First: the timer's callback finds the Coordinator by it.
    timer: Timer,
    over: Coordinator,
}

impl Sleep {
    pub(crate) const fn new() -> Self {
        /// # Safety
        /// `timer` is the first field of a `Sleep` that is alive.
        unsafe fn over(timer: *const Timer) {
            // SAFETY: the caller's promise.
            unsafe { (*timer.cast::<Sleep>()).over.release() };
        }
        // SAFETY: `over` finds the `Sleep` around its timer; only this timer is given to it.
        Sleep { timer: unsafe { Timer::new(over) }, over: Coordinator::held() }
    }

    /// # Safety
    /// As [`Timers::start`]; it stops when dropped.
    pub(crate) unsafe fn start(&self, timers: &Timers, deadline: u64) {
        // SAFETY: the caller's promise.
        unsafe { timers.start(&self.timer, deadline) };
    }

    pub(crate) fn stop(&self) {
        self.timer.stop();
    }

    pub(crate) fn is_running(&self) -> bool {
        self.timer.link.is_linked()
    }

    /// Held until the deadline.
    pub(crate) fn over(&self) -> &Coordinator {
        &self.over
    }
}

/// The timers of one Cooperator.
pub(crate) struct Timers {
    levels: [[RawList; SLOTS]; LEVELS],
    occupied: [Cell<u64>; LEVELS],
    running: Count,
    /// All timers due before this have fired. Never ahead of the clock.
    elapsed: Cell<u64>,
}

impl Timers {
    /// It must not move once a timer was started.
    pub(crate) fn new(now: u64) -> Self {
        Timers {
            levels: [const { [const { RawList::new() }; SLOTS] }; LEVELS],
            occupied: [const { Cell::new(0) }; LEVELS],
            running: Count::new(0),
            elapsed: Cell::new(now),
        }
    }

    /// Starts `timer`; a deadline that has passed fires at the next [`Timers::advance`].
    ///
    /// # Safety
    /// `timer` is stopped. Neither it nor the wheel moves or goes away until it has fired or was stopped.
    #[inline]
    pub(crate) unsafe fn start(&self, timer: &Timer, deadline: u64) {
        timer.deadline.set(deadline);
        timer.wheel.set(self);
        // SAFETY: the caller's promise.
        unsafe { self.place(timer) };
    }

    /// # Safety
    /// As [`Timers::start`].
    #[inline]
    unsafe fn place(&self, timer: &Timer) {
        // A deadline in the past stands where the wheel is.
        let deadline = timer.deadline.get().max(self.elapsed.get());
        let differing = (deadline ^ self.elapsed.get()) | (SLOTS as u64 - 1);
        let level = (63 - differing.leading_zeros() as usize) / 6;
        let slot = (deadline >> (6 * level)) as usize % SLOTS;
        timer.slot.set((level as u8, slot as u8));
        self.running.add(1);
        self.occupied[level].set(self.occupied[level].get() | 1 << slot);
        // SAFETY: the caller's promise.
        unsafe { self.levels[level][slot].push_back(&timer.link) };
    }

    #[inline]
    fn removed(&self, (level, slot): (u8, u8)) {
        self.running.subtract(1);
        if self.levels[level as usize][slot as usize].is_empty() {
            let occupied = &self.occupied[level as usize];
            occupied.set(occupied.get() & !(1 << slot));
        }
    }

    /// How many run.
    pub(crate) fn running(&self) -> u64 {
        self.running.get()
    }

    /// The earliest occupied slot: its level, index, and the time it begins at.
    fn next_slot(&self) -> Option<(usize, usize, u64)> {
        // Every timer of a level is due before any of a higher level.
        let (level, occupied) = self.occupied.iter().map(Cell::get).enumerate().find(|(_, bits)| *bits != 0)?;
        let slot = occupied.trailing_zeros() as usize;
        let span = 6 * level as u32;
        // The bits above this level are those of the wheel's time.
        let above = self.elapsed.get().checked_shr(span + 6).map_or(0, |bits| bits.checked_shl(span + 6).unwrap_or(0));
        Some((level, slot, above | (slot as u64) << span))
    }

    /// A time not after the earliest deadline, and equal to it where finding out is cheap.
    pub(crate) fn next_deadline(&self) -> Option<u64> {
        self.next_wake(0)
    }

    /// When to wake: at most `slack` after the earliest deadline, if that lets one wake-up serve more timers; else as
    /// [`Timers::next_deadline`]. A timer without others near it is not kept waiting.
    ///
    /// Each wake-up costs a system call and a pass of the loop, some microseconds: of 100,000 sleeps in a second each would have
    /// one of its own.
    pub(crate) fn next_wake(&self, slack: u64) -> Option<u64> {
        const LOOK_AT: usize = 64;
        let (level, slot, begins) = self.next_slot()?;
        let list = &self.levels[level][slot];
        let (mut earliest, mut latest) = (u64::MAX, 0);
        let mut link = list.front();
        for _ in 0..LOOK_AT {
            if link.is_null() {
                break;
            }
            // SAFETY: what is linked in a slot is a live timer, which starts with its link.
            unsafe {
                let deadline = (*link.cast::<Timer>()).deadline.get();
                earliest = earliest.min(deadline);
                latest = latest.max(deadline);
                link = list.after(link);
            }
        }
        if !link.is_null() {
            // A crowd: some of them are due when the slot begins, or they then move to levels where they are few.
            return Some(begins.max(self.elapsed.get()).saturating_add(slack));
        }
        let limit = earliest.saturating_add(slack);
        // The last slot of this level that has timers and begins in time: they are due within it, or a little later.
        let span = 6 * level as u32;
        let slots_in_time = (limit.saturating_sub(begins) >> span).min((SLOTS - 1 - slot) as u64);
        let in_time = self.occupied[level].get() & (u64::MAX >> (SLOTS as u64 - 1 - slot as u64 - slots_in_time));
        let slots_on = u64::from(63 - in_time.leading_zeros()) - slot as u64;
        if slots_on > 0 {
            latest = begins.saturating_add((slots_on + 1) << span).saturating_sub(1);
        }
        Some(latest.clamp(earliest, limit))
    }

    /// Fires every timer due at `now`, in the order of their deadlines, equal ones in the order they were started.
    pub(crate) fn advance(&self, now: u64) {
        while let Some((level, slot, begins)) = self.next_slot() {
            if begins > now {
                break;
            }
            // Entering a slot: at level 0 all its timers are due, above it they now differ only in lower bits.
            self.elapsed.set(self.elapsed.get().max(begins));
            let list = &self.levels[level][slot];
            while !list.is_empty() {
                let timer = list.front().cast::<Timer>();
                // SAFETY: linked, so alive. `fire` is sound by the contract of `Timer::new`; placing a timer again keeps the
                // promise of whoever started it.
                unsafe {
                    (*timer).stop();
                    if level == 0 {
                        ((*timer).fire)(timer);
                    } else {
                        self.place(&*timer);
                    }
                }
            }
        }
        self.elapsed.set(self.elapsed.get().max(now));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;
    use std::cell::RefCell;
    use std::pin::Pin;

    #[repr(C)]
    struct Probe {
        timer: Timer,
        name: usize,
    }

    thread_local! {
        static FIRED: RefCell<Vec<usize>> = const { RefCell::new(Vec::new()) };
    }

    unsafe fn record(timer: *const Timer) {
        // SAFETY: only ever the timer of a `Probe`, its first field.
        let name = unsafe { (*timer.cast::<Probe>()).name };
        FIRED.with_borrow_mut(|fired| fired.push(name));
    }

    fn probe(name: usize) -> Pin<Box<Probe>> {
        // SAFETY: `record` only reads the probe around the timer.
        Box::pin(Probe { timer: unsafe { Timer::new(record) }, name })
    }

    fn fired() -> Vec<usize> {
        FIRED.take()
    }

    /// How many timers are linked.
    fn running(timers: &Timers) -> usize {
        let mut count = 0;
        for list in timers.levels.iter().flatten() {
            let mut link = list.front();
            while !link.is_null() {
                count += 1;
                // SAFETY: what is linked in a slot is a live timer's link.
                link = unsafe { list.after(link) };
            }
        }
        count
    }

    #[test]
    fn timers_fire_in_the_order_of_their_deadlines_and_not_before() {
        let timers = Box::new(Timers::new(5));
        let probes: Vec<_> = (0..6).map(probe).collect();
        let deadlines = [5_000_000_000, 70, 64, 70, 3, u64::MAX];
        for (probe, deadline) in probes.iter().zip(deadlines) {
            // SAFETY: both are boxed and live to the end of the test.
            unsafe { timers.start(&probe.timer, deadline) };
        }
        timers.advance(5);
        assert_eq!(fired(), [4], "what is overdue fires at once");
        assert_eq!(timers.next_deadline(), Some(64));
        timers.advance(63);
        assert_eq!(fired(), [0; 0]);
        timers.advance(100);
        assert_eq!(fired(), [2, 1, 3]);
        assert_eq!(timers.next_deadline(), Some(5_000_000_000));
        probes[0].timer.stop();
        timers.advance(u64::MAX - 1);
        assert_eq!((fired(), timers.next_deadline()), (vec![], Some(u64::MAX)));
        drop(probes);
        assert_eq!(timers.next_deadline(), None, "a dropped timer is gone");
    }

    /// A million of them are 48 MB, and what waits for each.
    #[test]
    fn a_timer_is_small() {
        assert_eq!((size_of::<Timer>(), size_of::<Sleep>()), (48, 88));
        assert!(size_of::<Timers>() < 12 * 1024);
    }

    #[test]
    fn a_random_history_equals_a_sorted_list() {
        for seed in 0..300 {
            let random = Random::new(seed);
            let timers = Box::new(Timers::new(0));
            let probes: Vec<_> = (0..64).map(probe).collect();
            let mut model: Vec<(u64, usize, usize)> = Vec::new();
            let (mut now, mut started) = (0u64, 0);
            for _ in 0..400 {
                let name = random.below(64);
                match random.below(5) {
                    0 | 1 => {
                        probes[name].timer.stop();
                        model.retain(|entry| entry.2 != name);
                        let deadline = now + (random.next() >> (8 + random.below(55)));
                        // SAFETY: both are boxed and live to the end of the iteration.
                        unsafe { timers.start(&probes[name].timer, deadline) };
                        model.push((deadline, started, name));
                        started += 1;
                    }
                    2 => {
                        probes[name].timer.stop();
                        model.retain(|entry| entry.2 != name);
                    }
                    _ => {
                        now += random.next() >> (10 + random.below(53));
                        timers.advance(now);
                        model.sort_unstable();
                        let due = model.iter().take_while(|entry| entry.0 <= now).count();
                        let expected: Vec<usize> = model.drain(..due).map(|entry| entry.2).collect();
                        assert_eq!(fired(), expected, "seed {seed} at {now}");
                        let earliest = model.first().map(|entry| entry.0);
                        assert_eq!(timers.next_deadline(), earliest, "seed {seed}");
                        // However much slack there is, no timer waits longer than that, and none that is alone waits at all.
                        let slack = random.next() >> (8 + random.below(55));
                        let near =
                            model.iter().take_while(|entry| entry.0 <= earliest.unwrap_or(0).saturating_add(slack));
                        let near: Vec<u64> = near.map(|entry| entry.0).collect();
                        let wake = timers.next_wake(slack);
                        assert!(
                            wake >= earliest && wake <= earliest.map(|time| time.saturating_add(slack)),
                            "seed {seed}"
                        );
                        if near.len() < 2 || near.first() == near.last() {
                            let next = model.get(near.len()).map(|entry| entry.0);
                            assert!(wake == earliest || next.is_some(), "seed {seed}: {wake:?}, alone at {earliest:?}");
                        }
                    }
                }
                assert_eq!(running(&timers), model.len(), "seed {seed}");
            }
        }
    }
}
