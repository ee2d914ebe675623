//! A ring, and what scripts do with it.

use super::super::{Cqe, Driver, NOTIFICATION, Patience, Provided, Ring, Sqe};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// How long is waited for what is sure to come. Whether it comes decides, not when.
const LONG: Duration = Duration::from_secs(20);

/// A ring with the completions that it has given.
pub(super) struct Bench {
    /// What it is used for, for reports.
    label: String,
    ring: Driver,
    /// Behind the ring: it goes after it.
    provided: Option<Provided>,
    completions: BTreeMap<u64, Vec<Cqe>>,
    /// Whose completions have come, in order.
    order: Vec<u64>,
    submitted: Vec<u64>,
    /// Memory that operations name: kept until the bench goes, which ends them first.
    memory: Vec<Box<[u8]>>,
}

impl Bench {
    pub(super) fn new(ring: Driver, label: String) -> Self {
        Bench {
            label,
            ring,
            provided: None,
            completions: BTreeMap::new(),
            order: Vec::new(),
            submitted: Vec::new(),
            memory: Vec::new(),
        }
    }

    /// Memory that stays where it is.
    pub(super) fn memory(&mut self, bytes: &[u8]) -> *mut u8 {
        self.memory.push(bytes.into());
        self.memory.last_mut().map_or(std::ptr::null_mut(), |memory| memory.as_mut_ptr())
    }

    /// Provides the ring with so many buffers of this size.
    pub(super) fn provide(&mut self, count: usize, size: usize) {
        self.provided = Some(Provided::register(&self.ring).expect("this kernel takes buffers"));
        self.provide_again(count, size);
    }

    /// Puts others in the place of those that were taken.
    pub(super) fn provide_again(&mut self, count: usize, size: usize) {
        let Some(provided) = &self.provided else { return };
        (0..count.saturating_sub(provided.given())).for_each(|_| provided.put(vec![0; size].into()));
    }

    /// What has come for an operation since the last time, in the buffers that its completions name.
    pub(super) fn provided_bytes(&mut self, number: u64) -> Vec<u8> {
        let Some(provided) = &self.provided else { return Vec::new() };
        let mut bytes = Vec::new();
        for cqe in self.completions.get_mut(&number).into_iter().flatten() {
            let buffer = provided.take(cqe.flags);
            assert!(buffer.is_some() || cqe.result <= 0 || cqe.flags & 1 == 0, "{}: {cqe:?}", self.label);
            bytes.extend(buffer.iter().flat_map(|buffer| &buffer[..cqe.result.max(0) as usize]));
            // Not a second time.
            cqe.flags &= !1;
        }
        bytes
    }

    pub(super) fn push(&mut self, number: u64, sqe: Sqe) {
        self.ring.push(sqe.with_user_data(number));
        self.submitted.push(number);
    }

    /// Pushes what belongs together, numbered from 1, and hands it over. False: the kernel has taken a part, and what it has taken
    /// later is not linked to that.
    pub(super) fn push_chain(&mut self, chain: impl IntoIterator<Item = Sqe>) -> bool {
        (1..).zip(chain).for_each(|(number, sqe)| self.push(number, sqe));
        self.enter(Patience::None);
        self.ring.unsubmitted() == 0
    }

    pub(super) fn cancel(&mut self, number: u64, target: u64) {
        self.push(number, Sqe::cancel(target));
    }

    fn reap(&mut self) -> usize {
        let mut count = 0;
        self.ring.reap(|cqe| {
            self.completions.entry(cqe.user_data).or_default().push(cqe);
            self.order.push(cqe.user_data);
            count += 1;
        });
        count
    }

    pub(super) fn enter(&mut self, patience: Patience) -> usize {
        self.ring.enter(patience).expect("entering does not fail");
        self.reap()
    }

    /// Hands everything over, and takes what comes at once.
    pub(super) fn settle(&mut self) {
        let mut quiet = 0;
        while quiet < 3 {
            let patience = if quiet < 2 { Patience::None } else { Patience::Until(Duration::from_millis(1)) };
            let count = self.enter(patience);
            quiet = if count == 0 && self.ring.unsubmitted() == 0 { quiet + 1 } else { 0 };
        }
    }

    pub(super) fn is_over(&self, number: u64) -> bool {
        self.completions.get(&number).is_some_and(|all| all.last().is_some_and(|cqe| !cqe.has_more()))
    }

    /// Until each of these has ended.
    pub(super) fn wait_for(&mut self, numbers: &[u64]) {
        self.wait_until(|bench| numbers.iter().all(|number| bench.is_over(*number)));
    }

    /// Until something is so.
    pub(super) fn wait_until(&mut self, condition: impl Fn(&Self) -> bool) {
        let begin = Instant::now();
        while !condition(self) {
            self.enter(Patience::Until(Duration::from_millis(100)));
            assert!(begin.elapsed() < LONG, "{}: what is sure to come has not: {:?}", self.label, self.completions);
        }
    }

    /// Cancels an operation, again as long as it is not found (numbered on from `cancel`), and waits for its end. Gives the last
    /// cancel, and whether one before has missed.
    pub(super) fn stop(&mut self, cancel: u64, target: u64) -> (u64, bool) {
        self.cancel(cancel, target);
        self.pursue(cancel, target)
    }

    /// The same, of what `cancel` was pushed for.
    pub(super) fn pursue(&mut self, mut cancel: u64, target: u64) -> (u64, bool) {
        let first = cancel;
        self.wait_for(&[cancel]);
        self.settle();
        // The kernel does not find what it is about to try again.
        while self.result(cancel) == -libc::ENOENT && !self.is_over(target) {
            cancel += 1;
            self.cancel(cancel, target);
            self.wait_for(&[cancel]);
            self.settle();
        }
        self.wait_for(&[target]);
        (cancel, cancel != first)
    }

    /// What the last completion of an operation says.
    pub(super) fn result(&self, number: u64) -> i32 {
        self.completions.get(&number).and_then(|all| all.last()).map_or(super::PENDING, |cqe| cqe.result)
    }

    pub(super) fn completions(&self, number: u64) -> &[Cqe] {
        self.completions.get(&number).map_or(&[], |all| all)
    }

    /// Whether the first completion of each of these has come after that of the one before.
    pub(super) fn in_order(&self, numbers: &[u64]) -> bool {
        let place = |number: &u64| self.order.iter().position(|other| other == number);
        numbers.is_sorted_by_key(place)
    }
}

/// Ends everything, and sees to it that each operation has ended exactly once.
impl Drop for Bench {
    fn drop(&mut self) {
        if std::thread::panicking() {
            // What operations name must stay.
            std::mem::take(&mut self.memory).into_iter().for_each(std::mem::forget);
            return;
        }
        let mut next = 1_000_000;
        while let Some(number) = self.submitted.iter().copied().find(|number| !self.is_over(*number)) {
            next = self.stop(next, number).0 + 1;
        }
        self.settle();
        for (number, all) in &self.completions {
            // A zero-copy send that a chain takes with it ends, and is then notified of.
            let is_given_up = !all[0].has_more() && all[0].result == -libc::ECANCELED;
            let is_last = |cqe: &&Cqe| !cqe.has_more() && (!is_given_up || cqe.flags & NOTIFICATION == 0);
            let last = all.iter().filter(is_last).count();
            assert_eq!(last, 1, "{}: operation {number} has ended {last} times: {all:?}", self.label);
        }
    }
}
