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

use super::x86_64::{self, Context};
use std::cell::Cell;
use std::ffi::c_void;
use std::ptr;

unsafe extern "C" {
    fn __sanitizer_start_switch_fiber(fake_stack: *mut *mut c_void, bottom: *const c_void, size: usize);
    fn __sanitizer_finish_switch_fiber(fake_stack: *mut c_void, bottom: *mut *const c_void, size: *mut usize);
    fn __asan_unpoison_memory_region(address: *const c_void, size: usize);
}

/// What is known of the stack of a flow that does not run.
#[derive(Debug)]
pub(super) struct Bounds {
    bottom: *const c_void,
    size: usize,
    fake_stack: *mut c_void,
}

impl Bounds {
    pub(super) const UNKNOWN: Bounds = Bounds { bottom: ptr::null(), size: 0, fake_stack: ptr::null_mut() };
}

impl Context {
    /// The flow runs on this stack.
    pub(crate) fn on(mut self, bottom: *const u8, size: usize) -> Self {
        self.bounds = Bounds { bottom: bottom.cast(), size, ..Bounds::UNKNOWN };
        self
    }
}

thread_local! {
    /// Who has just switched away.
    static LEFT: Cell<*mut Context> = const { Cell::new(ptr::null_mut()) };
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
        LEFT.set(from);
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
/// A switch has just arrived at this flow, which had that fake stack: so `LEFT`'s memory is not used again yet.
unsafe fn arrive(fake_stack: *mut c_void) {
    let (mut bottom, mut size) = (ptr::null(), 0);
    // SAFETY: the caller's promise.
    unsafe {
        __sanitizer_finish_switch_fiber(fake_stack, &mut bottom, &mut size);
        if let Some(left) = LEFT.get().as_mut()
            && left.bounds.size == 0
        {
            left.bounds = Bounds { bottom, size, ..Bounds::UNKNOWN };
        }
    }
}
