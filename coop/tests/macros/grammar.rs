//! `select!`: its grammar, form by form.

use coop::net::UnixStream;
use coop::sync::Mutex;
use coop::{Cause, Killed, chan, op};
use std::cell::RefCell;
use std::io;
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(3600);
const MOMENT: Duration = Duration::from_millis(1);

/// A channel that already holds these messages, with both ends.
fn holding<T: Clone>(messages: &[T]) -> (chan::Sender<T>, chan::Receiver<T>) {
    let (tx, rx) = chan::bounded(messages.len().max(1));
    messages.iter().for_each(|message| assert!(tx.try_send(message.clone()).is_ok()));
    (tx, rx)
}

// ---- arms

#[coop::test]
fn one_arm() -> Result<(), Killed> {
    let (_tx, rx) = holding(&[7]);
    let n = coop::select! { n = op::receive(&rx) => n }?;
    assert_eq!(n, Ok(7));
    coop::select! { _ = op::after(MOMENT) => {} }
}

#[coop::test]
fn two_arms() -> Result<(), Killed> {
    let (_tx, full) = holding(&["full"]);
    let (_tx, empty) = holding::<&str>(&[]);
    let won = coop::select! {
        _ = op::receive(&empty) => "empty",
        text = op::receive(&full) => text.unwrap(),
    }?;
    assert_eq!(won, "full");
    Ok(())
}

#[coop::test]
fn eight_arms_of_different_kinds_each_of_which_wins_in_its_turn() -> io::Result<()> {
    let (ours, theirs) = UnixStream::pair()?;
    let (tx, rx) = holding::<u32>(&[]);
    let (full, _full_rx) = holding(&[0]);
    let (locked, free) = (Mutex::new("locked"), Mutex::new("free"));
    let mut trace = Vec::new();
    let mut buf = [0; 8];
    coop::scope(|s| -> io::Result<()> {
        let held = locked.try_lock();
        let mut started = s.start(op::after(HOUR));
        let mut child = s.spawn(|| coop::sleep(2 * MOMENT).map(|()| "child"));
        let mut task = coop::spawn(|| coop::sleep(3 * MOMENT).map(|()| "task"));
        for round in 0..5 {
            match round {
                0 => theirs.send_all(b"hi")?,
                1 => tx.try_send(9).unwrap(),
                _ => {}
            }
            coop::select! {
                n = op::recv(&ours, &mut buf) => trace.push(format!("received {}", n?)),
                n = op::receive(&rx) => trace.push(format!("message {}", n.unwrap())),
                permit = op::reserve(&full) => { drop(permit.unwrap()); trace.push("room".to_owned()) }
                guard = op::lock(&locked) => trace.push(guard.to_string()),
                guard = op::lock(&free) if round == 4 => trace.push(guard.to_string()),
                () = &mut started => trace.push("started".to_owned()),
                name = &mut child => trace.push(name.unwrap()?.to_owned()),
                name = &mut task => trace.push(name.unwrap()?.to_owned()),
            }?;
        }
        drop(held);
        Ok(())
    })?;
    assert_eq!(trace, ["received 2", "message 9", "child", "task", "free"]);
    Ok(())
}

/// `select!` over the channels with these numbers, within a macro of the user's.
macro_rules! select_among {
    ($receivers:ident: $($index:literal)*) => {
        coop::select! { $(n = op::receive(&$receivers[$index]) => ($index, n.unwrap()),)* }
    };
}

#[coop::test]
fn sixty_four_arms() -> Result<(), Killed> {
    let (senders, receivers): (Vec<_>, Vec<_>) = (0..64).map(|_| holding::<usize>(&[])).unzip();
    for chosen in [0, 1, 31, 62, 63] {
        senders[chosen].try_send(chosen * 10).unwrap();
        // The limit of 64 is the `select!`'s own, not one of what stands around it.
        let won = select_among!(receivers:
             0  1  2  3  4  5  6  7  8  9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31
            32 33 34 35 36 37 38 39 40 41 42 43 44 45 46 47 48 49 50 51 52 53 54 55 56 57 58 59 60 61 62 63)?;
        assert_eq!(won, (chosen, chosen * 10));
    }
    Ok(())
}

