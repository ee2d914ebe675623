//! `#[coop::test]`: what a test that is under it sees, and what it says when it fails.
//!
//! What fails on purpose is ignored, and run by the test after it, in a process of its own.

use crate::child::{self, Ended};
use coop::__private::TestOptions;
use coop::{Killed, chan};
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::io;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// Runs an ignored test of this file.
fn run(name: &str) -> Ended {
    child::run(child::test(module_path!(), name))
}

// ---- time

/// Were it real, this would be the last test to end.
#[coop::test]
fn time_is_virtual() -> Result<(), Killed> {
    let trace = RefCell::new(Vec::new());
    coop::wait_all(|s| {
        for (name, hours) in [("three", 3), ("one", 1), ("two", 2), ("none", 0)] {
            let trace = &trace;
            s.spawn(move || {
                coop::sleep(Duration::from_secs(hours * 3600)).unwrap();
                trace.borrow_mut().push(name);
            });
        }
    });
    assert_eq!(trace.into_inner(), ["none", "one", "two", "three"]);
    coop::sleep(Duration::from_secs(365 * 24 * 3600))
}

#[coop::test(real_time)]
fn time_is_real_if_asked_for() -> Result<(), Killed> {
    let began = Instant::now();
    coop::sleep(Duration::from_millis(5))?;
    assert!(began.elapsed() >= Duration::from_millis(5));
    Ok(())
}

/// What comes through the kernel comes before time goes on.
#[coop::test]
fn virtual_time_waits_for_what_comes_from_outside() -> io::Result<()> {
    let (ours, theirs) = coop::net::UnixStream::pair()?;
    let mut buf = [0; 8];
    let got = coop::timeout(Duration::from_nanos(1), || -> io::Result<usize> {
        theirs.send_all(b"hi")?;
        ours.recv(&mut buf)
    })?;
    assert_eq!(got, 2);
    Ok(())
}

// ---- schedules

/// The order in which six tasks come to run, all ready at once.
fn order() -> Vec<usize> {
    let order = RefCell::new(Vec::new());
    coop::wait_all(|s| {
        for task in 0..6 {
            let order = &order;
            s.spawn(move || order.borrow_mut().push(task));
        }
    });
    order.into_inner()
}

#[coop::test]
fn without_a_seed_the_order_is_the_plain_one() {
    assert_eq!(order(), [0, 1, 2, 3, 4, 5]);
}

/// What a `select!` receives from two channels to which four tasks send.
fn race() -> String {
    let mut trace = String::new();
    coop::wait_all(|s| {
        let ((tx, a), (tx2, b)) = (chan::bounded(2), chan::bounded(2));
        for name in 'a'..='d' {
            let (tx, tx2) = (tx.clone(), tx2.clone());
            s.spawn(move || tx.send(name).and_then(|()| tx2.send(name.to_ascii_uppercase())).unwrap());
        }
        drop((tx, tx2));
        while trace.len() < 8 {
            let received = coop::select! {
                Ok(name) = coop::op::receive(&a) => name,
                Ok(name) = coop::op::receive(&b) => name,
                else => continue,
            };
            trace.push(received.unwrap());
        }
    });
    trace
}

/// Runs `body` as a test with these options, and gives what came of each schedule.
fn schedules<T>(options: TestOptions, body: fn() -> T) -> Vec<T> {
    let all = RefCell::new(Vec::new());
    coop::__private::test(options, "crate::test", || all.borrow_mut().push(body()));
    all.into_inner()
}

#[test]
fn a_seed_is_a_schedule_and_schedules_are_seeds() {
    let new = || TestOptions::new(None);
    let one = schedules(new().seed(7), order);
    assert_eq!(one, schedules(new().seed(7), order), "the same again");
    let ten = schedules(new().seed(7).schedules(10), order);
    assert_eq!((ten.len(), &ten[0]), (10, &one[0]), "it begins with its seed");
    assert_eq!(ten[3..4], schedules(new().seed(10), order), "and goes on with the next");
    let distinct: BTreeSet<_> = ten.iter().collect();
    assert!(distinct.len() > 5, "of 720 orders: {ten:?}");
    assert_eq!(schedules(new().schedules(4), order).len(), 4, "from a seed that nobody has given");
}

