//! Backtraces of parked tasks, of which many are alike.
//!
//! To walk a stack takes microseconds, to find the names of its functions a hundred times that. Tasks of one kind that wait at one
//! place have the same return addresses, so each chain of addresses is named once.

use crate::switch;
use crate::task::Task;
use std::backtrace::Backtrace;
use std::collections::HashMap;
use std::sync::Arc;

/// A function on a stack, and where it was at if that is known: `file:line:column`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) function: String,
    pub(crate) place: Option<String>,
}

/// The chains that were named so far.
#[derive(Default)]
pub(crate) struct Backtraces {
    known: HashMap<Vec<usize>, Arc<[Frame]>>,
}

/// Longer chains are not compared.
const LONGEST: usize = 512;

impl Backtraces {
    /// The frames of the user's code on a parked task's stack, innermost first. Those of the runtime and of std are left out wherever
    /// they stand: a scope has both between two frames of the user's.
    pub(crate) fn of(&mut self, task: &Task) -> Arc<[Frame]> {
        let chain = chain(task);
        if let Some(frames) = self.known.get(&chain) {
            return frames.clone();
        }
        let mut trace = String::new();
        // SAFETY: the task is parked, so its context was written by a switch; it does not run while this does.
        unsafe {
            switch::with_backtrace_of(task.fiber.context.get(), || trace = Backtrace::force_capture().to_string())
        };
        let frames: Arc<[Frame]> = frames(&trace).into_iter().filter(|frame| !frame.is_of_runtime()).collect();
        if chain.len() < LONGEST {
            self.known.insert(chain, frames.clone());
        }
        frames
    }
}

/// The frames of a backtrace as std prints it.
pub(crate) fn frames(trace: &str) -> Vec<Frame> {
    let mut frames = Vec::new();
    let mut lines = trace.lines().peekable();
    while let Some(line) = lines.next() {
        // A frame is a line "  N: name", followed by its place, "        at file:line:column", where that is known.
        let function = line.split_once(": ").map_or(line, |(_, name)| name).trim_start().to_owned();
        let place = lines.next_if(|line| line.trim_start().starts_with("at "));
        let place = place.map(|line| line.trim_start().trim_start_matches("at ").to_owned());
        frames.push(Frame { function, place });
    }
    frames
}

impl Frame {
    /// Whether it is one of this crate's or of std's. An optimised build with little debug information names functions without their
    /// paths; then their files tell.
    pub(crate) fn is_of_runtime(&self) -> bool {
        let source = file!().strip_suffix("inspect/backtrace.rs").unwrap_or(file!());
        let std = ["std::", "core::", "alloc::", "<core::", "<alloc::", "<std::", "__rust"];
        let (name, place) = (&self.function, self.place.as_deref().unwrap_or_default());
        name.starts_with("coop::")
            || name.starts_with("<coop::")
            || std.iter().any(|std| name.starts_with(std))
            || place.contains(source)
            || place.contains("/rustc/")
    }
}

/// The return addresses on a parked task's stack, and on the way to it.
fn chain(task: &Task) -> Vec<usize> {
    /// `struct _Unwind_Context`, which only the unwinder knows.
    enum Context {}
    // The unwinder that std itself is linked with: Itanium C++ ABI, exception handling, level I.
    unsafe extern "C" {
        fn _Unwind_Backtrace(
            trace: extern "C" fn(*mut Context, *mut libc::c_void) -> libc::c_int,
            argument: *mut libc::c_void,
        ) -> libc::c_int;
        fn _Unwind_GetIP(context: *mut Context) -> usize;
    }
    extern "C" fn add(context: *mut Context, all: *mut libc::c_void) -> libc::c_int {
        const NO_REASON: libc::c_int = 0;
        const END_OF_STACK: libc::c_int = 5;
        // SAFETY: the unwinder passes its own context, and what it was given: the vector below.
        let (all, address) = unsafe { (&mut *all.cast::<Vec<usize>>(), _Unwind_GetIP(context)) };
        all.push(address);
        if all.len() < LONGEST { NO_REASON } else { END_OF_STACK }
    }
    let mut all: Vec<usize> = Vec::with_capacity(64);
    let walk = || {
        // SAFETY: the callback fits its declaration; the vector is borrowed for the call.
        unsafe { _Unwind_Backtrace(add, (&raw mut all).cast()) };
    };
    // SAFETY: as in `Backtraces::of`.
    unsafe { switch::with_backtrace_of(task.fiber.context.get(), walk) };
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_read_with_and_without_their_places() {
        let trace = "   0: user::wait\n             at ./src/main.rs:4:5\n   1: <T as U>::call\n   2: main\n             at ./a b.rs:1:2\n";
        let frame =
            |function: &str, place: Option<&str>| Frame { function: function.into(), place: place.map(str::to_owned) };
        let wanted = [
            frame("user::wait", Some("./src/main.rs:4:5")),
            frame("<T as U>::call", None),
            frame("main", Some("./a b.rs:1:2")),
        ];
        assert_eq!(frames(trace), wanted);
    }
}
