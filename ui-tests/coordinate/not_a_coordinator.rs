// An operand is a reference to a Coordinator.
fn main() {
    let door = std::sync::Mutex::new(());
    let _ = coop::coordinate!(&door);
}
