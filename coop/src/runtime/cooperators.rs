//! Several Cooperators, each on a thread of its own.

use super::builder::Builder;
use super::remote::Remote;
use super::remote_join::{RemoteJoinHandle, reported};
use super::start::StartError;
use crate::cooperator::Cooperator;
use crate::coordinator::Coordinator;
use crate::error::{Cause, JoinError};
use crate::fiber::Reason;
use crate::task::{self, Task};
use std::fmt;
use std::io;
use std::num::NonZero;
use std::sync::{Arc, mpsc};
use std::thread;

/// The Cooperators of a program: that of the calling task, and those that were started with it.
///
/// ```
/// use coop::Builder;
/// use std::collections::BTreeSet;
/// let names = Builder::new().cooperators(3).run(|| {
///     let mut tasks: Vec<_> = coop::cooperators()
///         .iter()
///         .map(|remote| remote.submit(|| coop::cooperators().current().name().to_owned()).map_err(drop).unwrap())
///         .collect();
///     tasks.iter_mut().map(|task| task.join().unwrap()).collect::<BTreeSet<_>>()
/// }).unwrap();
/// assert_eq!(Vec::from_iter(names), ["cooperator-0", "cooperator-1", "cooperator-2"]);
/// ```
#[derive(Clone)]
pub struct Cooperators {
    all: Arc<[Remote]>,
    current: usize,
}

impl Cooperators {
    /// How many there are.
    #[expect(clippy::len_without_is_empty, reason = "there is always that of the calling task")]
    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// That of the calling task.
    pub fn current(&self) -> &Remote {
        &self.all[self.current]
    }

    /// The place of the calling task's among all, from 0.
    pub fn index(&self) -> usize {
        self.current
    }

    /// The one at a place: 0 is that of the root task of the program.
    pub fn get(&self, index: usize) -> Option<&Remote> {
        self.all.get(index)
    }

    /// The one with a name: see [`Builder::name`].
    pub fn named(&self, name: &str) -> Option<&Remote> {
        self.all.iter().find(|remote| remote.name() == name)
    }

    /// All of them.
    pub fn iter(&self) -> std::slice::Iter<'_, Remote> {
        self.all.iter()
    }
}

impl<'a> IntoIterator for &'a Cooperators {
    type Item = &'a Remote;
    type IntoIter = std::slice::Iter<'a, Remote>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl fmt::Debug for Cooperators {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.all.iter().map(Remote::name)).finish()
    }
}

/// The Cooperators that were started together with that of the calling task, by `#[coop::main(cooperators = …)]` or
/// [`Builder::cooperators`]; else only its own. Not a wait point.
///
/// # Panics
/// On a thread without a Cooperator; and when there is no file descriptor left for a Remote to a Cooperator that is alone.
#[track_caller]
pub fn cooperators() -> Cooperators {
    let cooperator = Cooperator::required();
    let group = cooperator.group.borrow();
    if let Some(group) = group.as_ref().and_then(|group| group.downcast_ref::<Cooperators>()) {
        return group.clone();
    }
    match super::remote::remote() {
        Ok(remote) => Cooperators { all: Arc::new([remote]), current: 0 },
        Err(error) => panic!("no eventfd for a Remote: {error}"),
    }
}

/// How many Cooperators are as many as the process may use cores: what `"per-core"` stands for. At least one.
///
/// It counts the cores in the process's affinity mask, and heeds a cgroup's quota, as
/// [`available_parallelism`](thread::available_parallelism) does.
pub fn per_core() -> usize {
    thread::available_parallelism().map_or(1, NonZero::get)
}

/// A Cooperator on a thread of its own, made by [`Builder::start`].
///
/// Its root task only waits, for [`shutdown`](Self::shutdown); what it runs was [submitted](Remote::submit). Dropping this shuts
/// it down, and does not wait for that.
///
/// ```
/// use coop::Builder;
/// let mut storage = Builder::new().name("storage").start().unwrap();
/// let mut task = storage.remote().submit(|| std::thread::current().name().map(str::to_owned)).map_err(drop).unwrap();
/// assert_eq!(task.join().unwrap().as_deref(), Some("storage"));
/// storage.shutdown();
/// storage.join().unwrap();
/// ```
#[must_use = "dropping it shuts the Cooperator down"]
pub struct CooperatorThread {
    remote: Remote,
    end: RemoteJoinHandle<()>,
}

