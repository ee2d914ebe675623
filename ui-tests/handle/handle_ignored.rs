// A Handle that is dropped at once cancels what was just started.
#![deny(unused_must_use)]
use coop::op;

fn main() {
    coop::wait_all(|s| {
        s.start(op::after(std::time::Duration::MAX));
    });
}
