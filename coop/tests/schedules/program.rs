//! What a random program is made of, and how it is printed.

use std::collections::HashSet;
use std::fmt::{self, Write};

/// The number of a task: its place in [`Program::plans`]. The root is 0.
pub type TaskNo = usize;

pub const COORDINATORS: usize = 3;
pub const MUTEXES: usize = 2;
pub const CHANNELS: usize = 2;

/// A tree of tasks and what they share.
#[derive(Debug)]
pub struct Program {
    pub seed: u64,
    /// Ready tasks run in the order of their queue, and not by chance.
    pub is_by_queue: bool,
    pub plans: Vec<Plan>,
    /// Which Coordinators are held by nobody in the beginning.
    pub held: [bool; COORDINATORS],
    pub capacities: [usize; CHANNELS],
    /// What the panic of a task that nobody joins does: kill its parent, or nothing.
    pub orphan_kills_parent: bool,
}

/// The script of one task.
#[derive(Debug, Default)]
pub struct Plan {
    /// The root's is 0.
    pub depth: usize,
    pub body: Vec<Step>,
}

#[derive(Debug)]
pub struct Step {
    pub id: u32,
    /// An error of the step is ignored, `Killed` included; otherwise it ends the block.
    pub swallow: bool,
    pub act: Act,
}

/// What becomes of a new task's handle.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Keep {
    Own,
    Drop,
    /// Put where every task can reach it.
    Share,
}

#[derive(Debug)]
pub enum Act {
    Yield,
    Checkpoint,
    Sleep(u64),
    Spawn {
        task: TaskNo,
        keep: Keep,
        daemon: bool,
    },
    /// Into the scope that is `up` scopes outward.
    SpawnIn {
        task: TaskNo,
        up: usize,
        keep: bool,
        fallible: bool,
        daemon: bool,
    },
    Join(TaskNo),
    Discard(TaskNo),
    Kill(TaskNo),
    KillScope(usize),
    Fail,
    Panic,
    Acquire(usize, Vec<Step>),
    Release(usize),
    Coordinate(Vec<usize>, Option<u64>, Vec<Step>),
    Send(usize),
    TrySend(usize),
    Receive(usize),
    TryReceive(usize),
    CloseSender(usize),
    CloseReceiver(usize),
    Lock(usize, Vec<Step>),
    TryLock(usize, Vec<Step>),
    Race(Race),
    /// Puts an operation in flight, as a Handle of the innermost scope.
    Start(Flying),
    /// Does something with the oldest (or, if false, the newest) Handle of the innermost scope.
    Land(bool, Landing),
    SocketSend(usize),
    SocketReceive,
    SocketRace(SocketRace),
    LooseSend,
    /// Yields until a task that waits for the ring has ended: the ring must not starve.
    Spin(TaskNo),
    /// What the task of a `Spin` does.
    AwaitPing,
    /// Runs when the block ends, however it ends.
    Defer(Vec<Step>),
    Catch(Vec<Step>),
    Timeout(u64, Vec<Step>),
    Deadline(u64, Vec<Step>),
    Shield(u64, Vec<Step>),
    /// `coop::scope` if fallible, else `coop::wait_all`.
    Scope {
        fallible: bool,
        body: Vec<Step>,
    },
}

/// A `select!`.
#[derive(Debug)]
pub struct Race {
    pub receive: [Option<usize>; 2],
    pub reserve: Option<usize>,
    pub lock: Option<usize>,
    pub after: [Option<u64>; 2],
    pub extra: Extra,
    /// Which of the written orders of arms.
    pub order: usize,
    pub biased: bool,
    pub default: bool,
    /// While what was won is held.
    pub body: Vec<Step>,
}

