// A field is marked once.
#[derive(coop::EmbeddedEntry)]
struct Waiter {
    #[embedded]
    #[embedded]
    link: coop::list::Link,
}

fn main() {}
