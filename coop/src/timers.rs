//! Timers in user space: the kernel sees one deadline, the nearest.
//!
//! A hierarchical wheel over the bits of the deadline in nanoseconds: eleven levels of 64 slots, six bits each. A timer
//! stands at the level of the highest bit in which its deadline differs from the wheel's time, so each level spans what one
//! slot of the level above does.
//!
//! ```text
//!   level 0   64 slots of 1 ns          exact: one slot, one deadline
//!   level 1   64 slots of 64 ns         when the wheel's time enters a slot, its timers move to lower levels
//!   …
//!   level 10  16 slots of 2^60 ns
//! ```
//!
//! What moves are entries in one piece of memory of the wheel's own, not the timers, which live with whoever waits: the memory of a
//! task that has long been parked is far away, and is touched once, when its timer fires. Starting and stopping cost O(1); the
//! entries' memory grows to what was once needed, and is used again.
//!
//! A running timer costs its owner 24 bytes, and the wheel 32. Deadlines are exact, and so is their order; it is wake-ups that are
//! few: see [`Timers::next_wake`].
//!
//! (Varghese and Lauck, "Hashed and Hierarchical Timing Wheels", SOSP 1987, scheme 6, with a bitmap a level.)

use crate::coordinator::Coordinator;
use crate::count::Count;
use crate::fiber::Fiber;
use crate::scheduler::Scheduler;
use crate::sys;
use std::cell::{Cell, UnsafeCell};
use std::marker::PhantomPinned;
use std::ptr;

const LEVELS: usize = 11;
const SLOTS: usize = 64;

/// The number of no entry.
const NONE: u32 = u32::MAX;

/// What to do when a deadline has come. Stops when dropped.
#[repr(C)]
pub(crate) struct Timer {
    /// The number of its entry, while it runs.
    entry: Cell<u32>,
    /// The wheel, while it runs.
    wheel: Cell<*const Timers>,
    /// Called on the loop's stack, the timer already stopped; must not switch or run user code.
    fire: unsafe fn(*const Timer),
    _pinned: PhantomPinned,
}

impl Timer {
    /// # Safety
    /// `fire` is sound to call with this timer's address whenever it runs.
    pub(crate) const unsafe fn new(fire: unsafe fn(*const Timer)) -> Self {
        Timer { entry: Cell::new(NONE), wheel: Cell::new(ptr::null()), fire, _pinned: PhantomPinned }
    }

    #[inline]
    pub(crate) fn is_running(&self) -> bool {
        self.entry.get() != NONE
    }

    /// Stops it. O(1).
    #[inline]
    pub(crate) fn stop(&self) {
        let entry = self.entry.replace(NONE);
        if entry != NONE {
            // SAFETY: a running timer's wheel is alive: `start`'s contract.
            unsafe { (*self.wheel.get()).remove(entry) };
        }
    }

    /// The wheel has gone, or goes without looking at a timer again.
    pub(crate) fn outlive(&self) {
        self.entry.set(NONE);
    }
}

impl Drop for Timer {
    #[inline]
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
        self.timer.is_running()
    }

    /// Held until the deadline.
    pub(crate) fn over(&self) -> &Coordinator {
        &self.over
    }
}

/// A timer that, when it fires, wakes a fiber: what sleeping for nothing else waits for.
#[repr(C)]
pub(crate) struct Alarm {
    /// First: the timer's callback finds the alarm by it.
    timer: Timer,
    fiber: *const Fiber,
    has_rung: Cell<bool>,
}

impl Alarm {
    /// For a fiber that stays where it is for as long as the alarm runs.
    pub(crate) const fn new(fiber: *const Fiber) -> Self {
        /// # Safety
        /// `timer` is the first field of an `Alarm` that is alive.
        unsafe fn ring(timer: *const Timer) {
            // SAFETY: the caller's promise, and that of who made the alarm.
            unsafe {
                let alarm = &*timer.cast::<Alarm>();
                alarm.has_rung.set(true);
                Scheduler::unpark_here(alarm.fiber);
            }
        }
        // SAFETY: `ring` finds the `Alarm` around its timer; only this timer is given to it.
        Alarm { timer: unsafe { Timer::new(ring) }, fiber, has_rung: Cell::new(false) }
    }

