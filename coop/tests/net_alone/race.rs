//! Races of an arm against a timer and against a kill, as in `coop/tests/lossless.rs`: for the arms of sockets.

use crate::in_a_process;
use coop::Killed;
use std::cell::Cell;
use std::time::{Duration, Instant};

/// How much of everything there is to lose.
pub const ROUNDS: usize = if cfg!(debug_assertions) { 4_000 } else { 100_000 };

/// Longer than anything takes that works.
const LONG: Duration = Duration::from_secs(10);

/// After so many rounds without a win, though there is something to win, it is lost.
const MOST_IN_VAIN: usize = 100_000;

/// What the arm is raced against.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Rival {
    Timer,
    Kill,
}

/// Runs a test under both modes of the ring, each in a process of its own, against both rivals.
pub fn in_both_modes(name: &str, race: impl Fn(Rival, u64)) {
    for mode in ["default", "cooperative"] {
        in_a_process(name, mode, || {
            let seed = std::env::var("COOP_SEED").map_or(1, |seed| seed.parse().expect("COOP_SEED is a number"));
            println!("COOP_SEED={seed}, task run: {mode}");
            // SAFETY: asks for exact timers; touches no memory.
            unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, 1) };
            crate::leaks_nothing(|| {
                race(Rival::Timer, seed);
                race(Rival::Kill, seed);
            });
        });
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

    /// Keeps the thread busy for up to `nanos`.
    pub fn spin(&self, nanos: u64) {
        let until = Instant::now() + Duration::from_nanos(self.below(nanos));
        while Instant::now() < until {
            std::hint::spin_loop();
        }
    }

    /// How long a timer runs: mostly about as long as it takes for something to be produced; now and then no time, or, if the
    /// arm should win, so long that it must.
    fn duration(&self, should_win: bool) -> Duration {
        match self.below(16) {
            0 => Duration::ZERO,
            1 if should_win => LONG,
            n => Duration::from_nanos(self.below(500 * n)),
        }
    }

    /// Lets some time pass, in one of several ways.
    fn pause(&self) {
        match self.below(4) {
            0 => {}
            1 => (0..self.below(6)).for_each(|_| coop::yield_now().expect("nobody kills the racer")),
            2 => self.spin(10_000),
            _ => coop::sleep(Duration::from_nanos(self.below(20_000))).expect("nobody kills the racer"),
        }
    }
}

/// Races `attempt`, a `select!` of the arm and a timer of the given duration that says whether the arm won, until `is_over`.
/// Gives up if the arm does not win for long although `is_there` says that it could.
pub fn race(
    rival: Rival,
    seed: u64,
    is_over: impl Fn() -> bool,
    is_there: impl Fn() -> bool,
    attempt: impl Fn(Duration) -> Result<bool, Killed>,
) {
    let (random, won, lost, in_vain) = (Random::new(seed), Cell::new(0u64), Cell::new(0u64), Cell::new(0));
    let note = |is_won: bool| {
        let count = if is_won { &won } else { &lost };
        count.set(count.get() + 1);
        in_vain.set(if is_won || !is_there() { 0 } else { in_vain.get() + 1 });
    };
    let is_over = || is_over() || in_vain.get() > MOST_IN_VAIN;
    while !is_over() {
        match rival {
            Rival::Timer => note(attempt(random.duration(in_vain.get() < 100)).expect("nobody kills it")),
            Rival::Kill => coop::wait_all(|s| {
                let mut victim = s.spawn(|| {
                    while !is_over() {
                        match attempt(LONG) {
                            Ok(won) => note(won),
                            Err(_) => return note(false),
                        }
                    }
                });
                random.pause();
                if random.below(16) == 0 {
                    // One that has won before it is killed.
                    let before = won.get();
                    for _ in 0..1000 {
                        if won.get() != before || is_over() {
                            break;
                        }
                        coop::sleep(Duration::from_micros(10)).expect("nobody kills the racer");
                    }
                }
                victim.kill();
                victim.join().expect("it returns");
            }),
        }
    }
    println!("{rival:?}: won {}, lost {}", won.get(), lost.get());
    assert!(won.get() > 0 && lost.get() > 0, "both must happen");
}
