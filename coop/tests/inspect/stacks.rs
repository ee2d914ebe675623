//! How deep stacks have been.

use coop::{Builder, Statistics};
use std::hint::black_box;

fn of(name: &str) -> Statistics {
    coop::descriptions().into_iter().find(|kind| kind.name == name).unwrap()
}

/// Uses `kilobytes` of stack between two waits.
#[inline(never)]
fn deep(kilobytes: usize) -> u8 {
    let page = black_box([kilobytes as u8 | 1; 1024]);
    match kilobytes {
        0 | 1 => page[3],
        more => page[5].wrapping_add(deep(more - 1)),
    }
}

#[test]
fn what_was_called_between_two_waits_shows_only_when_it_is_measured() {
    #[coop::task(stack = "256k")]
    fn guessed() {
        black_box(deep(100));
        coop::yield_now().unwrap();
    }
    #[coop::task(stack = "256k")]
    fn measured() {
        black_box(deep(100));
        coop::yield_now().unwrap();
    }
    Builder::new().measure_stacks(false).run(|| guessed::spawn().join().unwrap()).unwrap();
    Builder::new().measure_stacks(true).run(|| measured::spawn().join().unwrap()).unwrap();
    let (guessed, measured) = (of("guessed"), of("measured"));
    assert!(!guessed.is_measured && guessed.deepest_stack < 40 * 1024, "{guessed:?}");
    assert!(measured.is_measured && measured.deepest_stack >= 100 * 1024, "{measured:?}");
    assert_eq!(guessed.stack_advice(), None);
}

#[test]
fn a_stack_that_is_nearly_full_is_to_be_raised_and_the_dump_says_so() {
    const SIZE: usize = 64 * 1024 * if cfg!(debug_assertions) { 4 } else { 1 };
    /// Goes down until this much of the stack is in use.
    #[inline(never)]
    fn down_to(begin: usize, depth: usize) -> u8 {
        let page = black_box([1u8; 512]);
        match begin - page.as_ptr().addr() {
            used if used >= depth => page[7],
            _ => page[9].wrapping_add(down_to(begin, depth)),
        }
    }
    #[coop::task(stack = "64k")]
    fn brimful() {
        let here = 0u8;
        black_box(down_to((&raw const here).addr(), SIZE / 10 * 8));
    }
    Builder::new()
        .measure_stacks(true)
        .run(|| {
            brimful::spawn().join().unwrap();
            let kind = of("brimful");
            assert!(kind.deepest_stack > kind.stack_size / 4 * 3, "{kind:?}");
            assert_eq!(kind.stack_advice().unwrap().to_string(), "raise it: stack = \"128k\"");
            let dump = coop::dump();
            let line = dump.lines().find(|line| line.starts_with("stacks of brimful: at most")).expect(&dump);
            assert!(line.contains("raise it: stack = \"128k\" (coop/tests/inspect/stacks.rs:"), "{line}");
        })
        .unwrap();
}

#[test]
fn the_task_before_on_the_same_stack_does_not_count() {
    #[coop::task(stack = "128k")]
    fn deep_one() {
        black_box(deep(60));
    }
    #[coop::task(stack = "128k")]
    fn shallow_one() {}
    Builder::new()
        .measure_stacks(true)
        .run(|| {
            deep_one::spawn().join().unwrap();
            shallow_one::spawn().join().unwrap();
        })
        .unwrap();
    assert!(of("shallow_one").deepest_stack < 20 * 1024, "{:?}", of("shallow_one"));
}