    /// # Safety
    /// As [`Timers::start`]; it stops when dropped.
    #[inline]
    pub(crate) unsafe fn start(&self, timers: &Timers, deadline: u64) {
        // SAFETY: the caller's promise.
        unsafe { timers.start_near(&self.timer, deadline, self.fiber.cast()) };
    }

    pub(crate) fn has_rung(&self) -> bool {
        self.has_rung.get()
    }
}

/// Where a timer stands in the wheel, or, for the first `LEVELS * SLOTS`, the head of a slot: rings of entries, by their numbers.
#[derive(Clone, Copy)]
struct Entry {
    deadline: u64,
    timer: *const Timer,
    /// What else is touched when it fires.
    near: *const u8,
    previous: u32,
    next: u32,
}

/// The timers of one Cooperator.
pub(crate) struct Timers {
    /// The heads of all slots, and then the timers' entries, those in use and those that are free.
    entries: UnsafeCell<Vec<Entry>>,
    /// The first of the free entries, which are linked by `next`.
    free: Cell<u32>,
    occupied: [Cell<u64>; LEVELS],
    running: Count,
    /// All timers due before this have fired. Never ahead of the clock.
    elapsed: Cell<u64>,
}

impl Timers {
    /// It must not move once a timer was started.
    pub(crate) fn new(now: u64) -> Self {
        let head = |slot| Entry { deadline: 0, timer: ptr::null(), near: ptr::null(), previous: slot, next: slot };
        Timers {
            entries: UnsafeCell::new((0..(LEVELS * SLOTS) as u32).map(head).collect()),
            free: Cell::new(NONE),
            occupied: [const { Cell::new(0) }; LEVELS],
            running: Count::new(0),
            elapsed: Cell::new(now),
        }
    }

    /// # Safety
    /// `number` is that of a head or of an entry.
    #[inline]
    unsafe fn entry(&self, number: u32) -> Entry {
        // SAFETY: the caller's promise; no reference into the entries outlives a function of this file, and none of those that make
        // one calls out of it.
        unsafe {
            let entries = &*self.entries.get();
            *entries.get_unchecked(number as usize)
        }
    }

    /// # Safety
    /// As [`Timers::entry`].
    #[inline]
    unsafe fn change(&self, number: u32, change: impl FnOnce(&mut Entry)) {
        // SAFETY: as in `entry`; `change` is of this file.
        unsafe {
            let entries = &mut *self.entries.get();
            change(entries.get_unchecked_mut(number as usize));
        }
    }

    /// Starts `timer`; a deadline that has passed fires at the next [`Timers::advance`].
    ///
    /// # Safety
    /// `timer` is stopped. Neither it nor the wheel moves or goes away until it has fired or was stopped.
    #[inline]
    pub(crate) unsafe fn start(&self, timer: &Timer, deadline: u64) {
        // SAFETY: the caller's promise.
        unsafe { self.start_near(timer, deadline, ptr::from_ref(timer).cast()) };
    }

    /// The same for one that touches something far from it, too, when it fires.
    ///
    /// # Safety
    /// As [`Timers::start`].
    #[inline]
    unsafe fn start_near(&self, timer: &Timer, deadline: u64, near: *const u8) {
        let mut number = self.free.get();
        if number == NONE {
            number = self.grow();
        }
        timer.entry.set(number);
        timer.wheel.set(self);
        self.running.add(1);
        // SAFETY: the number of a free entry.
        unsafe {
            self.free.set(self.entry(number).next);
            self.change(number, |entry| (entry.deadline, entry.timer, entry.near) = (deadline, timer, near));
            self.place(number, deadline);
        }
    }

