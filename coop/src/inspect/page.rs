//! What the status page shows.

use super::answer::pick_up;
use super::dump::{Advice, Snapshot, Tree};
use super::metrics::{CooperatorMetrics, Metrics, metrics};
use super::roll::{self, ask};
use super::text::Html;
use super::timeline::{self, Timeline, Trace};
use crate::cooperator::Cooperator;
use crate::error::Killed;
use crate::fiber::State;
use crate::task::Statistics;
use crate::time::sleep;
use std::fmt::Write;
use std::time::Duration;

/// How long the picture of the timeline is.
const SPAN: Duration = Duration::from_millis(100);

/// How many tasks of a Cooperator are shown.
const MOST_TASKS: usize = 1000;

/// The whole page.
pub(super) fn page() -> Result<String, Killed> {
    Ok(format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>coop</title>\
         <meta name=\"viewport\" content=\"width=device-width\"><style>{}</style></head><body>\
         <header><h1>coop</h1><span class=\"dim\">process {}, <span id=\"live\">live</span></span>\
         <nav><a href=\"/dump\">dump</a><a href=\"/metrics\">metrics</a><a href=\"/timeline.json\">timeline.json</a></nav></header>\
         <main>{}</main><script>{}</script></body></html>",
        include_str!("page.css"),
        std::process::id(),
        state()?,
        include_str!("page.js"),
    ))
}

/// What changes of it.
pub(super) fn state() -> Result<String, Killed> {
    let trace = trace()?;
    let trees = trees()?;
    let metrics = metrics();
    let mut html = String::new();
    for cooperator in &metrics.cooperators {
        numbers(&mut html, cooperator);
    }
    let _ = write!(
        html,
        "<h2>Timeline</h2><div class=\"card\">{}<p class=\"legend dim\"><span><i style=\"background:var(--run)\"></i>running</span>\
         <span><i style=\"background:var(--ready)\"></i>ready</span><span><i style=\"background:var(--wait)\"></i>waiting</span>\
         <span><i style=\"background:var(--dim)\"></i>in the kernel</span></p></div>",
        trace.picture(SPAN.as_nanos() as u64)
    );
    kinds(&mut html, &metrics);
    for (name, tree) in &trees {
        tasks(&mut html, name, tree.as_ref());
    }
    Ok(html)
}

/// The trees of all Cooperators, with their names, as text.
pub(super) fn dump() -> Result<String, Killed> {
    let mut text = String::new();
    for (name, tree) in trees()? {
        match tree {
            Some(tree) => _ = write!(text, "Cooperator '{name}', {} tasks:\n{tree}\n", tree.tasks.len()),
            None => _ = writeln!(text, "Cooperator '{name}': its loop does not get its turn\n"),
        }
    }
    let _ = write!(text, "{Advice}");
    Ok(text)
}

/// What is recorded already; or else what happens from now on, for as long as a picture is.
pub(super) fn trace() -> Result<Trace, Killed> {
    match Timeline::start() {
        Ok(timeline) => {
            sleep(SPAN)?;
            Ok(timeline.stop())
        }
        Err(_) => {
            // Of another request, most likely.
            sleep(SPAN)?;
            Ok(timeline::snapshot().unwrap_or(Trace { tracks: Vec::new() }))
        }
    }
}

/// The trees of all Cooperators. `None`: its loop has not had its turn.
fn trees() -> Result<Vec<(String, Option<Tree>)>, Killed> {
    const PATIENCE: u32 = 100;
    let own = Cooperator::required();
    let others: Vec<u64> = roll::members().iter().map(|member| member.id).filter(|id| *id != own.id).collect();
    roll::members().iter().filter(|member| others.contains(&member.id)).for_each(|member| member.ask(ask::SHOW));
    for _ in 0..PATIENCE {
        let is_missing = |member: &roll::Member| others.contains(&member.id) && member.is_asked(ask::SHOW);
        let missing = roll::members().iter().filter(|member| is_missing(member)).map(roll::Member::wake).count();
        if missing == 0 {
            break;
        }
        sleep(Duration::from_millis(2))?;
    }
    let mut names: Vec<(u64, String)> =
        roll::members().iter().map(|member| (member.id, member.name.to_string())).collect();
    names.sort_unstable();
    Ok(names
        .into_iter()
        .map(|(id, name)| (name, if id == own.id { Some(Tree::of(own)) } else { pick_up(id) }))
        .collect())
}

fn numbers(html: &mut String, c: &CooperatorMetrics) {
    let _ = write!(
        html,
        "<h2>Cooperator {} <span class=\"dim\">thread {}</span></h2><div class=\"card\"><dl>",
        Html(&c.name),
        c.thread_id
    );
    let ring = &c.ring;
    let cpu = format!("{:.2} s", c.cpu_time.as_secs_f64());
    let entries: [(&str, String, bool); 20] = [
        ("tasks live", c.live_tasks.to_string(), false),
        ("ready", c.ready_tasks.to_string(), false),
        ("spawned", c.spawned_tasks.to_string(), false),
        ("switches", c.switches.to_string(), false),
        ("loop turns", c.loop_turns.to_string(), false),
        ("processor time", cpu, false),
        ("timers", c.timers.to_string(), false),
        ("stacks in use", c.stacks.to_string(), false),
        ("stacks warm", c.warm_stacks.to_string(), false),
        ("refused waits", c.refused_waits.to_string(), false),
        ("orphan panics", c.orphan_panics.to_string(), c.orphan_panics != 0),
        ("stalls", c.stalls.to_string(), c.stalls != 0),
        ("ring", ring.driver.to_string(), false),
        ("in flight", ring.in_flight.to_string(), false),
        ("submissions", ring.submissions.to_string(), false),
        ("completions", ring.completions.to_string(), false),
        ("enters", ring.enters.to_string(), false),
        ("cancels", ring.cancels.to_string(), false),
        ("strays", ring.strays.to_string(), false),
        ("overflows", ring.overflows.to_string(), ring.overflows != 0),
    ];
    for (name, value, is_bad) in entries {
        let class = if is_bad { " class=\"bad\"" } else { "" };
        let _ = write!(html, "<div><dt>{name}</dt><dd{class}>{value}</dd></div>");
    }
    html.push_str("</dl></div>");
}

