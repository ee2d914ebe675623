//! `#[coop::task]`: every kind of function, and every way to start it.

use coop::{JoinError, JoinHandle, Killed, TaskInfo};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fmt::{Debug, Display};
use std::rc::Rc;
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(3600);

// ---- the ways to start it

#[coop::task]
fn add(a: u32, b: u32) -> u32 {
    a + b
}

#[coop::task]
fn who() -> TaskInfo {
    coop::current()
}

#[test]
fn it_stays_an_ordinary_function_that_needs_no_cooperator() {
    assert_eq!(add(1, 2), 3);
    let as_a_value: fn(u32, u32) -> u32 = add;
    assert_eq!([(1, 1), (2, 2)].map(|(a, b)| as_a_value(a, b)), [2, 4]);
}

#[coop::test]
fn called_it_runs_in_the_task_that_calls() {
    assert_eq!(who(), coop::current());
}

#[coop::test]
fn spawned_it_is_a_child_of_its_own() -> Result<(), JoinError> {
    let child = who::spawn().join()?;
    assert_ne!(child.id(), coop::current().id());
    assert_eq!(child.name(), "who");
    assert_eq!(add::spawn(2, 3).join()?, 5);
    Ok(())
}

#[coop::test]
fn spawned_in_a_scope_it_may_borrow_what_outlives_the_scope() -> Result<(), JoinError> {
    #[coop::task]
    fn count<I: IntoIterator>(items: I) -> usize {
        items.into_iter().count()
    }
    #[coop::task]
    fn note<T: Display>(what: T, log: impl Fn(String)) {
        log(format!("<{what}>"));
    }
    let words = vec![String::from("to"), String::from("be")];
    let log = RefCell::new(Vec::new());
    let counted = coop::wait_all(|s| {
        for word in &words {
            note::spawn_in(s, word, |text| log.borrow_mut().push(text));
        }
        note::builder().name("last").spawn_in(s, &words[0][..1], |text| log.borrow_mut().push(text));
        count::spawn_in(s, &words).join()
    })?;
    assert_eq!((counted, log.into_inner()), (2, vec!["<to>".to_owned(), "<be>".to_owned(), "<t>".to_owned()]));

    let first_error = coop::scope(|s| {
        count::spawn_in(s, words.iter());
        who::spawn_in(s).join()
    })?;
    assert_eq!(first_error.name(), "who");
    Ok(())
}

#[test]
fn submitted_from_another_thread_it_runs_on_the_cooperators() {
    #[coop::task]
    fn greet(name: String, times: usize) -> (String, &'static str, std::thread::ThreadId) {
        (name.repeat(times), coop::current().name(), std::thread::current().id())
    }
    let here = std::thread::current().id();
    let submitted = coop::run(|| {
        let remote = coop::remote().unwrap();
        let thread = std::thread::spawn(move || {
            let mut plain = greet::submit(&remote, "a".to_owned(), 1).unwrap();
            let mut named = greet::builder().name("named").submit(&remote, "b".to_owned(), 2).unwrap();
            (plain.join().unwrap(), named.join().unwrap())
        });
        while !thread.is_finished() {
            coop::sleep(Duration::from_millis(1)).unwrap();
        }
        thread.join().unwrap()
    });
    assert_eq!(submitted, (("a".to_owned(), "greet", here), ("bb".to_owned(), "named", here)));
}

#[test]
fn a_finished_cooperator_gives_the_arguments_back() {
    #[coop::task]
    fn store<T: Debug>(items: Vec<T>, place: impl Into<String>, last: Option<u8>) -> usize {
        items.len() + place.into().len() + usize::from(last.unwrap_or(0))
    }
    let remote = coop::run(|| coop::remote().unwrap());
    let items = vec![1_u64, 2];
    let place = items.as_ptr();
    let (items, name, last) = store::submit(&remote, items, "shelf", Some(3)).unwrap_err();
    assert_eq!((items.as_ptr(), name, last), (place, "shelf", Some(3)), "the very ones, not copies");
    assert_eq!(store(items, name, last), 10);
    assert!(matches!(add::submit(&remote, 1, 2), Err((1, 2))));
    assert!(matches!(who::submit(&remote), Err(())));
}

