// An entry is a struct: its link has one place.
#[derive(coop::EmbeddedEntry)]
enum Waiter {
    Waiting(coop::list::Link),
    Gone,
}

fn main() {}
