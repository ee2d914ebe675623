//! The Cooperator's clock: instants, intervals, moments as arms, and very many timers.

#[path = "sync/race.rs"]
mod race;

use coop::time::{self, Instant, MissedTick, interval, interval_at, sleep_until};
use coop::{Killed, Operation, op};
use std::cell::{Cell, RefCell};
use std::io;
use std::time::Duration;

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// Milliseconds since `start`, which virtual time makes exact.
fn at(start: Instant) -> u64 {
    u64::try_from(start.elapsed().as_nanos() / 1_000_000).unwrap()
}

#[coop::test]
fn virtual_time_is_exact() -> Result<(), Killed> {
    let start = Instant::now();
    coop::sleep(Duration::from_secs(3600))?;
    assert_eq!(start.elapsed(), Duration::from_secs(3600));
    sleep_until(start + Duration::from_secs(7200))?;
    assert_eq!(Instant::now() - start, Duration::from_secs(7200));
    sleep_until(start)?;
    assert_eq!(Instant::now() - start, Duration::from_secs(7200), "a moment that has passed");
    Ok(())
}

#[coop::test]
fn a_moment_that_has_passed_still_gives_way() -> Result<(), Killed> {
    let ran = Cell::new(false);
    coop::wait_all(|s| {
        s.spawn(|| ran.set(true));
        sleep_until(Instant::now())?;
        assert!(ran.get());
        Ok(())
    })
}

#[coop::test]
fn arithmetic_stops_at_the_ends_of_the_scale() {
    let now = Instant::now();
    let never = now + Duration::MAX;
    assert!(never > now + Duration::from_secs(1 << 33));
    assert_eq!(never + ms(1), never);
    assert_eq!((now - never, never.duration_since(now) > ms(1)), (Duration::ZERO, true));
    let mut moving = now;
    moving += ms(5);
    moving -= ms(2);
    assert_eq!(moving - now, ms(3));
    let beginning = now - Duration::MAX;
    assert_eq!((beginning - ms(1), beginning.checked_sub(ms(1))), (beginning, None));
    assert_eq!((now.checked_add(Duration::MAX), now.checked_add(ms(1))), (None, Some(now + ms(1))));
    assert_eq!(
        (now.checked_duration_since(now + ms(1)), (now + ms(1)).checked_duration_since(now)),
        (None, Some(ms(1)))
    );
}

/// Outside of a Cooperator, and in one with real time, it is the same clock.
#[test]
fn real_instants_agree_across_threads_and_runs() {
    let before = Instant::now();
    let inside = coop::run(Instant::now);
    let thread = std::thread::spawn(Instant::now).join().unwrap();
    assert!(before <= inside && inside <= thread && thread <= Instant::now());
}

#[coop::test]
fn a_wait_for_a_moment_is_kill_checked_and_has_deadlines() {
    let never = Instant::now() + Duration::MAX;
    let late = coop::timeout(ms(5), || -> io::Result<()> { Ok(sleep_until(never)?) });
    assert_eq!(late.unwrap_err().kind(), io::ErrorKind::TimedOut);
    let mut task = coop::spawn(move || sleep_until(never));
    coop::yield_now().unwrap();
    task.kill();
    assert!(task.join().unwrap().is_err());
}

// ---- intervals

/// Ticks as `(planned, taken)` in milliseconds, of an interval of 10 ms whose owner is busy for so long after each.
fn ticks(missed: MissedTick, busy: &[u64]) -> Vec<(u64, u64)> {
    let start = Instant::now();
    let mut interval = interval(ms(10)).missed_tick(missed);
    let take = |busy: &u64| {
        let planned = interval.tick().unwrap();
        let tick = (u64::try_from((planned - start).as_millis()).unwrap(), at(start));
        coop::sleep(ms(*busy)).unwrap();
        tick
    };
    busy.iter().map(take).collect()
}

#[coop::test]
fn an_interval_does_not_drift() {
    let expected: Vec<_> = [0, 10, 20, 30, 40].map(|t| (t, t)).to_vec();
    for missed in [MissedTick::Burst, MissedTick::Delay, MissedTick::Skip] {
        assert_eq!(ticks(missed, &[0, 3, 9, 1, 0]), expected, "{missed:?}");
    }
}

