//! Operations that are in flight while their owner does other things.

use super::arm::{Arm, Operation, Readiness, Sealed};
use super::flight::Flight;
use crate::cooperator::Cooperator;
use crate::coordinator::{Coordinated, Settled, Wait};
use crate::error::Killed;
use crate::task::{self, Pending, PendingVtable, Scope};
use std::fmt;
use std::marker::PhantomData;
use std::panic::Location;
use std::ptr::NonNull;

/// A flight, in the box that the scope knows.
#[repr(C)]
struct Flying<F: Flight> {
    /// First: the scope knows it by this.
    pending: Pending,
    entry: Coordinated,
    flight: F,
}

impl<F: Flight> Flying<F> {
    const VTABLE: PendingVtable = PendingVtable { cancel: Self::cancel, settle: Self::settle };

    /// # Safety
    /// `pending` is that of a live, boxed `Flying<F>`.
    unsafe fn cancel(pending: *const Pending) {
        if let Some(cooperator) = Cooperator::current() {
            // SAFETY: the caller's promise.
            unsafe { (*pending.cast::<Self>()).flight.abort(cooperator) };
        }
    }

    /// # Safety
    /// As `cancel`; nobody else has it, and it is freed.
    unsafe fn settle(pending: *const Pending) {
        // SAFETY: the caller's promise.
        unsafe { end(NonNull::new_unchecked(pending.cast_mut().cast::<Self>()), Location::caller()) };
    }
}

/// Aborts, settles and frees a flight.
///
/// # Safety
/// `flying` is a live, boxed flight that nobody uses any more. It is freed.
unsafe fn end<F: Flight>(flying: NonNull<Flying<F>>, place: &'static Location<'static>) {
    // SAFETY: the caller's promise.
    let this = unsafe { flying.as_ref() };
    // Without one: it drained everything before it went. Or this is a forked child: then the operation is the parent's.
    if let Some(cooperator) = Cooperator::current() {
        this.flight.abort(cooperator);
        this.flight.settle(cooperator, place);
    }
    this.pending.unlink();
    // SAFETY: over, so nobody outside refers to it; it was boxed.
    drop(unsafe { Box::from_raw(flying.as_ptr()) });
}

/// An operation in flight: started by [`Scope::start`](crate::Scope::start), running while its owner does other things.
///
/// Take its result with [`wait`](Handle::wait), or in a `select!` as `&mut handle`, where it stays in flight when another arm
/// wins. Dropping it cancels the operation and waits, out of reach of kills, until the kernel is done with it (a wait point);
/// a Handle that is forgotten is ended so by its scope. A buffer it has borrowed comes back with the result.
///
/// ```
/// use coop::{net, op};
/// use std::io;
/// coop::run(|| -> io::Result<()> {
///     let (ours, theirs) = net::UnixStream::pair()?;
///     let mut buf = [0; 16];
///     coop::scope(|s| -> io::Result<()> {
///         let incoming = s.start(op::recv(&ours, &mut buf));
///         theirs.send_all(b"hello")?;
///         assert_eq!(incoming.wait()?.bytes(), b"hello");
///         Ok(())
///     })
/// }).unwrap();
/// ```
///
/// It cannot leave its scope:
///
/// ```compile_fail
/// # use coop::op;
/// # coop::run(|| {
/// let handle = coop::wait_all(|s| s.start(op::after(std::time::Duration::ZERO)));
/// # });
/// ```
#[must_use = "dropping a Handle cancels its operation"]
pub struct Handle<'scope, O: Operation> {
    /// `None` once the result was taken.
    flying: Option<NonNull<Flying<O::Flight>>>,
    // As a function's result: what makes a Handle stay on its thread is the pointer, and only that is told.
    _scope: PhantomData<fn() -> (&'scope (), O)>,
}

