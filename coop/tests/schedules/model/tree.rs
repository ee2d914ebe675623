//! The tree of tasks and regions: who is killed, and by what.

use super::queues::{Grant, Place, Who};
use super::{Alarm, Model};
use crate::program::TaskNo;
use crate::report::failed;
use coop::TaskId;

pub type NodeNo = usize;

/// As `coop::Cause`; an explicit kill is told by its line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    Explicit(u32),
    Parent,
    Sibling,
    Deadline,
    Shutdown,
    Unwinding,
    Other,
}

impl From<coop::Cause> for Cause {
    fn from(cause: coop::Cause) -> Self {
        match cause {
            coop::Cause::Explicit(place) => Cause::Explicit(place.line()),
            coop::Cause::Parent => Cause::Parent,
            coop::Cause::Sibling => Cause::Sibling,
            coop::Cause::Deadline => Cause::Deadline,
            coop::Cause::Shutdown => Cause::Shutdown,
            coop::Cause::Unwinding => Cause::Unwinding,
            _ => Cause::Other,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    Task,
    Scope,
    Deadline,
    /// Until this moment.
    Shield(u64),
}

/// Whether a wait was told of a node's own kill.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Delivered {
    No,
    Yes,
    /// It was told of this one or of another with the same cause.
    Perhaps,
}

pub(super) struct Node {
    kind: Kind,
    parent: Option<NodeNo>,
    own: Option<Cause>,
    delivered: Delivered,
    pub(super) children: Vec<TaskNo>,
    /// A scope's: the panics of its body and of children that nobody joined, each with when it came.
    panics: Vec<(u64, u32)>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum State {
    NotYet,
    /// Spawned, and has not run.
    Fresh,
    /// Running or ready to.
    Running,
    /// In a killable wait of which everything is modelled.
    Parked,
    /// In a wait that the ring may end at any moment.
    Ring,
    /// A scope's body is over, its children are not.
    Awaiting(NodeNo),
    /// The same, and then it waits for the ring.
    Draining,
    /// The task's body is over.
    Done(NodeNo),
    Ended,
}

/// How a body ended.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Body {
    Returned,
    Panicked,
    NeverRan,
}

pub(super) struct Task {
    id: Option<TaskId>,
    pub(super) state: State,
    node: NodeNo,
    /// The innermost region it is in.
    frame: NodeNo,
    body: Option<Body>,
    /// What it panicked with last.
    panic: u32,
    is_daemon: bool,
    is_born_killed: bool,
    has_handle: bool,
    is_taken: bool,
    pub(super) granted: Option<Grant>,
    /// Where it queues.
    pub(super) places: Vec<Place>,
    /// Who waits for its end.
    pub(super) joiner: Option<(Who, usize)>,
}

impl Default for Task {
    fn default() -> Self {
        Task {
            id: None,
            state: State::NotYet,
            node: NodeNo::MAX,
            frame: NodeNo::MAX,
            body: None,
            panic: 0,
            is_daemon: false,
            is_born_killed: false,
            has_handle: false,
            is_taken: false,
            granted: None,
            places: Vec::new(),
            joiner: None,
        }
    }
}

impl Model {
    fn add_node(&mut self, kind: Kind, parent: Option<NodeNo>) -> NodeNo {
        let children = Vec::new();
        let delivered = Delivered::No;
        self.nodes.push(Node { kind, parent, own: None, delivered, children, panics: Vec::new() });
        self.nodes.len() - 1
    }

    /// The kill that is in effect in a node, and where it began: the outermost one that no closed shield holds off.
    fn effective(&self, node: NodeNo) -> Option<(NodeNo, Cause)> {
        let (mut found, mut next) = (None, Some(node));
        while let Some(at) = next {
            let node = &self.nodes[at];
            found = node.own.map(|cause| (at, cause)).or(found);
            next = match node.kind {
                Kind::Shield(until) if self.now < until => None,
                _ => node.parent,
            };
        }
        found
    }

