// A timeout has a value.
use coop::Coordinator;

fn main() {
    let door = Coordinator::new();
    let _ = coop::coordinate!(&door, timeout);
}
