//! Searches directories, many at a time. What it prints is what `find` prints, in another order.
//!
//! ```text
//! cargo run --release -p examples --bin find -- /usr -name '*.h' -size +64k
//! ```
//!
//! Each directory is a job; a bounded number of tasks does the jobs, and each may wait for the kernel without holding up the
//! others. What a task finds goes to the one that writes, so that a slow reader slows the search down, and nothing piles up.
//! Ctrl-c stops it; what was found by then is printed.

mod expression;
mod options;

use std::{
    cell::Cell,
    ffi::OsStr,
    io,
    os::{fd::AsFd, unix::ffi::OsStrExt},
    path::Path,
    process::ExitCode,
    time::Duration,
};

use clap::Parser;
use coop::{Killed, chan, fs, fs::File, shield};
use examples::{Stop, jobs::Jobs};
use expression::Expression;
use options::Options;

/// Bytes that a task collects before it sends them on.
const PIECE: usize = 32 * 1024;

/// How long a search that was stopped may take to print what it has.
const GRACE: Duration = Duration::from_secs(5);

/// A directory to be searched.
struct Directory {
    path: Vec<u8>,
    depth: usize,
}

/// What all tasks share.
struct Search {
    expression: Expression,
    max_depth: usize,
    end: u8,
    jobs: Jobs<Directory>,
    has_failed: Cell<bool>,
}

#[coop::main]
fn main() -> ExitCode {
    let options = Options::parse_from(options::with_two_dashes(std::env::args_os()));
    match run(options) {
        Ok(code) => ExitCode::from(code),
        Err(error) => examples::exit("find", Err(error)),
    }
}

fn run(options: Options) -> io::Result<u8> {
    let stop = Stop::listen()?;
    // Not std's: that would block all tasks while nobody reads.
    let stdout = File::from(io::stdout().as_fd().try_clone_to_owned()?);
    let search = Search {
        max_depth: options.maxdepth,
        end: if options.print0 { 0 } else { b'\n' },
        jobs: Jobs::default(),
        has_failed: Cell::new(false),
        expression: options.expression(),
    };
    let (found, to_print) = chan::bounded(64);
    coop::scope(|s| {
        let mut printing = s.spawn(|| print(&stdout, to_print));
        // The search ends before the printing does: that takes what is still in the channel.
        let (searched, was_stopped) = stop.run(|| search.run(&options, &found))?;
        drop(found);
        printing.join()??;
        match searched {
            Ok(()) => Ok(u8::from(search.has_failed.get())),
            Err(_) if was_stopped => Ok(130),
            // Nobody reads any more, as behind `| head`.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(0),
            Err(error) => Err(error),
        }
    })
}

/// Writes what is found. That nobody reads it any more ends the search.
fn print(stdout: &File, found: chan::Receiver<Vec<u8>>) -> io::Result<()> {
    while let Some(piece) = found.next()? {
        match io::Write::write_all(&mut &*stdout, &piece) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
            result => result?,
        }
    }
    Ok(())
}

impl Search {
    fn run(&self, options: &Options, found: &chan::Sender<Vec<u8>>) -> io::Result<()> {
        for path in &options.paths {
            self.begin(path, found)?;
        }
        self.jobs.run(options.jobs, |directory| {
            let mut lines = Vec::new();
            let searched = self.directory(&directory, &mut lines, found);
            // Also when it was killed: what was found is not lost.
            shield(GRACE, || send(found, lines))?;
            searched
        })
    }

    /// Looks at a path of the command line.
    fn begin(&self, path: &Path, found: &chan::Sender<Vec<u8>>) -> io::Result<()> {
        let metadata = match fs::symlink_metadata(path) {
            Ok(metadata) => metadata,
            Err(error) => return self.failed(path, error),
        };
        let path = path.as_os_str().as_bytes();
        let kind = metadata.file_type();
        if self.expression.holds(last_part(path), || Ok(kind), || Ok(metadata.len()))? {
            send(found, [path, &[self.end]].concat())?;
        }
        if kind.is_dir() && self.max_depth > 0 {
            self.jobs.add(Directory { path: path.to_owned(), depth: 0 });
        }
        Ok(())
    }

    fn directory(&self, directory: &Directory, lines: &mut Vec<u8>, found: &chan::Sender<Vec<u8>>) -> io::Result<()> {
        let path = Path::new(OsStr::from_bytes(&directory.path));
        let entries = match fs::read_dir(path) {
            Ok(entries) => entries,
            Err(error) => return self.failed(path, error),
        };
        for entry in entries {
            let entry = match entry {
                Ok(entry) => entry,
                Err(error) => return self.failed(path, error),
            };
            let full = joined(&directory.path, entry.file_name().as_bytes());
            let full_path = Path::new(OsStr::from_bytes(&full));
            let name = entry.file_name().as_bytes();
            let looked_at = self
                .expression
                .holds(name, || entry.file_type(), || Ok(entry.metadata()?.len()))
                .and_then(|holds| Ok((holds, entry.file_type()?.is_dir())));
            let (holds, is_dir) = match looked_at {
                Ok(found) => found,
                Err(error) => {
                    self.failed(full_path, error)?;
                    continue;
                }
            };
            if holds {
                lines.extend_from_slice(&full);
                lines.push(self.end);
                if lines.len() >= PIECE {
                    send(found, std::mem::take(lines))?;
                }
            }
            if is_dir && directory.depth + 1 < self.max_depth {
                self.jobs.add(Directory { path: full, depth: directory.depth + 1 });
            }
        }
        Ok(())
    }

    /// Says what went wrong with one path; the search goes on, unless it was killed.
    fn failed(&self, path: &Path, error: io::Error) -> io::Result<()> {
        if Killed::is(&error) {
            return Err(error);
        }
        self.has_failed.set(true);
        eprintln!("find: {}: {error}", path.display());
        Ok(())
    }
}

fn send(found: &chan::Sender<Vec<u8>>, lines: Vec<u8>) -> io::Result<()> {
    if lines.is_empty() {
        return Ok(());
    }
    match found.send(lines) {
        Ok(()) => Ok(()),
        Err(chan::SendError::Killed(killed, _)) => Err(killed.into()),
        // Nobody reads what is printed.
        Err(chan::SendError::Closed(_)) => Err(io::ErrorKind::BrokenPipe.into()),
    }
}

/// As `find` writes it: what the command line said, and on from there.
fn joined(directory: &[u8], name: &[u8]) -> Vec<u8> {
    let slash: &[u8] = if directory.ends_with(b"/") { b"" } else { b"/" };
    [directory, slash, name].concat()
}

/// What `-name` is held against: of `/` that, of `a/b/` the `b`.
fn last_part(path: &[u8]) -> &[u8] {
    let end = path.iter().rposition(|byte| *byte != b'/').map_or(1, |last| last + 1).min(path.len());
    let start = path[..end].iter().rposition(|byte| *byte == b'/').map_or(0, |slash| slash + 1);
    if start < end { &path[start..end] } else { &path[..end] }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_written_and_named_as_find_does() {
        assert_eq!(joined(b"a", b"b"), b"a/b");
        assert_eq!(joined(b"a/", b"b"), b"a/b");
        assert_eq!(joined(b"/", b"b"), b"/b");
        let cases =
            [("a", "a"), ("a/", "a"), ("a/b//", "b"), ("/", "/"), ("//", "/"), ("/a", "a"), (".", "."), ("a/..", "..")];
        for (path, name) in cases {
            assert_eq!(last_part(path.as_bytes()), name.as_bytes(), "{path}");
        }
    }
}
