//! Kills a part of a tree of tasks, and prints who meets the kill, in which order, and how everything ends.
//!
//! ```text
//! cargo run -p examples --bin tree                    at once, in virtual time: the same output every time
//! cargo run -p examples --bin tree -- --backtraces    also where in its code each task waits
//! cargo run -p examples --bin tree -- --pace 2        in real time, to watch; ctrl-c cuts it short
//! ```
//!
//! The tree, in which `site` is killed:
//!
//! ```text
//!   root ──┬── clock                       survives
//!          └── site ──┬── index            has something to save: a shield gives it the time
//!                     ├── scribe           takes no notice, and is told again
//!                     └── scope ──┬── receiver   waits for a socket
//!                                 ├── hurried    waits within a time limit
//!                                 └── gatherer ── scope ── part
//! ```

use std::{io, process::ExitCode, time::Duration};

use clap::Parser;
use coop::{JoinError, Killed, TaskBuilder, net::UnixStream, op, signal::Signal};
use examples::say;

/// Longer than anything here takes.
const LONG: Duration = Duration::from_secs(3600);

/// Kills a part of a tree of tasks and prints what happens.
#[derive(Parser, Clone, Debug)]
#[command(name = "tree")]
struct Options {
    /// Prints also where in its code each task waits
    #[arg(long)]
    backtraces: bool,

    /// Plays in real time, with this many seconds between the steps, instead of in virtual time
    #[arg(long, value_name = "SECONDS", value_parser = examples::seconds)]
    pace: Option<Duration>,
}

fn main() -> ExitCode {
    let options = Options::parse();
    let mut builder = coop::Builder::new();
    if options.pace.is_none() {
        builder = builder.virtual_time();
    }
    let ended = match builder.run(|| story(&options)) {
        Ok(ended) => ended,
        Err(error) => Err(io::Error::other(error)),
    };
    // The root has returned, so nothing is left.
    say("\nHow they ended:");
    let mut kinds = coop::descriptions();
    kinds.retain(|kind| kind.module == module_path!());
    kinds.sort_by_key(|kind| kind.line);
    for kind in kinds {
        say(format_args!("  {}: {} spawned, {} killed, {} left", kind.name, kind.spawned, kind.killed, kind.live));
    }
    examples::exit("tree", ended)
}

/// The root task.
fn story(options: &Options) -> io::Result<()> {
    let ctrl_c = coop::signal::ctrl_c()?;
    clock::spawn();
    let mut site = site::spawn();
    say("The tasks are spawned, and begin to wait.");
    if !next_step(options, &ctrl_c)? {
        return Ok(());
    }
    say("\nThe tree:");
    print_tree(options);

    if !next_step(options, &ctrl_c)? {
        return Ok(());
    }
    say("\nsite is killed:");
    site.kill();
    site.join()?;
    tell("has joined site: nothing of it is left");

    if !next_step(options, &ctrl_c)? {
        return Ok(());
    }
    say("\nThe tree:");
    print_tree(options);
    say("\nThe root returns:");
    Ok(())
}

/// Lets time go by. False if ctrl-c came meanwhile.
fn next_step(options: &Options, ctrl_c: &Signal) -> io::Result<bool> {
    let go_on = coop::select! {
        _ = op::after(options.pace.unwrap_or(Duration::from_secs(1))) => true,
        _ = op::signal(ctrl_c) => {
            say("\nctrl-c: the root returns early:");
            false
        }
    }?;
    Ok(go_on)
}

fn print_tree(options: &Options) {
    for line in coop::dump().lines() {
        let is_backtrace = line.trim_start().starts_with('|');
        if options.backtraces || !is_backtrace {
            say(format_args!("  {line}"));
        }
    }
}

/// Prints a line of the trace, as the task that runs.
fn tell(what: impl std::fmt::Display) {
    let task = coop::current();
    say(format_args!("  {} {}: {what}", task.name(), task.id()));
}

/// Prints what a wait was refused with.
fn meets<E: std::fmt::Display>(error: &E) {
    tell(error);
}

/// Somebody whom the kill of `site` does not concern.
#[coop::task]
fn clock() -> Result<(), Killed> {
    coop::sleep(LONG).inspect_err(meets)
}

/// The top of the part that is killed.
#[coop::task]
fn site() {
    index::spawn();
    scribe::spawn();
    let ended = coop::scope(|s| -> Result<(), Killed> {
        receiver::spawn_in(s);
        hurried::spawn_in(s);
        gatherer::spawn_in(s);
        coop::sleep(LONG).inspect_err(meets)
    });
    if ended.is_err() {
        tell("its scope is over: the three tasks in it have ended");
    }
    // The kill stays: what is spawned from now on is born killed, and its body never runs.
    let mut late = receiver::spawn();
    // A join is a wait like any other, and would be refused.
    match coop::shield(LONG, || late.join()) {
        Err(JoinError::NeverRan) => tell("a task that it spawns now never runs"),
        _ => tell("a task that it spawned when it was killed has run"),
    }
    tell("returns, and its other children are awaited");
}

/// Has something to save.
#[coop::task]
fn index() -> Result<(), Killed> {
    let ended = coop::sleep(LONG).inspect_err(meets);
    coop::shield(Duration::from_secs(5), || {
        coop::sleep(Duration::from_millis(20))?;
        tell("has saved what it had, behind a shield");
        Ok(())
    })?;
    ended
}

/// Takes no notice of its kill, which is therefore told again at each wait.
#[coop::task]
fn scribe() {
    let mut refused = 0;
    while refused < 3 {
        if coop::sleep(LONG).is_err() {
            refused += 1;
            tell(format_args!("ignores its kill, time {refused}"));
        }
    }
}

/// Waits for the kernel, which lets go of the buffer before the wait is over.
#[coop::task]
fn receiver() -> io::Result<usize> {
    let _in_the_end = Told("has dropped its sockets");
    let (ours, _theirs) = UnixStream::pair()?;
    let mut buf = [0; 64];
    ours.recv(&mut buf).inspect_err(meets)
}

/// Waits within a time limit: that is not what ends it, and it does not say so.
#[coop::task]
fn hurried() -> io::Result<()> {
    coop::timeout(Duration::from_secs(60), || Ok(coop::sleep(LONG)?)).inspect_err(meets)
}

/// Waits for a child that borrows from it, and so must end first.
#[coop::task]
fn gatherer() {
    let mut result = None;
    coop::wait_all(|s| {
        TaskBuilder::new().name("part").spawn_in(s, || {
            result = Some(coop::sleep(LONG).inspect_err(meets));
        });
    });
    if let Some(Err(_)) = result {
        tell("its child has ended");
    }
}

/// Tells something when it is dropped: destructors run in killed tasks.
struct Told(&'static str);

impl Drop for Told {
    fn drop(&mut self) {
        tell(self.0);
    }
}
