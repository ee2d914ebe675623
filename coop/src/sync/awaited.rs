//! What `op::wait` takes: things that come to pass.

use super::barrier::Arrival;
use super::event::Setting;
use super::latch::Opening;
use super::notify::Notification;
use super::once_cell::Filling;
use super::{Barrier, Event, Latch, Notify, OnceCell};
use crate::handle::{Operation, Queued, Sealed};

/// What has a `wait` method: [`op::wait`](crate::op::wait) makes the operation.
///
/// Implemented for [`Event`], [`Notify`], [`Latch`], [`OnceCell`] and [`Barrier`].
#[diagnostic::on_unimplemented(
    message = "there is no waiting for `{Self}` to come to pass",
    label = "an `Event`, `Notify`, `Latch`, `OnceCell` or `Barrier` is expected"
)]
#[allow(private_bounds)]
pub trait Awaited: Sealed {
    #[doc(hidden)]
    type Wait<'a>: Operation
    where
        Self: 'a;
    #[doc(hidden)]
    fn operation(&self) -> Self::Wait<'_>;
}

macro_rules! awaited {
    ($([$($generic:ident)?] $noun:ty => $operation:ty, $new:expr;)+) => {$(
        impl<$($generic)?> Sealed for $noun {}

        impl<$($generic)?> Awaited for $noun {
            type Wait<'a> = $operation where Self: 'a;

            fn operation(&self) -> Self::Wait<'_> {
                $new(self)
            }
        }
    )+};
}

awaited! {
    [] Event => Queued<Setting<'a>>, |event| Queued::new(Setting::new(event));
    [] Notify => Queued<Notification<'a>>, |notify| Queued::new(Notification::new(notify));
    [] Latch => Queued<Opening<'a>>, |latch| Queued::new(Opening::new(latch));
    [T] OnceCell<T> => Queued<Filling<'a, T>>, |cell| Queued::new(Filling::new(cell));
    [] Barrier => Arrival<'a>, Arrival::new;
}
