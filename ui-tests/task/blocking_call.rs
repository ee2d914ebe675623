// A call of std that blocks the thread is warned of, on the call.
#![deny(warnings)]

#[coop::task]
fn nap() {
    std::thread::sleep(std::time::Duration::from_secs(1));
}

fn main() {
    coop::run(|| nap::spawn().join()).unwrap();
}
