// A child's handle cannot leave its scope.
fn main() {
    coop::run(|| {
        let mut child = coop::wait_all(|s| s.spawn(|| 1));
        child.join().unwrap();
    });
}
