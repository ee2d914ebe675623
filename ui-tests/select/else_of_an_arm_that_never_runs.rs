// A pattern that always matches leaves nothing for its `else`.
use coop::{chan::Receiver, op};

fn next(jobs: &Receiver<u8>) -> Result<(), coop::Killed> {
    coop::select! {
        job = op::receive(jobs) else { return Ok(()) } => println!("{job:?}"),
    }
}

fn main() {}
