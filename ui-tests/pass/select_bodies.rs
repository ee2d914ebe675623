//! The bodies of a `select!` are the function's own code: `return`, `?`, `break` and `continue` mean what they say.
#![deny(warnings)]
use coop::{Killed, chan, op};
use std::time::Duration;

fn first(jobs: &chan::Receiver<u32>) -> Result<u32, chan::RecvError> {
    coop::select! {
        job = op::receive(jobs) => return job,
        _ = op::after(Duration::MAX) => unreachable!(),
    }
    .map_err(chan::RecvError::Killed)
}

fn sum(jobs: &chan::Receiver<u32>) -> Result<u32, Killed> {
    let mut sum = 0;
    'all: loop {
        coop::select! {
            biased;
            Ok(job) = op::receive(jobs) else { break 'all } => {
                if job == 13 {
                    continue;
                }
                sum += job
            }
            _ = op::after(Duration::MAX), if sum > 1_000 => return Ok(0),
        }?;
    }
    Ok(sum)
}

fn never(jobs: &chan::Receiver<u32>) -> ! {
    let _: Result<std::convert::Infallible, Killed> = coop::select! {
        _ = op::receive(jobs) => std::process::exit(0),
    };
    unreachable!()
}

fn main() {
    coop::run(|| {
        let (tx, rx) = chan::bounded(8);
        for n in [7, 1, 13, 2] {
            tx.try_send(n).unwrap();
        }
        assert_eq!(first(&rx), Ok(7));
        drop(tx);
        assert_eq!(sum(&rx), Ok(3));
        never(&rx);
    });
}
