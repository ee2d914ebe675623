//! The picture: what everybody else needs, in units of what coop needs, on a logarithmic axis.
//!
//! ```text
//!             coop                                                   a line a row: a bar from coop to the best peer,
//!   yield-2    │████████████●       ●      ●●          ●             a dot for every peer, a tick for the limit,
//!   switch    ▏●                                                     and a ▷ where the best peer must be for the bar
//!            0.5   1    2    5    10     100
//! ```

use crate::harness::{Bar, Kind, Measured};
use std::fmt::Write;

const WIDTH: f64 = 960.0;
const LEFT: f64 = 190.0;
const RIGHT: f64 = 230.0;
const LINE: f64 = 24.0;
/// Peers keep their colour from row to row. Told apart by people who see no red or no green, too.
const COLOURS: &[(&str, &str)] = &[
    ("tokio", "#0072b2"),
    ("monoio", "#e69f00"),
    ("glommio", "#cc79a7"),
    ("compio", "#56b4e9"),
    ("smol", "#7b3294"),
    ("may", "#d55e00"),
    ("corosensei", "#8c6d31"),
    ("generator", "#b3b300"),
    ("threads", "#777777"),
];

/// The colour of a peer, by the first word of its name, and the name that stands for it in the legend.
fn colour(name: &str) -> (&str, &'static str) {
    let base = name.split([',', ' ']).next().unwrap_or(name);
    (base, COLOURS.iter().find(|(known, _)| *known == base).map_or("#222222", |(_, colour)| colour))
}

/// The first figure of each row that has somebody to compare coop with.
pub fn ratios(measured: &[Measured]) -> String {
    let mut rows: Vec<&Measured> = Vec::new();
    for one in measured.iter().filter(|one| !one.others.is_empty()) {
        if rows.last().is_none_or(|last| last.row != one.row) {
            rows.push(one);
        }
    }
    let shown = |one: &Measured| -> Vec<(f64, String, Kind)> {
        let others = one.others.iter().filter(|other| other.ratio.median.is_finite() && other.ratio.median > 0.0);
        others.map(|other| (1.0 / other.ratio.median, other.name.to_owned(), other.kind)).collect()
    };
    let all: Vec<f64> = rows.iter().flat_map(|one| shown(one)).map(|(cost, ..)| cost).collect();
    let least = all.iter().fold(0.5_f64, |least, cost| least.min(*cost)) / 1.1;
    let most = all.iter().fold(10.0_f64, |most, cost| most.max(*cost)) * 1.2;
    let x = |cost: f64| LEFT + (cost / least).ln() / (most / least).ln() * (WIDTH - LEFT - RIGHT);
    let top = 84.0;
    let bottom = top + LINE * rows.len() as f64;
    let mut svg = Svg::new(WIDTH, bottom + 40.0);
    svg.text(16.0, 24.0, "start", 15, "#222222", "What others need where coop needs 1");
    svg.text(
        16.0,
        42.0,
        "start",
        11,
        "#666666",
        "median of ratios within a round; right is more than coop, left is less",
    );

    // The legend: who there is, in the order of the colours.
    let mut at = 16.0;
    for (known, colour) in COLOURS {
        if rows.iter().any(|one| one.others.iter().any(|other| self::colour(other.name).0 == *known)) {
            svg.dot(at + 4.0, 58.0, 4.0, colour, true);
            svg.text(at + 12.0, 62.0, "start", 11, "#222222", known);
            at += 24.0 + 6.2 * known.len() as f64;
        }
    }
    svg.dot(at + 4.0, 58.0, 3.5, "#222222", false);
    svg.text(at + 12.0, 62.0, "start", 11, "#222222", "does less");
    svg.line((at + 76.0, 52.0), (at + 76.0, 64.0), "#222222", 2.5);
    svg.text(at + 82.0, 62.0, "start", 11, "#222222", "limit");
    svg.triangle(at + 118.0, 58.0, "#222222");
    svg.text(at + 126.0, 62.0, "start", 11, "#222222", "bar for the best");

    for cost in decades(least, most) {
        let is_coop = cost == 1.0;
        svg.line(
            (x(cost), top - 6.0),
            (x(cost), bottom),
            if is_coop { "#222222" } else { "#dddddd" },
            if is_coop { 1.5 } else { 1.0 },
        );
        let label = if is_coop { "coop".to_owned() } else { cost.to_string() };
        svg.text(x(cost), bottom + 16.0, "middle", 11, "#444444", &label);
    }
    for (index, one) in rows.iter().enumerate() {
        let y = top + LINE * (index as f64 + 0.5);
        svg.text(LEFT - 66.0, y + 4.0, "end", 12, "#222222", one.row);
        svg.text(LEFT - 8.0, y + 4.0, "end", 11, "#666666", &one.figure.unit.show(one.coop.median));
        let bars = one.figure.bars.iter().filter(|bar| !matches!(bar, Bar::Fixed(_)));
        let against: Vec<(f64, f64)> =
            bars.filter_map(|bar| one.against(*bar)).map(|(most, ratio, _)| (most, ratio)).collect();
        let against_a_figure = one.figure.bars.iter().filter(|bar| matches!(bar, Bar::Fixed(_)));
        let against_a_figure = against_a_figure.filter_map(|bar| one.against(*bar)).map(|(most, own, _)| (most, own));
        let all: Vec<(f64, f64)> = against.iter().copied().chain(against_a_figure).collect();
        let is_met = all.iter().all(|(most, ratio)| ratio <= most);
        if let Some(best) = one.best(Kind::Peer) {
            let fill = match (all.is_empty(), is_met) {
                (true, _) => "#dddddd",
                (false, true) => "#b7dfc0",
                (false, false) => "#f3c6b0",
            };
            let (from, to) = (x(1.0).min(x(1.0 / best.ratio.median)), x(1.0).max(x(1.0 / best.ratio.median)));
            svg.rect(from, y - 6.0, (to - from).max(1.0), 12.0, fill);
        }
        for (cost, name, kind) in shown(one) {
            let colour = colour(&name).1;
            match kind {
                Kind::Limit => svg.line((x(cost), y - 8.0), (x(cost), y + 8.0), "#222222", 2.5),
                Kind::Aside => svg.dot(x(cost), y, 3.5, colour, false),
                Kind::Coop | Kind::Peer => svg.dot(x(cost), y, 4.0, colour, true),
            }
        }
        for (most, _) in &against {
            svg.triangle(x(1.0 / most), y, "#222222");
        }
        let verdict = match (all.is_empty(), is_met) {
            (true, _) => "",
            (false, true) => "met",
            (false, false) => "NOT met",
        };
        let best = one
            .best(Kind::Peer)
            .map_or(String::new(), |best| format!("{} {:.2} × ", best.name, 1.0 / best.ratio.median));
        svg.text(WIDTH - RIGHT + 8.0, y + 4.0, "start", 11, "#222222", &best);
        svg.text(WIDTH - 12.0, y + 4.0, "end", 11, if is_met { "#2e7d32" } else { "#c0392b" }, verdict);
    }
    svg.done()
}

