// A number is no Coordinator.
use coop::Coordinator;

fn main() {
    let door = Coordinator::new();
    let _ = coop::coordinate!(&door, 5);
}
