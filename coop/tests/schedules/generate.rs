//! From a seed to a program.

use super::exhaustive;
use super::program::*;
use super::random::Random;

const MOST_TASKS: usize = 64;
const DEEPEST: usize = 8;
const DEEPEST_BLOCK: usize = 4;

/// Short, and few: moments that coincide are where the order counts.
const TIMES: [u64; 7] = [1, 2, 3, 5, 10, 20, 40];

/// When the janitor comes and ends what still waits: in the middle of things, or when nothing else can happen.
const JANITOR_COMES: [u64; 4] = [4, 30, 1_000_000, 1_000_000];

/// The kinds of acts there are, with how often each is chosen.
const KINDS: [(Kind, usize); 32] = [
    (Kind::Yield, 6),
    (Kind::Checkpoint, 2),
    (Kind::Sleep, 6),
    (Kind::Spawn, 14),
    (Kind::SpawnIn, 14),
    (Kind::Join, 9),
    (Kind::Discard, 3),
    (Kind::Kill, 8),
    (Kind::KillScope, 2),
    (Kind::Fail, 2),
    (Kind::Panic, 2),
    (Kind::Acquire, 5),
    (Kind::Release, 4),
    (Kind::Coordinate, 5),
    (Kind::Send, 9),
    (Kind::Receive, 7),
    (Kind::Close, 2),
    (Kind::Lock, 6),
    (Kind::Race, 10),
    (Kind::Start, 9),
    (Kind::Land, 8),
    (Kind::SocketSend, 3),
    (Kind::SocketReceive, 3),
    (Kind::SocketRace, 4),
    (Kind::LooseSend, 2),
    (Kind::Spin, 1),
    (Kind::Defer, 2),
    (Kind::Catch, 2),
    (Kind::Timeout, 9),
    (Kind::Deadline, 4),
    (Kind::Shield, 5),
    (Kind::Scope, 9),
];

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Yield,
    Checkpoint,
    Sleep,
    Spawn,
    SpawnIn,
    Join,
    Discard,
    Kill,
    KillScope,
    Fail,
    Panic,
    Acquire,
    Release,
    Coordinate,
    Send,
    Receive,
    Close,
    Lock,
    Race,
    Start,
    Land,
    SocketSend,
    SocketReceive,
    SocketRace,
    LooseSend,
    Spin,
    Defer,
    Catch,
    Timeout,
    Deadline,
    Shield,
    Scope,
}

pub fn generate(seed: u64) -> Program {
    if seed >= exhaustive::FIRST {
        return exhaustive::generate(seed);
    }
    let mut random = Random::new(seed);
    let mut weights = KINDS.to_vec();
    // Each program does without some kinds of acts, so that others meet more often.
    for (_, weight) in &mut weights {
        if random.one_in(4) {
            *weight = 0;
        }
    }
    let tasks = match random.below(20) {
        0 => 20 + random.below(MOST_TASKS - 21),
        1..=9 => 6 + random.below(14),
        _ => 2 + random.below(8),
    };
    let mut generator = Generator {
        weights,
        plans: vec![Plan::default()],
        shared: Vec::new(),
        next_step: 0,
        left: tasks,
        length: 2 + random.below(5),
        most_steps: 15 + 6 * tasks as u32 + random.below(40) as u32,
        children: random.pick::<&[usize]>(&[&[3, 2, 1], &[3, 2, 1], &[10, 4, 2], &[2, 2, 2, 2, 2, 2, 2, 2]]),
        random,
    };
    let body = generator.root();
    generator.plans[0].body = body;
    let Generator { mut random, plans, .. } = generator;
    Program {
        seed,
        is_by_queue: false,
        plans,
        held: std::array::from_fn(|_| random.one_in(4)),
        capacities: std::array::from_fn(|_| 1 + random.below(3)),
        orphan_kills_parent: random.one_in(2),
    }
}

struct Generator {
    random: Random,
    weights: Vec<(Kind, usize)>,
    plans: Vec<Plan>,
    /// Tasks whose handle every task can reach.
    shared: Vec<TaskNo>,
    next_step: u32,
    /// Tasks that may still be made.
    left: usize,
    /// How long a block is, about.
    length: usize,
    /// When there are as many, blocks end.
    most_steps: u32,
    /// How many children a task begins with, at most, by its depth.
    children: &'static [usize],
}

