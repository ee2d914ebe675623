//! First come, first served, however one waits: alone, behind others, in two queues at once, or through a Handle; and whoever of
//! them is killed. Random histories, held against queues that are just that.

use crate::race::Random;
use coop::sync::Semaphore;
use coop::{Coordinator, Killed, op};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::time::Duration;

const SEEDS: u64 = if cfg!(debug_assertions) { 150 } else { 1_500 };
const STEPS: usize = 60;
const QUEUES: usize = 2;
/// So many wait at the same time, at most.
const MOST: usize = 7;

/// What a task waits for: so much of what a queue guards.
#[derive(Clone, Copy, Debug)]
enum Ask {
    One(usize, u32),
    /// The first of two, with how much of each.
    Either([(usize, u32); 2]),
    /// Through a Handle.
    Started(usize, u32),
}

impl Ask {
    fn parts(self) -> Vec<(usize, u32)> {
        match self {
            Ask::One(queue, count) | Ask::Started(queue, count) => vec![(queue, count)],
            Ask::Either(both) => both.to_vec(),
        }
    }
}

/// What is waited for.
trait Guard {
    /// Whether those behind one that left may be served, and what is added is kept for who comes later.
    const COUNTS: bool;
    fn ask(&self, ask: Ask) -> Result<usize, Killed>;
    fn add(&self, queue: usize);
    fn random_ask(random: &Random) -> Ask;
}

struct Coordinators([Coordinator; QUEUES]);

impl Guard for Coordinators {
    const COUNTS: bool = false;

    fn ask(&self, ask: Ask) -> Result<usize, Killed> {
        match ask {
            Ask::One(queue, _) | Ask::Started(queue, _) => {
                self.0[queue].acquire()?.keep();
                Ok(queue)
            }
            Ask::Either([(first, _), (second, _)]) => {
                let acquired = coop::coordinate!(&self.0[first], &self.0[second])?;
                let index = acquired.index();
                acquired.keep();
                Ok([first, second][index])
            }
        }
    }

    fn add(&self, queue: usize) {
        self.0[queue].release();
    }

    fn random_ask(random: &Random) -> Ask {
        let queue = random.below(QUEUES as u64) as usize;
        if random.below(3) == 0 { Ask::Either([(queue, 1), (1 - queue, 1)]) } else { Ask::One(queue, 1) }
    }
}

struct Semaphores([Semaphore; QUEUES]);

impl Guard for Semaphores {
    const COUNTS: bool = true;

    fn ask(&self, ask: Ask) -> Result<usize, Killed> {
        const OPEN: &str = "nobody closes it";
        match ask {
            Ask::One(queue, count) => match self.0[queue].acquire_many(count) {
                Ok(permits) => permits.forget(),
                Err(coop::sync::AcquireError::Killed(killed)) => return Err(killed),
                Err(other) => panic!("{other}"),
            },
            Ask::Started(queue, count) => {
                coop::wait_all(|s| match s.start(op::acquire_many(&self.0[queue], count)).wait() {
                    Ok(permits) => {
                        permits.forget();
                        Ok(())
                    }
                    Err(coop::sync::AcquireError::Killed(killed)) => Err(killed),
                    Err(other) => panic!("{other}"),
                })?
            }
            Ask::Either([(first, one), (second, other)]) => {
                return coop::select! {
                    permits = op::acquire_many(&self.0[first], one) => { permits.expect(OPEN).forget(); Ok(first) }
                    permits = op::acquire_many(&self.0[second], other) => { permits.expect(OPEN).forget(); Ok(second) }
                    killed(killed) => Err(killed),
                };
            }
        }
        Ok(ask.parts()[0].0)
    }

    fn add(&self, queue: usize) {
        self.0[queue].add_permits(1);
    }

    fn random_ask(random: &Random) -> Ask {
        let queue = random.below(QUEUES as u64) as usize;
        let count = || 1 + random.below(3) as u32;
        match random.below(4) {
            0 => Ask::Either([(queue, count()), (1 - queue, count())]),
            1 => Ask::Started(queue, count()),
            _ => Ask::One(queue, count()),
        }
    }
}

/// What has come of a task's wait: the queue whose turn it was, or that it was killed.
type Outcome = Result<usize, ()>;

struct Waiter {
    ask: Ask,
    has_begun: bool,
    is_killed: bool,
    won: Option<usize>,
}

/// What must come of it.
#[derive(Default)]
struct Model {
    available: [u32; QUEUES],
    queues: [VecDeque<(usize, u32)>; QUEUES],
    waiters: Vec<Option<Waiter>>,
    ready: VecDeque<usize>,
}

impl Model {
    fn waiter(&mut self, task: usize) -> &mut Waiter {
        self.waiters[task].as_mut().expect("it waits")
    }

    fn is_waiting(&self, task: usize) -> bool {
        self.waiters[task].is_some()
    }

    fn wake(&mut self, task: usize) {
        if !self.ready.contains(&task) {
            self.ready.push_back(task);
        }
    }

    fn serve(&mut self, queue: usize) {
        while let Some((task, count)) = self.queues[queue].front().copied()
            && count <= self.available[queue]
        {
            self.available[queue] -= count;
            self.leave(task);
            self.waiter(task).won = Some(queue);
            self.wake(task);
        }
    }

    fn leave(&mut self, task: usize) {
        self.queues.iter_mut().for_each(|queue| queue.retain(|one| one.0 != task));
    }

    fn add<G: Guard>(&mut self, queue: usize) {
        self.available[queue] = if G::COUNTS { self.available[queue] + 1 } else { 1 };
        self.serve(queue);
    }

