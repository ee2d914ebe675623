// The field that is marked is a link.
#[derive(coop::EmbeddedEntry)]
struct Waiter {
    #[embedded]
    link: u32,
}

fn main() {}
