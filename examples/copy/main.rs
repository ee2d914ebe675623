//! Copies a file or a tree, several files at a time, with permissions, times and symbolic links.
//!
//! ```text
//! cargo run --release -p examples --bin copy -- /usr/include /tmp/include
//! diff -r /usr/include /tmp/include
//! ```
//!
//! Each directory, file and link is a job; a bounded number of tasks does the jobs. A file is written under another name, given its
//! times, and then renamed. Ctrl-c stops it: what is copied stays, what is half copied is removed.

mod options;
mod progress;

use std::{
    cell::{Cell, RefCell},
    io::{self, IsTerminal},
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use clap::Parser;
use coop::{
    Killed,
    fs::{self, Metadata},
};
use examples::{Stop, jobs::Jobs, while_doing};
use options::{Options, When};
use progress::Progress;
use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, utimensat};

/// How long tidying up may take when it was stopped.
const GRACE: Duration = Duration::from_secs(30);

/// Something to be copied.
struct Job {
    from: PathBuf,
    to: PathBuf,
}

/// A directory that was made, or was there: it gets its permissions and times when everything in it is done.
struct Directory {
    path: PathBuf,
    metadata: Metadata,
}

#[derive(Default)]
struct Copy {
    jobs: Jobs<Job>,
    directories: RefCell<Vec<Directory>>,
    progress: Progress,
    has_failed: Cell<bool>,
    /// Makes names of files in the making different.
    next: Cell<u64>,
}

#[coop::main]
fn main() -> ExitCode {
    match run(Options::parse()) {
        Ok(code) => ExitCode::from(code),
        Err(error) => examples::exit("copy", Err(error)),
    }
}

fn run(options: Options) -> io::Result<u8> {
    let stop = Stop::listen()?;
    refuse_into_itself(&options)?;
    let copy = Copy::default();
    copy.jobs.add(Job { from: options.source, to: options.target });
    let shows = match options.progress {
        When::Auto => io::stderr().is_terminal(),
        When::Always => true,
        When::Never => false,
    };
    let (copied, was_stopped) = coop::scope(|s| {
        if shows {
            s.spawn(|| copy.progress.show());
        }
        let ended = stop.run(|| {
            let copied = copy.jobs.run(options.jobs, |job| copy.one(&job));
            coop::shield(GRACE, || copy.finish_directories());
            copied
        });
        s.kill();
        ended
    })?;
    if shows {
        copy.progress.finish();
    }
    match copied {
        Ok(()) => Ok(u8::from(copy.has_failed.get())),
        Err(_) if was_stopped => {
            eprintln!("copy: stopped after {} files", copy.progress.files_done.get());
            Ok(130)
        }
        Err(error) => Err(error),
    }
}

/// A tree copied into itself would be copied for ever.
fn refuse_into_itself(options: &Options) -> io::Result<()> {
    let source = fs::canonicalize(&options.source).map_err(while_doing(options.source.display()))?;
    // What is there of the way to the target.
    let target = std::path::absolute(&options.target)?;
    let there = target.ancestors().find_map(|path| fs::canonicalize(path).ok().map(|real| (path, real)));
    let Some((path, real)) = there else { return Ok(()) };
    let rest = target.strip_prefix(path).unwrap_or(Path::new(""));
    let inside = real.join(rest).starts_with(&source);
    if inside && (fs::metadata(&source)?.is_dir() || real == source) {
        let what = format!("{} would be copied into itself", options.source.display());
        return Err(io::Error::new(io::ErrorKind::InvalidInput, what));
    }
    Ok(())
}

