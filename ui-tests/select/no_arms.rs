// There must be something to wait for.
fn main() {
    let _ = coop::select! {};
}
