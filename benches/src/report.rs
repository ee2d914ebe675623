//! The table: Markdown that reads well as text.

use crate::harness::{Line, Spread};

const HEAD: [&str; 7] = ["row", "figure", "coop", "peer", "its figure", "coop / peer", "bar"];

pub fn table(lines: &[Line]) -> String {
    let mut cells: Vec<[String; 7]> = vec![HEAD.map(str::to_owned)];
    let mut previous = ("", "");
    for line in lines {
        let unit = line.figure.unit;
        let spread = |spread: Spread| format!("{} ±{:.0} %", unit.show(spread.median), spread.percent());
        let bar = line.figure.bar.map(|bar| {
            let verdict = if line.coop.median <= bar { "met" } else { "missed" };
            format!("≤ {}: {verdict}", unit.show(bar))
        });
        let (peer, theirs, ratio) = match line.peer {
            Some((peer, theirs, ratio)) => (peer.to_owned(), spread(theirs), ratio_of(ratio)),
            None => Default::default(),
        };
        // What is the same for several peers is said once.
        let (row, figure) = (line.row, line.figure.name);
        let is_new = previous != (row, figure);
        let once = |text: String| if is_new { text } else { String::new() };
        cells.push([
            if previous.0 == row { String::new() } else { row.to_owned() },
            once(figure.to_owned()),
            once(spread(line.coop)),
            peer,
            theirs,
            ratio,
            once(bar.unwrap_or_default()),
        ]);
        previous = (row, figure);
    }
    let width = |column: usize| cells.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..HEAD.len()).map(width).collect();
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

/// Nothing is said where the peer needs nothing, and no decimals where they say nothing.
fn ratio_of(ratio: Spread) -> String {
    match ratio.median {
        median if !median.is_finite() => String::new(),
        median if median >= 20.0 => format!("{median:.0}"),
        median if ratio.low == ratio.high => format!("{median:.2}"),
        median => format!("{median:.2} ({:.2}–{:.2})", ratio.low, ratio.high),
    }
}
