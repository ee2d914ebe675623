// The expressions of a `join!` run at once: one variable is not changed by two.
fn main() {
    let mut sum = 0;
    let _ = coop::join!(sum += 1, sum += 2);
    println!("{sum}");
}
