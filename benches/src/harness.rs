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
    pub bars: &'static [Bar],
}

impl Figure {
    pub const fn new(name: &'static str, unit: Unit) -> Self {
        Figure { name, unit, bars: &[] }
    }

    pub const fn within(self, bars: &'static [Bar]) -> Self {
        Figure { bars, ..self }
    }
}

/// What a figure of coop's is held against. The others are those of the same run.
#[derive(Clone, Copy)]
pub enum Bar {
    /// So much, in the figure's unit.
    Fixed(f64),
    /// So many times the figure of the best peer.
    OfBestPeer(f64),
    /// So many times the figure of the best limit.
    OfLimit(f64),
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

/// Who does it.
pub struct Side {
    pub name: &'static str,
    pub kind: Kind,
    run: Box<dyn FnMut(u64) -> Vec<f64>>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    Coop,
    /// A runtime, or a library, that its users have in coop's place. The best of a row is its bar's measure.
    Peer,
    /// A hand-written loop that does this one thing and nothing else.
    Limit,
    /// Shown, and no measure: it does less than a peer, or cannot do all of it.
    Aside,
}

impl Side {
    /// coop, if that is the name, or a peer. `run` does a number of iterations, sees that their results are right, and gives
    /// the row's figures.
    pub fn new(name: &'static str, run: impl FnMut(u64) -> Vec<f64> + 'static) -> Self {
        Side { name, kind: if name == "coop" { Kind::Coop } else { Kind::Peer }, run: Box::new(run) }
    }

    pub fn limit(name: &'static str, run: impl FnMut(u64) -> Vec<f64> + 'static) -> Self {
        Side { kind: Kind::Limit, ..Side::new(name, run) }
    }

    pub fn aside(name: &'static str, run: impl FnMut(u64) -> Vec<f64> + 'static) -> Self {
        Side { kind: Kind::Aside, ..Side::new(name, run) }
    }

    /// One sample.
    pub fn run(&mut self, n: u64) -> Vec<f64> {
        (self.run)(n)
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

    /// CPU time of all threads, for what is done by several.
    pub fn of_process() -> Self {
        let clock = CpuClock::OF_PROCESS;
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
#[derive(Clone)]
pub struct Plan {
    pub sample: Duration,
    pub samples: usize,
    pub is_quick: bool,
    /// Coop without its peers, for a profiler.
    pub is_alone: bool,
    /// Coop beside only those whose names begin so, unless empty.
    pub against: Vec<String>,
}

impl Plan {
    pub const FULL: Plan =
        Plan { sample: Duration::from_millis(30), samples: 15, is_quick: false, is_alone: false, against: Vec::new() };
    pub const QUICK: Plan =
        Plan { sample: Duration::from_millis(2), samples: 3, is_quick: true, is_alone: false, against: Vec::new() };
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

/// One figure of a row: coop's, and everybody's.
pub struct Measured {
    pub row: &'static str,
    pub figure: &'static Figure,
    pub coop: Spread,
    pub others: Vec<Other>,
}

pub struct Other {
    pub name: &'static str,
    pub kind: Kind,
    pub own: Spread,
    /// Coop's in relation to it.
    pub ratio: Spread,
}

impl Measured {
    /// The one of a kind that needs least.
    pub fn best(&self, kind: Kind) -> Option<&Other> {
        let those = self.others.iter().filter(|other| other.kind == kind && other.own.median > 0.0);
        those.min_by(|one, other| one.own.median.total_cmp(&other.own.median))
    }

    /// What there is to say about a bar: what coop's figure should not exceed, what it is, and in relation to whom. None where
    /// the run had nobody to relate it to.
    pub fn against(&self, bar: Bar) -> Option<(f64, f64, Option<&Other>)> {
        let (most, other) = match bar {
            Bar::Fixed(most) => return Some((most, self.coop.median, None)),
            Bar::OfBestPeer(most) => (most, self.best(Kind::Peer)?),
            Bar::OfLimit(most) => (most, self.best(Kind::Limit)?),
        };
        Some((most, other.ratio.median, Some(other)))
    }
}

/// Measures a row.
pub fn measure(row: &Row, plan: &Plan) -> Vec<Measured> {
    let mut sides = (row.sides)();
    assert_eq!(sides[0].kind, Kind::Coop, "{}", row.name);
    if plan.is_alone {
        sides.truncate(1);
    }
    if !plan.against.is_empty() {
        let is_wanted = |side: &Side| plan.against.iter().any(|name| side.name.starts_with(name.as_str()));
        sides.retain(|side| side.kind == Kind::Coop || is_wanted(side));
    }
    let (iterations, samples) = match row.amount {
        Amount::Calibrated => {
            (sides.iter_mut().map(|side| calibrate(side, plan.sample)).collect::<Vec<_>>(), plan.samples)
        }
        Amount::Fixed { quick, .. } if plan.is_quick => (vec![quick; sides.len()], 1),
        Amount::Fixed { full, samples, .. } => (vec![full; sides.len()], samples),
    };
    // taken[side][round][figure]
    let mut taken: Vec<Vec<Vec<f64>>> = sides.iter().map(|_| Vec::new()).collect();
    for _ in 0..samples {
        for (index, side) in sides.iter_mut().enumerate() {
            let figures = side.run(iterations[index]);
            assert_eq!(figures.len(), row.figures.len(), "{} of {}", side.name, row.name);
            taken[index].push(figures);
        }
    }
    let series = |side: usize, figure: usize| taken[side].iter().map(move |sample| sample[figure]);
    let figures = row.figures.iter().enumerate();
    let measured = figures.map(|(index, figure)| {
        let others = sides.iter().enumerate().skip(1).map(|(side, Side { name, kind, .. })| {
            let ratios = series(0, index).zip(series(side, index)).map(|(ours, theirs)| ours / theirs).collect();
            Other { name, kind: *kind, own: Spread::of(series(side, index).collect()), ratio: Spread::of(ratios) }
        });
        Measured { row: row.name, figure, coop: Spread::of(series(0, index).collect()), others: others.collect() }
    });
    measured.collect()
}

/// How many iterations make a sample of `length`. Warms up, too.
fn calibrate(side: &mut Side, length: Duration) -> u64 {
    let length = length.as_nanos() as f64;
    let mut iterations = 256u64;
    loop {
        let each = side.run(iterations)[0].max(0.01);
        let fitting = (length / each) as u64;
        if fitting <= iterations * 4 {
            return fitting.max(16);
        }
        iterations = fitting.min(iterations * 16);
    }
}
