// What goes to another thread is `Send`; asked where it is submitted, not where the task is written.
use std::rc::Rc;

#[coop::task]
fn show(number: Rc<u32>) {
    println!("{number}");
}

fn main() {
    let remote = coop::run(|| coop::remote().unwrap());
    let _ = show::submit(&remote, Rc::new(1));
}