/// A Handle as an arm.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Extra {
    None,
    Join(TaskNo),
    /// The oldest Handle of the innermost scope.
    Flight,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Flying {
    After(u64),
    Receive(usize),
    Reserve(usize),
    Lock(usize),
    SocketReceive,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Landing {
    Wait,
    Cancel,
    Drop,
    Forget,
}

/// A `select!` whose winner depends on the ring.
#[derive(Debug)]
pub struct SocketRace {
    pub socket: bool,
    pub send: Option<usize>,
    pub receive: bool,
    pub lock: bool,
    pub after: Option<u64>,
    pub default: bool,
}

impl Act {
    /// The block inside.
    pub fn body(&self) -> Option<&Vec<Step>> {
        match self {
            Act::Acquire(_, body)
            | Act::Coordinate(_, _, body)
            | Act::Lock(_, body)
            | Act::TryLock(_, body)
            | Act::Race(Race { body, .. })
            | Act::Defer(body)
            | Act::Catch(body)
            | Act::Timeout(_, body)
            | Act::Deadline(_, body)
            | Act::Shield(_, body)
            | Act::Scope { body, .. } => Some(body),
            _ => None,
        }
    }

    fn body_mut(&mut self) -> Option<&mut Vec<Step>> {
        match self {
            Act::Acquire(_, body)
            | Act::Coordinate(_, _, body)
            | Act::Lock(_, body)
            | Act::TryLock(_, body)
            | Act::Race(Race { body, .. })
            | Act::Defer(body)
            | Act::Catch(body)
            | Act::Timeout(_, body)
            | Act::Deadline(_, body)
            | Act::Shield(_, body)
            | Act::Scope { body, .. } => Some(body),
            _ => None,
        }
    }

    /// The task that this starts.
    fn starts(&self) -> Option<TaskNo> {
        match self {
            Act::Spawn { task, .. } | Act::SpawnIn { task, .. } => Some(*task),
            _ => None,
        }
    }
}

impl Program {
    /// Takes out the steps with these numbers, and all that is inside them.
    pub fn without(mut self, removed: &HashSet<u32>) -> Self {
        fn prune(body: &mut Vec<Step>, removed: &HashSet<u32>) {
            body.retain(|step| !removed.contains(&step.id));
            body.iter_mut().filter_map(|step| step.act.body_mut()).for_each(|body| prune(body, removed));
        }
        self.plans.iter_mut().for_each(|plan| prune(&mut plan.body, removed));
        self
    }

    /// The steps that a run could reach, each with how many steps it contains (itself, its blocks, the tasks it starts).
    pub fn steps(&self) -> Vec<(u32, usize)> {
        fn visit(program: &Program, body: &[Step], all: &mut Vec<(u32, usize)>) {
            for step in body {
                let at = all.len();
                all.push((step.id, 0));
                if let Some(inside) = step.act.body() {
                    visit(program, inside, all);
                }
                if let Some(task) = step.act.starts() {
                    visit(program, &program.plans[task].body, all);
                }
                all[at].1 = all.len() - at;
            }
        }
        let mut all = Vec::new();
        visit(self, &self.plans[0].body, &mut all);
        all
    }
}

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fn block(program: &Program, text: &mut String, body: &[Step], depth: usize) {
            for step in body {
                let swallow = if step.swallow { ", whatever comes" } else { "" };
                let indent = "    ".repeat(depth);
                let _ = writeln!(text, "{:>4} {indent}{}{swallow}", step.id, step.act);
                if let Some(inside) = step.act.body() {
                    block(program, text, inside, depth + 1);
                }
                if let Some(task) = step.act.starts() {
                    block(program, text, &program.plans[task].body, depth + 1);
                }
            }
        }
        let held = (0..COORDINATORS).filter(|c| self.held[*c]).map(|c| format!("c{c} ")).collect::<String>();
        writeln!(f, "seed {}; held in the beginning: {held}; channels of {:?}", self.seed, self.capacities)?;
        if self.orphan_kills_parent {
            writeln!(f, "a panic that nobody joins kills the parent")?;
        }
        let mut text = String::new();
        block(self, &mut text, &self.plans[0].body, 0);
        f.write_str(&text)
    }
}

