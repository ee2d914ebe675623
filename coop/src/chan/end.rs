//! The two ends of a channel, whatever its kind: what `op::receive` and `op::closed` take.

use super::{bounded, broadcast, oneshot, rendezvous, unbounded, watch};
use crate::handle::{Operation, Queued};
use crate::sync::Event;
use std::rc::Rc;

/// Ends are made by this crate only.
pub trait Sealed {}

/// The receiving end of a channel, for [`op::receive`](crate::op::receive): a reference to a receiver; a mutable one for a
/// broadcast channel's.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no receiving end of a channel",
    label = "write `&rx`, or `&mut rx` for a broadcast channel"
)]
pub trait ReceivingEnd: Sealed {
    #[doc(hidden)]
    type Receive: Operation;
    #[doc(hidden)]
    fn receive(self) -> Self::Receive;
}

/// The sending end of a channel of bounded length, for [`op::reserve`](crate::op::reserve): a reference to a sender.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no sending end with places to reserve",
    label = "write `&tx`, of a channel of bounded length"
)]
pub trait ReservingEnd: Sealed {
    #[doc(hidden)]
    type Reserve: Operation;
    #[doc(hidden)]
    fn reserve_place(self) -> Self::Reserve;
}

impl<T> Sealed for &bounded::Sender<T> {}

impl<'a, T> ReservingEnd for &'a bounded::Sender<T> {
    type Reserve = Queued<bounded::Reserve<'a, T>>;

    fn reserve_place(self) -> Self::Reserve {
        Queued::new(bounded::Reserve::new(self))
    }
}

impl<'a, S> ReservingEnd for &'a Rc<S>
where
    &'a S: ReservingEnd,
{
    type Reserve = <&'a S as ReservingEnd>::Reserve;

    fn reserve_place(self) -> Self::Reserve {
        (**self).reserve_place()
    }
}

impl<'a, S> ReservingEnd for &&'a S
where
    &'a S: ReservingEnd,
{
    type Reserve = <&'a S as ReservingEnd>::Reserve;

    fn reserve_place(self) -> Self::Reserve {
        (*self).reserve_place()
    }
}

/// The sending end of a channel, for [`op::closed`](crate::op::closed).
#[diagnostic::on_unimplemented(message = "`{Self}` is no sending end of a channel")]
#[allow(private_bounds, private_interfaces)]
pub trait SendingEnd: Sealed {
    #[doc(hidden)]
    fn closing(&self) -> &Event;
}

macro_rules! receiving_end {
    ($([$($bound:tt)*] $receiver:ty => $receive:path;)+) => {$(
        impl<'a, T $($bound)*> Sealed for $receiver {}

        impl<'a, T $($bound)*> ReceivingEnd for $receiver {
            type Receive = Queued<$receive>;

            fn receive(self) -> Self::Receive {
                Queued::new(<$receive>::new(self))
            }
        }
    )+};
}

receiving_end! {
    [] &'a bounded::Receiver<T> => bounded::Receive<'a, T>;
    [] &'a rendezvous::Receiver<T> => rendezvous::Receive<'a, T>;
    [] &'a oneshot::Receiver<T> => oneshot::Receive<'a, T>;
    [] &'a watch::Receiver<T> => watch::Receive<'a, T>;
    [: Clone] &'a mut broadcast::Receiver<T> => broadcast::Receive<'a, T>;
}

impl<R> Sealed for &Rc<R> {}
impl<R> Sealed for &&R {}

impl<'a, R> ReceivingEnd for &'a Rc<R>
where
    &'a R: ReceivingEnd,
{
    type Receive = <&'a R as ReceivingEnd>::Receive;

    fn receive(self) -> Self::Receive {
        (**self).receive()
    }
}

impl<'a, R> ReceivingEnd for &&'a R
where
    &'a R: ReceivingEnd,
{
    type Receive = <&'a R as ReceivingEnd>::Receive;

    fn receive(self) -> Self::Receive {
        (*self).receive()
    }
}

macro_rules! sending_end {
    ($($sender:ty),+) => {$(
        impl<T> Sealed for $sender {}

        impl<T> SendingEnd for $sender {
            fn closing(&self) -> &Event {
                self.closing()
            }
        }
    )+};
}

sending_end!(
    bounded::Sender<T>,
    unbounded::Sender<T>,
    rendezvous::Sender<T>,
    oneshot::Sender<T>,
    watch::Sender<T>,
    broadcast::Sender<T>
);