#[coop::test]
#[allow(unused_parens)]
fn operands_are_any_expressions() -> Result<(), Killed> {
    struct Worker {
        jobs: Option<chan::Receiver<u32>>,
        handles: Vec<coop::JoinHandle<u32>>,
    }
    let (tx, rx) = holding(&[1, 2, 3, 4, 5]);
    let mut worker = Worker { jobs: Some(rx), handles: vec![coop::spawn(|| 6)] };
    let operation = |worker: &Worker| -> u32 { worker.jobs.as_ref().map_or(0, |jobs| jobs.len() as u32) };
    let mut got = Vec::new();
    // A call with a method call in it, a block, a match, an if, parentheses, one made before.
    got.push(coop::select! { n = op::receive(worker.jobs.as_ref().unwrap()) => n }?.unwrap());
    let jobs = worker.jobs.as_ref().unwrap();
    got.push(coop::select! { n = { let same = jobs; op::receive(same) } => n }?.unwrap());
    got.push(coop::select! { n = match got.len() { 0 => unreachable!(), _ => op::receive(jobs) } => n }?.unwrap());
    got.push(coop::select! { n = if got.is_empty() { unreachable!() } else { op::receive(jobs) } => n }?.unwrap());
    let inert = (op::receive)(jobs);
    got.push(coop::select! { n = (inert) => n }?.unwrap());
    got.push(coop::select! { n = &mut worker.handles[0] => n.unwrap() }?);
    assert_eq!((got, operation(&worker)), (vec![1, 2, 3, 4, 5, 6], 0));
    drop(tx);
    Ok(())
}

#[coop::test]
fn commas_as_in_a_match() -> Result<(), Killed> {
    let (_tx, rx) = holding(&[1, 2, 3, 4, 5, 6]);
    let mut sum = 0;
    // One after each arm, and after the last.
    coop::select! { n = op::receive(&rx) => sum += n.unwrap(), _ = op::after(HOUR) => {}, }?;
    // None after braces, nor after what ends like them.
    coop::select! {
        n = op::receive(&rx) => { sum += n.unwrap() }
        _ = op::after(HOUR) => if sum > 0 { sum = 0 }
        _ = op::after(HOUR) => for _ in 0..3 { sum = 0 }
        _ = op::after(HOUR) => match sum { 0 => {} _ => sum = 0 }
        _ = op::after(HOUR) => while sum > 100 { sum -= 1 }
    }?;
    // One after braces all the same.
    coop::select! { n = op::receive(&rx) => { sum += n.unwrap() }, _ = op::after(HOUR) => {}, }?;
    // None after the last.
    coop::select! { n = op::receive(&rx) => sum += n.unwrap(), _ = op::after(HOUR) => {} }?;
    // Parentheses and brackets for the braces.
    coop::select!(n = op::receive(&rx) => sum += n.unwrap(), default => {})?;
    coop::select![n = op::receive(&rx) => sum += n.unwrap(), default => {}]?;
    assert_eq!(sum, 21);
    Ok(())
}

#[coop::test]
fn patterns_are_any_patterns() -> Result<(), Killed> {
    #[derive(Clone)]
    struct Job {
        id: u32,
        name: (&'static str, u8),
    }
    let job = Job { id: 4, name: ("paint", 2) };
    let (_tx, rx) = holding(&[job.clone(), job.clone(), job.clone(), job.clone(), job]);
    let id = coop::select! { Ok(Job { id, .. }) = op::receive(&rx) else { 0 } => id }?;
    let name = coop::select! { Ok(Job { name: (name, _), id: _ }) = op::receive(&rx) => name, else => "" }?;
    let both =
        coop::select! { | Ok(Job { id: 4 | 5, name: both @ (_, 1..=3) }) = op::receive(&rx) => both, else => ("", 0) }?;
    let number = coop::select! { Ok(ref job) = op::receive(&rx) else { 0 } => { let Job { id, .. } = job; *id } }?;
    let () = coop::select! { () = op::after(MOMENT) => () }?;
    assert_eq!((id, name, both, number), (4, "paint", ("paint", 2), 4));
    Ok(())
}

#[coop::test]
fn the_words_are_names_where_they_are_not_arms() -> Result<(), Killed> {
    let (_tx, rx) = holding(&[1, 2, 3, 4, 5]);
    let mut got = Vec::new();
    coop::select! { default = op::receive(&rx) => got.push(default.unwrap()) }?;
    coop::select! { complete = op::receive(&rx) => got.push(complete.unwrap()) }?;
    coop::select! { killed = op::receive(&rx) => got.push(killed.unwrap()) }?;
    coop::select! { biased = op::receive(&rx) => got.push(biased.unwrap()) }?;
    let (default, complete, killed, biased) = (1, 2, 3, 4);
    coop::select! {
        biased;
        n = op::receive(&rx) if default + complete + killed + biased == 10 => got.push(n.unwrap()),
        default => got.push(default + complete + killed + biased),
    }?;
    assert_eq!(got, [1, 2, 3, 4, 5]);
    Ok(())
}

// ---- guards

#[coop::test]
fn guards_in_both_forms() -> Result<(), Killed> {
    let (_tx, rx) = holding(&["yes", "also"]);
    let (open, shut) = (true, false);
    let first = coop::select! {
        text = op::receive(&rx) if shut => text.unwrap(),
        text = op::receive(&rx), if open => text.unwrap(),
    }?;
    let second = coop::select! {
        _ = op::after(MOMENT), if shut => "no",
        text = op::receive(&rx) if open && !shut || first.is_empty() => text.unwrap(),
    }?;
    assert_eq!((first, second), ("yes", "also"));
    Ok(())
}

#[coop::test]
fn guards_come_first_in_order_and_a_disabled_operation_is_not_evaluated() -> Result<(), Killed> {
    let trace = RefCell::new(Vec::new());
    let note = |what: &'static str, value: bool| {
        trace.borrow_mut().push(what);
        value
    };
    let operation = |what: &'static str| {
        trace.borrow_mut().push(what);
        op::after(Duration::ZERO)
    };
    coop::select! {
        _ = operation("first operation") if note("first guard", true) => trace.borrow_mut().push("body"),
        _ = operation("second operation") if note("second guard", false) => unreachable!(),
        _ = operation("third operation") if note("third guard", true) && note("its other half", false) => unreachable!(),
    }?;
    assert_eq!(
        trace.into_inner(),
        ["first guard", "second guard", "third guard", "its other half", "first operation", "body"]
    );
    Ok(())
}

