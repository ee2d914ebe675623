// An operand is a reference.
use coop::Coordinator;

fn main() {
    let door = Coordinator::new();
    let _ = coop::coordinate!(door);
}