#[coop::test(real_time)]
fn a_submitted_task_is_joined_from_a_task_too() -> Result<(), JoinError> {
    let remote = coop::remote().unwrap();
    assert_eq!(add::submit(&remote, 20, 22).unwrap().join()?, 42);
    Ok(())
}

#[coop::test]
fn a_builder_says_name_stack_and_whether_it_is_a_daemon() -> Result<(), JoinError> {
    #[coop::task(name = "deep", stack = "64k")]
    fn deep(levels: usize) -> (usize, &'static str) {
        #[inline(never)]
        fn down(levels: usize) -> usize {
            let frame = std::hint::black_box([levels; 256]);
            if levels == 0 { 0 } else { 1 + down(levels - 1) + frame[3] - levels }
        }
        (down(levels), coop::current().name())
    }
    // 200 frames of 2 KiB are more than 64 KiB, which under debug assertions are 256.
    assert_eq!(deep::builder().stack(1 << 20).spawn(200).join()?, (200, "deep"));
    assert_eq!(deep::builder().name("renamed").spawn(1).join()?, (1, "renamed"));
    assert_eq!(deep::builder().stack(64 << 10).name("both").stack(128 << 10).spawn(1).join()?, (1, "both"));

    #[coop::task]
    fn sleep(ended: Rc<Cell<Option<Killed>>>) {
        ended.set(coop::sleep(HOUR).err());
    }
    #[coop::task]
    fn parent(ended: Rc<Cell<Option<Killed>>>) {
        sleep::builder().daemon().spawn(ended);
        coop::yield_now().unwrap();
    }
    let ended = Rc::new(Cell::new(None));
    parent::spawn(ended.clone()).join()?;
    assert_eq!(ended.get().map(|killed| killed.cause()), Some(coop::Cause::Parent), "killed, not awaited");
    Ok(())
}

#[test]
#[should_panic(expected = "this thread runs no Cooperator: call this inside `coop::run(|| …)`")]
fn without_a_cooperator_a_spawn_panics_and_names_the_fix() {
    add::spawn(1, 2);
}

// ---- what it takes

#[coop::task]
fn zip<'a, K, V, const N: usize, F>(keys: [K; N], values: [V; N], join: F) -> BTreeMap<K, String>
where
    K: Ord + Clone,
    V: Into<u64> + 'a,
    F: Fn(&K, u64) -> String,
{
    let mut map = BTreeMap::new();
    for (key, value) in keys.into_iter().zip(values) {
        let text = join(&key, value.into());
        map.insert(key, text);
    }
    map
}

#[coop::test]
fn generic_parameters_of_every_kind() -> Result<(), JoinError> {
    let expected = BTreeMap::from([("a", "a1".to_owned()), ("b", "b2".to_owned())]);
    let join = |key: &&str, value: u64| format!("{key}{value}");
    assert_eq!(zip(["a", "b"], [1_u8, 2], join), expected);
    assert_eq!(zip::spawn(["a", "b"], [1_u8, 2], join).join()?, expected);
    assert_eq!(zip::spawn::<_, u32, 2, _>(["a", "b"], [1, 2], join).join()?, expected);
    assert_eq!(zip::builder().spawn(["a", "b"], [1_u16, 2], join).join()?, expected);
    assert_eq!(coop::wait_all(|s| zip::spawn_in(s, ["a", "b"], [1_u8, 2], join).join())?, expected);
    Ok(())
}

#[coop::test]
fn arguments_without_a_named_type() -> Result<(), JoinError> {
    #[coop::task]
    fn fold(items: impl IntoIterator<Item = impl Into<i64>>, step: impl Fn(i64, i64) -> i64, start: i64) -> i64 {
        items.into_iter().map(Into::into).fold(start, step)
    }
    assert_eq!(fold(vec![1_i32, 2], |a, b| a - b, 0), -3);
    assert_eq!(fold::spawn(vec![1_i32, 2], |a, b| a - b, 0).join()?, -3);
    let factor = String::from("12").len() as i64;
    let borrowed = |a: i64, b: i64| a * factor + b;
    assert_eq!(coop::wait_all(|s| fold::spawn_in(s, [1_i64, 2], borrowed, 0).join())?, 4);
    Ok(())
}

