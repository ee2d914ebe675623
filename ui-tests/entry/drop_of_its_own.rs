// An entry's `Drop` is taken: it leaves the list there. What else is to be dropped is a field.
#[derive(coop::EmbeddedEntry)]
struct Waiter {
    #[embedded]
    link: coop::list::Link,
}

impl Drop for Waiter {
    fn drop(&mut self) {}
}

fn main() {}