impl fmt::Display for Act {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Act::Sleep(ms) => write!(f, "sleep {ms} ms"),
            Act::Spawn { task, keep, daemon } => {
                let daemon = if *daemon { " as a daemon" } else { "" };
                write!(f, "spawn task {task}{daemon}, handle: {keep:?}")
            }
            Act::SpawnIn { task, up, keep, fallible, daemon } => {
                let verb = if *fallible { "try_spawn" } else { "spawn" };
                let daemon = if *daemon { " as a daemon" } else { "" };
                let handle = if *keep { Keep::Own } else { Keep::Drop };
                write!(f, "{verb} task {task}{daemon} in scope {up} outward, handle: {handle:?}")
            }
            Act::Join(task) => write!(f, "join task {task}"),
            Act::Discard(task) => write!(f, "drop the handle of task {task}"),
            Act::Kill(task) => write!(f, "kill task {task}"),
            Act::KillScope(up) => write!(f, "kill scope {up} outward"),
            Act::Acquire(c, _) => write!(f, "acquire c{c}, and while it is held:"),
            Act::Release(c) => write!(f, "release c{c}"),
            Act::Coordinate(cs, timeout, _) => {
                write!(f, "coordinate {cs:?} timeout {timeout:?}, and while one is held:")
            }
            Act::Send(ch) => write!(f, "send to ch{ch}"),
            Act::TrySend(ch) => write!(f, "try_send to ch{ch}"),
            Act::Receive(ch) => write!(f, "receive from ch{ch}"),
            Act::TryReceive(ch) => write!(f, "try_recv from ch{ch}"),
            Act::CloseSender(ch) => write!(f, "drop the first sender of ch{ch}"),
            Act::CloseReceiver(ch) => write!(f, "drop the first receiver of ch{ch}"),
            Act::Lock(m, _) => write!(f, "lock m{m}, and while it is held:"),
            Act::TryLock(m, _) => write!(f, "try_lock m{m}, and if it is held:"),
            Act::Race(race) => write!(f, "{race}"),
            Act::Start(flying) => write!(f, "start {flying:?}"),
            Act::Land(oldest, landing) => {
                write!(f, "{landing:?} the {} Handle", if *oldest { "oldest" } else { "newest" })
            }
            Act::SocketSend(n) => write!(f, "send {n} bytes"),
            Act::SocketReceive => f.write_str("recv"),
            Act::Spin(task) => write!(f, "send a ping and yield until task {task} has ended"),
            Act::Defer(_) => f.write_str("at the end of the block:"),
            Act::Catch(_) => f.write_str("catch_unwind:"),
            Act::Timeout(ms, _) => write!(f, "timeout {ms} ms:"),
            Act::Deadline(ms, _) => write!(f, "deadline {ms} ms:"),
            Act::Shield(ms, _) => write!(f, "shield {ms} ms:"),
            Act::Scope { fallible, .. } => f.write_str(if *fallible { "scope:" } else { "wait_all:" }),
            other => write!(f, "{other:?}"),
        }
    }
}

impl fmt::Display for Race {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut arms = Vec::new();
        arms.extend(self.receive.iter().flatten().map(|ch| format!("receive ch{ch}")));
        arms.extend(self.reserve.map(|ch| format!("reserve ch{ch}")));
        arms.extend(self.lock.map(|m| format!("lock m{m}")));
        arms.extend(self.after.iter().flatten().map(|ms| format!("after {ms} ms")));
        match self.extra {
            Extra::None => {}
            Extra::Join(task) => arms.push(format!("join task {task}")),
            Extra::Flight => arms.push("oldest Handle".into()),
        }
        if self.default {
            arms.push("default".into());
        }
        let biased = if self.biased { " biased" } else { "" };
        write!(f, "select{biased} (order {}) {}; and with what is won:", self.order, arms.join(" | "))
    }
}
