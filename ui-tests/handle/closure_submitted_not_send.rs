// What goes to another thread's Cooperator is `Send`.
use std::rc::Rc;

fn submit(remote: &coop::Remote) {
    let number = Rc::new(1);
    let _ = remote.submit(move || *number + 1);
}

fn main() {}
