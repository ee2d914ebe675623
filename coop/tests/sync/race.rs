//! Races of an arm of `select!` against a timer and against a kill, again and again: `attempt` says whether the arm won.

use coop::{Killed, op};
use std::cell::Cell;
use std::time::Duration;

/// How often what is raced for is there.
pub const ROUNDS: usize = if cfg!(debug_assertions) { 3_000 } else { 100_000 };

/// Longer than anything takes that works.
pub const LONG: Duration = Duration::from_secs(10);

/// After so many rounds without a win it is lost.
const MOST_IN_VAIN: usize = 100_000;

/// What the arm is raced against.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Rival {
    Timer,
    Kill,
}

/// Runs `story` against both rivals.
pub fn against_both(story: impl Fn(Rival, u64)) {
    let seed = std::env::var("COOP_SEED").map_or(1, |seed| seed.parse().expect("COOP_SEED is a number"));
    println!("COOP_SEED={seed}");
    for rival in [Rival::Timer, Rival::Kill] {
        coop::run(|| story(rival, seed));
    }
}

/// xorshift64*.
pub struct Random(Cell<u64>);

impl Random {
    pub fn new(seed: u64) -> Self {
        Random(Cell::new(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1))
    }

    pub fn below(&self, bound: u64) -> u64 {
        let mut x = self.0.get();
        x ^= x >> 12;
        x ^= x << 25;
        x ^= x >> 27;
        self.0.set(x);
        (x.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % bound
    }

    /// Lets others run a few times, or not at all, or for a moment.
    pub fn pause(&self) {
        match self.below(8) {
            0 => coop::sleep(Duration::from_nanos(self.below(3_000))).expect("nobody kills the racer"),
            n => (0..n / 2).for_each(|_| coop::yield_now().expect("nobody kills the racer")),
        }
    }

    /// How long the rival timer runs: mostly a moment, now and then no time, or, if the arm should win, so long that it must.
    fn duration(&self, should_win: bool) -> Duration {
        match self.below(8) {
            0 => Duration::ZERO,
            1 | 2 if should_win => LONG,
            n => Duration::from_nanos(self.below(300 * n)),
        }
    }
}

/// Races until `is_over`. Gives up, and fails, if the arm does not win for long.
pub fn race(rival: Rival, seed: u64, is_over: impl Fn() -> bool, attempt: impl Fn(Duration) -> Result<bool, Killed>) {
    let random = Random::new(seed);
    let (won, lost, in_vain) = (Cell::new(0usize), Cell::new(0usize), Cell::new(0usize));
    let note = |has_won: bool| {
        let count = if has_won { &won } else { &lost };
        count.set(count.get() + 1);
        in_vain.set(if has_won { 0 } else { in_vain.get() + 1 });
    };
    while !is_over() {
        assert!(in_vain.get() < MOST_IN_VAIN, "the arm no longer wins, after {} times: lost", won.get());
        match rival {
            Rival::Timer => note(attempt(random.duration(in_vain.get() < 100)).expect("nobody kills it")),
            Rival::Kill => coop::wait_all(|s| {
                let mut victim = s.spawn(|| {
                    while !is_over() {
                        match attempt(LONG) {
                            Ok(has_won) => note(has_won),
                            Err(_) => return note(false),
                        }
                    }
                });
                let turns = if in_vain.get() > 100 { 64 } else { 6 };
                (0..random.below(turns)).for_each(|_| random.pause());
                victim.kill();
                victim.join().expect("it returns");
            }),
        }
    }
    println!("{rival:?}: won {}, lost {}", won.get(), lost.get());
    assert!(won.get() > 0 && lost.get() > 0, "both must happen: won {}, lost {}", won.get(), lost.get());
}

/// Counts up by one.
pub fn count(cell: &Cell<usize>) {
    cell.set(cell.get() + 1);
}

/// The rival of a `select!`: over after `limit`, if that is not so long that the arm must win.
pub fn rival(limit: Duration) -> impl coop::Operation<Waited = Result<(), Killed>> + coop::Arm<Output = ()> {
    op::after(limit)
}
