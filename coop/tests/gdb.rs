//! `gdb/coop.py` on a live process, on a core that the kernel has written, and on one that gdb has: the tree of tasks, and the
//! functions in which parked tasks wait, as the debugger prints them.

use coop::net::UnixStream;
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

// The program that is looked at.

#[inline(never)]
fn fill_buffer(conn: &UnixStream, buffer: &mut [u8]) -> usize {
    let got = conn.recv(buffer).unwrap_or(0);
    std::hint::black_box(got)
}

#[inline(never)]
fn read_request(conn: &UnixStream) -> usize {
    let mut buffer = [0; 512];
    let got = fill_buffer(conn, &mut buffer);
    std::hint::black_box(got + usize::from(buffer[0]))
}

#[coop::task]
fn session(conn: UnixStream) -> usize {
    read_request(&conn)
}

#[inline(never)]
fn wait_for_dawn() -> bool {
    std::hint::black_box(coop::sleep(Duration::from_secs(3600)).is_ok())
}

#[coop::task(name = "night-watch")]
fn watch() -> Result<bool, coop::Killed> {
    coop::wait_all(|s| {
        s.spawn(wait_for_dawn);
        s.spawn(|| coop::shield(Duration::from_secs(7200), wait_for_dawn));
    });
    Ok(true)
}

/// Ends the process in a task of its own, if asked to.
#[inline(never)]
fn fall_over() {
    // SAFETY: no arguments that could be wrong.
    unsafe { libc::raise(libc::SIGABRT) };
    std::hint::black_box(());
}

#[test]
#[ignore = "is run by the others, as a program of its own, and never ends by itself"]
fn target() {
    // Whoever runs this as root, or as anybody whom Yama restricts, may look.
    // SAFETY: sets an attribute of this process.
    unsafe { libc::prctl(libc::PR_SET_PTRACER, libc::PR_SET_PTRACER_ANY) };
    let unlimited = libc::rlimit { rlim_cur: libc::RLIM_INFINITY, rlim_max: libc::RLIM_INFINITY };
    // SAFETY: the limit is valid for the call.
    unsafe { libc::setrlimit(libc::RLIMIT_CORE, &unlimited) };
    // What has ended is not shown.
    coop::run(|| ());
    let mode = std::env::var("COOP_GDB_MODE").unwrap();
    let count = if mode == "Two" { 2 } else { 1 };
    let run = coop::Builder::new().cooperators(count).run(move || {
        let (near, _far) = UnixStream::pair().unwrap();
        let mut one = session::spawn(near);
        let _two = watch::spawn();
        let last = coop::spawn(move || {
            // By now the others wait.
            for _ in 0..3 {
                coop::yield_now().unwrap();
            }
            if count == 2 {
                let task = coop::cooperators().get(1).unwrap().submit(wait_for_dawn).map_err(drop);
                std::mem::forget(task.unwrap());
            }
            eprintln!("ready");
            if mode == "FallOver" {
                fall_over();
            }
        });
        drop(last);
        let _ = one.join();
    });
    run.unwrap();
}

// Looking at it.

/// A directory that goes with this.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("coop-gdb-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Scratch(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// What the target does when its tasks wait.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Mode {
    Sleep,
    FallOver,
    /// Sleeps, too, with two Cooperators.
    Two,
}

/// The target, killed when this goes.
struct Target {
    child: Child,
    mode: Mode,
    _stderr: BufReader<std::process::ChildStderr>,
}

