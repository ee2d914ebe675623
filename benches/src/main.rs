//! Compares coop with its peers, in one process and one run: `cargo bench -p benches`. See the README beside this.

mod bare;
mod harness;
mod origin;
mod peers;
mod plot;
mod report;
mod sys;

mod channel;
mod echo;
mod files;
mod handover;
mod kill;
mod parked;
mod select;
mod sleep;
mod spawn;
mod switch;
mod timeout;
mod unix;
mod yielding;

use harness::{Bar, Plan, Row};
use report::Mean;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

const ROWS: [&[Row]; 13] = [
    switch::ROWS,
    yielding::ROWS,
    spawn::ROWS,
    handover::ROWS,
    channel::ROWS,
    select::ROWS,
    timeout::ROWS,
    sleep::ROWS,
    unix::ROWS,
    echo::ROWS,
    files::ROWS,
    kill::ROWS,
    parked::ROWS,
];

/// Bars that hold for several rows together.
const MEANS: &[Mean] = &[Mean { rows: "echo-", figure: "server CPU", bar: Bar::OfLimit(1.05) }];

const USAGE: &str = "cargo bench -p benches -- [--quick] [--list] [--alone] [--samples N]
                            [--markdown FILE] [--svg FILE] [ROW…]

  ROW              rows whose name contains this; all but those marked `by name only` if none is given
  --quick          see in a few seconds that every row runs and delivers the right results
  --alone          coop without its peers, for a profiler
  --samples N      samples a side, 15 unless said otherwise; rows of a fixed amount have their own number
  --markdown FILE  write the tables there, too; a full run writes them to benches/results/table.md unless told otherwise
  --svg FILE       draw the ratios there; a full run draws them in benches/results/plot.svg unless told otherwise
  --list           say what the rows measure";

struct Options {
    plan: Plan,
    markdown: Option<PathBuf>,
    svg: Option<PathBuf>,
    lists: bool,
    wanted: Vec<String>,
}

impl Options {
    fn parse(arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut arguments = arguments.peekable();
        let mut options = Options { plan: Plan::FULL, markdown: None, svg: None, lists: false, wanted: Vec::new() };
        // `cargo bench` passes `--bench`. Without it this is a test run, which wants to know whether, not how fast.
        let (mut is_quick, mut is_bench, mut is_alone, mut samples) = (false, false, false, None);
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().ok_or_else(|| format!("{argument} needs a value"));
            match argument.as_str() {
                "--bench" => is_bench = true,
                "--quick" => is_quick = true,
                "--alone" => is_alone = true,
                "--list" => options.lists = true,
                "--markdown" => options.markdown = Some(value()?.into()),
                "--svg" => options.svg = Some(value()?.into()),
                "--samples" => samples = Some(value()?.parse::<usize>().map_err(|error| error.to_string())?.max(1)),
                _ if argument.starts_with('-') => return Err(format!("unknown option {argument}")),
                _ => options.wanted.push(argument),
            }
        }
        if is_quick || !is_bench {
            options.plan = Plan::QUICK;
        }
        options.plan.is_alone = is_alone;
        options.plan.samples = samples.unwrap_or(options.plan.samples);
        // What everybody reads comes from a run of everything, in earnest.
        if !options.plan.is_quick
            && !is_alone
            && options.wanted.is_empty()
            && options.plan.samples >= Plan::FULL.samples
        {
            let results = Path::new(env!("CARGO_MANIFEST_DIR")).join("results");
            options.markdown.get_or_insert(results.join("table.md"));
            options.svg.get_or_insert(results.join("plot.svg"));
        }
        Ok(options)
    }

    fn wants(&self, row: &Row) -> bool {
        match self.wanted.is_empty() {
            true => !row.only_by_name,
            false if row.only_by_name => self.wanted.iter().any(|name| name == row.name),
            false => self.wanted.iter().any(|name| row.name.contains(name)),
        }
    }
}

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    if arguments.next().as_deref() == Some(parked::CHILD) {
        return parked::child(arguments);
    }
    let options = match Options::parse(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(error) => {
            eprintln!("{error}\n\n{USAGE}");
            return ExitCode::FAILURE;
        }
    };
    let rows: Vec<&Row> = ROWS.into_iter().flatten().collect();
    if options.lists {
        for row in rows {
            println!("{:<18} {}{}", row.name, row.measures, if row.only_by_name { " (by name only)" } else { "" });
        }
        return ExitCode::SUCCESS;
    }
    sys::pin(sys::Core::Measured);
    let wanted: Vec<&Row> = rows.into_iter().filter(|row| options.wants(row)).collect();
    let (mut measured, mut failed) = (Vec::new(), Vec::new());
    for row in &wanted {
        eprintln!("{}: {}", row.name, row.measures);
        // One row that is wrong is no reason not to know about the others.
        match catch_unwind(AssertUnwindSafe(|| harness::measure(row, options.plan))) {
            Ok(figures) => measured.extend(figures),
            Err(_) => failed.push(row.name),
        }
    }
    let tables = report::tables(&measured, MEANS);
    println!("\n{tables}");
    let markdown = || format!("{}\n{tables}", origin::paragraph(options.plan));
    let mut files: Vec<(&Option<PathBuf>, Box<dyn Fn() -> String + '_>)> = Vec::new();
    files.push((&options.markdown, Box::new(markdown)));
    files.push((&options.svg, Box::new(|| plot::ratios(&measured))));
    for (file, text) in files {
        if let Some(file) = file.as_ref().filter(|_| failed.is_empty())
            && let Err(error) = std::fs::write(file, text())
        {
            eprintln!("cannot write {}: {error}", file.display());
            return ExitCode::FAILURE;
        }
    }
    if wanted.is_empty() {
        eprintln!("no row has such a name; --list lists them");
        return ExitCode::FAILURE;
    }
    if !failed.is_empty() {
        eprintln!("FAILED: {}", failed.join(", "));
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}
