//! Channels between the tasks of one thread.

mod bounded;

pub use bounded::{
    Closed, Permit, Receiver, RecvError, ReserveError, SendError, Sender, TryRecvError, TrySendError, bounded,
};

pub(crate) use bounded::{Receive, Reserve};