    /// Why the next wait of a task will be refused.
    pub fn killed(&self, task: TaskNo) -> Option<Cause> {
        self.effective(self.tasks[task].frame).map(|(_, cause)| cause)
    }

    /// The beginning of a wait: `Err` if it must be refused.
    pub fn begin(&mut self, task: TaskNo) -> Result<(), Cause> {
        if std::thread::panicking() { Err(Cause::Unwinding) } else { self.deliver(task).map_or(Ok(()), Err) }
    }

    /// A wait is told of the kill in effect.
    pub(super) fn deliver(&mut self, task: TaskNo) -> Option<Cause> {
        let (origin, cause) = self.effective(self.tasks[task].frame)?;
        self.nodes[origin].delivered = Delivered::Yes;
        Some(cause)
    }

    /// A wait of the ring was told of this cause: when the kill came, or later; meanwhile others may have come from further out.
    /// False if there is no such kill.
    pub fn deliver_late(&mut self, task: TaskNo, cause: Cause) -> bool {
        let (mut origins, mut next) = (Vec::new(), Some(self.tasks[task].frame));
        while let Some(at) = next {
            let node = &self.nodes[at];
            if node.own == Some(cause) {
                origins.push(at);
            }
            next = match node.kind {
                Kind::Shield(until) if self.now < until => None,
                _ => node.parent,
            };
        }
        let told = if origins.len() == 1 { Delivered::Yes } else { Delivered::Perhaps };
        for origin in &origins {
            if self.nodes[*origin].delivered != Delivered::Yes {
                self.nodes[*origin].delivered = told;
            }
        }
        !origins.is_empty()
    }

    /// Which nodes' kills no wait was told of.
    pub fn untold(&self) -> Vec<bool> {
        self.nodes.iter().map(|node| node.delivered == Delivered::No).collect()
    }

    /// A wait that was to be told of a kill has succeeded: of those that nobody had been told of before, only others can have been.
    pub fn take_back(&mut self, untold: &[bool]) {
        for (node, _) in self.nodes.iter_mut().zip(untold).filter(|(_, was_untold)| **was_untold) {
            if node.delivered == Delivered::Yes {
                node.delivered = Delivered::Perhaps;
            }
        }
    }

    /// The first kill of a node counts.
    pub fn kill(&mut self, node: NodeNo, cause: Cause) {
        self.nodes[node].own.get_or_insert(cause);
    }

    /// Killing what has ended does nothing.
    pub fn kill_task(&mut self, task: TaskNo, cause: Cause) {
        if self.tasks[task].state != State::Ended {
            self.kill(self.tasks[task].node, cause);
        }
    }

    // Regions.

    pub fn enter(&mut self, task: TaskNo, kind: Kind) -> NodeNo {
        let node = self.add_node(kind, Some(self.tasks[task].frame));
        self.tasks[task].frame = node;
        node
    }

    /// A region that ends after `duration`, or that is over before it begins.
    pub fn enter_limited(&mut self, task: TaskNo, duration: u64) -> NodeNo {
        let node = self.enter(task, Kind::Deadline);
        if duration == 0 {
            self.kill(node, Cause::Deadline);
        } else {
            self.start_timer(self.now + duration, Alarm::Expire(node));
        }
        node
    }

    pub fn enter_shield(&mut self, task: TaskNo, grace: u64) -> NodeNo {
        let node = self.enter(task, Kind::Shield(self.now + grace));
        self.start_timer(self.now + grace, Alarm::Open(node));
        node
    }

    pub fn leave(&mut self, task: TaskNo, node: NodeNo) {
        if self.tasks[task].frame != node {
            failed(format!("task {task} left a region that is not its innermost"));
        }
        self.tasks[task].frame = self.nodes[node].parent.expect("a region has something around it");
        self.stop_timers(|alarm| alarm == Alarm::Expire(node) || alarm == Alarm::Open(node));
    }

    /// Whether a wait in the region was told that the region itself was killed.
    pub fn delivered(&self, node: NodeNo) -> Delivered {
        self.nodes[node].delivered
    }

