//! SIGQUIT: every Cooperator prints its tree, whatever it does just then, and the process goes on.

use super::child;
use coop::Builder;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

fn raise() {
    // SAFETY: to the process, which has a handler.
    unsafe { libc::kill(libc::getpid(), libc::SIGQUIT) };
}

#[test]
fn idle_and_busy_cooperators_print_their_trees() {
    let said = child::run(child::test(module_path!(), "one_is_idle_and_one_is_busy"));
    assert_eq!(
        said.matches("coop: dump of Cooperator 'idle', 2 tasks, asked for by SIGQUIT:\nroot #1: ").count(),
        1,
        "{said}"
    );
    assert_eq!(said.matches("coop: dump of Cooperator 'cooperator-1', 2 tasks").count(), 1, "{said}");
    assert!(said.contains("  sleeper #2: sleep for another"), "{said}");
    assert!(said.contains("  spinner #2: ready"), "{said}");
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
            let spin = || while coop::yield_now().is_ok() {};
            #[coop::task(name = "spinner")]
            fn spinner(spin: fn()) {
                spin();
            }
            let _spinner = spinner::submit(&busy, spin).map_err(drop).unwrap();
            coop::sleep(Duration::from_millis(50)).unwrap();
            raise();
            coop::sleep(Duration::from_millis(300)).unwrap();
        })
        .unwrap();
}

#[test]
fn a_task_that_gives_way_to_nobody_is_shown_by_its_backtrace() {
    let mut command = child::test(module_path!(), "it_gives_way_to_nobody");
    command.env("COOP_DUMP", "sigquit");
    let said = child::run(command);
    assert!(said.contains("comes when its loop has its turn; until then: task #1 'root'"), "{said}");
    assert!(said.contains("gives_way_to_nobody"), "{said}");
    assert!(said.contains("coop: dump of Cooperator 'stuck', 1 tasks"), "and it comes then: {said}");
}

#[test]
#[ignore = "run by another test"]
fn it_gives_way_to_nobody() {
    Builder::new()
        .name("stuck")
        .run(|| {
            raise();
            let began = Instant::now();
            while began.elapsed() < Duration::from_millis(1800) {
                std::hint::spin_loop();
            }
            coop::sleep(Duration::from_millis(20)).unwrap();
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
    let said = child::run(child::test(module_path!(), "there_was_a_handler_before"));
    assert!(said.contains("coop: dump of Cooperator"), "{said}");
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
            coop::sleep(Duration::from_millis(200)).unwrap();
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
    Builder::new().dump_on_sigquit(false).run(|| assert_eq!(handler(), libc::SIG_DFL)).unwrap();
    Builder::new().run(|| assert_ne!(handler(), libc::SIG_DFL)).unwrap();
    assert_eq!(handler(), libc::SIG_DFL);
}
