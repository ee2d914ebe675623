// An arm takes no attributes.
use coop::{chan::Receiver, op};

fn next(jobs: &Receiver<u32>) {
    let _ = coop::select! {
        #[cfg(unix)]
        job = op::receive(jobs) => println!("{job:?}"),
    };
}

fn main() {}
