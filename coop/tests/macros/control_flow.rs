//! The bodies of a `select!` are code of the function around it; and that function may be of any kind.

use coop::{Killed, chan, op};
use std::fmt::Debug;
use std::future::Future;
use std::io;
use std::ops::ControlFlow;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(3600);

fn holding<T: Clone>(messages: &[T]) -> chan::Receiver<T> {
    let (tx, rx) = chan::bounded(messages.len().max(1));
    messages.iter().for_each(|message| assert!(tx.try_send(message.clone()).is_ok()));
    rx
}

// ---- leaving

#[coop::test]
fn a_question_mark_leaves_the_function() {
    fn parse(texts: &chan::Receiver<&str>) -> Result<u32, Box<dyn std::error::Error>> {
        let n = coop::select! {
            text = op::receive(texts) => text?.parse::<u32>()?,
            _ = op::after(HOUR) => Err("an hour has passed")?,
        }?;
        Ok(n + 1)
    }
    let texts = holding(&["41", "forty-one"]);
    assert_eq!(parse(&texts).unwrap(), 42);
    assert_eq!(parse(&texts).unwrap_err().to_string(), "invalid digit found in string");
    assert_eq!(parse(&texts).unwrap_err().to_string(), chan::RecvError::Closed.to_string());
}

#[coop::test]
fn a_question_mark_on_an_option_does_too() {
    fn first(words: &chan::Receiver<&'static str>) -> Option<char> {
        let c = coop::select! { word = op::receive(words) => word.ok()?.chars().next()? };
        c.ok()
    }
    let words = holding(&["a", ""]);
    assert_eq!((first(&words), first(&words), first(&words)), (Some('a'), None, None));
}

#[coop::test]
fn return_leaves_the_function_from_any_arm() {
    fn which(numbers: &chan::Receiver<u32>, is_on: bool) -> &'static str {
        let Err(_) = coop::select! {
            biased;
            Ok(1) = op::receive(numbers), if is_on => return "body",
            Ok(2) = op::receive(numbers), if is_on else { return "its own else" } => return "two",
            else => return "shared else",
            complete => return "complete",
        };
        "killed"
    }
    let numbers = holding(&[1, 3]);
    assert_eq!(
        [which(&numbers, true), which(&numbers, true), which(&numbers, false)],
        ["body", "shared else", "complete"]
    );

    fn without_waiting(numbers: &chan::Receiver<u32>) -> &'static str {
        let _: Result<(), Killed> =
            coop::select! { _ = op::receive(numbers) => return "body", default => return "default" };
        "neither"
    }
    assert_eq!(without_waiting(&holding(&[1])), "body");
    let (_tx, open) = chan::bounded(1);
    assert_eq!(without_waiting(&open), "default");

    fn when_killed() -> &'static str {
        let body = coop::select! { _ = op::after(HOUR) => "body", killed(_) => return "killed" };
        body
    }
    let mut task = coop::spawn(when_killed);
    task.kill();
    assert_eq!(task.join().unwrap(), "killed");
}

#[coop::test]
fn break_and_continue_mean_the_loops_around() -> Result<(), Killed> {
    let numbers = holding(&[1, 2, 3, 10, 4, 11, 5, 12]);
    let mut seen = Vec::new();
    let last = 'outer: loop {
        for _ in 0..2 {
            let n = coop::select! {
                n = op::receive(&numbers) => match n.unwrap() {
                    n @ 1..=3 => n,
                    10 => continue,
                    11 => continue 'outer,
                    12 => break 'outer 12,
                    n => { seen.push(n * 100); break }
                },
            }?;
            seen.push(n);
        }
        seen.push(0);
    };
    assert_eq!((last, seen), (12, vec![1, 2, 0, 3, 0, 400, 0, 500, 0]));
    Ok(())
}

