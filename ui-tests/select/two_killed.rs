// There is one `killed`.
use coop::{chan::Receiver, op};

fn next(jobs: &Receiver<u32>) {
    coop::select! {
        job = op::receive(jobs) => println!("{job:?}"),
        killed(cause) => println!("{cause}"),
        killed(_) => println!("killed"),
    }
}

fn main() {}
