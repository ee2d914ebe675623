// A link is aligned.
#[derive(coop::EmbeddedEntry)]
#[repr(packed)]
struct Waiter {
    #[embedded]
    link: coop::list::Link,
}

fn main() {}