#[coop::test]
fn break_with_a_value_leaves_a_block() -> Result<(), Killed> {
    let numbers = holding(&[7]);
    let text = 'block: {
        coop::select! { n = op::receive(&numbers) => if n == Ok(7) { break 'block "seven" } }?;
        "another"
    };
    assert_eq!(text, "seven");
    Ok(())
}

#[coop::test]
fn a_while_loop_waits_in_its_condition() -> Result<(), Killed> {
    let numbers = holding(&[3, 2, 1, 0, 9]);
    let mut rounds = 0;
    while coop::select! { n = op::receive(&numbers) => n.unwrap() != 0 }? {
        rounds += 1;
    }
    let rest = if let Ok(9) = coop::select! { n = op::receive(&numbers) => n.unwrap() } { "nine" } else { "not nine" };
    assert_eq!((rounds, rest), (3, "nine"));
    Ok(())
}

/// Nothing here is ever reached after the `select!`, and nothing has to be said about its type.
#[coop::test]
#[deny(warnings)]
fn bodies_that_all_diverge_need_no_type() {
    fn forever(numbers: &chan::Receiver<u32>) -> u32 {
        loop {
            let _ = coop::select! {
                n = op::receive(numbers) => return n.unwrap_or(0),
                _ = op::after(HOUR) => panic!("an hour has passed"),
            };
        }
    }
    fn to_the_end(numbers: &chan::Receiver<u32>) -> ! {
        coop::select! {
            _ = op::receive(numbers) => std::panic::panic_any("reached"),
            killed(_) => unreachable!(),
        }
    }
    let numbers = holding(&[5, 6]);
    assert_eq!(forever(&numbers), 5);
    let mut task = coop::spawn(move || to_the_end(&numbers));
    assert_eq!(task.join().unwrap_err().to_string(), "the task panicked: reached");
}

// ---- values

#[coop::test]
fn a_select_is_an_expression() -> Result<(), Killed> {
    let numbers = holding(&[1, 2, 3, 4, 5, 6]);
    let next = || coop::select! { n = op::receive(&numbers) => n.unwrap() };
    let array = [coop::select! { n = op::receive(&numbers) => n.unwrap() }?; 2];
    let tuple = (next()?, coop::select! { n = op::receive(&numbers) => n.unwrap() }?);
    let text = format!("{}", coop::select! { n = op::receive(&numbers) => n.unwrap() }?);
    let method = coop::select! { n = op::receive(&numbers) => n.unwrap() }.map(|n| n * 2)?;
    let sum = 1 + coop::select! { n = op::receive(&numbers) => n.unwrap(), killed(_) => 0 };
    assert_eq!((array, tuple, &*text, method, sum), ([1, 1], (2, 3), "4", 10, 7));
    let unit: () = coop::select! { _ = op::receive(&numbers) => {} }?;
    let () = unit;
    Ok(())
}

#[coop::test]
fn a_body_is_coerced_as_in_a_match_where_the_type_is_known() -> Result<(), Killed> {
    let numbers = holding(&[1]);
    let shown: Box<dyn Debug> = coop::select! {
        n = op::receive(&numbers) => Box::new(n) as Box<dyn Debug>,
        _ = op::after(HOUR) => Box::new("late"),
    }?;
    assert_eq!(format!("{shown:?}"), "Ok(1)");
    let shown: Box<dyn Debug> = coop::select! {
        n = op::receive(&numbers) => Box::new(n),
        _ = op::after(HOUR) => Box::new("late"),
        killed(killed) => Box::new(killed),
    };
    assert_eq!(format!("{shown:?}"), "Err(Closed)");
    Ok(())
}

#[coop::test]
fn a_body_moves_what_it_will_and_may_be_the_only_one_that_runs() -> Result<(), Killed> {
    let numbers = holding(&[1]);
    let text = String::from("moved");
    let moved = coop::select! {
        _ = op::receive(&numbers) => text,
        _ = op::after(HOUR) => text + "late",
        default => text,
    }?;
    assert_eq!(moved, "moved");
    Ok(())
}

// ---- where it stands

struct Feed<'a, T> {
    numbers: &'a chan::Receiver<T>,
    patience: Duration,
}

trait Next {
    type Item;
    const FALLBACK: Self::Item;

    fn next(&mut self) -> Result<Self::Item, Killed>;

    /// A default method, generic over what implements the trait.
    fn next_or(&mut self, patience: Duration) -> Result<Self::Item, Killed> {
        coop::select! {
            _ = op::after(patience) => Self::FALLBACK,
        }
    }
}

impl<'a, T: From<u8> + Debug> Next for Feed<'a, T>
where
    T: 'a,
{
    type Item = Option<T>;
    const FALLBACK: Option<T> = None;

    fn next(&mut self) -> Result<Option<T>, Killed> {
        coop::select! {
            Ok(n) = op::receive(self.numbers) => Some(n),
            _ = op::after(self.patience) => Self::FALLBACK,
            else => Some(T::from(0)),
        }
    }
}

impl<T: 'static> Feed<'_, T> {
    fn until(&self, mut done: impl FnMut(&T) -> ControlFlow<()>) -> Result<usize, Killed> {
        let mut count = 0;
        loop {
            coop::select! {
                n = op::receive(self.numbers) => match n.as_ref().map(&mut done) {
                    Ok(ControlFlow::Continue(())) => count += 1,
                    _ => return Ok(count),
                }
            }?
        }
    }
}

