//! Metrics in the text exposition format of Prometheus, version 0.0.4.

use super::metrics::{CooperatorMetrics, Metrics};
use crate::task::Statistics;
use std::fmt::{self, Write};

/// One metric: its name, what it says, whether it only grows, and how to read it.
struct Metric<T> {
    name: &'static str,
    help: &'static str,
    is_counter: bool,
    read: fn(&T) -> f64,
}

const fn counter<T>(name: &'static str, help: &'static str, read: fn(&T) -> f64) -> Metric<T> {
    Metric { name, help, is_counter: true, read }
}

const fn gauge<T>(name: &'static str, help: &'static str, read: fn(&T) -> f64) -> Metric<T> {
    Metric { name, help, is_counter: false, read }
}

const COOPERATOR: &[Metric<CooperatorMetrics>] = &[
    counter("coop_cpu_seconds_total", "Processor time of the thread.", |c| c.cpu_time.as_secs_f64()),
    gauge("coop_tasks_live", "Tasks spawned and not ended.", |c| c.live_tasks as f64),
    counter("coop_tasks_spawned_total", "Tasks ever spawned.", |c| c.spawned_tasks as f64),
    gauge("coop_tasks_ready", "Tasks that could run, and wait for their turn.", |c| c.ready_tasks as f64),
    counter("coop_switches_total", "How often a task was switched to.", |c| c.switches as f64),
    counter("coop_wakes_total", "How often a task became ready.", |c| c.wakes as f64),
    counter("coop_loop_turns_total", "Turns of the loop.", |c| c.loop_turns as f64),
    gauge("coop_timers", "Timers that run.", |c| c.timers as f64),
    gauge("coop_stacks_in_use", "Stacks in use.", |c| c.stacks as f64),
    gauge("coop_stacks_warm", "Unused stacks that keep their memory.", |c| c.warm_stacks as f64),
    counter("coop_refused_waits_total", "Waits refused because the task was killed.", |c| c.refused_waits as f64),
    counter("coop_orphan_panics_total", "Panics that nobody has heard of.", |c| c.orphan_panics as f64),
    counter("coop_stalls_total", "Tasks reported by the watchdog.", |c| c.stalls as f64),
    counter("coop_ring_submissions_total", "Operations handed to the ring.", |c| c.ring.submissions as f64),
    counter("coop_ring_completions_total", "Completions delivered.", |c| c.ring.completions as f64),
    gauge("coop_ring_in_flight", "Operations whose last completion is still to come.", |c| c.ring.in_flight as f64),
    counter("coop_ring_cancels_total", "Operations asked to end early.", |c| c.ring.cancels as f64),
    counter("coop_ring_enters_total", "How often the kernel was entered.", |c| c.ring.enters as f64),
    counter("coop_ring_strays_total", "Completions that belonged to no operation.", |c| c.ring.strays as f64),
    counter("coop_ring_overflows_total", "Enters with an overflowed completion queue.", |c| c.ring.overflows as f64),
];

const KIND: &[Metric<Statistics>] = &[
    gauge("coop_kind_tasks_live", "Tasks of the kind spawned and not ended.", |k| k.live as f64),
    counter("coop_kind_tasks_spawned_total", "Tasks of the kind ever spawned.", |k| k.spawned as f64),
    counter("coop_kind_tasks_killed_total", "Tasks that had been killed when their body ended.", |k| k.killed as f64),
    counter("coop_kind_tasks_panicked_total", "Tasks that ended by a panic.", |k| k.panicked as f64),
    gauge("coop_kind_stack_deepest_bytes", "The deepest stack seen of the kind.", |k| k.deepest_stack as f64),
    gauge("coop_kind_stack_size_bytes", "The size of that stack.", |k| k.stack_size as f64),
    gauge("coop_kind_stack_advised_bytes", "What to write for the stack instead; 0: nothing else.", |k| {
        match k.stack_advice() {
            Some(crate::task::StackAdvice::Raise { to } | crate::task::StackAdvice::Lower { to }) => to as f64,
            None => 0.0,
        }
    }),
];

