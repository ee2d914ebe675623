//! What may be waited for, started, and stand as an arm of `select!`.

use super::flight::Flight;
use crate::cooperator::Cooperator;
use crate::coordinator::Wait;
use crate::error::Killed;
use std::panic::Location;

/// Operations are made by this crate only: their proof obligations are.
pub trait Sealed {}

/// An inert description of something to wait for. Dropping or forgetting it does nothing.
///
/// Made by the functions of [`op`](crate::op). It can be waited for, be started in a scope ([`Scope::start`](crate::Scope::start)),
/// and, where it is an [`Arm`], stand in a [`select!`](crate::select).
///
/// ```
/// use coop::{Operation, op};
/// use std::time::Duration;
/// coop::run(|| {
///     op::after(Duration::from_millis(1)).wait().unwrap();
/// });
/// ```
#[must_use = "an operation does nothing until it is waited for, started, or an arm of `select!`"]
#[allow(private_bounds, private_interfaces)]
pub trait Operation: Sealed + Sized {
    /// What it gives as an arm.
    type Output;
    /// What it gives when waited for: the output, or the kill that ended the wait.
    type Waited;
    /// What its Handle gives as an arm: the output, with the buffer that was lent.
    type Started;
    /// What its Handle gives when waited for: that, or the kill that ended the wait.
    type Joined;
    #[doc(hidden)]
    type Flight: Flight<Output = Self::Started>;

    /// Waits for it. A wait point; kill-checked.
    fn wait(self) -> Self::Waited;

    #[doc(hidden)]
    fn into_flight(self) -> Self::Flight;

    #[doc(hidden)]
    fn joined(result: Result<Self::Started, Killed>) -> Self::Joined;
}

/// What can be said of an arm without a system call.
#[doc(hidden)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Readiness {
    /// It is not ready.
    No,
    /// Only an attempt can tell, and the last one found nothing left.
    Doubtful,
    /// It may well be.
    Maybe,
}

/// What may stand as an arm of [`select!`](crate::select): an operation that, started and then not chosen, has had no effect;
/// or `&mut handle`.
///
/// # Safety
/// * `attempt` and `won` have an effect if and only if they give an output.
/// * What `enlist` links or starts is undone by `disengage` followed by `settle`, without effect; and until then the arm stays
///   in place, which the caller sees to.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be an arm of `select!` by value",
    label = "not an arm by value",
    note = "help: an arm is an operation made by `coop::op`, such as `op::recv(&conn, &mut buf)`, or `&mut handle`;",
    note = "      what could be half done is started first, `let mut h = s.start(operation);`, and its arm is `&mut h`"
)]
#[allow(private_bounds, private_interfaces)]
pub unsafe trait Arm: Sealed + Sized {
    /// What the arm's pattern is matched against.
    type Output;

    #[doc(hidden)]
    type Itself: Arm<Output = Self::Output>;
    /// An attempt touches nothing but memory, and may be made at any time: such an arm is never disabled.
    #[doc(hidden)]
    const IS_LITTLE: bool = false;
    #[doc(hidden)]
    fn itself(self) -> Self::Itself;
    #[doc(hidden)]
    fn is_disabled(&self) -> bool {
        false
    }
    #[doc(hidden)]
    fn readiness(&self) -> Readiness;
    /// Takes the output if it is there now. Switches nowhere.
    #[doc(hidden)]
    fn attempt(&mut self, cooperator: &Cooperator) -> Option<Self::Output>;
    /// Has `wait` settled for `index` when the arm is worth attempting.
    ///
    /// # Safety
    /// The arm and `wait` stay in place until the wait is settled or withdrawn and the arm disengaged and settled.
    #[doc(hidden)]
    unsafe fn enlist(&self, cooperator: &Cooperator, wait: &Wait, index: usize);
    /// The wait was settled for this arm. `None`: somebody else was faster, wait again.
    #[doc(hidden)]
    fn won(&mut self, cooperator: &Cooperator) -> Option<Self::Output>;
    /// Not chosen: takes back what was started. Does not wait.
    #[doc(hidden)]
    fn disengage(&self, cooperator: &Cooperator);
    /// Waits, out of reach of kills, until nothing outside refers to the arm.
    #[doc(hidden)]
    fn settle(&self, cooperator: &Cooperator, place: &'static Location<'static>);
}

/// The one place where an operand of `select!` is checked. What it becomes is a type parameter that only a right operand
/// determines: of a wrong one the compiler knows nothing more to complain about, and gives one error, here. The bound being
/// that of a trait and not of a function, it is a short one.
#[doc(hidden)]
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be an arm of `select!` by value",
    label = "not an arm by value",
    note = "help: an arm is an operation made by `coop::op`, such as `op::recv(&conn, &mut buf)`, or `&mut handle`;",
    note = "      what could be half done is started first, `let mut h = s.start(operation);`, and its arm is `&mut h`"
)]
pub trait Operand<W>: Sized {
    fn operand(self) -> W;
}

#[diagnostic::do_not_recommend]
impl<A: Arm<Itself = W>, W> Operand<W> for A {
    #[inline(always)]
    fn operand(self) -> W {
        self.itself()
    }
}

/// The same for an operand that looks like a call that blocks, written where its operation belongs: it has a hint of its own.
#[doc(hidden)]
#[diagnostic::on_unimplemented(
    message = "an arm of `select!` is an operation, and this call has already waited for its result",
    label = "waits here, before the `select!` begins, and gives `{Self}`",
    note = "help: make the operation instead of the call: `op::recv(&conn, &mut buf)` for `conn.recv(&mut buf)`,",
    note = "      `op::receive(&rx)` for `rx.recv()`, `op::lock(&mutex)` for `mutex.lock()`, `op::after(d)` for `coop::sleep(d)`"
)]
pub trait CalledOperand<W>: Sized {
    fn operand(self) -> W;
}

#[diagnostic::do_not_recommend]
impl<A: Arm<Itself = W>, W> CalledOperand<W> for A {
    #[inline(always)]
    fn operand(self) -> W {
        self.itself()
    }
}
