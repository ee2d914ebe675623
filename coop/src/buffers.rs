//! Buffers of one size, lent for a moment to whoever has received something.

use std::cell::RefCell;

/// How much one has room for.
pub(crate) const SIZE: usize = 16 * 1024;

/// How many are kept for the next; those beyond are freed.
const MOST_KEPT: usize = 64;

/// The buffers of one Cooperator that nobody uses just now.
#[derive(Default)]
pub(crate) struct Buffers {
    kept: RefCell<Vec<Box<[u8]>>>,
}

impl Buffers {
    /// One with `SIZE` bytes, of whatever content.
    pub(crate) fn take(&self) -> Box<[u8]> {
        self.kept.borrow_mut().pop().unwrap_or_else(|| vec![0; SIZE].into())
    }

    /// Gives one back.
    pub(crate) fn give_back(&self, buffer: Box<[u8]>) {
        debug_assert_eq!(buffer.len(), SIZE);
        let mut kept = self.kept.borrow_mut();
        if kept.len() < MOST_KEPT {
            kept.push(buffer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_back_is_lent_again_and_only_so_much_is_kept() {
        let buffers = Buffers::default();
        let first = buffers.take();
        let address = first.as_ptr();
        buffers.give_back(first);
        let lent: Vec<_> = (0..100).map(|_| buffers.take()).collect();
        assert_eq!(lent[0].as_ptr(), address);
        lent.into_iter().for_each(|buffer| buffers.give_back(buffer));
        assert_eq!(buffers.kept.borrow().len(), MOST_KEPT);
    }
}
