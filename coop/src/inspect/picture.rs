//! A picture of the latest part of a trace, as SVG: for each Cooperator the tasks that ran most, a line each.

use super::chrome::{Slice, What, lives};
use super::text::Html;
use super::timeline::{Event, Trace, TraceTrack};
use std::fmt::Write;

/// Lines of each Cooperator, apart from that of its loop.
const LINES: usize = 10;
const LABEL: usize = 170;
const WIDTH: usize = 1000;
const HEIGHT: usize = 20;

/// What a stretch of a line shows; of several in one place the first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Colour {
    Runs,
    Ready,
    Kernel,
    Waits,
    Nothing,
}

impl Colour {
    fn class(self) -> &'static str {
        match self {
            Colour::Runs => "run",
            Colour::Ready => "rdy",
            Colour::Kernel => "kernel",
            Colour::Waits | Colour::Nothing => "wait",
        }
    }
}

/// One line: the colours of its columns. However many slices there are, it has no more parts than columns.
struct Line<'a> {
    columns: Vec<Colour>,
    begin: u64,
    span: u64,
    title: &'a str,
}

impl<'a> Line<'a> {
    fn new(title: &'a str, begin: u64, span: u64) -> Self {
        Line { columns: vec![Colour::Nothing; WIDTH], begin, span, title }
    }

    fn add(&mut self, begin: u64, end: u64, colour: Colour) {
        if end < self.begin {
            return;
        }
        let column = |time: u64| {
            let from = u128::from(time.saturating_sub(self.begin).min(self.span));
            (from * (WIDTH as u128 - 1) / u128::from(self.span)) as usize
        };
        for place in &mut self.columns[column(begin)..=column(end)] {
            *place = colour.min(*place);
        }
    }

    fn draw(&self, svg: &mut String, y: usize) {
        let _ = write!(svg, "<text x=\"0\" y=\"{}\">{}</text>", y + 14, Html(&shortened(self.title)));
        let mut from = 0;
        while from < WIDTH {
            let colour = self.columns[from];
            let to = self.columns[from..].iter().position(|other| *other != colour).map_or(WIDTH, |len| from + len);
            if colour != Colour::Nothing {
                let (top, height) = if colour == Colour::Waits { (y + 9, 3) } else { (y + 4, 13) };
                let _ = write!(
                    svg,
                    "<rect class=\"{}\" x=\"{}\" y=\"{top}\" width=\"{}\" height=\"{height}\"/>",
                    colour.class(),
                    LABEL + from,
                    to - from
                );
            }
            from = to;
        }
    }
}

fn shortened(text: &str) -> String {
    const MOST: usize = 24;
    match text.chars().count() {
        count if count > MOST => text.chars().take(MOST - 1).chain(['…']).collect(),
        _ => text.to_owned(),
    }
}

impl Trace {
    /// The last `span` nanoseconds as SVG, to stand in HTML.
    pub(super) fn picture(&self, span: u64) -> String {
        let over = self.tracks.iter().flat_map(|track| &track.events).map(Event::end).max().unwrap_or(0);
        let begin = over.saturating_sub(span);
        let mut svg = String::new();
        let mut y = 0;
        for track in &self.tracks {
            y = draw_track(&mut svg, track, begin, span, y);
        }
        let (width, height) = (LABEL + WIDTH, y + 18);
        let mut scale = String::new();
        for tenth in [0, 25, 50, 75, 100] {
            let x = LABEL + WIDTH * tenth / 100;
            let anchor = ["start", "middle", "end"][usize::from(tenth > 0) + usize::from(tenth == 100)];
            let _ = write!(
                scale,
                "<text class=\"dim\" x=\"{x}\" y=\"{}\" text-anchor=\"{anchor}\">{:.0} ms</text>",
                height - 3,
                span as f64 * tenth as f64 / 1e8
            );
        }
        format!("<svg viewBox=\"0 0 {width} {height}\" role=\"img\" aria-label=\"timeline\">{svg}{scale}</svg>")
    }
}

/// Draws one Cooperator's lines from `y` on; returns where they end.
fn draw_track(svg: &mut String, track: &TraceTrack, begin: u64, span: u64, mut y: usize) -> usize {
    let title = format!("Cooperator {}", track.name);
    let _ = write!(svg, "<text class=\"dim\" x=\"0\" y=\"{}\">{}</text>", y + 14, Html(&title));
    y += HEIGHT;
    let mut kernel = Line::new("in the kernel", begin, span);
    for event in &track.events {
        if let Event::Entered { begin, end } = *event {
            kernel.add(begin, end, Colour::Kernel);
        }
    }
    kernel.draw(svg, y);
    y += HEIGHT;
    let ran = |slices: &[Slice]| -> u64 {
        let running = slices.iter().filter(|slice| matches!(slice.what, What::Runs) && slice.end >= begin);
        running.map(|slice| slice.end - slice.begin.max(begin)).sum()
    };
    let lives = lives(track);
    let mut busiest: Vec<(u64, u64)> = lives.iter().map(|(task, life)| (ran(&life.slices), *task)).collect();
    busiest.sort_unstable_by(|a, b| b.cmp(a));
    for (_, task) in busiest.iter().filter(|(time, _)| *time != 0).take(LINES) {
        let life = &lives[task];
        let title = format!("{} #{task}", life.name);
        let mut line = Line::new(&title, begin, span);
        for slice in &life.slices {
            let colour = match slice.what {
                What::Runs => Colour::Runs,
                What::Ready => Colour::Ready,
                What::Waits(..) => Colour::Waits,
            };
            line.add(slice.begin, slice.end, colour);
        }
        line.draw(svg, y);
        y += HEIGHT;
    }
    y + 6
}