impl CooperatorThread {
    /// The reference by which to reach it.
    pub fn remote(&self) -> &Remote {
        &self.remote
    }

    /// Kills its tasks, with cause [`Shutdown`](Cause::Shutdown); it ends when they have. Not a wait point.
    pub fn shutdown(&self) {
        // One that has finished does not listen any more.
        self.remote.leave(Box::new(|| {
            let cooperator = Cooperator::required();
            // SAFETY: the root is set before the loop runs any job, and stays until the loop has ended.
            let root = unsafe { &*cooperator.root.get().cast::<Task>() };
            root.node.kill(cooperator, Cause::Shutdown);
        }));
    }

    /// Waits until it has ended: after a [`shutdown`](Self::shutdown), which this does not do. In a task a wait point, and
    /// kill-checked; on a thread without a Cooperator it blocks the thread.
    ///
    /// # Errors
    /// `Interrupted`, when the waiting task was killed; `AlreadyJoined` the second time.
    #[track_caller]
    pub fn join(&mut self) -> Result<(), JoinError> {
        self.end.join()
    }
}

impl Drop for CooperatorThread {
    fn drop(&mut self) {
        self.shutdown();
    }
}

impl fmt::Debug for CooperatorThread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CooperatorThread({:?})", self.remote.name())
    }
}

/// Starts a Cooperator on a new thread, and waits until it runs.
pub(super) fn start(builder: Builder) -> Result<CooperatorThread, StartError> {
    let builder = builder.or_name(|| "cooperator".to_owned());
    let name = builder.given_name().map_or(String::new(), |name| name.replace('\0', ""));
    let (started, news) = mpsc::channel();
    let (report, end) = reported(None);
    let body = move || {
        let root = || -> io::Result<()> {
            // Whoever waits for the news has gone, if it cannot be left.
            let _ = started.send(Ok(super::remote::remote()?));
            // Until it is killed. No timer: a virtual clock would go to the end of time for it.
            let never = Coordinator::held();
            while task::acquire(&never, Reason::new("wait for the shutdown")).is_ok() {}
            Ok(())
        };
        match builder.run_alone(root) {
            Ok(Ok(())) => {}
            Ok(Err(error)) => drop(started.send(Err(StartError::thread(error)))),
            Err(error) => drop(started.send(Err(error))),
        }
        report.end(Ok(()));
    };
    thread::Builder::new().name(name).spawn(body).map_err(StartError::thread)?;
    match news.recv() {
        Ok(Ok(remote)) => Ok(CooperatorThread { remote, end }),
        Ok(Err(error)) => Err(error),
        Err(mpsc::RecvError) => Err(StartError::thread(io::Error::other("its thread has ended"))),
    }
}

/// Runs `f` as the root of the first of several Cooperators.
pub(super) fn run<F, R>(builder: Builder, f: F) -> Result<R, StartError>
where
    F: FnOnce() -> R,
{
    /// However the root ends, the others do, and are awaited.
    struct Others(Vec<CooperatorThread>);
    impl Others {
        fn shutdown(&self) {
            self.0.iter().for_each(CooperatorThread::shutdown);
        }
    }
    impl Drop for Others {
        fn drop(&mut self) {
            self.shutdown();
            for other in &mut self.0 {
                let _ = other.join();
            }
        }
    }
    /// The shutdown of the others begins with that of the root, not after it.
    struct Ending<'a>(&'a Others);
    impl Drop for Ending<'_> {
        fn drop(&mut self) {
            self.0.shutdown();
        }
    }

    let mut others = Others(Vec::new());
    for index in 1..builder.count() {
        others.0.push(builder.clone().name(format!("cooperator-{index}")).start()?);
    }
    let root = || -> io::Result<R> {
        let first = super::remote::remote()?;
        let all: Arc<[Remote]> =
            std::iter::once(first).chain(others.0.iter().map(|other| other.remote.clone())).collect();
        for (index, remote) in all.iter().enumerate() {
            let group = Cooperators { all: all.clone(), current: index };
            let join = move || drop(Cooperator::required().group.replace(Some(Box::new(group))));
            match index {
                0 => join(),
                // Before anything that is submitted: jobs are run in the order in which they came.
                _ => _ = remote.leave(Box::new(join)),
            }
        }
        let _ending = Ending(&others);
        Ok(f())
    };
    builder.or_name(|| "cooperator-0".to_owned()).run_alone(root)?.map_err(StartError::thread)
}
