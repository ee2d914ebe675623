//! The engine of `select!`: waits for the first of several arms; the others have had no effect.
//!
//! ```text
//!   killed? ──▶ attempt each arm that may be ready ──▶ default? ──▶ enlist all ──▶ park ──▶ winner: attempt
//!                     │ one gives an output                            ▲                       │      │
//!                     ▼                                                └───── stolen ──────────┘      ▼
//!                   done                                                       disengage and settle the others, done
//! ```

use super::arm::{Arm, Readiness};
use crate::cooperator::Cooperator;
use crate::coordinator::Wait;
use crate::error::Killed;
use crate::fiber::{Detail, Reason};
use crate::ring::Patience;
use crate::task;
use std::panic::Location;

/// An arm, or `None` for one whose guard is false, and those after it.
#[doc(hidden)]
pub struct Cons<A, Rest>(pub Option<A>, pub Rest);

/// The end of the arms.
#[doc(hidden)]
pub struct Nil;

/// The output of the arm that won.
#[doc(hidden)]
pub enum Out<A, Rest> {
    Here(A),
    There(Rest),
}

/// The output of no arm.
#[doc(hidden)]
#[derive(Clone, Copy)]
pub enum Never {}

/// `biased`: in order instead of in turn. `default`: do not wait.
#[doc(hidden)]
#[derive(Clone, Copy)]
pub struct SelectMode {
    pub biased: bool,
    pub default: bool,
}

/// How a `select!` ended.
#[doc(hidden)]
pub enum Selected<O> {
    Arm(O),
    Default,
    Complete,
    Killed(Killed),
}

/// The arms of one `select!`, each with its index.
///
/// # Safety
/// As `Arm`, for each of them.
#[doc(hidden)]
#[allow(private_interfaces)]
pub unsafe trait ArmList {
    type Output;
    const LENGTH: usize;
    const IS_LITTLE: bool;
    fn readiness(&self, index: usize) -> Option<Readiness>;
    fn attempt(&mut self, index: usize, cooperator: &Cooperator) -> Option<Self::Output>;
    /// # Safety
    /// As [`Arm::enlist`].
    unsafe fn enlist(&self, cooperator: &Cooperator, wait: &Wait, index: usize);
    fn won(&mut self, index: usize, cooperator: &Cooperator) -> Option<Self::Output>;
    fn disengage(&self, cooperator: &Cooperator);
    fn settle(&self, cooperator: &Cooperator, place: &'static Location<'static>);
}

// SAFETY: no arms.
#[allow(private_interfaces)]
unsafe impl ArmList for Nil {
    type Output = Never;
    const LENGTH: usize = 0;
    const IS_LITTLE: bool = true;
    fn readiness(&self, _: usize) -> Option<Readiness> {
        None
    }
    fn attempt(&mut self, _: usize, _: &Cooperator) -> Option<Never> {
        None
    }
    unsafe fn enlist(&self, _: &Cooperator, _: &Wait, _: usize) {}
    fn won(&mut self, _: usize, _: &Cooperator) -> Option<Never> {
        None
    }
    fn disengage(&self, _: &Cooperator) {}
    fn settle(&self, _: &Cooperator, _: &'static Location<'static>) {}
}

// SAFETY: each call goes to one arm, or to all of them.
#[allow(private_interfaces)]
unsafe impl<A: Arm, Rest: ArmList> ArmList for Cons<A, Rest> {
    type Output = Out<A::Output, Rest::Output>;
    const LENGTH: usize = 1 + Rest::LENGTH;
    const IS_LITTLE: bool = A::IS_LITTLE && Rest::IS_LITTLE;

    /// `None` for a disabled arm.
    #[inline]
    fn readiness(&self, index: usize) -> Option<Readiness> {
        match (index, &self.0) {
            (0, Some(arm)) if !arm.is_disabled() => Some(arm.readiness()),
            (0, _) => None,
            _ => self.1.readiness(index - 1),
        }
    }

    #[inline]
    fn attempt(&mut self, index: usize, cooperator: &Cooperator) -> Option<Self::Output> {
        if index != 0 {
            return self.1.attempt(index - 1, cooperator).map(Out::There);
        }
        self.0.as_mut().and_then(|arm| arm.attempt(cooperator)).map(Out::Here)
    }

    #[inline]
    unsafe fn enlist(&self, cooperator: &Cooperator, wait: &Wait, index: usize) {
        if let Some(arm) = &self.0
            && !arm.is_disabled()
        {
            // SAFETY: the caller's promise.
            unsafe { arm.enlist(cooperator, wait, index) };
        }
        // SAFETY: the caller's promise.
        unsafe { self.1.enlist(cooperator, wait, index + 1) };
    }

    #[inline]
    fn won(&mut self, index: usize, cooperator: &Cooperator) -> Option<Self::Output> {
        if index != 0 {
            return self.1.won(index - 1, cooperator).map(Out::There);
        }
        self.0.as_mut().and_then(|arm| arm.won(cooperator)).map(Out::Here)
    }

