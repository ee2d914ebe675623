// The kill that ended a `select!` is not ignored.
#![deny(unused_must_use)]
use coop::{chan::Receiver, op};

fn next(jobs: &Receiver<u32>) {
    coop::select! {
        job = op::receive(jobs) => println!("{job:?}"),
    };
}

fn main() {}
