//! The seeds, divided among processes: one a core. A process that a defect of the runtime takes down says by a number in shared
//! memory which seed it was at.

use super::{generate, report, run};
use coop::__private::SpareStacks;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Write};
use std::ops::Range;
use std::os::fd::{AsRawFd, FromRawFd};
use std::os::unix::fs::FileExt;
use std::process::{Child, Command, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

const SHARE: &str = "COOP_SCHEDULES_SHARE";

/// A process that is at one seed for so long will not come back.
const STUCK_AFTER: Duration = Duration::from_secs(60);

/// One in so many programs is run twice: both runs must have the same trace.
const REPEATED: u64 = 100;

/// The seeds `first`, `first + step`, … below `end`.
pub struct Share {
    first: u64,
    step: u64,
    end: u64,
    progress: File,
}

pub struct Failure {
    pub seed: u64,
    pub text: String,
}

pub fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.trim().parse().unwrap_or_else(|_| panic!("{variable}={text} is not a number")))
}

/// This process's share, if it is a worker.
pub fn share() -> Option<Share> {
    let text = std::env::var(SHARE).ok()?;
    let numbers: Vec<u64> = text.split(',').map(|n| n.parse().expect("written by `divide`")).collect();
    let [first, step, end, fd] = numbers[..] else { panic!("{SHARE}={text}") };
    // SAFETY: the parent has left this descriptor open for us, and nobody else here knows its number.
    let progress = unsafe { File::from_raw_fd(fd as i32) };
    Some(Share { first, step, end, progress })
}

impl Share {
    pub fn work(self) {
        let mut spare = SpareStacks::default();
        for seed in (self.first..self.end).step_by(self.step as usize) {
            self.progress.write_all_at(&seed.to_ne_bytes(), 0).expect("memory takes eight bytes");
            let hash = run(generate::generate(seed), &mut spare, false);
            if seed % REPEATED == self.first % REPEATED {
                // On stacks at other addresses.
                let again = run(generate::generate(seed), &mut SpareStacks::default(), false);
                if hash != again {
                    report::failed("the same seed has given two traces".into());
                }
            }
        }
        let mut out = std::io::stdout();
        for (what, count) in report::seen() {
            writeln!(out, "\n{what}\t{count}").expect("the parent listens");
        }
    }
}

/// Has as many processes as there are cores run these seeds. Gives what was reached, and how often.
pub fn divide(seeds: Range<u64>) -> Result<BTreeMap<String, u64>, Failure> {
    let step = std::thread::available_parallelism().map_or(1, |n| n.get() as u64);
    let mut workers: Vec<Worker> = (0..step).map(|n| Worker::start(seeds.start + n, step, seeds.end)).collect();
    let mut seen = BTreeMap::new();
    loop {
        let Some(index) = workers.iter_mut().position(Worker::is_over) else {
            continue;
        };
        let (is_good, seed, text) = workers.swap_remove(index).end();
        if !is_good {
            workers.iter_mut().for_each(Worker::kill);
            return Err(Failure { seed, text });
        }
        for line in text.lines() {
            if let Some((what, count)) = line.split_once('\t') {
                *seen.entry(what.into()).or_default() += count.parse::<u64>().unwrap_or(0);
            }
        }
        if workers.is_empty() {
            break;
        }
    }
    Ok(seen)
}

struct Worker {
    child: Child,
    progress: File,
    output: JoinHandle<String>,
    errors: JoinHandle<String>,
    seed: u64,
    since: Instant,
}

impl Worker {
    fn start(first: u64, step: u64, end: u64) -> Self {
        // SAFETY: makes a new descriptor, which is ours. The child inherits it.
        let progress = unsafe { File::from_raw_fd(libc::memfd_create(c"progress".as_ptr(), 0)) };
        progress.write_all_at(&first.to_ne_bytes(), 0).expect("memory takes eight bytes");
        let mut child = itself()
            .env(SHARE, format!("{first},{step},{end},{}", progress.as_raw_fd()))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("this program can be started again");
        let output = listen(child.stdout.take().expect("piped"));
        let errors = listen(child.stderr.take().expect("piped"));
        Worker { child, progress, output, errors, seed: first, since: Instant::now() }
    }

    fn seed(&self) -> u64 {
        let mut bytes = [0; 8];
        self.progress.read_exact_at(&mut bytes, 0).expect("eight bytes were written");
        u64::from_ne_bytes(bytes)
    }

    /// Waits a little for the end of the process; ends it if it is stuck.
    fn is_over(&mut self) -> bool {
        let seed = self.seed();
        if seed != self.seed {
            (self.seed, self.since) = (seed, Instant::now());
        } else if self.since.elapsed() > STUCK_AFTER {
            self.kill();
        }
        let is_over = self.child.try_wait().expect("it is our child").is_some();
        if !is_over {
            std::thread::sleep(Duration::from_millis(5));
        }
        is_over
    }

    fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Whether it has ended well, where it was, and what it said.
    fn end(mut self) -> (bool, u64, String) {
        let status = self.child.wait().expect("it is our child");
        let seed = self.seed();
        let (output, errors) = (self.output.join().unwrap_or_default(), self.errors.join().unwrap_or_default());
        match status.success() {
            true => (true, seed, output),
            false => (false, seed, format!("{errors}\n{status}")),
        }
    }
}

fn listen(mut pipe: impl Read + Send + 'static) -> JoinHandle<String> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = pipe.read_to_end(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

/// This test, in a process of its own.
pub fn itself() -> Command {
    let mut command = Command::new(std::env::current_exe().expect("Linux knows"));
    command.args(["--exact", "random_programs_do_what_the_model_says", "--nocapture", "--test-threads=1"]);
    command
}
