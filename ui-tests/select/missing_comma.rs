// A comma stands between two arms.
use coop::op;
use std::time::Duration;

fn main() {
    let _ = coop::select! {
        _ = op::after(Duration::ZERO) => 1
        _ = op::after(Duration::MAX) => 2
    };
}
