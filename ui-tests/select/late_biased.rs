// `biased;` comes first.
use coop::{chan::Receiver, op};

fn next(jobs: &Receiver<u32>) {
    let _ = coop::select! {
        job = op::receive(jobs) => println!("{job:?}"),
        biased;
        _ = op::after(std::time::Duration::MAX) => {}
    };
}

fn main() {}