#[coop::test]
fn a_guarded_operation_may_take_what_is_there_only_if_the_guard_holds() -> Result<(), Killed> {
    let mut retry: Option<Duration> = None;
    for round in 0..2 {
        let answer = coop::select! {
            _ = op::after(retry.unwrap()) if retry.is_some() => "again",
            _ = op::after(2 * MOMENT) => "late",
        }?;
        assert_eq!(answer, ["late", "again"][round]);
        retry = Some(MOMENT);
    }
    Ok(())
}

// ---- what else may come of it

#[coop::test]
fn an_else_of_its_own_and_one_for_all() -> Result<(), Killed> {
    let (_tx, small) = holding(&[1, 2]);
    let (_tx2, large) = holding(&[30, 4]);
    let mut trace = Vec::new();
    for _ in 0..4 {
        let n = coop::select! {
            biased;
            Ok(1) = op::receive(&small) => 1,
            Ok(n @ 30..) = op::receive(&large) else { trace.push("its own"); continue } => n,
            Ok(n @ 1000..) = op::receive(&small) => n,
            else => { trace.push("the shared one"); 0 }
        }?;
        trace.push(match n {
            1 => "one",
            30 => "thirty",
            _ => "nothing",
        });
    }
    assert_eq!(trace, ["one", "the shared one", "nothing", "thirty", "its own"]);
    Ok(())
}

#[coop::test]
fn an_else_runs_instead_of_the_body_and_nothing_waits_again() -> Result<(), Killed> {
    let (_tx, rx) = holding(&[None, Some(5)]);
    let count = || {
        coop::select! {
            Ok(Some(n)) = op::receive(&rx) else { 0 } => n,
        }
    };
    assert_eq!((count()?, count()?), (0, 5));
    Ok(())
}

#[coop::test]
fn default_does_not_wait_but_looks_at_what_has_come() -> io::Result<()> {
    let (ours, theirs) = UnixStream::pair()?;
    let mut buf = [0; 4];
    let nothing = coop::select! { n = op::recv(&ours, &mut buf) => n?, default => 99 }?;
    theirs.send_all(b"abc")?;
    let something = coop::select! { n = op::recv(&ours, &mut buf) => n?, default => 99 }?;
    assert_eq!((nothing, something), (99, 3));
    Ok(())
}

#[coop::test]
fn killed_makes_the_value_plain() {
    let mut task = coop::spawn(|| {
        let n: u32 = coop::select! {
            _ = op::after(HOUR) => 1,
            killed(killed) => match killed.cause() { Cause::Explicit(_) => 2, _ => 3 },
        };
        // Anywhere among the arms, and with a pattern.
        let m: u32 = coop::select! { killed(_) => 20, _ = op::after(HOUR) => 10 };
        n + m
    });
    coop::yield_now().unwrap();
    task.kill();
    assert_eq!(task.join().unwrap(), 22);
}

