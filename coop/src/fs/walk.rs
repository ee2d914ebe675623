//! Everything below a directory.

use super::directory::{Raw, ReadDir, open_and_read};
use super::metadata::{FileType, Metadata};
use super::{metadata, symlink_metadata};
use crate::error::Killed;
use std::collections::VecDeque;
use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// How many directories are kept open on the way down. Of those above, the rest is read into memory: a tree may be deeper than a
/// process may have descriptors.
const MOST_OPEN: usize = 16;

/// Everything at and below a path, each directory before what is in it; in no order otherwise.
///
/// An iterator of `io::Result<WalkEntry>`: what goes wrong with one entry is an item, and the walk goes on with the next. `next` is
/// a wait point, kill-checked. A killed walk gives the kill once, and then, as long as the task stays killed, ends, so that a loop
/// that ignores errors ends too; where it was a deadline's kill, the walk can be gone on with, and nothing is left out.
///
/// ```
/// use coop::fs;
/// coop::run(|| -> std::io::Result<()> {
///     let dir = std::env::temp_dir().join(format!("coop-walk-{}", std::process::id()));
///     fs::create_dir_all(dir.join("kept/deeper"))?;
///     fs::create_dir_all(dir.join("hidden/deeper"))?;
///     let mut walk = fs::walk(&dir).min_depth(1);
///     let mut seen = Vec::new();
///     while let Some(entry) = walk.next() {
///         let entry = entry?;
///         if entry.file_name() == "hidden" {
///             walk.skip_current_dir();
///             continue;
///         }
///         seen.push(entry.path().strip_prefix(&dir).unwrap().to_owned());
///     }
///     assert_eq!(seen, ["kept", "kept/deeper"].map(std::path::PathBuf::from));
///     fs::remove_dir_all(&dir)
/// }).unwrap();
/// ```
#[must_use = "a walk does nothing until it is iterated over"]
#[derive(Debug)]
pub struct Walk {
    /// Until the first step.
    root: Option<PathBuf>,
    min_depth: usize,
    max_depth: usize,
    follow_links: bool,
    /// From the root's down, those that are being read.
    levels: Vec<Level>,
    /// A directory that was given out, to be gone down into by the next step.
    below: Option<Below>,
    was_killed: bool,
}

/// A directory that is being read.
#[derive(Debug)]
struct Level {
    entries: Entries,
    /// Device and number, to find loops by: only known when links are followed.
    identity: Option<(u64, u64)>,
}

enum Entries {
    Open(ReadDir),
    /// What was left when too many would have been open.
    Rest {
        path: PathBuf,
        entries: VecDeque<Raw>,
        failure: Option<io::Error>,
    },
}

impl std::fmt::Debug for Entries {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Entries").field(&self.path()).finish()
    }
}

impl Entries {
    fn path(&self) -> &Path {
        match self {
            Entries::Open(dir) => dir.path(),
            Entries::Rest { path, .. } => path,
        }
    }

    #[track_caller]
    fn next(&mut self) -> Option<io::Result<Raw>> {
        match self {
            Entries::Open(dir) => dir.next_raw(),
            Entries::Rest { entries, failure, .. } => entries.pop_front().map(Ok).or_else(|| failure.take().map(Err)),
        }
    }
}

#[derive(Clone, Debug)]
struct Below {
    path: PathBuf,
    identity: Option<(u64, u64)>,
    /// The way to it was a link.
    is_followed: bool,
}

/// Something that a [`Walk`] has come by.
#[derive(Clone, Debug)]
pub struct WalkEntry {
    path: PathBuf,
    depth: usize,
    kind: FileType,
    is_followed: bool,
}

impl WalkEntry {
    /// The path that the walk began with, and on from there.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The path, taken out.
    pub fn into_path(self) -> PathBuf {
        self.path
    }

    /// The last part of the path; all of it, where that is `/` or ends with `..`.
    pub fn file_name(&self) -> &OsStr {
        self.path.file_name().unwrap_or(self.path.as_os_str())
    }

    /// How many steps down from the root, which is at 0.
    pub fn depth(&self) -> usize {
        self.depth
    }

    /// What kind of file it is: of a link that was followed, what it leads to.
    pub fn file_type(&self) -> FileType {
        self.kind
    }

    /// What is known of it: of a link that was followed, what it leads to.
    ///
    /// A wait point; kill-checked.
    ///
    /// # Errors
    /// Those of statx(2): `NotFound` when it was removed meanwhile; [`Killed`].
    #[track_caller]
    pub fn metadata(&self) -> io::Result<Metadata> {
        if self.is_followed { metadata(&self.path) } else { symlink_metadata(&self.path) }
    }
}

/// Walks over everything at and below `path`. Not a wait point: each step of the [`Walk`] is.
pub fn walk(path: impl AsRef<Path>) -> Walk {
    Walk {
        root: Some(path.as_ref().to_owned()),
        min_depth: 0,
        max_depth: usize::MAX,
        follow_links: false,
        levels: Vec::new(),
        below: None,
        was_killed: false,
    }
}

