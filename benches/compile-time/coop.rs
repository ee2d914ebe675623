//! Tasks that add up what two channels give them.

use coop::{chan, op};
use std::time::Duration;

// --- task
/// Adds what comes until both channels are closed, or nothing has come for a while.
#[coop::task]
fn NAME(first: chan::Receiver<u64>, second: chan::Receiver<u64>, patience: Duration) -> u64 {
    let mut sum = NUMBER;
    let (mut first_is_open, mut second_is_open) = (true, true);
    loop {
        let result = coop::select! {
            message = op::receive(&first) if first_is_open => match message {
                Ok(n) => sum += n,
                Err(_) => first_is_open = false,
            },
            message = op::receive(&second) if second_is_open => match message {
                Ok(n) => sum += n,
                Err(_) => second_is_open = false,
            },
            _ = op::after(patience) => return sum,
        };
        if result.is_err() {
            return 0;
        }
    }
}

// --- main
fn main() {
    coop::run(|| {
        let patience = Duration::from_millis(1);
        let mut tasks = Vec::new();
        tasks.push(NAME::spawn(chan::bounded(1).1, chan::bounded(1).1, patience));
        let sum: u64 = tasks.iter_mut().map(|task| task.join().unwrap()).sum();
        println!("{sum}");
    });
}
