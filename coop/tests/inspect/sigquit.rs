//! SIGQUIT: every Cooperator prints its tree, whatever it does just then, and the process goes on.

use super::child;
use coop::Builder;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

fn raise() {
    // SAFETY: to the process, which has a handler.
    unsafe { libc::kill(libc::getpid(), libc::SIGQUIT) };
}

#[test]
fn idle_and_busy_cooperators_print_their_trees() {
    let ends = ["  sleeper #2: sleep for another", "  spinner #2: ready"];
    let said = child::run_in_steps(child::test(module_path!(), "one_is_idle_and_one_is_busy"), &ends);
    assert_eq!(
        said.matches("coop: dump of Cooperator 'idle', 2 tasks, asked for by SIGQUIT:\nroot #1: ").count(),
        1,
        "{said}"
    );
    assert_eq!(said.matches("coop: dump of Cooperator 'cooperator-1', 2 tasks").count(), 1, "{said}");
}

#[test]
#[ignore = "run by another test"]
fn one_is_idle_and_one_is_busy() {
    Builder::new()
        .name("idle")
        .cooperators(2)
        .dump_on_sigquit(true)
        .run(|| {
            coop::TaskBuilder::new().name("sleeper").daemon().spawn(|| coop::sleep(Duration::from_secs(3600)));
            let busy = coop::cooperators().get(1).unwrap().clone();
            static SPINS: AtomicBool = AtomicBool::new(false);
            #[coop::task(name = "spinner")]
            fn spinner() {
                while coop::yield_now().is_ok() {
                    SPINS.store(true, Ordering::SeqCst);
                }
            }
            let _spinner = spinner::submit(&busy).map_err(drop).unwrap();
            while !SPINS.load(Ordering::SeqCst) {
                coop::sleep(Duration::from_millis(1)).unwrap();
            }
            raise();
            child::step();
            child::step();
        })
        .unwrap();
}

#[test]
fn a_task_that_gives_way_to_nobody_is_shown_by_its_backtrace() {
    let mut command = child::test(module_path!(), "it_gives_way_to_nobody");
    command.env("COOP_DUMP", "sigquit");
    let until_then = "comes when its loop has its turn; until then: task #1 'root'";
    let said = child::run_in_steps(command, &[until_then, "coop: dump of Cooperator 'stuck', 1 tasks"]);
    assert!(said.contains("gives_way_to_nobody"), "{said}");
}

#[test]
#[ignore = "run by another test"]
fn it_gives_way_to_nobody() {
    Builder::new()
        .name("stuck")
        .run(|| {
            raise();
            while !child::may_step() {
                std::hint::spin_loop();
            }
            child::step();
        })
        .unwrap();
}

static CALLS: AtomicUsize = AtomicUsize::new(0);

extern "C" fn count(_: libc::c_int) {
    CALLS.fetch_add(1, Ordering::SeqCst);
}

fn handler() -> usize {
    // SAFETY: only asks.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        libc::sigaction(libc::SIGQUIT, std::ptr::null(), &mut action);
        action.sa_sigaction
    }
}

#[test]
fn an_earlier_handler_is_called_too_and_put_back() {
    child::run_in_steps(child::test(module_path!(), "there_was_a_handler_before"), &["coop: dump of Cooperator"]);
}

#[test]
#[ignore = "run by another test"]
fn there_was_a_handler_before() {
    // SAFETY: the handler only counts.
    unsafe { libc::signal(libc::SIGQUIT, count as *const () as usize) };
    let before = handler();
    Builder::new()
        .dump_on_sigquit(true)
        .run(|| {
            assert_ne!(handler(), before);
            raise();
            child::step();
            assert_eq!(CALLS.load(Ordering::SeqCst), 1);
        })
        .unwrap();
    assert_eq!(handler(), before);
    raise();
    // Another thread of the process may take it.
    let began = Instant::now();
    while CALLS.load(Ordering::SeqCst) < 2 {
        assert!(began.elapsed() < Duration::from_secs(10));
        std::thread::yield_now();
    }
}

#[test]
fn the_program_has_the_last_word() {
    let mut command = child::test(module_path!(), "the_program_says_no");
    command.env("COOP_DUMP", "sigquit");
    child::run(command);
}

#[test]
#[ignore = "run by another test"]
fn the_program_says_no() {
    // It is ignored where who has started the tests sees to that, as shells do for what they start in the background.
    let before = handler();
    Builder::new().dump_on_sigquit(false).run(|| assert_eq!(handler(), before)).unwrap();
    Builder::new().run(|| assert_ne!(handler(), before)).unwrap();
    assert_eq!(handler(), before);
}