impl Target {
    /// Starts `program`, which is this test binary, in a directory of its own; returns when its tasks wait.
    fn start(program: &Path, scratch: &Scratch, mode: Mode) -> Self {
        let mut command = Command::new(program);
        command.args(["target", "--exact", "--ignored", "--nocapture", "--test-threads=1"]);
        command.current_dir(&scratch.0).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        command.env("COOP_GDB_MODE", format!("{mode:?}"));
        // SAFETY: `alarm` is async-signal-safe. Should this process die, the target goes a little later.
        unsafe {
            command.pre_exec(|| {
                libc::alarm(300);
                Ok(())
            })
        };
        let mut child = command.spawn().expect("the test binary can be started");
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        while !line.contains("ready") {
            line.clear();
            assert_ne!(stderr.read_line(&mut line).unwrap(), 0, "the target ended before it was ready");
        }
        let target = Target { child, mode, _stderr: stderr };
        if mode != Mode::FallOver {
            target.await_sleep();
        }
        target
    }

    /// Waits until the last of its tasks has ended, and the loop sleeps in the kernel.
    fn await_sleep(&self) {
        let begun = Instant::now();
        let tasks = format!("/proc/{}/task", self.child.id());
        let sleeps = |entry: fs::DirEntry| {
            let stat = fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
            stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('S'))
        };
        while !fs::read_dir(&tasks).unwrap().flatten().all(sleeps) {
            assert!(begun.elapsed() < Duration::from_secs(60), "the target never sleeps");
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Has it die of SIGABRT, and gives the core that the kernel has written, if this machine's `core_pattern` leaves it here.
    fn core(mut self, scratch: &Scratch) -> Option<PathBuf> {
        if self.mode != Mode::FallOver {
            // SAFETY: the child is this one's own, and was not waited for.
            unsafe { libc::kill(self.child.id() as i32, libc::SIGABRT) };
        }
        let status = self.child.wait().unwrap();
        assert!(!status.success());
        let found = fs::read_dir(&scratch.0).unwrap().flatten().map(|entry| entry.path());
        let mut cores = found.filter(|path| path.file_name().unwrap().to_string_lossy().starts_with("core"));
        cores.next()
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Whether gdb is there. In CI it has to be.
fn has_gdb() -> bool {
    let there = Command::new("gdb").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    let there = there.is_ok_and(|status| status.success());
    assert!(there || std::env::var("CI").as_deref() != Ok("true"), "gdb is not installed");
    if !there {
        println!("skipped: gdb is not installed");
    }
    there
}

/// What gdb says when it is given `arguments`, the script, and these commands.
fn gdb(arguments: &[&str], commands: &[&str]) -> String {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("gdb/coop.py");
    let mut gdb = Command::new("gdb");
    gdb.args(["--batch", "-nx", "-iex", "set debuginfod enabled off", "-iex", "set auto-load off"]).args(arguments);
    gdb.args(["-ex", "set width 0", "-ex", &format!("source {}", script.display()), "-ex", "echo <begin>\\n"]);
    for command in commands {
        gdb.args(["-ex", command]);
    }
    gdb.args(["-ex", "echo <end>\\n"]);
    let output = gdb.stdin(Stdio::null()).output().expect("gdb can be started");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(!errors.contains("Traceback"), "{errors}");
    let output = String::from_utf8_lossy(&output.stdout);
    let said = output.split_once("<begin>\n").and_then(|(_, said)| said.split_once("<end>"));
    let (said, _) = said.unwrap_or_else(|| panic!("gdb has not come to the end:\n{output}\n{errors}"));
    format!("{said}\n{errors}")
}

/// What gdb says to these commands of a live process.
fn gdb_on(target: &Target, commands: &[&str]) -> String {
    gdb(&["-p", &target.child.id().to_string()], commands)
}

/// What gdb says to these commands of a core.
fn gdb_of(program: &Path, core: &Path, commands: &[&str]) -> String {
    gdb(&[program.to_str().unwrap(), core.to_str().unwrap()], commands)
}

/// The lines of a tree as `coop tasks` prints it, without the figures that differ from build to build; that stacks are used but
/// not overused is asserted instead.
fn tree(said: &str) -> Vec<String> {
    let (_, tree) = said.split_once("Cooperator ").unwrap_or_else(|| panic!("no tree in\n{said}"));
    let lines = tree.lines().take_while(|line| !line.starts_with('#') && !line.is_empty());
    let simplify = |line: &str| {
        let Some((line, stack)) = line.split_once(", stack ") else { return line.to_owned() };
        let numbers: Vec<u64> = stack.split(' ').filter_map(|word| word.parse().ok()).collect();
        assert!(numbers.len() == 2 && 0 < numbers[0] && numbers[0] < numbers[1], "{line}, stack {stack}");
        line.to_owned()
    };
    let words = |line: String| {
        let number = |word: &str| if word.parse::<u64>().is_ok() { "N".to_owned() } else { word.to_owned() };
        let indent = line.len() - line.trim_start().len();
        " ".repeat(indent)
            + &line.split_whitespace().map(|word| number(word.trim_end_matches(','))).collect::<Vec<_>>().join(" ")
    };
    lines.map(|line| words(simplify(line))).collect()
}

/// Places in this file, by the text that stands there.
fn place(text: &str) -> String {
    let source = include_str!("gdb.rs");
    let at = source.find(text).unwrap_or_else(|| panic!("{text} is not in this file"));
    let at = at + text.find("recv").or(text.find("sleep")).or(text.find("wait_all(|s")).or(text.find("join")).unwrap();
    let at = if text.contains("coop::") { at - "coop::".len() } else { at };
    let line = source[..at].matches('\n').count() + 1;
    let column = at - source[..at].rfind('\n').unwrap();
    format!("coop/tests/gdb.rs:{line}:{column}")
}

/// The tree of the target.
fn expected_tree() -> Vec<String> {
    let (recv, sleep) = (place("conn.recv(buffer)"), place("coop::sleep(Duration"));
    let (children, join) = (place("coop::wait_all(|s| {"), place("one.join()"));
    vec![
        "N thread N N tasks".to_owned(),
        format!("  root #1: join task #2 at {join}"),
        format!("    session #2: recv on fd N at {recv}"),
        format!("    night-watch #3: children at {children} not killable in scope"),
        format!("      task #5: sleep at {sleep}"),
        format!("      task #6: sleep at {sleep} in shield"),
    ]
}

/// The functions of this file in a backtrace, innermost first, without those that the compiler has made.
fn functions(said: &str) -> Vec<String> {
    let name = |line: &str| {
        let rest = line.split_once(" in ").map_or_else(|| line.split_once(' ').unwrap().1, |(_, rest)| rest);
        let name = rest.trim_start().split(" at ").next().unwrap().split(" (").next().unwrap();
        // An inlined function has no symbol, and little debug information names it without its module.
        let is_own = name.starts_with("gdb::") || line.contains("tests/gdb.rs:");
        (is_own && !name.contains('{')).then(|| name.rsplit("::").next().unwrap().to_owned())
    };
    said.lines().filter(|line| line.starts_with('#')).filter_map(name).collect()
}

/// The last function of every backtrace.
fn outermost(said: &str) -> &str {
    said.lines().rfind(|line| line.starts_with('#')).unwrap_or_else(|| panic!("no frame in\n{said}"))
}

/// Asserts that this is the target, seen by gdb as it is.
#[track_caller]
fn assert_seen(ask: impl Fn(&[&str]) -> String) {
    let commands = ["coop tasks", "coop bt 2", "coop bt #5", "coop bt 3", "coop bt all"];
    let said = ask(&commands.iter().flat_map(|command| [*command, "echo <next>\\n"]).collect::<Vec<_>>());
    let mut answers = said.split("<next>\n");
    let mut answer = || answers.next().unwrap_or_else(|| panic!("an answer is missing in\n{said}"));
    let said = answer();
    assert_eq!(tree(said), expected_tree());
    assert_eq!(said.matches("Cooperator ").count(), 1, "{said}");
    for expected in [&["fill_buffer", "read_request", "session"][..], &["wait_for_dawn"], &["watch"]] {
        let said = answer();
        assert_eq!(functions(said), expected, "{said}");
        assert!(outermost(said).contains("coop::switch::x86_64::trampoline"), "{said}");
    }
    // All in one: the tree's lines, each before its backtrace.
    let said = answer();
    let heads = said.lines().filter_map(|line| line.split_once(": ")).map(|(head, _)| head);
    let heads: Vec<&str> = heads.filter(|head| head.contains(" #") && !head.starts_with('#')).collect();
    assert_eq!(heads, ["root #1", "session #2", "night-watch #3", "task #5", "task #6"], "{said}");
    assert_eq!(said.matches("trampoline").count(), 5, "{said}");
}

#[test]
fn tasks_of_a_live_process_are_shown_and_are_left_as_they_are() {
    if !has_gdb() {
        return;
    }
    let scratch = Scratch::new("live");
    let mut target = Target::start(&own(), &scratch, Mode::Sleep);
    assert_seen(|commands| gdb_on(&target, commands));
    assert!(target.child.try_wait().unwrap().is_none(), "it lives on");
    target.await_sleep();
}

#[test]
fn tasks_are_shown_from_a_core_that_the_kernel_has_written() {
    if !has_gdb() {
        return;
    }
    let scratch = Scratch::new("core");
    let target = Target::start(&own(), &scratch, Mode::Sleep);
    let Some(core) = target.core(&scratch) else {
        let pattern = fs::read_to_string("/proc/sys/kernel/core_pattern").unwrap();
        println!("skipped: the kernel gives cores to {pattern}");
        return;
    };
    assert_seen(|commands| gdb_of(&own(), &core, commands));
}

#[test]
fn tasks_are_shown_from_a_core_that_gdb_has_written() {
    if !has_gdb() {
        return;
    }
    let scratch = Scratch::new("gcore");
    let target = Target::start(&own(), &scratch, Mode::Sleep);
    let core = scratch.0.join("written");
    let said = gdb_on(&target, &[&format!("coop core {}", core.display())]);
    assert!(said.contains("with the stacks of 5 tasks"), "{said}");
    drop(target);
    assert_seen(|commands| gdb_of(&own(), &core, commands));
}

#[test]
fn a_core_without_the_stacks_is_told_from_one_with_them() {
    if !has_gdb() {
        return;
    }
    let scratch = Scratch::new("plain");
    let target = Target::start(&own(), &scratch, Mode::Sleep);
    let core = scratch.0.join("plain");
    gdb_on(&target, &[&format!("generate-core-file {}", core.display())]);
    drop(target);
    for command in ["coop tasks", "coop bt 2"] {
        let said = gdb_of(&own(), &core, &[command]);
        // A gdb that reads on behind a guard may come.
        assert!(said.contains("The stacks of tasks are not in this core") || said.contains("root #1: join"), "{said}");
    }
}

#[test]
fn a_running_task_is_shown_with_the_backtrace_of_its_thread() {
    if !has_gdb() {
        return;
    }
    let scratch = Scratch::new("running");
    let target = Target::start(&own(), &scratch, Mode::FallOver);
    let Some(core) = target.core(&scratch) else {
        println!("skipped: the kernel gives its cores to somebody else");
        return;
    };
    let said = gdb_of(&own(), &core, &["coop tasks"]);
    let tree = tree(&said);
    assert!(tree.contains(&"    task #4: running".to_owned()), "{said}");
    let said = gdb_of(&own(), &core, &["coop bt 4"]);
    assert_eq!(functions(&said), ["fall_over"], "{said}");
    let said = gdb_of(&own(), &core, &["coop bt 2"]);
    assert_eq!(functions(&said), ["fill_buffer", "read_request", "session"], "{said}");
}

#[test]
fn neither_debug_information_nor_symbols_are_needed_for_the_tree() {
    if !has_gdb() {
        return;
    }
    let scratch = Scratch::new("stripped");
    for (option, name) in [("--strip-debug", "without-debug-information"), ("--strip-all", "without-symbols")] {
        let program = scratch.0.join(name);
        let stripped = Command::new("strip").args([option, "-o"]).arg(&program).arg(own()).status();
        assert!(stripped.expect("strip comes with the linker").success());
        let target = Target::start(&program, &scratch, Mode::Sleep);
        let said = gdb_on(&target, &["coop tasks"]);
        assert_eq!(tree(&said), expected_tree(), "{name}: {said}");
        let said = gdb_on(&target, &["coop bt 2"]);
        if option == "--strip-debug" {
            // Functions that were inlined are known to debug information only.
            assert_eq!(functions(&said)[..2], ["fill_buffer", "read_request"], "{said}");
            assert!(outermost(&said).contains("trampoline"), "{said}");
        } else {
            let frames: Vec<&str> = said.lines().filter(|line| line.starts_with('#')).collect();
            assert!(frames.len() >= 4 && frames.iter().all(|frame| frame.contains("in ??")), "{said}");
        }
    }
}

#[test]
fn the_commands_come_with_the_program() {
    if !has_gdb() {
        return;
    }
    let program = own();
    let trusted = format!("add-auto-load-safe-path {}", program.display());
    let mut gdb = Command::new("gdb");
    gdb.args(["--batch", "-nx", "-iex", &trusted]).arg(&program).args(["-ex", "help coop"]);
    let said = gdb.stdin(Stdio::null()).output().expect("gdb can be started").stdout;
    let said = String::from_utf8_lossy(&said);
    assert!(said.contains("coop tasks") && said.contains("the tree of tasks"), "{said}");
}

#[test]
fn a_selected_task_is_what_frame_commands_look_at() {
    if !has_gdb() {
        return;
    }
    let scratch = Scratch::new("select");
    let target = Target::start(&own(), &scratch, Mode::Sleep);
    let said = gdb_on(&target, &["coop select 2", "bt", "coop select", "echo ---\\n", "bt"]);
    let (selected, not) = said.split_once("---").unwrap();
    assert_eq!(functions(selected), ["fill_buffer", "read_request", "session"], "{said}");
    assert!(!functions(not).contains(&"session".to_owned()), "{said}");
}

#[test]
fn of_several_cooperators_a_task_is_named_with_its_own() {
    if !has_gdb() {
        return;
    }
    let scratch = Scratch::new("two");
    let target = Target::start(&own(), &scratch, Mode::Two);
    let said = gdb_on(&target, &["coop tasks"]);
    assert!(said.contains("Cooperator 2, thread ") && said.contains("Cooperator 3, thread "), "{said}");
    let said = gdb_on(&target, &["coop bt 2"]);
    assert!(said.contains("Several Cooperators have a task of that number: 2.2, 3.2."), "{said}");
    let mut waits = ["2.2", "3.2"].map(|task| functions(&gdb_on(&target, &[&format!("coop bt {task}")])));
    waits.sort();
    assert_eq!(waits, [vec!["fill_buffer", "read_request", "session"], vec!["wait_for_dawn"]]);
}

#[test]
fn what_cannot_be_shown_is_said() {
    if !has_gdb() {
        return;
    }
    let scratch = Scratch::new("errors");
    let target = Target::start(&own(), &scratch, Mode::Sleep);
    let said = |command| gdb_on(&target, &[command]);
    assert!(said("coop bt 99").contains("There is no task #99."));
    assert!(said("coop bt 3.1").contains("There is no task #1."), "there is no third Cooperator");
    assert!(said("coop bt session").contains("A task is meant by its number"));
    assert!(said("coop core").contains("coop core FILE"));
    let other = gdb(&["/bin/true"], &["coop tasks"]);
    assert!(other.contains("No program that is linked with coop is loaded"), "{other}");
    let not_started = gdb(&[own().to_str().unwrap()], &["coop tasks"]);
    assert!(not_started.contains("No Cooperator runs in this process"), "{not_started}");
}

/// This test binary.
fn own() -> PathBuf {
    std::env::current_exe().unwrap()
}
