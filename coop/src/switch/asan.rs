//! The switch as AddressSanitizer has to hear of it: `--cfg asan`, with `-Zsanitizer=address`. See the lane `asan` of `.ci/run`.
//!
//! It keeps the bounds of the running stack, to know a stack's address when it sees one and to clear the marks of frames that a
//! panic leaves. So it is told where a switch goes, before, and asked where it came from, after:
//!
//! ```text
//!   switch(from, to) ── start_switch_fiber(to's bounds) ──▶ to's stack ── finish_switch_fiber ──▶ from's bounds, once
//! ```
//!
//! Frames that are left for good, those of a task that has ended, leave marks too: a stack that is taken again is cleared of them.
//!
//! LeakSanitizer, which looks at the end of the process for memory that nobody refers to any more, finds by these bounds the stacks that
//! threads run on just then. Of all others it is told what is in use, from where the flow has stopped up to the top: nothing below, and
//! no stack that is free, where there is still much of what was long forgotten. On the thread's own stack this is the loop's part, as
//! long as a task runs.

use super::x86_64::{self, Context};
use std::cell::Cell;
use std::ffi::c_void;
use std::ptr;

unsafe extern "C" {
    fn __sanitizer_start_switch_fiber(fake_stack: *mut *mut c_void, bottom: *const c_void, size: usize);
    fn __sanitizer_finish_switch_fiber(fake_stack: *mut c_void, bottom: *mut *const c_void, size: *mut usize);
    fn __asan_unpoison_memory_region(address: *const c_void, size: usize);
    fn __lsan_register_root_region(begin: *const c_void, size: usize);
    fn __lsan_unregister_root_region(begin: *const c_void, size: usize);
}

/// What is known of the stack of a flow that does not run.
#[derive(Debug)]
pub(super) struct Bounds {
    bottom: *const c_void,
    size: usize,
    fake_stack: *mut c_void,
    /// From here to the top it is searched for references.
    searched: *const c_void,
    /// Nobody comes back to it.
    is_over: bool,
}

impl Bounds {
    pub(super) const UNKNOWN: Bounds =
        Bounds { bottom: ptr::null(), size: 0, fake_stack: ptr::null_mut(), searched: ptr::null(), is_over: false };

    /// What has stopped there may refer to anything, until [`skip`](Bounds::skip).
    ///
    /// # Safety
    /// From there to the top is memory that stays until then.
    unsafe fn search(&mut self, from: usize) {
        if self.size != 0 {
            self.searched = self.bottom.with_addr(from);
            // SAFETY: the caller's promise; it is only read.
            unsafe { __lsan_register_root_region(self.searched, self.above(from)) };
        }
    }

    fn skip(&mut self) {
        if !self.searched.is_null() {
            let searched = std::mem::replace(&mut self.searched, ptr::null());
            // SAFETY: registered by `search`, with this length.
            unsafe { __lsan_unregister_root_region(searched, self.above(searched.addr())) };
        }
    }

    fn above(&self, address: usize) -> usize {
        self.bottom.addr() + self.size - address
    }
}

impl Context {
    /// The flow runs on this stack, on whose top is what it begins with.
    ///
    /// # Safety
    /// The stack stays until [`over`].
    pub(crate) unsafe fn on(mut self, bottom: *const u8, size: usize) -> Self {
        self.bounds = Bounds { bottom: bottom.cast(), size, ..Bounds::UNKNOWN };
        // SAFETY: the caller's promise.
        unsafe { self.bounds.search(self.rsp) };
        self
    }
}

/// The flow has left its stack for good, or is about to: it refers to nothing any more.
///
/// # Safety
/// The context is that of a flow of this thread that was told its stack.
pub(crate) unsafe fn over(context: *mut Context) {
    // SAFETY: the caller's promise: nobody else has it.
    let bounds = unsafe { &mut (*context).bounds };
    bounds.skip();
    bounds.is_over = true;
}

thread_local! {
    /// The last switch of this thread: from, and to.
    static LAST: Cell<(*mut Context, *mut Context)> = const { Cell::new((ptr::null_mut(), ptr::null_mut())) };
}

/// Clears a stack of what frames have left on it.
///
/// # Safety
/// Nobody uses that memory.
pub(crate) unsafe fn clear(bottom: *const u8, size: usize) {
    // SAFETY: marks, no memory, are written.
    unsafe { __asan_unpoison_memory_region(bottom.cast(), size) };
}

/// As [`x86_64::switch`].
///
/// # Safety
/// As there.
#[inline(always)]
pub(crate) unsafe fn switch(from: *mut Context, to: *const Context) {
    // SAFETY: the caller's promise: both contexts are there, and `from` still is when somebody has switched to it.
    unsafe {
        LAST.set((from, to.cast_mut()));
        __sanitizer_start_switch_fiber(&raw mut (*from).bounds.fake_stack, (*to).bounds.bottom, (*to).bounds.size);
        x86_64::switch(from, to);
        arrive((*from).bounds.fake_stack);
    }
}

/// The first half of a flow: what `prepare` was given.
#[repr(C, align(16))]
struct Start {
    entry: unsafe extern "C" fn(*mut ()) -> !,
    argument: *mut (),
}

/// As [`x86_64::prepare`].
///
/// # Safety
/// As there.
pub(crate) unsafe fn prepare(top: *mut u8, entry: unsafe extern "C" fn(*mut ()) -> !, argument: *mut ()) -> Context {
    // SAFETY: there is room below the top, which is aligned.
    unsafe {
        let start = top.cast::<Start>().sub(1);
        start.write(Start { entry, argument });
        x86_64::prepare(start.cast(), first, start.cast())
    }
}

/// # Safety
/// `start` is a [`Start`].
unsafe extern "C" fn first(start: *mut ()) -> ! {
    // SAFETY: the caller's promise.
    unsafe {
        arrive(ptr::null_mut());
        let Start { entry, argument } = start.cast::<Start>().read();
        entry(argument)
    }
}

/// A switch has arrived. The bounds of whoever has left are noted, unless they are known.
///
/// # Safety
/// A switch has just arrived at this flow, which had that fake stack: so the memory of both contexts in `LAST` is not used again yet.
unsafe fn arrive(fake_stack: *mut c_void) {
    let (mut bottom, mut size) = (ptr::null(), 0);
    let (left, here) = LAST.get();
    // SAFETY: the caller's promise. A flow that gives way to nobody but itself is first stopped, then here. What has stopped stays
    // as it is; it may have ended, and then says so.
    unsafe {
        __sanitizer_finish_switch_fiber(fake_stack, &mut bottom, &mut size);
        let rsp = (*left).rsp;
        let left = &mut (*left).bounds;
        if left.size == 0 {
            *left = Bounds { bottom, size, fake_stack: left.fake_stack, ..Bounds::UNKNOWN };
        }
        if !left.is_over {
            left.search(rsp);
        }
        (*here).bounds.skip();
    }
}
