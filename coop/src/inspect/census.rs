//! What a Cooperator has in hand, for tests of the runtime: that nothing is left over, that time moves only when it may.

use crate::cooperator::Cooperator;
use crate::error::TaskId;
use crate::task::Task;

/// Not part of the API.
#[doc(hidden)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Census {
    /// The Cooperator's clock, in nanoseconds.
    pub now: u64,
    /// Tasks that have not ended.
    pub tasks: usize,
    /// Stacks taken from the pool.
    pub stacks: usize,
    /// Operations whose last completion is still to come.
    pub operations: usize,
    /// Completions that belonged to no operation.
    pub strays: u64,
    /// Whether a timer runs.
    pub has_timers: bool,
}

impl Census {
    pub(crate) fn of(cooperator: &Cooperator) -> Self {
        Census {
            now: cooperator.clock.now(),
            tasks: cooperator.counters.live.get() as usize,
            stacks: cooperator.pool.taken(),
            operations: cooperator.in_flight(),
            strays: cooperator.strays(),
            has_timers: cooperator.timers.next_deadline().is_some(),
        }
    }
}

/// The census of the calling thread's Cooperator.
#[doc(hidden)]
pub fn census() -> Census {
    Census::of(Cooperator::required())
}

/// The numbers of all tasks that are in the tree.
#[doc(hidden)]
pub fn tasks() -> Vec<TaskId> {
    let cooperator = Cooperator::required();
    // SAFETY: the root is set before any task runs, and stays until the Cooperator goes.
    let mut tree: Vec<&Task> = vec![unsafe { &*cooperator.root.get().cast::<Task>() }];
    let mut next = 0;
    while next < tree.len() {
        let mut node = Some(&tree[next].node);
        while let Some(frame) = node {
            frame.for_each_child(&cooperator.siblings, |child| {
                // SAFETY: a task in the tree stays while this runs: nothing ends meanwhile.
                tree.push(unsafe { &*std::ptr::from_ref(child) });
            });
            node = frame.inner();
        }
        next += 1;
    }
    tree.iter().map(|task| task.id).collect()
}
