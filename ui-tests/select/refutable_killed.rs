// There is no further arm for the causes that the pattern of `killed` leaves out.
use coop::{chan::Receiver, op};

fn next(jobs: &Receiver<u8>) {
    coop::select! {
        job = op::receive(jobs) => println!("{job:?}"),
        killed(coop::Cause::Deadline) => println!("late"),
    }
}

fn main() {}
