//! Ending the process from a task.

use crate::cooperator::Cooperator;
use crate::fiber::Reason;
use crate::scheduler::Scheduler;

/// Ends the process with this exit code, from any task: what [`std::process::exit`] does, done on the thread's own stack.
///
/// `process::exit` in a task would run C's exit handlers and the destructors of thread-locals on the task's small stack, in the
/// midst of a runtime that they may call. Here they run on the thread's stack, and find no Cooperator. As there, destructors of
/// what tasks own do not run: return from the root to shut down in order.
///
/// ```no_run
/// coop::run(|| {
///     let mut watchdog = coop::spawn(|| -> () { coop::exit(3) });
///     watchdog.join().unwrap();
/// });
/// ```
pub fn exit(code: i32) -> ! {
    let Some(cooperator) = Cooperator::current() else { std::process::exit(code) };
    cooperator.exit.set(Some(code));
    let scheduler = &cooperator.scheduler;
    // SAFETY: only tasks run while a Cooperator is current.
    unsafe { (*scheduler.running()).reason.set(Reason::new("exit")) };
    loop {
        // The next to run is the loop, which ends the process.
        scheduler.hasten(0);
        scheduler.park(false);
    }
}

/// Called by the loop after tasks have run.
pub(super) fn exit_if_asked(cooperator: &Cooperator) {
    if let Some(code) = cooperator.exit.get() {
        Scheduler::set_current(std::ptr::null());
        std::process::exit(code);
    }
}