impl Walk {
    /// Gives nothing nearer to the root than this. The root's own depth is 0, which is the default.
    pub fn min_depth(mut self, depth: usize) -> Self {
        self.min_depth = depth;
        self
    }

    /// Gives nothing farther from the root than this, and does not look there.
    pub fn max_depth(mut self, depth: usize) -> Self {
        self.max_depth = depth;
        self
    }

    /// Follows symbolic links, the root too; by default none is. One that leads back to a directory above is an error (ELOOP), one
    /// that leads nowhere is given as a link.
    pub fn follow_links(mut self, follow: bool) -> Self {
        self.follow_links = follow;
        self
    }

    /// Does not go down into the directory that was given last.
    pub fn skip_current_dir(&mut self) {
        self.below = None;
    }

    /// One step. `None`: nothing to give, but the walk may not be over.
    #[track_caller]
    fn step(&mut self) -> Option<io::Result<WalkEntry>> {
        if let Some(path) = &self.root {
            let visited = self.visit(path.clone(), None, 0);
            // A kill passes: the root is then still to come.
            if !visited.as_ref().is_err_and(Killed::is) {
                self.root = None;
            }
            return Some(visited);
        }
        if let Some(below) = self.below.take() {
            return match self.descend(&below) {
                Ok(()) => None,
                Err(error) => {
                    if Killed::is(&error) {
                        self.below = Some(below);
                    }
                    Some(Err(error))
                }
            };
        }
        let depth = self.levels.len();
        let level = self.levels.last_mut()?;
        match level.entries.next() {
            Some(Ok(raw)) => {
                let path = level.entries.path().join(OsStr::from_bytes(raw.name.to_bytes()));
                let visited = self.visit(path, raw.kind(), depth);
                if visited.as_ref().is_err_and(Killed::is)
                    && let Some(level) = self.levels.last_mut()
                {
                    level.entries.put_back(raw);
                }
                Some(visited)
            }
            Some(Err(error)) => Some(Err(error)),
            None => {
                self.levels.pop();
                None
            }
        }
    }

    /// Finds out what is at `path`, and whether to go down there.
    #[track_caller]
    fn visit(&mut self, path: PathBuf, known: Option<FileType>, depth: usize) -> io::Result<WalkEntry> {
        let mut kind = match known {
            Some(kind) => kind,
            None => symlink_metadata(&path)?.file_type(),
        };
        let (mut identity, mut is_followed) = (None, false);
        if self.follow_links && (kind.is_symlink() || kind.is_dir()) {
            match metadata(&path) {
                Ok(target) => {
                    is_followed = kind.is_symlink();
                    kind = target.file_type();
                    identity = Some((target.dev(), target.ino()));
                }
                // A link that leads nowhere is a link.
                Err(error) if kind.is_symlink() && !Killed::is(&error) => {}
                Err(error) => return Err(error),
            }
        }
        if kind.is_dir() {
            if is_followed && self.levels.iter().any(|level| level.identity == identity) {
                return Err(io::Error::from_raw_os_error(libc::ELOOP));
            }
            if depth < self.max_depth {
                self.below = Some(Below { path: path.clone(), identity, is_followed });
            }
        }
        Ok(WalkEntry { path, depth, kind, is_followed })
    }

    #[track_caller]
    fn descend(&mut self, below: &Below) -> io::Result<()> {
        // Only one level above can still be open when the bound is reached: each step opens one.
        if let Some(above) = self.levels.len().checked_sub(MOST_OPEN)
            && let Some(Level { entries, .. }) = self.levels.get_mut(above)
            && let Entries::Open(dir) = entries
        {
            dir.read_rest()?;
            let rest = Entries::Rest { path: PathBuf::new(), entries: VecDeque::new(), failure: None };
            if let Entries::Open(dir) = std::mem::replace(entries, rest) {
                let (path, left, failure) = dir.into_rest();
                *entries = Entries::Rest { path, entries: left, failure };
            }
        }
        // What was a directory must not have become a link meanwhile.
        let flags = if below.is_followed { 0 } else { libc::O_NOFOLLOW };
        let entries = Entries::Open(open_and_read(&below.path, flags)?);
        self.levels.push(Level { entries, identity: below.identity });
        Ok(())
    }

    fn is_over(&self) -> bool {
        self.root.is_none() && self.below.is_none() && self.levels.is_empty()
    }
}

impl Entries {
    /// Gives back what was taken last.
    fn put_back(&mut self, raw: Raw) {
        match self {
            Entries::Open(dir) => dir.put_back(raw),
            Entries::Rest { entries, .. } => entries.push_front(raw),
        }
    }
}

impl Iterator for Walk {
    type Item = io::Result<WalkEntry>;

    #[track_caller]
    fn next(&mut self) -> Option<io::Result<WalkEntry>> {
        while !self.is_over() {
            if self.was_killed && crate::task::is_refused() {
                return None;
            }
            self.was_killed = false;
            match self.step() {
                Some(Ok(entry)) if entry.depth < self.min_depth => {}
                Some(Err(error)) => {
                    self.was_killed = Killed::is(&error);
                    return Some(Err(error));
                }
                Some(entry) => return Some(entry),
                None => {}
            }
        }
        None
    }
}