#[coop::test]
fn arguments_that_are_patterns() -> Result<(), JoinError> {
    struct Point {
        x: u32,
        y: u32,
    }
    #[coop::task]
    #[expect(clippy::too_many_arguments, clippy::toplevel_ref_arg)]
    fn patterns(
        (a, mut b): (u32, u32),
        [first, .., last]: [u32; 4],
        Point { x, y: why }: Point,
        _: String,
        ref by_reference: u32,
        mut counted: u32,
        whole @ (left, _): (u8, u8),
        _unused: u32,
    ) -> Vec<u32> {
        b += 1;
        counted += 1;
        vec![a, b, first, last, x, why, *by_reference, counted, u32::from(whole.0 + left)]
    }
    let point = || Point { x: 5, y: 6 };
    let expected = [1, 3, 10, 40, 5, 6, 7, 9, 4];
    assert_eq!(patterns((1, 2), [10, 20, 30, 40], point(), String::new(), 7, 8, (2, 3), 0), expected);
    let mut task = patterns::spawn((1, 2), [10, 20, 30, 40], point(), String::new(), 7, 8, (2, 3), 0);
    assert_eq!(task.join()?, expected);
    Ok(())
}

#[coop::test]
fn arguments_with_names_that_could_be_mistaken() -> Result<(), JoinError> {
    // Its own name, those of the generated methods and their parameters, keywords, and the same name as a type parameter's.
    #[coop::task]
    #[expect(non_snake_case, clippy::too_many_arguments)]
    fn options<T: Into<u32>>(
        options: u32,
        scope: u32,
        remote: u32,
        r#match: u32,
        spawn: u32,
        self_: u32,
        T: T,
        f: u32,
    ) -> u32 {
        options + scope + remote + r#match + spawn + self_ + T.into() + f
    }
    #[coop::task]
    fn r#move(r#as: u8) -> u8 {
        r#as + 1
    }
    assert_eq!(options::spawn(1, 2, 3, 4, 5, 6, 7_u8, 8).join()?, 36);
    assert_eq!(coop::wait_all(|s| options::spawn_in(s, 1, 2, 3, 4, 5, 6, 7_u8, 8).join())?, 36);
    assert_eq!(r#move::spawn(1).join()?, 2);
    assert_eq!(r#move::builder().spawn(1).join()?, 2);
    assert_eq!(coop::descriptions().iter().filter(|description| description.name == "move").count(), 1, "not `r#move`");
    Ok(())
}

#[coop::test]
fn functions_and_static_borrows_are_no_borrows() -> Result<(), JoinError> {
    #[coop::task]
    fn apply(
        f: fn(&str) -> usize,
        g: Box<dyn Fn(&u32) -> u32>,
        text: &'static str,
        words: &'static [&'static str],
    ) -> usize {
        f(text) + g(&1) as usize + words.len()
    }
    assert_eq!(apply::spawn(str::len, Box::new(|n| n + 1), "abc", &["x", "y"]).join()?, 7);
    Ok(())
}

// ---- what it gives

#[coop::test]
fn results_of_every_kind() -> Result<(), JoinError> {
    #[coop::task]
    fn nothing() {}
    #[coop::task]
    fn fallible(fails: bool) -> Result<u8, String> {
        if fails { Err("no".to_owned()) } else { Ok(1) }
    }
    #[coop::task]
    fn numbers(to: u8) -> impl Iterator<Item = u8> + Clone + Debug {
        1..=to
    }
    #[coop::task]
    fn diverges() -> ! {
        panic!("as it must")
    }
    #[coop::task]
    fn adder(n: u32) -> Box<dyn Fn(u32) -> u32> {
        Box::new(move |m| n + m)
    }
    #[coop::task]
    fn nested(n: u32) -> JoinHandle<u32> {
        add::spawn(n, 1)
    }
    let () = nothing::spawn().join()?;
    assert_eq!((fallible::spawn(true).join()?, fallible::spawn(false).join()?), (Err("no".to_owned()), Ok(1)));
    assert_eq!(numbers::spawn(3).join()?.clone().sum::<u8>(), 6);
    let panicked = diverges::spawn().join().unwrap_err();
    assert_eq!(panicked.to_string(), "the task panicked: as it must");
    assert_eq!(adder::spawn(1).join()?(2), 3);
    assert_eq!(nested::spawn(1).join()?.join()?, 2, "a handle may be a value: the child was awaited before");
    Ok(())
}

