//! A number that one thread changes and every thread may read.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// A counter or a gauge with one owner. To change it is a plain load and a plain store, as with a `Cell`: no locked instruction.
/// Readers on other threads see some recent value of each, and of two no particular order.
#[derive(Debug, Default)]
pub(crate) struct Count(AtomicU64);

impl Count {
    pub(crate) const fn new(value: u64) -> Self {
        Count(AtomicU64::new(value))
    }

    #[inline]
    pub(crate) fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }

    /// By the owner only, as the two below: of two threads that changed it one would lose.
    #[inline]
    pub(crate) fn set(&self, value: u64) {
        self.0.store(value, Relaxed);
    }

    #[inline]
    pub(crate) fn add(&self, amount: u64) {
        self.set(self.get().wrapping_add(amount));
    }

    #[inline]
    pub(crate) fn subtract(&self, amount: u64) {
        self.set(self.get().wrapping_sub(amount));
    }

    /// As [`Count::add`] by any of several threads, at the price of a locked instruction.
    #[inline]
    pub(crate) fn add_shared(&self, amount: u64) {
        self.0.fetch_add(amount, Relaxed);
    }

    /// Raises it to `value`, by any of several threads.
    pub(crate) fn raise_shared(&self, value: u64) {
        self.0.fetch_max(value, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shared_count_loses_nothing_and_a_gauge_may_wrap_on_the_way() {
        let count = Count::new(1);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..10_000).for_each(|_| count.add_shared(1)));
            }
        });
        count.subtract(40_002);
        assert_eq!(count.get(), u64::MAX);
        count.add(8);
        count.raise_shared(5);
        assert_eq!(count.get(), 7);
    }
}
