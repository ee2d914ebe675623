// The mark of the link says all there is to say.
#[derive(coop::EmbeddedEntry)]
struct Waiter {
    #[embedded = "first"]
    link: coop::list::Link,
}

fn main() {}