// ---- where it stands

mod outer {
    pub mod inner {
        /// Its documentation is the function's.
        #[coop::task]
        pub fn public() -> &'static str {
            private::spawn().join().unwrap()
        }

        #[coop::task]
        fn private() -> &'static str {
            "private"
        }

        #[coop::task]
        pub(super) fn for_the_parent() -> &'static str {
            "for the parent"
        }

        #[coop::task]
        pub(in crate::task) fn for_the_file() -> &'static str {
            "for the file"
        }

        #[coop::task(as = as_a_type)]
        pub(crate) fn under_two_names() -> &'static str {
            "under two names"
        }
    }

    pub use inner::public;
    pub use inner::public as renamed;

    pub fn as_the_parent() -> &'static str {
        inner::for_the_parent::spawn().join().unwrap()
    }
}

mod everything {
    pub use super::outer::*;
}

#[coop::test]
fn one_use_imports_the_function_and_what_spawns_it() -> Result<(), JoinError> {
    use everything::renamed as renamed_again;
    use outer::inner::{as_a_type, for_the_file, under_two_names};
    use outer::public;

    assert_eq!(public(), "private");
    assert_eq!(public::spawn().join()?, "private");
    assert_eq!(everything::public::spawn().join()?, "private");
    assert_eq!(renamed_again::spawn().join()?, renamed_again());
    assert_eq!(for_the_file::spawn().join()?, "for the file");
    assert_eq!(outer::as_the_parent(), "for the parent");
    assert_eq!((as_a_type::spawn().join()?, under_two_names()), ("under two names", "under two names"));
    Ok(())
}

#[coop::test]
fn in_function_bodies_each_has_its_own() -> Result<(), JoinError> {
    fn one() -> Result<&'static str, JoinError> {
        #[coop::task]
        fn work() -> &'static str {
            "one"
        }
        work::spawn().join()
    }
    fn two() -> Result<&'static str, JoinError> {
        #[coop::task]
        fn work() -> &'static str {
            "two"
        }
        work::spawn().join()
    }
    let in_a_block = {
        #[coop::task]
        fn work() -> &'static str {
            "three"
        }
        work::spawn()
    };
    assert_eq!((one()?, two()?, { in_a_block }.join()?), ("one", "two", "three"));
    Ok(())
}

#[coop::test]
fn it_may_spawn_itself_and_be_spawned_by_what_it_spawns() -> Result<(), JoinError> {
    #[coop::task]
    fn fibonacci(n: u32) -> Result<u32, JoinError> {
        if n < 2 {
            return Ok(n);
        }
        let (mut a, mut b) = (fibonacci::spawn(n - 1), fibonacci::spawn(n - 2));
        Ok(a.join()?? + b.join()??)
    }
    #[coop::task]
    fn is_even(n: u32) -> Result<bool, JoinError> {
        if n == 0 { Ok(true) } else { is_odd::spawn(n - 1).join()? }
    }
    #[coop::task]
    fn is_odd(n: u32) -> Result<bool, JoinError> {
        if n == 0 { Ok(false) } else { is_even::spawn(n - 1).join()? }
    }
    assert_eq!(fibonacci::spawn(10).join()??, 55);
    assert_eq!((is_even(10)?, is_odd::spawn(10).join()??), (true, false));
    Ok(())
}

#[cfg(any())]
#[coop::task]
fn conditional() -> TypeThatIsNotThere {}