impl Copy {
    /// Copies one thing. What goes wrong with it is said, and the others go on.
    fn one(&self, job: &Job) -> io::Result<()> {
        match self.try_one(job) {
            Err(error) if Killed::is(&error) => Err(error),
            Err(error) => {
                self.has_failed.set(true);
                eprintln!("copy: {}: {error}", job.from.display());
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    }

    fn try_one(&self, job: &Job) -> io::Result<()> {
        let metadata = fs::symlink_metadata(&job.from)?;
        let kind = metadata.file_type();
        if kind.is_dir() {
            return self.directory(job, metadata);
        }
        if !kind.is_file() && !kind.is_symlink() {
            return Err(io::Error::new(io::ErrorKind::Unsupported, "neither file, directory nor link: left out"));
        }
        add(&self.progress.files_found, 1);
        let making = self.name_in_the_making(&job.to);
        let made = if kind.is_file() { self.file(job, &making, &metadata) } else { link(job, &making, &metadata) };
        self.progress.in_the_making.borrow_mut().remove(&making);
        if made.is_err() {
            // Also, and above all, when it was killed. That nothing had been made yet is no error.
            let _ = coop::shield(GRACE, || fs::remove_file(&making));
            return made;
        }
        add(&self.progress.files_done, 1);
        Ok(())
    }

    fn file(&self, job: &Job, making: &Path, metadata: &Metadata) -> io::Result<()> {
        add(&self.progress.bytes_found, metadata.len());
        self.progress.in_the_making.borrow_mut().insert(making.to_owned());
        fs::copy(&job.from, making)?;
        set_times(making, metadata)?;
        fs::rename(making, &job.to)?;
        add(&self.progress.bytes_done, metadata.len());
        Ok(())
    }

    fn directory(&self, job: &Job, metadata: Metadata) -> io::Result<()> {
        match fs::create_dir(&job.to) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && fs::symlink_metadata(&job.to)?.is_dir() => {}
            made => made?,
        }
        self.directories.borrow_mut().push(Directory { path: job.to.clone(), metadata });
        for entry in fs::read_dir(&job.from)? {
            let entry = entry?;
            self.jobs.add(Job { from: entry.path(), to: job.to.join(entry.file_name()) });
        }
        Ok(())
    }

    /// Beside the target, so that renaming it is one step; short, so that any name may be copied.
    fn name_in_the_making(&self, target: &Path) -> PathBuf {
        add(&self.next, 1);
        target.with_file_name(format!(".copy-{}-{}", std::process::id(), self.next.get()))
    }

    /// Gives directories their permissions and times: only now, since copying into them needs the first and changes the others.
    fn finish_directories(&self) {
        // Those further down come later in the list: they are done first.
        while let Some(Directory { path, metadata }) = self.directories.borrow_mut().pop() {
            let done = fs::set_permissions(&path, metadata.permissions()).and_then(|()| set_times(&path, &metadata));
            if let Err(error) = done {
                self.has_failed.set(true);
                eprintln!("copy: {}: {error}", path.display());
            }
        }
    }
}

fn link(job: &Job, making: &Path, metadata: &Metadata) -> io::Result<()> {
    fs::symlink(fs::read_link(&job.from)?, making)?;
    set_times(making, metadata)?;
    fs::rename(making, &job.to)
}

/// Gives a file, a directory or a link the times of another.
fn set_times(path: &Path, metadata: &Metadata) -> io::Result<()> {
    let (path, metadata) = (path.to_owned(), metadata.clone());
    let times =
        Timestamps { last_access: timespec(metadata.accessed()?), last_modification: timespec(metadata.modified()?) };
    coop::unblock(move || utimensat(CWD, &path, &times, AtFlags::SYMLINK_NOFOLLOW))??;
    Ok(())
}

fn timespec(time: std::time::SystemTime) -> Timespec {
    match time.duration_since(std::time::UNIX_EPOCH) {
        Ok(since) => Timespec { tv_sec: since.as_secs() as i64, tv_nsec: since.subsec_nanos().into() },
        // Before 1970: seconds are counted down, nanoseconds up.
        Err(before) => {
            let before = before.duration();
            let borrow = i64::from(before.subsec_nanos() != 0);
            let nanos = if borrow == 0 { 0 } else { 1_000_000_000 - before.subsec_nanos() };
            Timespec { tv_sec: -(before.as_secs() as i64) - borrow, tv_nsec: nanos.into() }
        }
    }
}

fn add(count: &Cell<u64>, n: u64) {
    count.set(count.get() + n);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::UNIX_EPOCH;

    #[test]
    fn times_before_1970_are_times_too() {
        let parts = |time| (timespec(time).tv_sec, timespec(time).tv_nsec);
        assert_eq!(parts(UNIX_EPOCH + Duration::new(5, 7)), (5, 7));
        assert_eq!(parts(UNIX_EPOCH - Duration::new(5, 0)), (-5, 0));
        assert_eq!(parts(UNIX_EPOCH - Duration::new(5, 1)), (-6, 999_999_999));
    }
}
