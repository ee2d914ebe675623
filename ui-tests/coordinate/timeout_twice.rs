// There is one timeout.
use coop::Coordinator;

fn wait(door: &Coordinator, soon: std::time::Duration) {
    let _ = coop::coordinate!(door, timeout = soon, timeout = soon * 2);
}

fn main() {}
