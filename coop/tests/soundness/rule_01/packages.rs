//! The package at the top of a task's stack: its record, its closure, its value, of whatever size and alignment.

use crate::child::child;
use coop::{JoinError, TaskBuilder};

/// A value whose bytes tell whether it arrived, and whose address whether it was aligned.
trait Parcel: Sized + 'static {
    fn new(seed: u8) -> Self;
    fn is_whole(&self, seed: u8) -> bool;
}

macro_rules! parcel {
    ($name:ident, $align:literal, $size:expr) => {
        #[repr(align($align))]
        struct $name([u8; $size]);

        impl Parcel for $name {
            fn new(seed: u8) -> Self {
                $name([seed; $size])
            }

            fn is_whole(&self, seed: u8) -> bool {
                std::ptr::from_ref(self).addr().is_multiple_of($align) && self.0.iter().all(|byte| *byte == seed)
            }
        }
    };
}

parcel!(Nothing, 1, 0);
parcel!(AlignedNothing, 4096, 0);
parcel!(Line, 64, 64);
parcel!(Odd, 1, 2049);
parcel!(Page, 4096, 4096);
parcel!(Chunk, 16, 100_000);
parcel!(Mebibyte, 1, 1 << 20);
parcel!(AlignedMebibyte, 4096, 1 << 20);
parcel!(HugelyAligned, 1_048_576, 1);

/// Sends an `F` into a task and an `R` out of it, on the way of an ordinary spawn, of one whose closure is dropped because the
/// task is born killed, of one that panics, and of one that nobody joins.
fn deliver<F: Parcel, R: Parcel>() {
    let body = |seed: u8| {
        let parcel = F::new(seed);
        move || {
            assert!(parcel.is_whole(seed), "the closure of {}", std::any::type_name::<F>());
            // Frames below the package work too.
            coop::yield_now().unwrap();
            R::new(seed.wrapping_add(1))
        }
    };
    for seed in 0..4 {
        let value = coop::spawn(body(seed)).join().unwrap();
        assert!(value.is_whole(seed + 1), "the value of {}", std::any::type_name::<R>());
    }
    drop(coop::spawn(body(7)));
    let panicked = coop::spawn({
        let parcel = F::new(9);
        move || -> R {
            assert!(!parcel.is_whole(9), "on purpose");
            R::new(0)
        }
    });
    let mut panicked = panicked;
    assert!(matches!(panicked.join(), Err(JoinError::Panicked(_))));
    let refused = coop::wait_all(|s| {
        s.kill();
        coop::shield(std::time::Duration::from_secs(1), || s.spawn(body(3)).join().map(drop))
    });
    assert!(matches!(refused, Err(JoinError::NeverRan)), "{refused:?}");
}

#[test]
fn closures_and_values_of_every_size_and_alignment_arrive_whole() {
    child!(|| {
        // An unoptimised spawn copies a closure a dozen times on the *spawner's* stack.
        let deliver_all = || {
            deliver::<Nothing, Nothing>();
            deliver::<AlignedNothing, AlignedNothing>();
            deliver::<Line, Odd>();
            deliver::<Odd, Line>();
            deliver::<Page, Nothing>();
            deliver::<Nothing, Page>();
            deliver::<Chunk, Page>();
            deliver::<Mebibyte, Nothing>();
            deliver::<Nothing, Mebibyte>();
            deliver::<AlignedMebibyte, AlignedMebibyte>();
            deliver::<HugelyAligned, AlignedNothing>();
            deliver::<HugelyAligned, HugelyAligned>();
        };
        coop::Builder::new().root_stack(32 << 20).run(deliver_all).unwrap();
    })
    .succeeded();
}

#[test]
fn a_stack_that_cannot_be_had_makes_a_task_that_never_runs() {
    coop::run(|| {
        for size in [usize::MAX, usize::MAX / 2 + 1, usize::MAX / 8, 1 << 50, 1 << 45] {
            let kept = std::rc::Rc::new(());
            let held = kept.clone();
            let mut task = TaskBuilder::new().stack(size).spawn(move || drop(held));
            assert!(matches!(task.join(), Err(JoinError::NeverRan)), "{size:#x}");
            assert_eq!(std::rc::Rc::strong_count(&kept), 1, "its closure was dropped");
        }
    });
}

#[test]
fn a_root_stack_that_cannot_be_had_is_a_start_error() {
    for size in [usize::MAX, 1 << 50, 1 << 46] {
        let error = coop::Builder::new().root_stack(size).run(|| ()).unwrap_err();
        assert_eq!(error.os_error().raw_os_error(), Some(libc::ENOMEM));
        assert!(error.cure().contains("Builder::root_stack"), "{error}");
    }
}
