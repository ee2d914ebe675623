// The link is marked.
#[derive(coop::EmbeddedEntry)]
struct Waiter {
    link: coop::list::Link,
    name: &'static str,
}

fn main() {}
