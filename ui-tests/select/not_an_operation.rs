// An arm waits for an operation.
use std::time::Duration;

fn main() {
    let _ = coop::select! {
        _ = Duration::from_secs(1) => println!("late"),
    };
}
