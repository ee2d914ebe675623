// A JoinHandle, too.
use coop::{JoinHandle, op};

fn wait(task: JoinHandle<u32>) {
    let _ = coop::select! {
        result = task => println!("{result:?}"),
        _ = op::after(std::time::Duration::from_secs(1)) => println!("late"),
    };
}

fn main() {}
