// An entry is never `Unpin`: it would move while it is linked.
#[derive(coop::EmbeddedEntry)]
struct Waiter {
    #[embedded]
    link: coop::list::Link,
}

impl Unpin for Waiter {}

fn main() {}