    /// Makes another entry, and gives its number.
    #[cold]
    fn grow(&self) -> u32 {
        // SAFETY: as in `entry`.
        let entries = unsafe { &mut *self.entries.get() };
        let number = u32::try_from(entries.len()).ok().filter(|number| *number != NONE);
        let number = number.expect("as many timers as no memory holds");
        entries.push(Entry { deadline: 0, timer: ptr::null(), near: ptr::null(), previous: NONE, next: NONE });
        number
    }

    /// Puts an entry, which is in no slot, into that of its deadline. Gives the level.
    ///
    /// # Safety
    /// `number` is that of an entry.
    #[inline]
    unsafe fn place(&self, number: u32, deadline: u64) -> usize {
        // A deadline in the past stands where the wheel is.
        let deadline = deadline.max(self.elapsed.get());
        let differing = (deadline ^ self.elapsed.get()) | (SLOTS as u64 - 1);
        let level = (63 - differing.leading_zeros() as usize) / 6;
        let slot = (deadline >> (6 * level)) as usize % SLOTS;
        self.occupied[level].set(self.occupied[level].get() | 1 << slot);
        let head = Self::head(level, slot);
        // SAFETY: what heads and linked entries name are heads and entries.
        unsafe {
            let last = self.entry(head).previous;
            self.change(number, |entry| (entry.previous, entry.next) = (last, head));
            self.change(last, |entry| entry.next = number);
            self.change(head, |entry| entry.previous = number);
        }
        level
    }

    #[inline]
    fn head(level: usize, slot: usize) -> u32 {
        (level * SLOTS + slot) as u32
    }

    /// Takes a timer's entry out, for others to use.
    ///
    /// # Safety
    /// `number` is that of an entry that stands in a slot.
    #[inline]
    unsafe fn remove(&self, number: u32) {
        // SAFETY: the caller's promise; as in `place`.
        unsafe {
            self.unlink(number);
            self.change(number, |entry| entry.next = self.free.get());
        }
        self.free.set(number);
        self.running.subtract(1);
    }

    /// # Safety
    /// As [`Timers::remove`].
    #[inline]
    unsafe fn unlink(&self, number: u32) {
        // SAFETY: the caller's promise; as in `place`.
        unsafe {
            let Entry { previous, next, .. } = self.entry(number);
            self.change(previous, |entry| entry.next = next);
            self.change(next, |entry| entry.previous = previous);
            // Only the head is left.
            if previous == next {
                let (level, slot) = (next as usize / SLOTS, next as usize % SLOTS);
                if let Some(occupied) = self.occupied.get(level) {
                    occupied.set(occupied.get() & !(1 << slot));
                }
            }
        }
    }

    /// How many run.
    pub(crate) fn running(&self) -> u64 {
        self.running.get()
    }

    /// The earliest occupied slot: its level, index, and the time it begins at.
    #[inline]
    fn next_slot(&self) -> Option<(usize, usize, u64)> {
        if self.running.get() == 0 {
            return None;
        }
        // Every timer of a level is due before any of a higher level.
        let (level, occupied) = self.occupied.iter().map(Cell::get).enumerate().find(|(_, bits)| *bits != 0)?;
        let slot = occupied.trailing_zeros() as usize;
        Some((level, slot, self.window(level) | (slot as u64) << (6 * level)))
    }