#[test]
fn a_seed_decides_what_a_select_takes_too() {
    let options = TestOptions::new(None).seed(42).schedules(10);
    let traces = schedules(options, race);
    assert_eq!(traces, schedules(options, race));
    let distinct: BTreeSet<_> = traces.iter().collect();
    assert!(distinct.len() > 5, "{traces:?}");
}

/// It relies on an order that nothing guarantees. The first of these seeds keeps it, some other does not.
#[coop::test(schedules = 500)]
#[ignore = "fails: run by the test below"]
fn relies_on_the_order() {
    static RUNS: AtomicU32 = AtomicU32::new(0);
    RUNS.fetch_add(1, Relaxed);
    let order = order();
    assert!(order[0] != 5, "run {}: the last was first in {order:?}", RUNS.load(Relaxed));
}

#[test]
fn the_first_failure_prints_a_command_that_replays_exactly_it() {
    let failed = run("relies_on_the_order").failed();
    let run_number: u32 = failed.after("run ").split(':').next().unwrap().parse().unwrap();
    let schedule = failed.after("schedule ");
    assert_eq!(schedule, format!("{run_number} of 500 has failed. To see it again:"));

    let seed = failed.after("COOP_SEED=").split(' ').next().unwrap().to_owned();
    let command = failed.after(&format!("COOP_SEED={seed} "));
    assert_eq!(command, "cargo test -p coop test_attribute::relies_on_the_order -- --exact --include-ignored");

    // What that command runs, with the same failure each time, and no schedule but that one.
    let order = failed.after("the last was first in ");
    for _ in 0..3 {
        let mut again = child::test(module_path!(), "relies_on_the_order");
        again.env("COOP_SEED", &seed);
        let again = child::run(again).failed();
        assert_eq!(again.after("run "), format!("1: the last was first in {order}"));
        assert_eq!(again.after("schedule "), "1 of 1 has failed. To see it again:");
        assert_eq!(again.after("COOP_SEED="), format!("{seed} {command}"));
    }
}

#[test]
fn under_nextest_the_command_is_nextests() {
    let mut command = child::test(module_path!(), "relies_on_the_order");
    command.env("NEXTEST", "1");
    child::run(command)
        .failed()
        .saying(" cargo nextest run -p coop --run-ignored all -E 'test(=test_attribute::relies_on_the_order)'\n");
}

#[test]
fn a_seed_that_is_no_number_is_reported() {
    let mut command = child::test(module_path!(), "relies_on_the_order");
    command.env("COOP_SEED", "seven");
    child::run(command).failed().saying("COOP_SEED=seven is not a number").without("To see it again");
}

// ---- results

#[coop::test]
fn a_test_may_return_a_result() -> Result<(), Box<dyn std::error::Error>> {
    let n: u32 = "42".parse()?;
    coop::yield_now()?;
    assert_eq!(n, 42);
    Ok(())
}

#[coop::test]
fn a_test_may_return_an_exit_code() -> ExitCode {
    ExitCode::SUCCESS
}

#[coop::test]
#[ignore = "fails: run by the test below"]
fn returns_an_error() -> Result<(), String> {
    Err("the reason why".to_owned())
}

#[coop::test(schedules = 3)]
#[ignore = "fails: run by the test below"]
fn returns_a_code() -> ExitCode {
    ExitCode::from(3)
}

#[test]
fn an_error_fails_the_test_and_is_printed() {
    run("returns_an_error").failed().saying("Error: \"the reason why\"").without("To see it again");
    run("returns_a_code").failed().saying("the test has returned a failure").saying("schedule 1 of 3 has failed");
}

