//! Every small tree, in every state, killed at every step: not by chance, but one after the other.
//!
//! A tree of at most five tasks; each is runnable, or waits for a Coordinator, or for the ring; its children are its own or those of a
//! scope of its; after so many rounds of the others the root kills one of them. In the order of a queue, and in one that is left to
//! chance. What must come of it says the same model as for programs by chance.

use super::program::*;
use std::sync::LazyLock;

/// The programs of this kind have the numbers of seeds from here on: they are run, replayed and cut down like the others.
pub const FIRST: u64 = 1 << 40;

/// A tree has at most so many tasks.
pub const MOST_TASKS: usize = if cfg!(debug_assertions) { 4 } else { 5 };

/// What a task does when it has started its children.
const STATES: u64 = 3;

/// How often a runnable task gives way.
const YIELDS: usize = 4;

/// After none of the others' rounds, up to one that finds the deepest task at its last step.
const ROUNDS: u64 = 10;

/// Children of the task, or of a scope of its.
const FORMS: u64 = 2;

/// By queue, or by chance.
const ORDERS: u64 = 2;

/// Of each task of a tree its parent: the trees of one task, of two, and so on. Each task stands behind its parent, and is the last
/// child so far of one of those that lead to the task before it.
static TREES: LazyLock<Vec<Vec<usize>>> = LazyLock::new(|| {
    let mut all = vec![vec![0]];
    let mut of_size = all.clone();
    for _ in 1..MOST_TASKS {
        let mut larger = Vec::new();
        for tree in &of_size {
            let mut parent = tree.len() - 1;
            loop {
                larger.push([tree.as_slice(), &[parent]].concat());
                if parent == 0 {
                    break;
                }
                parent = tree[parent];
            }
        }
        all.extend(larger.iter().cloned());
        of_size = larger;
    }
    all
});

fn variants(tree: &[usize]) -> u64 {
    STATES.pow(tree.len() as u32) * tree.len() as u64 * ROUNDS * FORMS * ORDERS
}

/// How many there are.
pub fn count() -> u64 {
    TREES.iter().map(|tree| variants(tree)).sum()
}

/// One of them, by its number.
pub fn generate(seed: u64) -> Program {
    let mut number = seed - FIRST;
    let tree = TREES
        .iter()
        .find(|tree| {
            let is_here = number < variants(tree);
            number -= if is_here { 0 } else { variants(tree) };
            is_here
        })
        .expect("there are not so many");
    let mut digit = |base: u64| {
        let digit = number % base;
        number /= base;
        digit
    };
    let (is_by_queue, in_scopes, rounds) = (digit(ORDERS) == 0, digit(FORMS) == 1, digit(ROUNDS));
    // The root is 0, the janitor 1; the trees' tasks follow.
    let victim = 2 + digit(tree.len() as u64) as usize;
    let states: Vec<u64> = tree.iter().map(|_| digit(STATES)).collect();

    let mut next = 0;
    let mut step = |act| {
        next += 1;
        Step { id: next - 1, swallow: false, act }
    };
    let mut plans =
        vec![Plan::default(), Plan { depth: 1, body: vec![step(Act::Sleep(1_000_000)), step(Act::KillScope(0))] }];
    for (task, state) in states.into_iter().enumerate() {
        let children = (1..tree.len()).filter(|child| tree[*child] == task).map(|child| 2 + child);
        let mut body: Vec<Step> =
            children.map(|task| step(Act::Spawn { task, keep: Keep::Share, daemon: false })).collect();
        body.extend(match state {
            0 => (0..YIELDS).map(|_| step(Act::Yield)).collect::<Vec<_>>(),
            1 => vec![step(Act::Acquire(0, Vec::new()))],
            _ => vec![step(Act::SocketReceive)],
        });
        if in_scopes {
            body = vec![step(Act::Scope { fallible: true, body })];
        }
        let depth = if task == 0 { 1 } else { plans[2 + tree[task]].depth + 1 };
        plans.push(Plan { depth, body });
    }
    let mut body = vec![
        step(Act::SpawnIn { task: 1, up: 0, keep: false, fallible: false, daemon: false }),
        step(Act::Spawn { task: 2, keep: Keep::Share, daemon: false }),
    ];
    body.extend((0..rounds).map(|_| step(Act::Yield)));
    body.push(step(Act::Kill(victim)));
    plans[0].body = vec![step(Act::Scope { fallible: false, body })];
    Program {
        seed,
        is_by_queue,
        plans,
        held: [true; COORDINATORS],
        capacities: [1; CHANNELS],
        orphan_kills_parent: false,
    }
}
