// A permit that is dropped at once gives its place in the channel back.
#![deny(unused_must_use)]
use coop::chan::{ReserveError, Sender};

fn reserve(tx: &Sender<u32>) -> Result<(), ReserveError> {
    tx.reserve()?;
    Ok(())
}

fn main() {}
