//! The counters of each `#[coop::task]`, for all Cooperators of the process.

use coop::{JoinError, Statistics};
use std::time::Duration;

/// What is known of the task of this name in this file.
fn of(name: &str) -> Option<Statistics> {
    let mut all = coop::descriptions();
    all.retain(|description| description.name == name && description.module == module_path!());
    assert!(all.len() <= 1, "one function, one description");
    all.pop()
}

#[coop::test]
fn a_description_says_where_the_function_stands() -> Result<(), JoinError> {
    #[coop::task(name = "placed")]
    fn a_function_with_a_name() -> u32 {
        line!()
    }
    assert_eq!(of("placed"), None, "it is known once it was spawned");
    let line = a_function_with_a_name::spawn().join()? - 1;
    let placed = of("placed").unwrap();
    assert_eq!((placed.file, placed.line), (file!(), line));
    assert_eq!(of("a_function_with_a_name"), None);
    Ok(())
}

#[coop::test]
fn it_counts_what_is_spawned_by_any_way_and_what_is_live() -> Result<(), JoinError> {
    #[coop::task]
    fn counted() -> Result<(), coop::Killed> {
        coop::sleep(Duration::from_secs(1))
    }
    let counts = || of("counted").map(|counted| (counted.spawned, counted.live));
    assert_eq!(counts(), None);
    let mut first = counted::spawn();
    assert_eq!(counts(), Some((1, 1)), "as soon as it is spawned");
    let mut second = counted::builder().name("by a builder").spawn();
    coop::wait_all(|s| {
        counted::spawn_in(s);
        assert_eq!(counts(), Some((3, 3)));
    });
    first.join()?.unwrap();
    second.join()?.unwrap();
    counted().unwrap();
    assert_eq!(counts(), Some((3, 0)), "a call is no spawn");
    Ok(())
}

#[test]
fn tasks_of_all_threads_count() {
    #[coop::task]
    fn far_and_near() {}
    let threads = [1, 2].map(|tasks| {
        std::thread::spawn(move || coop::run(|| (0..tasks).for_each(|_| far_and_near::spawn().join().unwrap())))
    });
    // At the same time: none is lost to another thread.
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    let counted = of("far_and_near").unwrap();
    assert_eq!(counted.spawned, 3, "{counted:?}");
}

#[coop::test]
fn it_counts_how_they_ended() -> Result<(), JoinError> {
    #[coop::task]
    fn ends(how: &'static str) {
        match how {
            "panics" => panic!("as it was told"),
            "sleeps" => assert!(coop::sleep(Duration::MAX).is_err()),
            _ => {}
        }
    }
    ends::spawn("returns").join()?;
    ends::spawn("panics").join().unwrap_err();
    let mut sleeper = ends::spawn("sleeps");
    coop::yield_now().unwrap();
    sleeper.kill();
    sleeper.join()?;
    coop::wait_all(|s| {
        s.kill();
        ends::spawn_in(s, "never runs");
    });
    let ends = of("ends").unwrap();
    assert_eq!(
        (ends.spawned, ends.live, ends.panicked, ends.killed),
        (4, 0, 1, 2),
        "one that panics was not killed: {ends:?}"
    );
    Ok(())
}

#[coop::test]
fn it_keeps_the_deepest_stack_that_was_seen_at_a_tasks_last_wait() -> Result<(), JoinError> {
    #[inline(never)]
    fn down(levels: usize) -> usize {
        let frame = std::hint::black_box([levels; 128]);
        if levels == 0 {
            coop::sleep(Duration::from_millis(1)).unwrap();
            return 0;
        }
        1 + down(levels - 1) + frame[7] - levels
    }
    #[coop::task]
    fn shallow_or_deep(levels: usize) {
        down(levels);
    }
    let deepest = |levels| -> Result<usize, JoinError> {
        shallow_or_deep::spawn(levels).join()?;
        Ok(of("shallow_or_deep").unwrap().deepest_stack)
    };
    let shallow = deepest(1)?;
    let deep = deepest(30)?;
    assert!(shallow > 0 && deep >= shallow + 29 * 128 * size_of::<usize>(), "{shallow} and {deep} bytes");
    assert_eq!(deepest(1)?, deep, "it stays the deepest");
    Ok(())
}
