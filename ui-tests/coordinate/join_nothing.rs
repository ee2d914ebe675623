// `join!` runs something.
fn main() {
    let _ = coop::join!();
}
