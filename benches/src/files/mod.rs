//! Rows: random reads of 4 KiB from a file on a disk.

mod loops;
mod runtimes;

use crate::harness::{Amount, Bar, Figure, Row, Side, Unit};
use crate::sys;
use std::cell::Cell;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

const BLOCK: usize = 4096;
/// 256 MiB: more than the processor's cache, less than the page cache.
const BLOCKS: u64 = 64 * 1024;

const FIGURES: &[Figure] = &[
    // Of the process: some of the peers have threads that do the reading.
    Figure::new("process CPU", Unit::Nanos).within(&[Bar::OfLimit(1.05)]),
    Figure::new("read", Unit::Nanos),
];

macro_rules! row {
    ($name:literal, $where:literal, $depth:literal, $is_direct:literal) => {
        Row {
            name: $name,
            measures: concat!(
                "random reads of 4 KiB ", $where, ", ", $depth, " at a time (the pread loop: one), of a file of 256 MiB: CPU \
                 of the process, kernel and helping threads included, and time, for each. Every side reads the same blocks, \
                 into memory that it has already, and looks at their numbers"
            ),
            figures: FIGURES,
            amount: Amount::Calibrated,
            only_by_name: false,
            sides: sides::<$depth, $is_direct>,
        }
    };
}

pub const ROWS: &[Row] = &[
    row!("read-cached-1", "from the page cache", 1, false),
    row!("read-cached-32", "from the page cache", 32, false),
    row!("read-direct-1", "from the disk (O_DIRECT)", 1, true),
    row!("read-direct-32", "from the disk (O_DIRECT)", 32, true),
];

/// What is read, and how.
#[derive(Clone, Copy)]
struct Job {
    n: u64,
    /// So many reads are under way at any time.
    depth: usize,
    is_direct: bool,
}

/// Does a job, between two looks at the clocks.
type Reader = fn(Job) -> io::Result<Vec<f64>>;

fn sides<const DEPTH: usize, const IS_DIRECT: bool>() -> Vec<Side> {
    let read = |reader: Reader| {
        move |n: u64| {
            LazyLock::force(&FILE);
            let job = Job { n: n.max(4 * DEPTH as u64), depth: DEPTH, is_direct: IS_DIRECT };
            // In a thread of its own, since some of the runtimes leave rings behind that are their thread's.
            let reading = std::thread::spawn(move || {
                sys::pin(sys::Core::Measured);
                reader(job)
            });
            reading.join().expect("it reads what is there").expect("the file can be read")
        }
    };
    vec![
        Side::new("coop", read(runtimes::coop)),
        Side::new("tokio", read(runtimes::tokio)),
        Side::new("monoio", read(runtimes::monoio)),
        Side::new("compio", read(runtimes::compio)),
        Side::new("glommio", read(runtimes::glommio)),
        Side::limit("pread loop", read(loops::pread)),
        Side::limit("ring loop", read(loops::ring)),
    ]
}

/// The file: made once, beside this program, where a build directory is on a disk; without a name, so that nothing of it is left.
static FILE: LazyLock<File> = LazyLock::new(|| make().expect("there is room for a file of 256 MiB"));

fn make() -> io::Result<File> {
    let mut path = std::env::current_exe()?;
    path.set_extension(format!("blocks-{}", std::process::id()));
    let mut file = OpenOptions::new().read(true).write(true).create_new(true).open(&path)?;
    std::fs::remove_file(&path)?;
    let mut chunk = vec![0; 256 * BLOCK];
    for first in (0..BLOCKS).step_by(256) {
        for (block, number) in chunk.as_chunks_mut::<BLOCK>().0.iter_mut().zip(first..) {
            block.as_chunks_mut::<8>().0.fill(number.to_le_bytes());
        }
        file.write_all(&chunk)?;
    }
    file.sync_all()?;
    Ok(file)
}

/// By what name it can be opened.
fn path() -> PathBuf {
    format!("/proc/self/fd/{}", FILE.as_raw_fd()).into()
}

/// What flags it is opened with, beside those for reading.
fn flags(is_direct: bool) -> i32 {
    if is_direct { libc::O_DIRECT } else { 0 }
}

fn open(is_direct: bool) -> io::Result<File> {
    OpenOptions::new().read(true).custom_flags(flags(is_direct)).open(path())
}

/// Memory that a disk can write to.
#[repr(C, align(4096))]
struct Page([u8; BLOCK]);

impl Page {
    fn boxed() -> Box<Page> {
        Box::new(Page([0; BLOCK]))
    }
}

/// Which blocks to read: the same for every side, in an order that nothing can guess. Shared by all who read.
struct Blocks {
    state: Cell<u64>,
    left: Cell<u64>,
}

impl Blocks {
    fn new(n: u64) -> Self {
        Blocks { state: Cell::new(1), left: Cell::new(n) }
    }

    /// The next block's number.
    fn next(&self) -> Option<u64> {
        self.left.set(self.left.get().checked_sub(1)?);
        let state = self.state.get().wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        self.state.set(state);
        Some((state >> 33) % BLOCKS)
    }
}

/// Sees that a read gave all of a block, and the right one.
fn look(block: u64, n: usize, bytes: &[u8]) {
    assert_eq!(n, BLOCK, "part of block {block}");
    assert_eq!(bytes[..8], block.to_le_bytes(), "another block's beginning");
    assert_eq!(bytes[BLOCK - 8..BLOCK], block.to_le_bytes(), "another block's end");
}

/// The clocks of a job.
struct Clocks {
    cpu: Duration,
    wall: Instant,
}

impl Clocks {
    fn start() -> Self {
        Clocks { cpu: sys::process_cpu(), wall: Instant::now() }
    }

    fn per(&self, n: u64) -> Vec<f64> {
        let (cpu, wall) = (sys::process_cpu() - self.cpu, self.wall.elapsed());
        [cpu, wall].map(|time| time.as_nanos() as f64 / n as f64).to_vec()
    }
}
