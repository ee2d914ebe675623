//! Work for the cores: done beside the Cooperators' threads, never on more threads than there are cores.

use coop::{Killed, op};
use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;

#[coop::test(real_time)]
fn pieces_share_as_many_threads_as_there_are_cores() {
    let (running, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let threads: HashSet<_> = coop::wait_all(|s| {
        let mut pieces: Vec<_> = (0..50)
            .map(|_| {
                let (running, most) = (running.clone(), most.clone());
                s.spawn(move || {
                    coop::compute(move || {
                        most.fetch_max(running.fetch_add(1, SeqCst) + 1, SeqCst);
                        let sum: u64 = (0..100_000).map(std::hint::black_box).sum();
                        assert_eq!(sum, 4_999_950_000);
                        running.fetch_sub(1, SeqCst);
                        thread::current().id()
                    })
                })
            })
            .collect();
        pieces.iter_mut().map(|piece| piece.join().unwrap().unwrap()).collect()
    });
    assert!(!threads.contains(&thread::current().id()));
    assert!(threads.len() <= coop::per_core() && most.load(SeqCst) <= coop::per_core(), "{threads:?}, {most:?}");
}

#[coop::test(real_time)]
fn a_piece_that_no_thread_has_begun_is_withdrawn_by_a_kill() {
    // Every core is busy until the gate opens.
    let gate = Arc::new((Mutex::new(false), Condvar::new()));
    let ran = Arc::new(AtomicUsize::new(0));
    coop::wait_all(|s| {
        let busy: Vec<_> = (0..coop::per_core())
            .map(|_| {
                let gate = gate.clone();
                s.start(op::compute(move || drop(gate.1.wait_while(gate.0.lock().unwrap(), |open| !*open).unwrap())))
            })
            .collect();
        let count = ran.clone();
        let mut killed = s.spawn(move || coop::compute(move || count.fetch_add(1, SeqCst)));
        coop::yield_now().unwrap();
        killed.kill();
        assert!(matches!(killed.join().unwrap(), Err(Killed { .. })));
        *gate.0.lock().unwrap() = true;
        gate.1.notify_all();
        for piece in busy {
            piece.wait().unwrap();
        }
    });
    assert_eq!(ran.load(SeqCst), 0);
}

#[cfg_attr(panic = "abort", ignore = "panics, or starts itself again")]
#[coop::test(real_time)]
fn a_panic_goes_on_in_the_task_and_the_thread_lives() {
    for _ in 0..10 {
        let mut task = coop::spawn(|| coop::compute(|| panic!("in the piece")));
        let Err(coop::JoinError::Panicked(payload)) = task.join() else { panic!("it panicked") };
        assert_eq!(*payload.downcast::<&str>().unwrap(), "in the piece");
    }
    assert_eq!(coop::compute(|| 42), Ok(42));
}
