//! A listener's connections as an iterator.

use super::Listener;
use super::accept::Accepting;
use crate::error::Killed;
use crate::handle::Blocking;
use std::io;
use std::iter::FusedIterator;

/// The connections that a listener accepts: made by `incoming` of [`TcpListener`](super::TcpListener::incoming),
/// [`UnixListener`](super::UnixListener::incoming) and [`UnixSeqpacketListener`](super::UnixSeqpacketListener::incoming).
#[derive(Debug)]
#[must_use = "an iterator does nothing until it is asked for the next connection"]
pub struct Incoming<'a, L> {
    listener: &'a L,
    is_killed: bool,
}

impl<'a, L> Incoming<'a, L> {
    pub(super) fn new(listener: &'a L) -> Self {
        Incoming { listener, is_killed: false }
    }
}

/// Each step is a wait point; kill-checked. After the error that says that the task was killed there are no more, so that a loop
/// over the connections that passes errors over ends too.
impl<L: Listener> Iterator for Incoming<'_, L> {
    type Item = io::Result<L::Stream>;

    #[track_caller]
    fn next(&mut self) -> Option<Self::Item> {
        if self.is_killed {
            return None;
        }
        let accepted = Accepting::new(self.listener).block();
        self.is_killed = accepted.as_ref().is_err_and(Killed::is);
        Some(accepted.map(L::without_address))
    }
}

impl<L: Listener> FusedIterator for Incoming<'_, L> {}
