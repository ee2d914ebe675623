//! What an operation costs among so many tasks, timers or connections: `--growth`. Coop alone; a figure is the median of several samples
//! in one go, since a million tasks take longer to spawn than to measure.

use crate::plot::{Svg, decades};
use crate::report::aligned;
use crate::sleep::sleep_once;
use crate::sys::{self, CpuClock};
use std::cell::{Cell, RefCell};
use std::io;
use std::time::Duration;

/// One line of the plot.
struct Curve {
    name: &'static str,
    measures: &'static str,
    colour: &'static str,
    /// Nanoseconds of CPU time of one operation among so many. None where the system does not let so many be.
    cost: fn(usize) -> Option<f64>,
    most: usize,
}

const CURVES: &[Curve] = &[
    Curve {
        name: "yield",
        measures: "n tasks give way in turn; a yield",
        colour: "#0072b2",
        cost: |n| Some(yielding(n)),
        most: 1_000_000,
    },
    Curve {
        name: "hand-over",
        measures: "n tasks in a ring hand a turn on, each by its own Coordinator; a hand-over",
        colour: "#e69f00",
        cost: |n| Some(handing_over(n)),
        most: 1_000_000,
    },
    Curve {
        name: "channel",
        measures: "n tasks in a ring send a number on, each by its own channel; a message",
        colour: "#cc79a7",
        cost: |n| Some(sending(n)),
        most: 1_000_000,
    },
    Curve {
        name: "timeout",
        measures: "one task sets and lifts a time limit while n others sleep",
        colour: "#56b4e9",
        cost: |n| Some(limiting(n)),
        most: 1_000_000,
    },
    Curve {
        name: "sleep",
        measures: "n tasks on warm stacks sleep until deadlines a microsecond apart, in any order; spawn, sleep, end",
        colour: "#d55e00",
        cost: |n| Some(median((0..3).map(|_| sleep_once(n as u64)[0]).collect())),
        most: 1_000_000,
    },
    Curve {
        name: "Unix ping-pong",
        measures: "n connections are asked one after the other; a byte to and fro",
        colour: "#555555",
        cost: connecting,
        most: 100_000,
    },
];

/// Samples of a point.
const SAMPLES: usize = 5;

/// Measures all curves; gives a table and a plot. A quick run goes no further than a thousand.
pub fn measure(is_quick: bool) -> (String, String) {
    let sizes: Vec<usize> = [1, 3].iter().flat_map(|step| (0..7).map(move |power| step * 10usize.pow(power))).collect();
    let mut sizes: Vec<usize> = sizes.into_iter().filter(|n| *n <= if is_quick { 1_000 } else { 1_000_000 }).collect();
    sizes.sort_unstable();
    let mut lines: Vec<Vec<Option<f64>>> = Vec::new();
    for curve in CURVES {
        eprintln!("{}: {}", curve.name, curve.measures);
        lines.push(sizes.iter().map(|n| if *n <= curve.most { (curve.cost)(*n) } else { None }).collect());
    }
    let mut head = vec!["n".to_owned()];
    head.extend(CURVES.iter().map(|curve| curve.name.to_owned()));
    let mut cells = vec![head];
    for (index, n) in sizes.iter().enumerate() {
        let mut row = vec![n.to_string()];
        row.extend(
            lines.iter().map(|line| line[index].map_or(String::new(), |each| crate::harness::Unit::Nanos.show(each))),
        );
        cells.push(row);
    }
    let mut table = aligned(&cells) + "\n";
    for curve in CURVES {
        table += &format!("* {}: {}\n", curve.name, curve.measures);
    }
    for (curve, line) in CURVES.iter().zip(&lines) {
        let at = |size: usize| sizes.iter().position(|n| *n == size).and_then(|index| line[index]);
        if let Some((few, many)) = at(10_000).zip(at(1_000_000)) {
            let bar = match (curve.name, many / few <= 1.5) {
                ("sleep", true) => "; bar < 1.5: met",
                ("sleep", false) => "; bar < 1.5: **NOT met**",
                _ => "",
            };
            table +=
                &format!("* {}: {:.2} times as much among 1,000,000 as among 10,000{bar}\n", curve.name, many / few);
        }
    }
    (table, plot(&sizes, &lines))
}

