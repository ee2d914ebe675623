// What a child borrows is not changed before it has ended.
fn main() {
    coop::run(|| {
        let mut name = String::from("coop");
        coop::wait_all(|s| {
            s.spawn(|| println!("{name}"));
            name.push('!');
        });
    });
}
