// Two children run at once: one variable is not changed by both.
fn main() {
    coop::run(|| {
        let mut count = 0;
        coop::wait_all(|s| {
            s.spawn(|| count += 1);
            s.spawn(|| count += 2);
        });
        println!("{count}");
    });
}
