//! Where figures come from: said at the head of every file of them, so that page and run cannot part.

use crate::harness::Plan;
use std::process::Command;

/// The workspace's lock file: what was linked.
const LOCK: &str = include_str!("../../Cargo.lock");
const PEERS: &[&str] =
    &["tokio", "monoio", "glommio", "compio", "smol", "may", "corosensei", "generator", "local-sync", "io-uring"];

/// The machine, the compiler, the peers' versions, how busy it was, and how it was measured.
pub fn paragraph(plan: &Plan) -> String {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let info = read("/proc/cpuinfo");
    let field =
        |name: &str| info.lines().find_map(|line| line.strip_prefix(name)?.split_once(": ")).map(|(_, value)| value);
    let model = field("model name").unwrap_or("a processor without a name");
    let family = field("cpu family")
        .zip(field("model\t"))
        .map_or(String::new(), |(family, model)| format!(", family {family} model {model}"));
    let cores = info.lines().filter(|line| line.starts_with("processor")).count();
    let release = read("/proc/sys/kernel/osrelease");
    // Only digits and dots: what follows is the builder's affair.
    let kernel: String = release.chars().take_while(|c| c.is_ascii_digit() || *c == '.').collect();
    let load = read("/proc/loadavg");
    let load = load.split(' ').next().unwrap_or("?");
    let versions: Vec<String> = PEERS.iter().filter_map(|name| Some(format!("{name} {}", version(name)?))).collect();
    format!(
        "{model}{family}; {cores} cores; Linux {}; {}; {}. {} rounds, sides interleaved; load at the end {load} \
         (1 is this run's own).\n",
        kernel.trim_end_matches('.'),
        compiler(),
        versions.join(", "),
        plan.samples,
    )
}

/// What the lock file says of a package: its newest version, if there are several.
fn version(package: &str) -> Option<&'static str> {
    let entries = LOCK.split("[[package]]");
    let found = entries.filter(|entry| entry.lines().nth(1) == Some(&format!("name = \"{package}\"")));
    found.last()?.lines().nth(2)?.strip_prefix("version = \"")?.strip_suffix('"')
}

fn compiler() -> String {
    let compiler = std::env::var("RUSTC").unwrap_or("rustc".to_owned());
    let output = Command::new(compiler).arg("--version").output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    text.split(" (").next().unwrap_or_default().trim().to_owned()
}
