// A guard stands behind the operation that it guards.
use coop::chan::Receiver;

fn next(jobs: &Receiver<u8>, open: bool) -> Result<(), coop::Killed> {
    coop::select! {
        job if open = coop::op::receive(jobs) => println!("{job:?}"),
    }
}

fn main() {}
