//! The switch as ThreadSanitizer has to hear of it: `--cfg tsan`, with `-Zsanitizer=thread`. See the lane `tsan` of `.ci/run`.
//!
//! It keeps a clock and a stack of calls for each thread, and for each flow that it is told of. A switch goes from one to another, and
//! what was done before it has happened before what is done after it: as on one thread it has.
//!
//! ```text
//!   prepare ── create_fiber ──▶ switch ── switch_to_fiber, then the switch ──▶ … ──▶ its stack is given back ── destroy_fiber
//! ```
//!
//! A flow that has ended gives its stack back while it still runs on it. So it is destroyed at the next switch's other end.

use super::x86_64::{self, Context};
use std::cell::RefCell;
use std::collections::HashMap;
use std::ffi::c_void;
use std::ptr;

unsafe extern "C" {
    fn __tsan_get_current_fiber() -> *mut c_void;
    fn __tsan_create_fiber(flags: u32) -> *mut c_void;
    fn __tsan_destroy_fiber(fiber: *mut c_void);
    fn __tsan_switch_to_fiber(fiber: *mut c_void, flags: u32);
    fn __tsan_acquire(address: *const ());
    fn __tsan_release(address: *const ());
}

/// What ThreadSanitizer knows a flow by.
#[derive(Clone, Copy, Debug)]
pub(super) struct Flow(*mut c_void);

impl Flow {
    pub(super) const UNKNOWN: Flow = Flow(ptr::null_mut());
}

#[derive(Default)]
struct Flows {
    /// By the high ends of their stacks.
    on: HashMap<*const u8, Flow>,
    /// Those whose stacks were given back.
    ended: Vec<Flow>,
}

thread_local! {
    static FLOWS: RefCell<Flows> = RefCell::default();
}

impl Context {
    /// The flow runs on this stack.
    pub(crate) fn on(self, bottom: *const u8, size: usize) -> Self {
        FLOWS.with_borrow_mut(|flows| flows.on.insert(bottom.wrapping_add(size), self.flow));
        self
    }
}

/// A stack was given back: the flow that ran on it has ended, or is about to.
pub(crate) fn given_back(top: *const u8) {
    FLOWS.with_borrow_mut(|flows| {
        let flow = flows.on.remove(&top);
        flows.ended.extend(flow);
    });
}

/// As [`x86_64::switch`].
///
/// # Safety
/// As there.
#[inline(always)]
pub(crate) unsafe fn switch(from: *mut Context, to: *const Context) {
    // SAFETY: the caller's promise: both contexts are there. A flow that is prepared is known.
    unsafe {
        (*from).flow = Flow(__tsan_get_current_fiber());
        __tsan_switch_to_fiber((*to).flow.0, 0);
        x86_64::switch(from, to);
        bury();
    }
}

/// As [`x86_64::prepare`].
///
/// # Safety
/// As there.
pub(crate) unsafe fn prepare(top: *mut u8, entry: unsafe extern "C" fn(*mut ()) -> !, argument: *mut ()) -> Context {
    // SAFETY: the caller's promise; a flow is made of nothing.
    unsafe {
        let mut context = x86_64::prepare(top, entry, argument);
        bury();
        context.flow = Flow(__tsan_create_fiber(0));
        context
    }
}

/// Destroys the flows that have ended.
fn bury() {
    FLOWS.with_borrow_mut(|flows| {
        // SAFETY: each was created by `prepare`, is here once, and does not run: it has given its stack back and switched away.
        flows.ended.extract_if(.., |flow| flow.0 != unsafe { __tsan_get_current_fiber() }).for_each(|flow| unsafe {
            __tsan_destroy_fiber(flow.0);
        });
    });
}

/// std as it is delivered knows nothing of ThreadSanitizer. What is generic or inlined is compiled with the program that is watched;
/// what is not, of its locks, is wrapped by the linker (the lane says which function by which of these), to say what it does.
mod std_locks {
    use super::{__tsan_acquire, __tsan_release};
    use std::panic::Location;
    use std::sync::OnceState;
    use std::time::Duration;

    /// What `#[track_caller]` adds.
    type Caller = &'static Location<'static>;

    unsafe extern "Rust" {
        fn coop_tsan_real_mutex_lock(mutex: *const ());
        fn coop_tsan_real_read(lock: *const ());
        fn coop_tsan_real_write(lock: *const ());
        fn coop_tsan_real_wait(condvar: *const (), mutex: *const ());
        fn coop_tsan_real_wait_timeout(condvar: *const (), mutex: *const (), timeout: Duration) -> bool;
        fn coop_tsan_real_scoped_end(scope: *const (), has_panicked: bool);
        fn coop_tsan_real_once(once: *const (), ignores_poison: bool, f: &mut dyn FnMut(&OnceState), by: Caller);
    }

    #[unsafe(no_mangle)]
    unsafe fn coop_tsan_mutex_lock(mutex: *const ()) {
        // SAFETY: as std has called it.
        unsafe {
            coop_tsan_real_mutex_lock(mutex);
            __tsan_acquire(mutex);
        }
    }

    #[unsafe(no_mangle)]
    unsafe fn coop_tsan_read(lock: *const ()) {
        // SAFETY: as std has called it.
        unsafe {
            coop_tsan_real_read(lock);
            __tsan_acquire(lock);
        }
    }

    #[unsafe(no_mangle)]
    unsafe fn coop_tsan_write(lock: *const ()) {
        // SAFETY: as std has called it.
        unsafe {
            coop_tsan_real_write(lock);
            __tsan_acquire(lock);
        }
    }

    #[unsafe(no_mangle)]
    unsafe fn coop_tsan_wait(condvar: *const (), mutex: *const ()) {
        // SAFETY: as std has called it.
        unsafe {
            __tsan_release(mutex);
            coop_tsan_real_wait(condvar, mutex);
            __tsan_acquire(mutex);
        }
    }

    #[unsafe(no_mangle)]
    unsafe fn coop_tsan_wait_timeout(condvar: *const (), mutex: *const (), timeout: Duration) -> bool {
        // SAFETY: as std has called it.
        unsafe {
            __tsan_release(mutex);
            let was_woken = coop_tsan_real_wait_timeout(condvar, mutex, timeout);
            __tsan_acquire(mutex);
            was_woken
        }
    }

    #[unsafe(no_mangle)]
    unsafe fn coop_tsan_scoped_end(scope: *const (), has_panicked: bool) {
        // SAFETY: as std has called it. The count of the threads is one of the three words there: whoever waits for it reads it.
        unsafe {
            (0..3).for_each(|word| __tsan_release(scope.cast::<usize>().add(word).cast()));
            coop_tsan_real_scoped_end(scope, has_panicked);
        }
    }

    #[unsafe(no_mangle)]
    unsafe fn coop_tsan_once(once: *const (), ignores_poison: bool, f: &mut dyn FnMut(&OnceState), by: Caller) {
        // SAFETY: as std has called it. What `f` has done is released before others are told that it has: they may look at once.
        unsafe {
            coop_tsan_real_once(
                once,
                ignores_poison,
                &mut |state| {
                    f(state);
                    __tsan_release(once);
                },
                by,
            );
            __tsan_acquire(once);
        }
    }
}
