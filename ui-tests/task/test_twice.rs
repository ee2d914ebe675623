// `#[coop::test]` makes the test; one is enough.
#[coop::test]
#[test]
fn adds() {
    assert_eq!(1 + 1, 2);
}

fn main() {}
