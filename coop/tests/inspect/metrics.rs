//! Counters: each counts what it says, from any thread, and in Prometheus's words.

use super::child;
use coop::inspect::{CooperatorMetrics, metrics};
use coop::{Builder, Statistics};
use std::collections::BTreeMap;
use std::io::Write;
use std::process::{Command, Stdio};
use std::time::Duration;

/// Those of the Cooperator with this name.
fn of(name: &str) -> CooperatorMetrics {
    let mut all = metrics().cooperators;
    all.retain(|cooperator| cooperator.name == name);
    assert_eq!(all.len(), 1);
    all.remove(0)
}

#[test]
fn each_counter_counts_what_it_says() {
    Builder::new()
        .name("counted")
        .run(|| {
            let before = of("counted");
            assert_eq!((before.live_tasks, before.spawned_tasks, before.stacks, before.timers), (1, 1, 1, 0));
            let sleepers: Vec<_> = (0..3).map(|_| coop::spawn(|| coop::sleep(Duration::from_secs(3600)))).collect();
            assert_eq!(of("counted").ready_tasks, 3, "spawned, and not begun");
            coop::yield_now().unwrap();
            let now = of("counted");
            assert_eq!((now.live_tasks, now.spawned_tasks, now.stacks, now.timers), (4, 4, 4, 3));
            assert_eq!(now.ready_tasks, 0);
            assert_eq!(now.switches - before.switches, 4, "three that sleep, and the root");
            assert_eq!(now.wakes - before.wakes, 4, "three that were spawned, and the root");

            let (near, far) = coop::net::UnixStream::pair().unwrap();
            let mut reader = coop::spawn(move || near.recv(&mut [0; 1]));
            coop::sleep(Duration::from_millis(1)).unwrap();
            let waiting = of("counted").ring;
            assert_eq!(waiting.in_flight, 1);
            far.send_all(b"x").unwrap();
            reader.join().unwrap().unwrap();
            let after = of("counted").ring;
            assert_eq!((after.in_flight, after.strays, after.overflows), (0, 0, 0));
            assert!(after.submissions >= 1 && after.completions >= after.submissions && after.enters >= 1, "{after:?}");
            assert_eq!(after.driver, std::env::var("COOP_DRIVER").unwrap_or_else(|_| "uring".into()));

            sleepers.iter().for_each(coop::JoinHandle::kill);
            for mut sleeper in sleepers {
                assert!(sleeper.join().unwrap().is_err());
            }
            let refused = of("counted").refused_waits;
            let mut stubborn = coop::spawn(|| {
                while coop::kill_cause().is_none() || coop::yield_now().is_ok() {
                    let _ = coop::yield_now();
                }
            });
            coop::yield_now().unwrap();
            stubborn.kill();
            stubborn.join().unwrap();
            assert!(of("counted").refused_waits > refused);
            let end = of("counted");
            assert_eq!((end.live_tasks, end.timers), (1, 0));
            assert!(end.loop_turns >= 2 && end.warm_stacks >= 1 && end.cpu_time > Duration::ZERO, "{end:?}");
        })
        .unwrap();
    assert!(metrics().cooperators.iter().all(|cooperator| cooperator.name != "counted"), "it has ended");
}

#[test]
fn every_thread_sees_every_cooperator() {
    let (tx, rx) = std::sync::mpsc::channel::<()>();
    let (says, heard) = std::sync::mpsc::channel();
    let thread = std::thread::spawn(move || {
        Builder::new().name("seen from outside").run(move || {
            says.send(()).unwrap();
            // It blocks its thread, and is seen all the same.
            rx.recv().unwrap();
        })
    });
    heard.recv().unwrap();
    assert_eq!(of("seen from outside").live_tasks, 1);
    tx.send(()).unwrap();
    thread.join().unwrap().unwrap();
}

