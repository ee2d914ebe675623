// What was acquired is held by a guard, which must have a name.
#![deny(unused_must_use)]
use coop::Coordinator;

fn enter(door: &Coordinator) -> Result<(), coop::Killed> {
    door.acquire()?;
    Ok(())
}

fn main() {}
