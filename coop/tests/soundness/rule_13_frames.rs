//! Rule 13: regions of a task are frames, left in reverse order; whoever leaves them otherwise aborts. The user's destructors never
//! run between the catch of a panic and the drain that follows it. (That nobody else implements the operation traits is in
//! `escapes`.)
//!
//! Safe Rust cannot leave a closure's frame out of order. Another library of stacks can: here the C library's contexts stand for it.

use crate::child::child;
use crate::trace::{Defer, Trace};
use coop::net::UnixStream;
use coop::op;
use std::cell::UnsafeCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

const LONG: Duration = Duration::from_secs(3600);

/// Two flows of control within one task, of which coop knows nothing.
struct Foreign {
    here: UnsafeCell<libc::ucontext_t>,
    there: UnsafeCell<libc::ucontext_t>,
}

impl Foreign {
    fn new() -> &'static Self {
        // SAFETY: a ucontext is plain data; the functions below fill it.
        Box::leak(Box::new(unsafe { std::mem::zeroed() }))
    }

    /// Goes over to `f`, on a stack of its own. Returns when that calls [`Foreign::back`].
    fn start(&'static self, f: fn(&'static Foreign)) {
        extern "C" fn entry(low: u32, high: u32, f_low: u32, f_high: u32) {
            let join = |low: u32, high: u32| (u64::from(high) << 32 | u64::from(low)) as usize;
            // SAFETY: both were split by `start`.
            let (this, f) = unsafe {
                let this: &'static Foreign = &*std::ptr::with_exposed_provenance(join(low, high));
                (this, std::mem::transmute::<usize, fn(&'static Foreign)>(join(f_low, f_high)))
            };
            f(this);
            unreachable!("it always goes back");
        }
        let stack = Box::leak(vec![0u8; 1 << 20].into_boxed_slice());
        let (this, f) = (std::ptr::from_ref(self).expose_provenance(), f as usize);
        // SAFETY: the contexts live for ever, and so does the stack. The arguments are passed as four integers, as makecontext wants.
        unsafe {
            let there = self.there.get();
            assert_eq!(libc::getcontext(there), 0);
            (*there).uc_stack = libc::stack_t { ss_sp: stack.as_mut_ptr().cast(), ss_flags: 0, ss_size: stack.len() };
            (*there).uc_link = self.here.get();
            let entry: extern "C" fn(u32, u32, u32, u32) = entry;
            let entry = std::mem::transmute::<extern "C" fn(u32, u32, u32, u32), extern "C" fn()>(entry);
            libc::makecontext(there, entry, 4, this as u32, (this >> 32) as u32, f as u32, (f >> 32) as u32);
            libc::swapcontext(self.here.get(), there);
        }
    }

    fn back(&self) {
        // SAFETY: `here` was filled by `start` or `go_on`.
        unsafe { libc::swapcontext(self.there.get(), self.here.get()) };
    }

    fn go_on(&self) {
        // SAFETY: `there` was filled by `back`.
        unsafe { libc::swapcontext(self.here.get(), self.there.get()) };
    }
}

/// Opens a region in another flow, leaves that flow in it, opens one here, and has the other flow leave its own first.
fn out_of_order(outer: fn(&mut dyn FnMut()), inner: fn(&mut dyn FnMut())) {
    static OUTER: std::sync::OnceLock<fn(&mut dyn FnMut())> = std::sync::OnceLock::new();
    OUTER.set(outer).expect("once a process");
    coop::run(|| {
        let foreign = Foreign::new();
        foreign.start(|foreign| {
            OUTER.get().expect("set above")(&mut || foreign.back());
            eprintln!("left out of order");
            foreign.back();
        });
        inner(&mut || foreign.go_on());
    });
}

const OUT_OF_ORDER: &str = "coop: task #1 'root' left a scope, deadline or shield out of order";

#[test]
fn a_timeout_that_is_left_inside_another_aborts() {
    let region = |f: &mut dyn FnMut()| {
        let _ = coop::deadline(LONG, f);
    };
    child!(|| out_of_order(region, region))
        .died_of(libc::SIGABRT)
        .said(OUT_OF_ORDER)
        .did_not_say("left out of order\n");
}

#[test]
fn a_scope_that_is_left_inside_a_shield_aborts() {
    let (scope, shield) = (|f: &mut dyn FnMut()| coop::wait_all(|_| f()), |f: &mut dyn FnMut()| coop::shield(LONG, f));
    child!(|| out_of_order(scope, shield)).died_of(libc::SIGABRT).said(OUT_OF_ORDER);
}

#[test]
fn a_shield_that_is_left_inside_a_scope_aborts() {
    let (scope, shield) = (|f: &mut dyn FnMut()| coop::wait_all(|_| f()), |f: &mut dyn FnMut()| coop::shield(LONG, f));
    child!(|| out_of_order(shield, scope)).died_of(libc::SIGABRT).said(OUT_OF_ORDER);
}

#[test]
fn regions_that_are_left_by_panics_nest_as_ever() {
    coop::run(|| {
        for depth in 1..6 {
            fn nest(depth: usize) -> Result<(), coop::Killed> {
                let inner = || match depth {
                    0 => panic!("at the bottom"),
                    _ => nest(depth - 1),
                };
                match depth % 3 {
                    0 => coop::scope(|_| inner()),
                    1 => coop::deadline(LONG, inner).0,
                    _ => coop::shield(LONG, inner),
                }
            }
            assert!(catch_unwind(|| nest(depth)).is_err());
            coop::sleep(Duration::from_nanos(1)).unwrap();
        }
    });
}

#[test]
fn the_users_destructors_run_before_the_catch_or_after_the_drain() {
    /// Says how much of the scope is left: operations in flight, and tasks besides the root.
    fn says(trace: &Trace, what: &'static str) -> impl FnOnce() + 'static {
        let trace = trace.clone();
        move || {
            let census = coop::__private::census();
            trace.say(format!("{what}: {} in flight, {} tasks", census.operations, census.tasks - 1));
        }
    }
    struct Payload(Option<Box<dyn FnOnce()>>);
    // SAFETY: for this test's panic, which stays on the thread.
    unsafe impl Send for Payload {}
    impl Drop for Payload {
        fn drop(&mut self) {
            self.0.take().expect("dropped once")();
        }
    }
    let trace = Trace::default();
    coop::run(|| {
        let (ours, _theirs) = UnixStream::pair().unwrap();
        let mut buffer = [0; 4];
        let caught = catch_unwind(AssertUnwindSafe(|| {
            coop::wait_all(|s| {
                std::mem::forget(s.start(op::recv(&ours, &mut buffer)));
                s.spawn(|| coop::sleep(LONG).is_err());
                coop::sleep(Duration::from_millis(1)).unwrap();
                let _local = Defer::new(says(&trace, "a local of the body"));
                std::panic::panic_any(Payload(Some(Box::new(says(&trace, "the payload")))));
            })
        }));
        trace.say("caught");
        drop(caught);
        let value = catch_unwind(AssertUnwindSafe(|| {
            coop::wait_all(|s| {
                std::mem::forget(s.start(op::recv(&ours, &mut buffer)));
                s.spawn(|| coop::sleep(LONG).is_err());
                s.spawn(|| panic!("on purpose"));
                let _ = coop::sleep(Duration::from_millis(1));
                Defer::new(says(&trace, "the value"))
            })
        }));
        assert!(value.is_err());
    });
    let expected = [
        "a local of the body: 1 in flight, 1 tasks",
        "caught",
        "the payload: 0 in flight, 0 tasks",
        "the value: 0 in flight, 0 tasks",
    ];
    assert_eq!(trace.take(), expected);
}

/// What was forgotten is freed by its scope, and what that drops may panic: the rest is in flight still.
#[test]
fn destructors_that_panic_in_the_drain_of_a_scope_leave_nothing_behind() {
    struct Panics;
    impl Drop for Panics {
        fn drop(&mut self) {
            panic!("on purpose");
        }
    }
    coop::run(|| {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let mut buffer = [0; 8];
        let panic = catch_unwind(AssertUnwindSafe(|| {
            coop::wait_all(|s| {
                std::mem::forget(s.start(op::unblock(|| Panics)));
                std::mem::forget(s.start(op::unblock(|| Panics)));
                std::mem::forget(s.start(op::recv(&ours, &mut buffer)));
                let has_come = s.start(op::unblock(|| std::thread::sleep(Duration::from_millis(20))));
                has_come.wait().unwrap();
            });
        }));
        assert_eq!(panic.unwrap_err().downcast_ref(), Some(&"on purpose"), "the first goes on from the scope");
        assert_eq!(coop::__private::census().operations, 1, "that of the inbox");
        theirs.send_all(b"late").unwrap();
        coop::sleep(Duration::from_millis(1)).unwrap();
        assert_eq!(buffer, [0; 8], "nobody writes to it any more");
        // The chain of frames is whole.
        let late = coop::deadline(Duration::from_millis(1), || coop::sleep(LONG)).1;
        assert!(late.is_expired() && coop::wait_all(|s| s.spawn(|| coop::yield_now()).join()).unwrap().is_ok());
    });
}
