// A lock that is released at once protects nothing.
#![deny(unused_must_use)]
use coop::sync::Mutex;

fn bump(count: &Mutex<u32>) -> Result<(), coop::Killed> {
    count.lock()?;
    Ok(())
}

fn main() {}
