// `timeout` is the only option.
use coop::Coordinator;

fn main() {
    let door = Coordinator::new();
    let _ = coop::coordinate!(&door, deadline = 5);
}