#[coop::test]
#[should_panic(expected = "as it should")]
fn a_test_may_be_one_that_should_panic() {
    coop::yield_now().unwrap();
    panic!("as it should");
}

#[coop::test(seed = 3)]
#[should_panic(expected = "a child's")]
fn the_panic_of_a_child_in_a_scope_is_the_tests() {
    coop::wait_all(|s| {
        s.spawn(|| panic!("a child's"));
    });
}

#[coop::test]
#[ignore = "is started by the test below, if at all"]
fn is_ignored() {
    eprintln!("it runs");
}

#[test]
fn an_ignored_test_runs_only_when_asked_for() {
    run("is_ignored").passed().saying("it runs");
    let mut command = std::process::Command::new(std::env::current_exe().unwrap());
    let output = command.args(["test_attribute::is_ignored", "--exact"]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.contains("0 passed; 0 failed; 1 ignored"), "{said}");
}

// ---- what fails by itself

#[coop::task]
fn waits_for_ever(door: std::rc::Rc<coop::Coordinator>) -> Result<(), Killed> {
    coop::coordinate!(&door).map(drop)
}

#[coop::test]
#[ignore = "fails: run by the test below"]
fn deadlocks() {
    let door = std::rc::Rc::new(coop::Coordinator::held());
    let mut tasks = [waits_for_ever::spawn(door.clone()), waits_for_ever::builder().name("the other").spawn(door)];
    // What follows from the kill that ends it is not what is reported.
    tasks[0].join().unwrap().unwrap();
}

#[test]
fn a_deadlock_fails_the_test_and_shows_the_tree() {
    let failed = run("deadlocks").failed().saying("deadlock: no task can run, and nothing can wake one");
    let said = failed.said();
    let report = said.rsplit_once("deadlock: no task can run").unwrap().1;
    for part in
        ["root #1: join task #2", "  waits_for_ever #2: coordinate", "  the other #3: coordinate", "test_attribute.rs"]
    {
        assert!(report.contains(part), "{part:?} is not in\n{report}");
    }
}

#[coop::test]
#[should_panic(expected = "deadlock: no task can run")]
fn a_deadlock_is_a_panic_as_any_other() {
    let _ = coop::coordinate!(&coop::Coordinator::held());
}

#[coop::test]
#[ignore = "fails: run by the test below"]
fn loses_a_panic() {
    drop(coop::spawn(|| panic!("in a child")));
    coop::yield_now().unwrap();
}

#[test]
fn a_panic_that_nobody_has_heard_of_fails_the_test() {
    run("loses_a_panic")
        .failed()
        .saying("in a child")
        .saying("a task has panicked (see above), and nobody has joined it");
}

/// A task that the end of the test has killed may take that badly.
#[coop::test]
fn what_panics_for_being_left_over_fails_nothing() {
    coop::spawn(|| coop::sleep(Duration::MAX).unwrap());
    coop::yield_now().unwrap();
}

#[coop::test]
#[ignore = "overflows: run by the test below"]
fn needs_a_larger_stack_than_the_default() {
    deep(6 << 20);
}

#[coop::test(stack = "24m")]
fn the_stack_of_a_test_is_an_option() {
    deep(6 << 20);
}

/// Uses so many bytes of stack.
#[inline(never)]
fn deep(bytes: usize) -> usize {
    let frame = std::hint::black_box([bytes; 1024]);
    if bytes < size_of_val(&frame) { frame[0] } else { deep(bytes - size_of_val(&frame)) + frame[7] }
}

#[test]
fn without_it_the_overflow_says_what_to_do() {
    // Under debug assertions a stack is four times as large: 8 MiB would do.
    if !cfg!(debug_assertions) {
        run("needs_a_larger_stack_than_the_default").aborted().saying("root");
    }
}
