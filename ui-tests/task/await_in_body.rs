// A task's body calls, it does not await.
async fn lookup() -> u32 {
    7
}

#[coop::task]
fn greet() -> u32 {
    lookup().await + 1
}

fn main() {}