/// 1, 2 and 5 of each power of ten in a range.
pub fn decades(least: f64, most: f64) -> Vec<f64> {
    let powers = (least.log10().floor() as i32)..=(most.log10().ceil() as i32);
    let all = powers.flat_map(|power| [1.0, 2.0, 5.0].map(|step| step * 10f64.powi(power)));
    let wide = most / least > 1e4;
    all.filter(|mark| (least..=most).contains(mark) && (!wide || mark.log10().fract().abs() < 1e-9)).collect()
}

/// An SVG as it is written.
pub struct Svg(String);

impl Svg {
    pub fn new(width: f64, height: f64) -> Self {
        Svg(format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.0} {height:.0}\" width=\"{width:.0}\" \
             height=\"{height:.0}\" font-family=\"DejaVu Sans, Verdana, sans-serif\">\n\
             <rect width=\"100%\" height=\"100%\" rx=\"6\" fill=\"#ffffff\"/>\n"
        ))
    }

    fn element(&mut self, element: std::fmt::Arguments) {
        self.0.write_fmt(element).expect("a string takes everything");
        self.0.push('\n');
    }

    pub fn text(&mut self, x: f64, y: f64, anchor: &str, size: u32, colour: &str, text: &str) {
        let text = text.replace('&', "&amp;").replace('<', "&lt;");
        self.element(format_args!(
            "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\" font-size=\"{size}\" fill=\"{colour}\">{text}</text>"
        ));
    }

    pub fn line(&mut self, from: (f64, f64), to: (f64, f64), colour: &str, width: f64) {
        let ((x1, y1), (x2, y2)) = (from, to);
        self.element(format_args!(
            "<line x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\" stroke=\"{colour}\" stroke-width=\"{width}\"/>"
        ));
    }

    pub fn rect(&mut self, x: f64, y: f64, width: f64, height: f64, fill: &str) {
        self.element(format_args!(
            "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" fill=\"{fill}\"/>"
        ));
    }

    pub fn dot(&mut self, x: f64, y: f64, radius: f64, colour: &str, is_filled: bool) {
        let fill = if is_filled { colour } else { "#ffffff" };
        self.element(format_args!(
            "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{radius}\" fill=\"{fill}\" stroke=\"{colour}\" stroke-width=\"1.5\"/>"
        ));
    }

    /// ▷, its tip's middle at `x`.
    pub fn triangle(&mut self, x: f64, y: f64, colour: &str) {
        let (left, upper, lower) = (x - 3.0, y - 5.0, y + 5.0);
        self.element(format_args!(
            "<path d=\"M{left:.1} {upper:.1} L{:.1} {y:.1} L{left:.1} {lower:.1} Z\" fill=\"none\" stroke=\"{colour}\"/>",
            x + 4.0
        ));
    }

    pub fn path(&mut self, points: &[(f64, f64)], colour: &str, width: f64) {
        let points: Vec<String> = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        self.element(format_args!(
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"{width}\"/>",
            points.join(" ")
        ));
    }

    pub fn done(mut self) -> String {
        self.0 += "</svg>\n";
        self.0
    }
}
