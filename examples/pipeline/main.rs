//! Counts the words of files on many cores: one task reads, a Cooperator a core counts, and the counts are put together.
//!
//! ```text
//! cargo run --release -p examples --bin pipeline -- --top 5 README.md        the most frequent words
//! cargo run --release -p examples --bin pipeline -- --cooperators 1 FILE…    on one core, to compare
//! ```
//!
//! ```text
//!   reader ──▶ passage of blocks ──┬──▶ counter on cooperator-0 ──┐
//!   (root)     (bounded: reading   ├──▶ counter on cooperator-1 ──┼──▶ joined and merged by the root
//!              waits for counting) └──▶ …                         ┘
//! ```
//!
//! A word is what stands between blanks, byte by byte: what `tr -s '[:space:]' '\n'` makes lines of. Ctrl-c ends the reading;
//! what has been read is counted and printed, and the exit status says that it was not all.

use std::{
    collections::HashMap,
    io::{self, Read},
    path::PathBuf,
    process::ExitCode,
    time::Duration,
};

use clap::Parser;
use coop::{
    Killed,
    chan::{
        self, SendError,
        passage::{Receiver, Sender},
    },
    fs::File,
    op,
};
use examples::say;

/// Counts words on many cores.
#[derive(Parser, Clone, Debug)]
#[command(name = "pipeline")]
struct Options {
    /// Files to read, one after the other
    #[arg(required = true)]
    files: Vec<PathBuf>,

    /// How many Cooperators count; as many as there are cores unless given
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    cooperators: Option<u16>,

    /// Prints the K most frequent words only
    #[arg(long, value_name = "K")]
    top: Option<usize>,

    /// Bytes that are read at once, and counted at once
    #[arg(long, value_name = "BYTES", default_value_t = 256 * 1024, value_parser = block_size)]
    block: usize,
}

fn block_size(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(bytes) if (1..=1 << 30).contains(&bytes) => Ok(bytes),
        Ok(_) => Err("a block has 1 to 1073741824 bytes".into()),
        Err(_) => Err("not a number of bytes".into()),
    }
}

/// How long the counters may take to make room for the last block when the reading was stopped.
const GRACE: Duration = Duration::from_secs(5);

/// How often each word has come.
type Counts = HashMap<Box<[u8]>, u64>;

/// What became of the reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reading {
    Done,
    /// Ctrl-c came first.
    Stopped,
}

fn main() -> ExitCode {
    let options = Options::parse();
    let cooperators = options.cooperators.map_or_else(coop::per_core, usize::from);
    let counted = match coop::Builder::new().cooperators(cooperators).run(|| count(&options)) {
        Ok(counted) => counted,
        Err(error) => Err(io::Error::other(error)),
    };
    match counted {
        Ok((counts, reading)) => {
            print(counts, options.top);
            match reading {
                Reading::Done => ExitCode::SUCCESS,
                Reading::Stopped => {
                    eprintln!("pipeline: stopped: this is not all");
                    ExitCode::from(130)
                }
            }
        }
        Err(error) => examples::exit("pipeline", Err(error)),
    }
}

/// The root task: reads, and puts together what the others have counted.
fn count(options: &Options) -> io::Result<(Counts, Reading)> {
    let ctrl_c = coop::signal::ctrl_c()?;
    let all = coop::cooperators();
    // Two blocks for each: one that is counted, one that waits.
    let (blocks, rx) = chan::passage(2 * all.len());
    let mut counters = Vec::new();
    for remote in &all {
        match counter::submit(remote, rx.clone()) {
            Ok(counter) => counters.push(counter),
            Err(_) => return Err(io::Error::other("a Cooperator has ended early")),
        }
    }
    drop(rx);
    // A file that cannot be read is told when the others have been counted.
    let read = coop::wait_all(|s| {
        let mut reader = s.spawn(|| read_all(options, &blocks));
        coop::select! {
            read = &mut reader => read?.map(|()| Reading::Done),
            _ = op::signal(&ctrl_c) => {
                // Wherever it waits: for a place in the passage, or for a pipe that nobody writes to.
                reader.kill();
                Ok(Reading::Stopped)
            }
        }?
    });
    drop(blocks);
    let mut counts = Counts::new();
    for counter in &mut counters {
        for (word, n) in counter.join()?? {
            *counts.entry(word).or_default() += n;
        }
    }
    Ok((counts, read?))
}

/// Sends the files, block by block, each cut where a word ends.
fn read_all(options: &Options, blocks: &Sender<Vec<u8>>) -> io::Result<()> {
    for path in &options.files {
        let mut file = File::open(path).map_err(examples::while_doing(path.display()))?;
        let mut rest = Vec::new();
        loop {
            let mut block = std::mem::take(&mut rest);
            let read = (&mut file).take(options.block as u64).read_to_end(&mut block);
            let n = match read {
                Ok(n) => n,
                Err(error) => {
                    // What was read before it was stopped is counted, but for a word that may go on.
                    cut(&mut block);
                    deliver(blocks, block)?;
                    return Err(examples::while_doing(path.display())(error));
                }
            };
            if n == 0 && block.is_empty() {
                break;
            }
            // A word that may go on is kept for the next block; the end of a file ends it.
            if n != 0 {
                rest = cut(&mut block);
                if block.is_empty() {
                    continue;
                }
            }
            deliver(blocks, block)?;
            if n == 0 {
                break;
            }
        }
    }
    Ok(())
}

/// Sends a block, also when the task has been stopped.
fn deliver(blocks: &Sender<Vec<u8>>, block: Vec<u8>) -> io::Result<()> {
    match blocks.send(block) {
        Err(SendError::Killed(killed, block)) => {
            coop::shield(GRACE, || blocks.send(block))?;
            Err(killed.into())
        }
        sent => Ok(sent?),
    }
}

/// Cuts a block where its last whole word ends, and gives what is behind.
fn cut(block: &mut Vec<u8>) -> Vec<u8> {
    let words_end = block.iter().rposition(u8::is_ascii_whitespace).map_or(0, |at| at + 1);
    block.split_off(words_end)
}

/// Counts the words of blocks, whichever it gets, until there are no more.
#[coop::task]
fn counter(blocks: Receiver<Vec<u8>>) -> Result<Counts, Killed> {
    let mut counts = Counts::new();
    while let Some(block) = blocks.next()? {
        for word in block.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty()) {
            match counts.get_mut(word) {
                Some(n) => *n += 1,
                None => _ = counts.insert(word.into(), 1),
            }
        }
    }
    Ok(counts)
}

/// Prints the words, the most frequent first, and of those that are as frequent the first in the order of their bytes.
fn print(counts: Counts, top: Option<usize>) {
    let mut words = Vec::from_iter(counts);
    words.sort_unstable_by(|(a, n), (b, m)| m.cmp(n).then_with(|| a.cmp(b)));
    words.truncate(top.unwrap_or(usize::MAX));
    for (word, n) in words {
        say(format_args!("{n} {}", String::from_utf8_lossy(&word)));
    }
}
