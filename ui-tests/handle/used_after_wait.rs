// A Handle gives its result once.
use coop::op;
use std::time::Duration;

fn main() {
    coop::wait_all(|s| {
        let timer = s.start(op::after(Duration::ZERO));
        timer.wait().unwrap();
        timer.wait().unwrap();
    });
}