#[test]
fn a_cooperator_that_nothing_wakes_gives_back_what_was_not_needed_for_a_while() {
    const BURST: u64 = 300;
    let (near, far) = std::os::unix::net::UnixStream::pair().unwrap();
    let (says, heard) = std::sync::mpsc::channel();
    let thread = std::thread::spawn(move || {
        Builder::new().name("bursts").warm_stacks(10).run(move || {
            let near = coop::net::UnixStream::from(std::os::fd::OwnedFd::from(near));
            let burst = || {
                coop::wait_all(|s| {
                    (0..BURST).for_each(|_| drop(s.spawn(coop::yield_now)));
                });
            };
            burst();
            let made = of("bursts").warm_stacks;
            // Idle for a moment, which is no reason to; unless the machine makes a second of it.
            let began = std::time::Instant::now();
            coop::sleep(Duration::from_millis(1)).unwrap();
            let kept = of("bursts").warm_stacks;
            says.send((made, if began.elapsed() < Duration::from_millis(900) { kept } else { made })).unwrap();
            assert_eq!(near.recv(&mut [0]).unwrap(), 1);
        })
    });
    assert_eq!(heard.recv().unwrap(), (BURST, BURST));
    let end = std::time::Instant::now() + Duration::from_secs(60);
    while of("bursts").warm_stacks > 10 {
        assert!(std::time::Instant::now() < end, "{:?}", of("bursts"));
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(of("bursts").warm_stacks, 10);
    (&far).write_all(b"x").unwrap();
    thread.join().unwrap().unwrap();
}

#[test]
fn no_spawn_of_many_threads_is_lost() {
    #[coop::task]
    fn counted_exactly() {}
    const THREADS: u64 = 4;
    const EACH: u64 = 5_000;
    let threads: Vec<_> = (0..THREADS)
        .map(|_| {
            std::thread::spawn(|| {
                coop::run(|| (0..EACH).for_each(|_| counted_exactly::spawn().join().unwrap()));
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    let kind = coop::descriptions().into_iter().find(|kind| kind.name == "counted_exactly").unwrap();
    let Statistics { spawned, live, killed, panicked, .. } = kind;
    assert_eq!((spawned, live, killed, panicked), (THREADS * EACH, 0, 0, 0));
}

/// Samples by name and labels, as they stand in the text; families with their types.
type Parsed = (BTreeMap<String, f64>, BTreeMap<String, String>);

/// A parser of the text format that takes nothing for granted: what is not well formed fails.
fn parse(text: &str) -> Parsed {
    let (mut samples, mut types) = (BTreeMap::new(), BTreeMap::new());
    let mut helped = String::new();
    assert!(text.ends_with('\n'));
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').unwrap();
            assert!(!help.is_empty());
            helped = name.to_owned();
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            assert_eq!(name, helped, "HELP stands before TYPE");
            assert_eq!(kind == "counter", name.ends_with("_total"), "{line}");
            assert!(types.insert(name.to_owned(), kind.to_owned()).is_none(), "a family stands together: {name}");
        } else {
            let (name, rest) = line.split_once('{').unwrap();
            assert_eq!(name, helped);
            assert!(name.starts_with("coop_") && name.chars().all(|c| c.is_ascii_lowercase() || c == '_'), "{name}");
            let end = end_of_labels(rest);
            let value = rest[end + 1..].trim().parse::<f64>().unwrap();
            assert!(samples.insert(format!("{name}{{{}}}", &rest[..end]), value).is_none(), "twice: {line}");
        }
    }
    (samples, types)
}

/// Where the closing brace stands, behind well-formed labels.
fn end_of_labels(text: &str) -> usize {
    let (mut in_text, mut escaped) = (false, false);
    for (at, character) in text.char_indices() {
        match character {
            _ if escaped => {
                assert!(matches!(character, '\\' | '"' | 'n'), "{text}");
                escaped = false;
            }
            '\\' if in_text => escaped = true,
            '"' => in_text = !in_text,
            '}' if !in_text => return at,
            _ => {}
        }
    }
    panic!("no end: {text}");
}

fn exposition() -> String {
    #[coop::task(name = "odd \"name\" \\ with\nall")]
    fn odd() {}
    Builder::new()
        .name("quote \" back \\ line\nend")
        .cooperators(2)
        .run(|| {
            odd::spawn().join().unwrap();
            coop::spawn(|| {}).join().unwrap();
            metrics().to_prometheus()
        })
        .unwrap()
}

#[test]
fn the_text_for_prometheus_is_well_formed_and_says_the_same() {
    let (samples, types) = parse(&exposition());
    assert!(types.len() >= 28, "{types:?}");
    let odd = samples.iter().find(|(name, _)| {
        name.starts_with("coop_kind_tasks_spawned_total{kind=\"odd \\\"name\\\" \\\\ with\\nall\",module=")
    });
    assert!(*odd.unwrap().1 >= 1.0);
    assert!(samples.keys().any(|name| name.contains("cooperator=\"quote \\\" back \\\\ line\\nend\"")));
    assert!(samples.keys().any(|name| name.starts_with("coop_ring_info{") && name.contains("driver=")));
}

#[test]
fn prometheus_own_parser_reads_it() {
    let python = "import sys\nfrom prometheus_client.parser import text_string_to_metric_families as parse\n\
        names = [(s.name, sorted(s.labels.items())) for f in parse(sys.stdin.read()) for s in f.samples]\n\
        assert len(names) == len({str(n) for n in names})\n\
        assert any(dict(l).get('kind') == 'odd \"name\" \\\\ with\\nall' for n, l in names), names\n\
        print(len(names))";
    let has = Command::new("/usr/bin/python3").args(["-c", "import prometheus_client"]).stderr(Stdio::null()).status();
    if !has.is_ok_and(|status| status.success()) {
        assert!(std::env::var_os("CI").is_none_or(|ci| ci != "true"), "python3-prometheus-client is not installed");
        eprintln!("skipped: python3-prometheus-client is not installed");
        return;
    }
    let text = exposition();
    let mut command = Command::new("/usr/bin/python3");
    let mut parser = command.args(["-c", python]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    parser.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = parser.wait_with_output().unwrap();
    assert!(output.status.success(), "{text}");
    let count: usize = String::from_utf8(output.stdout).unwrap().trim().parse().unwrap();
    assert_eq!(count, parse(&text).0.len(), "both have found as many");
}

#[test]
fn what_the_environment_says_must_be_understood() {
    for (variable, value) in [("COOP_WATCHDOG", "soon"), ("COOP_DUMP", "sigint"), ("COOP_STACKS", "1")] {
        let mut command = child::test(module_path!(), "says_why_it_cannot_start");
        command.env(variable, value);
        let error = child::run(command);
        assert!(error.contains(&format!("the environment has {variable}={value}")), "{error}");
    }
}

#[test]
#[ignore = "run by another test"]
fn says_why_it_cannot_start() {
    eprintln!("{}", Builder::new().run(|| ()).unwrap_err());
}