fn plot(sizes: &[usize], lines: &[Vec<Option<f64>>]) -> String {
    let (width, height, left, right, top, bottom) = (960.0, 460.0, 70.0, 150.0, 60.0, 50.0);
    let all = || lines.iter().flatten().flatten();
    let least = all().fold(f64::INFINITY, |least, each| least.min(*each)) / 1.3;
    let most = all().fold(0.0_f64, |most, each| most.max(*each)) * 1.3;
    let last = *sizes.last().expect("there are sizes") as f64;
    let x = |n: f64| left + n.ln() / last.ln() * (width - left - right);
    let y = |each: f64| height - bottom - (each / least).ln() / (most / least).ln() * (height - top - bottom);
    let mut svg = Svg::new(width, height);
    svg.text(16.0, 24.0, "start", 15, "#222222", "What an operation costs among n tasks, timers or connections");
    svg.text(16.0, 42.0, "start", 11, "#666666", "CPU time, both axes logarithmic; flat is what one wants");
    for mark in decades(least, most) {
        svg.line((left, y(mark)), (width - right, y(mark)), "#dddddd", 1.0);
        svg.text(
            left - 8.0,
            y(mark) + 4.0,
            "end",
            11,
            "#444444",
            &crate::harness::Unit::Nanos.show(mark).replace(".00", "").replace(".0", ""),
        );
    }
    for n in sizes.iter().filter(|n| n.to_string().starts_with('1')) {
        svg.line((x(*n as f64), top), (x(*n as f64), height - bottom), "#eeeeee", 1.0);
        svg.text(x(*n as f64), height - bottom + 18.0, "middle", 11, "#444444", &thousands(*n));
    }
    let mut ends = Vec::new();
    for (curve, line) in CURVES.iter().zip(lines) {
        let points = sizes.iter().zip(line).filter_map(|(n, each)| Some((x(*n as f64), y((*each)?))));
        let points: Vec<(f64, f64)> = points.collect();
        svg.path(&points, curve.colour, 2.0);
        for (x, y) in &points {
            svg.dot(*x, *y, 2.5, curve.colour, true);
        }
        ends.extend(points.last().map(|(x, y)| (*x, *y, curve)));
    }
    // Names beside the ends of their lines, from below, none over another.
    ends.sort_by(|one, other| other.1.total_cmp(&one.1));
    let mut below = f64::INFINITY;
    for (x, y, curve) in ends {
        let at = y.min(below - 13.0);
        svg.text(x + 8.0, at + 4.0, "start", 12, curve.colour, curve.name);
        below = if x > width - right - 1.0 { at } else { below };
    }
    svg.done()
}

