// What goes through a passage goes to another thread.
use std::rc::Rc;

fn main() {
    let (tx, rx) = coop::chan::passage::<Rc<u32>>(1);
    drop((tx, rx));
}
