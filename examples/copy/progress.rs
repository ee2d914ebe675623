//! How far it is, as a line on a terminal.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeSet,
    fmt,
    io::{self, Write},
    path::PathBuf,
    time::Duration,
};

use coop::fs;

/// Between two looks.
const PACE: Duration = Duration::from_millis(100);

/// Characters of the bar.
const WIDTH: usize = 30;

/// What was found and what is done; the tree is searched while it is copied, so the sums grow.
#[derive(Default)]
pub struct Progress {
    pub files_found: Cell<u64>,
    pub bytes_found: Cell<u64>,
    pub files_done: Cell<u64>,
    pub bytes_done: Cell<u64>,
    /// Files that are being written: their lengths count, too.
    pub in_the_making: RefCell<BTreeSet<PathBuf>>,
}

impl Progress {
    /// Shows it again and again, until it is killed.
    pub fn show(&self) -> io::Result<()> {
        loop {
            coop::sleep(PACE)?;
            let paths: Vec<PathBuf> = self.in_the_making.borrow().iter().cloned().collect();
            let mut under_way = 0;
            for path in paths {
                // It may be done by now, and have another name.
                under_way += fs::metadata(path).map_or(0, |metadata| metadata.len());
            }
            self.draw(under_way, '\r');
        }
    }

    /// Shows it a last time.
    pub fn finish(&self) {
        self.draw(0, '\n');
    }

    fn draw(&self, under_way: u64, end: char) {
        // That the line cannot be shown is no reason to stop.
        let _ = write!(io::stderr(), "\r{}\x1b[K{end}", self.line(under_way));
    }

    fn line(&self, under_way: u64) -> String {
        let (done, found) = (self.bytes_done.get() + under_way, self.bytes_found.get());
        let full = match found {
            0 if self.files_done.get() == self.files_found.get() => WIDTH,
            0 => 0,
            _ => (done.min(found) as u128 * WIDTH as u128 / found as u128) as usize,
        };
        let bar = "#".repeat(full) + &"-".repeat(WIDTH - full);
        let (files, all) = (self.files_done.get(), self.files_found.get());
        format!("[{bar}] {files} of {all} files, {} of {}", Bytes(done.min(found)), Bytes(found))
    }
}

/// A number of bytes, as people read it.
struct Bytes(u64);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (mut amount, mut unit) = (self.0 as f64, "B");
        for larger in ["kB", "MB", "GB", "TB"] {
            if amount < 1000.0 {
                break;
            }
            (amount, unit) = (amount / 1000.0, larger);
        }
        if unit == "B" { write!(f, "{amount} {unit}") } else { write!(f, "{amount:.1} {unit}") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_says_how_far_it_is() {
        let progress = Progress::default();
        assert_eq!(progress.line(0), format!("[{}] 0 of 0 files, 0 B of 0 B", "#".repeat(30)));
        progress.files_found.set(4);
        progress.bytes_found.set(3_000_000);
        progress.files_done.set(1);
        progress.bytes_done.set(1_000_000);
        let bar = |full| "#".repeat(full) + &"-".repeat(30 - full);
        assert_eq!(progress.line(0), format!("[{}] 1 of 4 files, 1.0 MB of 3.0 MB", bar(10)));
        assert_eq!(progress.line(500_000), format!("[{}] 1 of 4 files, 1.5 MB of 3.0 MB", bar(15)));
        // A file that grows while it is copied does not make more than everything.
        assert_eq!(progress.line(9_000_000), format!("[{}] 1 of 4 files, 3.0 MB of 3.0 MB", bar(30)));
    }
}
