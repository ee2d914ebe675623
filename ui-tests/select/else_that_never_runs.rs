// An `else` for patterns that always match is a mistake.
use coop::{chan::Receiver, op};

fn next(jobs: &Receiver<u32>) {
    let _ = coop::select! {
        job = op::receive(jobs) => println!("{job:?}"),
        else => println!("none"),
    };
}

fn main() {}
