//! What reads and writes have in common.

mod ready;
mod transfer;

pub use crate::handle::Handle;
pub use transfer::{Partial, Transfer};

pub(crate) use ready::Ready;
pub(crate) use transfer::TransferFlight;