fn thousands(n: usize) -> String {
    let digits = n.to_string();
    let groups: Vec<&str> =
        digits.as_bytes().rchunks(3).rev().map(|group| str::from_utf8(group).expect("digits")).collect();
    groups.join(",")
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// When each sample began, and the last one ended, by the thread's own clock.
struct Marks {
    clock: CpuClock,
    marks: RefCell<Vec<Duration>>,
    rounds: usize,
    n: usize,
}

impl Marks {
    /// A round is one operation of each of `n`.
    fn new(n: usize) -> Self {
        let rounds = (300_000 / n).max(1);
        Marks { clock: CpuClock::of_this_thread(), marks: RefCell::new(Vec::with_capacity(SAMPLES + 1)), rounds, n }
    }

    fn rounds(&self) -> usize {
        self.rounds * SAMPLES
    }

    /// Said by the first task before each round, and after the last.
    #[inline]
    fn before(&self, round: usize) {
        if round.is_multiple_of(self.rounds) {
            self.marks.borrow_mut().push(self.clock.now());
        }
    }

    fn each(&self) -> f64 {
        let marks = self.marks.borrow();
        assert_eq!(marks.len(), SAMPLES + 1);
        let operations = (self.rounds * self.n) as f64;
        median(marks.windows(2).map(|pair| (pair[1] - pair[0]).as_nanos() as f64 / operations).collect())
    }
}

/// Runs `body` as so many tasks, each with its number.
fn tasks(n: usize, body: impl Fn(usize) -> io::Result<()> + Copy) {
    coop::wait_all(|s| {
        for task in 0..n {
            s.spawn(move || body(task).expect("nobody kills"));
        }
    });
}

fn yielding(n: usize) -> f64 {
    coop::run(|| {
        let marks = Marks::new(n);
        tasks(n, |task| {
            coop::yield_now()?;
            for round in 0..marks.rounds() {
                if task == 0 {
                    marks.before(round);
                }
                coop::yield_now()?;
            }
            if task == 0 {
                marks.before(marks.rounds());
            }
            Ok(())
        });
        marks.each()
    })
}

fn handing_over(n: usize) -> f64 {
    coop::run(|| {
        let marks = Marks::new(n);
        let turns: Vec<coop::Coordinator> = (0..n).map(|_| coop::Coordinator::held()).collect();
        let handed = Cell::new(0);
        tasks(n, |task| {
            if task == n - 1 {
                turns[0].release();
            }
            for round in 0..marks.rounds() {
                turns[task].acquire()?.keep();
                handed.set(handed.get() + 1);
                if task == 0 {
                    marks.before(round);
                }
                turns[(task + 1) % n].release();
            }
            if task == 0 {
                turns[0].acquire()?.keep();
                marks.before(marks.rounds());
            }
            Ok(())
        });
        assert_eq!(handed.get(), n * marks.rounds());
        marks.each()
    })
}

fn sending(n: usize) -> f64 {
    coop::run(|| {
        let marks = Marks::new(n);
        let (senders, receivers): (Vec<_>, Vec<_>) = (0..n).map(|_| coop::chan::bounded(1)).unzip();
        let send =
            |to: usize, number: usize| senders[to].send(number).map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe));
        tasks(n, |task| {
            if task == n - 1 {
                send(0, 0)?;
            }
            for round in 0..marks.rounds() {
                let number = receivers[task].recv()?;
                assert_eq!(number, round * n + task);
                if task == 0 {
                    marks.before(round);
                }
                send((task + 1) % n, number + 1)?;
            }
            if task == 0 {
                receivers[0].recv()?;
                marks.before(marks.rounds());
            }
            Ok(())
        });
        marks.each()
    })
}

fn limiting(n: usize) -> f64 {
    coop::run(|| {
        let marks = Marks::new(1);
        coop::wait_all(|s| {
            for task in 0..n {
                // As far apart as connections' time limits are.
                let long = Duration::from_secs(3600) + Duration::from_micros((task * 7_919 % n) as u64);
                s.spawn(move || coop::sleep(long).is_err());
            }
            coop::yield_now().expect("nobody kills");
            for round in 0..=marks.rounds() {
                marks.before(round);
                coop::timeout(Duration::from_secs(30), || -> io::Result<()> { Ok(()) }).expect("in time");
            }
            s.kill();
        });
        marks.each()
    })
}

fn connecting(n: usize) -> Option<f64> {
    let descriptors = 2 * n as u64 + 200;
    if sys::raise_descriptors(descriptors) < descriptors {
        return None;
    }
    let mut marks = Marks::new(n);
    marks.rounds = (30_000 / n).max(1);
    let each = coop::run(|| -> io::Result<f64> {
        let pairs = (0..n).map(|_| coop::net::UnixStream::pair()).collect::<io::Result<Vec<_>>>()?;
        coop::scope(|s| -> io::Result<()> {
            for (_, theirs) in &pairs {
                s.try_spawn(|| -> io::Result<()> {
                    let mut byte = [0; 64];
                    while theirs.recv(&mut byte)? == 1 {
                        theirs.send_all(&byte[..1])?;
                    }
                    Ok(())
                });
            }
            let mut byte = [0; 64];
            for round in 0..=marks.rounds() {
                marks.before(round);
                for (ours, _) in &pairs {
                    ours.send_all(&[round as u8])?;
                    assert_eq!((ours.recv(&mut byte)?, byte[0]), (1, round as u8));
                }
            }
            for (ours, _) in &pairs {
                ours.shutdown(std::net::Shutdown::Write)?;
            }
            Ok(())
        })?;
        Ok(marks.each())
    });
    Some(each.expect("the pairs stay open"))
}