/// Where in a program a block stands.
#[derive(Clone)]
struct Place {
    depth: usize,
    nesting: usize,
    /// Scopes around the block, counting the one that the task was spawned into.
    scopes: usize,
    /// Whether the innermost scope is one of this task's own.
    owns_scope: bool,
    /// Tasks whose handle this task may have.
    own: Vec<TaskNo>,
    /// In a destructor: nothing that starts, ends or nests.
    is_cleanup: bool,
}

impl Generator {
    fn step(&mut self, act: Act) -> Step {
        let id = self.next_step;
        self.next_step += 1;
        Step { id, swallow: false, act }
    }

    /// A `wait_all` with a janitor that kills it, in the end, so that no program waits for ever.
    fn root(&mut self) -> Vec<Step> {
        let id = self.next_step;
        self.next_step += 1;
        let janitor = self.plans.len();
        self.plans.push(Plan::default());
        let spawn = Act::SpawnIn { task: janitor, up: 0, keep: false, fallible: false, daemon: false };
        let mut body = vec![self.step(spawn)];
        let comes = *self.random.pick(&JANITOR_COMES);
        let janitor_body = [Act::Sleep(comes), Act::KillScope(0)].into_iter().map(|act| self.step(act)).collect();
        self.plans[janitor].body = janitor_body;
        let mut place = Place { depth: 0, nesting: 1, scopes: 1, owns_scope: true, own: Vec::new(), is_cleanup: false };
        body.extend(self.block(&mut place, true));
        body.iter_mut().for_each(|step| step.swallow |= self.random.one_in(2));
        vec![Step { id, swallow: false, act: Act::Scope { fallible: false, body } }]
    }

    fn block(&mut self, place: &mut Place, is_body: bool) -> Vec<Step> {
        let most = if is_body { 2 * self.length } else { self.length };
        let count = 1 + self.random.below(most);
        let mut steps = Vec::new();
        if is_body && !place.is_cleanup {
            // A program is its tasks: the outer ones begin with children.
            let most = *self.children.get(place.depth).unwrap_or(&0);
            for _ in 0..self.random.below(most + 1).max(usize::from(most > 1)) {
                let kinds = if place.scopes > 0 { &[Kind::Spawn, Kind::SpawnIn][..] } else { &[Kind::Spawn] };
                let kind = *self.random.pick(kinds);
                if self.left > 0 && place.depth < DEEPEST {
                    let id = self.next_step;
                    self.next_step += 1;
                    steps.extend(self.act_of(kind, place, &mut Vec::new()).map(|act| Step { id, swallow: true, act }));
                }
            }
        }
        for _ in 0..count {
            if self.next_step >= self.most_steps {
                break;
            }
            let id = self.next_step;
            self.next_step += 1;
            if let Some(act) = self.act(place, &mut steps) {
                let swallow = self.random.one_in(3);
                steps.push(Step { id, swallow, act });
            }
        }
        steps
    }

    fn kind(&mut self, place: &Place) -> Kind {
        let suits = |kind: Kind| match kind {
            Kind::Spawn => !place.is_cleanup && self.left > 0 && place.depth < DEEPEST,
            Kind::SpawnIn => !place.is_cleanup && self.left > 0 && place.depth < DEEPEST && place.scopes > 0,
            Kind::Spin => !place.is_cleanup && self.left > 0,
            Kind::KillScope => place.scopes > 0,
            Kind::Start | Kind::Land => place.owns_scope && !place.is_cleanup,
            Kind::Panic | Kind::Race | Kind::SocketRace | Kind::SocketReceive => !place.is_cleanup,
            Kind::Acquire | Kind::Coordinate | Kind::Lock | Kind::Defer | Kind::Catch => place.nesting < DEEPEST_BLOCK,
            Kind::Timeout | Kind::Deadline | Kind::Shield => place.nesting < DEEPEST_BLOCK,
            Kind::Scope => place.nesting < DEEPEST_BLOCK && !place.is_cleanup,
            _ => true,
        };
        // Asked for each step of millions of programs: without a list.
        let mut weights = self.weights.iter().copied().filter(|(kind, _)| suits(*kind));
        let sum: usize = weights.clone().map(|(_, weight)| weight).sum();
        if sum == 0 {
            return Kind::Yield;
        }
        let mut at = self.random.below(sum);
        for (kind, weight) in weights.by_ref() {
            if at < weight {
                return kind;
            }
            at -= weight;
        }
        Kind::Yield
    }

