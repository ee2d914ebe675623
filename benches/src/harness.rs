//! Sampling: calibrate, interleave, take medians.
//!
//! ```text
//!   round 1        round 2        round 3                       each box is one sample of 20 to 50 ms
//!   ┌────┬────┐    ┌────┬────┐    ┌────┬────┐
//!   │coop│peer│    │coop│peer│    │coop│peer│   …               medians over the boxes of one side;
//!   └────┴────┘    └────┴────┘    └────┴────┘                   ratios within a round, then their median
//! ```
//!
//! A machine that gets slower for a second makes both sides of a round slower, so ratios are steadier than what they are
//! ratios of.

use crate::sys::CpuClock;
use std::time::{Duration, Instant};

/// One line of numbers of a row.
pub struct Figure {
    pub name: &'static str,
    pub unit: Unit,
    /// What coop's figure should not exceed. Said in the table, and no reason to fail.
    pub bar: Option<f64>,
}

impl Figure {
    pub const fn new(name: &'static str, unit: Unit) -> Self {
        Figure { name, unit, bar: None }
    }

    pub const fn at_most(self, bar: f64) -> Self {
        Figure { bar: Some(bar), ..self }
    }
}

/// CPU time of the thread that does the work, for each iteration.
pub const CPU: Figure = Figure::new("CPU", Unit::Nanos);

#[derive(Clone, Copy)]
pub enum Unit {
    Nanos,
    Bytes,
    Count,
}

impl Unit {
    /// A figure as people write it.
    pub fn show(self, value: f64) -> String {
        let (value, unit) = match self {
            Unit::Nanos if value >= 1e9 => (value / 1e9, " s"),
            Unit::Nanos if value >= 1e6 => (value / 1e6, " ms"),
            Unit::Nanos if value >= 1e3 => (value / 1e3, " µs"),
            Unit::Nanos => (value, " ns"),
            Unit::Bytes if value >= 1024.0 => (value / 1024.0, " KiB"),
            Unit::Bytes => (value, " B"),
            Unit::Count => return format!("{value:.0}"),
        };
        format!("{}{unit}", significant(value))
    }
}

