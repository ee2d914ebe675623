//! Running simulations: one, or one for each of many seeds.

use super::attempt::{Attempt, Failure, Setting, Watching, attempt};
use super::options::NetOptions;
use super::report;
use super::shrink::{identity, shrink};
use super::verdict::Verdict;
use crate::cooperator::Cooperator;
use crate::ring::Quieted;
use crate::runtime::{self, SpareStacks};
use std::panic::resume_unwind;
use std::time::Duration;

/// Settings of a simulation.
///
/// ```
/// use coop::sim::{self, NetOptions};
/// use std::time::Duration;
/// let lossy = NetOptions::new().datagram_loss(0.2);
/// let elapsed = sim::Builder::new().seed(3).net(lossy).run(|| {
///     let begin = coop::time::Instant::now();
///     coop::sleep(Duration::from_secs(3600)).unwrap();
///     begin.elapsed()
/// });
/// assert_eq!(elapsed, Duration::from_secs(3600));
/// ```
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until `run` or `check`"]
pub struct Builder {
    seed: u64,
    setting: Setting,
}

impl Default for Builder {
    fn default() -> Self {
        let builder = runtime::Builder::new().root_stack(512 * 1024).warm_stacks(64).grace(Duration::from_secs(3600));
        let setting = Setting { net: NetOptions::default(), builder, time_limit: Duration::from_secs(24 * 3600) };
        Builder { seed: 0, setting }
    }
}

impl Builder {
    /// The defaults: seed 0, a network that loses nothing, a day of simulated time.
    pub fn new() -> Self {
        Self::default()
    }

    /// What decides everything that is left to chance in [`run`](Self::run).
    pub fn seed(self, seed: u64) -> Self {
        Builder { seed, ..self }
    }

    /// How the network behaves at first; [`Net::set_options`](super::Net::set_options) changes it later.
    pub fn net(mut self, options: NetOptions) -> Self {
        self.setting.net = options;
        self
    }

    /// A simulation that has not ended after so much time of its own has failed. A day unless said otherwise.
    pub fn time_limit(mut self, limit: Duration) -> Self {
        self.setting.time_limit = limit;
        self
    }

    /// Usable bytes of stack for tasks that do not say otherwise: see [`coop::Builder::stack`](crate::Builder::stack).
    pub fn stack(mut self, bytes: usize) -> Self {
        self.setting.builder = self.setting.builder.stack(bytes);
        self
    }

    /// Runs `f` as the root task of a simulation, on the calling thread, and returns what it returned when every task has ended.
    ///
    /// # Panics
    /// With the panic of `f`. And in a task, for there is a Cooperator on the thread already; when the simulation deadlocks or takes
    /// too long; when a task that was not killed panics and nobody joins it.
    #[track_caller]
    pub fn run<F, R>(self, f: F) -> R
    where
        F: FnOnce() -> R,
    {
        self.traced(f).0
    }

    /// As [`run`](Self::run); gives also what happened in the network and to hosts, and a digest of that and of every choice: the
    /// same for the same seed.
    ///
    /// ```
    /// use coop::{net::UdpSocket, sim};
    /// let ((), trace) = sim::Builder::new().seed(3).traced(|| {
    ///     let socket = UdpSocket::bind("10.0.0.1:53").unwrap();
    ///     socket.send_to(b"hello", "10.0.0.1:53").unwrap();
    ///     socket.recv_from(&mut [0; 5]).unwrap();
    ///     sim::note("done");
    /// });
    /// assert!(trace.lines[0].ends_with("10.0.0.1:53 -> 10.0.0.1:53: a datagram of 5 bytes"), "{:?}", trace.lines);
    /// assert!(trace.lines[1].ends_with("done"));
    /// ```
    ///
    /// # Panics
    /// As [`run`](Self::run).
    #[track_caller]
    pub fn traced<F, R>(self, f: F) -> (R, Trace)
    where
        F: FnOnce() -> R,
    {
        refuse_in_task();
        let watching = Watching { keeps: true, is_quiet: false };
        let mut spare = SpareStacks::default();
        let Attempt { result, hash, lines, .. } =
            attempt(&self.setting, self.seed, &Quieted::default(), watching, &mut spare, f);
        match result {
            Ok(value) => (value, Trace { hash, lines }),
            Err(Failure { payload: Some(payload), .. }) => {
                eprintln!("the simulation with seed {} has failed:\n{}", self.seed, report::events(&lines));
                resume_unwind(payload)
            }
            Err(Failure { text, .. }) => {
                panic!("the simulation with seed {} has failed: {text}\n{}", self.seed, report::events(&lines))
            }
        }
    }

    /// Runs `f` once for each seed, each time in a simulation of its own. Of the first that fails it finds out which choices the
    /// failure needs, and panics with a report: what failed, how to see it again, what was left to chance, and what happened.
    ///
    /// With `COOP_SEED` in the environment only that seed is run. One in a hundred seeds is run twice, and the first: what does not
    /// happen again in the same way is a failure too, since then no seed is worth anything.
    ///
    /// # Panics
    /// With the report of the first failure. And in a task.
    #[track_caller]
    pub fn check<F, R>(&self, seeds: impl IntoIterator<Item = u64>, f: F)
    where
        F: Fn() -> R,
        R: Verdict,
    {
        refuse_in_task();
        let mut spare = SpareStacks::default();
        match std::env::var(report::SEED) {
            Ok(text) => match text.trim().parse() {
                Ok(seed) => self.check_one(seed, true, &mut spare, &f),
                Err(_) => panic!("{}={text} is not a number", report::SEED),
            },
            Err(_) => {
                for (index, seed) in seeds.into_iter().enumerate() {
                    self.check_one(seed, index % 100 == 0, &mut spare, &f);
                }
            }
        }
    }

    #[track_caller]
    fn check_one<R: Verdict>(&self, seed: u64, twice: bool, spare: &mut SpareStacks, f: &impl Fn() -> R) {
        let setting = &self.setting;
        let mut run = |watching| attempt(setting, seed, &Quieted::default(), watching, spare, || f().verdict());
        // The panics of the first are printed with the report.
        let quietly = |keeps| Watching { keeps, is_quiet: true };
        let first = run(quietly(false));
        if twice && run(quietly(false)).hash != first.hash {
            let [one, other] = [run(quietly(true)).lines, run(quietly(true)).lines];
            panic!("{}", report::differing(seed, &one, &other));
        }
        let Some(identity) = identity(&first).map(str::to_owned) else { return };
        let shrunk = shrink(setting, seed, &identity, first.taken.clone(), spare, f);
        panic!("{}", report::failed(seed, &first, &shrunk));
    }
}

#[track_caller]
fn refuse_in_task() {
    assert!(Cooperator::current().is_none(), "a simulation runs on a thread of its own, not in a task");
}

/// What has happened in a simulation.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Trace {
    /// A digest of all that has happened, and of every choice.
    pub hash: u64,
    /// What has happened in the network, to hosts, and what was [noted](super::note): a line each, with the time since the start.
    pub lines: Vec<String>,
}