    fn time(&mut self) -> u64 {
        *self.random.pick(&TIMES)
    }

    fn time_or_none(&mut self) -> u64 {
        if self.random.one_in(6) { 0 } else { self.time() }
    }

    fn channel(&mut self) -> usize {
        self.random.below(CHANNELS)
    }

    /// A task whose handle may be at hand.
    fn handle(&mut self, place: &Place) -> Option<TaskNo> {
        let all: Vec<TaskNo> = place.own.iter().chain(&self.shared).copied().collect();
        (!all.is_empty()).then(|| *self.random.pick(&all))
    }

    fn inner(&mut self, place: &mut Place) -> Vec<Step> {
        place.nesting += 1;
        let steps = self.block(place, false);
        place.nesting -= 1;
        steps
    }

    /// The plan of a new task.
    fn task(&mut self, place: &Place, is_scoped: bool) -> TaskNo {
        let task = self.plans.len();
        self.plans.push(Plan { depth: place.depth + 1, body: Vec::new() });
        self.left -= 1;
        // What is left is for this branch and for others.
        let here = self.random.below(self.left + 1);
        let elsewhere = self.left - here;
        self.left = here;
        let mut inside = Place {
            depth: place.depth + 1,
            nesting: 0,
            scopes: usize::from(is_scoped),
            owns_scope: false,
            own: Vec::new(),
            is_cleanup: false,
        };
        let mut body = self.block(&mut inside, true);
        let end = match self.random.below(8) {
            0 => Some((Kind::Fail, Act::Fail)),
            1 => Some((Kind::Panic, Act::Panic)),
            _ => None,
        };
        if let Some((kind, act)) = end
            && self.weights.iter().any(|(other, weight)| *other == kind && *weight > 0)
        {
            body.push(self.step(act));
        }
        self.plans[task].body = body;
        self.left += elsewhere;
        task
    }

    fn act(&mut self, place: &mut Place, before: &mut Vec<Step>) -> Option<Act> {
        let kind = self.kind(place);
        self.act_of(kind, place, before)
    }

