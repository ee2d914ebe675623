// An arm has a `=>`.
use coop::op;
use std::time::Duration;

fn main() {
    let _ = coop::select! {
        _ = op::after(Duration::ZERO) println!("now"),
    };
}