    pub fn is_killed_from_outside(&self, node: NodeNo) -> bool {
        self.effective(node).is_some_and(|(origin, _)| origin != node)
    }

    // Scopes.

    pub fn await_children(&mut self, task: TaskNo, scope: NodeNo, is_draining: bool) {
        self.tasks[task].state = if is_draining { State::Draining } else { State::Awaiting(scope) };
    }

    /// The daemons of a scope whose body has returned.
    pub fn kill_daemons(&mut self, node: NodeNo) {
        for child in self.nodes[node].children.clone() {
            if self.tasks[child].is_daemon {
                self.kill(self.tasks[child].node, Cause::Parent);
            }
        }
    }

    /// The body of a scope has panicked.
    pub fn scope_panics(&mut self, task: TaskNo, scope: NodeNo) {
        self.looks += 1;
        let panic = (self.looks, self.tasks[task].panic);
        self.nodes[scope].panics.push(panic);
        self.kill(scope, Cause::Parent);
    }

    /// The panics of which one must go on from the scope: the first. Of those that came between two looks, any may have been.
    pub fn first_panics(&self, scope: NodeNo) -> Vec<u32> {
        let panics = &self.nodes[scope].panics;
        let first = panics.iter().map(|(when, _)| *when).min();
        panics.iter().filter(|(when, _)| Some(*when) == first).map(|(_, panic)| *panic).collect()
    }

    /// A task panics, with this.
    pub fn panics(&mut self, task: TaskNo, panic: u32) {
        self.tasks[task].panic = panic;
    }

    pub fn panic_of(&self, task: TaskNo) -> u32 {
        self.tasks[task].panic
    }

    /// A scope has returned: nothing of it may be left.
    pub fn check_settled(&self, scope: NodeNo) {
        if let Some(child) = self.nodes[scope].children.first() {
            failed(format!("a scope ended before its child, task {child}"));
        }
    }

    // Tasks.

    pub fn spawn(&mut self, task: TaskNo, parent: Option<NodeNo>, is_daemon: bool, has_handle: bool) {
        let node = self.add_node(Kind::Task, parent);
        if let Some(parent) = parent {
            self.nodes[parent].children.push(task);
        }
        let is_born_killed = self.effective(node).is_some();
        self.live += 1;
        let state = State::Fresh;
        self.tasks[task] = Task { state, node, frame: node, is_daemon, is_born_killed, has_handle, ..Task::default() };
    }

    pub fn set_id(&mut self, task: TaskNo, id: TaskId) {
        self.tasks[task].id = Some(id);
    }

    pub fn id(&self, task: TaskNo) -> Option<TaskId> {
        self.tasks[task].id
    }

    pub fn node(&self, task: TaskNo) -> NodeNo {
        self.tasks[task].node
    }

    pub fn body_starts(&mut self, task: TaskNo) {
        let this = &mut self.tasks[task];
        if this.state != State::Fresh || this.is_born_killed {
            failed(format!("task {task} runs: it is {:?}, born killed: {}", this.state, this.is_born_killed));
        }
        this.state = State::Running;
    }

    /// The closure of a task was dropped without being called.
    pub fn never_runs(&mut self, task: TaskNo) {
        if self.tasks[task].state != State::Fresh || !self.tasks[task].is_born_killed {
            failed(format!("task {task} does not run, but was not born killed"));
        }
        self.body_ends(task, Body::NeverRan);
    }

    pub fn body_ends(&mut self, task: TaskNo, body: Body) {
        let this = &mut self.tasks[task];
        let node = this.node;
        this.body = Some(body);
        this.state = State::Done(node);
        if body != Body::NeverRan && this.frame != node {
            failed(format!("task {task} ended inside a region"));
        }
        match body {
            Body::Panicked => self.kill(node, Cause::Parent),
            _ if task == 0 => self.kill(node, Cause::Shutdown),
            _ => self.kill_daemons(node),
        }
    }

