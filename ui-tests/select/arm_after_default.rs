// `default` is tried last, and stands last.
use coop::{chan::Receiver, op};

fn next(jobs: &Receiver<u32>) {
    let _ = coop::select! {
        default => println!("none"),
        job = op::receive(jobs) => println!("{job:?}"),
    };
}

fn main() {}
