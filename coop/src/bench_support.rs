//! What the `benches` crate measures below the public API: the bare switch, on a stack of the pool.

use crate::stack::{Pool, Stack};
use crate::switch::{Context, prepare, switch};
use std::cell::{Cell, UnsafeCell};

struct Pair {
    main: UnsafeCell<Context>,
    flow: UnsafeCell<Context>,
    resumed: Cell<u64>,
}

/// A flow that does nothing but count how often it is resumed.
pub struct RoundTrip {
    pair: Box<Pair>,
    pool: Pool,
    stack: Stack,
}

impl RoundTrip {
    /// A flow on a stack of its own, not started yet.
    ///
    /// # Panics
    /// When there is no stack to be had.
    pub fn new() -> Self {
        let pool = Pool::new(1);
        let stack = pool.take(crate::stack::DEFAULT_SIZE).expect("one stack");
        let pair = Box::new(Pair {
            main: UnsafeCell::new(Context::unset()),
            flow: UnsafeCell::new(Context::unset()),
            resumed: Cell::new(0),
        });
        // SAFETY: the stack is this object's alone and deep enough; `count` never returns, and finds its pair in the box.
        unsafe { *pair.flow.get() = prepare(stack.top(), count, (&raw const *pair).cast_mut().cast()) };
        RoundTrip { pair, pool, stack }
    }

    /// Resumes the flow, which suspends itself again: two switches. Gives how often that was done.
    #[inline]
    pub fn resume(&mut self) -> u64 {
        // SAFETY: the flow is prepared, or parked in `count`; an object that is not `Send` stays on its thread.
        unsafe { switch(self.pair.main.get(), self.pair.flow.get()) };
        self.pair.resumed.get()
    }
}

impl Drop for RoundTrip {
    fn drop(&mut self) {
        // SAFETY: nobody resumes the flow any more, and its frames hold nothing that needs dropping.
        unsafe { self.pool.give_back(self.stack) };
    }
}

unsafe extern "C" fn count(pair: *mut ()) -> ! {
    // SAFETY: `RoundTrip::new` passes its own pair, whose box outlives the last resumption.
    let pair = unsafe { &*pair.cast::<Pair>() };
    loop {
        pair.resumed.set(pair.resumed.get() + 1);
        // SAFETY: who resumed this flow is parked in `resume`.
        unsafe { switch(pair.flow.get(), pair.main.get()) };
    }
}