impl<'scope> Scope<'scope, '_> {
    /// Puts an operation in flight. Not a wait point.
    ///
    /// What the operation borrows stays borrowed for as long as the scope: its frame is not left before the kernel has given
    /// everything back, whatever becomes of the Handle.
    ///
    /// ```
    /// use coop::{net::UnixStream, op};
    /// use std::io;
    /// coop::run(|| -> io::Result<()> {
    ///     let [(a, to_a), (b, to_b)] = [UnixStream::pair()?, UnixStream::pair()?];
    ///     let (mut left, mut right) = ([0; 8], [0; 8]);
    ///     coop::scope(|s| -> io::Result<()> {
    ///         let from_a = s.start(op::recv(&a, &mut left));
    ///         let from_b = s.start(op::recv(&b, &mut right));       // both are in flight now
    ///         to_b.send_all(b"to b")?;
    ///         to_a.send_all(b"to a")?;
    ///         assert_eq!(from_a.wait()?.bytes(), b"to a");
    ///         assert_eq!(from_b.wait()?.bytes(), b"to b");
    ///         Ok(())
    ///     })
    /// }).unwrap();
    /// ```
    ///
    /// # Panics
    /// On a thread without a Cooperator.
    pub fn start<O: Operation + 'scope>(&'scope self, operation: O) -> Handle<'scope, O> {
        let cooperator = Cooperator::required();
        let flying = Box::new(Flying {
            pending: Pending::new(const { &Flying::<O::Flight>::VTABLE }),
            entry: Coordinated::new(),
            flight: operation.into_flight(),
        });
        let flying = Box::leak(flying);
        // SAFETY: the box is freed by `end` alone, when the flight is over and unlinked. What it borrows outlives 'scope, and
        // the scope ends what is still registered.
        unsafe {
            self.register(&flying.pending);
            flying.flight.launch(cooperator);
        }
        Handle { flying: Some(NonNull::from(flying)), _scope: PhantomData }
    }
}

impl<O: Operation> Handle<'_, O> {
    fn flying(&mut self) -> Option<&mut Flying<O::Flight>> {
        // SAFETY: the box lives until this Handle, or after it was forgotten the scope, frees it; nobody else refers to it but
        // through shared parts.
        self.flying.map(|mut flying| unsafe { flying.as_mut() })
    }

    /// The result, if there is one; the Handle is then spent.
    fn take(&mut self, cooperator: &Cooperator) -> Option<O::Started> {
        /// Spends the Handle; also when the landing panics, as that of a call whose panic goes on here.
        struct Landing<'a, 'scope, O: Operation>(&'a mut Handle<'scope, O>, bool);
        impl<O: Operation> Drop for Landing<'_, '_, O> {
            fn drop(&mut self) {
                if self.1 {
                    self.0.finish();
                }
            }
        }
        let mut landing = Landing(self, true);
        let output = landing.0.flying().and_then(|flying| flying.flight.land(cooperator));
        landing.1 = output.is_some();
        output
    }

    /// Frees a flight whose result was taken.
    fn finish(&mut self) {
        if let Some(flying) = self.flying.take() {
            // SAFETY: ours, and not used again.
            unsafe { end(flying, Location::caller()) };
        }
    }

    /// Whether the result was taken, by a `select!`. A spent Handle disables its arm.
    pub fn is_spent(&self) -> bool {
        self.flying.is_none()
    }

    /// Cancels the operation and waits until it is over, out of reach of kills: a wait point. A result that came first is
    /// given back, so that nothing is lost.
    ///
    /// ```
    /// use coop::{net::UnixStream, op};
    /// use std::io;
    /// coop::run(|| -> io::Result<()> {
    ///     let (ours, theirs) = UnixStream::pair()?;
    ///     let (mut buf, mut later) = ([0; 8], [0; 8]);
    ///     coop::scope(|s| -> io::Result<()> {
    ///         assert!(s.start(op::recv(&ours, &mut buf)).cancel().is_none(), "nothing has come");
    ///         theirs.send_all(b"late")?;
    ///         assert_eq!(ours.recv(&mut later)?, 4, "nothing is lost");
    ///         Ok(())
    ///     })
    /// }).unwrap();
    /// ```
    #[track_caller]
    pub fn cancel(mut self) -> Option<O::Started> {
        let cooperator = Cooperator::current()?;
        let place = Location::caller();
        let flying = self.flying()?;
        // What has arrived is taken first: a flight that only needs to be looked at would undo it.
        if let Some(output) = flying.flight.land(cooperator) {
            return Some(output);
        }
        flying.flight.abort(cooperator);
        flying.flight.settle(cooperator, place);
        flying.flight.land(cooperator)
    }

    /// Waits for the result. A wait point; kill-checked: a killed wait cancels the operation, and gives its result nevertheless
    /// if that came first.
    ///
    /// # Panics
    /// If the Handle is spent.
    #[track_caller]
    pub fn wait(self) -> O::Joined {
        O::joined(self.wait_for())
    }

    #[track_caller]
    fn wait_for(mut self) -> Result<O::Started, Killed> {
        let place = Location::caller();
        // What has come is given, killed or not: for it there is nothing to wait.
        if let Some(cooperator) = Cooperator::current()
            && let Some(output) = self.take(cooperator)
        {
            if !std::thread::panicking() {
                cooperator.scheduler.spend_call();
            }
            return Ok(output);
        }
        let cooperator = Cooperator::required();
        if task::is_refused() {
            // So is what comes in the moment of its cancel.
            return task::refuse_unless(cooperator, || self.cancel());
        }
        loop {
            let Some(flying) = self.flying() else {
                panic!("this Handle is spent: its result was taken by a `select!`")
            };
            if let Some(output) = flying.flight.land(cooperator) {
                self.finish();
                return Ok(output);
            }
            let wait = Wait::new(&cooperator.scheduler);
            // SAFETY: the flight's box, and with it the entry, stays until `self` is done with; `wait` is dropped before.
            unsafe { wait.enlist(flying.flight.news(), &flying.entry, 0) };
            let settled = wait.park(&cooperator.scheduler, true, flying.flight.reason(), place);
            drop(wait);
            if settled == Settled::Killed {
                // A result that raced the kill is delivered.
                return self.cancel().ok_or_else(|| task::delivered(cooperator));
            }
        }
    }
}

