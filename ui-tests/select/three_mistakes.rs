// All mistakes of one `select!` are reported together.
use coop::{chan::Receiver, op};

fn next(jobs: &Receiver<u32>) {
    let _ = coop::select! {
        Ok(job) = op::receive(jobs) println!("{job}"),
        job op::receive(jobs) => println!("{job:?}"),
        _ = op::receive(jobs).await => {}
    };
}

fn main() {}