#[coop::test]
fn missed_ticks() {
    let busy = [0, 35, 0, 0, 0, 0];
    assert_eq!(ticks(MissedTick::Burst, &busy), [(0, 0), (10, 10), (20, 45), (30, 45), (40, 45), (50, 50)]);
    assert_eq!(ticks(MissedTick::Delay, &busy), [(0, 0), (10, 10), (20, 45), (55, 55), (65, 65), (75, 75)]);
    assert_eq!(ticks(MissedTick::Skip, &busy), [(0, 0), (10, 10), (20, 45), (50, 50), (60, 60), (70, 70)]);
    // Late by less than a period: skipping leaves out nothing, delaying keeps the distance.
    let busy = [0, 14, 0, 0];
    assert_eq!(ticks(MissedTick::Burst, &busy), [(0, 0), (10, 10), (20, 24), (30, 30)]);
    assert_eq!(ticks(MissedTick::Delay, &busy), [(0, 0), (10, 10), (20, 24), (34, 34)]);
    assert_eq!(ticks(MissedTick::Skip, &busy), [(0, 0), (10, 10), (20, 24), (30, 30)]);
    // Late by whole periods: the one that is due just then is not left out for nothing.
    let busy = [0, 30, 0, 0];
    assert_eq!(ticks(MissedTick::Skip, &busy), [(0, 0), (10, 10), (20, 40), (50, 50)]);
}

#[coop::test]
fn an_interval_may_begin_later_be_reset_and_have_no_length() -> Result<(), Killed> {
    let start = Instant::now();
    let mut later = interval_at(start + ms(7), ms(10));
    assert_eq!((later.next_tick() - start, later.period()), (ms(7), ms(10)));
    later.tick()?;
    assert_eq!(at(start), 7);
    coop::sleep(ms(5))?;
    later.reset();
    later.tick()?;
    assert_eq!(at(start), 22);
    for missed in [MissedTick::Burst, MissedTick::Delay, MissedTick::Skip] {
        let mut always = interval(Duration::ZERO).missed_tick(missed);
        coop::sleep(ms(3))?;
        for _ in 0..1000 {
            always.tick()?;
        }
    }
    assert_eq!(at(start), 31, "and takes no time");
    let mut never = interval(Duration::MAX);
    never.tick()?;
    let late = coop::timeout(ms(1), || -> io::Result<Instant> { Ok(never.tick()?) });
    assert_eq!(late.unwrap_err().kind(), io::ErrorKind::TimedOut);
    Ok(())
}

/// One that is always due does not keep the others from running.
#[coop::test]
fn an_interval_that_is_behind_gives_way() {
    let stop = Cell::new(false);
    coop::wait_all(|s| {
        s.spawn(|| {
            let mut always = interval(Duration::ZERO);
            while !stop.get() {
                always.tick().unwrap();
            }
        });
        coop::yield_now().unwrap();
        stop.set(true);
    });
}

/// A tick that lost, or whose wait was killed, is still due.
#[coop::test]
fn a_tick_that_is_not_taken_stays() -> Result<(), Killed> {
    let start = Instant::now();
    let mut ticks = interval(ms(10));
    coop::select! {
        biased;
        _ = op::after(Duration::ZERO) => {}
        _ = op::tick(&mut ticks) => panic!("the first is ready"),
    }?;
    assert_eq!(ticks.tick()? - start, ms(0));
    coop::select! {
        _ = op::tick(&mut ticks) => panic!("it comes later"),
        _ = op::after(ms(5)) => {}
    }?;
    coop::wait_all(|s| {
        let ticks = &mut ticks;
        let mut task = s.spawn(move || ticks.tick());
        coop::yield_now().unwrap();
        task.kill();
        assert!(task.join().unwrap().is_err());
    });
    coop::wait_all(|s| assert!(s.start(op::tick(&mut ticks)).cancel().is_none()));
    let planned = coop::select! {
        planned = op::tick(&mut ticks) => planned - start,
        _ = op::after(ms(100)) => panic!("it comes after ten"),
    }?;
    assert_eq!((planned, at(start)), (ms(10), 10));
    coop::wait_all(|s| {
        let handle = s.start(op::tick(&mut ticks));
        coop::sleep(ms(15)).unwrap();
        assert_eq!(handle.wait().unwrap() - start, ms(20));
    });
    assert_eq!(ticks.tick()? - start, ms(30));
    Ok(())
}

