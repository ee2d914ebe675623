// A child cannot be started in a scope that has ended.
fn main() {
    coop::run(|| {
        let mut late = None;
        coop::wait_all(|s| late = Some(|| s.spawn(|| 1)));
        println!("{}", late.is_some());
    });
}