fn bar(used: usize, size: usize) -> String {
    let percent = (used * 100).checked_div(size).unwrap_or(0).min(100);
    let hot = if percent > 75 { " hot" } else { "" };
    format!(
        "<span class=\"bar{hot}\"><i style=\"width:{percent}%\"></i></span> <span class=\"dim\">{} of {} KiB</span>",
        used.div_ceil(1024),
        size / 1024
    )
}

fn kinds(html: &mut String, metrics: &Metrics) {
    html.push_str(
        "<h2>Kinds of tasks</h2><div class=\"card\"><table><tr><th>kind<th class=\"num\">live<th class=\"num\">spawned\
         <th class=\"num\">killed<th class=\"num\">panicked<th>deepest stack<th>advice</tr>",
    );
    let mut kinds: Vec<&Statistics> = metrics.kinds.iter().collect();
    kinds.sort_by_key(|kind| std::cmp::Reverse((kind.live, kind.spawned)));
    for kind in kinds {
        let place = if kind.file.is_empty() { String::new() } else { format!("{}:{}", kind.file, kind.line) };
        let (advice, bad) = (kind.stack_advice(), if kind.panicked == 0 { "" } else { " bad" });
        let advice = advice.map_or(String::new(), |advice| advice.to_string());
        let _ = write!(
            html,
            "<tr><td><b>{}</b> <code class=\"dim\">{}</code><td class=\"num\">{}<td class=\"num\">{}<td class=\"num\">{}\
             <td class=\"num{bad}\">{}<td>{}<td><code>{}</code></tr>",
            Html(kind.name),
            Html(&place),
            kind.live,
            kind.spawned,
            kind.killed,
            kind.panicked,
            if kind.deepest_stack == 0 { String::new() } else { bar(kind.deepest_stack, kind.stack_size) },
            Html(&advice)
        );
    }
    html.push_str("</table></div>");
}

fn tasks(html: &mut String, name: &str, tree: Option<&Tree>) {
    let _ = write!(html, "<h2>Tasks of Cooperator {}</h2><div class=\"card\">", Html(name));
    match tree {
        None => html.push_str("<span class=\"bad\">its loop does not get its turn</span>"),
        Some(tree) => {
            tree.tasks.iter().take(MOST_TASKS).for_each(|task| line(html, name, task));
            if let Some(more @ 1..) = tree.tasks.len().checked_sub(MOST_TASKS) {
                let _ =
                    write!(html, "<div class=\"task dim\">and {more} more: see <a href=\"/dump\">the dump</a></div>");
            }
        }
    }
    html.push_str("</div>");
}

fn line(html: &mut String, cooperator: &str, task: &Snapshot) {
    let mut summary = format!("<b>{}</b> <span class=\"dim\">#{}</span> ", Html(task.name), task.id);
    match (&task.wait, task.state) {
        (Some(wait), _) => {
            let _ = write!(
                summary,
                "<span class=\"pill\">{}</span> <span class=\"dim\">for {:.1?}, at <code>{}</code></span>",
                Html(&wait.reason),
                wait.since,
                Html(&wait.place.to_string())
            );
        }
        (None, State::Active) if task.is_running => summary.push_str("<span class=\"pill running\">running</span>"),
        (None, State::Active) => summary.push_str("<span class=\"pill ready\">ready</span>"),
        (None, _) => summary.push_str("<span class=\"pill\">ended</span>"),
    }
    if let Some(cause) = task.killed {
        let _ = write!(summary, " <span class=\"pill killed\">killed: {}</span>", Html(&cause.to_string()));
    }
    for (region, is_expired) in &task.regions {
        let _ =
            write!(summary, " <span class=\"pill\">in {region}{}</span>", if *is_expired { ", expired" } else { "" });
    }
    if let Some((used, size)) = task.stack {
        let _ = write!(summary, " {}", bar(used, size));
    }
    let indent = task.depth.min(40) * 22;
    let frames = task.wait.as_ref().map_or(&[][..], |wait| &wait.frames);
    if frames.is_empty() {
        let _ = write!(
            html,
            "<div class=\"task\" style=\"margin-left:{indent}px\"><div class=\"leaf\">{summary}</div></div>"
        );
        return;
    }
    let mut trace = String::new();
    for frame in frames {
        let _ = writeln!(trace, "{}", frame.function);
        if let Some(place) = &frame.place {
            let _ = writeln!(trace, "    at {place}");
        }
    }
    let _ = write!(
        html,
        "<div class=\"task\" style=\"margin-left:{indent}px\"><details id=\"{}-{}\"><summary>{summary}</summary><pre>{}</pre></details></div>",
        Html(cooperator),
        task.id,
        Html(&trace)
    );
}