    /// When the first slot of a level begins: all bits above the level are those of the wheel's time.
    fn window(&self, level: usize) -> u64 {
        let above = 6 * (level as u32 + 1);
        self.elapsed.get().checked_shr(above).map_or(0, |bits| bits << above)
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
        let (first_level, first, begins) = self.next_slot()?;
        let Some((earliest, mut latest)) = self.deadlines(first_level, first, u64::MAX) else {
            // A crowd: some of them are due when the slot begins, or they then move to levels where they are few.
            return Some(begins.max(self.elapsed.get()).saturating_add(slack));
        };
        let limit = earliest.saturating_add(slack);
        if latest > limit {
            latest = self.deadlines(first_level, first, limit).map_or(limit, |(_, last)| last);
        }
        for level in first_level..LEVELS {
            let Some(left) = limit.checked_sub(self.window(level)) else { break };
            // Which slot of the level the limit lies in. Those before it are in time, as far as it is concerned.
            let bound = left >> (6 * level);
            let mut occupied = self.occupied[level].get();
            if level == first_level {
                occupied &= !(1 << first);
            }
            let in_time = if bound < SLOTS as u64 { occupied & ((1 << bound) - 1) } else { occupied };
            if in_time != 0 {
                // Of the last slot of the last level, the end is zero.
                let end = u64::from(SLOTS as u32 - in_time.leading_zeros()) << (6 * level);
                latest = latest.max(self.window(level) + end.wrapping_sub(1));
            }
            if bound < SLOTS as u64 {
                // The slots of higher levels begin after it.
                if occupied & 1 << bound != 0 {
                    let last = self.deadlines(level, bound as usize, limit).map_or(limit, |(_, last)| last);
                    latest = latest.max(last);
                }
                break;
            }
        }
        Some(latest.clamp(earliest, limit))
    }

    /// Of the deadlines in a slot the earliest, and the latest that is not after `limit`, or zero. `None` if they are too many to
    /// look at.
    fn deadlines(&self, level: usize, slot: usize, limit: u64) -> Option<(u64, u64)> {
        const LOOK_AT: usize = 64;
        let head = Self::head(level, slot);
        let (mut earliest, mut latest) = (u64::MAX, 0);
        // SAFETY: what heads and linked entries name are heads and entries.
        let mut number = unsafe { self.entry(head).next };
        for _ in 0..LOOK_AT {
            if number == head {
                return Some((earliest, latest));
            }
            // SAFETY: as above.
            let entry = unsafe { self.entry(number) };
            earliest = earliest.min(entry.deadline);
            if entry.deadline <= limit {
                latest = latest.max(entry.deadline);
            }
            number = entry.next;
        }
        None
    }

