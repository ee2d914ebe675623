//! Compares coop with its peers, in one process and one run: `cargo bench -p benches`. See the README beside this.

mod bare;
mod growth;
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
mod tree;
mod unix;
mod yielding;

use harness::{Bar, Plan, Row};
use report::Mean;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

const ROWS: [&[Row]; 14] = [
    switch::ROWS,
    yielding::ROWS,
    spawn::ROWS,
    handover::ROWS,
    channel::ROWS,
    select::ROWS,
    timeout::ROWS,
    sleep::ROWS,
    unix::ROWS,
    tree::ROWS,
    echo::ROWS,
    files::ROWS,
    kill::ROWS,
    parked::ROWS,
];

/// Bars that hold for several rows together.
const MEANS: &[Mean] = &[Mean { rows: "echo-", figure: "server CPU", bar: Bar::OfLimit(1.05) }];

const USAGE: &str = "cargo bench -p benches -- [--quick] [--list] [--alone] [--against PEER] [--samples N]
                            [--markdown FILE] [--svg FILE] [ROW…]

  ROW              rows whose name contains this; all but those marked `by name only` if none is given
  --quick          see in a few seconds that every row runs and delivers the right results
  --alone          coop without its peers, for a profiler
  --against PEER   beside coop only those whose names begin with this; may be said several times
  --samples N      samples a side, 15 unless said otherwise; rows of a fixed amount have their own number
  --markdown FILE  write the tables there, too; a full run writes them to benches/results/table.md unless told otherwise
  --svg FILE       draw the ratios there; a full run draws them in benches/results/plot.svg unless told otherwise
  --growth         instead of the rows: what coop's operations cost among 1 to 1,000,000 tasks, timers, connections
  --list           say what the rows measure";

/// The first argument of a run for `instructions.sh`, which counts: coop's side of a row, so many iterations, no clock's say.
const ITERATE: &str = "--iterate";

fn iterate(mut arguments: impl Iterator<Item = String>) -> ExitCode {
    let name = arguments.next();
    let row = ROWS.into_iter().flatten().find(|row| Some(row.name) == name.as_deref());
    let n = arguments.next().and_then(|n| n.parse().ok());
    let (Some(row), Some(n)) = (row, n) else { return ExitCode::FAILURE };
    (row.sides)()[0].run(n);
    ExitCode::SUCCESS
}

struct Options {
    plan: Plan,
    markdown: Option<PathBuf>,
    svg: Option<PathBuf>,
    lists: bool,
    grows: bool,
    wanted: Vec<String>,
}

impl Options {
    fn parse(arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut arguments = arguments.peekable();
        let mut options =
            Options { plan: Plan::FULL, markdown: None, svg: None, lists: false, grows: false, wanted: Vec::new() };
        // `cargo bench` passes `--bench`. Without it this is a test run, which wants to know whether, not how fast.
        let (mut is_quick, mut is_bench, mut is_alone, mut samples, mut against) =
            (false, false, false, None, Vec::new());
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().ok_or_else(|| format!("{argument} needs a value"));
            match argument.as_str() {
                "--bench" => is_bench = true,
                "--quick" => is_quick = true,
                "--alone" => is_alone = true,
                "--against" => against.push(value()?),
                "--growth" => options.grows = true,
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
        options.plan.against = against;
        options.plan.samples = samples.unwrap_or(options.plan.samples);
        // What everybody reads comes from a run of everything, in earnest.
        if !options.plan.is_quick
            && !is_alone
            && options.plan.against.is_empty()
            && options.wanted.is_empty()
            && options.plan.samples >= Plan::FULL.samples
        {
            let results = Path::new(env!("CARGO_MANIFEST_DIR")).join("results");
            let (table, plot) = if options.grows { ("growth.md", "growth.svg") } else { ("table.md", "plot.svg") };
            options.markdown.get_or_insert(results.join(table));
            options.svg.get_or_insert(results.join(plot));
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
    match arguments.next().as_deref() {
        Some(parked::CHILD) => return parked::child(arguments),
        Some(ITERATE) => return iterate(arguments),
        Some(echo::SERVE) => return echo::serve(arguments),
        Some(echo::ASK) => return echo::ask(arguments),
        _ => {}
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
    if options.grows {
        let (table, plot) = growth::measure(options.plan.is_quick);
        println!("\n{table}");
        return write(&[
            (&options.markdown, format!("{}\n{table}", origin::paragraph(&options.plan))),
            (&options.svg, plot),
        ]);
    }
    let wanted: Vec<&Row> = rows.into_iter().filter(|row| options.wants(row)).collect();
    let (mut measured, mut failed) = (Vec::new(), Vec::new());
    for row in &wanted {
        eprintln!("{}: {}", row.name, row.measures);
        // One row that is wrong is no reason not to know about the others.
        match catch_unwind(AssertUnwindSafe(|| harness::measure(row, &options.plan))) {
            Ok(figures) => measured.extend(figures),
            Err(_) => failed.push(row.name),
        }
    }
    let tables = report::tables(&measured, MEANS);
    println!("\n{tables}");
    if wanted.is_empty() {
        eprintln!("no row has such a name; --list lists them");
        return ExitCode::FAILURE;
    }
    let failures =
        if failed.is_empty() { String::new() } else { format!("FAILED, and not here: {}\n", failed.join(", ")) };
    eprint!("{failures}");
    let markdown = format!("{}{failures}\n{tables}", origin::paragraph(&options.plan));
    let written = write(&[(&options.markdown, markdown), (&options.svg, plot::ratios(&measured))]);
    if failed.is_empty() { written } else { ExitCode::FAILURE }
}

/// Writes what goes to files.
fn write(files: &[(&Option<PathBuf>, String)]) -> ExitCode {
    for (file, text) in files {
        if let Some(file) = file
            && let Err(error) = std::fs::write(file, text)
        {
            eprintln!("cannot write {}: {error}", file.display());
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}