    fn kill(&mut self, task: usize) {
        self.waiter(task).is_killed = true;
        self.wake(task);
    }

    /// The next ready task runs up to where it waits, or to its end: then says what must have come of it. `seen` did.
    fn step<G: Guard>(&mut self, task: usize, seen: Option<Outcome>) -> Option<Outcome> {
        let &mut Waiter { ask, has_begun, is_killed, won } = self.waiter(task);
        let outcome = match (has_begun, won) {
            (_, Some(queue)) => Ok(queue),
            // One that has started is in the queue already when its wait is refused, which gives way before it looks again.
            (_, None) if is_killed && (has_begun || !matches!(ask, Ask::Started(..))) => {
                self.leave(task);
                Err(())
            }
            (false, None) => {
                let is_free =
                    |(queue, count): &(usize, u32)| self.queues[*queue].is_empty() && *count <= self.available[*queue];
                let free: Vec<(usize, u32)> = ask.parts().into_iter().filter(is_free).collect();
                // Of permits of two semaphores either may be taken.
                let taken = free.iter().find(|part| G::COUNTS && seen == Some(Ok(part.0))).or(free.first()).copied();
                let Some((queue, count)) = taken else {
                    ask.parts().into_iter().for_each(|(queue, count)| self.queues[queue].push_back((task, count)));
                    self.waiter(task).has_begun = true;
                    if is_killed {
                        self.wake(task);
                    }
                    return None;
                };
                self.available[queue] -= count;
                Ok(queue)
            }
            (true, None) => unreachable!("nobody is woken for nothing"),
        };
        self.waiters[task] = None;
        if G::COUNTS && has_begun {
            // Those behind what has left, or lost.
            ask.parts().into_iter().filter(|part| outcome != Ok(part.0)).for_each(|part| self.serve(part.0));
        }
        Some(outcome)
    }
}

fn random_histories<G: Guard>(new: impl Fn() -> G) {
    let seeds = match std::env::var("COOP_SEED") {
        Ok(seed) => seed.parse().map(|seed| seed..seed + 1).expect("COOP_SEED is a number"),
        Err(_) => 0..SEEDS,
    };
    let mut reached = [0usize; 4];
    let run = || seeds.for_each(|seed| random_history(seed, &new(), &mut reached));
    coop::Builder::new().virtual_time().run(run).expect("there is memory for it");
    let [won, killed, both, behind] = reached;
    println!("won {won}, killed {killed}, won although killed {both}, killed before others {behind}");
    assert!(std::env::var("COOP_SEED").is_ok() || reached.iter().all(|count| *count > 100), "{reached:?}");
}

fn random_history<G: Guard>(seed: u64, guard: &G, reached: &mut [usize; 4]) {
    let random = Random::new(seed);
    let any = |bound: usize| random.below(bound as u64) as usize;
    let seen = RefCell::new(Vec::<Option<Outcome>>::new());
    let mut model = Model::default();
    coop::wait_all(|s| {
        let mut tasks = Vec::new();
        for step in 0..=STEPS {
            for _ in 0..=any(4) {
                let waiting: Vec<usize> = (0..tasks.len()).filter(|task| model.is_waiting(*task)).collect();
                match any(8) {
                    // In the end, nobody is left.
                    _ if step == STEPS => waiting.iter().for_each(|task| {
                        coop::ScopedJoinHandle::kill(&tasks[*task]);
                        model.kill(*task);
                    }),
                    0..=3 if waiting.len() < MOST => {
                        let (ask, task, seen) = (G::random_ask(&random), tasks.len(), &seen);
                        seen.borrow_mut().push(None);
                        tasks.push(s.spawn(move || {
                            let outcome = guard.ask(ask).map_err(|_| ());
                            seen.borrow_mut()[task] = Some(outcome);
                        }));
                        model.waiters.push(Some(Waiter { ask, has_begun: false, is_killed: false, won: None }));
                        model.wake(task);
                    }
                    4 | 5 if !waiting.is_empty() => {
                        let task = waiting[any(waiting.len())];
                        let is_before = |queue: &VecDeque<(usize, u32)>| queue.len() > 1 && queue[0].0 == task;
                        reached[3] += usize::from(model.queues.iter().any(is_before));
                        tasks[task].kill();
                        model.kill(task);
                    }
                    _ => {
                        let queue = any(QUEUES);
                        guard.add(queue);
                        model.add::<G>(queue);
                    }
                }
            }
            // Each comes to its next wait, and whoever is served by that: time passes when none can run.
            coop::sleep(Duration::from_nanos(1)).expect("nobody kills the test");
            while let Some(task) = model.ready.pop_front() {
                let (&mut Waiter { ask, is_killed, .. }, outcome) = (model.waiter(task), seen.borrow()[task]);
                let Some(expected) = model.step::<G>(task, outcome) else { continue };
                assert_eq!(outcome, Some(expected), "COOP_SEED={seed}, step {step}: task {task}, {ask:?}");
                reached[usize::from(expected.is_err()) + 2 * usize::from(expected.is_ok() && is_killed)] += 1;
            }
            for task in (0..tasks.len()).filter(|task| model.is_waiting(*task)) {
                assert_eq!(seen.borrow()[task], None, "COOP_SEED={seed}, step {step}: task {task}, out of turn");
            }
        }
        assert!(model.queues.iter().all(VecDeque::is_empty));
    });
}

#[test]
fn coordinators_are_handed_over_in_turn() {
    random_histories(|| Coordinators([const { Coordinator::held() }; QUEUES]));
}

#[test]
fn permits_are_handed_out_in_turn() {
    random_histories(|| Semaphores([const { Semaphore::new(0) }; QUEUES]));
}