#[coop::task]
#[cfg(any())]
fn conditional() -> TypeThatIsNotThereEither {}

#[cfg_attr(unix, coop::task(name = "under a condition"))]
#[cfg(not(any()))]
fn conditional() -> &'static str {
    coop::current().name()
}

#[coop::test]
fn conditions_hold_for_everything_beside_it() -> Result<(), JoinError> {
    assert_eq!(conditional::spawn().join()?, "under a condition");
    Ok(())
}

/// Nothing that is written for the function is lost, and nothing that is written beside it is complained of.
mod with_all_lints {
    #![deny(warnings, missing_docs, unreachable_pub, unused_qualifications, missing_debug_implementations)]
    #![deny(unused_results, single_use_lifetimes, let_underscore_drop, clippy::pedantic)]

    use std::fmt::Debug;

    /// Documented.
    ///
    /// # Panics
    /// Never.
    #[coop::task]
    #[inline]
    #[must_use = "it is a sum"]
    #[track_caller]
    #[doc(alias = "plus")]
    #[expect(clippy::needless_pass_by_value)]
    pub(super) fn sum<T: Debug + Copy + Into<u64> + 'static>(terms: Vec<T>) -> u64 {
        terms.iter().map(|&term| term.into()).sum()
    }

    #[derive(Debug)]
    struct Private(u8);

    /// What is allowed in the signature is allowed wherever it is repeated.
    #[coop::task]
    #[expect(private_interfaces, clippy::needless_pass_by_value, reason = "only this module calls it")]
    pub(super) fn open(private: Private) -> u8 {
        private.0
    }

    pub(super) fn spawn_open() -> u8 {
        open::spawn(Private(7)).join().unwrap_or_default()
    }

    /// Old.
    #[coop::task]
    #[deprecated(note = "use `sum`")]
    pub(super) fn old_sum(a: u64) -> u64 {
        a
    }
}

#[coop::test]
fn attributes_stay_with_the_function() -> Result<(), JoinError> {
    assert_eq!(with_all_lints::sum::spawn(vec![1_u8, 2]).join()?, 3);
    #[allow(deprecated)]
    let old = with_all_lints::old_sum::spawn(1).join()?;
    assert_eq!(old, with_all_lints::sum(vec![1_u8]));
    assert_eq!(with_all_lints::spawn_open(), 7);
    Ok(())
}

/// Tasks from a macro of the user's: with types, names, bodies and attributes that it was given.
macro_rules! tasks {
    ($($(#[$meta:meta])* $vis:vis $name:ident($($argument:ident: $ty:ty),*) -> $result:ty $body:block)*) => {
        $(
            #[coop::task]
            $(#[$meta])*
            $vis fn $name($($argument: $ty),*) -> $result $body
        )*
    };
}

tasks! {
    /// Given.
    pub twice(n: u32) -> u32 { n * 2 }
    joined(a: Option<String>, b: &'static str) -> Vec<String> { a.into_iter().chain([b.to_owned()]).collect() }
}

#[coop::test]
fn from_a_macro_of_the_users_own() -> Result<(), JoinError> {
    assert_eq!(twice::spawn(2).join()?, 4);
    assert_eq!(joined::spawn(Some("a".to_owned()), "b").join()?, ["a", "b"]);
    Ok(())
}

// ---- kills and ends

#[coop::test]
fn born_killed_it_never_runs_and_its_arguments_are_dropped() {
    struct Dropped(Rc<Cell<bool>>);
    impl Drop for Dropped {
        fn drop(&mut self) {
            self.0.set(true);
        }
    }
    #[coop::task]
    fn keep(_kept: Dropped) {
        panic!("this runs");
    }
    let dropped = Rc::new(Cell::new(false));
    let theirs = dropped.clone();
    let mut parent = coop::spawn(move || {
        assert!(coop::sleep(HOUR).is_err());
        keep::spawn(Dropped(theirs)).join()
    });
    coop::yield_now().unwrap();
    parent.kill();
    assert!(matches!(parent.join().unwrap(), Err(JoinError::Interrupted(_))));
    assert!(dropped.get());
}