impl<O: Operation> Drop for Handle<'_, O> {
    fn drop(&mut self) {
        self.finish();
    }
}

impl<O: Operation> fmt::Debug for Handle<'_, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle").field("is_spent", &self.is_spent()).finish_non_exhaustive()
    }
}

impl<O: Operation> Sealed for &mut Handle<'_, O> {}

// SAFETY: `enlist` links only the flight's entry, which the wait unlinks. The operation itself stays in flight.
#[diagnostic::do_not_recommend]
unsafe impl<O: Operation> Arm for &mut Handle<'_, O> {
    type Output = O::Started;
    type Itself = Self;

    fn itself(self) -> Self {
        self
    }

    fn is_disabled(&self) -> bool {
        self.is_spent()
    }

    fn readiness(&self) -> Readiness {
        // SAFETY: the box stays while the Handle is borrowed.
        let is_ready = self.flying.is_some_and(|flying| unsafe { flying.as_ref() }.flight.is_ready());
        if is_ready { Readiness::Maybe } else { Readiness::No }
    }

    fn attempt(&mut self, cooperator: &Cooperator) -> Option<O::Started> {
        self.take(cooperator)
    }

    unsafe fn enlist(&self, _: &Cooperator, wait: &Wait, index: usize) {
        if let Some(flying) = self.flying {
            // SAFETY: the box stays while the Handle is borrowed; the rest is the caller's promise.
            unsafe {
                let flying = flying.as_ref();
                wait.enlist(flying.flight.news(), &flying.entry, index);
            }
        }
    }

    fn won(&mut self, cooperator: &Cooperator) -> Option<O::Started> {
        self.take(cooperator)
    }

    fn disengage(&self, _: &Cooperator) {}

    fn settle(&self, _: &Cooperator, _: &'static Location<'static>) {}
}
