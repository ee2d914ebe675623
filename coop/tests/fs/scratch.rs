//! A place for a test's files, and chance that can be repeated.

use std::cell::Cell;
use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// A directory that goes with the test.
pub struct Scratch(PathBuf);

impl Scratch {
    pub fn new() -> Self {
        Self::below(&std::env::temp_dir())
    }

    /// On a file system in memory, if this system has one in the usual place.
    pub fn in_memory() -> Option<Self> {
        Path::new("/dev/shm").is_dir().then(|| Self::below(Path::new("/dev/shm")))
    }

    fn below(path: &Path) -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let path = path.join(format!("coop-test-fs-{}-{}", std::process::id(), NEXT.fetch_add(1, Relaxed)));
        std::fs::create_dir(&path).expect("a directory can be made there");
        Scratch(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    pub fn join(&self, name: impl AsRef<Path>) -> PathBuf {
        self.0.join(name)
    }

    /// A file with these bytes.
    pub fn file(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.join(name);
        std::fs::create_dir_all(path.parent().expect("it is below the scratch")).unwrap();
        std::fs::write(&path, bytes).unwrap();
        path
    }

    /// A named pipe.
    pub fn fifo(&self, name: &str) -> PathBuf {
        let path = self.join(name);
        let raw = CString::new(path.as_os_str().as_bytes()).unwrap();
        // SAFETY: a string with an end.
        assert_eq!(unsafe { libc::mkfifo(raw.as_ptr(), 0o600) }, 0);
        path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// xorshift64*.
pub struct Random(Cell<u64>);

impl Random {
    /// From `COOP_SEED`, or else from `default`; printed, so that a failure can be repeated.
    pub fn new(default: u64) -> Self {
        let seed = std::env::var("COOP_SEED").map_or(default, |seed| seed.parse().expect("COOP_SEED is a number"));
        println!("COOP_SEED={seed}");
        Random(Cell::new(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1))
    }

    pub fn below(&self, bound: u64) -> u64 {
        let mut x = self.0.get();
        x ^= x >> 12;
        x ^= x << 25;
        x ^= x >> 27;
        self.0.set(x);
        (x.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % bound
    }

    pub fn bytes(&self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.below(256) as u8).collect()
    }
}

/// Runs a test in a process of its own, where it is the only one: for what counts descriptors, or changes the process. `name` is the
/// test's, with its module.
pub fn alone(name: &str, test: impl FnOnce()) {
    const MARK: &str = "COOP_TEST_ALONE";
    if std::env::var(MARK).is_ok_and(|mark| mark == name) {
        return test();
    }
    let itself = std::env::current_exe().expect("Linux knows");
    let output = Command::new(itself).args(["--exact", name, "--nocapture"]).env(MARK, name).output();
    let output = output.expect("this program can be started again");
    let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    assert!(output.status.success() && said.contains("1 passed"), "{}\n{said}", output.status);
}

/// How many descriptors this process has.
pub fn descriptors() -> usize {
    // The one that reads them is among them, each time.
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}
