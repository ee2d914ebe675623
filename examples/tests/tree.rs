//! The `tree` program: its output is the same every time, but for figures that depend on the build.

mod common;

use common::{Program, output};
use std::process::Command;

const TREE: &str = env!("CARGO_BIN_EXE_tree");

/// Takes out lines and columns of the source, and what tasks use of their stacks.
fn plain(text: &str) -> String {
    let mut plain = String::new();
    for line in text.lines() {
        let line = line.split_once(", stack ").map_or(line, |(before, _)| before);
        let mut rest = line;
        while let Some((before, place)) = rest.split_once("main.rs:") {
            plain.push_str(before);
            plain.push_str("main.rs");
            rest = place.trim_start_matches(|c: char| c.is_ascii_digit() || c == ':');
        }
        plain.push_str(rest);
        plain.push('\n');
    }
    plain
}

#[test]
fn who_meets_the_kill_in_which_order_and_how_everything_ends() {
    for _ in 0..10 {
        let (code, printed, errors) = output(TREE, &[]);
        assert_eq!((code, errors.as_str()), (Some(0), ""));
        assert_eq!(plain(&printed), include_str!("tree.txt"));
    }
}

#[test]
fn backtraces_name_the_functions_in_which_tasks_wait() {
    let (code, printed, errors) = output(TREE, &["--backtraces"]);
    assert_eq!((code, errors.as_str()), (Some(0), ""));
    let (before, _) = printed.split_once("site is killed:").expect("the steps are there");
    let after = |task: &str| {
        let (_, rest) = before.split_once(task).unwrap_or_else(|| panic!("no {task} in {before}"));
        let lines = rest.lines().skip(1).map(str::trim_start);
        lines.take_while(|line| line.starts_with('|')).collect::<Vec<_>>().join("\n")
    };
    for (task, function) in [
        ("clock #2", "clock"),
        ("site #3", "site"),
        ("receiver #6", "receiver"),
        ("hurried #7", "hurried"),
        ("gatherer #8", "gatherer"),
        ("part #9", "closure"),
    ] {
        let backtrace = after(task);
        assert!(backtrace.contains(function), "{task}: {backtrace}");
        // Nothing but functions of this program: neither the runtime's nor std's.
        let places = backtrace.lines().filter(|line| line.contains("| at "));
        assert!(places.clone().count() > 0, "{task}: {backtrace}");
        assert!(places.clone().all(|place| place.contains("tree/main.rs:")), "{task}: {backtrace}");
    }
    let without: String =
        printed.lines().filter(|line| !line.trim_start().starts_with('|')).map(|l| l.to_owned() + "\n").collect();
    assert_eq!(plain(&without), include_str!("tree.txt"));
}

#[test]
fn ctrl_c_cuts_it_short_and_still_tells_how_everything_ends() {
    let program = Program::spawn(Command::new(TREE).args(["--pace", "3600"]));
    assert_eq!(program.next_line(), "The tasks are spawned, and begin to wait.");
    let ended = program.stop();
    assert_eq!(ended.printed[..2], ["", "ctrl-c: the root returns early:"]);
    let printed = plain(&ended.printed.join("\n"));
    for line in [
        "  clock #2: task #2 was killed: shutdown\n",
        "  site #3: task #3 was killed: shutdown\n",
        "  receiver #6: has dropped its sockets\n",
        "  index #4: has saved what it had, behind a shield\n",
        "  gatherer: 1 spawned, 1 killed, 0 left\n",
    ] {
        assert!(printed.contains(line), "{printed}");
    }
}

#[test]
fn the_command_line_is_explained_and_its_mistakes_are_named() {
    let (code, printed, _) = output(TREE, &["--help"]);
    assert_eq!(code, Some(0));
    assert!(printed.contains("--backtraces") && printed.contains("--pace <SECONDS>"), "{printed}");
    let (code, printed, errors) = output(TREE, &["--pace", "slow"]);
    assert_eq!((code, printed), (Some(2), String::new()));
    assert!(errors.contains("invalid value 'slow' for '--pace <SECONDS>': not a number of seconds"), "{errors}");
}