#[coop::test]
fn complete_is_for_when_every_arm_is_disabled() -> Result<(), Killed> {
    let mut first = coop::spawn(|| 1);
    let mut second = coop::spawn(|| 2);
    let mut sum = 0;
    loop {
        coop::select! {
            n = &mut first => sum += n.unwrap(),
            n = &mut second => sum += n.unwrap(),
            _ = op::after(HOUR) if false => unreachable!(),
            complete => break,
        }?;
    }
    assert_eq!(sum, 3);
    Ok(())
}

#[coop::test]
fn everything_at_once() -> Result<(), Killed> {
    let (tx, rx) = holding(&[1]);
    let mut trace = Vec::new();
    for round in 0..4 {
        let open = round != 3;
        let value: u32 = coop::select! {
            biased;
            Ok(n) = op::receive(&rx), if open => n,
            _ = op::after(HOUR) if false => 0,
            killed(_) => 10,
            complete => 20,
            else => 30,
            default => 40,
        };
        trace.push(value);
    }
    drop(tx);
    let closed = coop::select! { Ok(n) = op::receive(&rx) => n, else => 30 }?;
    trace.push(closed);
    assert_eq!(trace, [1, 40, 40, 40, 30], "with a `default`, all disabled is none ready");
    Ok(())
}

#[coop::test]
#[should_panic(expected = "all arms of this `select!` are disabled")]
fn without_complete_all_disabled_is_a_panic() {
    let _ = coop::select! { _ = op::after(HOUR) if false => {} };
}

#[coop::test]
fn biased_takes_the_first_in_the_text_and_else_they_take_turns() -> Result<(), Killed> {
    let (_tx, a) = holding(&['a'; 20]);
    let (_tx2, b) = holding(&['b'; 20]);
    let (mut in_turn, mut in_order) = (String::new(), String::new());
    for _ in 0..6 {
        in_turn.push(coop::select! { c = op::receive(&a) => c.unwrap(), c = op::receive(&b) => c.unwrap() }?);
        in_order.push(coop::select! { biased; c = op::receive(&b) => c.unwrap(), c = op::receive(&a) => c.unwrap() }?);
    }
    assert_eq!((in_turn.matches('a').count(), in_turn.matches('b').count()), (3, 3), "{in_turn}");
    assert_eq!(in_order, "bbbbbb");
    Ok(())
}

// ---- nesting

#[coop::test]
fn selects_in_every_part_of_a_select() -> Result<(), Killed> {
    let (_tx, rx) = holding(&[1, 2, 3, 4, 5]);
    let next = || coop::select! { n = op::receive(&rx) => n.unwrap(), default => 0 };
    let value = coop::select! {
        // in an operation, and in a guard
        _ = op::after(coop::select! { n = op::receive(&rx) => MOMENT * n.unwrap(), default => HOUR }?)
            if coop::select! { n = op::receive(&rx) => n == Ok(1), default => false }? => {
            // in a body
            let inner = coop::select! {
                n = op::receive(&rx) => coop::select! { m = op::receive(&rx) => n.unwrap() * 10 + m.unwrap(), default => 0 }?,
                default => 0,
            }?;
            inner * 10 + next()?
        }
        _ = op::after(HOUR) => 0,
    }?;
    assert_eq!(value, 345);
    Ok(())
}

#[coop::test]
fn what_an_arm_that_lost_had_borrowed_is_free_in_the_body() -> io::Result<()> {
    let (ours, theirs) = UnixStream::pair()?;
    let (tx, rx) = holding(&[7]);
    let mut buf = [1, 2, 3];
    coop::select! {
        biased;
        n = op::receive(&rx) => {
            buf[0] = n.unwrap();
            drop(tx);
            drop(theirs);
        }
        n = op::recv(&ours, &mut buf) => { n?; }
        permit = op::reserve(&tx) => drop(permit),
    }?;
    assert_eq!(buf, [7, 2, 3]);
    Ok(())
}

#[coop::test]
fn what_a_pattern_does_not_bind_lives_to_the_end_of_the_body() -> Result<(), Killed> {
    let mutex = Mutex::new(());
    coop::select! {
        _ = op::lock(&mutex) => assert!(mutex.try_lock().is_none(), "the guard is there"),
    }?;
    assert!(mutex.try_lock().is_some(), "and gone");
    Ok(())
}
