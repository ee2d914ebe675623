//! Collects the status of children that nobody waits for any more, so that they do not stay as zombies. One thread does that
//! for the process, while there are any.

use crate::sys;
use crate::workers;
use std::os::fd::{AsRawFd, OwnedFd};
use std::process::{self, Child};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

#[derive(Default)]
struct Orphans {
    /// New ones, which the thread has not seen.
    new: Vec<(Child, OwnedFd)>,
    /// The thread runs.
    is_collected: bool,
    /// Tells the thread that there are new ones. Without one it looks from time to time.
    bell: Option<OwnedFd>,
    /// The process whose children they are: a forked one has none of them, nor the thread.
    owner: u32,
}

static ORPHANS: Mutex<Option<Orphans>> = Mutex::new(None);

/// How often the thread looks, where nothing tells it.
const LOOK: Duration = Duration::from_millis(100);

fn lock() -> MutexGuard<'static, Option<Orphans>> {
    ORPHANS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Leaves a child to the background. Where there is no thread to be had, it stays a zombie until the next is left, or this process
/// ends.
pub(super) fn leave(mut child: Child, pidfd: OwnedFd) {
    // Most have ended.
    if !matches!(child.try_wait(), Ok(None)) {
        return;
    }
    let mut orphans = lock();
    let orphans = orphans.get_or_insert_default();
    if orphans.owner != process::id() {
        *orphans = Orphans { owner: process::id(), ..Orphans::default() };
    }
    orphans.new.push((child, pidfd));
    if orphans.is_collected {
        if let Some(bell) = &orphans.bell {
            sys::eventfd_wake(bell.as_raw_fd());
        }
        return;
    }
    let (bell, its) = match sys::eventfd().and_then(|bell| Ok((bell.try_clone()?, bell))) {
        Ok((bell, its)) => (Some(bell), Some(its)),
        // No descriptor is left.
        Err(_) => (None, None),
    };
    if workers::USERS.submit(Box::new(move || collect(its))).is_ok() {
        (orphans.is_collected, orphans.bell) = (true, bell);
    }
}

/// The thread's work, until there are no more.
fn collect(bell: Option<OwnedFd>) {
    let mut waiting: Vec<(Child, OwnedFd)> = Vec::new();
    loop {
        {
            let mut orphans = lock();
            let Some(orphans) = &mut *orphans else { return };
            waiting.append(&mut orphans.new);
            if waiting.is_empty() {
                (orphans.is_collected, orphans.bell) = (false, None);
                return;
            }
        }
        let poll = |fd: &OwnedFd| libc::pollfd { fd: fd.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        let mut polls: Vec<_> = waiting.iter().map(|(_, pidfd)| poll(pidfd)).chain(bell.as_ref().map(poll)).collect();
        let patience = if bell.is_some() { -1 } else { LOOK.as_millis() as libc::c_int };
        // SAFETY: an array of the length that is given.
        let is_told = unsafe { libc::poll(polls.as_mut_ptr(), polls.len() as libc::nfds_t, patience) } >= 0;
        if let Some(bell) = &bell {
            sys::eventfd_silence(bell.as_raw_fd());
        }
        if !is_told {
            // A signal, or more children than the process may now have descriptors: each is asked.
            thread::sleep(LOOK);
        }
        let mut polls = polls.iter();
        waiting.retain_mut(|(child, _)| {
            let has_news = polls.next().is_none_or(|poll| poll.revents != 0);
            (is_told && !has_news) || matches!(child.try_wait(), Ok(None))
        });
    }
}
