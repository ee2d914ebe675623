// `default` and its body are joined as an arm's are.
use coop::{chan::Receiver, op};

fn next(jobs: &Receiver<u8>) -> Result<(), coop::Killed> {
    coop::select! {
        job = op::receive(jobs) => println!("{job:?}"),
        default println!("none"),
    }
}

fn main() {}
