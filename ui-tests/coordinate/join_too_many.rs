// More than a dozen expressions are a scope's business.
fn main() {
    coop::run(|| {
        let _ = coop::join!(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13);
    });
}
