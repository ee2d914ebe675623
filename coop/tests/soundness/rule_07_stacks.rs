//! Rule 7: every stack is guarded, and running into the guard is reported with the task's name, the size, and the cure.

use crate::child::child;
use coop::{Builder, TaskBuilder};
use std::hint::black_box;
use std::os::fd::AsRawFd;
use std::rc::Rc;
use std::time::Duration;

/// What a release build's figure stands for in this build.
const SCALE: usize = if cfg!(debug_assertions) { 4 } else { 1 };

/// Recurses for ever, in small frames.
#[inline(never)]
#[allow(unconditional_recursion)]
fn small_frames(depth: u64) -> u64 {
    let frame = black_box([depth; 8]);
    small_frames(depth + 1) + frame[0]
}

/// Takes a mebibyte at once, and touches only its far end.
#[inline(never)]
fn mebibyte_frame() -> u8 {
    let mut frame = [0u8; 1 << 20];
    black_box(&mut frame)[0] = 1;
    black_box(frame[0])
}

fn report(name: &str, id: u64, kib: usize) -> String {
    format!("coop: task #{id} '{name}' has overflowed its stack of {kib} KiB\n")
}

fn cure(kib: usize) -> String {
    format!("coop: raise it with #[coop::task(stack = \"{kib}k\")], TaskBuilder::stack or Builder::stack")
}

#[test]
fn an_overflow_in_small_frames_names_the_task_the_size_and_the_cure() {
    child!(|| {
        coop::run(|| {
            TaskBuilder::new().name("deep").stack(64 * 1024).spawn(|| small_frames(0)).join().unwrap();
        });
    })
    .died_of(libc::SIGABRT)
    .said(&report("deep", 2, 64 * SCALE))
    .said(&cure(128));
}

#[test]
fn an_overflow_by_one_frame_of_a_mebibyte_does_too() {
    child!(|| {
        coop::run(|| {
            TaskBuilder::new().name("wide").stack(128 * 1024).spawn(mebibyte_frame).join().unwrap();
        });
    })
    .died_of(libc::SIGABRT)
    .said(&report("wide", 2, 128 * SCALE))
    .said(&cure(256));
}

#[test]
fn the_default_stack_and_the_roots_are_reported_too() {
    child!(|| coop::run(|| drop(coop::spawn(|| small_frames(0)))))
        .died_of(libc::SIGABRT)
        .said(&report("task", 2, 256 * SCALE))
        .said(&cure(512));
}

#[test]
fn the_overflow_of_the_root_is_reported() {
    child!(|| assert_eq!(coop::run(|| small_frames(0)), 0)).died_of(libc::SIGABRT).said(&report(
        "root",
        1,
        2048 * SCALE,
    ));
}

#[test]
fn an_overflow_in_a_destructor_is_reported() {
    struct Deep;
    impl Drop for Deep {
        fn drop(&mut self) {
            small_frames(0);
        }
    }
    child!(|| {
        coop::run(|| {
            let task = TaskBuilder::new().name("dropping").stack(32 * 1024).spawn(|| Deep);
            coop::sleep(Duration::from_millis(1)).unwrap();
            // On the root's stack.
            drop(task);
        });
    })
    .died_of(libc::SIGABRT)
    .said(&report("root", 1, 2048 * SCALE));
}

#[test]
fn an_overflow_in_a_destructor_that_a_panic_runs_is_reported() {
    struct Deep;
    impl Drop for Deep {
        fn drop(&mut self) {
            small_frames(0);
        }
    }
    child!(|| {
        coop::run(|| {
            let body = || {
                let _deep = Deep;
                panic!("on purpose")
            };
            let _ = TaskBuilder::new().name("unwinding").stack(64 * 1024).spawn::<_, ()>(body).join();
        });
    })
    .died_of(libc::SIGABRT)
    .said(&report("unwinding", 2, 64 * SCALE));
}

#[test]
fn an_overflow_on_a_thread_that_rust_did_not_start_is_reported() {
    extern "C" fn start(_: *mut libc::c_void) -> *mut libc::c_void {
        coop::run(|| TaskBuilder::new().name("foreign").stack(64 * 1024).spawn(|| small_frames(0)).join().unwrap());
        std::ptr::null_mut()
    }
    child!(|| {
        // SAFETY: the thread is joined before anything it uses goes.
        unsafe {
            let mut thread = std::mem::zeroed();
            assert_eq!(libc::pthread_create(&mut thread, std::ptr::null(), start, std::ptr::null_mut()), 0);
            libc::pthread_join(thread, std::ptr::null_mut());
        }
    })
    .died_of(libc::SIGABRT)
    .said(&report("foreign", 2, 64 * SCALE));
}

