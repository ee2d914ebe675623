//! What a lane of `.ci/run` runs in place of its tests when it is to show that it can fail: see `.ci/run --canaries`.

#[test]
fn a_failure_is_reported() {
    assert!(std::env::var_os("COOP_CANARY").is_none(), "this was asked for");
}

/// With AddressSanitizer: it sees what tasks do, on their stacks too.
#[cfg(asan)]
#[test]
fn what_a_task_reads_that_was_freed_is_reported() {
    const CHILD: &str = "COOP_CANARY_CHILD";
    if std::env::var_os(CHILD).is_some() {
        let freed = coop::run(|| {
            let freed = std::ptr::from_ref(Box::new(7u8).as_ref());
            coop::yield_now().expect("nobody kills the root");
            // SAFETY: none. This is the mistake.
            unsafe { freed.read_volatile() }
        });
        panic!("{freed} was read");
    }
    let itself = std::env::current_exe().expect("Linux knows");
    let name = "what_a_task_reads_that_was_freed_is_reported";
    let output = std::process::Command::new(itself).args(["--exact", name]).env(CHILD, "1").output();
    let said = String::from_utf8_lossy(&output.expect("this program can be started again").stderr).into_owned();
    assert!(said.contains("AddressSanitizer: heap-use-after-free"), "{said}");
}

/// With LeakSanitizer: it knows which stacks are in use, and how far, when the process ends in a task.
#[cfg(asan)]
#[test]
fn what_a_task_has_leaked_is_reported_and_what_anybody_still_has_is_not() {
    const CHILD: &str = "COOP_CANARY_CHILD";
    #[inline(never)]
    fn new<const N: usize>() -> Box<[u8; N]> {
        std::hint::black_box(Box::new([7; N]))
    }
    fn end() {
        std::process::exit(0);
    }
    if std::env::var_os(CHILD).is_some() {
        let of_the_thread = new::<10_001>();
        coop::run(|| {
            coop::spawn(|| std::mem::forget(new::<10_002>())).join().expect("it only forgets");
            let of_one_that_waits = coop::spawn(|| {
                let its = new::<10_003>();
                let _ = coop::time::sleep(std::time::Duration::MAX);
                its
            });
            let of_one_that_has_ended = coop::spawn(new::<10_004>);
            coop::yield_now().expect("nobody kills the root");
            let captured = new::<10_005>();
            let of_one_that_has_not_begun = coop::spawn(move || captured);
            let of_the_root = new::<10_006>();
            coop::spawn(end).join().expect("it does not return");
            (of_one_that_waits, of_one_that_has_ended, of_one_that_has_not_begun, of_the_root)
        });
        drop(of_the_thread);
    }
    let itself = std::env::current_exe().expect("Linux knows");
    let name = "what_a_task_has_leaked_is_reported_and_what_anybody_still_has_is_not";
    let mut child = std::process::Command::new(itself);
    child
        .args(["--exact", name])
        .env(CHILD, "1")
        .env("ASAN_OPTIONS", "detect_leaks=1:detect_stack_use_after_return=0")
        .env_remove("LSAN_OPTIONS");
    let said = child.output().expect("this program can be started again").stderr;
    let said = String::from_utf8_lossy(&said);
    let ours: Vec<&str> = said.lines().filter(|line| line.contains(" leak of 1000")).collect();
    assert!(matches!(ours[..], [only] if only.starts_with("Direct leak of 10002 byte(s)")), "{said}");
}

/// With ThreadSanitizer: it sees that two threads meet without a lock, though a task has switched in between.
#[cfg(tsan)]
#[test]
fn what_two_threads_write_at_once_is_reported() {
    const CHILD: &str = "COOP_CANARY_CHILD";
    struct Shared(std::cell::UnsafeCell<u64>);
    // SAFETY: none. This is the mistake.
    unsafe impl Sync for Shared {}
    static SHARED: Shared = Shared(std::cell::UnsafeCell::new(0));
    if std::env::var_os(CHILD).is_some() {
        let write = || {
            coop::run(|| {
                for _ in 0..100 {
                    // SAFETY: none.
                    unsafe { *SHARED.0.get() += 1 };
                    coop::yield_now().expect("nobody kills the root");
                }
            });
        };
        std::thread::scope(|s| {
            s.spawn(write);
            s.spawn(write);
        });
        return;
    }
    let itself = std::env::current_exe().expect("Linux knows");
    let name = "what_two_threads_write_at_once_is_reported";
    let output = std::process::Command::new(itself).args(["--exact", name]).env(CHILD, "1").output();
    let said = String::from_utf8_lossy(&output.expect("this program can be started again").stderr).into_owned();
    assert!(said.contains("ThreadSanitizer: data race") && said.contains(name), "{said}");
}
