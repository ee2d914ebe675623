// What is run on another thread takes along only what may go there.
use std::rc::Rc;

fn main() {
    let name = Rc::new("coop");
    coop::run(|| {
        let _ = coop::unblock(move || name.len());
    });
}
