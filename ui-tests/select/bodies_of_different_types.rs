// The bodies have one type, as in a `match`.
use coop::{chan::Receiver, op};

fn next(jobs: &Receiver<u32>) -> Result<u32, coop::Killed> {
    let job = coop::select! {
        job = op::receive(jobs) => job.unwrap_or(0),
        _ = op::after(std::time::Duration::MAX) => "late",
    }?;
    Ok(job)
}

fn main() {}