    /// Fires every timer due at `now`, in the order of their deadlines, equal ones in the order they were started.
    pub(crate) fn advance(&self, now: u64) {
        /// What comes to this level is due within 262 µs: time enough to fetch what it touches.
        const SOON: usize = 2;
        while let Some((level, slot, begins)) = self.next_slot() {
            if begins > now {
                break;
            }
            // Entering a slot: at level 0 all its timers are due, above it they now differ only in lower bits.
            self.elapsed.set(self.elapsed.get().max(begins));
            let head = Self::head(level, slot);
            // SAFETY: what heads and linked entries name are heads and entries. A linked entry's timer is alive. `fire` is sound by
            // the contract of `Timer::new`; placing an entry again keeps the promise of whoever started its timer.
            unsafe {
                loop {
                    let number = self.entry(head).next;
                    if number == head {
                        break;
                    }
                    let Entry { deadline, timer, near, .. } = self.entry(number);
                    if level == 0 {
                        (*timer).stop();
                        ((*timer).fire)(timer);
                    } else {
                        self.unlink(number);
                        if self.place(number, deadline) <= SOON {
                            sys::prefetch(timer.cast());
                            sys::prefetch(near);
                        }
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

    /// How many timers stand in slots, and that the bitmaps say in which.
    fn running(timers: &Timers) -> usize {
        let mut count = 0;
        for (head, bit) in
            (0..(LEVELS * SLOTS) as u32).zip((0..LEVELS).flat_map(|level| (0..SLOTS).map(move |slot| (level, slot))))
        {
            // SAFETY: what heads and linked entries name are heads and entries.
            let mut number = unsafe { timers.entry(head).next };
            assert_eq!(number != head, timers.occupied[bit.0].get() & 1 << bit.1 != 0, "slot {bit:?}");
            while number != head {
                count += 1;
                // SAFETY: as above.
                number = unsafe { timers.entry(number).next };
            }
        }
        assert_eq!(count as u64, timers.running());
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

    /// A million of them are 56 MB, and what waits for each.
    #[test]
    fn a_timer_is_small() {
        assert_eq!((size_of::<Timer>(), size_of::<Alarm>(), size_of::<Sleep>(), size_of::<Entry>()), (24, 40, 72, 32));
    }

    #[test]
    fn entries_are_used_again() {
        let timers = Box::new(Timers::new(0));
        let probes: Vec<_> = (0..10).map(probe).collect();
        // SAFETY: as in `entry`.
        let made = || unsafe { (*timers.entries.get()).len() - LEVELS * SLOTS };
        for round in 1..=5 {
            for (n, probe) in probes.iter().enumerate() {
                // SAFETY: both are boxed and live to the end of the test.
                unsafe { timers.start(&probe.timer, round * 1000 + n as u64) };
            }
            assert_eq!((running(&timers), made()), (10, 10));
            probes[3].timer.stop();
            timers.advance(round * 1000 + 5);
            assert_eq!((running(&timers), fired()), (4, vec![0, 1, 2, 4, 5]));
            probes[6..].iter().for_each(|probe| probe.timer.stop());
            assert_eq!((running(&timers), timers.next_deadline()), (0, None));
        }
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
                        // All that are in time are served by it, and if that is one, or all are due together, at once.
                        assert!(wake >= near.last().copied(), "seed {seed}: {wake:?} of {near:?}");
                        assert!(
                            wake >= earliest && wake <= earliest.map(|time| time.saturating_add(slack)),
                            "seed {seed}"
                        );
                        if near.first() == near.last() {
                            assert_eq!(wake, earliest, "seed {seed}");
                        }
                    }
                }
                assert_eq!(running(&timers), model.len(), "seed {seed}");
            }
        }
    }

    /// Of crowds, at any time of the wheel up to the last: each wake-up fires some, or brings some down a level.
    #[test]
    fn wake_ups_are_in_time_and_never_many_for_nothing() {
        for seed in 0..100 {
            let random = Random::new(seed);
            let mut now =
                if seed % 2 == 0 { u64::MAX - (random.next() >> random.below(64)) } else { random.next() >> 20 };
            let timers = Box::new(Timers::new(now));
            let probes: Vec<_> = (0..1 + random.below(300)).map(probe).collect();
            let (base, width) = (random.next() >> random.below(64), 1 + random.below(63));
            let mut left: Vec<u64> = Vec::new();
            for probe in &probes {
                let deadline = now.saturating_add(base).saturating_add(random.next() >> width);
                // SAFETY: both are boxed and live to the end of the iteration.
                unsafe { timers.start(&probe.timer, deadline) };
                left.push(deadline);
            }
            left.sort_unstable();
            let slack = if seed % 3 == 0 { 0 } else { random.next() >> random.below(64) };
            let mut in_vain = 0;
            while let Some(wake) = timers.next_wake(slack) {
                assert!(wake >= now && wake <= left[0].saturating_add(slack), "seed {seed}: {wake} of {}", left[0]);
                now = wake;
                timers.advance(now);
                let due = left.iter().take_while(|deadline| **deadline <= now).count();
                assert_eq!(fired().len(), due, "seed {seed}");
                left.drain(..due);
                in_vain = if due == 0 { in_vain + 1 } else { 0 };
                assert!(in_vain < LEVELS, "seed {seed}: {in_vain} times in vain");
                assert_eq!(running(&timers), left.len(), "seed {seed}");
            }
            assert_eq!(left, [], "seed {seed}");
        }
    }
}
