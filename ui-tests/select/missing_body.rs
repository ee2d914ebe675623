// An arm has a body, if only an empty one.
use coop::op;
use std::time::Duration;

fn main() {
    let _ = coop::select! {
        _ = op::after(Duration::ZERO) => ,
    };
}
