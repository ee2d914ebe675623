//! `&mut join_handle` as an arm: the value moves once, to whoever's arm it is that wins.

use super::arm::{Arm, Readiness, Sealed};
use crate::cooperator::Cooperator;
use crate::coordinator::Wait;
use crate::error::JoinError;
use crate::task::{JoinHandle, Joining, ScopedJoinHandle};
use std::panic::Location;

macro_rules! join_arm {
    ($handle:ty, $($lifetime:lifetime)?) => {
        impl<$($lifetime,)? R> Sealed for &mut $handle {}

        // SAFETY: `enlist` links the task's own entry for its joiner, which the wait unlinks. That a task has ended is not
        // changed by looking.
        #[diagnostic::do_not_recommend]
        unsafe impl<$($lifetime,)? R> Arm for &mut $handle {
            type Output = Result<R, JoinError>;
            type Itself = Self;

            fn itself(self) -> Self {
                self
            }

            fn is_disabled(&self) -> bool {
                self.joining_ref().is_taken()
            }

            fn readiness(&self) -> Readiness {
                let joining = self.joining_ref();
                if joining.has_ended() || joining.is_self_or_ancestor() { Readiness::Maybe } else { Readiness::No }
            }

            fn attempt(&mut self, _: &Cooperator) -> Option<Self::Output> {
                take(self.joining())
            }

            unsafe fn enlist(&self, _: &Cooperator, wait: &Wait, index: usize) {
                let task = self.joining_ref().task();
                // SAFETY: the task's record stays while its handle does; the rest is the caller's promise.
                unsafe { wait.enlist(&task.ended, &task.joiner, index) };
            }

            fn won(&mut self, _: &Cooperator) -> Option<Self::Output> {
                // Handed over: passed on, though nobody else can wait for it.
                self.joining_ref().task().ended.release();
                Some(self.joining().take())
            }

            fn disengage(&self, _: &Cooperator) {}

            fn settle(&self, _: &Cooperator, _: &'static Location<'static>) {}
        }
    };
}

join_arm!(JoinHandle<R>,);
join_arm!(ScopedJoinHandle<'scope, R>, 'scope);

fn take<R>(joining: &mut Joining<R>) -> Option<Result<R, JoinError>> {
    if joining.has_ended() {
        return Some(joining.take());
    }
    // It waits for the joiner to end: as an arm, too, that is an error at once.
    joining.is_self_or_ancestor().then_some(Err(JoinError::Deadlock))
}