fn significant(value: f64) -> String {
    match value {
        _ if value >= 100.0 => format!("{value:.0}"),
        _ if value >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

/// How much is done in a sample.
#[derive(Clone, Copy)]
pub enum Amount {
    /// As many iterations as make a sample long enough. The row's first figure is the time of one.
    Calibrated,
    /// This many, and so many samples.
    Fixed { full: u64, quick: u64, samples: usize },
}

/// Who does it: coop, or a peer.
pub struct Side {
    pub name: &'static str,
    run: Box<dyn FnMut(u64) -> Vec<f64>>,
}

impl Side {
    /// `run` does a number of iterations, sees that their results are right, and gives the row's figures.
    pub fn new(name: &'static str, run: impl FnMut(u64) -> Vec<f64> + 'static) -> Self {
        Side { name, run: Box::new(run) }
    }
}

/// Something to compare coop in.
pub struct Row {
    pub name: &'static str,
    /// What is measured, and that both sides do the same.
    pub measures: &'static str,
    pub figures: &'static [Figure],
    pub amount: Amount,
    /// Too long for every day.
    pub only_by_name: bool,
    /// Coop first.
    pub sides: fn() -> Vec<Side>,
}

/// Time since it was started, as the wall and as the thread's own clock see it.
pub struct Stopwatch {
    wall: Instant,
    clock: CpuClock,
    cpu: Duration,
}

impl Stopwatch {
    pub fn start() -> Self {
        let clock = CpuClock::of_this_thread();
        Stopwatch { wall: Instant::now(), clock, cpu: clock.now() }
    }

    /// Nanoseconds of CPU time for each of `n`.
    pub fn cpu_per(&self, n: u64) -> f64 {
        (self.clock.now() - self.cpu).as_nanos() as f64 / n as f64
    }

    /// Nanoseconds for each of `n`.
    pub fn wall_per(&self, n: u64) -> f64 {
        self.wall.elapsed().as_nanos() as f64 / n as f64
    }
}

/// How carefully to measure.
#[derive(Clone, Copy)]
pub struct Plan {
    pub sample: Duration,
    pub samples: usize,
    pub is_quick: bool,
    /// Coop without its peers, for a profiler.
    pub is_alone: bool,
}

impl Plan {
    pub const FULL: Plan = Plan { sample: Duration::from_millis(30), samples: 15, is_quick: false, is_alone: false };
    pub const QUICK: Plan = Plan { sample: Duration::from_millis(2), samples: 3, is_quick: true, is_alone: false };
}

/// The median of some numbers, and where their middle half lies.
#[derive(Clone, Copy)]
pub struct Spread {
    pub low: f64,
    pub median: f64,
    pub high: f64,
}

impl Spread {
    fn of(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        let at = |quarter: usize| values[(values.len() - 1) * quarter / 4];
        Spread { low: at(1), median: at(2), high: at(3) }
    }

    /// Half the width of the middle half, in percent of the median.
    pub fn percent(self) -> f64 {
        if self.median == 0.0 { 0.0 } else { (self.high - self.low) / 2.0 / self.median * 100.0 }
    }
}

/// One figure of coop and of one peer.
pub struct Line {
    pub row: &'static str,
    pub figure: &'static Figure,
    pub coop: Spread,
    /// Its name, its figure, and coop's in relation to that. None for a row that coop is alone in.
    pub peer: Option<(&'static str, Spread, Spread)>,
}

/// Measures a row.
pub fn measure(row: &Row, plan: Plan) -> Vec<Line> {
    let mut sides = (row.sides)();
    if plan.is_alone {
        sides.truncate(1);
    }
    let (iterations, samples) = match row.amount {
        Amount::Calibrated => {
            (sides.iter_mut().map(|side| calibrate(side, plan.sample)).collect::<Vec<_>>(), plan.samples)
        }
        Amount::Fixed { quick, .. } if plan.is_quick => (vec![quick; sides.len()], 1),
        Amount::Fixed { full, samples, .. } => (vec![full; sides.len()], samples),
    };
    // samples[side][round][figure]
    let mut taken: Vec<Vec<Vec<f64>>> = sides.iter().map(|_| Vec::new()).collect();
    for _ in 0..samples {
        for (index, side) in sides.iter_mut().enumerate() {
            let figures = (side.run)(iterations[index]);
            assert_eq!(figures.len(), row.figures.len(), "{} of {}", side.name, row.name);
            taken[index].push(figures);
        }
    }
    let series = |side: usize, figure: usize| taken[side].iter().map(move |sample| sample[figure]);
    let mut lines = Vec::new();
    for (index, figure) in row.figures.iter().enumerate() {
        let coop = Spread::of(series(0, index).collect());
        let line = |peer| Line { row: row.name, figure, coop, peer };
        if sides.len() == 1 {
            lines.push(line(None));
        }
        for (side, peer) in sides.iter().enumerate().skip(1) {
            let ratios = series(0, index).zip(series(side, index)).map(|(ours, theirs)| ours / theirs).collect();
            lines.push(line(Some((peer.name, Spread::of(series(side, index).collect()), Spread::of(ratios)))));
        }
    }
    lines
}

/// How many iterations make a sample of `length`. Warms up, too.
fn calibrate(side: &mut Side, length: Duration) -> u64 {
    let length = length.as_nanos() as f64;
    let mut iterations = 256u64;
    loop {
        let each = (side.run)(iterations)[0].max(0.01);
        let fitting = (length / each) as u64;
        if fitting <= iterations * 4 {
            return fitting.max(16);
        }
        iterations = fitting.min(iterations * 16);
    }
}
