// The scope itself cannot be kept.
use coop::Scope;

fn main() {
    coop::run(|| {
        let mut kept: Option<&Scope> = None;
        coop::wait_all(|s| kept = Some(s));
        println!("{}", kept.is_some());
    });
}
