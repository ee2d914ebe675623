// `killed` names the cause, or ignores it.
use coop::{chan::Receiver, op};

fn next(jobs: &Receiver<u32>) {
    let _ = coop::select! {
        job = op::receive(jobs) => println!("{job:?}"),
        killed => println!("killed"),
    };
}

fn main() {}
