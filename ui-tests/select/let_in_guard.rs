// A guard is a condition.
use coop::{chan::Receiver, op};

fn next(jobs: &Receiver<u32>, limit: Option<u32>) {
    let _ = coop::select! {
        job = op::receive(jobs) if let Some(_) = limit => println!("{job:?}"),
    };
}

fn main() {}