    pub fn body(&self, task: TaskNo) -> Option<Body> {
        self.tasks[task].body
    }

    pub fn state(&self, task: TaskNo) -> State {
        self.tasks[task].state
    }

    pub fn set_ring(&mut self, task: TaskNo) {
        self.tasks[task].state = State::Ring;
    }

    pub fn set_running(&mut self, task: TaskNo) {
        self.tasks[task].state = State::Running;
    }

    pub fn is_finished(&self, task: TaskNo) -> bool {
        self.tasks[task].state == State::Ended
    }

    pub fn is_taken(&self, task: TaskNo) -> bool {
        self.tasks[task].is_taken
    }

    /// The value or the panic goes to a joiner.
    pub fn take(&mut self, task: TaskNo) {
        let this = &mut self.tasks[task];
        this.is_taken |= this.body != Some(Body::NeverRan);
    }

    pub fn is_self_or_ancestor(&self, ancestor: TaskNo, task: TaskNo) -> bool {
        let mut next = Some(self.tasks[task].node);
        while let Some(at) = next {
            if at == self.tasks[ancestor].node {
                return true;
            }
            next = self.nodes[at].parent;
        }
        false
    }

    pub fn handle_drops(&mut self, task: TaskNo) {
        self.tasks[task].has_handle = false;
        if self.tasks[task].state == State::Ended {
            self.orphan(task);
        }
    }

    /// Nobody will join the task. Its panic, if it had one, goes to the scope.
    fn orphan(&mut self, task: TaskNo) {
        let this = &self.tasks[task];
        if this.body != Some(Body::Panicked) || this.is_taken {
            return;
        }
        let has_ended = this.state == State::Ended;
        let Some(parent) = self.nodes[this.node].parent else {
            return;
        };
        if self.nodes[parent].kind == Kind::Scope {
            let panic = (self.looks, this.panic);
            self.nodes[parent].panics.push(panic);
            self.kill(parent, Cause::Sibling);
        } else if self.orphan_kills_parent && !has_ended {
            self.kill(parent, Cause::Parent);
        }
    }

    /// Ends those tasks whose body is over, and which are not in the tree any more.
    pub(super) fn end_tasks(&mut self, live: usize, tree: &[TaskId]) {
        let is_in_tree = |task: &Task| task.id.is_none_or(|id| tree.contains(&id));
        loop {
            let gone = self.tasks.iter().position(|task| matches!(task.state, State::Done(_)) && !is_in_tree(task));
            let Some(task) = gone else { break };
            self.end(task);
        }
        if self.live != live {
            let missing =
                self.tasks.iter().position(|t| !matches!(t.state, State::NotYet | State::Ended) && !is_in_tree(t));
            failed(format!("{live} tasks live, which should be {}; missing: task {missing:?}", self.live));
        }
    }

    fn end(&mut self, task: TaskNo) {
        let node = self.tasks[task].node;
        // Its children end in the same moment only if they had nothing left to do.
        for child in self.nodes[node].children.clone() {
            if !matches!(self.tasks[child].state, State::Done(_)) {
                failed(format!("task {task} ended before its child, task {child}: {:?}", self.tasks[child].state));
            }
            self.end(child);
        }
        if self.tasks[task].state == State::Ended {
            return;
        }
        if !self.tasks[task].has_handle {
            self.orphan(task);
        }
        self.tasks[task].state = State::Ended;
        self.live -= 1;
        if let Some(parent) = self.nodes[node].parent {
            self.nodes[parent].children.retain(|child| *child != task);
        }
        if let Some((who, index)) = self.tasks[task].joiner.take() {
            self.grant(who, index, false);
        }
    }

    /// After everything: nothing may be left.
    pub fn check_over(&self) {
        for (number, task) in self.tasks.iter().enumerate() {
            if !matches!(task.state, State::NotYet | State::Ended | State::Done(_)) {
                failed(format!("everything is over, but task {number} is {:?}", task.state));
            }
        }
    }
}
