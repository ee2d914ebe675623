// A pattern that may not match needs an `else`.
use coop::{chan::Receiver, op};

fn next(jobs: &Receiver<u32>) {
    let _ = coop::select! {
        Ok(job) = op::receive(jobs) => println!("{job}"),
    };
}

fn main() {}
