//! The tables: Markdown that reads well as text.

use crate::harness::{Bar, Kind, Measured, Other, Spread, Unit};

/// Everything a run has to say: each figure against the best of the others, what holds for several rows, and all sides.
pub fn tables(measured: &[Measured], means: &[Mean]) -> String {
    let mut text = summary(measured);
    let means: String = means.iter().filter_map(|mean| mean.sentence(measured)).collect();
    if !means.is_empty() {
        text += &format!("\n{means}");
    }
    text + "\nAll sides:\n\n" + &details(measured)
}

/// A bar for the geometric mean over several rows.
pub struct Mean {
    /// What the rows' names begin with.
    pub rows: &'static str,
    pub figure: &'static str,
    pub bar: Bar,
}

impl Mean {
    /// None unless the rows were measured.
    fn sentence(&self, measured: &[Measured]) -> Option<String> {
        let rows = measured.iter().filter(|one| one.row.starts_with(self.rows) && one.figure.name == self.figure);
        let against: Vec<_> = rows.filter_map(|one| one.against(self.bar)).collect();
        let most = against.first()?.0;
        let mean = (against.iter().map(|(_, ratio, _)| ratio.ln()).sum::<f64>() / against.len() as f64).exp();
        let verdict = verdict(mean, most);
        let (rows, figure, name) = (self.rows, self.figure, name(self.bar));
        Some(format!(
            "`{rows}…`, {figure}: {mean:.2} × {name} in the geometric mean of {}; bar ≤ {most}: {verdict}\n",
            against.len()
        ))
    }
}

fn verdict(value: f64, most: f64) -> &'static str {
    if value <= most { "met" } else { "**NOT met**" }
}

fn name(bar: Bar) -> &'static str {
    match bar {
        Bar::Fixed(_) => "",
        Bar::OfBestPeer(_) => "the best peer",
        Bar::OfLimit(_) => "the limit",
    }
}

/// A line for each figure.
fn summary(measured: &[Measured]) -> String {
    let head = ["row", "figure", "coop", "limit", "coop / limit", "best peer", "its figure", "coop / best", "bar"];
    let mut cells = vec![head.map(str::to_owned).to_vec()];
    let mut previous = "";
    for one in measured {
        let unit = one.figure.unit;
        let of = |other: Option<&Other>, say: fn(&Other, Unit) -> String| {
            other.map_or(String::new(), |other| say(other, unit))
        };
        let (limit, best) = (one.best(Kind::Limit), one.best(Kind::Peer));
        let bars: Vec<String> = one.figure.bars.iter().map(|bar| said(one, *bar)).collect();
        cells.push(vec![
            if previous == one.row { String::new() } else { one.row.to_owned() },
            one.figure.name.to_owned(),
            figure(one.coop, unit),
            of(limit, |limit, unit| unit.show(limit.own.median)),
            of(limit, |limit, _| ratio(limit.ratio)),
            of(best, |best, _| best.name.to_owned()),
            of(best, |best, unit| unit.show(best.own.median)),
            of(best, |best, _| ratio(best.ratio)),
            bars.join("; "),
        ]);
        previous = one.row;
    }
    aligned(&cells)
}

/// A bar, and whether it is met.
fn said(one: &Measured, bar: Bar) -> String {
    match (bar, one.against(bar)) {
        (Bar::Fixed(most), _) => format!("≤ {}: {}", one.figure.unit.show(most), verdict(one.coop.median, most)),
        (_, Some((most, ratio, _))) => format!("≤ {most} × {}: {}", name(bar), verdict(ratio, most)),
        (_, None) => String::new(),
    }
}

/// A line for each side of each figure.
fn details(measured: &[Measured]) -> String {
    let mut cells = vec![["row", "figure", "coop", "beside it", "its figure", "coop / it"].map(str::to_owned).to_vec()];
    let mut previous = "";
    for one in measured {
        let unit = one.figure.unit;
        let mut own = Some(vec![
            if previous == one.row { String::new() } else { one.row.to_owned() },
            one.figure.name.to_owned(),
            figure(one.coop, unit),
        ]);
        // What is the same for several others is said once.
        let mut line = |rest: [String; 3]| {
            let mut line = own.take().unwrap_or(vec![String::new(); 3]);
            line.extend(rest);
            cells.push(line);
        };
        for other in &one.others {
            let name = match other.kind {
                Kind::Limit => format!("*limit:* {}", other.name),
                Kind::Aside => format!("({})", other.name),
                Kind::Coop | Kind::Peer => other.name.to_owned(),
            };
            line([name, figure(other.own, unit), ratio(other.ratio)]);
        }
        if one.others.is_empty() {
            line([const { String::new() }; 3]);
        }
        previous = one.row;
    }
    aligned(&cells)
}

fn figure(spread: Spread, unit: Unit) -> String {
    format!("{} ±{:.0} %", unit.show(spread.median), spread.percent())
}

/// Nothing is said where the peer needs nothing, and no decimals where they say nothing.
fn ratio(ratio: Spread) -> String {
    match ratio.median {
        median if !median.is_finite() => String::new(),
        median if median >= 20.0 => format!("{median:.0}"),
        median if ratio.low == ratio.high => format!("{median:.2}"),
        median => format!("{median:.2} ({:.2}–{:.2})", ratio.low, ratio.high),
    }
}

/// Cells as a table whose columns are as wide as what is in them. The first row is the head.
pub fn aligned(cells: &[Vec<String>]) -> String {
    let width = |column: usize| cells.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..cells[0].len()).map(width).collect();
    let mut text = String::new();
    for (index, row) in cells.iter().enumerate() {
        let padded: Vec<String> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        text += &format!("| {} |\n", padded.join(" | "));
        if index == 0 {
            let rule: Vec<String> = widths.iter().map(|width| "-".repeat(*width)).collect();
            text += &format!("| {} |\n", rule.join(" | "));
        }
    }
    text
}
