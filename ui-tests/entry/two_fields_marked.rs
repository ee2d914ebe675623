// An entry is in one list at a time.
#[derive(coop::EmbeddedEntry)]
struct Waiter {
    #[embedded]
    by_age: coop::list::Link,
    #[embedded]
    by_name: coop::list::Link,
}

fn main() {}
