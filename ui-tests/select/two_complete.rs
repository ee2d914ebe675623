// There is one `complete`.
use coop::{chan::Receiver, op};

fn next(jobs: &Receiver<u32>, open: bool) {
    let _ = coop::select! {
        job = op::receive(jobs) if open => println!("{job:?}"),
        complete => println!("shut"),
        complete => println!("shut tight"),
    };
}

fn main() {}
