//! Collects the status of children that nobody waits for any more, so that they do not stay as zombies. One thread does that
//! for the process, while there are any.

use crate::sys;
use crate::workers;
use std::os::fd::{AsRawFd, OwnedFd};
use std::process::{self, Child};
use std::sync::{Mutex, MutexGuard, PoisonError};

#[derive(Default)]
struct Orphans {
    /// New ones, which the thread has not seen.
    new: Vec<(Child, OwnedFd)>,
    /// Tells the thread that there are. `Some` while it runs.
    bell: Option<OwnedFd>,
    /// The process whose children they are: a forked one has none of them, nor the thread.
    owner: u32,
}

static ORPHANS: Mutex<Option<Orphans>> = Mutex::new(None);

fn lock() -> MutexGuard<'static, Option<Orphans>> {
    ORPHANS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Leaves a child to the background. Where there is neither a descriptor nor a thread to be had, it stays a zombie until this
/// process ends.
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
    match &orphans.bell {
        Some(bell) => sys::eventfd_wake(bell.as_raw_fd()),
        None => {
            let Ok((bell, its)) = sys::eventfd().and_then(|bell| Ok((bell.try_clone()?, bell))) else { return };
            if workers::USERS.submit(Box::new(move || collect(its))).is_ok() {
                orphans.bell = Some(bell);
            }
        }
    }
}

/// The thread's work, until there are no more.
fn collect(bell: OwnedFd) {
    let mut waiting: Vec<(Child, OwnedFd)> = Vec::new();
    loop {
        {
            let mut orphans = lock();
            let Some(orphans) = &mut *orphans else { return };
            waiting.append(&mut orphans.new);
            waiting.retain_mut(|(child, _)| matches!(child.try_wait(), Ok(None)));
            if waiting.is_empty() {
                orphans.bell = None;
                return;
            }
        }
        let poll = |fd: &OwnedFd| libc::pollfd { fd: fd.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        let mut polls: Vec<_> = waiting.iter().map(|(_, pidfd)| poll(pidfd)).chain([poll(&bell)]).collect();
        let mut count = 0u64;
        // SAFETY: an array of the length that is given; eight writable bytes, as an eventfd wants, which is non-blocking.
        unsafe {
            libc::poll(polls.as_mut_ptr(), polls.len() as libc::nfds_t, -1);
            libc::read(bell.as_raw_fd(), (&raw mut count).cast(), 8);
        }
    }
}
