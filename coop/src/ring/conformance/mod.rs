//! Whether the rings that stand in for the kernel's do what the kernel does: the same scripts, on each of them.
//!
//! A [`Scenario`] is a script of submissions, acts of a peer, cancels and entries, made by combining what there is of each. What may
//! come of it is known before it is run (the allowed set, from io_uring's documentation and what was measured): it is run on the
//! kernel's ring in both of its modes, on epoll, and on the simulated ring with many seeds, and each must stay within it. What the
//! kernel does must moreover be among what the simulator does, or programs would meet in production what no simulation has shown.
//!
//! ```text
//! cargo test -p coop --lib conformance -- --nocapture        prints what the running kernel does, and the others
//! ```

mod ahead;
mod bench;
mod files;
mod links;
mod sockets;
mod special;
mod zero_copy;

use super::{Chance, Driver, Epoll, Quieted, Simulated, TaskRun, Uring};
use bench::Bench;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

/// So many seeds of the simulator.
const SEEDS: u64 = 64;

/// What came of a script: of each operation what it said, in order.
type Outcome = Vec<(&'static str, i32)>;

/// An operation that has not ended when the script has.
const PENDING: i32 = i32::MAX;

/// A script, and what may come of it.
struct Scenario {
    /// What is combined, by which the table is grouped.
    family: &'static str,
    name: String,
    script: Box<dyn Fn(&mut Bench) -> Outcome>,
    is_allowed: Box<dyn Fn(&Outcome) -> bool>,
    /// Epoll forgets a file whose last descriptor is closed, where io_uring holds on to it: coop closes nothing that is waited for.
    is_for_epoll: bool,
}

impl Scenario {
    fn new(
        family: &'static str,
        name: impl Into<String>,
        script: impl Fn(&mut Bench) -> Outcome + 'static,
        is_allowed: impl Fn(&Outcome) -> bool + 'static,
    ) -> Self {
        Scenario {
            family,
            name: name.into(),
            script: Box::new(script),
            is_allowed: Box::new(is_allowed),
            is_for_epoll: true,
        }
    }
}

fn scenarios() -> Vec<Scenario> {
    let mut all = sockets::scenarios();
    all.extend(files::scenarios());
    all.extend(special::scenarios());
    all.extend(ahead::scenarios());
    all.extend(links::scenarios());
    all.extend(zero_copy::scenarios());
    all
}

/// An outcome, in the words of errno(3).
fn words(outcome: &Outcome) -> String {
    let word = |result: i32| match result {
        PENDING => "pending".to_owned(),
        // Of memory that was to be sent as it is.
        i32::MIN => "copied".to_owned(),
        result if result >= 0 => result.to_string(),
        error => match -error {
            libc::ECANCELED => "ECANCELED".to_owned(),
            libc::EINTR => "EINTR".to_owned(),
            libc::ENOENT => "ENOENT".to_owned(),
            libc::EALREADY => "EALREADY".to_owned(),
            libc::EBADF => "EBADF".to_owned(),
            libc::EINVAL => "EINVAL".to_owned(),
            libc::EPIPE => "EPIPE".to_owned(),
            libc::ECONNRESET => "ECONNRESET".to_owned(),
            libc::ECONNREFUSED => "ECONNREFUSED".to_owned(),
            libc::EAGAIN => "EAGAIN".to_owned(),
            libc::ENOTSOCK => "ENOTSOCK".to_owned(),
            libc::EEXIST => "EEXIST".to_owned(),
            libc::ENOTDIR => "ENOTDIR".to_owned(),
            libc::EISDIR => "EISDIR".to_owned(),
            libc::ENOTEMPTY => "ENOTEMPTY".to_owned(),
            libc::ENOBUFS => "ENOBUFS".to_owned(),
            libc::EFAULT => "EFAULT".to_owned(),
            libc::ENOTCONN => "ENOTCONN".to_owned(),
            libc::ETIME => "ETIME".to_owned(),
            libc::EIO => "EIO".to_owned(),
            libc::ENOMEM => "ENOMEM".to_owned(),
            libc::EOPNOTSUPP => "EOPNOTSUPP".to_owned(),
            other => format!("E{other}"),
        },
    };
    outcome.iter().map(|(what, result)| format!("{what}={}", word(*result))).collect::<Vec<_>>().join(" ")
}

fn simulated(seed: u64) -> Driver {
    Simulated::with(Rc::new(Chance::new(seed, &Quieted::default(), false)), None).into()
}

/// The rings of the kernel, by name; without io_uring, if that is refused here.
fn real() -> Vec<(&'static str, Driver)> {
    let uring = |mode| Uring::new(64, mode).ok().map(|ring| Driver::Uring(Box::new(ring)));
    let all = [
        ("io_uring", uring(TaskRun::Deferred)),
        ("io_uring, cooperative", uring(TaskRun::Cooperative)),
        ("epoll", Epoll::new().ok().map(|ring| Driver::Epoll(Box::new(ring)))),
    ];
    all.into_iter().filter_map(|(name, driver)| Some((name, driver?))).collect()
}

fn kernel() -> String {
    let read = |path| std::fs::read_to_string(path).unwrap_or_default().trim().to_owned();
    format!("Linux {}, {}", read("/proc/sys/kernel/osrelease"), std::env::consts::ARCH)
}

#[test]
fn the_simulator_and_epoll_do_what_the_kernel_may_do() {
    let all = scenarios();
    assert!(all.len() >= 300, "{} scenarios", all.len());
    let names: BTreeSet<&str> = all.iter().map(|scenario| &*scenario.name).collect();
    assert_eq!(names.len(), all.len(), "each has a name of its own");
    let mut failures = Vec::new();
    let mut families: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    let mut table = String::new();
    for scenario in &all {
        let mut seen = BTreeSet::new();
        let mut check = |ring: &str, outcome: &Outcome| {
            if !(scenario.is_allowed)(outcome) {
                failures.push(format!("{}, on {ring}: {} is not allowed", scenario.name, words(outcome)));
            }
        };
        // Files leave little to chance, and take longer.
        for seed in 0..if scenario.family == "files" { SEEDS / 4 } else { SEEDS } {
            let outcome =
                (scenario.script)(&mut Bench::new(simulated(seed), format!("{}, seed {seed}", scenario.name)));
            check(&format!("the simulator, seed {seed}"), &outcome);
            seen.insert(outcome);
        }
        let real: Vec<_> = real()
            .into_iter()
            .filter(|(name, _)| scenario.is_for_epoll || *name != "epoll")
            .map(|(name, driver)| {
                let outcome = (scenario.script)(&mut Bench::new(driver, format!("{}, on {name}", scenario.name)));
                check(name, &outcome);
                (name, outcome)
            })
            .collect();
        // In the other mode the kernel acts at every system call, also between those of a script.
        for (name, outcome) in real.iter().filter(|(name, _)| *name == "io_uring") {
            if !seen.contains(outcome) {
                let simulated: Vec<_> = seen.iter().map(words).collect();
                let text =
                    format!("{}: {name} says {}, the simulator only {simulated:?}", scenario.name, words(outcome));
                failures.push(text);
            }
        }
        let (count, outcomes) = families.entry(scenario.family).or_default();
        *count += 1;
        *outcomes += seen.len();
        table += &format!("{}\n", scenario.name);
        for (name, outcome) in &real {
            table += &format!("    {name:<22} {}\n", words(outcome));
        }
        table += &format!("    {:<22} {}\n", "simulator", seen.iter().map(words).collect::<Vec<_>>().join(" | "));
    }
    println!("What rings do, {}; {} scenarios, {SEEDS} seeds of the simulator each\n\n{table}", kernel(), all.len());
    for (family, (count, outcomes)) in families {
        println!("{family}: {count} scenarios, {outcomes} outcomes of the simulator's");
    }
    assert!(failures.is_empty(), "{} on {}:\n{}", failures.len(), kernel(), failures.join("\n"));
}