#[coop::test]
fn in_methods_of_generic_types_and_traits() -> Result<(), Killed> {
    let numbers = holding(&[4_u32]);
    let mut feed = Feed { numbers: &numbers, patience: HOUR };
    assert_eq!((feed.next()?, feed.next()?, feed.next_or(HOUR)?), (Some(4), Some(0), None));
    let numbers = holding(&[1_u64, 2, 3, 4]);
    let feed = Feed { numbers: &numbers, patience: HOUR };
    assert_eq!(feed.until(|&n| if n < 3 { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })?, 2);
    Ok(())
}

#[coop::test]
fn in_generic_functions() -> Result<(), Killed> {
    fn first_of<const N: usize, T>(receivers: [&chan::Receiver<T>; N]) -> Result<Option<T>, Killed> {
        coop::select! {
            biased;
            first = op::receive(receivers[0]) => first.ok(),
            last = op::receive(receivers[N - 1]) => last.ok(),
        }
    }
    /// Generic over the operation itself.
    fn within<A: coop::Arm>(arm: A, patience: Duration) -> Result<Option<A::Output>, Killed> {
        coop::select! { output = arm => Some(output), _ = op::after(patience) => None }
    }
    let (numbers, more) = (holding(&["a"]), holding(&["b"]));
    assert_eq!(first_of([&numbers, &more])?, Some("a"));
    assert_eq!(within(op::receive(&more), HOUR)?, Some(Ok("b")));
    assert_eq!(within(op::after(HOUR), Duration::from_millis(1))?, None);
    Ok(())
}

#[coop::test]
fn in_closures_of_every_kind() -> Result<(), Killed> {
    let numbers = holding(&[1, 2, 3]);
    let by_reference = || coop::select! { n = op::receive(&numbers) => n.unwrap() };
    let mut sum = 0;
    let mut by_unique_reference = || coop::select! { n = op::receive(&numbers) => { sum += n.unwrap(); } };
    by_unique_reference()?;
    let first = by_reference()?;
    let once = move || coop::select! { n = op::receive(&numbers) => n.unwrap() + sum };
    assert_eq!((first, once()?), (2, 4));
    Ok(())
}

/// The value of a constant may be a function, wherever that function comes from.
static WAIT: fn(Duration) -> Result<&'static str, Killed> =
    |patience| coop::select! { _ = op::after(patience) => "waited" };

const _: () = {
    impl super::control_flow::Waits for u8 {
        fn waits(&self) -> Result<u8, Killed> {
            coop::select! { _ = op::after(Duration::from_millis(1)) => *self }
        }
    }
};

trait Waits {
    fn waits(&self) -> Result<u8, Killed>;
}

#[coop::test]
fn in_the_constants_of_a_module() -> Result<(), Killed> {
    const IN_A_CONSTANT: fn() -> Result<u8, Killed> = || coop::select! { _ = op::after(Duration::ZERO) => 1 };
    assert_eq!((WAIT(Duration::ZERO)?, IN_A_CONSTANT()?, 3.waits()?), ("waited", 1, 3));
    Ok(())
}

#[coop::test]
fn in_an_async_block_that_a_task_polls() {
    let numbers = holding(&[1, 2]);
    let future = async {
        let n = coop::select! { n = op::receive(&numbers) => n.unwrap(), killed(_) => 0 };
        std::future::ready(()).await;
        n + coop::select! { n = op::receive(&numbers) => n.unwrap(), killed(_) => 0 }
    };
    let polled = std::pin::pin!(future).poll(&mut Context::from_waker(Waker::noop()));
    assert_eq!(polled, Poll::Ready(3));
}

#[coop::test]
fn in_macros_of_the_users_own() -> Result<(), Killed> {
    macro_rules! receive_or {
        ($receiver:expr, $otherwise:expr $(, $more:pat = $operation:expr => $body:block)*) => {
            coop::select! {
                message = op::receive($receiver) => message.unwrap(),
                $($more = $operation => $body)*
                default => $otherwise,
            }
        };
    }
    let (numbers, letters) = (holding(&[1]), holding(&['a']));
    let first = receive_or!(&numbers, 0)?;
    let message = 'm';
    let second = receive_or!(&letters, message, _ = op::after(HOUR) => { message })?;
    assert_eq!((first, second), (1, 'a'));
    Ok(())
}

#[coop::test]
fn an_error_type_with_a_conversion_for_both_questions() -> io::Result<()> {
    let numbers = holding(&[1]);
    let n: io::Result<u32> = (|| Ok(coop::select! { n = op::receive(&numbers) => n.map_err(io::Error::other)? }?))();
    assert_eq!(n?, 1);
    Ok(())
}
