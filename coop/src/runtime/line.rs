//! A reference to a Cooperator's inbox that counts: as long as there is one, somebody elsewhere may still wake a task.

use super::forked::generation;
use crate::cooperator::Cooperator;
use crate::inbox::{Inbox, Job};
use std::io;
use std::sync::Arc;

/// Who holds one can leave something. When the last goes the Cooperator is rung once more: it may sleep, and has to find out that
/// nobody will wake it.
pub(super) struct Line {
    /// `None` only while it is dropped.
    inbox: Option<Arc<Inbox>>,
    /// The Cooperator's number.
    home: u64,
    /// The process it is of: what a forked child has of it is a copy of the inbox, which nobody empties.
    generation: u32,
}

impl Line {
    pub(super) fn to(cooperator: &Cooperator) -> io::Result<Self> {
        Ok(Line { inbox: Some(cooperator.open_inbox()?), home: cooperator.id, generation: generation() })
    }

    /// Leaves a job. A Cooperator that has finished, or is in another process, gives it back.
    pub(super) fn push(&self, job: Job) -> Result<(), Job> {
        match &self.inbox {
            Some(inbox) if self.generation == generation() => inbox.push(job),
            _ => Err(job),
        }
    }

    fn is_at_home(&self) -> bool {
        Cooperator::current().is_some_and(|cooperator| cooperator.id == self.home)
    }
}

impl Clone for Line {
    fn clone(&self) -> Self {
        Line { inbox: self.inbox.clone(), ..*self }
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        let Some(inbox) = self.inbox.take() else { return };
        let (left, back_door) = (Arc::downgrade(&inbox), inbox.back_door());
        drop(inbox);
        // The Cooperator's own is left. Of several that go at once, who is the last sees that. At home it is awake.
        if left.strong_count() == 1 && self.generation == generation() && !self.is_at_home() {
            let _ = back_door.push(Box::new(|| ()));
        }
    }
}