    #[inline]
    fn disengage(&self, cooperator: &Cooperator) {
        if let Some(arm) = &self.0 {
            arm.disengage(cooperator);
        }
        self.1.disengage(cooperator);
    }

    #[inline]
    fn settle(&self, cooperator: &Cooperator, place: &'static Location<'static>) {
        if let Some(arm) = &self.0 {
            arm.settle(cooperator, place);
        }
        self.1.settle(cooperator, place);
    }
}

/// What `select!` calls.
#[doc(hidden)]
#[inline(always)]
#[track_caller]
pub fn select<L: ArmList<Output = O>, O>(mut arms: L, mode: SelectMode) -> Selected<O> {
    let cooperator = match task::begin() {
        Ok(cooperator) => cooperator,
        Err(killed) => return Selected::Killed(killed),
    };
    let place = Location::caller();
    let first = if mode.biased || L::LENGTH < 2 { 0 } else { cooperator.scheduler.turn(L::LENGTH) };
    let attempted = match L::IS_LITTLE {
        // Here, for `select!`s that wait for no kernel: to attempt such an arm costs no more than to ask whether it is ready.
        true => attempt_each(&mut arms, cooperator, first),
        false => attempt_in_turn(&mut arms, cooperator, first, mode.default),
    };
    if let Some(output) = attempted {
        match L::IS_LITTLE {
            true => cooperator.scheduler.spend_little(),
            false => cooperator.scheduler.spend_call(),
        }
        return Selected::Arm(output);
    }
    if (0..L::LENGTH).all(|index| arms.readiness(index).is_none()) {
        return if mode.default { Selected::Default } else { Selected::Complete };
    }
    if mode.default {
        // Completions may have come that nobody has looked at yet.
        cooperator.drive(Patience::None);
        return match attempt_in_turn(&mut arms, cooperator, first, true) {
            Some(output) => Selected::Arm(output),
            None => Selected::Default,
        };
    }
    wait_for_one(&mut arms, cooperator, first, place)
}

/// Takes the output of the first arm, from `first` on, that is ready. Arms that their socket's last call left doubtful are only
/// attempted (each a system call) if some other arm may be ready, or if `all` says so: otherwise the wait to come finds out for
/// nothing.
#[inline]
fn attempt_in_turn<L: ArmList>(arms: &mut L, cooperator: &Cooperator, first: usize, all: bool) -> Option<L::Output> {
    let worth = if all { Readiness::Doubtful } else { Readiness::Maybe };
    if !(0..L::LENGTH).any(|index| arms.readiness(index) >= Some(worth)) {
        return None;
    }
    attempt_each(arms, cooperator, first)
}

/// Takes the output of the first arm, from `first` on, that has one.
#[inline(always)]
fn attempt_each<L: ArmList>(arms: &mut L, cooperator: &Cooperator, first: usize) -> Option<L::Output> {
    for step in 0..L::LENGTH {
        let index = if first + step < L::LENGTH { first + step } else { first + step - L::LENGTH };
        if (L::IS_LITTLE || arms.readiness(index) >= Some(Readiness::Doubtful))
            && let Some(output) = arms.attempt(index, cooperator)
        {
            return Some(output);
        }
    }
    None
}

#[inline(always)]
fn wait_for_one<L: ArmList>(
    arms: &mut L,
    cooperator: &Cooperator,
    first: usize,
    place: &'static Location<'static>,
) -> Selected<L::Output> {
    /// Whatever ends the wait, nothing of it outlives the frame.
    struct Engaged<'a, L: ArmList> {
        arms: &'a mut L,
        cooperator: &'a Cooperator,
        place: &'static Location<'static>,
    }
    impl<L: ArmList> Drop for Engaged<'_, L> {
        fn drop(&mut self) {
            self.arms.disengage(self.cooperator);
            self.arms.settle(self.cooperator, self.place);
        }
    }
    let engaged = Engaged { arms, cooperator, place };
    loop {
        let wait = Wait::new(&cooperator.scheduler);
        // SAFETY: the arms stay where they are, behind a reference that `engaged` holds, until its drop has settled them. The
        // wait is settled or, being dropped, withdrawn at the end of each round, before the arms are touched mutably.
        let settled = unsafe {
            engaged.arms.enlist(cooperator, &wait, 0);
            task::park(cooperator, &wait, Reason::on("select", Detail::Count(L::LENGTH)), place)
        };
        drop(wait);
        match settled {
            Err(killed) => return Selected::Killed(killed),
            Ok(index) => {
                if let Some(output) = engaged.arms.won(index, cooperator) {
                    return Selected::Arm(output);
                }
            }
        }
        // Somebody was faster. While no arm was enlisted, another may have become ready.
        if let Some(output) = attempt_in_turn(engaged.arms, cooperator, first, false) {
            return Selected::Arm(output);
        }
    }
}

/// Every arm of a `select!` was disabled, and it has no `complete` arm.
#[doc(hidden)]
#[cold]
#[track_caller]
pub fn all_arms_disabled() -> ! {
    panic!("all arms of this `select!` are disabled, and it has neither a `complete` nor a `default` arm")
}
