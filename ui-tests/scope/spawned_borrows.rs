// A task of no scope may outlive the function that spawns it.
fn main() {
    coop::run(|| {
        let name = String::from("coop");
        coop::spawn(|| println!("{name}"));
    });
}
