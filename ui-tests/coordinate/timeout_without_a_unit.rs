// A timeout says its unit.
use coop::Coordinator;

fn main() {
    let door = Coordinator::new();
    let _ = coop::coordinate!(&door, timeout = 5);
}