    fn act_of(&mut self, kind: Kind, place: &mut Place, before: &mut Vec<Step>) -> Option<Act> {
        Some(match kind {
            Kind::Yield => Act::Yield,
            Kind::Checkpoint => Act::Checkpoint,
            Kind::Sleep => Act::Sleep(self.time_or_none()),
            Kind::Spawn => {
                let keep = *self.random.pick(&[Keep::Own, Keep::Own, Keep::Drop, Keep::Share]);
                let daemon = self.random.one_in(4);
                let next = self.plans.len();
                match keep {
                    // Known while its own body is made: it may kill or join itself.
                    Keep::Share => self.shared.push(next),
                    Keep::Own => place.own.push(next),
                    Keep::Drop => {}
                }
                Act::Spawn { task: self.task(place, false), keep, daemon }
            }
            Kind::SpawnIn => {
                let (up, keep) = (self.random.below(place.scopes), !self.random.one_in(3));
                let (fallible, daemon) = (self.random.one_in(2), self.random.one_in(6));
                let task = self.task(place, true);
                if keep {
                    place.own.push(task);
                }
                Act::SpawnIn { task, up, keep, fallible, daemon }
            }
            Kind::Join => Act::Join(self.handle(place)?),
            Kind::Discard => Act::Discard(self.handle(place)?),
            Kind::Kill => Act::Kill(self.handle(place)?),
            Kind::KillScope => Act::KillScope(self.random.below(place.scopes)),
            Kind::Fail => Act::Fail,
            Kind::Panic => Act::Panic,
            Kind::Acquire => Act::Acquire(self.random.below(COORDINATORS), self.inner(place)),
            Kind::Release => Act::Release(self.random.below(COORDINATORS)),
            Kind::Coordinate => {
                let count = 1 + self.random.below(3);
                let which = (0..count).map(|_| self.random.below(COORDINATORS)).collect();
                let timeout = self.random.one_in(2).then(|| self.time());
                Act::Coordinate(which, timeout, self.inner(place))
            }
            Kind::Send => match self.random.below(4) {
                0 => Act::TrySend(self.channel()),
                _ => Act::Send(self.channel()),
            },
            Kind::Receive => match self.random.below(4) {
                0 => Act::TryReceive(self.channel()),
                _ => Act::Receive(self.channel()),
            },
            Kind::Close => match self.random.below(2) {
                0 => Act::CloseSender(self.channel()),
                _ => Act::CloseReceiver(self.channel()),
            },
            Kind::Lock => match self.random.below(4) {
                0 => Act::TryLock(self.random.below(MUTEXES), self.inner(place)),
                _ => Act::Lock(self.random.below(MUTEXES), self.inner(place)),
            },
            Kind::Race => Act::Race(self.race(place)),
            Kind::Start => {
                let flying = match self.random.below(8) {
                    0 => Flying::After(self.time()),
                    1 | 2 => Flying::Receive(self.channel()),
                    3 => Flying::Reserve(self.channel()),
                    4 | 5 => Flying::Lock(self.random.below(MUTEXES)),
                    _ => Flying::SocketReceive,
                };
                if self.random.one_in(3) {
                    Act::Start(flying)
                } else {
                    let start = self.step(Act::Start(flying));
                    before.push(start);
                    if self.random.one_in(2) {
                        let meanwhile = if self.random.one_in(2) { Act::Yield } else { Act::Sleep(self.time()) };
                        let mut meanwhile = self.step(meanwhile);
                        meanwhile.swallow = true;
                        before.push(meanwhile);
                    }
                    self.landing()
                }
            }
            Kind::Land => self.landing(),
            Kind::SocketSend => Act::SocketSend(1 + self.random.below(20)),
            Kind::SocketReceive => Act::SocketReceive,
            Kind::SocketRace => Act::SocketRace(SocketRace {
                socket: !self.random.one_in(4),
                send: self.random.one_in(6).then(|| 1 + self.random.below(9)),
                receive: self.random.one_in(2),
                lock: self.random.one_in(3),
                after: self.random.one_in(2).then(|| self.time()),
                default: self.random.one_in(5),
            }),
            Kind::LooseSend => Act::LooseSend,
            Kind::Spin => {
                let task = self.plans.len();
                let step = self.step(Act::AwaitPing);
                self.plans.push(Plan { depth: place.depth + 1, body: vec![step] });
                self.left -= 1;
                let spawn = self.step(Act::Spawn { task, keep: Keep::Own, daemon: false });
                before.push(spawn);
                Act::Spin(task)
            }
            Kind::Defer => {
                let was_cleanup = std::mem::replace(&mut place.is_cleanup, true);
                let body = self.inner(place);
                place.is_cleanup = was_cleanup;
                Act::Defer(body)
            }
            Kind::Catch => Act::Catch(self.inner(place)),
            Kind::Timeout => Act::Timeout(self.time_or_none(), self.inner(place)),
            Kind::Deadline => Act::Deadline(self.time_or_none(), self.inner(place)),
            Kind::Shield => Act::Shield(self.time_or_none(), self.inner(place)),
            Kind::Scope => {
                let outside = place.clone();
                place.scopes += 1;
                place.owns_scope = true;
                let body = self.inner(place);
                *place = outside;
                Act::Scope { fallible: self.random.one_in(2), body }
            }
        })
    }

    fn landing(&mut self) -> Act {
        let landing = [Landing::Wait, Landing::Wait, Landing::Wait, Landing::Cancel, Landing::Drop, Landing::Forget];
        Act::Land(self.random.one_in(2), *self.random.pick(&landing))
    }

    fn race(&mut self, place: &mut Place) -> Race {
        let extra = match self.random.below(6) {
            0 | 1 => self.handle(place).map_or(Extra::None, Extra::Join),
            2 | 3 if place.owns_scope => Extra::Flight,
            _ => Extra::None,
        };
        Race {
            receive: [self.random.one_in(2).then(|| self.channel()), self.random.one_in(4).then(|| self.channel())],
            reserve: self.random.one_in(3).then(|| self.channel()),
            lock: self.random.one_in(2).then(|| self.random.below(MUTEXES)),
            after: [
                (!self.random.one_in(3)).then(|| if self.random.one_in(12) { 0 } else { self.time() }),
                self.random.one_in(4).then(|| self.time()),
            ],
            extra,
            order: self.random.below(3),
            biased: self.random.one_in(2),
            default: self.random.one_in(6),
            body: self.inner(place),
        }
    }
}
