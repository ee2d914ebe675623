//! `&mut join_handle` as an arm: the value moves once, to whoever's arm it is that wins.

use super::arm::{Arm, Readiness, Sealed};
use crate::cooperator::Cooperator;
use crate::coordinator::{Coordinated, Coordinator, Wait};
use crate::error::JoinError;
use crate::task::{JoinHandle, Joining, ScopedJoinHandle};
use std::panic::Location;

/// A [`JoinHandle`] or [`ScopedJoinHandle`] in a `select!`.
#[doc(hidden)]
pub struct JoinArm<'a, R> {
    joining: &'a mut Joining<R>,
    /// What the arm waits for: held until the task has ended.
    ended: Coordinator,
    entry: Coordinated,
}

impl<R> Sealed for JoinArm<'_, R> {}

// SAFETY: `enlist` links the arm's entry, which the wait unlinks, and has the task tell the arm's Coordinator, which `disengage` undoes.
// That a task has ended is not changed by looking.
#[diagnostic::do_not_recommend]
unsafe impl<R> Arm for JoinArm<'_, R> {
    type Output = Result<R, JoinError>;
    type Itself = Self;

    fn itself(self) -> Self {
        self
    }

    fn is_disabled(&self) -> bool {
        self.joining.is_taken()
    }

    fn readiness(&self) -> Readiness {
        if self.joining.has_ended() || self.joining.is_self_or_ancestor() { Readiness::Maybe } else { Readiness::No }
    }

    fn attempt(&mut self, _: &Cooperator) -> Option<Self::Output> {
        if self.joining.has_ended() {
            return Some(self.joining.take());
        }
        // It waits for the joiner to end: as an arm, too, that is an error at once.
        self.joining.is_self_or_ancestor().then_some(Err(JoinError::Deadlock))
    }

    unsafe fn enlist(&self, _: &Cooperator, wait: &Wait, index: usize) {
        // SAFETY: the caller's promise; the task's record stays while its handle does.
        unsafe {
            self.joining.task().joiner.set_arm(&self.ended);
            wait.enlist(&self.ended, &self.entry, index);
        }
    }

    fn won(&mut self, _: &Cooperator) -> Option<Self::Output> {
        Some(self.joining.take())
    }

    fn disengage(&self, _: &Cooperator) {
        self.joining.task().joiner.clear();
    }

    fn settle(&self, _: &Cooperator, _: &'static Location<'static>) {}
}

macro_rules! join_arm {
    ($handle:ty, $($lifetime:lifetime)?) => {
        impl<$($lifetime,)? R> Sealed for &mut $handle {}

        // SAFETY: in a `select!` stands what `itself` makes of it, which keeps the promises.
        #[diagnostic::do_not_recommend]
        unsafe impl<'a, $($lifetime,)? R> Arm for &'a mut $handle {
            type Output = Result<R, JoinError>;
            type Itself = JoinArm<'a, R>;

            fn itself(self) -> JoinArm<'a, R> {
                JoinArm { joining: self.joining(), ended: Coordinator::held(), entry: Coordinated::new() }
            }

            fn readiness(&self) -> Readiness {
                Readiness::No
            }

            fn attempt(&mut self, _: &Cooperator) -> Option<Self::Output> {
                None
            }

            unsafe fn enlist(&self, _: &Cooperator, _: &Wait, _: usize) {}

            fn won(&mut self, _: &Cooperator) -> Option<Self::Output> {
                None
            }

            fn disengage(&self, _: &Cooperator) {}

            fn settle(&self, _: &Cooperator, _: &'static Location<'static>) {}
        }
    };
}

join_arm!(JoinHandle<R>,);
join_arm!(ScopedJoinHandle<'scope, R>, 'scope);