impl Metrics {
    /// The metrics as Prometheus scrapes them: its text format, version 0.0.4, to be served as
    /// `text/plain; version=0.0.4; charset=utf-8`.
    ///
    /// Names begin with `coop_`. What is of a Cooperator is labelled with its name and its number (several may have one name), what
    /// is of a kind of task with name, module, file and line.
    ///
    /// ```
    /// let text = coop::run(|| coop::inspect::metrics().to_prometheus());
    /// assert!(text.contains("\n# TYPE coop_tasks_live gauge\ncoop_tasks_live{cooperator="));
    /// ```
    pub fn to_prometheus(&self) -> String {
        let mut text = String::new();
        for metric in COOPERATOR {
            let rows = self.cooperators.iter().map(|cooperator| {
                let id = cooperator.id.to_string();
                let labels = Labels::new().with("cooperator", &cooperator.name).with("id", &id);
                (labels, (metric.read)(cooperator))
            });
            family(&mut text, metric, rows);
        }
        let rings = self.cooperators.iter().map(|cooperator| {
            let id = cooperator.id.to_string();
            let labels = Labels::new().with("cooperator", &cooperator.name).with("id", &id);
            (labels.with("driver", cooperator.ring.driver), 1.0)
        });
        let info = gauge::<()>("coop_ring_info", "By what the kernel is reached.", |()| 1.0);
        family(&mut text, &info, rings);
        for metric in KIND {
            let mut seen: Vec<(&str, &str, &str, u32)> = Vec::new();
            let rows = self.kinds.iter().filter_map(|kind| {
                // Closures of several makes, and functions expanded in one place, have the same labels: their first stands for them
                // in gauges of depth, and their sum in what can be summed.
                let key = (kind.name, kind.module, kind.file, kind.line);
                if seen.contains(&key) {
                    return None;
                }
                seen.push(key);
                let same = || self.kinds.iter().filter(|k| (k.name, k.module, k.file, k.line) == key);
                let value = match metric.name.contains("_stack_") {
                    true => (metric.read)(same().max_by_key(|kind| kind.deepest_stack).unwrap_or(kind)),
                    false => same().map(metric.read).sum(),
                };
                let line = kind.line.to_string();
                let labels = Labels::new().with("kind", kind.name).with("module", kind.module);
                Some((labels.with("file", kind.file).with("line", &line), value))
            });
            family(&mut text, metric, rows);
        }
        text
    }
}

/// A metric with its samples. Without any, nothing: a name without samples says nothing to anybody.
fn family<T>(text: &mut String, metric: &Metric<T>, rows: impl Iterator<Item = (Labels, f64)>) {
    let mut rows = rows.peekable();
    if rows.peek().is_none() {
        return;
    }
    let kind = if metric.is_counter { "counter" } else { "gauge" };
    let _ = writeln!(text, "# HELP {} {}\n# TYPE {} {kind}", metric.name, metric.help, metric.name);
    for (labels, value) in rows {
        let _ = writeln!(text, "{}{labels} {value}", metric.name);
    }
}

/// `{name="value",…}`.
struct Labels(String);

impl Labels {
    fn new() -> Self {
        Labels(String::new())
    }

    fn with(mut self, name: &str, value: &str) -> Self {
        let comma = if self.0.is_empty() { "" } else { "," };
        let _ = write!(self.0, "{comma}{name}=\"");
        for character in value.chars() {
            match character {
                '\\' => self.0.push_str("\\\\"),
                '"' => self.0.push_str("\\\""),
                '\n' => self.0.push_str("\\n"),
                other => self.0.push(other),
            }
        }
        self.0.push('"');
        self
    }
}

impl fmt::Display for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{{{}}}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn label_values_are_escaped_and_nothing_else_is() {
        let labels = Labels::new().with("a", "back\\slash \"quoted\"\nnew line").with("b", "ü {}=,");
        assert_eq!(labels.to_string(), r#"{a="back\\slash \"quoted\"\nnew line",b="ü {}=,"}"#);
    }
}
