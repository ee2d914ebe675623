// There is one `default`.
use coop::{chan::Receiver, op};

fn next(jobs: &Receiver<u32>) {
    let _ = coop::select! {
        job = op::receive(jobs) => println!("{job:?}"),
        default => println!("none"),
        default => println!("still none"),
    };
}

fn main() {}