#[test]
fn a_stack_that_is_used_again_and_was_trimmed_is_still_guarded() {
    child!(|| {
        let run = || {
            for _ in 0..3 {
                let mut tasks: Vec<_> = (0..200).map(|_| coop::spawn(|| black_box([0u8; 9000])[5])).collect();
                tasks.iter_mut().for_each(|task| assert_eq!(task.join().unwrap(), 0));
                drop(tasks);
                // Idle: what is unused goes back to the kernel.
                coop::sleep(Duration::from_millis(2)).unwrap();
            }
            TaskBuilder::new().name("again").spawn(|| small_frames(0)).join().unwrap();
        };
        Builder::new().warm_stacks(0).run(run).unwrap();
    })
    .died_of(libc::SIGABRT)
    .said(&report("again", 602, 256 * SCALE));
}

#[test]
fn other_faults_behave_as_ever() {
    // A null dereference in a task: the plain signal, and no word of a stack.
    child!(|| {
        coop::run(|| {
            // SAFETY: none: it is meant to fault.
            coop::spawn(|| unsafe { black_box(std::ptr::null::<u8>()).read_volatile() }).join().unwrap();
        });
    })
    .died_of(libc::SIGSEGV)
    .did_not_say("overflowed");
}

#[test]
fn an_overflow_of_a_threads_own_stack_is_reported_by_std() {
    child!(|| {
        coop::run(|| coop::spawn(|| ()).join().unwrap());
        let thread = std::thread::Builder::new().name("plain".into()).stack_size(256 * 1024);
        thread.spawn(|| small_frames(0)).unwrap().join().unwrap();
    })
    .died_of(libc::SIGABRT)
    .said("thread 'plain' (")
    .said("has overflowed its stack")
    .did_not_say("coop: ");
}

#[test]
fn a_signal_that_only_claims_a_fault_kills_as_ever() {
    child!(|| {
        coop::run(|| {
            // The first makes std's handler give up and stand aside, as it does without coop; there is no fault to come again.
            // SAFETY: raises a signal.
            unsafe { libc::raise(libc::SIGSEGV) };
            // SAFETY: as above.
            unsafe { libc::raise(libc::SIGSEGV) };
        });
    })
    .died_of(libc::SIGSEGV)
    .did_not_say("overflowed");
}

/// Asks the kernel whether it can read a byte at an address: it says EFAULT where this process would fault.
struct Probe(std::io::PipeReader, std::io::PipeWriter);

impl Probe {
    fn can_read(&self, address: usize) -> bool {
        let mut byte = 0u8;
        // SAFETY: the kernel checks the address; what it could read is taken out of the pipe again.
        unsafe {
            let written = libc::write(self.1.as_raw_fd(), std::ptr::without_provenance(address), 1);
            written == 1 && libc::read(self.0.as_raw_fd(), (&raw mut byte).cast(), 1) == 1
        }
    }

    /// How many bytes can be read from here down, and how many below those cannot.
    fn measure(&self) -> (usize, usize) {
        const PAGE: usize = 4096;
        let local = black_box(0u8);
        let here = (&raw const local).addr() / PAGE * PAGE;
        let usable = (0..).take_while(|page| self.can_read(here - page * PAGE)).count();
        let bottom = here - (usable - 1) * PAGE;
        let guarded = (1..=1024).take_while(|page| !self.can_read(bottom - page * PAGE)).count();
        (usable * PAGE, guarded * PAGE)
    }
}

#[test]
fn below_every_stack_lie_at_least_64_kib_that_nobody_can_touch() {
    coop::run(|| {
        let (reader, writer) = std::io::pipe().unwrap();
        let probe = Rc::new(Probe(reader, writer));
        for kib in [32, 64, 256, 1024] {
            for _ in 0..20 {
                let measure = |_| {
                    let probe = probe.clone();
                    TaskBuilder::new().stack(kib * 1024).spawn(move || probe.measure())
                };
                for mut task in (0..5).map(measure).collect::<Vec<_>>() {
                    let (usable, guarded) = task.join().unwrap();
                    assert!(guarded >= 64 * 1024, "{guarded} bytes of guard below a stack of {kib} KiB");
                    // Above lie the record and the runtime's first frames.
                    assert!(usable + 16 * 1024 >= kib * 1024 * SCALE, "{usable} bytes of {kib} KiB are left");
                }
            }
        }
    });
}

#[test]
fn a_tasks_stack_is_kept_while_its_handle_is_and_used_again_afterwards() {
    coop::run(|| {
        let stacks = || coop::__private::census().stacks;
        let handles: Vec<_> = (0..10).map(|n| coop::spawn(move || n)).collect();
        coop::sleep(Duration::from_millis(1)).unwrap();
        assert_eq!(stacks(), 11, "the values lie there");
        drop(handles);
        assert_eq!(stacks(), 1);
        (0..1000).for_each(|n| assert_eq!(coop::spawn(move || n).join().unwrap(), n));
        assert_eq!(stacks(), 1);
    });
}