/// Whatever wins, in whatever order: in the end every tick was taken once.
#[coop::test(schedules = 200)]
fn ticks_raced_against_timers_and_kills_are_all_taken() {
    let start = Instant::now();
    let ticks = RefCell::new(interval(ms(10)));
    let (taken, rounds) = (Cell::new(0u32), Cell::new(0u64));
    while taken.get() < 50 {
        rounds.set(rounds.get() + 1);
        let limit = ms(1 + rounds.get() * 7 % 13);
        coop::wait_all(|s| {
            let racer = s.spawn(|| -> Result<(), Killed> {
                let mut ticks = ticks.borrow_mut();
                coop::select! {
                    planned = op::tick(&mut ticks) => {
                        assert_eq!(planned - start, ms(10) * taken.get());
                        taken.set(taken.get() + 1);
                    }
                    _ = op::after(limit) => {}
                }
            });
            if rounds.get() % 3 == 0 {
                coop::sleep(limit / 2).unwrap();
                racer.kill();
            }
        });
    }
    assert!(at(start) >= 490);
}

/// The same on the real clock and the real ring, many times: each tick comes once, in order, and not before its moment.
#[test]
fn ticks_in_a_race() {
    race::against_both(|against, seed| {
        let (start, period) = (Instant::now(), Duration::from_micros(5));
        let (ticks, taken) = (RefCell::new(interval_at(start, period)), Cell::new(0));
        let attempt = |limit| {
            let mut ticks = ticks.borrow_mut();
            coop::select! {
                planned = op::tick(&mut ticks) => {
                    assert_eq!(planned, start + period * taken.get() as u32);
                    assert!(planned <= Instant::now());
                    race::count(&taken);
                    true
                }
                _ = race::rival(limit) => false,
            }
        };
        race::race(against, seed, || taken.get() == race::ROUNDS, attempt);
        assert_eq!(ticks.borrow().next_tick(), start + period * race::ROUNDS as u32);
    });
}

// ---- moments as arms

#[coop::test]
fn one_limit_for_many_rounds() -> Result<(), Killed> {
    let start = Instant::now();
    let limit = start + ms(10);
    let mut rounds = 0;
    loop {
        coop::select! {
            _ = op::after(ms(3)) => rounds += 1,
            _ = op::at(limit) => break,
        }?;
    }
    assert_eq!((rounds, at(start)), (3, 10));
    coop::select! {
        _ = op::at(start) => {}
        default => panic!("it has passed"),
    }?;
    coop::wait_all(|s| -> Result<(), Killed> {
        let mut handle = s.start(op::at(limit + ms(5)));
        coop::select! {
            _ = &mut handle => panic!("it comes later"),
            _ = op::after(ms(1)) => {}
        }?;
        handle.wait()?;
        assert_eq!(at(start), 15);
        drop(s.start(op::at(limit)));
        assert!(s.start(op::at(limit + ms(90))).cancel().is_none());
        op::at(limit + ms(7)).wait()
    })?;
    assert_eq!(at(start), 17);
    Ok(())
}

// ---- many timers

/// A million at once, with deadlines at random over a day: each is over at its own moment, in order, and none is left out. In
/// virtual time, so that only what the timers themselves cost is spent.
#[coop::test]
fn a_million_timers() -> Result<(), Killed> {
    const COUNT: u64 = if cfg!(debug_assertions) { 100_000 } else { 1_000_000 };
    const DAY: u64 = 86_400_000_000_000;
    let start = Instant::now();
    // A permutation of the numbers below a power of two, by which deadlines are neither in order nor equal.
    let bits = COUNT.next_power_of_two();
    let deadline = |n: u64| Duration::from_nanos((n * 0x9e37_79b1 + 12_345) % bits * (DAY / bits));
    coop::wait_all(|s| -> Result<(), Killed> {
        let mut handles: Vec<_> = (0..COUNT).map(|n| (deadline(n), s.start(op::at(start + deadline(n))))).collect();
        handles.sort_by_key(|(deadline, _)| *deadline);
        let mut fired = 0;
        for (deadline, mut handle) in handles {
            // Those that are to be cancelled go while they still run.
            if fired % 16 == 15 {
                assert!(handle.cancel().is_none());
            } else {
                coop::select! { _ = &mut handle => {} }?;
                assert_eq!(start.elapsed(), deadline, "the {fired}th");
            }
            fired += 1;
        }
        assert_eq!(fired, COUNT);
        Ok(())
    })
}

/// Equal deadlines: in the order in which they were started.
#[coop::test]
fn equal_deadlines_keep_their_order() {
    let order = RefCell::new(Vec::new());
    let moment = Instant::now() + ms(5);
    coop::wait_all(|s| {
        for n in 0..1000 {
            let order = &order;
            s.spawn(move || {
                time::sleep_until(moment).unwrap();
                order.borrow_mut().push(n);
            });
        }
    });
    assert!(order.into_inner().into_iter().eq(0..1000));
}
