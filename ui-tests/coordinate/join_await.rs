// The expressions of a `join!` are calls.
async fn lookup() {}

fn main() {
    let _ = coop::join!(lookup().await, 2);
}
