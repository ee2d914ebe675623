//! Tasks that add up what two channels give them.

use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::sleep;

// --- task
/// Adds what comes until both channels are closed, or nothing has come for a while.
async fn NAME(mut first: mpsc::Receiver<u64>, mut second: mpsc::Receiver<u64>, patience: Duration) -> u64 {
    let mut sum = NUMBER;
    let (mut first_is_open, mut second_is_open) = (true, true);
    loop {
        tokio::select! {
            message = first.recv(), if first_is_open => match message {
                Some(n) => sum += n,
                None => first_is_open = false,
            },
            message = second.recv(), if second_is_open => match message {
                Some(n) => sum += n,
                None => second_is_open = false,
            },
            _ = sleep(patience) => return sum,
        }
    }
}

// --- main
#[tokio::main(flavor = "current_thread")]
async fn main() {
    let patience = Duration::from_millis(1);
    let mut tasks = Vec::new();
    tasks.push(tokio::spawn(NAME(mpsc::channel(1).1, mpsc::channel(1).1, patience)));
    let mut sum = 0;
    for task in tasks {
        sum += task.await.unwrap();
    }
    println!("{sum}");
}
