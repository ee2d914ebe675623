// A child may borrow what outlives the scope, not what the scope's body makes.
fn main() {
    coop::run(|| {
        coop::wait_all(|s| {
            let inside = String::from("gone too soon");
            s.spawn(|| println!("{inside}"));
        });
    });
}
