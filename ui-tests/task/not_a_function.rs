// The attribute stands on a function.
#[coop::task]
struct Session {
    id: u64,
}

fn main() {}
