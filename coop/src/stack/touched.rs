//! How deep a stack has ever been: by the pages that were touched, and in the lowest of them by what was left there.

use super::{PAGE, Stack};
use crate::sys;

impl Stack {
    /// Gives the memory of a stack back to the kernel, so that what is touched from now on shows.
    ///
    /// # Safety
    /// The stack is free: nothing on it is needed.
    #[cold]
    #[inline(never)]
    pub(crate) unsafe fn forget(&self) {
        // SAFETY: the caller's promise; the usable part lies within a mapping of the pool's. Guards survive.
        unsafe { sys::discard(self.top().sub(self.size()), self.size()) };
    }

    /// How many bytes below the top the lowest word is that was ever written to, with something else than zero, since
    /// [`forget`](Self::forget). `None` if the kernel does not say.
    ///
    /// May be called on the stack itself: what its own frames touch is at its low end, below where it looks in the end, or counts.
    pub(crate) fn depth(&self) -> Option<usize> {
        const PAGES: usize = 64;
        let bottom = self.top().addr() - self.size();
        let mut pages = [0u8; PAGES];
        let mut from = bottom;
        while from < self.top().addr() {
            let len = (self.top().addr() - from).min(PAGES * PAGE);
            sys::resident(from, len, &mut pages).ok()?;
            if let Some(first) = pages[..len / PAGE].iter().position(|page| page & 1 != 0) {
                let page = from + first * PAGE;
                let words = self.top().with_addr(page).cast::<u64>();
                // SAFETY: the page is a part of the stack, which is mapped. Frames of the running flow may change it meanwhile.
                let word = (0..PAGE / 8).find(|word| unsafe { words.add(*word).read_volatile() } != 0);
                // A page that was only read, or in which only zeros were written, was not used to any depth that matters.
                return Some(self.top().addr() - (page + word.unwrap_or(PAGE / 8) * 8));
            }
            from += len;
        }
        Some(0)
    }
}

#[cfg(test)]
mod tests {
    use crate::stack::Pool;

    #[test]
    fn the_lowest_word_that_was_written_tells_and_a_forgotten_stack_begins_again() {
        let pool = Pool::new(8);
        let stack = pool.take(1 << 20).unwrap();
        // SAFETY: the stack is this test's alone.
        unsafe {
            stack.forget();
            assert_eq!(stack.depth(), Some(0));
            stack.top().sub(8).write(1);
            assert_eq!(stack.depth(), Some(8));
            stack.top().sub(600_000).write(1);
            assert_eq!(stack.depth(), Some(600_000));
            stack.top().sub(stack.size()).write(1);
            assert_eq!(stack.depth(), Some(1 << 20));
            stack.forget();
            stack.top().sub(5000).write(1);
            assert_eq!(stack.depth(), Some(5000));
            pool.give_back(stack);
        }
    }
}
