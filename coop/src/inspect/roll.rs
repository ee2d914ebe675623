//! The Cooperators of the process, as every thread may see them: their counters, and what can be asked of their loops.
//!
//! A Cooperator is for one thread, and nothing of it is shared but numbers that its owner changes with plain stores
//! ([`Count`](crate::count::Count)). Whoever reads them holds the roll's lock, which a Cooperator takes to leave it: so it is there
//! as long as it is looked at. What cannot be read from outside, the tree of its tasks above all, is asked for by a bit that the
//! loop looks at once a pass; a loop that sleeps is woken by a signal that does nothing else.

use super::interrupt;
use super::watch::{self, Watch};
use crate::cooperator::Cooperator;
use crate::task::Row;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What a loop can be asked to do.
pub(crate) mod ask {
    /// Print the tree of its tasks.
    pub(crate) const PRINT: u8 = 1;
    /// Leave the tree of its tasks where it can be picked up.
    pub(crate) const SHOW: u8 = 2;
    /// See whether the timeline was switched on or off.
    pub(crate) const TRACE: u8 = 4;
    /// Report waits that have become too long.
    pub(crate) const WAITS: u8 = 8;
}

/// A Cooperator that runs.
pub(crate) struct Member {
    cooperator: *const Cooperator,
    pub(crate) id: u64,
    pub(crate) name: Arc<str>,
    /// The thread, as `gettid` has it.
    pub(crate) thread: libc::pid_t,
    pub(crate) watch: Watch,
    _row: Row,
}

// SAFETY: other threads follow the pointer under the roll's lock only, and there read nothing but atomics (`Member::look`).
unsafe impl Send for Member {}

static ROLL: Mutex<Vec<Member>> = Mutex::new(Vec::new());

/// The members. While this is held none of them goes.
pub(crate) fn members() -> MutexGuard<'static, Vec<Member>> {
    ROLL.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A Cooperator's place on the roll; off it when dropped.
pub(crate) struct Enrolled(u64);

/// Puts the calling thread's Cooperator on the roll.
///
/// # Safety
/// It does not go, and nobody has `&mut` to any of it, before the result was dropped.
pub(crate) unsafe fn enroll(cooperator: &Cooperator, watch: Watch) -> Enrolled {
    let row = Row::take();
    cooperator.counters.row.set(row.index());
    let name = match &cooperator.settings.name {
        Some(name) => name.clone(),
        None => std::thread::current().name().unwrap_or("cooperator").into(),
    };
    cooperator.inspected.longest_wait.set(watch.longest_wait.map_or(0, |limit| limit.as_nanos() as u64));
    cooperator.inspected.looked_at.set(cooperator.clock.now());
    if super::timeline::is_on() {
        cooperator.inspected.asked.store(ask::TRACE, Ordering::Relaxed);
    }
    // SAFETY: has no arguments, and no effect.
    let thread = unsafe { libc::gettid() };
    let member = Member { cooperator, id: cooperator.id, name, thread, watch: watch.clone(), _row: row };
    members().push(member);
    watch::begin(&watch);
    Enrolled(cooperator.id)
}

impl Drop for Enrolled {
    fn drop(&mut self) {
        let mut members = members();
        let Some(index) = members.iter().position(|member| member.id == self.0) else { return };
        let member = members.remove(index);
        drop(members);
        watch::end(&member.watch);
    }
}

impl Member {
    /// What may be read of it on any thread: the methods of what this gives that say so, and they only read atomics.
    pub(crate) fn look(&self) -> &Cooperator {
        // SAFETY: on the roll, so not gone: the contract of `enroll`. A `Member` is only reached under the lock.
        unsafe { &*self.cooperator }
    }

    /// Asks its loop for something. See [`Member::wake`].
    pub(crate) fn ask(&self, what: u8) {
        self.look().inspected.asked.fetch_or(what, Ordering::Release);
    }

    /// Whether it has not come to it yet.
    pub(crate) fn is_asked(&self, what: u8) -> bool {
        self.look().inspected.asked.load(Ordering::Acquire) & what != 0
    }

    /// Wakes its loop if it sleeps. It may miss that between its last look and its sleep: who waits for an answer wakes it again.
    pub(crate) fn wake(&self) {
        interrupt::poke(self.thread);
    }
}
