// How a task ended is not ignored.
#![deny(unused_must_use)]

fn main() {
    coop::run(|| {
        let mut task = coop::spawn(|| 1);
        task.join();
    });
}
