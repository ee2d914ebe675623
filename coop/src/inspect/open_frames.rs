//! Frames of the *thread's* that a task keeps open across a wait: the one mistake that neither the compiler nor the runtime can
//! rule out, since every task of the thread finds the same thread-local, or the same half-made lazy value.
//!
//! In debug builds waits are sampled: the first at each place of the source, the second, the fourth, and so on. The task's
//! stack is walked, and a frame of the kinds below that is found on it is reported, once for each place, on standard error. A
//! release build has nothing of this.

use crate::fiber::Fiber;
use crate::sys;
use crate::task::Task;
use std::backtrace::Backtrace;
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// What gives such a frame away: parts that its function's name has, in this order.
const KINDS: &[&[&str]] = &[
    &["thread::local::LocalKey<", ">::with"],
    &["thread::local::LocalKey<", ">::try_with"],
    // The initialiser of a `thread_local!`.
    &["thread_local::", "::get_or_init"],
    &["thread_local::", "::initialize"],
    // Values that are made when they are first asked for, by `std`, `once_cell` and `lazy_static`.
    &["OnceCell<", ">::get_or_"],
    &["OnceLock<", ">::get_or_"],
    &["LazyCell<", ">::force"],
    &["LazyLock<", ">::force"],
    &["::once::", "Once::call"],
    &["scoped_tls", "ScopedKey<", ">::set"],
];

/// Waits at one place of the source.
#[derive(Default)]
struct Waits {
    count: u64,
    is_reported: bool,
}

/// By the address of the place.
static WAITS: Mutex<BTreeMap<usize, Waits>> = Mutex::new(BTreeMap::new());

/// Looks at the stack of a fiber that is about to be switched out: the running one.
pub(crate) fn look(fiber: &Fiber) {
    let place = fiber.place.get();
    let waits = |change: &mut dyn FnMut(&mut Waits)| {
        let mut waits = WAITS.lock().unwrap_or_else(PoisonError::into_inner);
        change(waits.entry(std::ptr::from_ref(place).addr()).or_default());
    };
    let mut is_due = false;
    waits(&mut |here| {
        here.count += 1;
        is_due = !here.is_reported && here.count.is_power_of_two();
    });
    // SAFETY: every fiber is that of a task; this one runs.
    let task = unsafe { Task::of(fiber) };
    if !is_due || !task.has_room_for_backtrace() {
        return;
    }
    let trace = Backtrace::force_capture().to_string();
    let Some((frame, opened)) = open_frame(&trace) else {
        return;
    };
    waits(&mut |here| here.is_reported = true);
    sys::say(format_args!(
        "coop: task {} '{}' waits ({}) at {place} with a frame of the thread's open: {frame}, from {opened}\n\
         coop: other tasks run meanwhile, and find it open. End it before the wait; `coop::no_switch` makes sure",
        task.id,
        task.name,
        fiber.reason.get(),
    ));
}

/// The innermost frame of a listed kind, and from where in the user's code it was opened.
fn open_frame(trace: &str) -> Option<(&str, &str)> {
    let mut lines = trace.lines().peekable();
    let mut found = None;
    while let Some(line) = lines.next() {
        // A frame is a line "  N: name", followed by its place, "        at file:line:column", where that is known.
        let name = line.split_once(": ").map_or(line, |(_, name)| name);
        let place = lines.next_if(|line| line.trim_start().starts_with("at "));
        let place = place.map_or("an unknown place", |line| line.trim_start().trim_start_matches("at "));
        match found {
            None if is_listed(name) => found = Some(name),
            // The frames between are those of the library that keeps it.
            Some(frame) if !is_of_library(name, place) => return Some((frame, place)),
            _ => {}
        }
    }
    found.map(|frame| (frame, "an unknown place"))
}

/// Whether a function is of a listed kind; the closures inside such functions are not, nor is coop's own `OnceCell`, which knows
/// tasks.
fn is_listed(name: &str) -> bool {
    let is_coops = name.trim_start_matches('<').starts_with("coop::");
    !is_coops && !name.ends_with('}') && KINDS.iter().any(|parts| has_in_order(name, parts))
}

fn has_in_order(name: &str, parts: &[&str]) -> bool {
    let mut rest = name;
    parts.iter().all(|part| match rest.split_once(part) {
        Some((_, after)) => {
            rest = after;
            true
        }
        None => false,
    })
}

fn is_of_library(name: &str, place: &str) -> bool {
    const CRATES: [&str; 6] = ["std::", "core::", "alloc::", "once_cell::", "lazy_static::", "scoped_tls::"];
    place.contains("/rustc/") || CRATES.iter().any(|start| name.trim_start_matches('<').starts_with(start))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "   \
   0: coop::time::sleep
             at ./src/time/mod.rs:46:5
   1: user::main::{{closure}}::{{closure}}
             at ./src/main.rs:9:17
   2: std::thread::local::LocalKey<T>::try_with
             at /rustc/5980/library/std/src/thread/local.rs:315:12
   3: std::thread::local::LocalKey<T>::with
             at /rustc/5980/library/std/src/thread/local.rs:279:20
   4: user::main::{{closure}}
             at ./src/main.rs:8:13
   5: <core::panic::unwind_safe::AssertUnwindSafe<F> as core::ops::function::FnOnce<()>>::call_once
             at /rustc/5980/library/core/src/panic/unwind_safe.rs:272:9
";

    #[test]
    fn the_innermost_open_frame_is_named_with_the_place_that_opened_it() {
        assert_eq!(open_frame(TRACE), Some(("std::thread::local::LocalKey<T>::try_with", "./src/main.rs:8:13")));
    }

    #[test]
    fn a_stack_without_one_is_left_alone() {
        let closed: String =
            TRACE.lines().filter(|line| !line.contains("local")).map(|line| format!("{line}\n")).collect();
        assert_eq!(open_frame(&closed), None);
    }

    #[test]
    fn the_kinds_are_told_in_both_manglings() {
        for name in [
            "<std::thread::local::LocalKey<core::cell::RefCell<i32>>>::with::<user::f::{closure#0}, ()>",
            "std::thread::local::LocalKey<core::cell::RefCell<T>>::with_borrow_mut",
            "std::sys::thread_local::native::lazy::Storage<T,D>::get_or_init_slow",
            "std::sys::sync::once::futex::Once::call",
            "std::sync::poison::once::Once::call_once_force",
            "core::cell::once::OnceCell<T>::get_or_try_init",
            "std::sync::once_lock::OnceLock<T>::get_or_init",
            "<core::cell::lazy::LazyCell<i32>>::force",
            "once_cell::imp::OnceCell<T>::get_or_try_init",
            "scoped_tls::ScopedKey<T>::set",
        ] {
            assert!(is_listed(name), "{name}");
        }
        for name in [
            "std::thread::local::LocalKey<core::cell::Cell<T>>::get",
            "core::ops::function::FnOnce::call_once",
            "coop::sync::once_cell::OnceCell<T>::get_or_try_init",
            "coop::task::scope::wait_all",
            "std::sync::poison::once::Once::call_once::{{closure}}",
        ] {
            assert!(!is_listed(name), "{name}");
        }
    }
}
